"""Every list page of a database that has a million events and a hundred thousand recommendations."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from service.db.migrate import upgrade
from service.db.session import Database
from tests.load.conftest import database_of
from tests.load.filling import EVENTS, RECOMMENDATIONS, fill
from tests.service.api_server import Server, make_settings, running

pytestmark = [pytest.mark.load, pytest.mark.timeout(1800)]

LONG = ("recommendations", "job_events")  # tables no page may read from end to end
REPEATS = 5


@dataclass(frozen=True)
class Filled:
    """A server on the full database, and ids to ask about."""

    kind: str
    server: Server
    ids: dict[str, str]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """A database of each kind, filled."""
    folder: Path = tmp_path_factory.mktemp("lists")
    with database_of(request.param, request) as url:
        settings = make_settings(folder, database_url=url)
        database = Database(settings.database)
        upgrade(database)
        ids = fill(database)
        database.close()
        with running(settings) as server:
            yield Filled(request.param, server, ids)


def collections(filled: Filled) -> list[str]:
    """Every collection of the OpenAPI document, and the filters that the dashboard uses."""
    with filled.server.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    plain = [path for path, methods in paths.items() if "{" not in path and _is_collection(methods)]
    assert len(plain) >= 7, "the document names the collections"
    ids = filled.ids
    jobs = "/v1/jobs?state=queued&state=starting&state=running&state=finalizing&state=cancelling&limit=200"
    events = f"/v1/jobs/{ids['long_job']}/events"
    return [
        *plain,
        *(f"{path}?limit=200" for path in plain),
        jobs,
        "/v1/jobs?kind=evaluate&state=succeeded&limit=200",
        f"/v1/jobs?instance_id={ids['instance']}",
        f"/v1/evaluations?instance_id={ids['instance']}&limit=5",
        "/v1/instances?search=net-29",
        "/v1/policies?in_use=true&limit=200",
        "/v1/policies?name=name-3",
        f"/v1/policies?instance_id={ids['instance']}&limit=200",
        "/v1/policies?problem=inventory_network&solver=hdpo",
        "/v1/policies/name-3/aliases",
        "/v1/policies/name-3/acceptance-tests",
        *(f"/v1/recommendations?outcome={word}&limit=200" for word in ("pending", "accepted", "rejected")),
        "/v1/recommendations?policy=name-3",
        "/v1/recommendations?policy=name-19&outcome=accepted&limit=200",
        "/v1/recommendations?policy=name-3&outcome=rejected",
        f"/v1/recommendations?policy_id={ids['rare_policy']}",
        f"/v1/recommendations?policy={ids['policy']}&outcome=pending",
        events,
        f"{events}?after=399000&limit=1000",
        f"{events}?about=1500",
        f"/v1/jobs/{ids['long_job']}/result?partial=true",
    ]


def _is_collection(methods: dict[str, Any]) -> bool:
    content = methods.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
    return "Collection" in content.get("application/json", {}).get("schema", {}).get("$ref", "")


def test_every_page_is_quick(filled: Filled, told: list[str]) -> None:
    """Timed at the client; and no page reads a long table from end to end."""
    times: dict[str, float] = {}
    with filled.server.client() as client, watched(filled.server.database) as statements:
        for path in collections(filled):
            times[path] = statistics.median(timed(client, path) for _ in range(REPEATS))
    slow = {path: ms for path, ms in times.items() if ms > 100}
    size = f"{EVENTS:,} events, {RECOMMENDATIONS:,} recommendations"
    told.append(f"{filled.kind}: {len(times)} list pages with {size}: {len(slow)} take more than 100 ms; the slowest:")
    for path, ms in sorted(times.items(), key=lambda item: -item[1])[:5]:
        told.append(f"{filled.kind}:   {ms:.0f} ms {path}")
    assert not list(scans(filled.server.database, statements))


def timed(client: httpx.Client, path: str) -> float:
    started = time.perf_counter()
    answer = client.get(path, headers={"Accept": "application/json"})
    assert answer.status_code == 200 or path.endswith("partial=true"), (path, answer.text)
    return 1000 * (time.perf_counter() - started)


class watched:
    """The SELECT statements of a database while inside, each once, with parameters it came with."""

    def __init__(self, database: Database) -> None:
        self.engine = database.engine
        self.found: dict[str, Any] = {}

    def __enter__(self) -> dict[str, Any]:
        event.listen(self.engine, "before_cursor_execute", self._note)
        return self.found

    def __exit__(self, *error: object) -> None:
        event.remove(self.engine, "before_cursor_execute", self._note)

    def _note(self, connection: Any, cursor: Any, statement: str, parameters: Any, *more: Any) -> None:
        if statement.startswith("SELECT") and any(table in statement for table in LONG):
            self.found[statement] = parameters


def scans(database: Database, statements: dict[str, Any]) -> Iterator[str]:
    """The plans that read a long table from end to end, as the database explains them."""
    explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
    for statement, parameters in statements.items():
        with database.engine.connect() as connection:
            plan = [str(row[-1]) for row in connection.exec_driver_sql(explain + statement, parameters)]
        for step in plan:
            words = step.replace("->", "").split()
            reads_all = (words[:1] == ["SCAN"] and "INDEX" not in words) or words[:3] == ["Seq", "Scan", "on"]
            if reads_all and any(table in words for table in LONG):
                yield f"{step}\n{statement}"
