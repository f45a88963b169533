"""Every query on jobs, their events and their bells.

A job changes through `advance` alone: one conditional UPDATE that checks who may change it, raises the event counter
and so serialises the events of one job on its row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, select, update
from sqlalchemy.orm import Session

from service.db.rows import (
    IS_MILESTONE,
    EvaluationRow,
    InstanceRow,
    JobEventRow,
    JobInstanceRow,
    JobRow,
    OutboxRow,
    PolicyRow,
    utcnow,
)
from service.ids import new_id
from service.jobs.states import FINISHED, HELD, QUEUED, EventType, Milestone

Events = Sequence[tuple[EventType, dict[str, Any]]]


@dataclass(frozen=True)
class Origin:
    """The request that queued a job, as log lines and traces know it."""

    request_id: str | None
    traceparent: str | None


@dataclass(frozen=True)
class Lease:
    """A worker's claim on one attempt of a job: whoever writes for the job shows it, and a lost one opens nothing."""

    job_id: str
    worker: str
    attempt: int

    @property
    def holds(self) -> ColumnElement[bool]:
        """The condition that this claim still stands."""
        return and_(JobRow.worker == self.worker, JobRow.attempt == self.attempt, JobRow.state.in_(HELD))


def advance(
    session: Session,
    job_id: str,
    condition: ColumnElement[bool],
    changes: Mapping[str, Any],
    events: Events = (),
) -> int | None:
    """Change a job if `condition` still holds, and append events; the last event's number, or None if it does not."""
    statement = (
        update(JobRow)
        .where(JobRow.id == job_id, condition)
        .values(event_seq=JobRow.event_seq + len(events), **changes)
        .returning(JobRow.event_seq)
        .execution_options(synchronize_session=False)
    )
    last: int | None = session.execute(statement).scalar_one_or_none()
    if last is None:
        return None
    first, now = last - len(events) + 1, utcnow()
    session.add_all(
        JobEventRow(job_id=job_id, seq=first + i, type=kind, data=data, created_at=now)
        for i, (kind, data) in enumerate(events)
    )
    session.flush()
    return last


def get(session: Session, job_id: str, lock: bool = False) -> JobRow | None:
    """The job as the database has it now; with `lock`, nobody else changes it before this transaction ends."""
    return session.get(JobRow, job_id, populate_existing=True, with_for_update=lock or None)


def add(session: Session, job: JobRow) -> None:
    """Insert a queued job with its first event and the bell it is owed."""
    session.add(job)
    session.flush()
    advance(session, job.id, JobRow.state == QUEUED, {}, [("state", {"state": QUEUED})])
    owe_bell(session, job.id)


def add_instances(session: Session, job: JobRow) -> None:
    """Hold on to the instances a job trains on beside its own: they cannot be deleted while it stands."""
    rows = enumerate(job.also_instance_ids)
    session.add_all(JobInstanceRow(job_id=job.id, position=k, instance_id=instance_id) for k, instance_id in rows)
    session.flush()


def listing(states: Sequence[str], kinds: Sequence[str], instance_id: str | None) -> Select[tuple[JobRow]]:
    """The query of a filtered collection of jobs, in no order yet."""
    query = select(JobRow)
    if states:
        query = query.where(JobRow.state.in_(states))
    if kinds:
        query = query.where(JobRow.kind.in_(kinds))
    if instance_id is not None:
        query = query.where(JobRow.instance_id == instance_id)
    return query


def count_unfinished(session: Session) -> int:
    """Jobs that are queued or held."""
    query = select(func.count()).select_from(JobRow).where(JobRow.state.not_in(FINISHED))
    return session.scalar(query) or 0


def remove(session: Session, job_id: str) -> bool:
    """Delete a finished job with its events; False if it is not finished."""
    statement = delete(JobRow).where(JobRow.id == job_id, JobRow.state.in_(FINISHED)).returning(JobRow.id)
    return session.execute(statement).scalar_one_or_none() is not None


def events_after(session: Session, job_id: str, after: int, limit: int) -> list[JobEventRow]:
    """The job's events numbered above `after`, in order."""
    query = select(JobEventRow).where(JobEventRow.job_id == job_id, JobEventRow.seq > after)
    return list(session.scalars(query.order_by(JobEventRow.seq).limit(limit)))


def events_among(session: Session, job_id: str, numbers: Collection[int]) -> list[JobEventRow]:
    """The job's events of these numbers, and its changes of state, in order."""
    mine = select(JobEventRow).where(JobEventRow.job_id == job_id)
    found = {row.seq: row for row in session.scalars(mine.where(JobEventRow.seq.in_(numbers)))}
    changes = mine.where(IS_MILESTONE, JobEventRow.type.in_(("state", "end")))
    found |= {row.seq: row for row in session.scalars(changes.order_by(JobEventRow.seq.desc()).limit(100))}
    return [found[seq] for seq in sorted(found)]


