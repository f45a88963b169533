"""Clients that repeat themselves, go away in the middle, and change their minds at any moment."""

from __future__ import annotations

import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import func, select

from service.db.rows import JobRow, PolicyRow
from service.ids import new_id
from service.jobs import lifecycle
from service.jobs.repository import Lease
from service.jobs.states import FINISHED, HELD
from tests.faults.plant import Plant, end_events, lab, once, said
from tests.faults.report import Recovery, fault


def number_of_jobs(site: Plant) -> int:
    with site.database.read() as session:
        return session.scalar(select(func.count()).select_from(JobRow)) or 0


@fault("50 equal POSTs at once with one key, to two API processes", "one job; every answer is that job or 'wait'")
def test_fifty_equal_posts(site: Plant, instance_id: str) -> None:
    before, body, key = number_of_jobs(site), lab(instance_id), {"Idempotency-Key": new_id("idm")}

    def post(number: int) -> httpx.Response:
        with site.apis[number % 2].client() as client:
            return client.post("/v1/jobs", json=body, headers=key)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(post, range(50)))
    made = {answer.json()["id"] for answer in answers if answer.status_code == 202}
    others = {(answer.status_code, said(answer)) for answer in answers if answer.status_code != 202}
    assert others <= {(409, "request-in-progress")}
    assert len(made) == 1
    assert {post(number).json()["id"] for number in range(2)} == made
    assert number_of_jobs(site) == before + 1


def raw(site: Plant, head: str, body: bytes) -> socket.socket:
    """A connection on which this has been sent."""
    connection = socket.create_connection(("127.0.0.1", site.apis[0].port), timeout=10)
    host = f"Host: 127.0.0.1:{site.apis[0].port}\r\n"
    connection.sendall((head + host + "\r\n").encode() + body)
    return connection


