"""Queries on the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from service.db.rows import AuditRow


def add(session: Session, row: AuditRow) -> None:
    """Write an entry."""
    session.add(row)


def matching(
    actor: str | None,
    actions: Sequence[str],
    subject: str | None,
    since: datetime | None,
    until: datetime | None,
) -> Select[Any]:
    """The query for the entries of an actor, of these actions, on a subject, from `since` to before `until`."""
    query = select(AuditRow)
    if actor is not None:
        query = query.where(AuditRow.actor == actor)
    if actions:
        query = query.where(AuditRow.action.in_(actions))
    if subject is not None:
        query = query.where(AuditRow.subject == subject)
    if since is not None:
        query = query.where(AuditRow.created_at >= since)
    if until is not None:
        query = query.where(AuditRow.created_at < until)
    return query


def count_before(session: Session, moment: datetime) -> int:
    """Number of entries made before a moment."""
    return session.scalar(select(func.count()).select_from(AuditRow).where(AuditRow.created_at < moment)) or 0


def delete_before(session: Session, moment: datetime) -> int:
    """Delete the entries made before a moment; how many there were."""
    gone = session.execute(
        delete(AuditRow).where(AuditRow.created_at < moment).execution_options(synchronize_session=False)
    )
    return int(gone.rowcount)  # type: ignore[attr-defined]
