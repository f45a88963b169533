"""`Idempotency-Key`: carried out once, replayed after, on databases of both kinds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from service import idempotency
from service.db.rows import IdempotencyKeyRow, InstanceRow, JobRow, OutboxRow, RecommendationRow, utcnow
from service.errors import ApiError
from service.instances import service as instances
from service.settings import Settings
from tests.service.api_server import Server, add_policy, example_document, running


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    with running(settings) as server:
        yield server


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def number(server: Server, row: Any) -> int:
    with server.database.read() as session:
        return session.scalar(select(func.count()).select_from(row)) or 0


def train(client: httpx.Client) -> dict[str, Any]:
    instance_id = client.post("/v1/instances", json=example_document()).json()["id"]
    return {"kind": "train", "instance_id": instance_id, "solver": "hdpo"}


def test_the_first_answer_is_replayed(server: Server) -> None:
    with server.client() as client:
        body = train(client)
        first = client.post("/v1/jobs", json=body, headers=keyed("a"))
        again = client.post("/v1/jobs", json=body, headers=keyed("a"))
    assert first.status_code == again.status_code == 202
    assert again.json() == first.json()
    for name in ("Location", "Retry-After", "Content-Type"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert number(server, JobRow) == number(server, OutboxRow) == 1


def test_another_body_or_path_is_refused(server: Server) -> None:
    with server.client() as client:
        body = train(client)
        client.post("/v1/jobs", json=body, headers=keyed("a"))
        for answer in (
            client.post("/v1/jobs", json={**body, "seed": 1}, headers=keyed("a")),
            client.post("/v1/instances", json=example_document(), headers=keyed("a")),
        ):
            assert answer.status_code == 422
            assert answer.json()["type"] == "/problems/key-reused"


def test_a_refusal_is_not_kept(server: Server) -> None:
    with server.client() as client:
        body = train(client)
        assert client.post("/v1/jobs", json={**body, "solver": "none"}, headers=keyed("a")).status_code == 422
        assert client.post("/v1/jobs", json=body, headers=keyed("a")).status_code == 202


def test_an_expired_key_is_new_again(server: Server) -> None:
    with server.client() as client:
        body = train(client)
        first = client.post("/v1/jobs", json=body, headers=keyed("a")).json()
        with server.database.write() as session:
            session.scalars(select(IdempotencyKeyRow)).one().expires_at = utcnow() - timedelta(seconds=1)
        assert client.post("/v1/jobs", json=body, headers=keyed("a")).json()["id"] != first["id"]
    assert number(server, IdempotencyKeyRow) == 1


def test_many_at_once_make_one(server: Server) -> None:
    with server.client() as client:
        body = train(client)

    def post(_: int) -> httpx.Response:
        with server.client() as client:
            return client.post("/v1/jobs", json=body, headers=keyed("a"))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(24)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert {answer.json()["type"] for answer in answers if answer.status_code == 409} <= {
        "/problems/request-in-progress"
    }
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
    assert number(server, JobRow) == 1


def test_while_the_first_runs_others_are_told_so(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, leave = threading.Event(), threading.Event()
    store = instances.store

    def slow(*args: Any) -> Any:
        entered.set()
        leave.wait(10)
        return store(*args)

    monkeypatch.setattr(instances, "store", slow)
    with server.client() as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/v1/instances", json=example_document(), headers=keyed("a"))
        assert entered.wait(10)
        with server.client() as other:
            meanwhile = other.post("/v1/instances", json=example_document(), headers=keyed("a"))
        leave.set()
        assert first.result().status_code == 201
    assert meanwhile.status_code == 409
    assert meanwhile.json()["type"] == "/problems/request-in-progress"
    assert meanwhile.headers["Retry-After"] == "1"


def test_another_process_is_kept_out_by_the_database(server: Server) -> None:
    """The lock that two API processes on one PostgreSQL share; SQLite has one writer at a time anyway."""
    if server.database.is_sqlite:
        pytest.skip("SQLite's writers already run one at a time")
    with server.database.write() as session:
        idempotency._lock(server.database, session, "local", "a")
        with server.database.write() as other, pytest.raises(ApiError, match="being answered"):
            idempotency._lock(server.database, other, "local", "a")


def test_the_same_content_posted_at_once_is_one_instance(server: Server) -> None:
    def post(_: int) -> httpx.Response:
        with server.client() as client:
            return client.post("/v1/instances", json=example_document())

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(16)))
    assert sorted(answer.status_code for answer in answers) == [200] * 15 + [201]
    assert number(server, InstanceRow) == 1


def test_recommendations_are_made_once_too(server: Server) -> None:
    policy_id = add_policy(server, example_document())
    with server.client() as client:
        path = f"/v1/policies/{policy_id}/recommend"
        first = client.post(path, json={}, headers={**keyed("a"), "Accept": "text/csv"})
        again = client.post(path, json={}, headers={**keyed("a"), "Accept": "text/csv"})
    assert first.status_code == again.status_code == 200
    assert (first.text, first.headers["Content-Type"]) == (again.text, again.headers["Content-Type"])
    assert again.headers["Idempotency-Replayed"] == "true"
    assert number(server, RecommendationRow) == 1
