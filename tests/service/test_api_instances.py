"""`/v1/instances`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.registry import problems
from service.figures import Figures
from service.instances.drawing import KEPT, Drawings
from service.settings import Settings
from tests.service.api_server import Server, add_policy, example_document, make_settings, running


@pytest.fixture
def own(tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of a server with an empty database."""
    with running(make_settings(tmp_path)) as server, server.client() as client:
        yield client


def named(name: str) -> dict[str, Any]:
    return example_document() | {"name": name}


class TestPost:
    def test_a_new_instance_answers_201_with_its_place(self, own: httpx.Client) -> None:
        answer = own.post("/v1/instances", json=example_document())
        assert answer.status_code == 201
        shown = own.get(answer.headers["Location"]).json()
        assert {key: answer.json()[key] for key in ("id", "digest", "name", "problem")} == {
            key: shown[key] for key in ("id", "digest", "name", "problem")
        }

    def test_the_same_content_answers_200_with_the_same_id(self, own: httpx.Client) -> None:
        first = own.post("/v1/instances", json=example_document())
        document = example_document()
        reordered = dict(reversed(document.items()))
        again = own.post("/v1/instances", json=reordered)
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json()["id"] == first.json()["id"]
        assert again.headers["Location"] == first.headers["Location"]

    def test_defaults_left_out_or_written_out_are_the_same_content(self, own: httpx.Client) -> None:
        first = own.post("/v1/instances", json=example_document()).json()
        written_out = own.get(f"/v1/instances/{first['id']}").json()["document"]
        assert own.post("/v1/instances", json=written_out).json()["id"] == first["id"]

    def test_it_works_on_both_databases(self, settings: Settings) -> None:
        with running(settings) as server, server.client() as client:
            made = client.post("/v1/instances", json=example_document())
            assert made.status_code == 201
            assert client.get(made.headers["Location"]).status_code == 200
            assert client.get("/v1/instances").json()["items"][0]["id"] == made.json()["id"]
            assert client.delete(made.headers["Location"]).status_code == 204


class TestValidate:
    def test_a_valid_document_has_no_errors_and_is_not_stored(self, own: httpx.Client) -> None:
        answer = own.post("/v1/instances/validate", json=example_document())
        assert answer.status_code == 200
        assert [issue for issue in answer.json()["issues"] if issue["severity"] == "error"] == []
        assert own.get("/v1/instances").json()["items"] == []

    def test_every_broken_rule_is_an_issue(self, own: httpx.Client) -> None:
        document = example_document() | {"periods": -1, "surprise": 1}
        issues = own.post("/v1/instances/validate", json=document).json()["issues"]
        assert {"/periods", "/surprise"} <= {issue["pointer"] for issue in issues}
        assert all(issue["code"] and issue["detail"] for issue in issues)

    def test_a_place_inside_a_choice_of_shapes_is_a_place_in_the_document(self, own: httpx.Client) -> None:
        document = example_document() | {"demand": {"process": "normal", "nodes": {"store": {"mean": -1.0}}}}
        issues = own.post("/v1/instances/validate", json=document).json()["issues"]
        assert [issue["pointer"] for issue in issues] == ["/demand/nodes/store/mean", "/demand/nodes/store/std"]

    @pytest.mark.parametrize("document", [5, [], {}, {"problem": "nothing"}, {"problem": []}])
    def test_any_json_is_answered(self, own: httpx.Client, document: object) -> None:
        answer = own.post("/v1/instances/validate", json=document)
        assert answer.status_code == 200
        assert answer.json()["issues"][0]["severity"] == "error"

    @pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
    def test_only_posts_are_taken(self, own: httpx.Client, method: str) -> None:
        answer = own.request(method, "/v1/instances/validate")
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


class TestGet:
    def test_the_document_is_complete(self, own: httpx.Client) -> None:
        made = own.post("/v1/instances", json=example_document()).json()
        document = own.get(f"/v1/instances/{made['id']}").json()["document"]
        assert all(
            document[key] == value for key, value in example_document().items() if not isinstance(value, list | dict)
        )

    def test_an_unknown_one_is_not_found(self, own: httpx.Client) -> None:
        answer = own.get("/v1/instances/ins_01K9ZV6Q5RJ8XAMB4T0CWD3EFG")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


