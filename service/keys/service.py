"""Making, checking, rotating and revoking API keys, and when none is needed.

A key is `hnk_` and 256 random bits. Only its SHA-256 is stored: the secret has full entropy, so a slow hash would add
nothing, and looking the digest up leaks nothing about any other key. Rotating gives a key another secret; its id, name
and scopes stay, so what it did and may do is told under one name.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from service.db.rows import ApiKeyRow, utcnow
from service.db.session import Database
from service.ids import new_id
from service.keys import repository
from service.keys.callers import LOCAL, SCOPES, Caller
from service.redaction import KEY_PREFIX
from service.settings import Settings

__all__ = ["LOCAL", "SCOPES", "Caller"]

log = logging.getLogger(__name__)

OVERLAP = timedelta(days=1)  # how long a rotated key's old secret still works, if nothing else is asked for
_USE_RECORDED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class NewKey:
    """A key just made or rotated; `secret` is shown this once and never again."""

    id: str
    name: str
    scopes: tuple[str, ...]
    expires_at: datetime | None
    secret: str


class TwoSecrets(RuntimeError):
    """The key was rotated a short while ago: its old secret still works, and a third may not join the two."""


class NoKeys(RuntimeError):
    """The service was asked to listen beyond loopback although nobody holds a key."""


def create(
    session: Session,
    name: str,
    scopes: Iterable[str],
    expires_in: timedelta | None = None,
    requests_per_minute: int | None = None,
) -> NewKey:
    """Make a key; ValueError for an unknown scope or none."""
    wanted = tuple(scope for scope in SCOPES if scope in set(scopes))
    unknown = set(scopes) - set(SCOPES)
    if unknown or not wanted:
        raise ValueError(f"scopes are {', '.join(SCOPES)}; got {', '.join(sorted(unknown)) or 'none'}")
    secret = _new_secret()
    row = ApiKeyRow(
        id=new_id("key"),
        name=name,
        digest=digest_of(secret),
        scopes=list(wanted),
        expires_at=utcnow() + expires_in if expires_in is not None else None,
        requests_per_minute=requests_per_minute,
    )
    session.add(row)
    session.flush()
    return NewKey(row.id, name, wanted, row.expires_at, secret)


def rotate(
    session: Session, key_id: str, overlap: timedelta | None = OVERLAP, expires_in: timedelta | None = None
) -> NewKey | None:
    """Give a key another secret; None if there is no valid key of that id.

    The old secret works for `overlap` longer, though never past the key's expiry so far; without an overlap every old
    secret ends now. `expires_in` moves the key's expiry; left out, it stays. `TwoSecrets` during an earlier overlap.
    """
    row = repository.by_id(session, key_id, lock=True)
    now = utcnow()
    if row is None or not _is_valid(row, now):
        return None
    if overlap is not None and _is_overlapping(row, now):
        raise TwoSecrets(f"its old secret works until {row.previous_expires_at:%Y-%m-%d %H:%M} UTC")
    secret = _new_secret()
    row.previous_digest, row.previous_expires_at = None, None
    if overlap is not None:
        row.previous_digest = row.digest
        row.previous_expires_at = min(now + overlap, row.expires_at or now + overlap)
    row.digest = digest_of(secret)
    row.rotated_at = now
    if expires_in is not None:
        row.expires_at = now + expires_in
    session.flush()
    return NewKey(row.id, row.name, tuple(row.scopes), row.expires_at, secret)


def _is_overlapping(row: ApiKeyRow, now: datetime) -> bool:
    return row.previous_expires_at is not None and row.previous_expires_at > now


def _new_secret() -> str:
    return KEY_PREFIX + secrets.token_urlsafe(32)


def revoke(session: Session, key_id: str) -> bool:
    """End a key and all its secrets now; False if there is none of that id. Revoking twice keeps the first time."""
    row = repository.by_id(session, key_id)
    if row is None:
        return False
    row.revoked_at = row.revoked_at or utcnow()
    return True


def listed(session: Session) -> list[dict[str, Any]]:
    """Every key without its secret, oldest first."""
    now = utcnow()
    return [shown(row, now) for row in repository.all_keys(session)]


def shown(row: ApiKeyRow, now: datetime) -> dict[str, Any]:
    """A key without its secret: id, name, scopes, times and whether it is valid now."""
    overlaps = _is_valid(row, now) and _is_overlapping(row, now)
    return {
        "id": row.id,
        "name": row.name,
        "scopes": row.scopes,
        "valid": _is_valid(row, now),
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
        "last_used_at": row.last_used_at,
        "rotated_at": row.rotated_at,
        "old_secret_until": row.previous_expires_at if overlaps else None,
        "requests_per_minute": row.requests_per_minute,
    }


def identify(database: Database, digest: str) -> Caller | None:
    """The caller whose secret has this digest, or None if it is unknown, replaced, revoked or expired."""
    now = utcnow()
    with database.read() as session:
        row = repository.by_digest(session, digest)
        if row is None or not _opens(row, digest, now):
            return None
        caller = Caller(row.id, row.id, frozenset(row.scopes), row.name, requests_per_minute=row.requests_per_minute)
        stale = row.last_used_at is None or now - row.last_used_at > _USE_RECORDED_EVERY
    if stale:
        _record_use(database, caller.owner, now)
    return caller


def _opens(row: ApiKeyRow, digest: str, now: datetime) -> bool:
    """Whether a secret of this digest opens the door: it is the key's, or the one before during the overlap."""
    if not _is_valid(row, now):
        return False
    is_present = hmac.compare_digest(row.digest, digest)
    was_before = hmac.compare_digest(row.previous_digest or "", digest)
    return is_present or (was_before and _is_overlapping(row, now))


def _record_use(database: Database, key_id: str, now: datetime) -> None:
    try:
        with database.write() as session:
            row = repository.by_id(session, key_id)
            if row is not None:
                row.last_used_at = now
    except OperationalError:  # a busy database must not refuse a request over this
        log.warning("the use of key %s could not be recorded", key_id)


def _is_valid(row: ApiKeyRow, now: datetime) -> bool:
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > now)


def digest_of(secret: str) -> str:
    """What is stored of a secret."""
    return "sha256:" + hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Whether an address, or the name `localhost`, reaches this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_may_listen(settings: Settings, session: Session) -> None:
    """`NoKeys` if the settings would open the service beyond loopback, or ask for keys, while there is no valid key."""
    if (settings.require_keys or not is_loopback(settings.host)) and not repository.any_valid(session, utcnow()):
        raise NoKeys(
            f"refusing to listen on {settings.host}: no valid API key exists; make one with `herenow keys create`"
        )


class Door:
    """Whether a client may come in without a key: in embedded mode, from this machine only."""

    def __init__(self, settings: Settings) -> None:
        self.keyless = not settings.require_keys and is_loopback(settings.host)

    def is_open_to(self, client: Any) -> bool:
        """Whether a client address (or None for a unix socket) needs no key."""
        return self.keyless and (client is None or is_loopback(client.host))
