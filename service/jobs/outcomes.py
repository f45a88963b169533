"""What a job leaves behind: artifacts on disk first, then rows and the job's end in one transaction."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.acceptance import judging
from service.acceptance import repository as acceptance
from service.db.patience import insist
from service.db.rows import AcceptanceVerdictRow, EvaluationRow, InstanceRow, JobRow, PolicyRow
from service.db.session import Database
from service.decisions import replaying
from service.ids import new_id
from service.jobs import lifecycle, repository
from service.jobs.lifecycle import LeaseLost
from service.jobs.repository import Lease
from service.jobs.service import joined_name
from service.objects import insistently
from service.receipts import service as receipts
from solvers.artifact import PolicyArtifact
from solvers.store import Store

MAX_TRIES = 10

log = logging.getLogger(__name__)


class Outcome(Protocol):
    """Something a job produced; `rows` writes it and says what the job's row shows of it."""

    def rows(self, session: Session, job: JobRow, instance: InstanceRow) -> dict[str, Any]:
        """Insert what was produced; the job's columns that tell of it."""


@dataclass(frozen=True)
class Kept:
    """An artifact that is on disk."""

    artifact: PolicyArtifact
    digest: str


@dataclass(frozen=True)
class Trained:
    """A policy, and the classical rule that did better if one did."""

    policy: Kept
    better_rule: Kept | None
    stopped_by: str

    def rows(self, session: Session, job: JobRow, instance: InstanceRow) -> dict[str, Any]:
        """A policy version for each; the learned one is recommended unless a rule beats it."""
        name = job.policy_name or ""
        rule = None
        if self.better_rule is not None:
            family = self.better_rule.artifact.family
            rule = _policy(self.better_rule, joined_name(name, family), job, instance, recommended=True)
            _number(session, rule)
        certificate = self.policy.artifact.certificate
        recommended = rule is None and certificate.get("recommended_for_use") is not False
        better = rule.id if rule is not None else None
        learned = _policy(self.policy, name, job, instance, recommended, better_rule=better)
        _number(session, learned)
        result = {
            "policy": {
                "id": learned.id,
                "name": learned.name,
                "version": learned.version,
                "digest": self.policy.digest,
            },
            "better_rule": better,
            "recommended_for_use": recommended,
            "certificate": certificate,
            "training": self.policy.artifact.training,
        }
        return {"policy_id": learned.id, "result": result, "stopped_by": self.stopped_by}


@dataclass(frozen=True)
class Evaluated:
    """Policies compared."""

    body: dict[str, Any]
    paths: dict[str, Any]
    stopped_by: str

    def rows(self, session: Session, job: JobRow, instance: InstanceRow) -> dict[str, Any]:
        """An evaluation."""
        row = EvaluationRow(id=new_id("evl"), job_id=job.id, instance_id=instance.id, body=self.body, paths=self.paths)
        repository.add_evaluation(session, row)
        return {"evaluation_id": row.id, "result": self.body, "stopped_by": self.stopped_by}


@dataclass(frozen=True)
class Judged:
    """A version tried by an acceptance test: the evaluation, or why there is none."""

    evaluated: Evaluated | None
    broken: str  # the constraint that a decision broke, where that ended the run
    is_complete: bool  # cancelled half-way, a run gives no verdict

    def rows(self, session: Session, job: JobRow, instance: InstanceRow) -> dict[str, Any]:
        """An evaluation, and the verdict if test and version are still there."""
        columns: dict[str, Any] = {"stopped_by": "finished", "result": {}}
        if self.evaluated is not None:
            columns = self.evaluated.rows(session, job, instance)
        if self.is_complete:
            columns["result"] = {"verdict": self._verdict(session, job, columns.get("evaluation_id"))}
        return columns

    def _verdict(self, session: Session, job: JobRow, evaluation_id: str | None) -> dict[str, Any] | None:
        test = acceptance.by_id(session, job.config["acceptance_test_id"])
        policy = session.get(PolicyRow, job.config["policies"][0])
        if test is None or policy is None:
            return None
        if self.evaluated is None:
            checks, scenarios = judging.infeasible(self.broken), 0
        else:
            checks = judging.checks(test, self.evaluated.body, job.config["rivals"])
            scenarios = self.evaluated.body["scenarios"]
        row = AcceptanceVerdictRow(
            id=new_id("vdt"),
            test_id=test.id,
            policy_id=policy.id,
            job_id=job.id,
            evaluation_id=evaluation_id,
            passed=all(check["passed"] for check in checks),
            checks=checks,
            scenarios=scenarios,
        )
        acceptance.add(session, row)
        return {"test_id": test.id, "version": policy.version, "passed": row.passed, "checks": checks}


