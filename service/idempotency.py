"""`Idempotency-Key`: a POST that creates is carried out once, and its first answer is replayed.

The key, the digest of the request and whatever the request creates are written in one transaction: either all of it
happened or none. A refusal (4xx) creates nothing and is not kept.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session
from starlette.responses import Response

from service.db.rows import IdempotencyKeyRow, utcnow
from service.db.session import Database
from service.deps import database_of, settings_of
from service.errors import ApiError
from service.ids import new_id

KEY_PATTERN = r"^[\x21-\x7e]{1,255}$"
_KEPT_HEADERS = ("location", "retry-after", "content-type")
_PURGED_AT_ONCE = 100

_running: set[tuple[str, str]] = set()
_running_lock = threading.Lock()


class Once:
    """One request's claim to be carried out once; without a key it is simply carried out."""

    def __init__(self, request: Request, key: str | None) -> None:
        self.request = request
        self.key = key
        self.owner = "local"
        self.content: bytes | None = None  # stands for the body where equal requests differ in their bytes

    def answer(self, owner: str, make: Callable[[Session], Response], keep: bool = True) -> Response:
        """The response of `make(session)`, run in one transaction with the key; or the first answer, replayed.

        409 while the first request runs, 422 when the key came with another method, path or body. `make` returns the
        finished response (status below 400) and may raise `ApiError`.
        """
        database = database_of(self.request)
        if self.key is None:
            with database.write() as session:
                return make(session)
        with self.claimed(owner), database.write() as session:
            _lock(database, session, owner, self.key)
            earlier = self._earlier(session, owner)
            if earlier is not None:
                return earlier
            response = make(session)
            session.add(self._row(owner, response))
            return response

    def replay(self, owner: str) -> Response | None:
        """The first answer if there is one: for requests that compute for long before they write."""
        if self.key is None:
            return None
        with database_of(self.request).read() as session:
            return self._earlier(session, owner, purge=False)

    @contextmanager
    def claimed(self, owner: str) -> Iterator[None]:
        """Hold the key in this process: 409 for anyone else until left. May be entered again by the holder."""
        if self.key is None or getattr(self, "_holds", False):
            yield
            return
        name = (owner, self.key)
        with _running_lock:
            if name in _running:
                raise _in_progress()
            _running.add(name)
        self._holds = True
        try:
            yield
        finally:
            self._holds = False
            with _running_lock:
                _running.discard(name)

    def _earlier(self, session: Session, owner: str, purge: bool = True) -> Response | None:
        now = utcnow()
        table = IdempotencyKeyRow
        if purge:
            old = select(table.id).where(table.expires_at <= now).limit(_PURGED_AT_ONCE)
            session.execute(delete(table).where(table.id.in_(old)).execution_options(synchronize_session=False))
            session.execute(delete(table).where(table.owner == owner, table.key == self.key, table.expires_at <= now))
        row = session.scalar(select(table).where(table.owner == owner, table.key == self.key, table.expires_at > now))
        if row is None:
            return None
        if (row.method, row.path, row.body_digest) != self._asked():
            raise ApiError("key-reused", "This Idempotency-Key came before with another method, path or body.")
        headers = {**(row.headers or {}), "Idempotency-Replayed": "true"}
        return Response((row.response or "").encode(), row.status or 200, headers)

    def _asked(self) -> tuple[str, str, str]:
        read = getattr(self.request, "_body", b"")  # by the route, before any endpoint runs
        body = read if self.content is None else self.content
        return self.request.method, self.request.url.path, "sha256:" + hashlib.sha256(body).hexdigest()

    def _row(self, owner: str, response: Response) -> IdempotencyKeyRow:
        method, path, body_digest = self._asked()
        headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
        return IdempotencyKeyRow(
            id=new_id("idm"),
            owner=owner,
            key=self.key,
            method=method,
            path=path,
            body_digest=body_digest,
            status=response.status_code,
            headers=headers,
            response=bytes(response.body).decode(),
            expires_at=utcnow() + timedelta(hours=settings_of(self.request).idempotency_hours),
        )


def _lock(database: Database, session: Session, owner: str, key: str) -> None:
    """Hold the key among all processes for this transaction; SQLite's writers already run one at a time."""
    if database.is_sqlite:
        return
    number = int.from_bytes(hashlib.sha256(f"{owner}\n{key}".encode()).digest()[:8], "big", signed=True)
    if not session.scalar(text("SELECT pg_try_advisory_xact_lock(:number)"), {"number": number}):
        raise _in_progress()


def _in_progress() -> ApiError:
    detail = "A request with this Idempotency-Key is being answered."
    return ApiError("request-in-progress", detail, headers={"Retry-After": "1"})


async def _once(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            pattern=KEY_PATTERN,
            description="Any text of yours: the request is carried out once, and its first answer replayed for a day.",
        ),
    ] = None,
) -> Any:
    return Once(request, idempotency_key)


TheOnce = Annotated[Once, Depends(_once)]
"""The request's claim to be carried out once (its `Idempotency-Key`, if it has one)."""
