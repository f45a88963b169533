"""The rules of jobs: what may be submitted, cancelled, retried, deleted, and what a result is."""

from __future__ import annotations

import logging
import secrets
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from models.core import Instance, Problem, issues_of
from models.registry import problems
from service import logs, tracing
from service.db.rows import InstanceRow, JobRow, PolicyRow, utcnow
from service.errors import ApiError, field_error, invalid, not_found
from service.ids import new_id
from service.jobs import lifecycle, repository
from service.jobs.schemas import MAX_SEED, EvaluateJob, SolveJob, TrainJob, duration_of, seconds_of
from service.jobs.states import FINISHED, QUEUED
from service.policies import repository as policies
from service.scenario_sets import repository as stored_scenarios
from service.scenario_sets import service as scenario_sets
from service.settings import Settings
from solvers.core import Solver
from solvers.registry import solvers

MAX_NAME = 63

log = logging.getLogger(__name__)


def submit(
    session: Session, settings: Settings, asked: TrainJob | EvaluateJob | SolveJob, key_id: str | None = None
) -> JobRow:
    """Check what is asked and queue it in this transaction, together with the bell it is owed.

    ApiError 422 names the field at fault; 409 says why the solver does not serve the instance; 429 when the queue is
    full. The caller rings with `bell.ring_after_commit`.
    """
    row, problem, instance = _instance(session, asked.instance_id)
    if isinstance(asked, EvaluateJob):
        details = _evaluation(session, asked, problem, instance)
    else:
        details = _algorithm(session, asked, row, problem, instance)
    return enqueue(
        session,
        settings,
        kind=asked.kind,
        instance_id=row.id,
        seed=asked.seed if asked.seed is not None else secrets.randbelow(MAX_SEED + 1),
        request=asked.model_dump(mode="json", exclude_unset=True),
        time_limit_seconds=time_limit(settings, asked.time_limit),
        key_id=key_id,
        **details,
    )


def enqueue(session: Session, settings: Settings, **columns: Any) -> JobRow:
    """Queue a job that has been checked, with its bell; ApiError 429 when the queue is full.

    Only trainings compute on a GPU: what names no `device` needs none.
    """
    _check_room(session, settings)
    columns.setdefault("device", "cpu")
    job = JobRow(
        id=new_id("job"),
        state=QUEUED,
        max_attempts=settings.max_attempts,
        request_id=logs.current("request_id"),
        traceparent=tracing.traceparent(),
        **columns,
    )
    repository.add(session, job)
    repository.add_instances(session, job)
    log.info("a job is queued: %s", job.kind, extra={"job_id": job.id})
    return job


def judged_on(session: Session, asked: EvaluateJob) -> tuple[Problem, dict[str, Any]]:
    """The problem of an evaluation and its configuration, everything checked; ApiError 422 names the field."""
    _, problem, instance = _instance(session, asked.instance_id)
    config: dict[str, Any] = _evaluation(session, asked, problem, instance)["config"]
    return problem, config


def _check_room(session: Session, settings: Settings) -> None:
    if repository.count_unfinished(session) >= settings.max_queued_jobs:
        detail = f"{settings.max_queued_jobs} jobs are unfinished, the most this service keeps."
        raise ApiError("queue-full", detail, headers={"Retry-After": "30"})


def _instance(session: Session, instance_id: str, where: str = "/instance_id") -> tuple[InstanceRow, Problem, Instance]:
    row = repository.instance(session, instance_id)
    if row is None:
        raise field_error(where, f"There is no instance {instance_id!r}.")
    problem = problems().get(row.problem)
    if problem is None:
        raise field_error(where, f"This service no longer knows the problem {row.problem!r}.")
    return row, problem, problem.parse(row.body)


def time_limit(settings: Settings, asked: str | None) -> float:
    """A job's time limit [s], as asked or the default; ApiError 422 if it is longer than jobs may take here."""
    if asked is None:
        return min(settings.default_time_limit, settings.max_time_limit)
    seconds = seconds_of(asked)
    if seconds > settings.max_time_limit:
        raise field_error("/time_limit", f"The longest time limit here is {duration_of(settings.max_time_limit)}.")
    return seconds


