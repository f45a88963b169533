"""The OpenAPI document is complete, true, and its examples work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.db.rows import PolicyRow
from service.keys.service import create
from tests.service.api_server import Server, add_policy, example_document, make_settings, running
from tests.service.test_api_reproduce import receipt

pytestmark = pytest.mark.processes

METHODS = ("get", "post", "put", "delete")


@pytest.fixture(scope="module")
def document(api: Server) -> dict[str, Any]:
    with api.client() as client:
        answer: dict[str, Any] = client.get("/openapi.json").json()
    return answer


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


class TestDocument:
    def test_every_operation_is_named_once_described_and_tagged(self, document: dict[str, Any]) -> None:
        names = [operation["operationId"] for _, _, operation in operations(document)]
        assert len(names) == len(set(names))
        tags = {tag["name"] for tag in document["tags"]}
        for path, method, operation in operations(document):
            assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation["operationId"]), operation["operationId"]
            assert operation["description"], (path, method)
            assert set(operation["tags"]) <= tags

    def test_every_refusal_is_a_problem_document(self, document: dict[str, Any]) -> None:
        for path, method, operation in operations(document):
            refusals = {status: r for status, r in operation["responses"].items() if int(status) >= 400}
            assert {"403", "421", "429", "500", "503"} <= set(refusals), (path, method)
            for response in refusals.values():
                assert list(response["content"]) == ["application/problem+json"]

    def test_every_answer_documents_its_request_id(self, document: dict[str, Any]) -> None:
        for _, _, operation in operations(document):
            assert all("X-Request-Id" in response["headers"] for response in operation["responses"].values())

    def test_every_reference_leads_somewhere(self, document: dict[str, Any]) -> None:
        for reference in set(references(document)):
            place: Any = document
            for part in reference.removeprefix("#/").split("/"):
                place = place[part]

    def test_every_link_leads_to_an_operation_that_takes_it(self, document: dict[str, Any]) -> None:
        known = {operation["operationId"]: operation for _, _, operation in operations(document)}
        links = [
            (operation["operationId"], link)
            for operation in known.values()
            for response in operation["responses"].values()
            for link in response.get("links", {}).values()
        ]
        assert len(links) > 40
        for _, link in links:
            taken = {p["name"] for p in known[link["operationId"]]["parameters"] if p["in"] == "path"}
            assert set(link["parameters"]) == taken
        followed = {link["operationId"] for source, link in links if source == "submit_job"}
        assert followed == {"get_job", "delete_job", "get_result", "get_events", "get_log", "cancel_job", "retry_job"}

    def test_every_parameter_is_described(self, document: dict[str, Any]) -> None:
        for path, method, operation in operations(document):
            for parameter in operation.get("parameters", []):
                assert "description" in parameter, (path, method, parameter["name"])

    def test_every_body_has_examples(self, document: dict[str, Any]) -> None:
        for path, method, operation in operations(document):
            if takes_json(operation):
                assert examples(document, operation), (path, method)


def takes_json(operation: dict[str, Any]) -> bool:
    """Whether the operation takes a JSON body; files are tried in `test_api_import`."""
    return "application/json" in operation.get("requestBody", {}).get("content", {})


def examples(document: dict[str, Any], operation: dict[str, Any]) -> list[Any]:
    """The examples of an operation's body, beside its schema or in it."""
    content = operation["requestBody"]["content"]["application/json"]
    if "examples" in content:
        return [example["value"] for example in content["examples"].values()]
    schema = content["schema"]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    found: list[Any] = schema.get("examples", [])
    return found


