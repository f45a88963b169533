"""What nobody needs any more: artifacts no policy names, files of old jobs, rows that have outlived their time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.db.rows import JobRow, PolicyRow, utcnow
from service.db.session import Database
from service.retention import IDEMPOTENCY_KEYS, Expired, remove
from service.storage import Kept, Storage

GRACE = timedelta(hours=24)  # an artifact is written before the row that names it: the young are left alone


@dataclass
class Garbage:
    """What was found (and removed, unless only looked for).

    Artifacts by digest and the files of jobs by id, with their size [bytes], and rows counted.
    """

    artifacts: dict[str, int] = field(default_factory=dict)
    job_folders: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Space of all files [bytes]."""
        return sum(self.artifacts.values()) + sum(self.job_folders.values())


def collect(
    database: Database,
    storage: Storage,
    job_age: timedelta | None,
    dry_run: bool = False,
    kinds: Sequence[Expired] = (IDEMPOTENCY_KEYS,),
) -> Garbage:
    """Remove what nobody needs; with `dry_run` only find it.

    A job's files (log, checkpoint) go when its job does not exist or finished more than `job_age` ago (None: never).
    Safe beside a running service: nothing younger than a day is taken for unreferenced.
    """
    now = utcnow()
    with database.read() as session:
        garbage = Garbage(
            artifacts={kept.name: kept.size for kept in _unreferenced(session, storage, now)},
            job_folders={kept.name: kept.size for kept in _old_jobs(session, storage, now, job_age)},
            rows={kind.name: kind.count(session) for kind in kinds},
        )
    if dry_run:
        return garbage
    for job_id in garbage.job_folders:
        storage.remove_job(job_id)
    for digest in list(garbage.artifacts):
        if not _remove_artifact(database, storage, digest, now):
            del garbage.artifacts[digest]
    garbage.rows = {kind.name: remove(database, kind) for kind in kinds}
    return garbage


def _unreferenced(session: Session, storage: Storage, now: datetime) -> Iterator[Kept]:
    named = set(session.scalars(select(PolicyRow.artifact_digest)))
    for kept in storage.artifacts_kept():
        if kept.name not in named and _age(kept, now) > GRACE:
            yield kept


def _remove_artifact(database: Database, storage: Storage, digest: str, now: datetime) -> bool:
    """Remove an artifact unless somebody has named it, or saved it again, since it was found."""
    with database.read() as session:
        if session.scalar(select(PolicyRow.id).where(PolicyRow.artifact_digest == digest).limit(1)) is not None:
            return False
    with storage.artifacts.turn(alone=True):  # nobody is in the middle of saving it
        kept = storage.artifact_kept(digest)
        if kept is None or _age(kept, now) <= GRACE:
            return False
        storage.remove_artifact(digest)
    return True


def _old_jobs(session: Session, storage: Storage, now: datetime, job_age: timedelta | None) -> Iterator[Kept]:
    finished = {job_id: end for job_id, end in session.execute(select(JobRow.id, JobRow.finished_at))}
    for kept in storage.jobs_kept():
        if kept.name not in finished:
            if _age(kept, now) > GRACE:
                yield kept
        elif job_age is not None and (end := finished[kept.name]) is not None and now - end > job_age:
            yield kept


def _age(kept: Kept, now: datetime) -> timedelta:
    return timedelta(seconds=now.timestamp() - kept.modified)
