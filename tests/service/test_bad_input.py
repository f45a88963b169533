"""Bad input answers a 4xx problem document that names the field; nothing is stored and nothing is logged as a crash."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.service.api_server import Server, example_document

JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def nothing_crashes(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test here may leave an error in the log."""
    yield
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def body_with(place: str, literal: str) -> bytes:
    """The first example with `literal` in place of its first `"place": value`."""
    document = example_document()
    target = document["nodes"][0] if place in document["nodes"][0] else document
    target[place] = "@@"
    return json.dumps(document).replace('"@@"', literal).encode()


def refused(answer: httpx.Response, status: int, *pointers: str) -> dict[str, Any]:
    """The problem document, after checking its form, status and the fields it names."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert problem["type"].startswith("/problems/")
    named = [error["pointer"] for error in problem.get("errors", [])]
    assert set(pointers) <= set(named), named
    assert "NaN" not in answer.text
    assert "Infinity" not in answer.text
    return problem


class TestNumbers:
    @pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000])
    @pytest.mark.parametrize("path", ["/v1/instances", "/v1/instances/validate"])
    def test_non_finite_numbers_are_refused_by_name(self, client: httpx.Client, path: str, literal: str) -> None:
        answer = client.post(path, content=body_with("periods", literal), headers=JSON)
        refused(answer, 422, "/periods")

    def test_a_number_beyond_its_bound_is_refused(self, client: httpx.Client) -> None:
        answer = client.post("/v1/instances", content=body_with("periods", "1" + "0" * 250), headers=JSON)
        refused(answer, 422, "/periods")


class TestText:
    @pytest.mark.parametrize("literal", ['"\\ud800"', '"a\\u0000b"', '"a\x00b"'])
    def test_strings_no_database_can_hold_are_refused_by_name(self, client: httpx.Client, literal: str) -> None:
        refused(client.post("/v1/instances", content=body_with("name", literal), headers=JSON), 422, "/name")

    def test_duplicate_keys_are_refused_by_name(self, client: httpx.Client) -> None:
        body = b'{"periods": 3, ' + json.dumps(example_document()).encode()[1:]
        refused(client.post("/v1/instances", content=body, headers=JSON), 422, "/periods")

    @pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 20_000, b'{"a":' * 20_000 + b"1" + b"}" * 20_000])
    def test_what_is_not_json_is_refused(self, client: httpx.Client, body: bytes) -> None:
        for path in ("/v1/instances", "/v1/jobs", "/v1/evaluations"):
            answer = client.post(path, content=body, headers=JSON)
            assert refused(answer, answer.status_code)["status"] in (400, 422)

    def test_deep_nesting_is_refused_everywhere(self, client: httpx.Client, policy_id: str) -> None:
        deep = b'{"state": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"
        for path in ("/v1/instances", "/v1/jobs", f"/v1/policies/{policy_id}/recommend"):
            refused(client.post(path, content=deep, headers=JSON), 400)


class TestBodies:
    @pytest.mark.parametrize(
        "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None]
    )
    def test_another_media_type_is_refused(self, client: httpx.Client, content_type: str | None) -> None:
        headers = {"Content-Type": content_type} if content_type else {}
        refused(client.post("/v1/instances", content=b"{}", headers=headers), 415)

    def test_another_charset_is_refused(self, client: httpx.Client) -> None:
        headers = {"Content-Type": "application/json; charset=latin-1"}
        refused(client.post("/v1/instances", content=b"{}", headers=headers), 415)

    def test_a_compressed_body_is_refused(self, client: httpx.Client) -> None:
        headers = {**JSON, "Content-Encoding": "gzip"}
        refused(client.post("/v1/instances", content=b"{}", headers=headers), 415)

    def test_a_declared_large_body_is_refused(self, api: Server, client: httpx.Client) -> None:
        body = b'{"name": "' + b"x" * api.settings.max_body_bytes + b'"}'
        assert refused(client.post("/v1/instances", content=body, headers=JSON), 413)["type"] == "/problems/too-large"

    def test_a_large_body_in_chunks_is_refused(self, api: Server, client: httpx.Client) -> None:
        def chunks() -> Iterator[bytes]:
            for _ in range(api.settings.max_body_bytes // 1000 + 2):
                yield b" " * 1000

        refused(client.post("/v1/instances", content=chunks(), headers=JSON), 413)

    def test_a_length_that_promises_too_much_is_refused_in_time(self, api: Server) -> None:
        status, text = exchange(api, b"Content-Length: 1000\r\n\r\n{")
        assert status == 408
        assert json.loads(text)["type"] == "/problems/request-timeout"

    @pytest.mark.parametrize("length", [b"-5", b"abc", b"99999999999999999999999"])
    def test_a_length_that_is_none_is_refused(self, api: Server, length: bytes) -> None:
        status, text = exchange(api, b"Content-Length: " + length + b"\r\n\r\n{}")
        assert 400 <= status < 500
        assert json.loads(text)["type"].startswith("/problems/")

    def test_a_length_that_promises_too_little_is_refused(self, api: Server) -> None:
        status, _ = exchange(api, b'Content-Length: 3\r\n\r\n{"problem": 1}')
        assert 400 <= status < 500


def exchange(api: Server, rest: bytes) -> tuple[int, str]:
    """Status and body of the first answer to a POST written by hand."""
    host, port = api.url.removeprefix("http://").split(":")
    head = f"POST /v1/instances HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n".encode()
    received = b""
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head + rest)
        while chunk := connection.recv(65536):
            received += chunk
            top, found, body = received.partition(b"\r\n\r\n")
            if found and (length := _content_length(top)) is not None and len(body) >= length:
                break
    top, _, body = received.partition(b"\r\n\r\n")
    return int(top.split()[1]), body.decode()


def _content_length(top: bytes) -> int | None:
    for line in top.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return None


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change of one field of a document, by its JSON Pointer."""

    def apply(document: dict[str, Any]) -> None:
        *parents, last = path.strip("/").split("/")
        place: Any = document
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        place[int(last) if isinstance(place, list) else last] = value

    return apply


