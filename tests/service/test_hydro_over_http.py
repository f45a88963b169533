"""A published case over HTTP: imported, trained for three times, compared on its own paths, asked for a dispatch."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from benchmarks.hydrothermal_over_http import Asked, end_to_end
from tests.cli.terminal import serving
from tests.models.hydro_systems import case_files
from tests.models.test_hydro_published import INFLOWS, NETWORK, WATER

pytestmark = pytest.mark.processes

SECONDS = 150.0
PATHS = b"1,2,3,1\n3,3,3,3\n2,1,2,1\n"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of `herenow serve` in embedded mode."""
    with (
        serving(tmp_path_factory.mktemp("hydro"), env={"OMP_NUM_THREADS": "1"}) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        yield client


def finished(client: httpx.Client, asked: dict[str, Any], path: str = "/v1/jobs") -> dict[str, Any]:
    """The job that was asked for, done."""
    answer = client.post(path, json=asked)
    assert answer.status_code == 202, answer.text
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        job: dict[str, Any] = client.get(f"/v1/jobs/{answer.json()['id']}").json()
        if job["finished_at"] is not None:
            assert job["state"] == "succeeded", job["error"]
            return job
        time.sleep(0.5)
    raise AssertionError("the job did not end")


def test_imported_trained_compared_and_asked(client: httpx.Client) -> None:
    files = {
        "network": ("n.json", json.dumps(NETWORK).encode()),
        "hydro": ("h.json", json.dumps(WATER).encode()),
        "inflows": ("i.csv", INFLOWS),
        "evaluation": ("e.csv", PATHS),
    }
    form = {"problem": "hydrothermal", "format": "powermodels", "stages": "4", "load_factor": "2", "name": "tiny"}
    imported = client.post("/v1/instances/import", data=form, files=files)
    assert imported.status_code == 201, imported.text
    instance = imported.json()["id"]

    policies = {}
    learned = {"iterations": 4, "batch_size": 8, "validation_every": 2, "validation_scenarios": 4, "width": 8}
    for solver, config in (("sddp", {"iterations": 5}), ("tsddr", learned), ("rolling_deterministic", {})):
        asked = {"kind": "train", "instance_id": instance, "solver": solver, "config": config, "seed": 3}
        job = finished(client, asked | {"policy_name": solver.replace("_", "-"), "time_limit": "PT15S"})
        policies[solver] = job["policy_id"]
    card = client.get(f"/v1/policies/{policies['sddp']}").json()
    assert card["certificate"]["scenarios"] == 3  # each of the instance's own paths once
    assert {rule["name"] for rule in card["certificate"]["rules"]} == {"myopic", "mean_inflow", "dry_inflow"}

    evaluation = {"instance_id": instance, "policies": list(policies.values()), "rules": ["myopic"]}
    judged = finished(client, evaluation, "/v1/evaluations")
    document = client.get(f"/v1/evaluations/{judged['evaluation_id']}").json()["document"]
    assert len(document["policies"]) == 4
    assert document["scenarios"] == 3

    state = {"stage": 0, "storage_hm3": {"h7": 10}, "inflow_m3s": {"h7": 3}}
    asked = {"state": state, "options": {"explain": True}}
    told = client.post(f"/v1/policies/{policies['sddp']}/recommend", json=asked)
    assert told.status_code == 200, told.text
    decision = told.json()["decision"]
    assert decision["water_value_per_hm3"]["h7"] >= 0
    assert decision["generation_mw"]["h7"] + decision["generation_mw"]["g2"] == pytest.approx(
        100 - sum(decision["deficit_mw"].values()), abs=1e-3
    )
    told = client.post(f"/v1/policies/{policies['tsddr']}/recommend", json=asked).json()
    assert told["decision"]["targets_hm3"]["h7"] == pytest.approx(told["decision"]["storage_hm3"]["h7"], abs=1e-3)
    wrong = client.post(
        f"/v1/policies/{policies['sddp']}/recommend", json={"state": state | {"storage_hm3": {"h7": 99}}}
    )
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["pointer"] == "/state/storage_hm3/h7"


LITTLE = {
    "sddp": {"iterations": 4, "check_every": 4, "simulation_paths": 2},
    "tsddr": {"iterations": 4, "batch_size": 8, "validation_every": 2, "validation_scenarios": 4, "width": 8},
}
ONE = {"tsddr": LITTLE["tsddr"]}


@pytest.mark.timeout(600)
def test_bolivia_from_its_files_to_a_dispatch(client: httpx.Client) -> None:
    """Little of everything; the whole of it is `benchmarks.hydrothermal_over_http`."""
    case_files("bolivia")
    asked = Asked(stages=12, report_stages=8, minutes=0.2, judging=0.3, scenarios=6, dispatches=5, configs=LITTLE)
    found = end_to_end(client, asked)
    names = {entry["name"].split(":")[0] for entry in found.evaluation["policies"]}
    assert names == {"bolivia-sddp", "bolivia-tsddr", "myopic"}
    assert found.evaluation["scenarios"] == 6
    foresight = next(bound for bound in found.evaluation["bounds"] if bound["kind"] == "perfect_information")
    assert all(entry["mean_cost"] >= foresight["value"] * (1 - 1e-9) for entry in found.evaluation["policies"])
    assert all(card["certificate"]["scenarios"] >= 2 for card in found.cards.values())
    for decision in found.decisions.values():
        assert len(decision["water_value_per_hm3"]) == 11
        assert len(decision["marginal_cost_per_mwh"]) == 28
        served = sum(decision["generation_mw"].values()) + sum(decision["deficit_mw"].values())
        assert served > 0


def test_bolivia_dispatched_in_alternating_current(client: httpx.Client) -> None:
    pytest.importorskip("casadi")
    case_files("bolivia")
    asked = Asked(
        stages=3, report_stages=2, minutes=0.2, judging=0.3, scenarios=2, dispatches=1, physics="ac", configs=ONE
    )
    found = end_to_end(client, asked)
    decision = found.decisions["tsddr"]
    assert all(0.9 - 1e-6 <= voltage <= 1.1 + 1e-6 for voltage in decision["voltage_pu"].values())
    assert sum(decision["losses_mw"].values()) > 0
    assert found.cards["tsddr"]["certificate"]["bound"] is None
