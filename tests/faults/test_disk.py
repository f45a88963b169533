"""A disk that fills up under a running service: on a small file system of its own, which only root can mount."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.plant import Plant, end_events, lab, once, plant, quick, said, small
from tests.faults.report import Recovery, fault
from tests.servers import NoServer

MEGABYTES = 48


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of some megabytes."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system to fill")
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={MEGABYTES}m", "none", str(folder)]
    if subprocess.run(["mount", *options], capture_output=True).returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def site(disk: Path) -> Iterator[Plant]:
    """SQLite, artifacts and job folders on that file system."""
    try:
        with plant("sqlite", data_dir=disk / "data", min_free_mb=1) as made:
            made.api()
            yield made
    except NoServer as error:
        pytest.skip(str(error))


def fill(folder: Path) -> Path:
    """A file that takes all the room there is."""
    path = folder / "filler"
    with path.open("ab", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return path


def _refusal(client: httpx.Client, instance_id: str, disk: Path) -> httpx.Response | None:
    """The first answer that is no success: pages the database holds already may take a few rows more."""
    answer = client.post("/v1/jobs", json=quick(instance_id))
    fill(disk)
    return None if answer.status_code == 202 else answer


@fault(
    "a full disk (SQLite and artifacts on it)",
    "writes answer 507, reads go on; with room again all go on, no attempt used",
)
def test_full_disk(site: Plant, disk: Path, recovery: Recovery) -> None:
    site.worker()
    instance_id = site.desk.instance(small())
    job_id = site.desk.submit(**lab(instance_id, iterations=150, pace=0.1), policy_name="p")
    site.desk.at_checkpoint(job_id, 90)
    with site.apis[0].client() as client:
        filler = fill(disk)
        refused = once(lambda: _refusal(client, instance_id, disk))
        assert (refused.status_code, said(refused)) == (507, "storage-full")
        assert client.get(f"/v1/jobs/{job_id}").status_code == 200
        assert client.get("/healthz/live").status_code == 200
        assert client.get("/healthz/ready").status_code == 503
        for _ in range(15):  # longer than a lease
            fill(disk)
            assert client.get(f"/v1/jobs/{job_id}").status_code == 200
            time.sleep(1)
        filler.unlink()
        with recovery.within():
            accepted = client.post("/v1/jobs", json=quick(instance_id))
            assert accepted.status_code == 202, accepted.text
    job = site.desk.finished(job_id, 150)
    assert (job.state, job.attempt, job.lost_workers) == ("succeeded", 1, 0), site.desk.tell(job_id)
    for each in (job_id, accepted.json()["id"]):
        assert site.desk.finished(each, 150).state == "succeeded"
        assert len(end_events(site.desk, each)) == 1
