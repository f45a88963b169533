"""Requests as fast as a service takes them, from a process of its own so that its work is not counted as the service's.

    python -m tests.load.driver URL PATH BODY --connections 32 --seconds 10 [--rate 1000] [--pause 0.05]

Without `--rate` every connection asks again as soon as it is answered (after a refusal it waits `--pause`); with it,
requests leave on a schedule and their time counts from when they were due. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request under way."""

    def __init__(self) -> None:
        self.buffer = b""
        self.answer: asyncio.Future[tuple[int, bytes]] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Take an answer apart once it is whole."""
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if len(rest) >= length and self.answer is not None and not self.answer.done():
            self.buffer = rest[length:]
            self.answer.set_result((int(head[9:12]), rest[:length]))

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody answers any more."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(ConnectionError("the service closed the connection"))

    async def ask(self, request: bytes) -> int:
        """Send a request and wait for the status of its answer."""
        assert self.transport is not None
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return (await self.answer)[0]


class Drive:
    """A number of connections that ask for a time."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.where = urlsplit(options.url)
        body = options.body.encode()
        head = f"POST {options.path} HTTP/1.1\r\nHost: {self.where.netloc}\r\nContent-Type: application/json\r\n"
        self.request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        self.statuses: Counter[int] = Counter()
        self.times: dict[int, list[float]] = {}
        self.halves = [0, 0]  # good answers in each half of the time
        self.began = time.perf_counter()
        self.due = self.began

    async def run(self) -> dict[str, Any]:
        """Ask until the time is over; what happened."""
        await asyncio.gather(*(self.one() for _ in range(self.options.connections)))
        took = time.perf_counter() - self.began
        quantiles = {str(status): _quantiles(sorted(times)) for status, times in self.times.items()}
        return {"statuses": self.statuses, "seconds": took, "ms": quantiles, "halves": self.halves}

    async def one(self) -> None:
        """One connection's requests."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self.where.hostname, self.where.port)
        end = self.began + self.options.seconds
        while (start := time.perf_counter()) < end:
            if self.options.rate:
                start, self.due = self.due, self.due + 1 / self.options.rate
                if start > end:
                    break
                await asyncio.sleep(max(start - time.perf_counter(), 0))
            status = await connection.ask(self.request)
            now = time.perf_counter()
            self.statuses[status] += 1
            self.times.setdefault(status, []).append(now - start)
            if status == 200:
                self.halves[now > self.began + self.options.seconds / 2] += 1
            elif self.options.pause:
                await asyncio.sleep(self.options.pause)
        assert connection.transport is not None
        connection.transport.close()


def _quantiles(times: list[float]) -> dict[str, float]:
    return {f"p{q}": round(1000 * times[int(q / 100 * (len(times) - 1))], 2) for q in (50, 95, 99)}


def main() -> None:
    """Drive as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("path")
    parser.add_argument("body", help="a JSON document, or @FILE")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--pause", type=float, default=0.0)
    options = parser.parse_args()
    if options.body.startswith("@"):
        options.body = Path(options.body[1:]).read_text()

    async def drive() -> dict[str, Any]:
        return await Drive(options).run()

    print(json.dumps(asyncio.run(drive())))


if __name__ == "__main__":
    main()
