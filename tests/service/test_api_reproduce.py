"""Asking for a policy to be made again: what is refused and why, the job, and what is kept of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import delete

from service.db.rows import JobRow, PolicyRow
from service.receipts import service
from service.receipts.schemas import ReproductionView
from tests.service.api_server import Server, add_policy, example_document, make_settings, running

FOUND = {
    "verdict": "same_cost",
    "weights": {"identical": False, "tensors": 4, "largest_difference": 1e-7, "where": "a", "then": "x", "now": "y"},
    "difference": {"scenarios": 4096, "mean": 0.1, "ci95": [-0.2, 0.4]},
    "steps": {"then": 60, "now": 60},
    "certificate": [
        {
            "what": "policy",
            "name": "policy",
            "then": {"value": 10.0, "error": 0.1},
            "now": {"value": 10.1, "error": 0.1},
            "difference": {"mean": 0.1, "ci95": [-0.2, 0.4]},
        }
    ],
    "receipt": [{"part": "dependencies", "name": "torch", "then": "2.12", "now": "2.13"}],
    "remarks": [],
}


def receipt(**changes: Any) -> dict[str, Any]:
    """A receipt as a training writes it."""
    code = {"commit": None, "digest": "sha256:c", "packages": {"models": "sha256:m"}}
    on = {
        "device": "cpu",
        "gpu": None,
        "cuda": None,
        "cpu": "any",
        "instructions": "AVX2",
        "blas": None,
        "threads": 1,
        "ranks": 1,
    }
    on |= {"matmul_precision": "highest", "python": "3.11.0", "system": "Linux x86_64"}
    made = {"format": 1, "of_rule": False, "instance": "sha256:i", "also": [], "warm_start": None, "solver": "hdpo"}
    made |= {"config": {}, "seed": 11, "time_limit": 40.0, "iterations": 60, "steps": 60, "stopped_by": "finished"}
    made |= {"resumed": False, "weights": "sha256:w", "code": code, "platform": on}
    return made | {"dependencies": {"digest": "sha256:d", "packages": {"torch": "2.13.0"}}} | changes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("receipts")
    with running(make_settings(folder, max_time_limit=100.0)) as server:
        yield server


@pytest.fixture
def caller(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


versions = iter(range(1, 100))


def policy(server: Server, **card: Any) -> str:
    """A policy whose card says this; its id."""
    policy_id = add_policy(server, example_document(), "kept", next(versions))
    with server.database.write() as session:
        row = session.get_one(PolicyRow, policy_id)
        row.card = {**row.card, **card}
    return policy_id


class TestCard:
    def test_it_shows_the_receipt(self, server: Server, caller: httpx.Client) -> None:
        card = caller.get(f"/v1/policies/{policy(server, receipt=receipt())}").json()
        assert card["receipt"] == receipt()
        assert card["reproduction"] is None

    def test_older_policies_have_none(self, server: Server, caller: httpx.Client) -> None:
        assert caller.get(f"/v1/policies/{policy(server)}").json()["receipt"] is None


class TestAsking:
    def test_it_is_a_job(self, server: Server, caller: httpx.Client) -> None:
        policy_id = policy(server, receipt=receipt())
        asked = caller.post(f"/v1/policies/{policy_id}/reproduce", json={})
        job = asked.json()
        assert (asked.status_code, asked.headers["Location"]) == (202, f"/v1/jobs/{job['id']}")
        assert (job["kind"], job["seed"], job["config"]) == ("reproduce", 11, {"policies": [policy_id]})
        assert job["time_limit"] == "PT1M20S"  # twice what the first run was given

    @pytest.mark.parametrize(("asked", "device"), [({}, "gpu"), ({"device": "cpu"}, "cpu")])
    def test_it_asks_for_the_device_it_was_trained_on(
        self, server: Server, caller: httpx.Client, asked: dict[str, Any], device: str
    ) -> None:
        on = receipt()["platform"] | {"device": "cuda", "gpu": "H100"}
        policy_id = policy(server, receipt=receipt(platform=on))
        assert caller.post(f"/v1/policies/{policy_id}/reproduce", json=asked).json()["device"] == device

    def test_it_takes_no_longer_than_jobs_may(self, server: Server, caller: httpx.Client) -> None:
        policy_id = policy(server, receipt=receipt(time_limit=None))
        assert caller.post(f"/v1/policies/{policy_id}/reproduce", json={}).json()["time_limit"] == "PT1M40S"
        refused = caller.post(f"/v1/policies/{policy_id}/reproduce", json={"time_limit": "PT1H"})
        assert refused.json()["errors"][0]["pointer"] == "/time_limit"

    def test_what_it_needs_is_held_on_to(self, server: Server, caller: httpx.Client) -> None:
        other = caller.post("/v1/instances", json=example_document() | {"name": "other"}).json()
        start = policy(server)
        needing = receipt(also=[other["digest"]], warm_start="sha256:s")
        policy_id = policy(server, receipt=needing, warm_start=start)
        job = caller.post(f"/v1/policies/{policy_id}/reproduce", json={}).json()
        assert (job["also_instance_ids"], job["warm_start"]) == ([other["id"]], start)
        assert caller.delete(f"/v1/instances/{other['id']}").status_code == 409
        assert caller.delete(f"/v1/policies/{start}").status_code == 409

    @pytest.mark.parametrize(
        ("card", "reason"),
        [
            ({}, "before receipts were kept"),
            ({"receipt": receipt(of_rule=True)}, "reproduce the trained policy"),
            ({"receipt": receipt(format=9)}, "format 9"),
            ({"receipt": receipt(solver="gone")}, "no solver 'gone'"),
            ({"receipt": receipt(also=["sha256:gone"])}, "an instance it was trained on as well has been deleted"),
            (
                {"receipt": receipt(warm_start="sha256:s"), "warm_start": "pol_01K9ZV6Q5RJ8XAMB4T0CWD3EFG"},
                "started from",
            ),
        ],
    )
    def test_what_cannot_be_made_again_is_refused_with_the_reason(
        self, server: Server, caller: httpx.Client, card: dict[str, Any], reason: str
    ) -> None:
        refused = caller.post(f"/v1/policies/{policy(server, **card)}/reproduce", json={})
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflict")
        assert reason in refused.json()["detail"]

    def test_what_is_not_there_is_not_found(self, caller: httpx.Client) -> None:
        assert caller.post("/v1/policies/nobody/reproduce", json={}).status_code == 404


class TestKeeping:
    def test_what_was_found_is_on_the_card(self, server: Server, caller: httpx.Client) -> None:
        policy_id = policy(server, receipt=receipt())
        job_id = caller.post(f"/v1/policies/{policy_id}/reproduce", json={}).json()["id"]
        with server.database.write() as session:
            assert service.keep(session, session.get_one(JobRow, job_id), FOUND)
        kept = caller.get(f"/v1/policies/{policy_id}").json()["reproduction"]
        assert {name: kept[name] for name in FOUND} == FOUND
        assert ReproductionView.model_validate_json(ReproductionView(**kept).model_dump_json()).job_id == job_id

    def test_a_policy_deleted_meanwhile_keeps_nothing(self, server: Server, caller: httpx.Client) -> None:
        policy_id = policy(server, receipt=receipt())
        job_id = caller.post(f"/v1/policies/{policy_id}/reproduce", json={}).json()["id"]
        with server.database.write() as session:
            session.execute(delete(PolicyRow).where(PolicyRow.id == policy_id))
            assert not service.keep(session, session.get_one(JobRow, job_id), FOUND)