class TestExamples:
    """Every example is posted as it stands, but for identifiers, which a fresh server cannot have."""

    def test_each_is_accepted(
        self, api: Server, client: httpx.Client, document: dict[str, Any], policy_id: str, today: dict[str, Any]
    ) -> None:
        instance_id = client.post("/v1/instances", json=example_document()).json()["id"]
        asked = client.post(f"/v1/policies/{policy_id}/recommend", json={"state": today}).json()
        known = {"ref": policy_id, "recommendation_id": asked["recommendation_id"], "name": "orders", "alias": "tried"}
        test = {"name": "posted", "instance_id": instance_id, "scenarios": 64}
        known["key_id"] = client.post("/v1/keys", json={"name": "posted", "scopes": ["read"]}).json()["id"]
        known["test_id"] = client.post("/v1/policies/orders/acceptance-tests", json=test).json()["id"]
        known["key_id"] = client.post("/v1/keys", json={"name": "posted", "scopes": ["read"]}).json()["id"]
        posted = 0
        for path, method, operation in operations(document):
            if not takes_json(operation) or path.startswith("/v2/"):  # a policy has inputs of its own
                continue
            if path.endswith("/replay"):  # only an override has a decision of the planner's to replay
                mine = {"outcome": "overridden", "decision": asked["decision"]}
                client.put(f"/v1/recommendations/{asked['recommendation_id']}/outcome", json=mine)
            if path.endswith("/reproduce"):  # what was never trained has no receipt to be made again from
                with api.database.write() as session:
                    row = session.get_one(PolicyRow, policy_id)
                    row.card = {**row.card, "receipt": receipt()}
            for example in examples(document, operation):
                body = _with_ids(example, _served(client, example) or instance_id, policy_id)
                conditional = {"If-None-Match": "*"} if "412" in operation["responses"] else {}
                answer = client.request(method, path.format(**known), json=body, headers=conditional)
                assert answer.is_success, (path, example, answer.text)
                posted += 1
        assert posted >= 10


def _served(client: httpx.Client, example: Any) -> str | None:
    """An instance that the example's solver serves, where the example names one."""
    name = example.get("solver") if isinstance(example, dict) else None
    if name is None:
        return None
    from models.registry import problems
    from solvers.registry import solver

    asked = solver(name)
    served = (
        document
        for problem in problems().values()
        if not asked.reasons_against(problem)
        for document in (listed.document() for listed in problem.examples)
        if not asked.refuses(problem, problem.parse(document), asked.config())
    )
    return str(client.post("/v1/instances", json=next(served)).json()["id"])


def _with_ids(example: Any, instance_id: str, policy_id: str) -> Any:
    """The example with identifiers and policy names that exist."""
    text = re.sub(r"ins_[0-9A-HJKMNP-TV-Z]{26}", instance_id, json.dumps(example))
    body = json.loads(re.sub(r"pol_[0-9A-HJKMNP-TV-Z]{26}", policy_id, text))
    if isinstance(body, dict) and "policies" in body:
        body["policies"] = [policy_id]
    return body


@pytest.mark.timeout(360)
@pytest.mark.parametrize(("phases", "few"), [("examples,coverage,fuzzing", "2"), ("stateful", "25")])
def test_schemathesis_finds_nothing(tmp_path: Path, phases: str, few: str) -> None:
    """Generated requests, good and bad, answer as the document says: statuses, schemas, headers, methods, keys.

    In the second run they follow the document's links: what one made, others read, change and delete. Keys are asked
    for, so their absence is tried too. The requests are the same every time, so a failure is a change;
    HERENOW_TEST_FUZZ asks for that many per operation instead, new ones every time.
    """
    more = os.environ.get("HERENOW_TEST_FUZZ")
    settings = make_settings(
        tmp_path / "data",
        require_keys=True,
        max_wait_seconds=0.1,
        body_seconds=2.0,
        broker_url=f"filesystem://{tmp_path}",
    )
    with running(settings) as server:
        with server.database.write() as session:
            key = create(session, "fuzz", ["admin"]).secret
        add_policy(server, example_document())
        command = [
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("--config-file", str(Path(__file__).with_name("schemathesis.toml"))),
            *("run", f"{server.url}/openapi.json", "-H", f"Authorization: Bearer {key}", "--phases", phases),
            *(("--max-examples", more) if more else ("--max-examples", few, "--seed", "7")),
            *("--continue-on-failure", "--generation-database", "none", "--no-color"),
        ]
        found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=330)
    assert found.returncode == 0, found.stdout[-8000:] + found.stderr[-2000:]
    assert phases != "stateful" or _followed(found.stdout) >= 3, found.stdout[-2000:]


def _followed(said: str) -> int:
    """Number of links of the document that were followed, as the report tells it."""
    found = re.search(r"(\d+) covered / \d+ selected / \d+ total", said)
    return int(found[1]) if found else 0