@fault(
    "clients that vanish in the middle of a POST",
    "half a body makes nothing; a whole one makes one job, with a key to find it by",
)
def test_gone_in_a_post(site: Plant, instance_id: str, client: httpx.Client, recovery: Recovery) -> None:
    body = httpx.Request("POST", "http://x", json=lab(instance_id)).read()
    before = number_of_jobs(site)
    for number in range(20):
        key = f"Idempotency-Key: gone-{instance_id}-{number}\r\n"
        head = f"POST /v1/jobs HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{key}"
        sent = body[: len(body) // 2] if number % 2 else body
        raw(site, head, sent).close()
    with recovery.within():
        assert client.get("/healthz/ready").status_code == 200
        for number in range(20):
            key_of = {"Idempotency-Key": f"gone-{instance_id}-{number}", "Content-Type": "application/json"}
            answer = _patiently(lambda key_of=key_of: client.post("/v1/jobs", content=body, headers=key_of))
            assert answer.status_code == 202, answer.text
    assert number_of_jobs(site) == before + 20, "no key has two jobs"


def _patiently(post: Any) -> httpx.Response:
    """The answer, once an earlier request with the same key is through."""
    while (answer := post()).status_code == 409:
        time.sleep(0.2)
    return answer


@fault("30 clients that vanish in the middle of an event stream", "their connections are let go; others' streams go on")
def test_gone_in_a_stream(site: Plant, instance_id: str, client: httpx.Client, recovery: Recovery) -> None:
    job_id = site.desk.submit(**lab(instance_id))
    process = psutil.Process(site.apis[0].process.pid)  # type: ignore[union-attr]

    def connections() -> int:
        return sum(c.status == psutil.CONN_ESTABLISHED for c in process.net_connections("tcp"))

    before = connections()
    head = f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nAccept: text/event-stream\r\n"
    streams = [raw(site, head, b"") for _ in range(30)]
    assert all(stream.recv(4096).startswith(b"HTTP/1.1 200") for stream in streams)
    assert connections() >= before + 30
    with client.stream("GET", f"/v1/jobs/{job_id}/events", headers={"Accept": "text/event-stream"}) as ours:
        for stream in streams:
            stream.close()
        with recovery.within():
            once(lambda: connections() <= before + 1)
        site.desk.cancel(job_id)
        assert "event: end" in "".join(ours.iter_text())


def held_in(site: Plant, instance_id: str, state: str) -> Lease:
    """A job in one of the states a worker holds it in, held by this test."""
    job_id = site.desk.submit(rung=False, **lab(instance_id))
    with site.database.write() as session:
        lease = lifecycle.claim(session, job_id, f"test:{new_id('wrk')}", 600.0)
        assert lease is not None
        lifecycle.write(session, lease, {"state": state})
    return lease


@pytest.mark.parametrize("state", ["queued", *HELD, *FINISHED])
@fault("cancel in every state, twice", "the job ends once; a finished one stays what it is")
def test_cancel_in_every_state(site: Plant, instance_id: str, client: httpx.Client, state: str) -> None:
    if state == "queued":
        job_id = site.desk.submit(rung=False, **lab(instance_id))
    else:
        lease = held_in(site, instance_id, state if state in HELD else "running")
        job_id = lease.job_id
        if state in FINISHED:
            with site.database.write() as session:
                lifecycle.finish(session, lease, state)  # type: ignore[arg-type]
    answers = [client.post(f"/v1/jobs/{job_id}/cancel") for _ in range(2)]
    assert all(answer.status_code in (200, 202) for answer in answers)
    expected = {"queued": "cancelled", **dict.fromkeys(HELD, "cancelling")}.get(state, state)
    assert [answer.json()["state"] for answer in answers] == [expected] * 2
    if state in HELD:
        with site.database.write() as session:
            lifecycle.finish(session, lease, "cancelled")
    assert len(end_events(site.desk, job_id)) == 1


@fault("cancel racing completion, 8 jobs", "each ends once, succeeded with one policy or cancelled with at most one")
def test_cancel_racing_completion(site: Plant, instance_id: str, client: httpx.Client) -> None:
    site.worker()
    site.listening()
    draw, waiting = random.Random(7), {}
    warm = site.desk.finished(site.desk.submit(**lab(instance_id, iterations=1)), 150)
    assert warm.started_at is not None
    assert warm.finished_at is not None
    takes = (warm.finished_at - warm.started_at).total_seconds()
    for _ in range(8):
        waiting[site.desk.submit(**lab(instance_id, iterations=1))] = draw.uniform(0.6, 1.1) * takes
    while waiting:
        for job_id, moment in list(waiting.items()):
            job = site.desk.job(job_id)
            if job.state in FINISHED or (job.started_at is not None and _age(job.started_at) >= moment):
                assert client.post(f"/v1/jobs/{job_id}/cancel").status_code in (200, 202)
                _ends_once(site, job_id)
                del waiting[job_id]
        time.sleep(0.05)


def _age(moment: datetime) -> float:
    return (datetime.now(moment.tzinfo) - moment).total_seconds()


def _ends_once(site: Plant, job_id: str) -> None:
    job = site.desk.finished(job_id, 150)
    assert job.state in ("succeeded", "cancelled"), site.desk.tell(job_id)
    assert len(end_events(site.desk, job_id)) == 1
    with site.database.read() as session:
        made = session.scalars(select(PolicyRow).where(PolicyRow.job_id == job_id)).all()
    learned = [policy for policy in made if policy.solver == "lab" and policy.id == job.policy_id]
    assert len(learned) == 1 if job.state == "succeeded" else len(learned) <= 1


@fault("two reconcilers and a worker gone", "the job is queued again once")
def test_two_reconcilers(site: Plant, instance_id: str, recovery: Recovery) -> None:
    lease = held_in(site, instance_id, "running")
    with site.database.write() as session:
        lifecycle.renew(session, lease, 3.0, 0.0)
    with recovery.within():
        site.worker()
        site.worker()
        site.listening(2)
        once(lambda: site.desk.job(lease.job_id).lost_workers == 1, 60, site.tell)
    site.desk.cancel(lease.job_id)
    site.desk.finished(lease.job_id, 150)
    assert site.desk.states(lease.job_id).count("queued") == 2
    assert site.desk.job(lease.job_id).lost_workers == 1
