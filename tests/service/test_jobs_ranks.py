"""Jobs whose training several processes share: on their worker's machine, or lent by other workers."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from service.db.migrate import upgrade
from service.db.rows import JobRow, PolicyRow
from service.db.session import Database
from service.jobs.work import ranks_here
from service.settings import Settings
from service.storage import Storage
from solvers.artifact import PolicyArtifact
from tests.models.named_networks import EXAMPLES
from tests.service.workers import Desk, Worker, eventually

pytestmark = pytest.mark.processes
CONFIG = {"family": "mlp", "width": 8, "batch_size": 7, "validation_every": 10, "validation_scenarios": 17}
LONG = CONFIG | {"iterations": 1_000_000, "ranks": 2}


@pytest.fixture(scope="module")
def lent(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[tuple[Desk, Worker]]:
    """A worker with two places that grants a training one process: another rank is lent by its other place."""
    folder = tmp_path_factory.mktemp("lent")
    queue = f"test-{secrets.token_hex(6)}"
    settings = Settings(data_dir=folder, broker_url=redis_url, queue=queue, concurrency=2, job_ranks=1)
    Storage(folder).prepare()
    database = Database(settings.database)
    upgrade(database)
    worker = Worker(settings, folder / "worker.log")
    try:
        yield Desk(settings, database), worker
        assert worker.stop() == 0
    finally:
        worker.kill()
        database.close()


def trained(desk: Desk, **config: Any) -> tuple[JobRow, PolicyArtifact]:
    """A finished training of the small network, and its policy."""
    document = EXAMPLES["dc-two-stores"]() | {"periods": 8, "warmup_periods": 2}
    asked = {"kind": "train", "instance_id": desk.instance(document), "solver": "hdpo", "seed": 5}
    job = desk.finished(desk.submit(**asked, config=CONFIG | config, time_limit="PT30S"), 240)
    assert job.state == "succeeded", desk.tell(job.id)
    with desk.database.read() as session:
        digest = session.get_one(PolicyRow, job.policy_id).artifact_digest
    return job, PolicyArtifact.load(desk.storage.artifacts, digest)


def helpers(worker: Worker) -> list[psutil.Process]:
    """The processes that lend a hand."""
    found = [child for child in worker.children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in found if "service.jobs.helpers" in child.cmdline()]


def test_a_rank_lent_by_another_place_trains_the_same_policy_and_the_job_says_so(lent: tuple[Desk, Worker]) -> None:
    desk, worker = lent
    job, shared = trained(desk, iterations=20, ranks=2)
    assert job.progress["ranks"] == 2, job.progress
    assert shared.training["ranks"] == 2
    assert "2 of 2 ranks share every batch" in desk.log(job.id)
    assert eventually(lambda: not helpers(worker)), "its place is free again"
    _, alone = trained(desk, iterations=20)
    assert alone.training["ranks"] == 1
    for name, value in alone.weights.items():
        torch.testing.assert_close(shared.weights[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.faults
def test_a_helper_that_is_killed_is_done_without_and_a_cancelled_job_leaves_nobody(lent: tuple[Desk, Worker]) -> None:
    desk, worker = lent
    instance = desk.instance(EXAMPLES["dc-two-stores"]() | {"periods": 8, "warmup_periods": 2})
    asked = {"kind": "train", "instance_id": instance, "solver": "hdpo", "seed": 5, "time_limit": "PT600S"}
    job_id = desk.submit(**asked, config=LONG)
    desk.at_checkpoint(job_id, 120)
    (helper,) = helpers(worker)
    helper.kill()
    # It asks again: the place that was freed may lend a hand once more, or nobody comes.
    eventually(lambda: "training goes on from iteration" in desk.log(job_id), 60)
    before = desk.at_checkpoint(job_id, 60)
    eventually(lambda: desk.at_checkpoint(job_id) > before, 90, lambda: desk.tell(job_id))
    desk.cancel(job_id)
    job = desk.finished(job_id, 120)
    assert job.state == "cancelled", desk.tell(job_id)
    assert eventually(lambda: not worker.children())


def test_a_machine_grants_its_cores_over_the_places_it_has_unless_told(tmp_path: Path) -> None:
    assert ranks_here(Settings(data_dir=tmp_path, job_ranks=3)) == 3
    assert ranks_here(Settings(data_dir=tmp_path, concurrency=256)) == 1
