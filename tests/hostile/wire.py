"""Bytes that no HTTP library would send: ambiguous lengths, requests hidden in bodies, other protocols, half of one."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass

HIDDEN = b"GET /v1/keys HTTP/1.1\r\nHost: localhost\r\n\r\n"
PATIENCE = 3.0  # seconds without a byte, after which no more is expected


@dataclass(frozen=True)
class Bytes:
    """What is sent on a connection of its own, and the most answers it may get."""

    name: str
    content: bytes
    answers: int = 1


def _post(*headers: bytes, body: bytes = b"") -> bytes:
    head = (b"POST /v1/instances HTTP/1.1", b"Host: localhost", b"Content-Type: application/json", *headers)
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def _get(*headers: bytes, line: bytes = b"GET /healthz/live HTTP/1.1", host: bytes = b"Host: localhost") -> bytes:
    return b"\r\n".join((line, *((host,) if host else ()), *headers)) + b"\r\n\r\n"


def ambiguous() -> Iterator[Bytes]:
    """Requests of which two readers could disagree where they end; the hidden one must not be answered."""
    length = b"Content-Length: %d" % len(HIDDEN)
    chunked = b"0\r\n\r\n" + HIDDEN
    both = (b"Content-Length: 5", b"Transfer-Encoding: chunked")
    yield Bytes("length and chunked", _post(*both, body=chunked))
    yield Bytes("chunked and length", _post(*reversed(both), body=chunked))
    yield Bytes("two lengths", _post(b"Content-Length: 0", length, body=HIDDEN))
    yield Bytes("two equal lengths in one", _post(b"Content-Length: 2, 2", body=b"{}" + HIDDEN), answers=2)
    yield Bytes("two lengths in one", _post(b"Content-Length: 0, 43", body=HIDDEN))
    for value in (b"+0", b"-0", b"0x0", b"0 0", b" ", b"1e1", b"\xb2", b"0;", b"0\x0b", b"00" * 30 + b"x"):
        yield Bytes(f"length {value!r}", _post(b"Content-Length: " + value, body=HIDDEN))
    for value in (
        b"chunked, identity", b"identity, chunked", b"chunked, chunked", b"xchunked", b"chunkedx", b"gzip, chunked",
        b" chunked", b"\x0bchunked", b"chunked\x00", b"CHUNKED;q=1", b'"chunked"', b"chu nked", b"identity", b"",
    ):  # fmt: skip
        yield Bytes(f"encoding {value!r}", _post(b"Transfer-Encoding: " + value, b"Content-Length: 5", body=chunked))
    yield Bytes("encoding twice", _post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: x", body=chunked))
    yield Bytes("encoding with a space before the colon", _post(b"Transfer-Encoding : chunked", body=chunked))
    yield Bytes("length with a space before the colon", _post(b"Content-Length : 43", body=HIDDEN))
    yield Bytes("a folded header", _post(b"Transfer-Encoding:\r\n chunked", b"Content-Length: 5", body=chunked))
    yield Bytes(
        "underscores", _post(b"Transfer_Encoding: chunked", b"Content_Length: 0", b"Content-Length: 2", body=b"{}")
    )
    for size in (
        b"-1",
        b"0x5",
        b"+5",
        b"5 ",
        b" 5",
        b"5;a=" + b"x" * 70_000,
        b"fffffffffffffffff",
        b"G",
        b"",
        b"5\n{}",
    ):
        body = size + b"\r\nhello\r\n" + chunked
        # White space after a size and a long extension leave no doubt of its end: what follows is a request of its own.
        answers = 2 if size in (b"5 ", b"5;a=" + b"x" * 70_000) else 1
        yield Bytes(f"chunk of {size[:12]!r}", _post(b"Transfer-Encoding: chunked", body=body), answers)
    yield Bytes("chunk longer than told", _post(b"Transfer-Encoding: chunked", body=b"1\r\nhello\r\n" + chunked))
    hidden = b"0\r\nContent-Length: 9\r\nHost: evil.example\r\n\r\n"
    yield Bytes("headers after the body", _post(b"Transfer-Encoding: chunked", body=hidden))


def malformed() -> Iterator[Bytes]:
    """What is not quite HTTP/1.1."""
    for name, line in {
        "no version": b"GET /healthz/live",
        "version 0.9": b"GET /healthz/live HTTP/0.9",
        "version 2.0": b"GET /healthz/live HTTP/2.0",
        "version 1.99": b"GET /healthz/live HTTP/1.99",
        "lower-case version": b"GET /healthz/live http/1.1",
        "two spaces": b"GET  /healthz/live HTTP/1.1",
        "a tab": b"GET\t/healthz/live\tHTTP/1.1",
        "a space in the path": b"GET /healthz /live HTTP/1.1",
        "NUL in the path": b"GET /healthz/\x00live HTTP/1.1",
        "bytes above 127": b"GET /\xff\xfe HTTP/1.1",
        "no path": b"GET HTTP/1.1",
        "an empty path": b"GET  HTTP/1.1",
        "a star": b"OPTIONS * HTTP/1.1",
        "a star for GET": b"GET * HTTP/1.1",
        "a whole address": b"GET http://evil.example/v1/keys HTTP/1.1",
        "a proxy's request": b"CONNECT 169.254.169.254:80 HTTP/1.1",
        "a relative path": b"GET v1/keys HTTP/1.1",
        "a method of 10,000 letters": b"G" * 10_000 + b" / HTTP/1.1",
        "a path of 100,000 letters": b"GET /" + b"a" * 100_000 + b" HTTP/1.1",
        "no method": b" /healthz/live HTTP/1.1",
        "a method with a colon": b"GET: / HTTP/1.1",
    }.items():
        yield Bytes(name, _get(line=line))
    for name, header in {
        "no colon": b"X-Header",
        "no name": b": value",
        "a space in the name": b"X Header: value",
        "NUL in a value": b"X-Header: a\x00b",
        "a bare carriage return": b"X-Header: a\rX-Injected: yes",
        "a bare line feed": b"X-Header: a\nX-Injected: yes",
        "bytes above 127 in a name": b"X-H\xe9: value",
        "a value of 200,000 letters": b"X-Header: " + b"a" * 200_000,
        "10,000 headers": b"\r\n".join(b"X-%d: y" % number for number in range(10_000)),
        "two hosts": b"Host: evil.example",
        "a folded line": b"X-Header: a\r\n b",
        "an upgrade to HTTP/2": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
        "an upgrade to WebSocket": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==",
        "100-continue": b"Expect: 100-continue",
    }.items():  # fmt: skip
        yield Bytes(name, _get(header))
    yield Bytes("no host", _get(host=b""))
    yield Bytes("an empty host", _get(host=b"Host:"))
    yield Bytes("a host with a path", _get(host=b"Host: localhost/../evil"))
    yield Bytes("a host with a user", _get(host=b"Host: localhost@evil.example"))
    yield Bytes("line feeds alone", _get().replace(b"\r\n", b"\n"))
    yield Bytes("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(40), answers=2)
    yield Bytes("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300))
    yield Bytes("Redis", b"*1\r\n$8\r\nFLUSHALL\r\n")
    yield Bytes("SSH", b"SSH-2.0-OpenSSH_9.6\r\n")
    yield Bytes("SMTP", b"EHLO evil.example\r\nMAIL FROM:<a@b>\r\n")
    yield Bytes("all bytes", bytes(range(256)) * 50)
    yield Bytes("line feeds", b"\r\n" * 20_000)
    yield Bytes("nothing", b"")
    yield Bytes("half a line", b"GET /healthz/li")
    yield Bytes("half a header", b"GET /healthz/live HTTP/1.1\r\nHost: local")
    yield Bytes("half a body", _post(b"Content-Length: 100", body=b"{"))
    yield Bytes("20 at once", _get() * 20, answers=20)
    yield Bytes("an end, then another", _get(b"Connection: close") + HIDDEN)


def exchange(address: tuple[str, int], content: bytes) -> bytes:
    """Everything that is answered to some bytes before the connection ends, or stays silent."""
    received = b""
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        try:
            connection.sendall(content)
            while chunk := connection.recv(65536):
                received += chunk
        except OSError:  # reset or silent: no more is said either way
            pass
    return received


def statuses(received: bytes) -> list[int]:
    """The status of every answer in what was received."""
    return [int(found) for found in re.findall(rb"(?:^|\r\n|})HTTP/1\.[01] (\d{3}) ", received)]
