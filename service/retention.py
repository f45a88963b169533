"""Rows that are kept for a time: which have outlived it, and their removal in small transactions.

How long is a setting each (`keep_…_days`); 0 keeps for ever. A running service is never made to wait for long: rows go
a few thousand at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, delete, func, select
from sqlalchemy.orm import Session

from service.audit.service import prunable, prune
from service.db.rows import IdempotencyKeyRow, JobEventRow, JobRow, RecommendationRow, utcnow
from service.db.session import Database
from service.settings import Settings

AT_ONCE = 2000  # rows in one transaction
JOBS_AT_ONCE = 50
LASTING_EVENTS = ("state", "end")  # of a job: what remains of its history


@dataclass(frozen=True)
class Expired:
    """A kind of rows that have outlived their time: how many, and how to remove the next few."""

    name: str
    days: float  # how long they are kept; 0: until a moment of their own
    count: Callable[[Session], int]
    remove_some: Callable[[Session], int]  # the number removed; 0 when none is left


def expired(settings: Settings) -> list[Expired]:
    """Every kind of rows that is kept for a time under these settings."""
    kinds = [IDEMPOTENCY_KEYS]
    if settings.keep_events_days:
        kinds.append(_events(settings.keep_events_days))
    if settings.keep_recommendations_days:
        kinds.append(_recommendations(settings.keep_recommendations_days))
    if settings.keep_audit_days:
        age = timedelta(days=settings.keep_audit_days)
        kinds.append(
            Expired(
                "audit_entries",
                settings.keep_audit_days,
                lambda session: prunable(session, age),
                lambda session: prune(session, age) if prunable(session, age) else 0,
            )
        )
    return kinds


def remove(database: Database, kind: Expired) -> int:
    """Remove all rows of a kind that have outlived their time; how many."""
    removed = 0
    while True:
        with database.write() as session:
            some = kind.remove_some(session)
        if not some:
            return removed
        removed += some


def _events(days: float) -> Expired:
    old = and_(JobRow.finished_at < utcnow() - timedelta(days=days), JobEventRow.type.not_in(LASTING_EVENTS))

    def count(session: Session) -> int:
        joined = select(func.count()).select_from(JobEventRow).join(JobRow, JobRow.id == JobEventRow.job_id)
        return session.scalar(joined.where(old)) or 0

    def remove_some(session: Session) -> int:
        joined = select(JobEventRow.job_id).join(JobRow, JobRow.id == JobEventRow.job_id).where(old)
        jobs = session.scalars(joined.distinct().limit(JOBS_AT_ONCE)).all()
        return _delete(
            session, JobEventRow, and_(JobEventRow.job_id.in_(jobs), JobEventRow.type.not_in(LASTING_EVENTS))
        )

    return Expired("events", days, count, remove_some)


def _recommendations(days: float) -> Expired:
    old = RecommendationRow.created_at < utcnow() - timedelta(days=days)

    def remove_some(session: Session) -> int:
        ids = select(RecommendationRow.id).where(old).order_by(RecommendationRow.created_at).limit(AT_ONCE)
        return _delete(session, RecommendationRow, RecommendationRow.id.in_(session.scalars(ids).all()))

    return Expired("recommendations", days, lambda session: _count(session, RecommendationRow, old), remove_some)


def _count_keys(session: Session) -> int:
    return _count(session, IdempotencyKeyRow, IdempotencyKeyRow.expires_at <= utcnow())


def _remove_keys(session: Session) -> int:
    ids = select(IdempotencyKeyRow.id).where(IdempotencyKeyRow.expires_at <= utcnow()).limit(AT_ONCE)
    return _delete(session, IdempotencyKeyRow, IdempotencyKeyRow.id.in_(session.scalars(ids).all()))


def _count(session: Session, row: type, condition: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).select_from(row).where(condition)) or 0


def _delete(session: Session, row: type, condition: ColumnElement[bool]) -> int:
    done = session.execute(delete(row).where(condition).execution_options(synchronize_session=False))
    return int(done.rowcount)  # type: ignore[attr-defined]


IDEMPOTENCY_KEYS = Expired("idempotency_keys", 0.0, _count_keys, _remove_keys)
"""Answers to keyed requests past their day."""