class TestInstances:
    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("/problem", "no_such_problem"),
            ("/problem", 7),
            ("/surprise", 1),
            ("/nodes/0/surprise", 1),
            ("/periods", "thirty"),
            ("/periods", "30"),
            ("/periods", True),
            ("/periods", 3.5),
            ("/periods", -1),
            ("/nodes", {}),
            ("/nodes/1/holding_cost", -0.1),
            ("/nodes/1/holding_cost", "0.5"),
            ("/nodes/1/kind", "shop"),
            ("/name", "../../etc/passwd"),
            ("/lanes/0/lead_time", 400),
        ],
    )
    def test_each_wrong_field_is_named(self, client: httpx.Client, path: str, value: Any) -> None:
        document = example_document()
        change(path, value)(document)
        before = len(client.get("/v1/instances").json()["items"])
        refused(client.post("/v1/instances", json=document), 422, path)
        assert len(client.get("/v1/instances").json()["items"]) == before

    def test_a_lead_time_longer_than_the_horizon_is_named(self, client: httpx.Client) -> None:
        document = example_document() | {"periods": 6, "warmup_periods": 0}
        change("/lanes/0/lead_time", 7)(document)
        problem = refused(client.post("/v1/instances", json=document), 422)
        assert any(error["pointer"].startswith("/lanes/0") for error in problem["errors"])

    def test_a_cycle_is_named(self, client: httpx.Client) -> None:
        document = example_document()
        first = document["lanes"][0]
        document["lanes"].append({"from": first["to"], "to": first["from"], "lead_time": 1})
        problem = refused(client.post("/v1/instances", json=document), 422)
        assert any(error["pointer"].startswith("/lanes") for error in problem["errors"])

    def test_a_store_no_lane_reaches_is_named(self, client: httpx.Client) -> None:
        document = example_document()
        store = next(i for i, node in enumerate(document["nodes"]) if node["kind"] == "store")
        name = document["nodes"][store]["id"]
        document["lanes"] = [lane for lane in document["lanes"] if lane["to"] != name]
        problem = refused(client.post("/v1/instances", json=document), 422)
        assert any(error["pointer"].startswith(f"/nodes/{store}") for error in problem["errors"])

    def test_demand_for_an_unknown_node_is_named(self, client: httpx.Client) -> None:
        document = example_document()
        document["demand"]["nodes"]["nowhere"] = next(iter(document["demand"]["nodes"].values()))
        problem = refused(client.post("/v1/instances", json=document), 422)
        assert any(error["pointer"].startswith("/demand/nodes") for error in problem["errors"])

    @pytest.mark.parametrize("document", [None, [], 5, "text", True, {}])
    def test_what_is_no_document_is_refused(self, client: httpx.Client, document: Any) -> None:
        refused(client.post("/v1/instances", content=json.dumps(document), headers=JSON), 422)


