"""Recommendations for a small network: how many a second and core, how soon, beside streams and jobs, and in excess."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from service.db.rows import RecommendationRow
from tests.load.plant import Plant, drive, start_driver, state_of

pytestmark = pytest.mark.load

SECONDS = 8.0
STREAMS, JOBS = 200, 1000
EXCESS = 10  # times the connections that saturate one process


def recorded(plant: Plant) -> int:
    with plant.database.read() as session:
        return session.scalar(select(func.count()).select_from(RecommendationRow)) or 0


def line(kind: str, what: str, found: dict[str, Any], status: str = "200") -> str:
    good, ms = found["statuses"].get(status, 0), found["ms"].get(status, {})
    rates = f"{good / found['seconds']:,.0f} /s by the clock, {good / found['cpu']:,.0f} per core-second"
    return f"{kind}: {what}: {rates}; p50 {ms.get('p50')} ms, p95 {ms.get('p95')} ms, p99 {ms.get('p99')} ms"


def test_as_many_as_it_can(plant: tuple[str, Plant], told: list[str]) -> None:
    kind, api = plant
    body, before = state_of(api), recorded(api)
    asked = 0
    for connections in (1, 16, 64):
        found = drive(api, body, "--connections", str(connections), "--seconds", str(SECONDS))
        asked += found["statuses"]["200"]
        assert set(found["statuses"]) <= {"200", "503"}, "503 where the machine stalled for seconds"
        told.append(line(kind, f"{connections} connections, each asks again at once", found))
    assert recorded(api) - before == asked, "every answer has its record"


@pytest.mark.parametrize("rate", [250, 500, 1000])
def test_at_a_steady_rate(plant: tuple[str, Plant], told: list[str], rate: int) -> None:
    kind, api = plant
    found = drive(api, state_of(api), "--connections", "64", "--seconds", str(SECONDS), "--rate", str(rate))
    told.append(line(kind, f"{rate} a second asked for", found))
    assert found["statuses"].get("200", 0) > 0


def test_beside_streams_and_queued_jobs(plant: tuple[str, Plant], told: list[str]) -> None:
    kind, api = plant
    body, options = state_of(api), ("--connections", "8", "--seconds", str(SECONDS), "--rate", "100")
    alone = drive(api, body, *options)
    job_ids = queue_jobs(api, JOBS)
    with followed(api, job_ids[:STREAMS]) as open_streams:
        beside = drive(api, body, *options)
        assert open_streams() == STREAMS
    quotient = beside["ms"]["200"]["p95"] / alone["ms"]["200"]["p95"]
    told.append(line(kind, "100 a second, nothing beside it", alone))
    told.append(line(kind, f"100 a second beside {STREAMS} streams and {JOBS} queued jobs", beside))
    told.append(f"{kind}: p95 beside them over p95 alone: {quotient:.2f}")
    assert set(beside["statuses"]) <= {"200", "503"}


def queue_jobs(api: Plant, count: int) -> list[str]:
    with api.client() as client:
        instance_id = client.get("/v1/instances").json()["items"]
        policy = client.get("/v1/policies/small").json()
        body = {"kind": "train", "instance_id": policy["instance_id"], "solver": "hdpo"}
        assert instance_id is not None
        return [client.post("/v1/jobs", json=body).raise_for_status().json()["id"] for _ in range(count)]


@contextmanager
def followed(api: Plant, job_ids: list[str]) -> Iterator[Any]:
    """Streams of events, each held open by a thread; yields a function that counts those which have heard something."""
    heard: set[str] = set()
    stop = threading.Event()

    def follow(job_id: str) -> None:
        try:
            with httpx.stream("GET", f"{api.url}/v1/jobs/{job_id}/events", timeout=60) as response:
                for chunk in response.iter_raw():
                    if b"event:" in chunk:
                        heard.add(job_id)
                    if stop.is_set():
                        return
        except httpx.HTTPError:
            heard.discard(job_id)

    threads = [threading.Thread(target=follow, args=(job_id,), daemon=True) for job_id in job_ids]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 60
    while len(heard) < len(job_ids) and time.monotonic() < deadline:
        time.sleep(0.1)
    try:
        yield lambda: len(heard)
    finally:
        stop.set()  # the threads end with their connections, when the process does


def test_ten_times_too_many(plant: tuple[str, Plant], told: list[str]) -> None:
    kind, api = plant
    body, connections = state_of(api), 64
    usual = drive(api, body, "--connections", str(connections), "--seconds", str(SECONDS))
    memory = api.memory()
    options = ("--connections", str(EXCESS * connections), "--seconds", str(2 * SECONDS), "--pause", "0.25")
    driver = start_driver(api, body, options)
    driver.communicate(timeout=120)  # once, so that what is kept for that many connections is there
    memory = max(memory, api.memory())
    excess = drive(api, body, *options)
    grown = api.memory() - memory
    first, second = excess["halves"]
    told.append(line(kind, f"{connections} connections", usual))
    told.append(line(kind, f"{EXCESS * connections} connections, answered", excess))
    told.append(line(kind, f"{EXCESS * connections} connections, refused with 503", excess, "503"))
    told.append(
        f"{kind}: good answers in the halves of that time: {first} and {second}; memory grew by {grown:.0f} MiB"
    )
    assert set(excess["statuses"]) <= {"200", "503"}
    assert second > first / 2, "throughput is steady"
    assert grown < 64, "memory stays flat"
    after = drive(api, body, "--connections", "4", "--seconds", "2")
    assert set(after["statuses"]) == {"200"}, "and once it is over everyone is answered"
