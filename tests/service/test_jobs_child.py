"""The parts of a job's child on their own: checkpoints, reports, what it tells and hears."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from service.db.rows import PolicyRow
from service.db.session import Database
from service.jobs import checkpoint, lifecycle, outcomes, repository
from service.jobs.lifecycle import LeaseLost
from service.jobs.process import Order
from service.jobs.reporting import Reporter
from service.jobs.repository import Lease
from service.jobs.work import Control
from service.settings import Settings
from solvers.artifact import PolicyArtifact
from tests.service.test_jobs_lifecycle import events_of, job_of


class TestCheckpoints:
    def test_what_is_saved_is_loaded(self, tmp_path: Path) -> None:
        shared = torch.arange(6.0)
        optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))])
        state = {
            "iteration": 7,
            "best": math.inf,
            "nothing": None,
            "flag": True,
            "name": "naïve",
            "tiny": 5e-324,
            "pair": (1, [2.5, "x"]),
            "weights": {"a": shared, "b": shared.view(2, 3).T, "none": torch.zeros(0)},
            "whole": torch.tensor([1, 2], dtype=torch.uint8),
            "optimizer": optimizer.state_dict(),
            "random": random.Random(1).getstate(),
            "numbered": {0: {"step": torch.tensor(3.0)}},
        }
        size = checkpoint.save(tmp_path, state)
        found = checkpoint.load(tmp_path)
        assert found is not None
        assert size == (tmp_path / checkpoint.NAME).stat().st_size
        for name in ("iteration", "best", "nothing", "flag", "name", "tiny", "pair", "optimizer", "random"):
            assert found[name] == state[name], name
        assert torch.equal(found["weights"]["b"], shared.view(2, 3).T)
        assert found["whole"].dtype == torch.uint8
        assert found["numbered"][0]["step"] == 3.0
        random.Random().setstate(found["random"])
        optimizer.load_state_dict(found["optimizer"])

    def test_a_new_one_replaces_the_old_and_leaves_nothing_beside_it(self, tmp_path: Path) -> None:
        for iteration in (1, 2):
            checkpoint.save(tmp_path, {"iteration": iteration})
        assert checkpoint.load(tmp_path) == {"iteration": 2}
        assert [path.name for path in tmp_path.iterdir()] == [checkpoint.NAME]

    def test_what_cannot_be_kept_is_refused_and_the_old_one_stays(self, tmp_path: Path) -> None:
        checkpoint.save(tmp_path, {"iteration": 1})
        with pytest.raises(TypeError, match="Path"):
            checkpoint.save(tmp_path, {"iteration": 2, "path": tmp_path})
        assert checkpoint.load(tmp_path) == {"iteration": 1}

    def test_none_is_none_and_a_damaged_one_is_said_to_be(self, tmp_path: Path) -> None:
        assert checkpoint.load(tmp_path) is None
        checkpoint.save(tmp_path, {"iteration": 1})
        path = tmp_path / checkpoint.NAME
        path.write_bytes(path.read_bytes()[:20])
        with pytest.raises(checkpoint.CheckpointError):
            checkpoint.load(tmp_path)


class TestReports:
    @pytest.fixture
    def lease(self, make_job: Callable[..., str], claim: Callable[..., Lease]) -> Lease:
        return claim(make_job())

    @pytest.fixture
    def reporter(self, database: Database, lease: Lease) -> Reporter:
        return Reporter(database, lease, iterates=True, on_lost=lambda: None)

    def written(self, database: Database, lease: Lease) -> list[tuple[str, dict[str, Any]]]:
        return [(event.type, event.data) for event in events_of(database, lease.job_id)[2:]]

    def test_a_flood_of_iterations_becomes_one_report(
        self, database: Database, lease: Lease, reporter: Reporter
    ) -> None:
        for i in range(1, 1001):
            reporter.iteration(i, 2000, {"cost": 5.0 + 1 / i, "best_cost": 5.0 + 1 / i, "gradient_norm": 0.5})
        reporter.line("one\0")
        reporter.line("two")
        reporter.flush()
        found = self.written(database, lease)
        kinds = [kind for kind, _ in found]
        assert kinds == ["incumbent", "log", "metric", "metric", "metric", "progress"]
        progress = job_of(database, lease.job_id).progress
        assert progress is not None
        assert found[-1] == ("progress", progress)
        assert (progress["iteration"], progress["fraction"], progress["best_cost"]) == (1000, 0.5, 5.001)
        assert progress["eta_seconds"] >= 0
        assert found[0] == ("incumbent", {"iteration": 1000, "cost": 5.001})
        assert found[1] == ("log", {"text": "one\ufffd\ntwo"})
        reporter.flush()
        assert len(self.written(database, lease)) == len(found), "nothing new, nothing written"

    def test_it_writes_twice_a_second_at_most(self, database: Database, lease: Lease, reporter: Reporter) -> None:
        reporter.start()
        until, i = time.monotonic() + 1.3, 0
        while time.monotonic() < until:
            i += 1
            reporter.iteration(i, 10**6, {"cost": 1.0})
            time.sleep(0.001)
        reporter.close()
        progress = [data for kind, data in self.written(database, lease) if kind == "progress"]
        assert len(progress) <= 4
        assert progress[-1]["iteration"] == i

    def test_what_is_not_a_number_is_left_out(self, database: Database, lease: Lease, reporter: Reporter) -> None:
        reporter.iteration(1, 2, {"cost": math.nan, "best_cost": math.inf, "gradient_norm": 1.0})
        reporter.flush()
        found = self.written(database, lease)
        assert [data["name"] for kind, data in found if kind == "metric"] == ["gradient_norm"]
        assert "cost" not in dict(found)["progress"]

    def test_a_database_that_is_away_loses_no_log_line(
        self, database: Database, lease: Lease, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*args: object, **more: object) -> None:
            raise OperationalError("", {}, Exception())

        reporter.line("kept")
        with monkeypatch.context() as patch:
            patch.setattr(lifecycle, "write", away)
            reporter.flush()
        assert self.written(database, lease) == []
        reporter.line("later")
        reporter.flush()
        texts = [data["text"] for kind, data in self.written(database, lease) if kind == "log"]
        assert texts == ["kept", "later"]

    def test_a_lost_lease_is_noticed(self, database: Database, lease: Lease) -> None:
        lost: list[bool] = []
        reporter = Reporter(database, lease, iterates=True, on_lost=lambda: lost.append(True))
        with database.write() as session:
            job = repository.get(session, lease.job_id)
            assert job is not None
            job.worker = "another"
        reporter.start()
        reporter.line("late")
        deadline = time.monotonic() + 5
        while not lost and time.monotonic() < deadline:
            time.sleep(0.05)
        assert lost == [True]
        assert self.written(database, lease) == []


class TestControl:
    def test_the_first_wish_counts(self) -> None:
        control = Control(60.0)
        assert control.should_stop() is False
        control.wish("cancel")
        control.wish("release")
        assert control.should_stop() is True
        assert (control.cancelled, control.released, control.late) == (True, False, False)

    def test_time_runs_out(self) -> None:
        control = Control(0.05)
        time.sleep(0.06)
        assert control.late
        assert control.should_stop()
        assert control.seconds_left == 0.0


class TestOutcomes:
    def test_jobs_that_end_at_once_get_versions_of_their_own(
        self,
        database: Database,
        make_job: Callable[..., str],
        claim: Callable[..., Lease],
    ) -> None:
        leases = [claim(make_job(policy_name="north"), f"w{i}") for i in range(6)]
        gate = threading.Barrier(len(leases))

        def end(lease: Lease) -> None:
            job = job_of(database, lease.job_id)
            with database.read() as session:
                instance = repository.instance(session, job.instance_id)
            assert instance is not None
            gate.wait()
            outcomes.store(database, lease, job, instance, trained())

        threads = [threading.Thread(target=end, args=(lease,)) for lease in leases]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with database.read() as session:
            rows = session.scalars(select(PolicyRow)).all()
        assert sorted((row.name, row.version) for row in rows) == sorted(
            (name, version) for name in ("north", "north-base_stock") for version in range(1, 7)
        )
        jobs = [job_of(database, lease.job_id) for lease in leases]
        assert {job.state for job in jobs} == {"succeeded"}
        rules = {row.id: row for row in rows if row.name != "north"}
        for row in rows:
            assert row.id in rules or row.card["better_rule"] in rules
            assert row.recommended_for_use == (row.id in rules)

    def test_nothing_is_kept_for_a_lost_lease(
        self,
        database: Database,
        make_job: Callable[..., str],
        claim: Callable[..., Lease],
    ) -> None:
        lease = claim(make_job(policy_name="north"))
        job = job_of(database, lease.job_id)
        with database.write() as session:
            instance = repository.instance(session, job.instance_id)
            lifecycle.give_back(session, lease)
        assert instance is not None
        with pytest.raises(LeaseLost):
            outcomes.store(database, lease, job, instance, trained())
        with database.read() as session:
            assert session.scalars(select(PolicyRow)).all() == []


def trained() -> outcomes.Trained:
    """A learned policy that a rule beats, as if their artifacts were on disk."""

    def kept(family: str, recommended: bool) -> outcomes.Kept:
        certificate = {"recommended_for_use": recommended}
        given: dict[str, Any] = {"weights": {}, "training_range": {}, "description": {}, "curve": [], "training": {}}
        given |= {"problem": "p", "solver": "lab", "config": {}, "seed": 1, "instance": {}}
        return outcomes.Kept(PolicyArtifact(family=family, certificate=certificate, **given), "sha256:" + "0" * 64)

    return outcomes.Trained(kept("mlp", False), kept("base_stock", True), "finished")


def test_an_order_survives_the_pipe(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, database_url="postgresql://u:p@h/d", lease_seconds=3.5)
    order = Order(Lease("job_x", "w", 2), settings, 12.5, traceparent="00-a-b-01")
    found = Order.read(order.line())
    told = settings.model_copy(update={"device": "cpu"})  # without a GPU of its own a job computes on the CPU
    assert (found.lease, found.settings, found.elapsed) == (order.lease, told, 12.5)
    assert (found.traceparent, found.gpu) == ("00-a-b-01", None)
    assert order.line().count(b"\n") == 1
