"""Rules of reproductions: what can be made again, the job that does, and what is kept of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from service.db.rows import JobRow, PolicyRow, utcnow
from service.errors import ApiError
from service.instances import repository as instances
from service.jobs import service as jobs
from service.policies import repository as policies
from service.policies import service as cards
from service.receipts.schemas import ReproduceBody
from service.settings import Settings
from solvers.registry import solvers
from solvers.reproduction import CannotReproduce, receipt_in

PATIENCE = 2.0  # times the first run's time that a repetition may take: other machines are slower


def submit(session: Session, settings: Settings, ref: str, body: ReproduceBody, key_id: str | None) -> JobRow:
    """Queue the repetition of a policy's training; ApiError 404, or 409 with what it cannot be made from."""
    policy = cards.get(session, ref)
    try:
        receipt = receipt_in(policy.card.get("receipt"))
    except CannotReproduce as error:
        raise _cannot(str(error)) from None
    if receipt["solver"] not in solvers():
        raise _cannot(f"this service has no solver {receipt['solver']!r}")
    limit = receipt["time_limit"] or settings.default_time_limit
    seconds = min(PATIENCE * limit, settings.max_time_limit)
    return jobs.enqueue(
        session,
        settings,
        kind="reproduce",
        instance_id=policy.instance_id,
        config={"policies": [policy.id]},
        device=body.device or ("cpu" if receipt["platform"]["device"] == "cpu" else "gpu"),
        seed=receipt["seed"],
        # What it needs is held on to while the job stands, as by a training.
        request={"also_instance_ids": _also(session, receipt["also"]), **body.model_dump(exclude_none=True)},
        warm_start=_warm_start(session, policy) if receipt["warm_start"] else None,
        time_limit_seconds=seconds if body.time_limit is None else jobs.time_limit(settings, body.time_limit),
        policy_name=policy.name,
        key_id=key_id,
    )


def _also(session: Session, digests: list[str]) -> list[str]:
    """Ids of the other instances it was trained on, in their order."""
    rows = [instances.by_digest(session, digest) for digest in digests]
    found = [row.id for row in rows if row is not None]
    if len(found) < len(digests):
        raise _cannot("an instance it was trained on as well has been deleted")
    return found


def _warm_start(session: Session, policy: PolicyRow) -> str:
    """Id of the policy whose weights training started from."""
    row = policies.by_ref(session, policy.card.get("warm_start") or "")
    if row is None:
        raise _cannot("the policy its training started from has been deleted")
    return row.id


def _cannot(reason: str) -> ApiError:
    return ApiError("conflict", f"The policy cannot be made again: {reason}.")


def keep(session: Session, job: JobRow, document: dict[str, Any]) -> bool:
    """Note on the policy's card what its repetition showed; False if it has been deleted meanwhile."""
    policy = session.get(PolicyRow, job.config["policies"][0])
    if policy is None:
        return False
    found = {"job_id": job.id, "at": utcnow().isoformat(), **document}
    policy.card = {**policy.card, "reproduction": found}
    session.flush()
    return True
