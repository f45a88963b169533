"""A held job's way, step by step: claim, renew, run, finish, give back, lose. All writing is fenced by the lease."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import and_
from sqlalchemy.orm import Session

from service.db.rows import JobRow, utcnow
from service.errors import problem
from service.jobs import repository
from service.jobs.repository import Events, Lease
from service.jobs.states import HELD, QUEUED, State


class LeaseLost(RuntimeError):
    """The job is no longer this worker's; nothing more may be written for it."""


def claim(session: Session, job_id: str, worker: str, lease_seconds: float) -> Lease | None:
    """Take a queued job by compare-and-set; None if it is not (or no longer) queued."""
    job, now = repository.get(session, job_id, lock=True), utcnow()
    if job is None or job.state != QUEUED:
        return None
    attempt = job.attempt + 1
    changes = {
        "state": "starting",
        "worker": worker,
        "attempt": attempt,
        "started_at": job.started_at or now,
        "heartbeat_at": now,
        "lease_expires_at": now + timedelta(seconds=lease_seconds),
    }
    condition = and_(JobRow.state == QUEUED, JobRow.attempt == job.attempt)
    events: Events = [("state", {"state": "starting", "attempt": attempt})]
    if repository.advance(session, job_id, condition, changes, events) is None:
        return None
    repository.settle_bells(session, job_id)
    return Lease(job_id, worker, attempt)


def renew(session: Session, lease: Lease, lease_seconds: float, elapsed: float) -> None:
    """Heartbeat: push the lease's end out and record the seconds worked; LeaseLost if it is another's by now."""
    now = utcnow()
    changes = {
        "heartbeat_at": now,
        "lease_expires_at": now + timedelta(seconds=lease_seconds),
        "elapsed_seconds": elapsed,
    }
    write(session, lease, changes)


def write(session: Session, lease: Lease, changes: Mapping[str, Any], events: Events = ()) -> None:
    """Write for a held job; LeaseLost if the lease is gone."""
    if repository.advance(session, lease.job_id, lease.holds, changes, events) is None:
        raise LeaseLost(lease.job_id)


def enter(session: Session, lease: Lease, state: State, after: State) -> bool:
    """Move on from state `after`; False when the job is elsewhere by now (being cancelled)."""
    condition = and_(lease.holds, JobRow.state == after)
    return (
        repository.advance(session, lease.job_id, condition, {"state": state}, [("state", {"state": state})])
        is not None
    )


def finish(session: Session, lease: Lease, state: State, **changes: Any) -> None:
    """The job's end under its lease: last state, `end` event, lease given up."""
    write(session, lease, *_ending(state, changes))


def give_back(session: Session, lease: Lease) -> bool:
    """Queue the job again without counting the attempt (its worker is asked to stop); True if it waits for a worker."""
    job = repository.get(session, lease.job_id, lock=True)
    if job is None or (job.worker, job.attempt) != (lease.worker, lease.attempt) or job.state not in HELD:
        raise LeaseLost(lease.job_id)
    if job.state == "cancelling":
        finish(session, lease, "cancelled")
        return False
    write(session, lease, _queued(attempt=job.attempt - 1), [("state", {"state": QUEUED, "reason": "worker-stopped"})])
    repository.owe_bell(session, lease.job_id)
    return True


def lose(session: Session, job: JobRow, detail: str) -> bool | None:
    """The job's worker is gone: queue it again, or give it up when that happened too often.

    True if it waits for a worker again, False if it ended, None if somebody else dealt with it first.
    """
    lease = Lease(job.id, job.worker or "", job.attempt)
    condition = and_(lease.holds, JobRow.lease_expires_at == job.lease_expires_at)
    lost = job.lost_workers + 1
    requeue = job.state != "cancelling" and lost < job.max_attempts
    if requeue:
        changes = _queued(lost_workers=lost)
        events: Events = [("state", {"state": QUEUED, "reason": "worker-lost", "detail": detail})]
    elif job.state == "cancelling":
        changes, events = _ending("cancelled", {"lost_workers": lost})
    else:
        slug = "worker-lost" if lost == 1 else "quarantined"
        error = problem(slug, f"{detail} It was attempt {job.attempt} of {job.max_attempts}.")
        changes, events = _ending("failed", {"lost_workers": lost, "error": error})
    if repository.advance(session, job.id, condition, changes, events) is None:
        return None
    if requeue:
        repository.owe_bell(session, job.id)
    return requeue


def end_queued(session: Session, job: JobRow, **changes: Any) -> bool:
    """Cancel a job no worker has taken; False if one has meanwhile."""
    condition = and_(JobRow.state == QUEUED, JobRow.attempt == job.attempt)
    if repository.advance(session, job.id, condition, *_ending("cancelled", changes)) is None:
        return False
    repository.settle_bells(session, job.id)
    return True


def _queued(**changes: Any) -> dict[str, Any]:
    return {"state": QUEUED, "worker": None, "lease_expires_at": None, **changes}


def _ending(state: State, changes: Mapping[str, Any]) -> tuple[dict[str, Any], Events]:
    end = {
        "state": state,
        "error": changes.get("error"),
        "stopped_by": changes.get("stopped_by"),
        "policy_id": changes.get("policy_id"),
        "evaluation_id": changes.get("evaluation_id"),
    }
    row = {"state": state, "finished_at": utcnow(), "lease_expires_at": None, **changes}
    return row, [("state", {"state": state}), ("end", end)]
