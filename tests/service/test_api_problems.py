"""`/v1/problems` and `/v1/solvers`: the registries over HTTP."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import jsonschema_rs
import pytest

from models.registry import problems
from solvers.registry import solvers

ROOT = Path(__file__).parents[2]


class TestProblems:
    def test_every_registered_problem_is_listed(self, client: httpx.Client) -> None:
        items = client.get("/v1/problems").json()["items"]
        assert [item["name"] for item in items] == sorted(problems())
        assert all(set(item["solvers"]) <= set(solvers()) for item in items)

    def test_one_shows_its_families_units_and_examples(self, client: httpx.Client) -> None:
        for name, problem in problems().items():
            shown = client.get(f"/v1/problems/{name}").json()
            assert [family["name"] for family in shown["families"]] == [family.name for family in problem.families]
            assert [example["name"] for example in shown["examples"]] == [e.name for e in problem.examples]
            assert shown["units"] == dict(problem.units)

    def test_an_unknown_one_is_not_found(self, client: httpx.Client) -> None:
        for path in ("", "/schema", "/examples", "/examples/x"):
            assert client.get(f"/v1/problems/nothing{path}").status_code == 404

    def test_the_schema_accepts_every_example(self, client: httpx.Client) -> None:
        for name in problems():
            answer = client.get(f"/v1/problems/{name}/schema")
            assert answer.headers["Content-Type"] == "application/schema+json"
            schema = answer.json()
            assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
            validator = jsonschema_rs.validator_for(schema)
            for example in client.get(f"/v1/problems/{name}/examples").json()["items"]:
                document = client.get(f"/v1/problems/{name}/examples/{example['name']}").json()
                assert validator.is_valid(document), example["name"]

    def test_an_example_can_be_piped_into_instances(self, client: httpx.Client) -> None:
        for name in problems():
            for example in client.get(f"/v1/problems/{name}/examples").json()["items"]:
                body = client.get(f"/v1/problems/{name}/examples/{example['name']}").content
                answer = client.post("/v1/instances", content=body, headers={"Content-Type": "application/json"})
                assert answer.status_code in (200, 201), answer.text

    def test_examples_come_in_pages(self, client: httpx.Client) -> None:
        for name, problem in problems().items():
            seen, cursor = [], ""
            while cursor is not None:
                page = client.get(f"/v1/problems/{name}/examples?limit=2" + (cursor and f"&cursor={cursor}")).json()
                seen += [item["name"] for item in page["items"]]
                cursor = page["next_cursor"]
            assert seen == sorted(example.name for example in problem.examples)


class TestSolvers:
    def test_each_says_which_problems_it_serves_and_why_not_the_others(self, client: httpx.Client) -> None:
        items = client.get("/v1/solvers").json()["items"]
        assert [item["name"] for item in items] == sorted(solvers())
        for item in items:
            assert [served["problem"] for served in item["problems"]] == list(problems())
            assert all(served["serves"] is not bool(served["reasons"]) for served in item["problems"])

    def test_the_config_schema_has_bounds_descriptions_and_working_defaults(self, client: httpx.Client) -> None:
        for item in client.get("/v1/solvers").json()["items"]:
            schema = item["config_schema"]
            assert all("description" in field for field in schema["properties"].values())
            defaults = {name: field["default"] for name, field in schema["properties"].items() if "default" in field}
            assert jsonschema_rs.validator_for(schema).is_valid(defaults)
            solvers()[item["name"]].config.model_validate(defaults)

    def test_one_is_shown_alone(self, client: httpx.Client) -> None:
        assert client.get("/v1/solvers/hdpo").json()["kind"] == "train"
        assert client.get("/v1/solvers/nothing").status_code == 404


@pytest.mark.parametrize("folder", ["service", "solvers", "migrations"])
def test_no_problem_is_named_above_floor_0(folder: str) -> None:
    names = re.compile("|".join(rf"\b{name}\b" for name in problems()))
    guilty = [str(path) for path in (ROOT / folder).rglob("*.py") if names.search(path.read_text())]
    assert guilty == []
