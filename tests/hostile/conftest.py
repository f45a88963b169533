"""A service to attack, with something of every kind in it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from models.registry import problems
from service.keys import service as keys
from tests.hostile.families import Target
from tests.service.api_server import Server, add_policy, example_document, make_settings, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with small bounds that asks for keys."""
    bounds = {"max_body_bytes": 300_000, "max_batch_bytes": 1_000_000, "max_states": 2000, "max_queued_jobs": 50}
    settings = make_settings(
        tmp_path_factory.mktemp("attacked"), require_keys=True, body_seconds=1.0, max_wait_seconds=0.1, **bounds
    )
    with running(settings) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    """An administrator: whoever is let in everywhere can do the most harm."""
    with server.database.write() as session:
        secret = keys.create(session, "attacker", ["admin"]).secret
    with server.client(secret) as client:
        yield client


@pytest.fixture(scope="module")
def target(server: Server, client: httpx.Client) -> Target:
    """What there is to attack."""
    add_policy(server, example_document())
    document = client.get("/openapi.json").json()
    instance = client.post("/v1/instances", json=example_document()).json()["id"]
    job = client.post("/v1/jobs", json={"kind": "train", "instance_id": instance, "solver": "hdpo"}).json()["id"]
    client.post(f"/v1/jobs/{job}/cancel")
    today = client.get("/v1/policies/orders/state").json()["today"]
    asked = client.post("/v1/policies/orders/recommend", json={"state": today}).json()
    test = {"name": "cheap", "instance_id": instance, "scenarios": 64}
    made = client.post("/v1/policies/orders/acceptance-tests", json=test).json()["id"]
    schema = client.get(f"/v1/instances/{instance}/scenario-schema").json()
    scenarios = [{place: [level] * schema["stages"] for place in schema["places"]} for level in (4.0, 6.0)]
    sets = {"instance_id": instance, "name": "two", "scenarios": scenarios}
    stored = client.post("/v1/scenario-sets", json=sets).json()["id"]
    key = client.post("/v1/keys", json={"name": "victim", "scopes": ["read"]}).json()["id"]
    known = {
        **{"instance_id": instance, "job_id": job, "ref": "orders", "name": "orders", "alias": "production"},
        **{"recommendation_id": asked["recommendation_id"], "test_id": made, "scenario_set_id": stored},
        **{"key_id": key, "evaluation_id": "evl_01K9ZV6Q5RJ8XAMB4T0CWD3EFG", "version": "1", "solver": "hdpo"},
        **{"problem": example_document()["problem"], "example": "x", "slug": "forbidden"},
    }
    tensors = client.get("/v2/models/orders").json()["inputs"]
    honest = {
        "create_instance": example_document(),
        "validate_instance": example_document(),
        "submit_job": {
            "kind": "train",
            "instance_id": instance,
            "solver": "hdpo",
            "config": {"iterations": 1},
            "seed": 1,
        },
        "create_evaluation": {"instance_id": instance, "policies": ["orders"], "rules": [], "scenarios": 16},
        "create_scenario_set": sets,
        "create_key": {"name": "maria", "scopes": ["plan"], "expires_in": "P1D", "requests_per_minute": 60},
        "rotate_key": {"overlap": "PT1H", "expires_in": None},
        "put_alias": {"version": 1, "note": "why"},
        "create_acceptance_test": {**test, "name": "other", "guards": ["production"], "largest_cost_increase": 0.1},
        "run_acceptance_test": {"version": 1},
        "put_outcome": {"outcome": "overridden", "decision": asked["decision"]},
        "replay": {"scenarios": 64},
        "recommend": {"state": today, "options": {"explain": True}},
        "infer": {"inputs": [{**t, "shape": [1, *t["shape"][1:]], "data": [0]} for t in tensors]},
    }
    honest["infer_version"] = honest["infer"]
    honest["importers"] = {
        name: {importer.name: [part.removesuffix("?") for part in importer.files] for importer in problem.importers}
        for name, problem in problems().items()
        if problem.importers
    }
    honest["state_files"] = [part.removesuffix("?") for part in client.get("/v1/policies/orders/state").json()["files"]]
    return Target(document, {name: str(value) for name, value in known.items()}, honest)
