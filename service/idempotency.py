"""`Idempotency-Key`: a POST that creates is carried out once, and its first answer is replayed.

The key, the digest of the request and whatever the request creates are written in one transaction: either all of it
happened or none. A refusal (4xx) creates nothing and is not kept.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
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
            _purge(session, now)
            session.execute(delete(table).where(table.owner == owner, table.key == self.key, table.expires_at <= now))
        row = session.scalar(select(table).where(table.owner == owner, table.key == self.key, table.expires_at > now))
        return None if row is None else self._again(row)

    def _again(self, row: IdempotencyKeyRow) -> Response:
        """The first answer, replayed; ApiError 422 if it was to another request."""
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


def earlier(
    session: Session, claims: Sequence[tuple[Once, str]], hold: bool = False
) -> list[Response | ApiError | None]:
    """For requests with keys, each with its owner: the first answer, the refusal, or None where it is the first.

    With `hold`, before the answers are written: the keys are held among all processes until the transaction ends.
    """
    now, table = utcnow(), IdempotencyKeyRow
    these = (table.owner.in_({owner for _, owner in claims}), table.key.in_({once.key for once, _ in claims}))
    found: list[Response | ApiError | None] = [_held(session, once, owner) if hold else None for once, owner in claims]
    if hold:
        _purge(session, now)
        session.execute(delete(table).where(*these, table.expires_at <= now))
    rows = {(row.owner, row.key): row for row in session.scalars(select(table).where(*these, table.expires_at > now))}
    for place, (once, owner) in enumerate(claims):
        row = rows.get((owner, once.key or ""))
        if found[place] is None and row is not None:
            try:
                found[place] = once._again(row)
            except ApiError as error:
                found[place] = error
    return found


def _held(session: Session, once: Once, owner: str) -> ApiError | None:
    try:
        _lock(database_of(once.request), session, owner, once.key or "")
    except ApiError as error:
        return error
    return None


def keep(session: Session, answered: Sequence[tuple[Once, str, bytes]]) -> None:
    """Keep the first JSON answers to requests with keys, each with its owner."""
    for once, owner, content in answered:
        session.add(once._row(owner, Response(content, media_type="application/json")))
    session.flush()


def _purge(session: Session, now: datetime) -> None:
    """Delete some keys that are past their time."""
    old = select(IdempotencyKeyRow.id).where(IdempotencyKeyRow.expires_at <= now).limit(_PURGED_AT_ONCE)
    statement = delete(IdempotencyKeyRow).where(IdempotencyKeyRow.id.in_(old))
    session.execute(statement.execution_options(synchronize_session=False))


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
