"""The rules of acceptance tests: made once, run per version, asked before an alias they guard is moved."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from models.core import Problem
from service.acceptance import repository
from service.acceptance.schemas import AcceptanceTestBody, AcceptanceTestView, CheckView, VerdictView
from service.db.rows import AcceptanceTestRow, AcceptanceVerdictRow, JobRow, PolicyRow
from service.errors import ApiError, field_error, not_found
from service.ids import new_id
from service.jobs import service as jobs
from service.jobs.schemas import MAX_SEED, EvaluateJob, duration_of
from service.policies import repository as policies
from service.settings import Settings

_COMPUTED = ("time_limit", "verdicts")
_COPIED = tuple(name for name in AcceptanceTestView.model_fields if name not in _COMPUTED)


def create(session: Session, settings: Settings, name: str, body: AcceptanceTestBody, owner: str) -> AcceptanceTestRow:
    """Store an acceptance test; ApiError 404 for an unknown policy, 409 for a name that is taken, 422 by field."""
    newest = require_name(session, name)
    if any(row.name == body.name for row in session.scalars(repository.of_name(name))):
        raise ApiError("conflict", f"{name!r} has an acceptance test {body.name!r} already.")
    problem, config = jobs.judged_on(session, _evaluation(body, [f"{name}:{newest.version}"]))
    if problem.name != newest.problem:
        raise field_error("/instance_id", f"That instance is of {problem.name}; {name!r} decides {newest.problem}.")
    _check_rivals(session, body.policies, problem)
    row = AcceptanceTestRow(
        id=new_id("acc"),
        policy_name=name,
        name=body.name,
        instance_id=body.instance_id,
        scenarios=config["scenarios"],
        scenario_set_id=body.scenario_set_id,
        seed=body.seed if body.seed is not None else secrets.randbelow(MAX_SEED + 1),
        policies=list(dict.fromkeys(body.policies)),
        rules=config["rules"],
        largest_cost_increase=body.largest_cost_increase,
        least_service=dict(body.least_service),
        guards=list(dict.fromkeys(body.guards)),
        time_limit_seconds=jobs.time_limit(settings, body.time_limit),
        created_by=owner,
    )
    repository.add(session, row)
    return row


def _evaluation(test: AcceptanceTestBody | AcceptanceTestRow, refs: Sequence[str]) -> EvaluateJob:
    """The evaluation that a run of the test is; a scenario set says itself how many scenarios it has."""
    asked: dict[str, Any] = {"instance_id": test.instance_id, "policies": list(refs), "rules": list(test.rules)}
    if test.scenario_set_id is not None:
        asked["scenario_set_id"] = test.scenario_set_id
    if test.scenario_set_id is None or (isinstance(test, AcceptanceTestBody) and "scenarios" in test.model_fields_set):
        asked["scenarios"] = test.scenarios
    return EvaluateJob(kind="evaluate", **asked)


def _check_rivals(session: Session, refs: Sequence[str], problem: Problem) -> None:
    """ApiError 422 for a rival that cannot be; an alias may come later."""
    for index, ref in enumerate(refs):
        row = policies.by_ref(session, ref)
        if row is None and "@" not in ref:
            raise field_error(f"/policies/{index}", f"There is no policy {ref!r}.")
        if row is not None and row.problem != problem.name:
            raise field_error(f"/policies/{index}", f"That policy decides {row.problem}, not {problem.name}.")


def require_name(session: Session, name: str) -> PolicyRow:
    """The newest version of a policy's name; ApiError 404."""
    row = repository.newest_version(session, name)
    if row is None:
        raise not_found("policy", name)
    return row


def get(session: Session, name: str, test_id: str) -> AcceptanceTestRow:
    """The acceptance test of a policy's name; ApiError 404."""
    row = repository.by_id(session, test_id)
    if row is None or row.policy_name != name:
        raise not_found("acceptance test", test_id)
    return row


def delete(session: Session, name: str, test_id: str) -> None:
    """Delete an acceptance test with its verdicts; ApiError 404."""
    session.delete(get(session, name, test_id))
    session.flush()


def run(session: Session, settings: Settings, name: str, test_id: str, version: int, key_id: str | None) -> JobRow:
    """Queue a run on one version.

    ApiError 422 for a version that does not exist, 409 for a rival that is gone.
    """
    test = get(session, name, test_id)
    candidate = policies.by_ref(session, f"{name}:{version}")
    if candidate is None:
        raise field_error("/version", f"{name!r} has no version {version}.")
    rivals = [{"ref": ref, "policy_id": _rival(session, ref)} for ref in test.policies]
    refs = [candidate.id, *(rival["policy_id"] for rival in rivals if rival["policy_id"] is not None)]
    asked = _evaluation(test, refs)
    _, config = jobs.judged_on(session, asked)
    return jobs.enqueue(
        session,
        settings,
        kind="accept",
        instance_id=test.instance_id,
        config={**config, "acceptance_test_id": test.id, "rivals": rivals},
        seed=test.seed,
        request={"version": version},
        time_limit_seconds=min(test.time_limit_seconds, settings.max_time_limit),
        policy_name=name,
        key_id=key_id,
    )


def _rival(session: Session, ref: str) -> str | None:
    """The id of the policy a reference means now; None for an alias nobody has. ApiError 409 for one that is gone."""
    row = policies.by_ref(session, ref)
    if row is None and "@" not in ref:
        raise ApiError("conflict", f"The test compares with {ref!r}, which has been deleted: make another test.")
    return row.id if row is not None else None


def require_passed(session: Session, name: str, alias: str, policy: PolicyRow) -> None:
    """ApiError 409 `acceptance-test-failed` unless the version has passed every test that guards the alias."""
    guarding = [test for test in session.scalars(repository.of_name(name)) if alias in test.guards]
    failed = []
    for test in sorted(guarding, key=lambda test: test.id):
        verdict = repository.last_verdict(session, test.id, policy.id)
        if verdict is None:
            failed.append({"id": test.id, "name": test.name, "verdict": "missing", "failed": []})
        elif not verdict.passed:
            reasons = [check["detail"] for check in verdict.checks if not check["passed"]]
            failed.append({"id": test.id, "name": test.name, "verdict": "failed", "failed": reasons})
    if failed:
        told = "; ".join(f"{test['name']}: {_told(test)}" for test in failed)
        detail = f"Version {policy.version} of {name!r} may not become {alias!r}. {told}."
        raise ApiError("acceptance-test-failed", detail, tests=failed)


def _told(test: dict[str, Any]) -> str:
    return "; ".join(test["failed"]) if test["failed"] else "it has not been tried on this version"


def views(session: Session, rows: Sequence[AcceptanceTestRow]) -> list[AcceptanceTestView]:
    """What is shown of acceptance tests."""
    verdicts = repository.latest_verdicts(session, [row.id for row in rows])
    return [
        AcceptanceTestView(
            time_limit=duration_of(row.time_limit_seconds),
            verdicts=[_verdict(verdict, policy) for verdict, policy in verdicts[row.id]],
            **{name: getattr(row, name) for name in _COPIED},
        )
        for row in rows
    ]


def _verdict(row: AcceptanceVerdictRow, policy: PolicyRow) -> VerdictView:
    copied = ("policy_id", "passed", "scenarios", "evaluation_id", "job_id", "created_at")
    checks = [CheckView(**check) for check in row.checks]
    return VerdictView(version=policy.version, checks=checks, **{name: getattr(row, name) for name in copied})
