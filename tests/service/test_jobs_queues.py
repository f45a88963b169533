"""Two queues: what needs no GPU, and what asks for one. Who serves what, and which GPU a job sees."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from service.db.migrate import upgrade
from service.db.rows import WorkerRow, utcnow
from service.db.session import Database
from service.ids import new_id
from service.jobs import places, service
from service.jobs.bell import ring_after_commit
from service.jobs.places import NoGpu, Place, Places, Room, gpus_here, queue_name, queue_of
from service.settings import Settings
from service.storage import Storage
from solvers import registry
from tests.cli.terminal import say
from tests.service.api_server import Server, example_document, make_settings, running
from tests.service.lab import LAB, LAB_PROGRAM
from tests.service.workers import Desk, Worker, eventually


class TestRoom:
    @pytest.fixture(autouse=True)
    def _no_gpus(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr(places, "_DEVICE_FILES", tmp_path)

    def test_without_gpus_a_worker_serves_the_cpu_alone(self) -> None:
        assert Room.of(Settings(concurrency=3)).slots == {"cpu": 3}

    def test_with_gpus_it_serves_both_with_a_slot_for_each_gpu(self, tmp_path: Path) -> None:
        for name in ("nvidia0", "nvidia5", "nvidiactl", "nvidia-uvm"):
            (tmp_path / name).touch()
        assert gpus_here(Settings()) == ("0", "1"), "CUDA counts from 0"
        room = Room.of(Settings(concurrency=2))
        assert (room.slots, room.total) == ({"cpu": 2, "gpu": 2}, 4)
        assert Room.of(Settings(device="cpu")).slots == {"cpu": 1}

    def test_gpus_are_those_it_was_told_of_or_may_see(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-8932f937")
        assert gpus_here(Settings()) == ("2", "GPU-8932f937")
        assert gpus_here(Settings(gpus=["7", "9"])) == ("7", "9")
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        assert gpus_here(Settings()) == ()

    def test_a_worker_of_one_queue_has_no_room_for_the_other(self) -> None:
        assert Room.of(Settings(gpus=["7"], queues=["gpu"])).slots == {"gpu": 1}
        room = Room.of(Settings(gpus=["7"], queues=["cpu"]))
        assert (room.slots, room.gpus) == ({"cpu": 1}, ())

    @pytest.mark.parametrize("given", [{"queues": ["gpu"]}, {"device": "cuda"}])
    def test_who_is_to_use_gpus_and_has_none_does_not_start(self, given: dict[str, Any]) -> None:
        with pytest.raises(NoGpu, match="HERENOW_GPUS"):
            Room.of(Settings(**given))

    def test_queues_have_names_of_their_own(self) -> None:
        settings = Settings(queue="plans")
        assert [queue_name(settings, queue_of(device)) for device in ("auto", "cpu", "gpu")] == [
            "plans",
            "plans",
            "plans.gpu",
        ]


class TestPlaces:
    def test_each_gpu_is_given_once(self) -> None:
        taken = Places(Room(("cpu", "gpu"), 1, ("7", "9")))
        with taken.taken("gpu") as first, taken.taken("gpu") as second, taken.taken("gpu") as none:
            assert {first, second} == {Place("7"), Place("9")}
            assert none is None
        with taken.taken("gpu") as again:
            assert again is not None

    def test_auto_takes_a_gpu_and_then_the_cpu(self) -> None:
        taken = Places(Room(("cpu", "gpu"), 1, ("7",)))
        with taken.taken("auto") as first, taken.taken("auto") as second, taken.taken("auto") as none:
            assert (first, second, none) == (Place("7"), Place(), None)

    def test_one_is_waited_for(self) -> None:
        taken = Places(Room(("cpu",), 1, ()))
        with taken.taken("cpu") as held:
            assert held == Place()
            release = threading.Event()
            found: list[Place | None] = []

            def wait() -> None:
                with taken.taken("cpu", 10.0) as place:
                    found.append(place)
                    release.set()

            threading.Thread(target=wait, daemon=True).start()
            time.sleep(0.1)
            assert not found
        assert release.wait(10)
        assert found == [Place()]


class TestAsking:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Server]:
        with running(make_settings(tmp_path)) as server:
            yield server

    def test_a_job_on_a_queue_nobody_serves_says_so(self, server: Server) -> None:
        with server.client() as client:
            instance_id = client.post("/v1/instances", json=example_document()).json()["id"]
            asked = {"kind": "train", "instance_id": instance_id, "solver": "hdpo", "config": {"iterations": 1}}
            jobs = {d: client.post("/v1/jobs", json=asked | {"device": d}).json() for d in ("auto", "cpu", "gpu")}
            assert {job["device"] for job in jobs.values()} == {"auto", "cpu", "gpu"}

            def waits() -> dict[str, str | None]:
                alone = {name: client.get(f"/v1/jobs/{job['id']}").json()["waiting_for"] for name, job in jobs.items()}
                listed = {job["device"]: job["waiting_for"] for job in client.get("/v1/jobs").json()["items"]}
                assert alone == listed
                return alone

            cpu, gpu = (f"No live worker serves the queue {queue}." for queue in ("cpu", "gpu"))
            assert waits() == {"auto": cpu, "cpu": cpu, "gpu": gpu}
            add_worker(server.database, ["cpu"], [])
            assert waits() == {"auto": None, "cpu": None, "gpu": gpu}
            queues = client.get("/v1/queue").json()["queues"]
            assert [(queues[name]["queued"], queues[name]["slots"]) for name in ("cpu", "gpu")] == [(2, 2), (1, 0)]
            add_worker(server.database, ["gpu"], ["7", "9"], age=3600.0)  # it is not seen any more
            assert waits()["gpu"] == gpu
            add_worker(server.database, ["gpu"], ["7", "9"])
            assert waits()["gpu"] is None
            assert client.get("/v1/queue").json()["queues"]["gpu"]["slots"] == 2
            shown = {tuple(w["queues"]): (w["slots"], w["gpus"]) for w in client.get("/v1/workers").json()["items"]}
            assert shown == {("cpu",): ({"cpu": 2}, []), ("gpu",): ({"gpu": 2}, ["7", "9"])}

    def test_what_trains_nothing_needs_no_gpu(self, server: Server) -> None:
        with server.client() as client:
            instance_id = client.post("/v1/instances", json=example_document()).json()["id"]
            asked = {"kind": "evaluate", "instance_id": instance_id, "rules": ["base_stock"]}
            assert client.post("/v1/jobs", json=asked).json()["device"] == "cpu"
            refused = client.post("/v1/jobs", json=asked | {"device": "gpu"})
            assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/device")

    def test_a_repeated_job_asks_for_the_same(self, server: Server) -> None:
        with server.client() as client:
            instance_id = client.post("/v1/instances", json=example_document()).json()["id"]
            asked = {"kind": "train", "instance_id": instance_id, "solver": "hdpo", "device": "gpu"}
            job_id = client.post("/v1/jobs", json=asked).json()["id"]
            client.post(f"/v1/jobs/{job_id}/cancel")
            assert client.post(f"/v1/jobs/{job_id}/retry").json()["device"] == "gpu"


def test_the_command_line_refuses_a_queue_there_is_not() -> None:
    result = say("worker", "--queue", "tpu")
    assert result.exit_code == 2
    assert "HERENOW_QUEUES" in result.stderr


def add_worker(database: Database, queues: list[str], gpus: list[str], age: float = 0.0) -> None:
    """A worker that told of itself so many seconds ago."""
    now = utcnow()
    row = WorkerRow(id=new_id("wrk"), name=f"w:{secrets.token_hex(4)}", queue="herenow", queues=queues, gpus=gpus)
    row.concurrency, row.device, row.version = 2, "auto", "1"
    row.started_at, row.seen_at = now, now - timedelta(seconds=age)
    with database.write() as session:
        session.add(row)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("queues")
    shared: dict[str, Any] = {"data_dir": folder, "broker_url": redis_url, "queue": f"test-{secrets.token_hex(6)}"}
    shared |= {"heartbeat_seconds": 0.5, "reconcile_seconds": 0.5}
    settings = Settings(**shared, queues=["cpu"])
    Storage(folder).prepare()
    database = Database(settings.database)
    upgrade(database)
    with pytest.MonkeyPatch.context() as patch:
        for solver in (LAB, LAB_PROGRAM):
            patch.setitem(registry._SOLVERS, solver.name, solver)
        workers = [
            Worker(settings, folder / "cpu.log"),
            Worker(Settings(**shared, queues=["gpu"], gpus=["7", "9"]), folder / "gpu.log"),
        ]
        try:
            yield Desk(settings, database)
            assert [worker.stop() for worker in workers] == [0, 0]
        finally:
            for worker in workers:
                worker.kill()
            database.close()


@pytest.fixture(scope="module")
def instance_id(desk: Desk) -> str:
    return desk.instance({**example_document("one-store-backlogged"), "periods": 8, "warmup_periods": 2})


@pytest.mark.processes
class TestWorkers:
    """A worker of each queue, the second with two GPUs that are not there: what counts is what children see."""

    def enqueue(self, desk: Desk, instance_id: str, device: str, pace: float) -> str:
        """A job that says which GPUs its process sees, and takes its time."""
        columns: dict[str, Any] = {"kind": "solve", "solver": "lab_program", "instance_id": instance_id, "request": {}}
        columns |= {"config": {"status": "optimal", "pace": pace}, "seed": 1, "time_limit_seconds": 60.0}
        with desk.database.write() as session:
            job = service.enqueue(session, desk.settings, device=device, **columns)
            ring_after_commit(session, desk.database, desk._bell, job.id)
        return job.id

    def test_each_child_sees_the_gpu_that_is_its_own(self, desk: Desk, instance_id: str) -> None:
        def live() -> bool:
            with desk.database.read() as session:
                return len(session.scalars(select(WorkerRow)).all()) == 2

        eventually(live)
        on_gpus = [self.enqueue(desk, instance_id, "gpu", 6.0) for _ in range(3)]
        on_cpu = self.enqueue(desk, instance_id, "auto", 0.0)
        seen = {}
        for job_id in (on_cpu, *on_gpus):
            assert desk.finished(job_id, 120).state == "succeeded", desk.tell(job_id)
            (seen[job_id],) = (x for x in desk.log(job_id).splitlines() if x.startswith("GPUs seen:"))
        assert seen[on_cpu] == "GPUs seen: "
        assert [seen[job_id] for job_id in on_gpus[:2]].count("GPUs seen: 7") == 1
        assert {seen[job_id] for job_id in on_gpus} == {"GPUs seen: 7", "GPUs seen: 9"}
        started = [desk.job(job_id) for job_id in on_gpus]
        third = max(started, key=lambda job: job.started_at or utcnow())
        ends = [job.finished_at for job in started if job is not third]
        assert third.started_at is not None
        assert third.started_at >= min(end for end in ends if end is not None), "three jobs on two GPUs at once"
        assert {job.worker.split(":")[1] for job in started if job.worker} != {
            (desk.job(on_cpu).worker or "").split(":")[1]
        }

    def test_a_training_whose_gpu_is_not_there_says_so(self, desk: Desk, instance_id: str) -> None:
        asked: dict[str, Any] = {"kind": "train", "instance_id": instance_id, "solver": "lab", "device": "gpu"}
        job = desk.finished(desk.submit(**asked, time_limit="PT10S"), 90)
        assert job.error is not None
        assert job.error["type"] == "/problems/gpu-unavailable", desk.tell(job.id)
        assert "GPU" in job.error["detail"]
        assert f"computes on GPU {job.error['detail'].split('GPU ')[1].split(',')[0]}" in desk.log(job.id)
