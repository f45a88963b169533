"""Following jobs: one look at the database however many listen, nothing missed, and a bound on listeners."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from service.db.session import Database
from service.jobs import feeds as room
from service.jobs import repository, streaming
from service.jobs.feeds import Feeds
from service.jobs.states import QUEUED
from service.settings import Settings
from tests.service.api_server import running

LISTENERS = 40


def apart(work: Coroutine[Any, Any, Any]) -> Any:
    """Run it on a thread of its own: a browser's tests leave a loop running on this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def tell(database: Database, job_id: str, count: int, end: bool = False) -> None:
    """Append events to a job."""
    from service.db.rows import JobRow

    events: list[Any] = [("metric", {"name": "cost", "iteration": k, "value": 1.0}) for k in range(count)]
    changes = {"state": "succeeded"} if end else {}
    with database.write() as session:
        events += [("state", {"state": "succeeded"}), ("end", {"state": "succeeded"})] if end else []
        assert repository.advance(session, job_id, JobRow.state == QUEUED, changes, events)


async def listen(database: Database, feeds: Feeds, job_id: str, after: int) -> list[int]:
    """The numbers of the events one listener gets, to the end."""
    head = streaming.read_head(database, job_id)
    text = b"".join([part async for part in streaming.stream(database, feeds, job_id, after, head)])
    return [int(line[3:]) for line in text.decode().splitlines() if line.startswith("id:")]


def test_many_listeners_cost_one_look(
    database: Database, make_job: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listeners who come early, late and from the middle all get every event once, in order."""
    job_id, looks = make_job(), []
    read = room.read_news

    def counted(database: Database, known: dict[str, int]) -> Any:
        looks.append(dict(known))
        return read(database, known)

    async def follow_all() -> list[list[int]]:
        feeds = Feeds(database, 1000)
        async with feeds.running():
            early = [asyncio.create_task(listen(database, feeds, job_id, 0)) for _ in range(LISTENERS)]
            for _ in range(3):
                await asyncio.sleep(0.3)
                await asyncio.to_thread(tell, database, job_id, 700)
            late = [asyncio.create_task(listen(database, feeds, job_id, 1200)) for _ in range(LISTENERS)]
            await asyncio.sleep(0.6)
            await asyncio.to_thread(tell, database, job_id, 5, True)
            found = await asyncio.wait_for(asyncio.gather(*early, *late), 60)
            assert feeds.listeners == 0
            return found

    monkeypatch.setattr(room, "read_news", counted)
    found = apart(follow_all())
    last = streaming.read_head(database, job_id).last
    assert found[:LISTENERS] == [list(range(1, last + 1))] * LISTENERS
    assert found[LISTENERS:] == [list(range(1201, last + 1))] * LISTENERS
    assert all(list(known) == [job_id] for known in looks)


def test_nobody_listening_costs_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(room, "read_news", lambda *asked: looks.append(asked) or {})

    async def idle() -> None:
        async with Feeds(database, 10).running():
            await asyncio.sleep(1.0)

    apart(idle())
    assert looks == []


def test_a_long_past_is_thinned(database: Database, make_job: Callable[..., str]) -> None:
    job_id = make_job()
    tell(database, job_id, 5000)
    tell(database, job_id, 10, end=True)
    page = streaming.read_thinned(database, job_id, 400)
    numbers = [item.seq for item in page.items]
    last = streaming.read_head(database, job_id).last
    assert numbers == sorted(set(numbers))
    assert 300 < len(numbers) < 500
    assert numbers[0] == 1
    assert set(range(last - 150, last + 1)) <= set(numbers), "the latest are all there"
    assert max(b - a for a, b in pairwise(numbers)) < 1200, "and the rest is spread evenly"
    assert page.ended
    assert page.next_after == last
    everything = streaming.read_thinned(database, job_id, 5000 + 20)
    assert len(everything.items) == last


def test_more_listeners_than_are_allowed_are_told_to_come_back(
    settings: Settings, make_job: Callable[..., str]
) -> None:
    job_id = make_job()
    path, json = f"/v1/jobs/{job_id}/events", {"Accept": "application/json"}
    allowed = settings.model_copy(update={"max_streams": 1})
    with running(allowed) as server, server.client() as client, client.stream("GET", path) as first:
        chunks = first.iter_raw()
        assert next(chunks).startswith(b"retry")
        second = client.get(path, timeout=10)
        assert (second.status_code, second.headers["Retry-After"]) == (503, "5")
        page = client.get(f"{path}?about=100", headers=json)
        assert [item["type"] for item in page.json()["items"]] == ["state"]
        chunks.close()
