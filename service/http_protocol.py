"""What is not HTTP at all never reaches the application; it is answered with a problem document all the same.

Requests are read by llhttp (through httptools) where it is installed, else by h11: `PROTOCOL` is the one in use. A head
must be complete within `HEAD_SECONDS` and smaller than `MOST_HEAD_BYTES`, whoever reads it.
"""

from __future__ import annotations

import asyncio
import json
from importlib.util import find_spec
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.errors import problem
from service.headers import complete
from service.ids import new_id

HEAD_SECONDS = 20.0
MOST_HEAD_BYTES = 64 * 1024


def _refusal(detail: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body of a 400."""
    body = json.dumps(problem("bad-request", detail)).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", new_id("req").encode()),
        (b"connection", b"close"),
    ]
    return complete(headers), body


UNREADABLE = "The start line or the headers cannot be read: a length that is no number, no Host, or not HTTP."
INCOMPLETE = f"The start line and the headers were not complete after {HEAD_SECONDS:g} s."
TOO_LONG = f"The start line and the headers are longer than {MOST_HEAD_BYTES} bytes."


class ProblemProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 over h11, except that a request it cannot read gets a problem document."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._patience = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def data_received(self, data: bytes) -> None:
        """Read what came; a head that is incomplete has its time."""
        super().data_received(data)
        is_reading = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if self._patience is not None and not is_reading:
            self._patience.cancel()
            self._patience = None
        elif self._patience is None and is_reading:
            self._patience = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self._refuse(INCOMPLETE)

    def send_400_response(self, msg: str) -> None:
        """Answer a request whose start line or headers cannot be read, and close the connection."""
        self._refuse(UNREADABLE)

    def _refuse(self, detail: str) -> None:
        headers, body = _refusal(detail)
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def _llhttp() -> type[asyncio.Protocol]:
    """The same over httptools; costs a quarter of the time a request."""
    from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

    class QuickProtocol(HttpToolsProtocol):
        """uvicorn's HTTP/1.1 over httptools, except that a request it cannot read gets a problem document."""

        _patience: asyncio.TimerHandle | None = None
        _head_bytes = 0  # of a head that is not complete
        _is_in_head = True

        def connection_made(self, transport: Any) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._patience = self.loop.call_later(HEAD_SECONDS, self._give_up)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._is_in_head:
                self._attend(len(data))

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._is_in_head = True

        def on_headers_complete(self) -> None:
            self._is_in_head, self._head_bytes = False, 0
            if self._patience is not None:
                self._patience.cancel()
                self._patience = None
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            if self._patience is not None:
                self._patience.cancel()
            super().connection_lost(exc)

        def send_400_response(self, msg: str) -> None:
            self._refuse(UNREADABLE)

        def _attend(self, received: int) -> None:
            """A head is being read: within its time and its size."""
            self._head_bytes += received
            if self._head_bytes > MOST_HEAD_BYTES:
                self._refuse(TOO_LONG)
            elif self._patience is None:
                self._patience = self.loop.call_later(HEAD_SECONDS, self._give_up)

        def _give_up(self) -> None:
            if not self.transport.is_closing():
                self._refuse(INCOMPLETE)

        def _refuse(self, detail: str) -> None:
            headers, body = _refusal(detail)
            if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
                lines = b"".join(b"%s: %s\r\n" % header for header in headers)
                self.transport.write(STATUS_LINE[400] + lines + b"\r\n" + body)
            self.transport.close()

    return QuickProtocol


PROTOCOL: type[asyncio.Protocol] = _llhttp() if find_spec("httptools") else ProblemProtocol
