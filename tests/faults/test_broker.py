"""Redis killed, emptied, restarted and frozen: it only rings the bell, so nothing but a moment may be lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.faults.plant import Plant, end_events, lab, once, plant, quick, small
from tests.faults.report import Recovery, fault
from tests.servers import NoServer
from tests.service.workers import Desk


def submit(site: Plant, instance_id: str) -> str:
    """A quick job, over HTTP."""
    with site.apis[0].client() as client:
        answer = client.post("/v1/jobs", json=quick(instance_id))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def works(site: Plant, instance_id: str) -> None:
    """A job submitted now is taken."""
    taken(site, submit(site, instance_id))


def taken(site: Plant, *job_ids: str) -> None:
    """All of these have been claimed by a worker."""
    for job_id in job_ids:
        once(lambda job_id=job_id: "starting" in site.desk.states(job_id), 60, site.tell)


def ended_once(desk: Desk, *job_ids: str) -> None:
    """All of these succeed, in one attempt, with one end."""
    for job_id in job_ids:
        job = desk.finished(job_id, 150)
        assert (job.state, job.attempt, job.lost_workers) == ("succeeded", 1, 0), desk.tell(job_id)
        assert len(end_events(desk, job_id)) == 1


@pytest.fixture
def broken(site: Plant) -> Iterator[Plant]:
    """The plant with one worker; Redis runs again afterwards, whatever the test did to it."""
    site.worker()
    site.listening()
    yield site
    if site.redis.process is not None and site.redis.process.poll() is not None:
        site.redis.start()


@fault("kill -9 of Redis, 30 s away", "submissions are accepted meanwhile; all run once within 20 s of its return")
def test_killed_redis(broken: Plant, instance_id: str, recovery: Recovery) -> None:
    site = broken
    running = site.desk.submit(**lab(instance_id, iterations=80, pace=0.5))
    taken(site, running)
    site.redis.kill()
    began = time.monotonic()
    waiting = [submit(site, instance_id) for _ in range(3)]
    assert time.monotonic() - began < 20, "a broker that is away holds nobody up"
    time.sleep(max(30 - (time.monotonic() - began), 0))
    with recovery.within():
        site.redis.start()
        taken(site, waiting[0])
    site.desk.cancel(running)
    ended_once(site.desk, *waiting)
    assert site.desk.job(running).lost_workers == 0, "who runs needs no broker"


@fault("Redis emptied (FLUSHALL) with jobs queued", "their bells are rung again; each runs once")
def test_flushed_redis(site: Plant, instance_id: str, recovery: Recovery) -> None:
    waiting = [submit(site, instance_id) for _ in range(3)]
    site.redis.flush()
    site.worker()
    site.listening()
    with recovery.within():
        taken(site, waiting[0])
    site.redis.flush()
    ended_once(site.desk, *waiting)


@fault("three restarts of Redis in a second", "the worker listens again; each job runs once")
def test_restarted_redis(broken: Plant, instance_id: str, recovery: Recovery) -> None:
    site = broken
    began, waiting = time.monotonic(), []
    for _ in range(3):
        site.redis.kill()
        site.redis.start()
        waiting.append(submit(site, instance_id))
    assert time.monotonic() - began < 10
    with recovery.within():
        taken(site, waiting[0])
    ended_once(site.desk, *waiting)


@fault("Redis frozen (SIGSTOP)", "a submission is answered all the same; the job runs when it wakes")
def test_frozen_redis(broken: Plant, instance_id: str, recovery: Recovery) -> None:
    site = broken
    site.redis.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        waiting = submit(site, instance_id)
        assert time.monotonic() - began < 15
    finally:
        site.redis.signal(signal.SIGCONT)
    with recovery.within():
        taken(site, waiting)
    ended_once(site.desk, waiting)


@fault("the same bell delivered twenty times", "one worker claims the job; it runs once")
def test_duplicate_delivery(site: Plant, instance_id: str) -> None:
    site.worker()
    site.worker()
    site.listening(2)
    job_id = site.desk.submit(**quick(instance_id))
    for _ in range(20):
        assert site.desk.ring(job_id)
    ended_once(site.desk, job_id)
    for _ in range(20):
        assert site.desk.ring(job_id)
    time.sleep(2)
    states = site.desk.states(job_id)
    assert states == ["queued", "starting", "running", "finalizing", "succeeded"]


@fault("kill -9 of a Redis with an append-only file", "bells it kept and bells that are rung again: each job runs once")
def test_durable_redis(recovery: Recovery) -> None:
    """The old messages come back together with new ones for the same jobs."""
    try:
        with plant("sqlite", durable=True) as site:
            site.api()
            instance_id = site.desk.instance(small())
            waiting = [submit(site, instance_id) for _ in range(3)]
            site.redis.kill()
            site.redis.start()
            with site.redis.client() as client:
                assert client.llen(site.settings.queue) == 3, "it kept them"
            time.sleep(2)
            site.worker()
            site.listening()
            with recovery.within():
                taken(site, waiting[0])
            ended_once(site.desk, *waiting)
    except NoServer as error:
        pytest.skip(str(error))
