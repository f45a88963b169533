"""What nobody needs any more: artifacts no policy names, folders of old jobs, idempotency keys past their day."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from service.db.rows import IdempotencyKeyRow, JobRow, PolicyRow, utcnow
from service.db.session import Database
from service.ids import is_id
from service.storage import Storage

GRACE = timedelta(hours=24)  # an artifact is written before the row that names it: the young are left alone
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass
class Garbage:
    """What was found (and removed, unless only looked for): folders with their size [bytes], and rows counted."""

    artifacts: dict[Path, int] = field(default_factory=dict)
    job_folders: dict[Path, int] = field(default_factory=dict)
    idempotency_keys: int = 0

    @property
    def bytes(self) -> int:
        """Disk space of all folders [bytes]."""
        return sum(self.artifacts.values()) + sum(self.job_folders.values())


def collect(database: Database, storage: Storage, job_age: timedelta, dry_run: bool = False) -> Garbage:
    """Remove what nobody needs; with `dry_run` only find it.

    A job's folder (log, checkpoint) goes when its job does not exist or finished more than `job_age` ago. Safe beside
    a running service: nothing younger than a day is taken for unreferenced.
    """
    now = utcnow()
    with database.read() as session:
        garbage = Garbage(
            artifacts=_sized(_unreferenced(session, storage, now)),
            job_folders=_sized(_old_jobs(session, storage, now, job_age)),
            idempotency_keys=_count_expired(session, now),
        )
    if dry_run:
        return garbage
    for folder in (*garbage.artifacts, *garbage.job_folders):
        shutil.rmtree(folder, ignore_errors=True)
    with database.write() as session:
        session.execute(delete(IdempotencyKeyRow).where(IdempotencyKeyRow.expires_at <= now))
    return garbage


def _unreferenced(session: Session, storage: Storage, now: datetime) -> Iterator[Path]:
    named = {digest.removeprefix("sha256:") for digest in session.scalars(select(PolicyRow.artifact_digest))}
    for folder in storage.artifacts.glob("??/*"):
        if _HEX.fullmatch(folder.name) and folder.name not in named and _age(folder, now) > GRACE:
            yield folder


def _old_jobs(session: Session, storage: Storage, now: datetime, job_age: timedelta) -> Iterator[Path]:
    finished = {job_id: end for job_id, end in session.execute(select(JobRow.id, JobRow.finished_at))}
    for folder in (storage.root / "jobs").glob("job_*"):
        if not is_id(folder.name, "job"):
            continue
        if folder.name not in finished:
            if _age(folder, now) > GRACE:
                yield folder
        elif (end := finished[folder.name]) is not None and now - end > job_age:
            yield folder


def _count_expired(session: Session, now: datetime) -> int:
    rows = select(func.count()).select_from(IdempotencyKeyRow).where(IdempotencyKeyRow.expires_at <= now)
    return session.scalar(rows) or 0


def _age(folder: Path, now: datetime) -> timedelta:
    return timedelta(seconds=now.timestamp() - folder.stat().st_mtime)


def _sized(folders: Iterator[Path]) -> dict[Path, int]:
    return {f: sum(p.stat().st_size for p in f.rglob("*") if p.is_file()) for f in folders}
