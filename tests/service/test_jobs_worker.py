"""Jobs in real processes: worker, child, Redis, database. What ends well, what fails, and how it is said."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from sqlalchemy import select

from service.acceptance import service as acceptance
from service.acceptance.schemas import AcceptanceTestBody
from service.db.migrate import upgrade
from service.db.rows import EvaluationRow, PolicyRow, WorkerRow
from service.db.session import Database
from service.decisions.replaying import OutcomeChanged
from service.jobs.child import error_document
from service.scenario_sets import service as scenario_sets
from service.settings import Settings
from service.storage import Storage
from solvers import registry
from solvers.artifact import ArtifactError, PolicyArtifact
from solvers.core import Diverged, InnerSolveError, WeightsDoNotFit
from tests.service.api_server import add_policy, example_document
from tests.service.lab import LAB, LAB_PROGRAM, SECRET
from tests.service.workers import Desk, Worker, eventually

pytestmark = pytest.mark.processes

LIMIT = "PT10S"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Desk]:
    """A desk whose jobs one worker runs, three at a time, on SQLite."""
    folder = tmp_path_factory.mktemp("worker")
    settings = Settings(
        data_dir=folder,
        broker_url=redis_url,
        queue=f"test-{secrets.token_hex(6)}",
        concurrency=3,
        heartbeat_seconds=0.5,
        reconcile_seconds=0.5,
        overtime_seconds=5.0,
        term_seconds=0.5,
        checkpoint_seconds=0.0,
    )
    Storage(folder).prepare()
    database = Database(settings.database)
    upgrade(database)
    with pytest.MonkeyPatch.context() as patch:
        for solver in (LAB, LAB_PROGRAM):
            patch.setitem(registry._SOLVERS, solver.name, solver)
        worker = Worker(settings, folder / "worker.log")
        try:
            yield Desk(settings, database)
            assert worker.process.poll() is None, "the worker did not survive its jobs"
            assert worker.stop() == 0
            with database.read() as session:
                assert session.scalar(select(WorkerRow)) is None, "the worker stayed on the list"
        finally:
            worker.kill()
            database.close()


@pytest.fixture(scope="module")
def instance_id(desk: Desk) -> str:
    return desk.instance(small_document())


def small_document() -> dict[str, Any]:
    """One store, few periods: seconds of work at most."""
    return {**example_document("one-store-backlogged"), "periods": 8, "warmup_periods": 2, "name": "small"}


def test_the_worker_tells_of_itself(desk: Desk) -> None:
    def look() -> WorkerRow | None:
        with desk.database.read() as session:
            return session.scalar(select(WorkerRow))

    row = eventually(look, tell=lambda: "nobody told")
    assert (row.queue, row.concurrency) == (desk.settings.queue, 3)


def test_an_acceptance_test_gives_its_verdict(desk: Desk) -> None:
    """Two untrained versions of the same weights, and a rule that is better than both."""
    ids = [add_policy(desk, small_document(), "tried", version) for version in (1, 2)]  # type: ignore[arg-type]
    body = {"name": "gate", "instance_id": desk.instance(small_document()), "scenarios": 64, "seed": 3}
    body |= {"policies": ["tried:1"], "rules": ["base_stock"], "guards": ["production"]}
    with desk.database.write() as session:
        test = acceptance.create(session, desk.settings, "tried", AcceptanceTestBody.model_validate(body), "local")
        job = acceptance.run(session, desk.settings, "tried", test.id, 2, None)
    done = desk.finished(job.id)
    assert done.state == "succeeded", desk.tell(job.id)
    with desk.database.read() as session:
        (view,) = acceptance.views(session, [test])
    (verdict,) = view.verdicts
    assert (verdict.version, verdict.policy_id, verdict.scenarios) == (2, ids[1], 64)
    assert verdict.evaluation_id == done.evaluation_id
    checks = {(check.rule, check.subject): check for check in verdict.checks}
    assert checks["feasible", None].passed
    assert checks["cost", "base_stock"].passed is verdict.passed is False
    assert done.result is not None
    assert done.result["verdict"]["passed"] is False


def test_an_evaluation_on_a_scenario_set_counts_each_once(desk: Desk) -> None:
    policy_id = add_policy(desk, small_document(), "judged")  # type: ignore[arg-type]
    scenarios = [{"store": [level] * 8} for level in (3.0, 5.0, 7.0)]
    document = {"instance_id": desk.instance(small_document()), "scenarios": scenarios}
    with desk.database.write() as session:
        row = scenario_sets.read_document(session, document)
        session.add(row)
    asked = {"kind": "evaluate", "instance_id": document["instance_id"], "policies": [policy_id]}
    done = desk.finished(desk.submit(**asked, scenario_set_id=row.id))
    assert done.state == "succeeded", desk.tell(done.id)
    with desk.database.read() as session:
        body = session.get_one(EvaluationRow, done.evaluation_id).body
    assert (body["scenarios"], body["scenario_set"]["id"]) == (3, row.id)
    assert [bound["kind"] for bound in body["bounds"]] == ["perfect_information"]


@pytest.fixture(scope="module")
def submitted(desk: Desk, instance_id: str) -> dict[str, str]:
    """One job for every behaviour, queued at once so that they share the time it takes to start a process."""
    train: dict[str, Any] = {"kind": "train", "instance_id": instance_id, "solver": "lab", "time_limit": LIMIT}
    solve: dict[str, Any] = {"kind": "solve", "instance_id": instance_id, "solver": "lab_program", "seed": 3}
    patient = train | {"time_limit": "PT3M"}
    jobs = {
        "cancel": desk.submit(**patient, config={"iterations": 100_000}, policy_name="cancelled"),
        "train": desk.submit(
            **(train | {"time_limit": "PT30S"}), seed=7, policy_name="good", config={"iterations": 4, "pace": 0.4}
        ),
        "limit": desk.submit(**(train | {"time_limit": "PT8S"}), config={"iterations": 10_000}, policy_name="limited"),
        "infeasible": desk.submit(**solve, config={"status": "infeasible"}),
    }
    jobs["raise"] = desk.submit(**patient, config={"behaviour": "raise"})
    return jobs


class TestTraining:
    def test_cancelling_keeps_the_best_policy_so_far(self, desk: Desk, submitted: dict[str, str]) -> None:
        job_id = submitted["cancel"]
        desk.at_checkpoint(job_id)
        desk.cancel(job_id)
        job = desk.finished(job_id)
        assert (job.state, job.stopped_by) == ("cancelled", "request"), desk.tell(job_id)
        with desk.database.read() as session:
            assert session.get_one(PolicyRow, job.policy_id).name == "cancelled"
        assert desk.states(job_id)[-2:] == ["cancelling", "cancelled"]

    def test_it_ends_with_a_policy_and_its_card(self, desk: Desk, submitted: dict[str, str], instance_id: str) -> None:
        job = desk.finished(submitted["train"])
        assert (job.state, job.attempt, job.stopped_by) == ("succeeded", 1, "finished"), desk.tell(job.id)
        with desk.database.read() as session:
            policy = session.get_one(PolicyRow, job.policy_id)
        instance = desk.instance_row(instance_id)
        assert (policy.name, policy.version, policy.solver, policy.job_id) == ("good", 1, "lab", job.id)
        card = policy.card
        assert (card["seed"], card["config"]["iterations"]) == (7, 4)
        assert card["instance"] == {"id": instance.id, "name": "small", "digest": instance.digest}
        assert card["certificate"]["policy"]["mean_cost"] > 0
        assert card["certificate"]["bound"]["value"] > 0
        assert card["training"]["device"] == "cpu"
        assert card["curve"]
        assert job.result is not None
        assert job.result["policy"]["id"] == policy.id
        artifact = PolicyArtifact.load(desk.storage.artifacts, policy.artifact_digest)
        assert artifact.certificate == card["certificate"]

    def test_a_rule_that_does_better_is_a_policy_of_its_own(self, desk: Desk, submitted: dict[str, str]) -> None:
        """The laboratory trains nothing, so a tuned classical rule is surely cheaper."""
        job = desk.finished(submitted["train"])
        with desk.database.read() as session:
            learned = session.get_one(PolicyRow, job.policy_id)
            rule = session.get_one(PolicyRow, learned.card["better_rule"])
        assert rule.name == f"good-{rule.family}"
        assert (learned.recommended_for_use, rule.recommended_for_use) == (False, True)
        assert rule.card["certificate"]["policy"]["mean_cost"] < learned.card["certificate"]["policy"]["mean_cost"]
        PolicyArtifact.load(desk.storage.artifacts, rule.artifact_digest)

    def test_its_events_tell_the_story(self, desk: Desk, submitted: dict[str, str]) -> None:
        job = desk.finished(submitted["train"])
        events = desk.events(job.id)
        assert desk.states(job.id) == ["queued", "starting", "running", "finalizing", "succeeded"]
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert {event.type for event in events} >= {"state", "progress", "metric", "incumbent", "checkpoint", "end"}
        assert events[-1].type == "end"
        metrics = [event.data for event in events if event.type == "metric" and event.data["name"] == "cost"]
        assert metrics[-1] == {"name": "cost", "iteration": 4, "value": 2.5}
        progress = [event for event in events if event.type == "progress"]
        gaps = [(b.created_at - a.created_at).total_seconds() for a, b in pairwise(progress)]
        assert all(gap > 0.4 for gap in gaps[:-1]), gaps  # the last is written when the work ends
        assert job.progress is not None
        assert (job.progress["iteration"], job.progress["fraction"]) == (4, 1.0)

    def test_it_leaves_a_log_and_no_checkpoint(self, desk: Desk, submitted: dict[str, str]) -> None:
        job = desk.finished(submitted["train"])
        assert "attempt 1" in desk.log(job.id)
        folder = desk.storage.job_folder(job.id) / "checkpoint"
        eventually(lambda: not folder.exists(), 5)

    def test_the_time_limit_keeps_the_best_policy_so_far(self, desk: Desk, submitted: dict[str, str]) -> None:
        job = desk.finished(submitted["limit"])
        assert (job.state, job.stopped_by) == ("succeeded", "time_limit"), desk.tell(job.id)
        assert job.policy_id is not None


class TestFailing:
    def test_the_error_says_why(self, desk: Desk, submitted: dict[str, str]) -> None:
        """Leaks, segfaults and hangs take longer: tests/faults/test_children.py."""
        job = desk.finished(submitted["raise"], 90)
        assert job.error is not None, desk.tell(job.id)
        assert (job.state, job.error["type"]) == ("failed", "/problems/job-crashed"), desk.tell(job.id)
        assert (job.attempt, job.policy_id) == (1, None)
        assert desk.events(job.id)[-1].data["error"] == job.error

    def test_a_traceback_is_in_the_log_and_nowhere_else(self, desk: Desk, submitted: dict[str, str]) -> None:
        job = desk.finished(submitted["raise"])
        assert SECRET in desk.log(job.id)
        assert SECRET not in str(job.error)
        assert all(SECRET not in str(event.data) for event in desk.events(job.id))

    @pytest.mark.parametrize(
        ("error", "slug"),
        [
            (Diverged("no number"), "diverged"),
            (InnerSolveError("no optimum"), "inner-solve-failed"),
            (ArtifactError("missing"), "artifact-unavailable"),
            (WeightsDoNotFit("shapes"), "policy-does-not-fit"),
            (MemoryError(), "memory-limit"),
            (torch.OutOfMemoryError(), "memory-limit"),
            (KeyboardInterrupt(), "job-crashed"),
            (OutcomeChanged("the planner decided otherwise"), "conflict"),
        ],
    )
    def test_every_failure_has_a_type(self, error: BaseException, slug: str) -> None:
        assert error_document(error)["type"] == f"/problems/{slug}"

    def test_nothing_is_left_running(self, desk: Desk, submitted: dict[str, str]) -> None:
        for job_id in submitted.values():
            desk.finished(job_id, 90)
        eventually(lambda: not children_of(desk), 10)


class TestSolving:
    def test_an_infeasible_program_is_an_outcome(self, desk: Desk, submitted: dict[str, str]) -> None:
        job = desk.finished(submitted["infeasible"])
        assert (job.state, job.error) == ("succeeded", None), desk.tell(job.id)
        assert job.result == {"status": "infeasible", "document": {"seed": 3}}


@pytest.fixture(scope="module")
def users(desk: Desk, submitted: dict[str, str], instance_id: str) -> tuple[str, str]:
    """An evaluation of the trained policy, and a training that starts from it."""
    desk.finished(submitted["train"])
    compared: dict[str, Any] = {"policies": ["good:1"], "rules": ["base_stock"], "scenarios": 64, "seed": 1}
    trained: dict[str, Any] = {"solver": "lab", "time_limit": LIMIT, "policy_name": "good", "warm_start": "good:1"}
    evaluation = desk.submit(kind="evaluate", instance_id=instance_id, **compared)
    return evaluation, desk.submit(kind="train", instance_id=instance_id, **trained)


class TestUsingPolicies:
    def test_policies_and_rules_are_compared(
        self, desk: Desk, submitted: dict[str, str], users: tuple[str, str]
    ) -> None:
        job = desk.finished(users[0])
        assert job.state == "succeeded", desk.tell(job.id)
        with desk.database.read() as session:
            evaluation = session.get_one(EvaluationRow, job.evaluation_id)
        assert {entry["name"] for entry in evaluation.body["policies"]} == {"good:1", "base_stock"}
        assert evaluation.body["policy_ids"] == {"good:1": desk.job(submitted["train"]).policy_id}
        assert evaluation.body["scenarios"] == 64
        assert len(evaluation.paths["good:1"]["cost"]["q50"]) == 8
        assert [(pair["policy"], pair["other"]) for pair in evaluation.body["pairs"]] == [("good:1", "base_stock")]
        assert desk.states(job.id) == ["queued", "starting", "running", "finalizing", "succeeded"]

    def test_a_name_trained_again_gets_the_next_version(
        self, desk: Desk, submitted: dict[str, str], users: tuple[str, str]
    ) -> None:
        job = desk.finished(users[1])
        assert job.state == "succeeded", desk.tell(job.id)
        with desk.database.read() as session:
            versions = session.scalars(select(PolicyRow.version).where(PolicyRow.name == "good")).all()
            card = session.get_one(PolicyRow, job.policy_id).card
        assert sorted(versions) == [1, 2]
        assert card["warm_start"] == desk.job(submitted["train"]).policy_id


def children_of(desk: Desk) -> list[int]:
    """Processes of jobs that work on the desk's data folder."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        if "service.jobs.child" in (process.info["cmdline"] or []) and _uses(process, desk.settings.data_dir):
            found.append(process.info["pid"])
    return found


def _uses(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.environ().get("HERENOW_DATA_DIR") == str(folder)
    except psutil.Error:
        return False
