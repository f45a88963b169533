"""`/v1/workers`: what worker processes tell of themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from service.db.rows import WorkerRow, utcnow
from service.db.session import Database
from service.jobs.repository import Lease
from service.settings import Settings
from service.workers import repository, service
from service.workers.service import Presence
from tests.service.api_server import running


@pytest.fixture
def presence(database: Database) -> Presence:
    return Presence(Settings(queue="bell", concurrency=2), database, "host:1")


def shown(database: Database) -> list[dict[str, Any]]:
    with database.read() as session:
        rows = list(session.scalars(repository.everyone().order_by(WorkerRow.id)))
        return [view.model_dump() for view in service.views(session, rows, lease_seconds=15.0)]


def silent_for(database: Database, **time: float) -> None:
    with database.write() as session:
        session.execute(update(WorkerRow).values(seen_at=utcnow() - timedelta(**time)))


class TestPresence:
    def test_a_worker_is_listed_once_however_often_it_tells(self, database: Database, presence: Presence) -> None:
        presence.tell()
        presence.tell()
        (worker,) = shown(database)
        assert (worker["name"], worker["queue"], worker["concurrency"]) == ("host:1", "bell", 2)
        assert (worker["state"], worker["jobs"]) == ("idle", [])

    def test_what_it_runs_is_told(
        self,
        database: Database,
        presence: Presence,
        make_job: Callable[..., str],
        claim: Callable[..., Lease],
    ) -> None:
        mine, other = make_job(), make_job()
        claim(mine, "host:1:wrk_1")
        claim(other, "host:12:wrk_2")  # another worker whose name begins alike
        presence.tell()
        assert [(worker["state"], worker["jobs"]) for worker in shown(database)] == [("busy", [mine])]

    def test_one_that_falls_silent_is_lost_and_then_forgotten(self, database: Database, presence: Presence) -> None:
        presence.tell()
        silent_for(database, seconds=20)
        assert shown(database)[0]["state"] == "lost"
        silent_for(database, hours=2)
        Presence(Settings(), database, "host:2").tell()
        assert [worker["name"] for worker in shown(database)] == ["host:2"]

    def test_one_that_was_forgotten_comes_back(self, database: Database, presence: Presence) -> None:
        presence.tell()
        with database.write() as session:
            repository.forget_unseen(session, utcnow())
        presence.tell()
        assert len(shown(database)) == 1

    def test_one_that_stops_leaves_the_list(self, database: Database, presence: Presence) -> None:
        presence.start()
        presence.stop()
        assert shown(database) == []


def test_they_are_listed_youngest_first(settings: Settings) -> None:
    with running(settings) as server, server.client() as client:
        assert client.get("/v1/workers").json() == {"items": [], "next_cursor": None}
        for name in ("host:1", "host:2"):
            Presence(settings, server.database, name).tell()
        assert [worker["name"] for worker in client.get("/v1/workers").json()["items"]] == ["host:2", "host:1"]
