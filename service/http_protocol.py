"""What is not HTTP at all never reaches the application; it is answered with a problem document all the same."""

from __future__ import annotations

import json

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.errors import problem
from service.ids import new_id


class ProblemProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, except that a request it cannot read gets a problem document."""

    def send_400_response(self, msg: str) -> None:
        """Answer a request whose start line or headers cannot be read, and close the connection."""
        detail = "The start line or the headers cannot be read: a length that is no number, no Host, or not HTTP."
        body = json.dumps(problem("bad-request", detail)).encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", new_id("req").encode()),
            (b"connection", b"close"),
        ]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
