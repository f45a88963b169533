"""A fourth problem: one folder, one entry in the environment, and the product serves it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.toy_problem.instance import EXAMPLES, Newsstand

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
CONFIG = {"iterations": 150, "batch_size": 64, "learning_rate": 0.01, "width": 8, "depth": 1}
SECONDS = 120


@pytest.fixture(scope="module")
def herenow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of `herenow serve`, started with the problem named in the environment and nothing else."""
    folder = tmp_path_factory.mktemp("toy")
    named = {"HERENOW_PROBLEMS": "tests.toy_problem:PROBLEM", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0", "--data-dir", str(folder), "--json"]
    process = subprocess.Popen(command, env={**os.environ, **named}, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        with httpx.Client(base_url=json.loads(line)["url"], timeout=30) as client:
            yield client
    finally:
        process.terminate()
        process.wait(30)


def finished(client: httpx.Client, place: str) -> dict[str, Any]:
    """The job once it has ended."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        job: dict[str, Any] = client.get(place).json()
        if job["finished_at"] is not None:
            return job
        time.sleep(0.2)
    raise TimeoutError(f"{place} did not end")


@pytest.fixture(scope="module")
def policy(herenow: httpx.Client) -> dict[str, Any]:
    """The card of a policy trained for the example."""
    example = herenow.get("/v1/problems/newsstand/examples/corner").json()
    instance = herenow.post("/v1/instances", json=example)
    assert instance.status_code == 201, instance.text
    asked = {"kind": "train", "instance_id": instance.json()["id"], "solver": "hdpo", "config": CONFIG, "seed": 1}
    accepted = herenow.post("/v1/jobs", json={**asked, "policy_name": "corner", "time_limit": "PT20S"})
    assert accepted.status_code == 202, accepted.text
    job = finished(herenow, accepted.headers["Location"])
    assert job["state"] == "succeeded", job["error"]
    card: dict[str, Any] = herenow.get(f"/v1/policies/{job['policy_id']}").json()
    return card


def test_it_appears_with_its_solvers(herenow: httpx.Client) -> None:
    shown = herenow.get("/v1/problems/newsstand").json()
    assert shown["solvers"] == ["hdpo", "cross_entropy"]
    served = {item["name"]: item["problems"] for item in herenow.get("/v1/solvers").json()["items"]}
    reasons = [entry["reasons"] for entry in served["perfect_information"] if entry["problem"] == "newsstand"]
    assert reasons[0]  # it has no program, and says so
    assert "newsstand" in herenow.get("/openapi.json").json()["components"]["schemas"]


def test_its_rules_are_kept(herenow: httpx.Client) -> None:
    document = EXAMPLES[0].document() | {"high": 1.0}
    answer = herenow.post("/v1/instances", json=document)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/high")


def test_the_policy_is_nearly_optimal_and_proves_it(policy: dict[str, Any]) -> None:
    stand = Newsstand.model_validate(EXAMPLES[0].document())
    certificate = policy["certificate"]
    assert certificate["policy"]["mean_cost_per_stage"] == pytest.approx(stand.best_cost, rel=0.03)
    assert [rule["name"] for rule in certificate["rules"]] == ["order_up_to"]
    assert certificate["bound"] is None


def test_it_recommends(herenow: httpx.Client, policy: dict[str, Any]) -> None:
    stand = Newsstand.model_validate(EXAMPLES[0].document())
    place = f"/v1/policies/{policy['id']}/recommend"
    answer = herenow.post(place, json={"state": {"stock": 4}, "options": {"explain": True}}).json()
    assert answer["decision"]["orders"][0]["copies"] + 4 == pytest.approx(stand.best_level, abs=1.5)
    assert answer["why"]
    columns = herenow.post(place, json={"states": {"stock": [4, 0, 14]}}).json()
    assert columns["decisions"]["paper"][0] == answer["decision"]["orders"][0]["copies"]
    table = herenow.post(place, json={}, headers={"Accept": "text/plain"}).text
    assert table.splitlines()[0].split() == ["Item", "Order", "[copies]"]


def test_a_wrong_state_is_named(herenow: httpx.Client, policy: dict[str, Any]) -> None:
    answer = herenow.post(f"/v1/policies/{policy['id']}/recommend", json={"state": {"stock": -1}})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/state/stock")


def test_the_contract_tests_pick_it_up() -> None:
    """The tests of every registered problem run on this one too, unchanged."""
    command = [sys.executable, "-m", "pytest", "tests/test_contracts.py", "-k", "newsstand", "-p", "no:cacheprovider"]
    named = {"HERENOW_PROBLEMS": "tests.toy_problem:PROBLEM", "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, env={**os.environ, **named}, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stdout[-3000:]
