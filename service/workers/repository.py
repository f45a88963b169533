"""Queries on workers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, select, update
from sqlalchemy.orm import Session

from service.db.rows import JobRow, WorkerRow
from service.jobs.states import HELD


def add(session: Session, row: WorkerRow) -> None:
    """Insert a worker."""
    session.add(row)
    session.flush()


def touch(session: Session, worker_id: str, now: datetime) -> bool:
    """Note that a worker is there; False if its row is gone."""
    statement = update(WorkerRow).where(WorkerRow.id == worker_id).values(seen_at=now).returning(WorkerRow.id)
    return session.execute(statement).scalar_one_or_none() is not None


def remove(session: Session, worker_id: str) -> None:
    """A worker that stops leaves nothing behind."""
    session.execute(delete(WorkerRow).where(WorkerRow.id == worker_id))


def forget_unseen(session: Session, since: datetime) -> None:
    """Remove workers not seen since a moment."""
    session.execute(delete(WorkerRow).where(WorkerRow.seen_at < since))


def everyone() -> Select[Any]:
    """The query for all workers."""
    return select(WorkerRow)


def serving(session: Session, since: datetime) -> list[WorkerRow]:
    """Workers seen since a moment."""
    return list(session.scalars(select(WorkerRow).where(WorkerRow.seen_at >= since)))


def held_jobs(session: Session) -> list[tuple[str, str]]:
    """Every job that some worker holds: (claim, job id); a claim begins with the worker's name and a colon."""
    rows = session.execute(select(JobRow.worker, JobRow.id).where(JobRow.state.in_(HELD)).order_by(JobRow.id))
    return [(worker or "", job_id) for worker, job_id in rows]