def heads(session: Session, job_ids: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Where jobs stand: id → state and the number of the last event; those that are gone are missing."""
    query = select(JobRow.id, JobRow.state, JobRow.event_seq).where(JobRow.id.in_(job_ids))
    return {row[0]: (row[1], row[2]) for row in session.execute(query)}


def last_milestone(session: Session, job_id: str, kind: Milestone) -> JobEventRow | None:
    """The latest event of one type."""
    query = select(JobEventRow).where(IS_MILESTONE, JobEventRow.job_id == job_id, JobEventRow.type == kind)
    return session.scalar(query.order_by(JobEventRow.seq.desc()).limit(1))


def origin(session: Session, job_id: str) -> Origin | None:
    """Where a queued job came from; None if it is not waiting for a worker."""
    query = select(JobRow.request_id, JobRow.traceparent).where(JobRow.id == job_id, JobRow.state == QUEUED)
    row = session.execute(query).one_or_none()
    return Origin(*row) if row else None


def state_and_seq(session: Session, job_id: str) -> tuple[str, int] | None:
    """Where a job stands: state and the number of its last event; None if it is gone."""
    row = session.execute(select(JobRow.state, JobRow.event_seq).where(JobRow.id == job_id)).one_or_none()
    return (row[0], row[1]) if row else None


def iteration(session: Session, job_id: str) -> int | None:
    """The iteration a training was last heard of at; None before the first."""
    progress = session.scalar(select(JobRow.progress).where(JobRow.id == job_id))
    return (progress or {}).get("iteration")


@dataclass(frozen=True)
class Held:
    """A job in a worker's hands: its claim, and the heartbeat that stands in its row."""

    job_id: str
    worker: str | None
    attempt: int
    heartbeat_at: datetime | None
    lease_expires_at: datetime | None

    @property
    def lease_seconds(self) -> float:
        """How long the claim stands without another heartbeat [s]; both times are of the clock that wrote them."""
        if self.lease_expires_at is None or self.heartbeat_at is None:
            return 0.0
        return (self.lease_expires_at - self.heartbeat_at).total_seconds()


def held(session: Session) -> list[Held]:
    """The jobs that workers hold, oldest heartbeat first."""
    columns = (JobRow.id, JobRow.worker, JobRow.attempt, JobRow.heartbeat_at, JobRow.lease_expires_at)
    query = select(*columns).where(JobRow.state.in_(HELD)).order_by(JobRow.lease_expires_at)
    return [Held(*tuple(row)) for row in session.execute(query)]


def owe_bell(session: Session, job_id: str) -> None:
    """Note that workers must be told of a job."""
    session.add(OutboxRow(id=new_id("out"), job_id=job_id))
    session.flush()


def settle_bells(session: Session, job_id: str) -> None:
    """No bell is owed for this job any more."""
    session.execute(delete(OutboxRow).where(OutboxRow.job_id == job_id))


def owed_bells(session: Session, limit: int) -> list[OutboxRow]:
    """Bells of queued jobs, oldest job first."""
    query = select(OutboxRow).join(JobRow, JobRow.id == OutboxRow.job_id).where(JobRow.state == QUEUED)
    return list(session.scalars(query.order_by(OutboxRow.created_at, OutboxRow.id).limit(limit)))


def take_bell(session: Session, bell: OutboxRow, now: datetime) -> bool:
    """Claim the next ringing of a bell; False if another process rings it."""
    statement = (
        update(OutboxRow)
        .where(OutboxRow.id == bell.id, OutboxRow.rings == bell.rings)
        .values(rings=bell.rings + 1, rung_at=now)
        .returning(OutboxRow.id)
        .execution_options(synchronize_session=False)
    )
    return session.execute(statement).scalar_one_or_none() is not None


def mark_rung(session: Session, job_id: str, now: datetime) -> None:
    """The job's bell was rung right after its commit."""
    session.execute(
        update(OutboxRow)
        .where(OutboxRow.job_id == job_id, OutboxRow.rings == 0)
        .values(rings=1, rung_at=now)
        .execution_options(synchronize_session=False)
    )


def instance(session: Session, instance_id: str) -> InstanceRow | None:
    """The instance a job names."""
    return session.get(InstanceRow, instance_id)


def next_version(session: Session, name: str) -> int:
    """The version a new policy of that name gets."""
    return 1 + (session.scalar(select(func.max(PolicyRow.version)).where(PolicyRow.name == name)) or 0)


def add_policy(session: Session, row: PolicyRow) -> None:
    """Insert a policy version; IntegrityError if another took its number meanwhile."""
    session.add(row)
    session.flush()


def add_evaluation(session: Session, row: EvaluationRow) -> None:
    """Insert an evaluation."""
    session.add(row)
    session.flush()