def _algorithm(
    session: Session, asked: TrainJob | SolveJob, row: InstanceRow, problem: Problem, instance: Instance
) -> dict[str, Any]:
    solver = _solver(asked)
    _check_serves(solver, problem.name, solver.reasons_against(problem))
    config = _config(solver, asked.config)
    broken = solver.refuses(problem, instance, config)
    if broken:
        raise invalid(broken, "/config")
    details: dict[str, Any] = {"solver": solver.name, "config": config.model_dump(mode="json")}
    if isinstance(asked, TrainJob):
        details["device"] = asked.device
        details["policy_name"] = asked.policy_name or default_policy_name(row.name, solver.name)
        details["warm_start"] = _warm_start(session, asked.warm_start, problem, solver)
        if asked.also_instance_ids:
            also = _also(session, asked, problem)
            broken = solver.refuses_several(problem, (instance, *also), config)
            if broken:
                raise invalid(broken, "/config")
    return details


def _also(session: Session, asked: TrainJob, problem: Problem) -> list[Instance]:
    """The further instances to train on: of the same problem, each named once."""
    found = []
    for index, instance_id in enumerate(asked.also_instance_ids):
        where = f"/also_instance_ids/{index}"
        row, other, instance = _instance(session, instance_id, where)
        if other.name != problem.name:
            raise field_error(where, f"That instance is of {other.name}, not {problem.name}.")
        if instance_id == asked.instance_id or instance_id in asked.also_instance_ids[:index]:
            raise field_error(where, f"{row.name!r} is named twice.")
        found.append(instance)
    return found


def _solver(asked: TrainJob | SolveJob) -> Solver:
    fitting = {name: solver for name, solver in solvers().items() if solver.kind == asked.kind}
    if asked.solver not in fitting:
        raise field_error("/solver", f"Solvers of kind {asked.kind!r} are: {', '.join(sorted(fitting))}.")
    return fitting[asked.solver]


def _check_serves(solver: Solver, problem: str, reasons: list[str]) -> None:
    if reasons:
        detail = f"{solver.name} does not serve this {problem} instance: {'; '.join(reasons)}."
        raise ApiError("solver-does-not-serve", detail, solver=solver.name, problem=problem, reasons=reasons)


def _config(solver: Solver, document: dict[str, Any]) -> Any:
    try:
        return solver.config.model_validate(document)
    except ValidationError as error:
        raise invalid(issues_of(error, "/config")) from None


def _warm_start(session: Session, ref: str | None, problem: Problem, solver: Solver) -> str | None:
    if ref is None:
        return None
    policy = _policy(session, ref, "/warm_start", problem)
    if policy.solver != solver.name:
        raise field_error("/warm_start", f"That policy was trained by {policy.solver}, not {solver.name}.")
    return policy.id


def _policy(session: Session, ref: str, where: str, problem: Problem) -> PolicyRow:
    policy = policies.by_ref(session, ref)
    if policy is None:
        raise field_error(where, f"There is no policy {ref!r}.")
    if policy.problem != problem.name:
        raise field_error(where, f"That policy decides {policy.problem}, not {problem.name}.")
    return policy


def _evaluation(session: Session, asked: EvaluateJob, problem: Problem, instance: Instance) -> dict[str, Any]:
    if not asked.policies and not asked.rules:
        raise field_error("/policies", "Name at least one policy or rule.")
    fitting = [family.name for family in problem.rules_for(instance)]
    for index, rule in enumerate(asked.rules):
        if rule not in fitting:
            raise field_error(f"/rules/{index}", f"Rules that fit this instance: {', '.join(fitting) or 'none'}.")
    chosen = [_policy(session, ref, f"/policies/{index}", problem).id for index, ref in enumerate(asked.policies)]
    config = {
        "policies": list(dict.fromkeys(chosen)),
        "rules": list(dict.fromkeys(asked.rules)),
        **_scenarios(session, asked, problem, instance),
    }
    return {"solver": None, "config": config}


