"""A bad line between a client and a server: a proxy that loses answers after the server did the work, or cuts them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

WHOLE = -1
"""Answers pass as they are."""


@dataclass
class Line:
    """`faults[k]` is how many bytes of answers connection k lets through before it breaks; later ones let all."""

    target: tuple[str, int]
    faults: list[int]
    connections: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def carry(self, near: socket.socket) -> None:
        """One connection, from its first byte to its end."""
        with self._lock:
            left = self.faults[self.connections] if self.connections < len(self.faults) else WHOLE
            self.connections += 1
        with near, socket.create_connection(self.target) as far:
            threading.Thread(target=_pour, args=(near, far), daemon=True).start()
            with suppress(OSError):
                while data := far.recv(65536):
                    if left == WHOLE:
                        near.sendall(data)
                        continue
                    near.sendall(data[:left])
                    left -= min(left, len(data))
                    if not left:
                        break
            for end in (near, far):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)


def _pour(source: socket.socket, drain: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            drain.sendall(data)


@contextmanager
def bad_line(url: str, *faults: int) -> Iterator[tuple[str, Line]]:
    """A URL that leads to the server's over a line with these faults, and the line."""
    parts = urlsplit(url)
    line = Line((parts.hostname or "", parts.port or 80), list(faults))
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                threading.Thread(target=line.carry, args=(near,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", line
    finally:
        listener.close()
