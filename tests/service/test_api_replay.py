"""The planner's own decisions: checked when recorded, replayed as a job, and what comes of changing one's mind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.db.rows import JobRow, RecommendationRow
from service.decisions import replaying
from service.settings import Settings
from tests.service.api_server import Server, add_policy, example_document, running

PLAYED = {
    "scenarios": 8,
    "seed": 3,
    "from_stage": 0,
    "to_stage": 9,
    "recommended": {"mean_cost": 10.0, "standard_error": 0.1, "ci95": [9.8, 10.2]},
    "own": {"mean_cost": 12.0, "standard_error": 0.1, "ci95": [11.8, 12.2]},
    "difference": {"mean": 2.0, "ci95": [1.5, 2.5], "wins": 0.875},
}


@pytest.fixture
def own(settings: Settings) -> Iterator[Server]:
    """A server with a policy `north`, on each kind of database."""
    with running(settings) as server:
        add_policy(server, example_document(), "north")
        yield server


@pytest.fixture
def caller(own: Server) -> Iterator[httpx.Client]:
    with own.client() as client:
        yield client


@pytest.fixture
def answer(caller: httpx.Client) -> dict[str, Any]:
    """A recommendation for the instance's own state."""
    found: dict[str, Any] = caller.post("/v1/policies/north/recommend", json={}).json()
    return found


def place(answer: dict[str, Any]) -> str:
    return f"/v1/recommendations/{answer['recommendation_id']}"


def override(client: httpx.Client, answer: dict[str, Any], decision: Any) -> httpx.Response:
    return client.put(f"{place(answer)}/outcome", json={"outcome": "overridden", "decision": decision})


class TestChecking:
    def test_what_the_rules_do_not_allow_is_named(self, caller: httpx.Client, answer: dict[str, Any]) -> None:
        key = caller.get("/v1/policies/north/state").json()["lines_key"]
        lines = [{**line, "quantity": -1} for line in answer["decision"][key]]
        refused = override(caller, answer, {**answer["decision"], key: lines})
        assert (refused.status_code, refused.json()["type"]) == (422, "/problems/invalid-input")
        assert refused.json()["errors"][0]["pointer"].startswith(f"/decision/{key}/0")
        assert caller.get(place(answer)).json()["outcome"] is None

    def test_decisions_for_many_states_are_kept_as_they_are(self, caller: httpx.Client) -> None:
        today = caller.get("/v1/policies/north/state").json()["today"]
        many = caller.post("/v1/policies/north/recommend", json={"states": [today, today]}).json()
        assert override(caller, many, {"mine": [1, 2]}).status_code == 200
        refused = caller.post(f"{place(many)}/replay", json={})
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflict")


class TestAsking:
    def test_only_an_override_is_replayed(self, caller: httpx.Client, answer: dict[str, Any]) -> None:
        assert caller.post(f"{place(answer)}/replay", json={}).status_code == 409
        caller.put(f"{place(answer)}/outcome", json={"outcome": "accepted"})
        assert caller.post(f"{place(answer)}/replay", json={}).status_code == 409

    def test_it_is_a_job(self, caller: httpx.Client, answer: dict[str, Any]) -> None:
        assert override(caller, answer, answer["decision"]).status_code == 200
        asked = caller.post(f"{place(answer)}/replay", json={"scenarios": 32, "seed": 5})
        job = asked.json()
        assert (asked.status_code, asked.headers["Location"]) == (202, f"/v1/jobs/{job['id']}")
        assert (job["kind"], job["seed"], job["config"]["scenarios"]) == ("replay", 5, 32)
        assert job["config"]["recommendation_id"] == answer["recommendation_id"]
        assert caller.get(place(answer)).json()["replay"] is None

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [({"scenarios": 1}, "/scenarios"), ({"seed": -1}, "/seed"), ({"time_limit": "soon"}, "/time_limit")],
    )
    def test_each_wrong_field_is_named(
        self, caller: httpx.Client, answer: dict[str, Any], body: dict[str, Any], pointer: str
    ) -> None:
        refused = caller.post(f"{place(answer)}/replay", json=body)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)

    def test_what_is_not_there_is_not_found(self, caller: httpx.Client) -> None:
        assert caller.post("/v1/recommendations/rec_01K9ZV6Q5RJ8XAMB4T0CWD3EFG/replay", json={}).status_code == 404


class TestKeeping:
    @pytest.fixture
    def job(self, own: Server, caller: httpx.Client, answer: dict[str, Any]) -> JobRow:
        override(caller, answer, answer["decision"])
        job_id = caller.post(f"{place(answer)}/replay", json={"seed": 5}).json()["id"]
        with own.database.read() as session:
            return session.get_one(JobRow, job_id)

    def test_what_was_found_is_told_with_the_recommendation(
        self, own: Server, caller: httpx.Client, answer: dict[str, Any], job: JobRow
    ) -> None:
        with own.database.write() as session:
            assert replaying.keep(session, job, PLAYED)
        assert caller.get(place(answer)).json()["replay"] == {"job_id": job.id, **PLAYED}
        assert caller.get("/v1/recommendations").json()["items"][0]["replay"]["difference"]["mean"] == 2.0

    def test_another_decision_makes_it_void(
        self, own: Server, caller: httpx.Client, answer: dict[str, Any], job: JobRow
    ) -> None:
        with own.database.write() as session:
            replaying.keep(session, job, PLAYED)
        caller.put(f"{place(answer)}/outcome", json={"outcome": "rejected"})
        assert caller.get(place(answer)).json()["replay"] is None
        override(caller, answer, answer["decision"])
        with own.database.write() as session:
            assert not replaying.keep(session, job, PLAYED)
            row = session.get_one(RecommendationRow, answer["recommendation_id"])
            assert not replaying.is_current(row, job)
        assert caller.get(place(answer)).json()["replay"] is None
