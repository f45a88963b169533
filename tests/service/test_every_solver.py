"""Every registered solver does its work over HTTP: real server, broker and worker; quick configurations."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from models.inventory_network.examples import warehouse_stores
from models.registry import problems
from solvers.core import Solver
from solvers.registry import solvers
from tests.cli.terminal import serving
from tests.service.api_server import example_document

pytestmark = pytest.mark.processes

PROBLEM = next(iter(problems().values()))
SERVING = [solver for solver in solvers().values() if not solver.reasons_against(PROBLEM)]
SECONDS = 150.0


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of `herenow serve` in embedded mode."""
    with (
        serving(tmp_path_factory.mktemp("every-solver"), env={"OMP_NUM_THREADS": "1"}) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def instance_id(client: httpx.Client) -> str:
    small = {**example_document("one-store-backlogged"), "periods": 8, "warmup_periods": 2, "name": "small"}
    return str(client.post("/v1/instances", json=small).json()["id"])


@pytest.fixture(scope="module")
def submitted(client: httpx.Client, instance_id: str) -> dict[str, str]:
    """A job of every solver, queued at once so that they share the time it takes to start a process."""
    jobs = {}
    for solver in SERVING:
        asked: dict[str, Any] = {"kind": solver.kind, "instance_id": instance_id, "solver": solver.name, "seed": 5}
        asked |= {"config": dict(solver.quick), "time_limit": "PT8S"}
        answer = client.post("/v1/jobs", json=asked)
        assert answer.status_code == 202, answer.text
        jobs[solver.name] = answer.json()["id"]
    return jobs


def finished(client: httpx.Client, job_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        job: dict[str, Any] = client.get(f"/v1/jobs/{job_id}").json()
        if job["finished_at"] is not None:
            assert job["state"] == "succeeded", (job["error"], client.get(f"/v1/jobs/{job_id}/log").text[-2000:])
            return job
        time.sleep(0.2)
    raise AssertionError(f"the job did not end: {job}")


@pytest.mark.parametrize("solver", SERVING, ids=lambda solver: solver.name)
def test_it_works_end_to_end(client: httpx.Client, submitted: dict[str, str], solver: Solver) -> None:
    job = finished(client, submitted[solver.name])
    result = client.get(f"/v1/jobs/{job['id']}/result").json()
    if solver.kind == "solve":
        assert result["status"] == "optimal", result
        assert result["document"]
        return
    card = client.get(f"/v1/policies/{job['policy_id']}").json()
    assert card["certificate"]["policy"]["mean_cost"] > 0
    assert card["solver"] == solver.name
    answer = client.post(f"/v1/policies/{job['policy_id']}/recommend", json={"options": {"explain": True}})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["decision"]["orders"][0]["quantity"] >= 0
    assert body["why"]


class TestOnePolicyForSeveralNetworks:
    """Trained on networks of two and three stores, certified on and serving one of four."""

    def network(self, client: httpx.Client, stores: int) -> str:
        document = warehouse_stores(stores) | {"periods": 8, "warmup_periods": 2}
        return str(client.post("/v1/instances", json=document).json()["id"])

    def train(self, client: httpx.Client, instance_id: str, **asked: Any) -> dict[str, Any]:
        config = {"family": "gnn", "validation_scenarios": 64, "batch_size": 16} | asked.pop("config")
        body = {"kind": "train", "solver": "hdpo", "instance_id": instance_id, "seed": 3, "time_limit": "PT8S"}
        answer = client.post("/v1/jobs", json=body | asked | {"config": config})
        assert answer.status_code == 202, answer.text
        return finished(client, answer.json()["id"])

    def test_it_serves_a_network_it_never_saw(self, client: httpx.Client) -> None:
        two, three, four = (self.network(client, stores) for stores in (2, 3, 4))
        learned = self.train(client, two, also_instance_ids=[three], config={"iterations": 3})
        assert client.get(f"/v1/policies/{learned['policy_id']}").json()["also_instance_ids"] == [three]
        moved = self.train(client, four, warm_start=learned["policy_id"], config={"iterations": 0})
        card = client.get(f"/v1/policies/{moved['policy_id']}").json()
        assert card["instance"]["id"] == four
        assert card["training"]["iterations"] == 0
        assert len(card["certificate"]["policy"]["places"]) == 5
        answer = client.post(f"/v1/policies/{moved['policy_id']}/recommend", json={}).json()
        assert len(answer["decision"]["orders"]) == 5
        body = {"instance_id": four, "policies": [learned["policy_id"], moved["policy_id"]], "scenarios": 64, "seed": 1}
        judged = finished(client, client.post("/v1/evaluations", json=body).json()["id"])
        entries = client.get(f"/v1/evaluations/{judged['evaluation_id']}").json()["document"]["policies"]
        assert len(entries) == 2
        # The same weights decide alike wherever they were trained.
        assert entries[0]["mean_cost"] == entries[1]["mean_cost"]

    def test_a_policy_for_one_network_does_not_serve_another(self, client: httpx.Client) -> None:
        two, three = (self.network(client, stores) for stores in (2, 3))
        learned = self.train(client, two, config={"family": "mlp", "iterations": 1})
        body = {"instance_id": three, "policies": [learned["policy_id"]], "scenarios": 64, "time_limit": "PT8S"}
        job_id = client.post("/v1/evaluations", json=body).json()["id"]
        deadline = time.monotonic() + SECONDS
        while (job := client.get(f"/v1/jobs/{job_id}").json())["finished_at"] is None and time.monotonic() < deadline:
            time.sleep(0.2)
        assert (job["state"], job["error"]["type"]) == ("failed", "/problems/policy-does-not-fit"), job
