"""What holds when things break: real workers killed and stopped, bells lost, with real training on real servers."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from service.db.rows import PolicyRow
from service.db.session import Database
from service.settings import Settings
from service.storage import Storage
from solvers import registry
from solvers.artifact import PolicyArtifact
from tests.faults.report import PATIENCE, fault
from tests.service.lab import LAB, LAB_PROGRAM
from tests.service.test_jobs_worker import small_document
from tests.service.workers import Desk, Worker, eventually

pytestmark = pytest.mark.processes

HDPO = {"iterations": 250, "batch_size": 32, "width": 8, "depth": 1, "validation_every": 10, "validation_scenarios": 32}
TRAIN: dict[str, Any] = {"kind": "train", "solver": "hdpo", "seed": 5, "time_limit": "PT25S", "config": HDPO}
LEASE_SECONDS = 4.0

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # what both do alike, shown on one


@pytest.fixture(autouse=True)
def _lab(monkeypatch: pytest.MonkeyPatch) -> None:
    for solver in (LAB, LAB_PROGRAM):
        monkeypatch.setitem(registry._SOLVERS, solver.name, solver)


@pytest.fixture
def settings(database_url: str, tmp_path: Path, redis_url: str) -> Settings:
    """A service that notices a lost worker soon."""
    settings = Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        broker_url=redis_url,
        queue=f"test-{secrets.token_hex(6)}",
        lease_seconds=LEASE_SECONDS,
        heartbeat_seconds=1.0,
        reconcile_seconds=0.5,
        concurrency=2,
        bell_seconds=1.0,
        checkpoint_seconds=0.0,
    )
    Storage(settings.data_dir).prepare()
    return settings


@pytest.fixture
def desk(settings: Settings, database: Database) -> Desk:
    return Desk(settings, database)


@pytest.fixture
def start(settings: Settings, tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    """Start workers; they are gone when the test is over."""
    started: list[Worker] = []

    def start() -> Worker:
        started.append(Worker(settings, tmp_path / f"worker{len(started)}.log"))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()


def weights(desk: Desk, policy_id: str | None) -> dict[str, torch.Tensor]:
    with desk.database.read() as session:
        digest = session.get_one(PolicyRow, policy_id).artifact_digest
    return dict(PolicyArtifact.load(desk.storage.artifacts, digest).weights)


@on_sqlite
@fault("kill -9 of a worker, SQLite", "the policy is bit for bit that of an undisturbed training")
class TestKilledWorker:
    def test_its_job_goes_on_from_the_checkpoint_within_20_seconds(
        self, desk: Desk, start: Callable[[], Worker]
    ) -> None:
        """And the policy is the one an undisturbed training gives."""
        instance_id = desk.instance(small_document())
        worker = start()
        job_id = desk.submit(instance_id=instance_id, **TRAIN)
        reached = desk.at_checkpoint(job_id)
        (child,) = worker.children()
        worker.kill()
        killed_at = time.monotonic()
        eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 5)
        other = start()
        undisturbed_id = desk.submit(instance_id=instance_id, **TRAIN)
        seconds = (LEASE_SECONDS + 20) * PATIENCE
        eventually(lambda: "resuming from the checkpoint" in desk.log(job_id), seconds, lambda: desk.tell(job_id))
        assert time.monotonic() - killed_at < seconds
        job = desk.finished(job_id)
        assert (job.state, job.attempt, job.lost_workers) == ("succeeded", 2, 1), desk.tell(job_id)
        again = ["queued", "starting", "running", "queued", "starting", "running", "finalizing", "succeeded"]
        assert desk.states(job_id) == again
        events = desk.events(job_id)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        resumed = next(e.seq for e in events if e.type == "state" and e.data.get("attempt") == 2)
        later = [e.data["iteration"] for e in events if e.type == "checkpoint" and e.seq > resumed]
        assert later
        assert min(later) > reached
        undisturbed = desk.finished(undisturbed_id)
        assert undisturbed.attempt == 1
        ours, theirs = weights(desk, job.policy_id), weights(desk, undisturbed.policy_id)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        assert other.stop() == 0


@on_sqlite
@fault("SIGTERM of a worker, SQLite", "the job is given back and goes on from its checkpoint")
class TestStoppedWorker:
    def test_its_job_is_given_back_and_goes_on(self, desk: Desk, start: Callable[[], Worker]) -> None:
        worker = start()
        job_id = desk.submit(instance_id=desk.instance(small_document()), **TRAIN)
        desk.at_checkpoint(job_id)
        assert worker.stop() == 0
        job = desk.job(job_id)
        assert (job.state, job.attempt, job.lost_workers, job.worker) == ("queued", 0, 0, None), desk.tell(job_id)
        start()
        job = desk.finished(job_id)
        assert (job.state, job.attempt, job.lost_workers) == ("succeeded", 1, 0), desk.tell(job_id)
        assert "resuming from the checkpoint" in desk.log(job_id)


class TestLostBells:
    def test_a_job_nobody_was_told_of_is_found(self, desk: Desk, start: Callable[[], Worker]) -> None:
        """On PostgreSQL too: the reconciler's rings are claimed in the database."""
        asked = {"kind": "solve", "solver": "lab_program", "seed": 1}
        job_id = desk.submit(rung=False, instance_id=desk.instance(small_document()), **asked)
        start()
        assert desk.finished(job_id).state == "succeeded"

    @on_sqlite
    def test_a_broker_that_is_away_does_not_refuse_a_job(
        self, settings: Settings, database: Database, start: Callable[[], Worker]
    ) -> None:
        away = Desk(settings.model_copy(update={"broker_url": "redis+socket:///nowhere/redis.sock"}), database)
        began = time.monotonic()
        asked = {"kind": "solve", "solver": "lab_program", "seed": 1}
        job_id = away.submit(instance_id=away.instance(small_document()), **asked)
        assert time.monotonic() - began < 5
        start()
        assert away.finished(job_id).state == "succeeded"


@on_sqlite
class TestFileBroker:
    def test_bells_ring_through_files(self, settings: Settings, database: Database, tmp_path: Path) -> None:
        folder = tmp_path / "messages"
        folder.mkdir()
        files = settings.model_copy(update={"broker_url": f"filesystem://{folder}", "reconcile_seconds": 60.0})
        worker = Worker(Settings(**files.model_dump(exclude_defaults=True)), tmp_path / "worker.log")
        try:
            desk = Desk(files, database)
            asked = {"kind": "solve", "solver": "lab_program", "seed": 1}
            job_id = desk.submit(instance_id=desk.instance(small_document()), **asked)
            assert desk.finished(job_id).state == "succeeded"  # the reconciler would not have looked yet
            assert worker.stop() == 0
        finally:
            worker.kill()