@dataclass(frozen=True)
class Replayed:
    """What the planner's own decision cost beside the recommended one."""

    played: dict[str, Any]
    stopped_by: str

    def rows(self, session: Session, job: JobRow, instance: InstanceRow) -> dict[str, Any]:
        """Kept with the recommendation, unless the planner has decided otherwise meanwhile."""
        kept = replaying.keep(session, job, self.played)
        return {"result": {"replay": self.played, "kept": kept}, "stopped_by": self.stopped_by}


@dataclass(frozen=True)
class Reproduced:
    """A policy made again and compared; None where it was stopped before that."""

    found: dict[str, Any] | None

    def rows(self, session: Session, job: JobRow, instance: InstanceRow) -> dict[str, Any]:
        """Kept on the policy's card."""
        kept = self.found is not None and receipts.keep(session, job, self.found)
        return {"result": {"reproduction": self.found, "kept": kept}, "stopped_by": "finished"}


@dataclass(frozen=True)
class Solved:
    """A plan or bound of a program, or why there is none: infeasibility is an outcome, not a failure."""

    status: str
    document: dict[str, Any]

    def rows(self, session: Session, job: JobRow, instance: InstanceRow) -> dict[str, Any]:
        """The job's row holds it all."""
        stopped_by = "time_limit" if self.status == "time_limit" else "finished"
        return {"result": {"status": self.status, "document": self.document}, "stopped_by": stopped_by}


def keep_training(trained: Any, artifacts: Store, stopped_by: str) -> Trained:
    """Write a training's artifacts (a `solvers.training.TrainingOutcome`) to the store."""
    rule = trained.better_rule
    better = _kept(rule, artifacts) if rule is not None else None
    return Trained(_kept(trained.artifact, artifacts), better, stopped_by)


def _kept(artifact: PolicyArtifact, artifacts: Store) -> Kept:
    return Kept(artifact, insistently(lambda: artifact.save(artifacts), "a policy waits to be kept", MAX_TRIES))


def store(database: Database, lease: Lease, job: JobRow, instance: InstanceRow, outcome: Outcome) -> None:
    """Write the outcome and end the job: cancelled if that was asked for meanwhile, else succeeded."""

    def write(session: Session) -> None:
        now = repository.get(session, lease.job_id, lock=True)
        if now is None:
            raise LeaseLost(lease.job_id)
        columns = outcome.rows(session, job, instance)
        state = "cancelled" if now.state == "cancelling" else "succeeded"
        lifecycle.finish(session, lease, state, **columns)

    _insistently(database, write)


def _insistently(database: Database, write: Callable[[Session], None]) -> None:
    """Work of an hour is not lost to a moment's trouble: a database that is away is asked again, and of two jobs that
    end with the same policy name at once the later takes the next version.
    """

    def once() -> None:
        with database.write() as session:
            write(session)

    for tries in range(1, MAX_TRIES + 1):
        try:
            insist(once)
            return
        except IntegrityError as error:
            if tries == MAX_TRIES:
                raise
            log.warning("the outcome is written again: %s", type(error).__name__)
            time.sleep(0.1)


def _number(session: Session, row: PolicyRow) -> None:
    row.version = repository.next_version(session, row.name)
    repository.add_policy(session, row)


def _policy(
    kept: Kept, name: str, job: JobRow, instance: InstanceRow, recommended: bool, better_rule: str | None = None
) -> PolicyRow:
    artifact = kept.artifact
    return PolicyRow(
        id=new_id("pol"),
        name=name,
        problem=artifact.problem,
        solver=artifact.solver,
        family=artifact.family,
        instance_id=instance.id,
        job_id=job.id,
        artifact_digest=kept.digest,
        recommended_for_use=recommended,
        card=_card(kept, job, instance, recommended, better_rule),
    )


def _card(kept: Kept, job: JobRow, instance: InstanceRow, recommended: bool, better_rule: str | None) -> dict[str, Any]:
    """Everything a policy's card shows but its id, name, version and time, which are the row's."""
    artifact = kept.artifact
    return {
        "problem": artifact.problem,
        "solver": artifact.solver,
        "family": artifact.family,
        "config": artifact.config,
        "seed": artifact.seed,
        "instance": {"id": instance.id, "name": instance.name, "digest": instance.digest},
        "artifact_digest": kept.digest,
        "job_id": job.id,
        "warm_start": job.warm_start,
        "also_instance_ids": job.also_instance_ids,
        "training": artifact.training,
        "curve": artifact.curve,
        "description": artifact.description,
        "certificate": artifact.certificate,
        "recommended_for_use": recommended,
        "better_rule": better_rule,
        "versions": artifact.versions,
        "receipt": artifact.receipt,
    }
