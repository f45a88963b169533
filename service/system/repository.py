"""Queries on the service's state."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from service.db.rows import JobRow
from service.jobs.states import FINISHED, QUEUED


def count_jobs(session: Session) -> dict[str, int]:
    """Number of jobs by state."""
    rows = session.execute(select(JobRow.state, func.count()).group_by(JobRow.state))
    return {state: number for state, number in rows}


def oldest_queued(session: Session) -> datetime | None:
    """When the job that has waited longest was submitted."""
    return session.scalar(select(func.min(JobRow.created_at)).where(JobRow.state == QUEUED))


def queued_by_device(session: Session) -> list[tuple[str, int, datetime]]:
    """What waiting jobs ask for: device, number of jobs, when the oldest was submitted."""
    columns = select(JobRow.device, func.count(), func.min(JobRow.created_at))
    rows = session.execute(columns.where(JobRow.state == QUEUED).group_by(JobRow.device))
    return [(device, number, oldest) for device, number, oldest in rows]


def is_finished(state: str) -> bool:
    """Whether a job in that state has ended."""
    return state in FINISHED


def ping(session: Session) -> None:
    """Ask the database for anything."""
    session.execute(text("SELECT 1"))


def database_bytes(session: Session) -> int:
    """Size of the database [bytes]: its pages on SQLite, what the server says on PostgreSQL."""
    if session.get_bind().dialect.name == "sqlite":
        pages, size = (session.scalar(text(f"PRAGMA {name}")) or 0 for name in ("page_count", "page_size"))
        return int(pages) * int(size)
    return int(session.scalar(text("SELECT pg_database_size(current_database())")) or 0)
