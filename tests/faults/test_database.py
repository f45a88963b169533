"""PostgreSQL killed, away for a minute, and frozen, while jobs run, end and are submitted."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.faults.plant import Plant, end_events, lab, once, quick, said
from tests.faults.report import PATIENCE, Recovery, fault


@pytest.fixture
def running(site: Plant, instance_id: str) -> str:
    """A training of about a quarter of a minute, at its first checkpoint."""
    site.worker()
    job_id = site.desk.submit(**lab(instance_id, iterations=150, pace=0.1), policy_name="p")
    site.desk.at_checkpoint(job_id, 90)
    return job_id


@pytest.fixture(autouse=True)
def _started_again(site: Plant) -> Iterator[None]:
    yield
    assert site.postgres is not None
    if not site.postgres.is_alive:
        site.postgres.start()


def answers(client: httpx.Client, job_id: str) -> bool:
    """Whether the API can read the job."""
    return client.get(f"/v1/jobs/{job_id}").status_code == 200


def unharmed(site: Plant, job_id: str) -> None:
    """It succeeded in its first attempt, with one end and events without a gap."""
    job = site.desk.finished(job_id, 150)
    assert (job.state, job.attempt, job.lost_workers) == ("succeeded", 1, 0), site.desk.tell(job_id)
    assert len(end_events(site.desk, job_id)) == 1
    events = site.desk.events(job_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


@fault("kill -9 of PostgreSQL", "requests answer 503 and work again at once; running jobs lose nothing")
def test_killed_postgres(site: Plant, running: str, client: httpx.Client, recovery: Recovery) -> None:
    assert site.postgres is not None
    site.postgres.kill()
    refused = client.get(f"/v1/jobs/{running}")
    assert (refused.status_code, said(refused)) == (503, "busy")
    assert "Retry-After" in refused.headers
    assert client.get("/healthz/live").status_code == 200
    assert said(client.get("/healthz/ready")) == "not-ready"
    with recovery.within():
        site.postgres.start()
        once(lambda: answers(client, running), 60, site.tell)
    unharmed(site, running)


@fault("60 s without a database, in which a job ends", "the job keeps its lease and its result; no attempt is used")
def test_a_minute_without(
    site: Plant, running: str, instance_id: str, client: httpx.Client, recovery: Recovery
) -> None:
    assert site.postgres is not None
    before = site.desk.job(running)
    site.postgres.kill()
    began = time.monotonic()
    while time.monotonic() - began < 60:
        assert client.post("/v1/jobs", json=quick(instance_id)).status_code == 503
        time.sleep(5)
    with recovery.within():
        site.postgres.start()
        once(lambda: site.desk.job(running).heartbeat_at != before.heartbeat_at, 60, site.tell)
    unharmed(site, running)


@fault("PostgreSQL frozen (SIGSTOP) for 40 s", "nobody takes the silence for a dead worker; no attempt is used")
def test_frozen_postgres(site: Plant, running: str, client: httpx.Client, recovery: Recovery) -> None:
    assert site.postgres is not None
    site.worker()
    site.listening(2)
    site.postgres.signal(signal.SIGSTOP)
    try:
        time.sleep(40)
    finally:
        site.postgres.signal(signal.SIGCONT)
    with recovery.within():
        once(lambda: answers(client, running), 60, site.tell)
    unharmed(site, running)


@fault("PostgreSQL restarted while 12 jobs are submitted", "each 202 is a job that runs; each refusal left nothing")
def test_every_accepted_job_is_there(site: Plant, instance_id: str, recovery: Recovery) -> None:
    """Keys make a repeated POST safe when the answer was lost with the database."""
    assert site.postgres is not None
    site.worker()
    site.listening()
    accepted: dict[str, str] = {}
    with site.apis[0].client() as client:
        for number in range(12):
            if number == 4:
                site.postgres.kill()
            if number == 8:
                site.postgres.start()
            name = f"restart-{number}"
            answer = client.post("/v1/jobs", json=quick(instance_id), headers={"Idempotency-Key": name})
            if answer.status_code == 202:
                accepted[name] = answer.json()["id"]
            else:
                assert (answer.status_code, said(answer)) == (503, "busy")
        with recovery.within():
            for number in range(12):
                name = f"restart-{number}"
                body = quick(instance_id)
                answer = client.post("/v1/jobs", json=body, headers={"Idempotency-Key": name})
                assert answer.status_code == 202
                assert accepted.setdefault(name, answer.json()["id"]) == answer.json()["id"]
    assert len(set(accepted.values())) == 12
    for job_id in accepted.values():
        job = site.desk.finished(job_id, 240 * PATIENCE)
        assert job.state == "succeeded", site.desk.tell(job_id)
        assert len(end_events(site.desk, job_id)) == 1
