"""A plant from its document to what to make now, over HTTP: post, train, compare with rules, plans and bound, ask."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from models.registry import problem
from solvers.registry import solver, solvers
from tests.cli.terminal import serving
from tests.models.plants import document

pytestmark = pytest.mark.processes

SECONDS = 200.0
PLANT = document(periods=12, name="small-plant")
STATE = {"period": 2, "inventory": {"A": 3, "B": 1}, "setup": {"M1": "A"}}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of `herenow serve` in embedded mode."""
    with (
        serving(tmp_path_factory.mktemp("lot-sizing"), env={"OMP_NUM_THREADS": "1"}) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def instance_id(client: httpx.Client) -> str:
    return str(client.post("/v1/instances", json=PLANT).json()["id"])


def finished(client: httpx.Client, asked: dict[str, Any]) -> dict[str, Any]:
    """The job once it has ended well."""
    accepted = client.post("/v1/jobs", json={"seed": 5, "time_limit": "PT30S"} | asked)
    assert accepted.status_code == 202, accepted.text
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        job: dict[str, Any] = client.get(accepted.headers["Location"]).json()
        if job["finished_at"] is not None:
            assert job["state"] == "succeeded", (job["error"], client.get(f"/v1/jobs/{job['id']}/log").text[-2000:])
            return job
        time.sleep(0.3)
    raise AssertionError(f"the job did not end: {job}")


@pytest.fixture(scope="module")
def learned(client: httpx.Client, instance_id: str) -> str:
    """The name of a policy that PDPPO trained for a moment."""
    config = dict(solver("pdppo").quick)
    asked = {"kind": "train", "solver": "pdppo", "instance_id": instance_id, "config": config}
    finished(client, asked | {"policy_name": "learned"})
    return "learned"


def test_the_card_carries_rules_and_the_optimum(client: httpx.Client, learned: str) -> None:
    certificate = client.get(f"/v1/policies/{learned}").json()["certificate"]
    assert {rule["name"] for rule in certificate["rules"]} >= {"hysteresis", "static", "idle"}
    assert set(certificate["policy"]["components"]) == {"setup", "lost_sales", "holding"}
    assert 0 < certificate["policy"]["service"]["fill_rate"] <= 1
    assert set(certificate["policy"]["places"]) == {"A", "B"}
    bound = certificate["bound"]
    assert bound["kind"] == "optimal"
    assert bound["value"] <= certificate["policy"]["mean_cost"] + 3 * certificate["policy"]["standard_error"]


def test_all_meet_in_one_evaluation(client: httpx.Client, instance_id: str, learned: str) -> None:
    names = [learned]
    for name in ("value_iteration", "lagrangian", "rolling_deterministic", "rolling_two_stage"):
        own = solvers()[name]
        assert not own.reasons_against(problem("lot_sizing"))
        asked = {"kind": "train", "solver": name, "instance_id": instance_id, "config": dict(own.quick)}
        finished(client, asked | {"policy_name": name, "time_limit": "PT10S"})
        names.append(name)
    asked = {"kind": "evaluate", "instance_id": instance_id, "policies": names, "rules": ["hysteresis", "static"]}
    evaluation = finished(client, asked | {"scenarios": 64})["evaluation_id"]
    found = client.get(f"/v1/evaluations/{evaluation}").json()["document"]
    assert len(found["policies"]) == len(names) + 2
    bound, costs = found["bound"], {entry["name"]: entry for entry in found["policies"]}
    assert bound["kind"] == "optimal"
    assert all(own["mean_cost"] > bound["value"] - 4 * own["standard_error"] for own in costs.values())
    best = costs["value_iteration:1"]
    assert best["mean_cost"] < bound["value"] + 4 * best["standard_error"]


def test_it_says_what_to_make_now_and_why(client: httpx.Client, learned: str) -> None:
    place = f"/v1/policies/{learned}/recommend"
    answer = client.post(place, json={"state": STATE, "options": {"explain": True}}).json()
    (line,) = answer["decision"]["production"]
    assert line["machine"] == "M1"
    assert line["item"] in ("A", "B", None)
    assert {entry["item"] for entry in answer["decision"]["expected"]} == {"A", "B"}
    assert any("is expected to cost" in sentence for sentence in answer["why"])
    assert all(bar["machine"] == "M1" and bar["start"] >= 2 for bar in answer["schedule"])
    table = client.post(place, json={"state": STATE}, headers={"Accept": "text/csv"}).text
    assert next(csv.DictReader(io.StringIO(table)))["Machine"] == "M1"


def test_a_wrong_state_is_named(client: httpx.Client, learned: str) -> None:
    wrong = STATE | {"setup": {"M1": "C"}}
    answer = client.post(f"/v1/policies/{learned}/recommend", json={"state": wrong})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/state/setup/M1")


def test_a_wrong_plant_is_named(client: httpx.Client) -> None:
    wrong = document()
    wrong["items"][0]["demand"]["probabilities"] = [0.5, 0.5, 0.5]
    answer = client.post("/v1/instances", json=wrong)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/items/0/demand/probabilities")


def test_a_state_comes_from_files(client: httpx.Client, learned: str) -> None:
    files = {"inventory": b"item,inventory\nA,3\nB,1\n", "setups": b"machine,item\nM1,A\n"}
    answer = client.post(f"/v1/policies/{learned}/state", files=files, data={"period": "2"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == STATE
