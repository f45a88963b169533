"""The planner's own decisions: checked when they are recorded, and replayed beside what was recommended."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from models.core import InvalidInput
from service.db.rows import JobRow, RecommendationRow
from service.decisions import repository, service
from service.decisions.schemas import ReplayBody
from service.errors import ApiError, invalid
from service.jobs import service as jobs
from service.jobs.schemas import MAX_SEED
from service.policies import repository as policies
from service.settings import Settings

if TYPE_CHECKING:
    from solvers.serving import ServedPolicy


class OutcomeChanged(RuntimeError):
    """The planner decided otherwise between asking for a replay and its start."""


@dataclass(frozen=True)
class Situation:
    """What a recommendation was asked for: one state, and which policy answered."""

    policy_id: str
    digest: str
    state: Any  # the document; None where many states were asked about


def situation(session: Session, recommendation_id: str) -> Situation:
    """What a recommendation was about; ApiError 404."""
    row = service.get(session, recommendation_id)
    key = policies.key_by_ref(session, row.policy_id)
    assert key is not None, "a policy stays while recommendations refer to it"
    return Situation(key.id, key.artifact_digest, state_of(row))


def state_of(row: RecommendationRow) -> Any:
    """The state a recommendation was asked for, given or the instance's own; None where there were many."""
    answer = service.answer_of(row)
    if "decision" not in answer:
        return None
    return service.request_of(row).get("state", answer.get("state"))


def check_decision(served: ServedPolicy, found: Situation, decision: object) -> None:
    """ApiError 422 if the planner's own decision cannot be carried out in the state; pointers are into the body.

    What cannot be read (decisions for many states, problems that do not read them) is recorded as it is.
    """
    if found.state is None or not served.view.reads_decisions:
        return
    state, stage = served.view.decode([found.state])
    try:
        served.view.read_decision(decision, state, stage)
    except InvalidInput as error:
        raise invalid(error.issues, "/decision") from None


def submit(
    session: Session,
    settings: Settings,
    served: ServedPolicy,
    recommendation_id: str,
    body: ReplayBody,
    key_id: str | None,
) -> JobRow:
    """Queue the replay of an overridden recommendation; ApiError 409 if there is nothing to replay."""
    row = service.get(session, recommendation_id)
    if row.outcome is None or row.outcome["outcome"] != "overridden" or row.outcome_at is None:
        raise ApiError("conflict", "Only an overridden recommendation has a decision of the planner's to replay.")
    if state_of(row) is None:
        raise ApiError("conflict", "Decisions for many states at once are not replayed: ask for one state.")
    if not served.view.reads_decisions:
        raise ApiError("conflict", "This problem does not read decisions back, so none can be replayed.")
    policy = policies.by_ref(session, row.policy_id)
    assert policy is not None, "a policy stays while recommendations refer to it"
    return jobs.enqueue(
        session,
        settings,
        kind="replay",
        instance_id=policy.instance_id,
        config={
            "recommendation_id": row.id,
            "policies": [policy.id],
            "scenarios": body.scenarios,
            "outcome_at": row.outcome_at.isoformat(),
        },
        seed=body.seed if body.seed is not None else secrets.randbelow(MAX_SEED + 1),
        request=body.model_dump(mode="json", exclude_unset=True),
        time_limit_seconds=jobs.time_limit(settings, body.time_limit),
        policy_name=policy.name,
        key_id=key_id,
    )


def is_current(row: RecommendationRow | None, job: JobRow) -> bool:
    """Whether the planner's decision is still the one a replay was asked for."""
    return row is not None and row.outcome_at is not None and row.outcome_at.isoformat() == job.config["outcome_at"]


def keep(session: Session, job: JobRow, played: dict[str, Any]) -> bool:
    """Note on the recommendation what a replay found; False if the planner has decided otherwise meanwhile."""
    row = repository.by_id(session, job.config["recommendation_id"], lock=True)
    if row is None or not is_current(row, job):
        return False
    row.replay = {"job_id": job.id, **played}
    session.flush()
    return True
