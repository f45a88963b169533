"""Two API replicas and three workers that share a PostgreSQL, a Redis and an S3-like store, and no folder."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from service.storage import Storage
from tests.faults.cluster import Cluster, cluster
from tests.faults.report import fault
from tests.servers import Postgres, new_bucket
from tests.service.api_server import example_document
from tests.service.workers import eventually

pytestmark = [pytest.mark.postgres, pytest.mark.processes, pytest.mark.timeout(900)]

SLOW = 240.0  # seconds that are never needed on a machine that is not crowded


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, redis_url: str, postgres: Postgres, object_server_url: str
) -> Iterator[Cluster]:
    shared: dict[str, Any] = {"broker_url": redis_url, "queue": f"test-{secrets.token_hex(6)}"}
    shared |= {"heartbeat_seconds": 0.5, "lease_seconds": 4.0, "reconcile_seconds": 0.5, "checkpoint_seconds": 0.2}
    folder = tmp_path_factory.mktemp("cluster")
    with ExitStack() as stack:
        url = stack.enter_context(postgres.database())
        yield stack.enter_context(cluster(folder, 2, 3, database_url=url, store_url=new_bucket(), **shared))


@pytest.fixture
def first(service: Cluster) -> Iterator[httpx.Client]:
    with service.apis[0].client() as client:
        yield client


@pytest.fixture
def second(service: Cluster) -> Iterator[httpx.Client]:
    with service.apis[1].client() as client:
        yield client


def small_document() -> dict[str, Any]:
    """One store, few periods."""
    return {**example_document("one-store-backlogged"), "periods": 8, "warmup_periods": 2, "name": "small"}


def training(client: httpx.Client, **asked: Any) -> dict[str, Any]:
    """The body of a training on the small instance."""
    instance_id = client.post("/v1/instances", json=small_document()).json()["id"]
    return {"kind": "train", "instance_id": instance_id, "solver": "lab", "time_limit": "PT2M", **asked}


def finished(client: httpx.Client, job_id: str) -> dict[str, Any]:
    """The job as this replica tells it, once it is finished."""

    def look() -> dict[str, Any] | None:
        job: dict[str, Any] = client.get(f"/v1/jobs/{job_id}").json()
        return job if job["state"] in ("succeeded", "failed", "cancelled") else None

    return eventually(look, SLOW, lambda: client.get(f"/v1/jobs/{job_id}/log").text)


@fault("two API replicas, three workers, no shared folder", "both replicas tell of all three workers")
def test_all_three_workers_are_seen_by_both(first: httpx.Client, second: httpx.Client) -> None:
    for client in (first, second):
        eventually(lambda client=client: len(client.get("/v1/workers").json()["items"]) == 3, SLOW)  # type: ignore[misc]


@fault(
    "the same, one training through both replicas",
    "keys replay, aliases, logs, policies and recommendations are the same through both",
)
def test_what_one_replica_took_the_other_tells_and_replays(
    service: Cluster, first: httpx.Client, second: httpx.Client
) -> None:
    key = {"Idempotency-Key": f"k-{secrets.token_hex(8)}"}
    asked = training(first, policy_name="stores", config={"iterations": 4})
    job = first.post("/v1/jobs", json=asked, headers=key)
    again = second.post("/v1/jobs", json=asked, headers=key)
    assert (job.status_code, again.json()["id"]) == (202, job.json()["id"])
    assert again.headers["Idempotency-Replayed"] == "true"
    other = second.post("/v1/jobs", json=asked | {"seed": 5}, headers=key)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/key-reused")
    done = finished(second, job.json()["id"])
    assert (done["state"], done["attempt"]) == ("succeeded", 1), second.get(f"/v1/jobs/{done['id']}/log").text
    assert "attempt 1" in first.get(f"/v1/jobs/{done['id']}/log").text, "logs are read where no child wrote them"
    alias = "/v1/policies/stores/aliases/production"
    assert first.put(alias, json={"version": 1}, headers={"If-None-Match": "*"}).status_code == 201
    assert second.put(alias, json={"version": 1}, headers={"If-None-Match": "*"}).status_code == 412, "it is there"
    answers = [client.post("/v1/policies/stores@production/recommend", json={}) for client in (first, second)]
    assert [answer.status_code for answer in answers] == [200, 200], [answer.text for answer in answers]
    one, two = (answer.json() for answer in answers)
    assert (one["policy"], one["decision"]) == (two["policy"], two["decision"])
    assert first.get(f"/v1/recommendations/{two['recommendation_id']}").status_code == 200
    kept = {kept.name for kept in Storage.of(service.apis[0].settings).artifacts_kept()}
    assert one["policy"]["digest"] in kept
    assert not list(service.folder.glob("*/artifacts/*")), "artifacts are in the store alone"
    assert len(list(service.folder.glob("api-*/cache/artifacts/*/*/weights.safetensors"))) == 2, "a copy each"


@fault(
    "the same, kill -9 of the busy worker",
    "another goes on from the checkpoint in the store; all of the log but its last two seconds is kept",
)
def test_a_worker_that_is_killed_is_replaced_from_its_checkpoint(
    service: Cluster, first: httpx.Client, second: httpx.Client
) -> None:
    job_id = first.post("/v1/jobs", json=training(first, config={"iterations": 200, "pace": 0.1})).json()["id"]

    def at_checkpoint() -> bool:
        page = second.get(f"/v1/jobs/{job_id}/events", params={"limit": 1000}, headers={"Accept": "application/json"})
        return any(event["type"] == "checkpoint" for event in page.json()["items"])

    def at_work() -> str | None:
        return next((w["name"] for w in second.get("/v1/workers").json()["items"] if job_id in w["jobs"]), None)

    def is_told() -> bool:
        return "attempt 1" in second.get(f"/v1/jobs/{job_id}/log").text

    eventually(at_checkpoint, SLOW, lambda: second.get(f"/v1/jobs/{job_id}").text)
    eventually(is_told)  # logs are carried to the store every two seconds
    busy = eventually(at_work)  # a worker tells what it does with its next heartbeat
    os.kill(int(busy.rpartition(":")[2]), signal.SIGKILL)
    done = finished(second, job_id)
    log = first.get(f"/v1/jobs/{job_id}/log").text
    assert (done["state"], done["attempt"]) == ("succeeded", 2), log
    assert "resuming from the checkpoint at iteration" in log
    assert "attempt 1" in log, "what the lost attempt said is kept too"
    assert "attempt 2" in log


@fault("the same, kill -9 of one replica", "the other takes jobs and decides")
def test_with_a_replica_killed_the_other_goes_on(service: Cluster, second: httpx.Client) -> None:
    service.apis[0].kill()
    done = finished(second, second.post("/v1/jobs", json=training(second, config={"iterations": 2})).json()["id"])
    assert done["state"] == "succeeded"
    assert second.post(f"/v1/policies/{done['policy_id']}/recommend", json={}).status_code == 200
    assert second.get("/healthz/ready").json()["checks"]["storage"] == "ok"
