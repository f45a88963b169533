"""The Open Inference Protocol on policies, by hand and by a client library of others."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton

from tests.service.api_server import Server


def tensor(name: str, values: list[Any], datatype: str = "FP64") -> dict[str, Any]:
    return {"name": name, "shape": [len(values)], "datatype": datatype, "data": values}


@pytest.fixture
def wanted(client: httpx.Client, policy_id: str) -> list[dict[str, Any]]:
    """Today's state, twice, as the metadata asks for it."""
    today = client.get(f"/v1/policies/{policy_id}/state").json()["today"]
    found = []
    for entry in client.get("/v2/models/orders").json()["inputs"]:
        field, _, key = entry["name"].partition(".")
        value = today[field][key] if key else today[field]
        found.append(tensor(entry["name"], [value, value], entry["datatype"]))
    return found


class TestServer:
    def test_it_lives_and_says_who_it_is(self, client: httpx.Client) -> None:
        assert client.get("/v2/health/live").json() == {"live": True}
        assert client.get("/v2").json()["name"] == "herenow"


class TestMetadata:
    def test_it_names_every_tensor_taken_and_given(
        self, client: httpx.Client, policy_id: str, wanted: list[Any]
    ) -> None:
        found = client.get("/v2/models/orders/versions/1").json()
        assert found["versions"] == ["1"]
        answer = client.post("/v2/models/orders/infer", json={"inputs": wanted}).json()
        assert [t["name"] for t in found["outputs"]] == [t["name"] for t in answer["outputs"]]
        assert [t["datatype"] for t in found["outputs"]] == [t["datatype"] for t in answer["outputs"]]

    def test_an_unknown_policy_is_not_there(self, client: httpx.Client) -> None:
        answer = client.get("/v2/models/nobody")
        assert answer.status_code == 404
        assert answer.json()["error"] == answer.json()["detail"]


class TestInfer:
    def test_it_decides_as_recommend_does(self, client: httpx.Client, policy_id: str, wanted: list[Any]) -> None:
        answer = client.post("/v2/models/orders/infer", json={"id": "x", "inputs": wanted}).json()
        same = client.post("/v1/policies/orders/recommend", json={"states": _columns(wanted)}).json()
        assert answer["id"] == "x"
        named = {t["name"]: t["data"] for t in answer["outputs"]}
        assert named["in_training_range"] == same["in_training_range"]
        for line in same["decisions"]["orders"]:
            assert named[f"orders.{line['from']}.{line['to']}.quantity"] == line["quantity"]

    def test_it_is_kept_as_a_recommendation(self, client: httpx.Client, policy_id: str, wanted: list[Any]) -> None:
        answer = client.post("/v2/models/orders/infer", json={"inputs": wanted}).json()
        kept = client.get(f"/v1/recommendations/{answer['parameters']['recommendation_id']}").json()
        assert kept["states"] == 2
        assert kept["policy_id"] == policy_id

    def test_only_the_outputs_asked_for_come(self, client: httpx.Client, policy_id: str, wanted: list[Any]) -> None:
        body = {"inputs": wanted, "outputs": [{"name": "repaired"}]}
        assert [t["name"] for t in client.post("/v2/models/orders/infer", json=body).json()["outputs"]] == ["repaired"]

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"shape": [3]}, "/inputs/1/shape/0"),
            ({"data": [1.0]}, "/inputs/1/data"),
            ({"data": ["a", 1.0]}, "/inputs/1/data/0"),
            ({"data": [True, 1.0]}, "/inputs/1/data/0"),
            ({"name": "period"}, "/inputs/1/name"),
            ({"datatype": "COMPLEX"}, "/inputs/1/datatype"),
            ({"data": [-1e12, 0.0]}, "/inputs/1/data"),
            ({"name": "nothing.here"}, "/inputs/1"),
        ],
    )
    def test_a_wrong_tensor_is_named(
        self, client: httpx.Client, policy_id: str, wanted: list[Any], change: dict[str, Any], pointer: str
    ) -> None:
        assert wanted[0]["name"] == "period"
        wanted[1] = wanted[1] | change
        answer = client.post("/v2/models/orders/infer", json={"inputs": wanted})
        assert answer.status_code == 422
        assert answer.json()["error"]
        assert any(error["pointer"].startswith(pointer) for error in answer.json()["errors"])

    def test_an_output_that_is_not_given_is_named(self, client: httpx.Client, wanted: list[Any]) -> None:
        body = {"inputs": wanted, "outputs": [{"name": "happiness"}]}
        answer = client.post("/v2/models/orders/infer", json=body)
        assert answer.json()["errors"][0]["pointer"] == "/outputs/0/name"


class TestClientOfOthers:
    def test_it_finds_and_asks_a_policy(self, api: Server, policy_id: str, wanted: list[Any]) -> None:
        with triton.InferenceServerClient(api.url.removeprefix("http://")) as remote:
            assert remote.is_server_live()
            assert remote.is_model_ready("orders")
            inputs = []
            for entry in remote.get_model_metadata("orders")["inputs"]:
                given = next(t for t in wanted if t["name"] == entry["name"])
                kind = {"FP64": np.float64, "INT64": np.int64}[entry["datatype"]]
                one = triton.InferInput(entry["name"], [2], entry["datatype"])
                one.set_data_from_numpy(np.array(given["data"], dtype=kind), binary_data=False)
                inputs.append(one)
            outputs = [triton.InferRequestedOutput("in_training_range", binary_data=False)]
            answer = remote.infer("orders", inputs, outputs=outputs)
        assert answer.as_numpy("in_training_range").shape == (2,)


def _columns(wanted: list[Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for entry in wanted:
        field, _, key = entry["name"].partition(".")
        if key:
            columns.setdefault(field, {})[key] = entry["data"]
        else:
            columns[field] = entry["data"]
    return columns
