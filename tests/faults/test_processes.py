"""Processes of the service killed, stopped and frozen while a job runs."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress

import httpx
import psutil
import pytest

from tests.faults.plant import Plant, end_events, gone, lab, once, pids_below, quick
from tests.faults.report import Recovery, fault


@pytest.fixture
def job_id(site: Plant, instance_id: str) -> str:
    """A training of some seconds, running on the only worker, with a checkpoint."""
    site.worker()
    job_id = site.desk.submit(**lab(instance_id, iterations=60, pace=0.1), policy_name="p")
    site.desk.at_checkpoint(job_id, 90)
    return job_id


def child_of(site: Plant) -> psutil.Process:
    (child,) = site.children()
    return child


@fault("kill -9 of a job's child", "the job goes on from its checkpoint; one policy")
def test_killed_child(site: Plant, job_id: str, recovery: Recovery) -> None:
    reached = site.desk.at_checkpoint(job_id)
    killed = child_of(site)
    with recovery.within():
        killed.kill()
        once(lambda: site.desk.states(job_id).count("running") == 2, 60, site.tell)
    job = site.desk.finished(job_id, 90)
    assert (job.state, job.attempt, job.lost_workers) == ("succeeded", 2, 1), site.desk.tell(job_id)
    assert "resuming from the checkpoint" in site.desk.log(job_id)
    later = [e.data["iteration"] for e in site.desk.events(job_id) if e.type == "progress" and "iteration" in e.data]
    assert max(later) == 60
    assert reached > 0
    assert len(end_events(site.desk, job_id)) == 1


@fault("kill -9 of a worker", "its child ends with it; another worker takes the job over within 20 s")
def test_killed_worker(site: Plant, job_id: str, recovery: Recovery) -> None:
    """With the lease as it comes: what an operator sees who changes nothing."""
    other = site.worker()
    site.listening(2)
    first = site.workers[0]
    below = pids_below(first.process.pid)
    with recovery.within():
        first.kill()
        once(lambda: site.desk.states(job_id).count("starting") == 2, 60, site.tell)
    assert gone(below), "the child outlived its worker"
    job = site.desk.finished(job_id, 90)
    assert (job.state, job.attempt, job.lost_workers) == ("succeeded", 2, 1), site.desk.tell(job_id)
    assert len(end_events(site.desk, job_id)) == 1
    assert other.stop() == 0


@fault("a worker frozen (SIGSTOP) past its lease", "the job moves on; back to life, the old one can change nothing")
def test_frozen_worker(site: Plant, job_id: str, recovery: Recovery) -> None:
    first = site.workers[0]
    frozen = [psutil.Process(first.process.pid), *psutil.Process(first.process.pid).children(recursive=True)]
    site.worker()
    site.listening(2)
    with recovery.within():
        for process in frozen:
            process.suspend()
        once(lambda: site.desk.states(job_id).count("starting") == 2, 60, site.tell)
    for process in frozen:
        process.resume()
    job = site.desk.finished(job_id, 90)
    assert (job.state, job.attempt, job.lost_workers) == ("succeeded", 2, 1), site.desk.tell(job_id)
    assert len(end_events(site.desk, job_id)) == 1
    assert gone([process.pid for process in frozen[1:]]), "the child of a lost lease went on"
    assert first.process.poll() is None, "the worker is of use again"


@fault("SIGTERM of a worker, as in a deploy", "the job is back in the queue with its checkpoint; no attempt used")
def test_deploy(site: Plant, job_id: str, recovery: Recovery) -> None:
    with recovery.within():
        assert site.workers[0].stop() == 0
        job = site.desk.job(job_id)
        assert (job.state, job.attempt, job.lost_workers, job.worker) == ("queued", 0, 0, None)
    assert not site.children()
    site.worker()
    job = site.desk.finished(job_id, 90)
    assert (job.state, job.attempt, job.lost_workers) == ("succeeded", 1, 0), site.desk.tell(job_id)
    assert "resuming from the checkpoint" in site.desk.log(job_id)


@fault("kill -9 of an API process", "running jobs notice nothing; it answers again as soon as it is started")
def test_killed_api(site: Plant, job_id: str, recovery: Recovery) -> None:
    api = site.apis[0]
    below = pids_below(api.process.pid)  # type: ignore[union-attr]
    api.kill()
    assert gone(below)
    with site.apis[1].client() as other:
        assert other.get(f"/v1/jobs/{job_id}").status_code == 200, "the other replica answers meanwhile"
    with recovery.within():
        api.start()
        with api.client() as client:
            assert client.get(f"/v1/jobs/{job_id}").json()["id"] == job_id
    job = site.desk.finished(job_id, 90)
    assert (job.state, job.attempt, job.lost_workers) == ("succeeded", 1, 0), site.desk.tell(job_id)


@fault("API killed between insert and publish", "the job was accepted, so it runs: a reconciler rings its bell")
def test_api_killed_before_the_bell(site: Plant, instance_id: str, recovery: Recovery) -> None:
    """The broker is frozen, so the API hangs between its commit and its ring, and is killed there."""
    site.worker()
    site.listening()
    api = site.api()
    before = {job["id"] for job in _jobs(site)}
    site.redis.signal(signal.SIGSTOP)
    poster = threading.Thread(target=_post, args=(api.url, quick(instance_id)), daemon=True)
    poster.start()
    made = once(lambda: {job["id"] for job in _jobs(site)} - before or None)
    api.kill()
    poster.join(10)
    site.redis.signal(signal.SIGCONT)
    (job_id,) = made
    with recovery.within():
        once(lambda: "starting" in site.desk.states(job_id), 60, site.tell)
    job = site.desk.finished(job_id, 90)
    assert (job.state, job.attempt) == ("succeeded", 1)


def _jobs(site: Plant) -> list[dict[str, object]]:
    with site.apis[1].client() as client:
        return list(client.get("/v1/jobs").json()["items"])


def _post(url: str, body: dict[str, object]) -> None:
    with suppress(httpx.HTTPError):  # the server dies before it answers
        httpx.post(f"{url}/v1/jobs", json=body, timeout=30)


@fault("a job's own processes (lanes) when their worker is killed", "nothing is left running")
def test_grandchildren(site: Plant) -> None:
    from tests.models.hydro_systems import two_buses

    worker = site.worker()
    config = {"iterations": 100_000, "batch_size": 8, "validation_every": 50, "validation_scenarios": 4, "width": 8}
    asked = {"kind": "train", "instance_id": site.desk.instance(two_buses()), "solver": "tsddr", "time_limit": "PT5M"}
    job_id = site.desk.submit(**asked, config=config | {"lanes": 2, "processes": 2})
    once(lambda: len(pids_below(worker.process.pid)) >= 3, 90, lambda: site.desk.tell(job_id))  # a child and its lanes
    below = pids_below(worker.process.pid)
    worker.kill()
    assert gone(below)
    with site.apis[1].client() as client:
        assert client.post(f"/v1/jobs/{job_id}/cancel").status_code in (200, 202)
    site.worker()
    assert site.desk.finished(job_id, 90).state == "cancelled"
