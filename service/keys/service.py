"""Making, checking and revoking API keys, and when none is needed.

A key is `hnk_` and 256 random bits. Only its SHA-256 is stored: the secret has full entropy, so a slow hash would add
nothing, and looking the digest up leaks nothing about any other key.
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
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from service.db.rows import ApiKeyRow, utcnow
from service.db.session import Database
from service.ids import new_id
from service.keys import repository
from service.settings import Settings

log = logging.getLogger(__name__)

SCOPES = ("read", "plan", "train", "admin")
_IMPLIED = {"read": {"read"}, "plan": {"read", "plan"}, "train": {"read", "train"}, "admin": set(SCOPES)}
_PREFIX = "hnk_"
_USE_RECORDED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Caller:
    """Who sent a request: the key's id, or `local` for embedded mode's only user."""

    owner: str
    key_id: str | None
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether the scopes include this one, directly or through a wider one."""
        return any(scope in _IMPLIED[own] for own in self.scopes)


LOCAL = Caller("local", None, frozenset(SCOPES))


@dataclass(frozen=True)
class NewKey:
    """A key just made; `secret` is shown this once and never again."""

    id: str
    name: str
    scopes: tuple[str, ...]
    expires_at: datetime | None
    secret: str


class NoKeys(RuntimeError):
    """The service was asked to listen beyond loopback although nobody holds a key."""


def create(session: Session, name: str, scopes: Iterable[str], expires_in: timedelta | None = None) -> NewKey:
    """Make a key; ValueError for an unknown scope or none."""
    wanted = tuple(scope for scope in SCOPES if scope in set(scopes))
    unknown = set(scopes) - set(SCOPES)
    if unknown or not wanted:
        raise ValueError(f"scopes are {', '.join(SCOPES)}; got {', '.join(sorted(unknown)) or 'none'}")
    secret = _PREFIX + secrets.token_urlsafe(32)
    expires_at = utcnow() + expires_in if expires_in is not None else None
    digest = _digest(secret)
    row = ApiKeyRow(id=new_id("key"), name=name, digest=digest, scopes=list(wanted), expires_at=expires_at)
    session.add(row)
    session.flush()
    return NewKey(row.id, name, wanted, expires_at, secret)


def revoke(session: Session, key_id: str) -> bool:
    """End a key now; False if there is none of that id. Revoking twice keeps the first time."""
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
    return {
        "id": row.id,
        "name": row.name,
        "scopes": row.scopes,
        "valid": _is_valid(row, now),
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
        "last_used_at": row.last_used_at,
    }


def identify(database: Database, secret: str) -> Caller | None:
    """The caller who holds this secret, or None if it is unknown, revoked or expired."""
    digest = _digest(secret)
    now = utcnow()
    with database.read() as session:
        row = repository.by_digest(session, digest)
        if row is None or not hmac.compare_digest(row.digest, digest) or not _is_valid(row, now):
            return None
        caller = Caller(row.id, row.id, frozenset(row.scopes))
        stale = row.last_used_at is None or now - row.last_used_at > _USE_RECORDED_EVERY
    if stale:
        _record_use(database, caller.owner, now)
    return caller


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


def _digest(secret: str) -> str:
    return "sha256:" + hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


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
