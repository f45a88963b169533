"""`/v1/policies/{name}/aliases`, `name@alias` wherever a policy is named, and what is in use."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from service.settings import Settings
from tests.service.api_server import Server, add_policy, example_document, running

PLACE = "/v1/policies/north/aliases/production"
NEW = {"If-None-Match": "*"}


@pytest.fixture
def own(settings: Settings) -> Iterator[Server]:
    """A server with two versions of `north`, on each kind of database."""
    with running(settings) as server:
        for version in (1, 2):
            add_policy(server, example_document(), "north", version)
        yield server


@pytest.fixture
def caller(own: Server) -> Iterator[httpx.Client]:
    with own.client() as client:
        yield client


def put(client: httpx.Client, version: int, place: str = PLACE, **headers: str) -> httpx.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()} or NEW
    return client.put(place, json={"version": version}, headers=sent)


class TestSetting:
    def test_a_new_alias_is_created_shown_and_listed(self, caller: httpx.Client) -> None:
        made = caller.put(PLACE, json={"version": 1, "note": "First try ✓"}, headers=NEW)
        assert (made.status_code, made.headers["Location"]) == (201, PLACE)
        shown = caller.get(PLACE)
        assert shown.headers["ETag"] == made.headers["ETag"] == f'"{shown.json()["etag"]}"'
        alias = shown.json()
        assert (alias["policy_name"], alias["alias"], alias["policy"]["version"]) == ("north", "production", 1)
        assert (alias["note"], alias["updated_by"]) == ("First try ✓", "local")
        assert caller.get("/v1/policies/north/aliases").json() == {"items": [alias], "next_cursor": None}

    def test_it_moves_for_those_who_have_seen_it(self, caller: httpx.Client) -> None:
        seen = put(caller, 1).headers["ETag"]
        moved = put(caller, 2, If_Match=seen)
        assert (moved.status_code, moved.json()["policy"]["version"]) == (200, 2)
        assert moved.headers["ETag"] != seen

    @pytest.mark.parametrize("headers", [{"If-Match": '"als_0"'}, {"If-Match": "als_0"}, {"If-None-Match": "*"}])
    def test_stale_knowledge_changes_nothing(self, caller: httpx.Client, headers: dict[str, str]) -> None:
        put(caller, 1)
        for answer in (
            caller.put(PLACE, json={"version": 2}, headers=headers),
            caller.delete(PLACE, headers=headers),
        ):
            assert (answer.status_code, answer.json()["type"]) == (412, "/problems/precondition-failed")
        assert caller.get(PLACE).json()["policy"]["version"] == 1

    def test_a_weak_tag_is_no_proof(self, caller: httpx.Client) -> None:
        seen = put(caller, 1).headers["ETag"]
        assert put(caller, 2, If_Match=f"W/{seen}").status_code == 412
        assert put(caller, 2, If_Match=f'"other", {seen}').status_code == 200

    def test_without_a_precondition_it_is_asked_for(self, caller: httpx.Client) -> None:
        for answer in (caller.put(PLACE, json={"version": 1}), caller.delete(PLACE)):
            assert (answer.status_code, answer.json()["type"]) == (428, "/problems/precondition-required")

    def test_what_does_not_exist_cannot_have_been_seen(self, caller: httpx.Client) -> None:
        assert put(caller, 1, If_Match="*").status_code == 412

    def test_a_version_must_exist(self, caller: httpx.Client) -> None:
        answer = put(caller, 3)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/version")

    @pytest.mark.parametrize("body", [{}, {"version": "1"}, {"version": 0}, {"version": 1, "alias": "x"}])
    def test_each_wrong_body_is_refused(self, caller: httpx.Client, body: dict[str, Any]) -> None:
        assert caller.put(PLACE, json=body, headers=NEW).status_code == 422

    def test_names_that_are_none_are_refused_and_unknown_ones_not_found(self, caller: httpx.Client) -> None:
        assert put(caller, 1, "/v1/policies/North/aliases/production").status_code == 422
        assert put(caller, 1, "/v1/policies/north/aliases/Top").status_code == 422
        assert put(caller, 1, "/v1/policies/nobody/aliases/production").status_code == 404
        assert caller.get("/v1/policies/nobody/aliases").status_code == 404
        assert caller.get(PLACE).status_code == caller.delete(PLACE, headers={"If-Match": "*"}).status_code == 404


class TestRaces:
    def test_of_changes_on_the_same_knowledge_one_wins(self, own: Server, caller: httpx.Client) -> None:
        seen = put(caller, 1).headers["ETag"]

        def move(version: int) -> int:
            with own.client() as client:
                return put(client, version, If_Match=seen).status_code

        with ThreadPoolExecutor(6) as pool:
            statuses = sorted(pool.map(move, [1, 2, 1, 2, 1, 2]))
        assert statuses == [200, 412, 412, 412, 412, 412]

    def test_of_several_firsts_one_wins(self, own: Server, caller: httpx.Client) -> None:
        def make(version: int) -> int:
            with own.client() as client:
                return put(client, version).status_code

        with ThreadPoolExecutor(6) as pool:
            statuses = sorted(pool.map(make, [1, 2, 1, 2, 1, 2]))
        assert statuses == [201, 412, 412, 412, 412, 412]


class TestReferences:
    def test_the_alias_stands_for_its_version_everywhere(self, caller: httpx.Client) -> None:
        put(caller, 1)
        first = caller.get("/v1/policies/north:1").json()["id"]
        assert caller.get("/v1/policies/north@production").json()["id"] == first
        assert caller.get("/v1/policies/north@production/state").status_code == 200
        answer = caller.post("/v1/policies/north@production/recommend", json={}).json()
        assert (answer["policy"]["id"], answer["policy"]["version"]) == (first, 1)
        instance_id = caller.get("/v1/policies/north").json()["instance_id"]
        body = {"instance_id": instance_id, "policies": ["north@production", "north"], "scenarios": 64}
        job = caller.post("/v1/evaluations", json=body).json()
        assert job["config"]["policies"][0] == first
        train = {"kind": "train", "instance_id": instance_id, "solver": "hdpo", "warm_start": "north@production"}
        assert caller.post("/v1/jobs", json=train).json()["warm_start"] == first

    def test_an_alias_that_is_none_is_not_found(self, caller: httpx.Client) -> None:
        assert caller.get("/v1/policies/north@production").status_code == 404
        assert caller.post("/v1/policies/north@production/recommend", json={}).status_code == 404
        assert caller.get("/v1/policies/north@").status_code == 422

    def test_an_alias_keeps_its_version(self, caller: httpx.Client) -> None:
        put(caller, 1)
        answer = caller.delete("/v1/policies/north:1")
        assert (answer.status_code, answer.json()["used_by"]) == (409, ["aliases"])
        assert caller.delete(PLACE, headers={"If-Match": "*"}).status_code == 204
        assert caller.delete("/v1/policies/north:1").status_code == 204

    def test_what_is_in_use_is_told_and_found(self, caller: httpx.Client) -> None:
        put(caller, 1)
        put(caller, 1, "/v1/policies/north/aliases/autumn")

        def versions(in_use: str) -> list[int]:
            answer = caller.get("/v1/policies", params={"in_use": in_use})
            return [item["version"] for item in answer.json()["items"]]

        assert (versions("true"), versions("false")) == ([1], [2])
        assert caller.get("/v1/policies/north:1").json()["aliases"] == ["autumn", "production"]
        assert caller.get("/v1/policies/north:2").json()["aliases"] == []


class TestTrail:
    def test_recommendations_are_found_by_policy_and_outcome(self, caller: httpx.Client) -> None:
        put(caller, 1)
        asked = [
            caller.post(f"/v1/policies/{ref}/recommend", json={}).json()["recommendation_id"]
            for ref in ("north:1", "north:2", "north@production")
        ]
        caller.put(f"/v1/recommendations/{asked[0]}/outcome", json={"outcome": "accepted"})

        def found(**query: str) -> list[int]:
            items = caller.get("/v1/recommendations", params=query).json()["items"]
            return [asked.index(item["id"]) for item in items]

        assert found(policy="north") == [2, 1, 0]
        assert found(policy="north:2") == [1]
        assert found(policy="north@production") == [2, 0]
        assert found(policy="north@nothing") == found(policy="nobody") == []
        assert found(policy="north", outcome="pending") == found(outcome="none") == [2, 1]
        assert found(policy="north@production", outcome="accepted") == [0]
        answer = caller.get("/v1/recommendations?limit=1").json()["items"][0]
        assert (answer["policy"]["name"], answer["policy"]["version"]) == ("north", 1)

    def test_a_policy_tells_when_it_was_last_asked(self, caller: httpx.Client) -> None:
        assert caller.get("/v1/policies/north:1").json()["last_recommendation"] is None
        for _ in range(2):
            asked = caller.post("/v1/policies/north:1/recommend", json={}).json()["recommendation_id"]
        caller.put(f"/v1/recommendations/{asked}/outcome", json={"outcome": "rejected"})
        last = caller.get("/v1/policies?name=north").json()["items"][1]["last_recommendation"]
        assert (last["id"], last["outcome"]) == (asked, "rejected")