def _scenarios(session: Session, asked: EvaluateJob, problem: Problem, instance: Instance) -> dict[str, Any]:
    """How many scenarios to judge on, and which if they are the planner's own."""
    if asked.scenario_set_id is None:
        return {"scenarios": asked.scenarios}
    if "scenarios" in asked.model_fields_set:
        raise field_error("/scenarios", "The scenario set says how many: leave `scenarios` out.")
    row = stored_scenarios.by_id(session, asked.scenario_set_id)
    if row is None:
        raise field_error("/scenario_set_id", f"There is no scenario set {asked.scenario_set_id!r}.")
    scenario_sets.check_fits(row, problem, instance, "/scenario_set_id")
    return {"scenarios": row.scenarios, "scenario_set_id": row.id}


def default_policy_name(instance: str, solver: str) -> str:
    """`instance-solver`, shortened to what a name may be."""
    return joined_name(instance, solver)


def joined_name(name: str, suffix: str) -> str:
    """`name-suffix` within the length of a name; the suffix is kept whole."""
    return f"{name[: MAX_NAME - 1 - len(suffix)]}-{suffix}"


def require(session: Session, job_id: str, lock: bool = False) -> JobRow:
    """The job, or ApiError 404."""
    job = repository.get(session, job_id, lock)
    if job is None:
        raise not_found("job", job_id)
    return job


def cancel(session: Session, job_id: str) -> tuple[JobRow, bool]:
    """Ask a job to stop, keeping its best policy so far. The job, and whether it had finished already.

    A queued job ends at once; a running one is `cancelling` until its child has stored what it has.
    """
    job = require(session, job_id, lock=True)
    if job.state in FINISHED:
        return job, True
    now = utcnow()
    if job.state == QUEUED:
        lifecycle.end_queued(session, job, cancel_requested_at=now)
    elif job.state != "cancelling":
        changes = {"state": "cancelling", "cancel_requested_at": now}
        repository.advance(session, job_id, JobRow.state == job.state, changes, [("state", {"state": "cancelling"})])
    return require(session, job_id), False


def retry(session: Session, settings: Settings, job_id: str, key_id: str | None) -> JobRow:
    """Queue a failed or cancelled job's work again as a new job: same request, same seed, from the beginning.

    ApiError 409 if the job still runs or succeeded.
    """
    old = require(session, job_id)
    if old.state not in FINISHED:
        raise _unfinished(old)
    if old.state == "succeeded":
        raise ApiError("job-finished", "The job succeeded; submit a new one to train again.")
    for instance_id in (old.instance_id, *old.also_instance_ids):
        _instance(session, instance_id)
    copied = (
        "kind",
        "instance_id",
        "solver",
        "config",
        "seed",
        "request",
        "device",
        "time_limit_seconds",
        "policy_name",
    )
    again = {name: getattr(old, name) for name in (*copied, "warm_start")}
    return enqueue(session, settings, retry_of=old.id, key_id=key_id, **again)


def remove(session: Session, job_id: str) -> None:
    """Delete a finished job and its events; what it produced stays. ApiError 409 while it is unfinished."""
    job = require(session, job_id, lock=True)
    if not repository.remove(session, job_id):
        raise ApiError("job-not-finished", f"The job is {job.state}; cancel it first.", headers=_retry_after(job))


def result(session: Session, job_id: str, partial: bool) -> dict[str, Any]:
    """What the job produced; with `partial` the best so far of a job that has not.

    ApiError 409 `job-not-finished`, or `job-failed` when it ended with nothing.
    """
    job = require(session, job_id)
    known = {
        "job_id": job.id,
        "kind": job.kind,
        "state": job.state,
        "stopped_by": job.stopped_by,
        "policy_id": job.policy_id,
        "evaluation_id": job.evaluation_id,
    }
    if job.result is not None:
        return {**known, "partial": False, **job.result}
    if partial:
        best = repository.last_milestone(session, job_id, "incumbent")
        return {**known, "partial": True, "progress": job.progress, "best": best.data if best else None}
    if job.state in FINISHED:
        detail = f"The job is {job.state} and has no result."
        raise ApiError("job-failed", detail, state=job.state, error=job.error)
    raise _unfinished(job)


def _unfinished(job: JobRow) -> ApiError:
    return ApiError("job-not-finished", f"The job is {job.state}.", headers=_retry_after(job), state=job.state)


def _retry_after(job: JobRow) -> dict[str, str]:
    eta = (job.progress or {}).get("eta_seconds") or 1
    return {"Retry-After": str(int(min(max(eta, 1), 30)))}
