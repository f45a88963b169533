"""`/v1/policies` (all but recommend) and `/v1/evaluations`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from service.db.rows import EvaluationRow, JobRow, PolicyRow
from service.ids import new_id
from service.settings import Settings
from tests.service.api_server import Server, add_policy, example_document, make_settings, running


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """A server with an empty database."""
    with running(make_settings(tmp_path)) as server:
        yield server


class TestCard:
    def test_it_is_found_by_id_name_and_version(self, own: Server) -> None:
        first = add_policy(own, example_document(), "north", 1)
        second = add_policy(own, example_document(), "north", 2)
        with own.client() as client:
            found = {
                ref: client.get(f"/v1/policies/{ref}").json()["id"] for ref in (first, "north", "north:1", "north:2")
            }
        assert found == {first: first, "north": second, "north:1": first, "north:2": second}

    def test_it_tells_origin_and_proof(self, client: httpx.Client, policy_id: str) -> None:
        card = client.get(f"/v1/policies/{policy_id}").json()
        instance = client.get(f"/v1/instances/{card['instance_id']}").json()
        assert card["instance"] == {key: instance[key] for key in ("id", "name", "digest")}
        assert card["artifact_digest"].startswith("sha256:")
        assert card["certificate"]["policy"]["mean_cost"] == 1.0
        assert {"name", "version", "solver", "config", "seed", "curve", "recommended_for_use"} <= set(card)

    @pytest.mark.parametrize("ref", ["nobody", "orders:99", "pol_01K9ZV6Q5RJ8XAMB4T0CWD3EFG"])
    def test_an_unknown_one_is_not_found(self, client: httpx.Client, policy_id: str, ref: str) -> None:
        for path in (f"/v1/policies/{ref}", f"/v1/policies/{ref}/state"):
            assert client.get(path).status_code == 404
        assert client.delete(f"/v1/policies/{ref}").status_code == 404
        assert client.post(f"/v1/policies/{ref}/recommend", json={}).status_code == 404


class TestState:
    def test_it_says_what_a_state_is_and_gives_one(self, client: httpx.Client, policy_id: str) -> None:
        shown = client.get(f"/v1/policies/{policy_id}/state").json()
        assert jsonschema_rs.validator_for(shown["json_schema"]).is_valid(shown["today"])
        answer = client.post(f"/v1/policies/{policy_id}/recommend", json={"state": shown["today"]}).json()
        lines = answer["decision"][shown["lines_key"]]
        assert all(set(line) == {column["key"] for column in shown["columns"]} for line in lines)


class TestList:
    def test_filters_narrow_it(self, own: Server) -> None:
        add_policy(own, example_document(), "north", 1)
        newest = add_policy(own, example_document(), "south", 1)
        with own.client() as client:

            def names(**query: str) -> list[str]:
                return [item["name"] for item in client.get("/v1/policies", params=query).json()["items"]]

            instance_id = client.get(f"/v1/policies/{newest}").json()["instance_id"]
            assert names() == ["south", "north"]
            assert names(name="north") == ["north"]
            assert names(solver="hdpo", instance_id=instance_id) == ["south", "north"]
            assert names(problem="nothing") == names(solver="nothing") == []
            assert "certificate" not in client.get("/v1/policies").json()["items"][0]

    def test_it_says_what_certificates_say_in_a_word(self, own: Server) -> None:
        add_policy(own, example_document(), "told")
        with own.client() as client:
            item = next(one for one in client.get("/v1/policies").json()["items"] if one["name"] == "told")
        assert (item["gap"], item["mean_cost_per_stage"]) == (0.1, None)


class TestDelete:
    def test_it_goes_and_so_do_its_answers(self, own: Server) -> None:
        policy_id = add_policy(own, example_document())
        with own.client() as client:
            assert client.get(f"/v1/policies/{policy_id}/state").status_code == 200
            assert client.delete(f"/v1/policies/{policy_id}").status_code == 204
            assert client.get(f"/v1/policies/{policy_id}/state").status_code == 404

    def test_it_stays_while_the_audit_trail_needs_it(self, own: Server) -> None:
        policy_id = add_policy(own, example_document())
        with own.client() as client:
            client.post(f"/v1/policies/{policy_id}/recommend", json={})
            answer = client.delete(f"/v1/policies/{policy_id}")
        assert (answer.status_code, answer.json()["used_by"]) == (409, ["recommendations"])


class TestArtifacts:
    def test_a_missing_or_changed_artifact_is_named_not_served(self, own: Server) -> None:
        policy_id = add_policy(own, example_document())
        for weights in (own.settings.data_dir / "artifacts").rglob("weights.safetensors"):
            content = bytearray(weights.read_bytes())
            content[-1] ^= 1
            weights.write_bytes(content)
        with own.client() as client:
            answer = client.post(f"/v1/policies/{policy_id}/recommend", json={})
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/artifact-unavailable")


class TestEvaluations:
    def test_asking_for_one_queues_a_job(self, settings: Settings) -> None:
        with running(settings) as server, server.client() as client:
            policy_id = add_policy(server, example_document(), "north")
            instance_id = client.get(f"/v1/policies/{policy_id}").json()["instance_id"]
            body = {"instance_id": instance_id, "policies": ["north"], "scenarios": 64, "seed": 3}
            answer = client.post("/v1/evaluations", json=body)
            assert answer.status_code == 202
            assert answer.headers["Retry-After"]
            job = client.get(answer.headers["Location"]).json()
            assert (job["kind"], job["state"], job["seed"]) == ("evaluate", "queued", 3)
            assert job["config"]["policies"] == [policy_id]

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"policies": []}, "/policies"),
            ({"policies": ["nobody"]}, "/policies/0"),
            ({"rules": ["no_such_rule"]}, "/rules/0"),
            ({"scenarios": 1}, "/scenarios"),
            ({"scenarios": "64"}, "/scenarios"),
            ({"surprise": 1}, "/surprise"),
        ],
    )
    def test_each_wrong_field_is_named(
        self, client: httpx.Client, policy_id: str, change: dict[str, Any], pointer: str
    ) -> None:
        instance_id = client.get(f"/v1/policies/{policy_id}").json()["instance_id"]
        body = {"instance_id": instance_id, "policies": [policy_id], **change}
        answer = client.post("/v1/evaluations", json=body)
        assert answer.status_code == 422
        assert pointer in [error["pointer"] for error in answer.json()["errors"]]

    def test_one_is_shown_listed_and_drawn(self, own: Server) -> None:
        add_policy(own, example_document())
        with own.client() as client:
            instance_id = client.get("/v1/instances").json()["items"][0]["id"]
            with own.database.write() as session:
                row = EvaluationRow(
                    id=new_id("evl"), job_id=None, instance_id=instance_id, body={"a": 1}, paths={"p": {"q50": [1.0]}}
                )
                session.add(row)
            place = f"/v1/evaluations/{row.id}"
            assert client.get(place).json()["document"] == {"a": 1}
            assert client.get(f"{place}/paths").json() == {"id": row.id, "paths": {"p": {"q50": [1.0]}}}
            assert client.get(f"/v1/evaluations?instance_id={instance_id}").json()["items"][0]["id"] == row.id
            assert client.get("/v1/evaluations?job_id=job_01K9ZV6Q5RJ8XAMB4T0CWD3EFG").json()["items"] == []
            missing = "/v1/evaluations/evl_01K9ZV6Q5RJ8XAMB4T0CWD3EFG"
            assert client.get(missing).status_code == client.get(f"{missing}/paths").status_code == 404


def test_a_policy_a_waiting_job_starts_from_stays(own: Server) -> None:
    policy_id = add_policy(own, example_document())
    with own.client() as client:
        instance_id = client.get(f"/v1/policies/{policy_id}").json()["instance_id"]
        body = {"kind": "train", "instance_id": instance_id, "solver": "hdpo", "warm_start": policy_id}
        assert client.post("/v1/jobs", json=body).status_code == 202
        assert client.delete(f"/v1/policies/{policy_id}").status_code == 409
    with own.database.read() as session:
        assert session.get(PolicyRow, policy_id) is not None
        assert session.query(JobRow).count() == 1
