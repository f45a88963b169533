"""Workers that lend a hand to a training elsewhere: asked by the bell, found through the shared folder."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from pathlib import Path

import pytest
import torch

from service.db.migrate import upgrade
from service.db.rows import PolicyRow
from service.db.session import Database
from service.ids import new_id
from service.jobs.helpers import FILE, Helpers, Helping, serve_noted
from service.jobs.places import Places, Room
from service.settings import Settings
from service.storage import Storage
from solvers.artifact import PolicyArtifact
from tests.models.hydro_systems import two_buses
from tests.service.workers import Desk, Worker


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("helped")
    settings = Settings(data_dir=folder, broker_url=redis_url, queue=f"test-{secrets.token_hex(6)}", concurrency=2)
    Storage(folder).prepare()
    database = Database(settings.database)
    upgrade(database)
    worker = Worker(settings, folder / "worker.log")
    try:
        yield Desk(settings, database)
        assert worker.stop() == 0
    finally:
        worker.kill()
        database.close()


class TestHelpers:
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        storage = Storage(tmp_path)
        storage.prepare()
        return storage

    def test_without_a_broker_nobody_is_called(self, storage: Storage) -> None:
        with Helpers(Settings(data_dir=storage.root), storage, new_id("job")) as helpers:
            assert helpers.invite(3) == ()

    def test_who_reads_the_folder_is_let_in_and_a_stranger_is_not(
        self, storage: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job_id = new_id("job")
        file = storage.job_folder(job_id) / FILE
        settings = Settings(data_dir=storage.root, broker_url="memory://")
        monkeypatch.setattr("service.jobs.helpers.CALL_SECONDS", 5.0)
        with Helpers(settings, storage, job_id) as helpers:
            monkeypatch.setattr(helpers, "_call", lambda count: True)

            def arrive() -> None:
                while not file.exists():
                    time.sleep(0.01)
                told = json.loads(file.read_text())
                assert file.stat().st_mode & 0o777 == 0o600
                with pytest.raises(AuthenticationError):
                    Client(tuple(told["address"]), authkey=b"guessed")
                serve_noted(file.read_bytes())

            thread = threading.Thread(target=arrive, daemon=True)
            thread.start()
            (came,) = helpers.invite(1)
            assert not file.exists(), "the address stays only while it calls"
            came.close()
            thread.join(5)
            assert not thread.is_alive(), "who helps leaves when the training does"

    def test_a_training_that_cannot_be_understood_is_left_with_a_line(self, caplog: pytest.LogCaptureFixture) -> None:
        with Listener(("127.0.0.1", 0), authkey=b"key") as listener:
            note = json.dumps({"address": listener.address, "key": b"key".hex()}).encode()
            thread = threading.Thread(target=serve_noted, args=(note,), daemon=True)
            thread.start()
            with listener.accept() as training:
                training.send(("lanes", print))  # as a pickle
                with pytest.raises(EOFError):
                    training.recv_bytes()
            thread.join(5)
        assert not thread.is_alive()
        assert "a training is no longer helped: a message cannot be read" in caplog.text

    def test_a_call_that_is_over_is_not_heeded(self, storage: Storage) -> None:
        helping = Helping(storage, Places(Room(("cpu",), 1, ())))
        helping.lend_a_hand(new_id("job"))
        helping.lend_a_hand("../elsewhere")
        serve_noted(json.dumps({"address": ["127.0.0.1", 9], "key": "00"}).encode())
        serve_noted(b"no note")


@pytest.mark.processes
class TestATraining:
    def test_is_helped_by_a_worker_with_a_free_place_and_ends_as_without(self, desk: Desk) -> None:
        instance = desk.instance(two_buses())
        config = {
            "iterations": 3,
            "batch_size": 8,
            "validation_every": 3,
            "validation_scenarios": 4,
            "width": 8,
            "lanes": 2,
            "processes": 1,
        }
        asked = {"kind": "train", "instance_id": instance, "solver": "tsddr", "seed": 5, "time_limit": "PT20S"}
        weights = {}
        for helpers in (1, 0):
            job_id = desk.submit(**asked, config=config | {"helpers": helpers}, policy_name=f"helped-{helpers}")
            job = desk.finished(job_id, 150)
            said = desk.log(job_id)
            assert job.state == "succeeded", said
            assert ("1 of 1 workers lend a hand" in said) == bool(helpers), said
            with desk.database.read() as session:
                digest = session.get_one(PolicyRow, job.policy_id).artifact_digest
            weights[helpers] = PolicyArtifact.load(desk.storage.artifacts, digest).weights
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
