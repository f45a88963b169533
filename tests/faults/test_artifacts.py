"""Artifacts damaged on the disk, and the sweep at work while others read and write."""

from __future__ import annotations

import os
import random
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from service import housekeeping
from service.db.migrate import upgrade
from service.db.rows import PolicyRow
from service.db.session import Database
from service.housekeeping import collect
from service.settings import Settings
from service.storage import Storage
from solvers.artifact import ArtifactError, PolicyArtifact, folder_of
from tests.faults.plant import Plant, said, small
from tests.faults.report import Recovery, fault
from tests.service.api_server import add_policy

DAMAGES = 150


@pytest.fixture
def stored(site: Plant, recovery: Recovery) -> tuple[str, Path]:
    """A policy and the folder of its artifact."""
    version = 1 + random.SystemRandom().randrange(10**8)
    policy_id = add_policy(site.desk, small(), f"damaged-{version}", version)  # type: ignore[arg-type]
    with site.database.read() as session:
        digest = session.get_one(PolicyRow, policy_id).artifact_digest
    return policy_id, folder_of(site.settings.data_dir / "artifacts", digest)


@fault("an artifact truncated or with one bit flipped, 300 ways", "it is refused by name, never decided with")
def test_damaged_artifact(site: Plant, stored: tuple[str, Path]) -> None:
    draw, root = random.Random(3), site.settings.data_dir / "artifacts"
    digest = f"sha256:{stored[1].name}"
    whole = PolicyArtifact.load(root, digest)
    for path in sorted(stored[1].iterdir()):
        content = path.read_bytes()
        for number in range(DAMAGES):
            path.write_bytes(_damaged(content, draw, is_cut=number % 3 == 0))
            with pytest.raises(ArtifactError):
                PolicyArtifact.load(root, digest)
        path.write_bytes(content)
    again = PolicyArtifact.load(root, digest)
    assert all(torch.equal(again.weights[name], whole.weights[name]) for name in whole.weights)


def _damaged(content: bytes, draw: random.Random, is_cut: bool) -> bytes:
    place = draw.randrange(len(content))
    if is_cut:
        return content[:place]
    flipped = bytearray(content)
    flipped[place] ^= 1 << draw.randrange(8)
    return bytes(flipped)


@fault(
    "the artifact of a policy in use damaged, then restored",
    "recommend answers 503 and names it; then decides as before",
)
def test_damaged_in_use(site: Plant, stored: tuple[str, Path], recovery: Recovery) -> None:
    """On a process that does not hold the policy yet; one that does goes on deciding from memory."""
    policy_id, folder = stored
    with site.apis[0].client() as client, site.apis[1].client() as other:
        before = _decision(client, policy_id)
        weights = folder / "weights.safetensors"
        content = weights.read_bytes()
        weights.write_bytes(_damaged(content, random.Random(1), is_cut=False))
        refused = other.post(f"/v1/policies/{policy_id}/recommend", json={})
        assert (refused.status_code, said(refused)) == (503, "artifact-unavailable")
        assert folder.name in refused.json()["detail"]
        assert _decision(client, policy_id) == before
        weights.write_bytes(content)
        with recovery.within():
            assert _decision(other, policy_id) == before


def _decision(client: httpx.Client, policy_id: str) -> Any:
    answer = client.post(f"/v1/policies/{policy_id}/recommend", json={})
    assert answer.status_code == 200, answer.text
    return answer.json()["decision"]


@fault("the sweep (gc) while policies are stored and read", "no policy that has a row loses its artifact")
def test_sweep_while_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old copies that nobody names yet are saved again, and named a moment later, under a sweep that never rests."""
    settings = Settings(data_dir=tmp_path)
    storage = Storage(settings.data_dir)
    storage.prepare()
    database = Database(settings.database)
    upgrade(database)
    desk: Any = _Desk(settings, database)
    stop = threading.Event()
    trouble: list[BaseException] = []
    monkeypatch.setattr(housekeeping, "GRACE", timedelta(hours=1))

    def sweep() -> None:
        while not stop.is_set():
            try:
                collect(database, storage, timedelta(days=30))
            except BaseException as error:
                trouble.append(error)

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for number in range(60):
            torch.manual_seed(number)  # what is stored again is the same, bit by bit
            policy_id = add_policy(desk, small(), "swept", number + 1)
            with database.read() as session:
                digest = session.get_one(PolicyRow, policy_id).artifact_digest
            PolicyArtifact.load(storage.artifacts, digest)
            _forget(database, policy_id)
            _age(folder_of(tmp_path / "artifacts", digest))
            torch.manual_seed(number)
            again = add_policy(desk, small(), "swept", number + 1)
            with database.read() as session:
                assert session.get_one(PolicyRow, again).artifact_digest == digest
            time.sleep(0.02)
            PolicyArtifact.load(storage.artifacts, digest)
    finally:
        stop.set()
        sweeper.join()
        database.close()
    assert not trouble, trouble


class _Desk:
    """What `add_policy` needs of a server."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings, self.database = settings, database


def _forget(database: Database, policy_id: str) -> None:
    with database.write() as session:
        session.delete(session.get_one(PolicyRow, policy_id))


def _age(folder: Path) -> None:
    """Let the artifact have been written two hours ago, unless the sweep has just taken it."""
    long_ago = time.time() - 7200
    for path in (folder, *folder.glob("*")):
        try:
            os.utime(path, (long_ago, long_ago))
        except FileNotFoundError:
            return