class TestList:
    def test_pages_go_from_newest_to_oldest_without_gap_or_repetition(self, own: httpx.Client) -> None:
        made = [own.post("/v1/instances", json=named(f"n{i}")).json()["id"] for i in range(5)]
        seen, cursor = [], None
        while True:
            query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
            page = own.get("/v1/instances", params=query).json()
            seen += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
            own.post("/v1/instances", json=named(f"late{len(seen)}"))  # newcomers do not disturb the pages
            if cursor is None:
                break
        assert seen == made[::-1]

    def test_filters_narrow_it(self, own: httpx.Client) -> None:
        own.post("/v1/instances", json=named("one"))
        own.post("/v1/instances", json=named("two"))
        assert [item["name"] for item in own.get("/v1/instances?name=one").json()["items"]] == ["one"]
        assert own.get("/v1/instances?problem=nothing").json() == {"items": [], "next_cursor": None}

    def test_a_part_of_a_name_finds_it(self, own: httpx.Client) -> None:
        for name in ("north-stores", "south_stores", "depot"):
            own.post("/v1/instances", json=named(name))

        def found(part: str) -> list[str]:
            return [item["name"] for item in own.get("/v1/instances", params={"search": part}).json()["items"]]

        assert found("stores") == ["south_stores", "north-stores"]
        assert found("h_s") == ["south_stores"]  # no wildcard
        assert found("%") == []


class TestFit:
    def test_a_solver_serves_or_says_why_not(self, own: httpx.Client) -> None:
        instance_id = own.post("/v1/instances", json=example_document()).json()["id"]
        fit = own.get(f"/v1/instances/{instance_id}/fit").json()
        known = {solver["name"] for solver in own.get("/v1/solvers").json()["items"]}
        assert {solver["name"] for solver in fit["solvers"]} == known
        assert all(solver["serves"] == (solver["reasons"] == []) for solver in fit["solvers"])
        assert {True, False} == {solver["serves"] for solver in fit["solvers"]}

    def test_a_job_is_refused_for_the_reasons_it_gives(self, own: httpx.Client) -> None:
        instance_id = own.post("/v1/instances", json=example_document()).json()["id"]
        fit = own.get(f"/v1/instances/{instance_id}/fit").json()
        for solver in fit["solvers"]:
            body = {"kind": solver["kind"], "instance_id": instance_id, "solver": solver["name"]}
            answer = own.post("/v1/jobs", json=body)
            assert (answer.status_code == 202) == solver["serves"]
            assert solver["configurable"] or answer.json()["reasons"] == solver["reasons"]

    def test_its_rules_are_those_an_evaluation_takes(self, own: httpx.Client) -> None:
        instance_id = own.post("/v1/instances", json=example_document()).json()["id"]
        rules = [rule["name"] for rule in own.get(f"/v1/instances/{instance_id}/fit").json()["rules"]]
        job = {"kind": "evaluate", "instance_id": instance_id, "rules": rules}
        assert rules
        assert own.post("/v1/jobs", json=job).status_code == 202
        refused = own.post("/v1/jobs", json=job | {"rules": ["no_such_rule"]}).json()
        assert all(rule in refused["errors"][0]["detail"] for rule in rules)

    def test_an_unknown_instance_is_not_found(self, own: httpx.Client) -> None:
        assert own.get("/v1/instances/ins_01K9ZV6Q5RJ8XAMB4T0CWD3EFG/fit").status_code == 404


class TestDelete:
    def test_an_instance_nothing_uses_goes(self, own: httpx.Client) -> None:
        place = own.post("/v1/instances", json=example_document()).headers["Location"]
        assert own.delete(place).status_code == 204
        assert own.get(place).status_code == own.delete(place).status_code == 404

    def test_an_instance_in_use_stays(self, api: Server, client: httpx.Client) -> None:
        policy_id = add_policy(api, named("in-use"), "needs-it")
        instance_id = client.get(f"/v1/policies/{policy_id}").json()["instance_id"]
        answer = client.delete(f"/v1/instances/{instance_id}")
        assert (answer.status_code, answer.json()["used_by"]) == (409, ["policies"])
        assert client.get(f"/v1/instances/{instance_id}").status_code == 200


class TestFigures:
    def test_an_instance_is_drawn_without_a_policy(self, own: httpx.Client) -> None:
        for problem in problems().values():
            made = own.post("/v1/instances", json=problem.examples[-1].document()).json()
            answer = own.get(f"/v1/instances/{made['id']}/figures")
            assert answer.status_code == 200
            figures = Figures.model_validate(answer.json()).figures
            assert len({figure.key for figure in figures}) == len(figures) > 1
            assert own.get(f"/v1/instances/{made['id']}/figures").content == answer.content

    def test_an_unknown_one_is_not_found(self, own: httpx.Client) -> None:
        answer = own.get("/v1/instances/ins_01K9ZV6Q5RJ8XAMB4T0CWD3EFG/figures")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")

    def test_only_the_last_drawings_are_kept(self) -> None:
        drawings = Drawings()
        document = example_document()
        for k in range(KEPT + 1):
            drawings.of(f"sha256:{k}", document)
        assert len(drawings._kept) == KEPT
        assert "sha256:0" not in drawings._kept
