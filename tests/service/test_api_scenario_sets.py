"""`/v1/scenario-sets`: scenarios of the planner's own, stored and used in evaluations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest

from service.settings import Settings
from tests.service.api_server import Server, add_policy, example_document, running

NOWHERE = "scn_01K9ZV6Q5RJ8XAMB4T0CWD3EFG"


@pytest.fixture
def own(settings: Settings) -> Iterator[Server]:
    """A server with a policy `north` and its instance, on each kind of database."""
    with running(settings) as server:
        add_policy(server, example_document(), "north")
        yield server


@pytest.fixture
def caller(own: Server) -> Iterator[httpx.Client]:
    with own.client() as client:
        yield client


@pytest.fixture
def instance_id(caller: httpx.Client) -> str:
    return str(caller.get("/v1/policies/north").json()["instance_id"])


@pytest.fixture
def shape(caller: httpx.Client, instance_id: str) -> dict[str, Any]:
    """What scenarios of the instance look like."""
    shown: dict[str, Any] = caller.get(f"/v1/instances/{instance_id}/scenario-schema").json()
    return shown


@pytest.fixture
def body(instance_id: str, shape: dict[str, Any]) -> dict[str, Any]:
    """Two scenarios."""
    levels = [[level + stage for stage in range(shape["stages"])] for level in (1.0, 5.5)]
    scenarios = [{place: series for place in shape["places"]} for series in levels]
    return {"instance_id": instance_id, "name": "two", "scenarios": scenarios}


def as_csv(shape: dict[str, Any], body: dict[str, Any]) -> str:
    lines = [",".join(shape["csv_columns"])]
    for index, scenario in enumerate(body["scenarios"]):
        rows = zip(*(scenario[place] for place in shape["places"]), strict=True)
        lines += [",".join(map(str, (f"s{index}", stage, *row))) for stage, row in enumerate(rows)]
    return "\n".join(lines)


class TestMaking:
    def test_json_is_stored_shown_listed_and_given_back(
        self, caller: httpx.Client, shape: dict[str, Any], body: dict[str, Any]
    ) -> None:
        assert jsonschema_rs.validator_for(shape["json_schema"]).is_valid(body["scenarios"])
        made = caller.post("/v1/scenario-sets", json=body)
        kept = made.json()
        assert (made.status_code, made.headers["Location"]) == (201, f"/v1/scenario-sets/{kept['id']}")
        assert (kept["name"], kept["scenarios"], kept["stages"]) == ("two", 2, shape["stages"])
        assert caller.get("/v1/scenario-sets").json()["items"] == [kept]
        assert caller.get("/v1/scenario-sets?problem=nothing").json()["items"] == []
        shown = caller.get(made.headers["Location"]).json()
        place = shape["places"][0]
        assert shown["quantiles"][place]["q50"] == [3.25 + stage for stage in range(shape["stages"])]
        assert caller.get(f"{made.headers['Location']}/scenarios").json()["scenarios"] == body["scenarios"]

    def test_a_file_says_the_same_and_comes_back_as_one(
        self, caller: httpx.Client, shape: dict[str, Any], body: dict[str, Any]
    ) -> None:
        first = caller.post("/v1/scenario-sets", json=body).json()
        form = {"instance_id": body["instance_id"]}
        files = {"scenarios": ("scenarios.csv", as_csv(shape, body))}
        second = caller.post("/v1/scenario-sets", data=form, files=files)
        assert second.status_code == 201, second.text
        assert second.json()["digest"] == first["digest"]
        place = f"/v1/scenario-sets/{first['id']}/scenarios"
        text = caller.get(place, headers={"Accept": "text/csv"})
        assert text.headers["Content-Type"].startswith("text/csv")
        third = caller.post("/v1/scenario-sets", data=form, files={"scenarios": ("again.csv", text.content)})
        assert third.json()["digest"] == first["digest"]

    def test_it_is_made_once_for_one_key(
        self, caller: httpx.Client, shape: dict[str, Any], body: dict[str, Any]
    ) -> None:
        sent = {"Idempotency-Key": "once"}
        answers = [caller.post("/v1/scenario-sets", json=body, headers=sent) for _ in range(2)]
        assert answers[0].json() == answers[1].json()
        files = {"scenarios": ("scenarios.csv", as_csv(shape, body))}
        answer = caller.post("/v1/scenario-sets", data={"instance_id": body["instance_id"]}, files=files, headers=sent)
        assert answer.json()["type"] == "/problems/key-reused"

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"instance_id": "ins_01K9ZV6Q5RJ8XAMB4T0CWD3EFG"}, "/instance_id"),
            ({"instance_id": 5}, "/instance_id"),
            ({"name": "No Name"}, "/name"),
            ({"scenarios": []}, "/scenarios"),
            ({"scenarios": [{}, {}]}, "/scenarios/0/{place}"),
            ({"surprise": 1}, "/surprise"),
        ],
    )
    def test_each_wrong_field_is_named(
        self, caller: httpx.Client, body: dict[str, Any], change: dict[str, Any], pointer: str
    ) -> None:
        answer = caller.post("/v1/scenario-sets", json={**body, **change})
        assert answer.status_code == 422
        place = next(iter(body["scenarios"][0]))
        assert pointer.format(place=place) in [error["pointer"] for error in answer.json()["errors"]]

    def test_each_wrong_form_is_named(self, caller: httpx.Client, shape: dict[str, Any], body: dict[str, Any]) -> None:
        form, text = {"instance_id": body["instance_id"]}, as_csv(shape, body)

        def pointer(data: dict[str, str], part: str, content: str) -> str:
            answer = caller.post("/v1/scenario-sets", data=data, files={part: ("f.csv", content)})
            assert answer.status_code == 422
            return str(answer.json()["errors"][0]["pointer"])

        assert pointer(form, "other", text) == "/other"
        assert pointer({}, "scenarios", text) == "/instance_id"
        assert pointer({**form, "surprise": "1"}, "scenarios", text) == "/surprise"
        assert pointer(form, "scenarios", text.replace("5.5", "much", 1)) == "/scenarios"

    def test_another_media_type_is_refused(self, caller: httpx.Client) -> None:
        answer = caller.post("/v1/scenario-sets", content="a,b", headers={"Content-Type": "text/csv"})
        assert answer.status_code == 415


class TestUsing:
    def test_an_evaluation_takes_its_scenarios(
        self, own: Server, caller: httpx.Client, instance_id: str, body: dict[str, Any]
    ) -> None:
        set_id = caller.post("/v1/scenario-sets", json=body).json()["id"]
        asked = {"instance_id": instance_id, "policies": ["north"], "scenario_set_id": set_id}
        answer = caller.post("/v1/evaluations", json=asked)
        assert answer.status_code == 202, answer.text
        config = answer.json()["config"]
        assert (config["scenarios"], config["scenario_set_id"]) == (2, set_id)
        refused = caller.delete(f"/v1/scenario-sets/{set_id}")
        assert (refused.status_code, refused.json()["used_by"]) == (409, ["an unfinished job"])
        caller.post(f"/v1/jobs/{answer.json()['id']}/cancel")
        assert caller.delete(f"/v1/scenario-sets/{set_id}").status_code == 204
        assert caller.get(f"/v1/scenario-sets/{set_id}").status_code == 404

    def test_it_serves_an_instance_of_the_same_shape_and_no_other(
        self, caller: httpx.Client, shape: dict[str, Any], body: dict[str, Any]
    ) -> None:
        set_id = caller.post("/v1/scenario-sets", json=body).json()["id"]

        def ask(**change: Any) -> httpx.Response:
            made = caller.post("/v1/instances", json={**example_document(), **change}).json()["id"]
            asked = {"instance_id": made, "policies": ["north"], "scenario_set_id": set_id}
            return caller.post("/v1/evaluations", json=asked)

        assert ask(name="what-if").status_code == 202
        answer = ask(periods=shape["stages"] + 1)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/scenario_set_id")

    def test_how_many_is_said_once(self, caller: httpx.Client, instance_id: str, body: dict[str, Any]) -> None:
        set_id = caller.post("/v1/scenario-sets", json=body).json()["id"]
        asked = {"instance_id": instance_id, "policies": ["north"], "scenario_set_id": set_id, "scenarios": 64}
        answer = caller.post("/v1/evaluations", json=asked)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/scenarios")
        answer = caller.post("/v1/evaluations", json={**asked, "scenarios": 4096, "scenario_set_id": NOWHERE})
        assert answer.status_code == 422

    def test_it_keeps_its_instance(self, caller: httpx.Client) -> None:
        made = caller.post("/v1/instances", json={**example_document(), "name": "alone"}).json()["id"]
        shape = caller.get(f"/v1/instances/{made}/scenario-schema").json()
        scenarios = [{place: [1] * shape["stages"] for place in shape["places"]}] * 2
        assert caller.post("/v1/scenario-sets", json={"instance_id": made, "scenarios": scenarios}).status_code == 201
        answer = caller.delete(f"/v1/instances/{made}")
        assert (answer.status_code, answer.json()["used_by"]) == (409, ["scenario sets"])


def test_what_is_not_there_is_not_found(client: httpx.Client) -> None:
    for path in (f"/v1/scenario-sets/{NOWHERE}", f"/v1/scenario-sets/{NOWHERE}/scenarios"):
        assert client.get(path).status_code == 404
    assert client.delete(f"/v1/scenario-sets/{NOWHERE}").status_code == 404
    assert client.get("/v1/instances/ins_01K9ZV6Q5RJ8XAMB4T0CWD3EFG/scenario-schema").status_code == 404