class TestIdentifiers:
    @pytest.mark.parametrize(
        "path",
        [
            "/v1/instances/ins_..%2F..%2Fetc%2Fpasswd",
            "/v1/instances/ins_01K9ZV6Q5RJ8XAMB4T0CWD3EF..",
            "/v1/instances/pol_01K9ZV6Q5RJ8XAMB4T0CWD3EFG",
            "/v1/jobs/..%00",
            "/v1/policies/..",
            "/v1/policies/UPPER",
            "/v1/policies/name:0",
            "/v1/policies/a%00b",
            "/v1/recommendations/rec_1",
            "/v1/evaluations/evl_ILOU",
            "/v1/problems/..%2F",
            "/problems/%2e%2e",
        ],
    )
    def test_a_malformed_identifier_touches_nothing(self, client: httpx.Client, path: str) -> None:
        answer = client.get(path)
        assert answer.status_code in (404, 422), answer.text
        assert answer.headers["Content-Type"] == "application/problem+json"

    @pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=1e9", "limit=99999999999999999999", "cursor=..%2F"])
    def test_a_malformed_query_is_named(self, client: httpx.Client, query: str) -> None:
        problem = refused(client.get(f"/v1/instances?{query}"), 422, "/" + query.split("=")[0])
        assert problem["errors"][0]["in"] == "query"

    def test_an_idempotency_key_no_header_should_hold_is_named(self, client: httpx.Client) -> None:
        headers = {"Idempotency-Key": "x" * 256}
        problem = refused(client.post("/v1/instances", json=example_document(), headers=headers), 422)
        assert problem["errors"][0]["in"] == "header"


class TestJobs:
    def stored(self, client: httpx.Client) -> str:
        answer: str = client.post("/v1/instances", json=example_document()).json()["id"]
        return answer

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"solver": "no-such"}, "/solver"),
            ({"solver": 3}, "/solver"),
            ({"config": {"iterations": -1}}, "/config/iterations"),
            ({"config": {"iterations": 10**12}}, "/config/iterations"),
            ({"config": {"iterations": "400"}}, "/config/iterations"),
            ({"config": {"surprise": 1}}, "/config/surprise"),
            ({"config": []}, "/config"),
            ({"config": {"family": "no_such"}}, "/config/family"),
            ({"seed": -1}, "/seed"),
            ({"seed": "7"}, "/seed"),
            ({"time_limit": "ten minutes"}, "/time_limit"),
            ({"time_limit": "P9999D"}, "/time_limit"),
            ({"policy_name": "../x"}, "/policy_name"),
            ({"instance_id": "ins_.."}, "/instance_id"),
            ({"instance_id": "ins_01K9ZV6Q5RJ8XAMB4T0CWD3EFG"}, "/instance_id"),
            ({"warm_start": "nobody"}, "/warm_start"),
            ({"kind": "dream"}, "/kind"),
            ({"surprise": 1}, "/surprise"),
        ],
    )
    def test_each_wrong_field_is_named(self, client: httpx.Client, change: dict[str, Any], pointer: str) -> None:
        body = {"kind": "train", "instance_id": self.stored(client), "solver": "hdpo", **change}
        waiting = client.get("/v1/queue").json()["queued"]
        refused(client.post("/v1/jobs", json=body), 422, pointer)
        assert client.get("/v1/queue").json()["queued"] == waiting

    def test_a_non_finite_config_is_named(self, client: httpx.Client) -> None:
        body = json.dumps({"kind": "train", "instance_id": self.stored(client), "solver": "hdpo", "config": {"x": 0}})
        refused(client.post("/v1/jobs", content=body.replace('"x": 0', '"x": NaN'), headers=JSON), 422, "/config/x")


