"""Queries on API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from service.db.rows import ApiKeyRow


def by_digest(session: Session, digest: str) -> ApiKeyRow | None:
    """The key whose secret, or secret before the last rotation, has that digest."""
    holds = or_(ApiKeyRow.digest == digest, ApiKeyRow.previous_digest == digest)
    return session.scalar(select(ApiKeyRow).where(holds))


def by_id(session: Session, key_id: str, lock: bool = False) -> ApiKeyRow | None:
    """The key with that id; with `lock`, nobody else changes it before this transaction ends."""
    return session.get(ApiKeyRow, key_id, with_for_update=lock or None)


def all_keys(session: Session) -> list[ApiKeyRow]:
    """Every key, oldest first."""
    return list(session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.id)))


def everything() -> Select[Any]:
    """The query for all keys."""
    return select(ApiKeyRow)


def any_valid(session: Session, now: datetime) -> bool:
    """Whether some key is neither revoked nor expired."""
    alive = or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > now)
    return session.scalar(select(ApiKeyRow.id).where(ApiKeyRow.revoked_at.is_(None), alive).limit(1)) is not None