class TestStates:
    def test_a_state_that_names_an_unknown_node_is_refused(
        self, client: httpx.Client, policy_id: str, today: dict[str, Any]
    ) -> None:
        state = {**today, "on_hand": {**today["on_hand"], "nowhere": 3}}
        refused(
            client.post(f"/v1/policies/{policy_id}/recommend", json={"state": state}), 422, "/state/on_hand/nowhere"
        )

    def test_a_state_that_misses_a_node_is_refused(
        self, client: httpx.Client, policy_id: str, today: dict[str, Any]
    ) -> None:
        missing = next(iter(today["on_hand"]))
        state = {**today, "on_hand": {k: v for k, v in today["on_hand"].items() if k != missing}}
        answer = client.post(f"/v1/policies/{policy_id}/recommend", json={"states": [today, state]})
        problem = refused(answer, 422)
        assert all(error["pointer"].startswith("/states/1/on_hand") for error in problem["errors"])

    @pytest.mark.parametrize("literal", ["NaN", "1e999", "-Infinity", '"5"', "true", "null", "[]", "1" + "0" * 250])
    def test_a_stock_that_is_no_quantity_is_refused(
        self, client: httpx.Client, policy_id: str, today: dict[str, Any], literal: str
    ) -> None:
        node = next(iter(today["on_hand"]))
        state = {**today, "on_hand": {**today["on_hand"], node: "@@"}}
        body = json.dumps({"state": state}).replace('"@@"', literal)
        answer = client.post(f"/v1/policies/{policy_id}/recommend", content=body, headers=JSON)
        refused(answer, 422, f"/state/on_hand/{node}")

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"state": 3}, "/state"),
            ({"states": []}, "/states"),
            ({"states": 3}, "/states"),
            ({"states": [3]}, "/states/0"),
            ({"states": {}}, "/states"),
            ({"surprise": 1}, "/surprise"),
            ({"options": {"explain": 1}}, "/options/explain"),
            ({"options": {"surprise": 1}}, "/options/surprise"),
            ({"options": []}, "/options"),
            ([], ""),
        ],
    )
    def test_each_wrong_field_is_named(self, client: httpx.Client, policy_id: str, body: Any, pointer: str) -> None:
        answer = client.post(f"/v1/policies/{policy_id}/recommend", json=body)
        problem = refused(answer, 422)
        assert any(error["pointer"].startswith(pointer) for error in problem["errors"])

    def test_too_many_states_are_refused(self, api: Server, client: httpx.Client, policy_id: str) -> None:
        many = api.settings.max_states + 1
        for states in ([{}] * many, {"period": [0] * many}, {"on_hand": {"a": [0] * many}}):
            answer = client.post(f"/v1/policies/{policy_id}/recommend", json={"states": states})
            refused(answer, 422, "/states")

    def test_state_and_states_together_are_refused(self, client: httpx.Client, policy_id: str) -> None:
        answer = client.post(f"/v1/policies/{policy_id}/recommend", json={"state": {}, "states": [{}]})
        refused(answer, 422, "/states")
