"""The audit log: every change through the API is in it, whole or not at all, and stays as it was written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, get_args

import httpx
import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DBAPIError

from service.audit import service as audit
from service.audit.schemas import Action
from service.db.rows import AuditRow, utcnow
from service.db.session import Database
from service.ids import new_id
from service.keys import service as keys
from service.keys.callers import LOCAL
from tests.service.api_server import Server, add_policy, example_document, make_settings, running

# What each changing operation writes; those on the right change nothing that lasts, or keep a record of their own.
WRITES = {
    "create_instance": "instance.stored",
    "import_instance": "instance.stored",
    "delete_instance": "instance.deleted",
    "create_scenario_set": "scenario_set.stored",
    "delete_scenario_set": "scenario_set.deleted",
    "submit_job": "job.submitted",
    "retry_job": "job.retried",
    "cancel_job": "job.cancelled",
    "delete_job": "job.deleted",
    "delete_policy": "policy.deleted",
    "put_alias": "alias.set",
    "delete_alias": "alias.deleted",
    "create_acceptance_test": "acceptance_test.made",
    "delete_acceptance_test": "acceptance_test.deleted",
    "run_acceptance_test": "job.submitted",
    "create_evaluation": "job.submitted",
    "put_outcome": "recommendation.judged",
    "replay": "job.submitted",
    "reproduce": "job.submitted",
    "create_key": "key.made",
    "rotate_key": "key.rotated",
    "revoke_key": "key.revoked",
}
WRITES_NOTHING = {"validate_instance", "read_policy_state"}
RECORDED_AS_RECOMMENDATIONS = {"recommend", "infer", "infer_version"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for keys, with a policy `orders` of two versions."""
    with running(make_settings(tmp_path_factory.mktemp("audited"), require_keys=True)) as server:
        add_policy(server, example_document())
        add_policy(server, example_document(), version=2)
        yield server


@pytest.fixture(scope="module")
def boss(server: Server) -> keys.NewKey:
    """An administrator's key named `boss`."""
    with server.database.write() as session:
        return keys.create(session, "boss", ["admin"])


@pytest.fixture
def client(server: Server, boss: keys.NewKey) -> Iterator[httpx.Client]:
    with server.client(boss.secret) as client:
        yield client


def latest(client: httpx.Client, **filters: Any) -> dict[str, Any]:
    """The newest entry."""
    entry: dict[str, Any] = client.get("/v1/audit", params={"limit": 1, **filters}).json()["items"][0]
    return entry


def instance(client: httpx.Client, name: str) -> str:
    answer: str = client.post("/v1/instances", json=example_document() | {"name": name}).json()["id"]
    return answer


class TestEveryChange:
    def test_no_operation_is_forgotten(self, client: httpx.Client) -> None:
        paths = client.get("/openapi.json").json()["paths"]
        changing = {
            operation["operationId"]
            for item in paths.values()
            for method, operation in item.items()
            if method in ("post", "put", "delete", "patch")
        }
        assert changing == set(WRITES) | WRITES_NOTHING | RECORDED_AS_RECOMMENDATIONS
        assert set(get_args(Action)) == set(WRITES.values()) | {"audit.pruned", "backup.restored"}  # by command alone

    def test_instances_and_scenario_sets(self, client: httpx.Client, boss: keys.NewKey) -> None:
        answer = client.post("/v1/instances", json=example_document() | {"name": "noted"})
        instance_id = answer.json()["id"]
        entry = latest(client)
        assert (entry["actor"], entry["actor_name"]) == (boss.id, "boss")
        assert (entry["action"], entry["subject"]) == ("instance.stored", instance_id)
        assert entry["request_id"] == answer.headers["X-Request-Id"]
        assert entry["detail"]["name"] == "noted"
        schema = client.get(f"/v1/instances/{instance_id}/scenario-schema").json()
        numbers = [{place: [level] * schema["stages"] for place in schema["places"]} for level in (4.0, 6.0)]
        body = {"instance_id": instance_id, "name": "flat", "scenarios": numbers}
        made = client.post("/v1/scenario-sets", json=body).json()["id"]
        assert latest(client)["subject"] == made
        client.delete(f"/v1/scenario-sets/{made}")
        assert latest(client)["action"] == "scenario_set.deleted"
        client.delete(f"/v1/instances/{instance_id}")
        assert (latest(client)["action"], latest(client)["subject"]) == ("instance.deleted", instance_id)

    def test_jobs(self, client: httpx.Client) -> None:
        body = {"kind": "train", "instance_id": instance(client, "worked-on"), "solver": "hdpo"}
        job = client.post("/v1/jobs", json=body).json()["id"]
        assert (latest(client)["action"], latest(client)["subject"]) == ("job.submitted", job)
        assert latest(client)["detail"] == {"kind": "train", "instance_id": body["instance_id"], "solver": "hdpo"}
        client.post(f"/v1/jobs/{job}/cancel")
        assert latest(client)["action"] == "job.cancelled"
        again = client.post(f"/v1/jobs/{job}/retry").json()["id"]
        assert (latest(client)["action"], latest(client)["subject"]) == ("job.retried", again)
        client.delete(f"/v1/jobs/{job}")
        assert (latest(client)["action"], latest(client)["subject"]) == ("job.deleted", job)
        comparison = {"instance_id": body["instance_id"], "policies": ["orders:1"], "scenarios": 16}
        job = client.post("/v1/evaluations", json=comparison).json()["id"]
        assert (latest(client)["subject"], latest(client)["detail"]["kind"]) == (job, "evaluate")

    def test_promotion(self, client: httpx.Client) -> None:
        place = "/v1/policies/orders/aliases/production"
        etag = client.put(place, json={"version": 1}, headers={"If-None-Match": "*"}).headers["ETag"]
        entry = latest(client)
        assert (entry["action"], entry["subject"]) == ("alias.set", "orders@production")
        assert entry["detail"]["version"] == 1
        client.delete(place, headers={"If-Match": etag})
        assert latest(client)["action"] == "alias.deleted"
        test = {"name": "cheap-enough", "instance_id": instance(client, "tried-on"), "scenarios": 64}
        made = client.post("/v1/policies/orders/acceptance-tests", json=test).json()["id"]
        assert (latest(client)["action"], latest(client)["subject"]) == ("acceptance_test.made", made)
        run = client.post(f"/v1/policies/orders/acceptance-tests/{made}/runs", json={"version": 1}).json()["id"]
        assert (latest(client)["action"], latest(client)["subject"]) == ("job.submitted", run)
        client.delete(f"/v1/policies/orders/acceptance-tests/{made}")
        assert latest(client)["action"] == "acceptance_test.deleted"
        client.delete("/v1/policies/orders:2")
        assert latest(client)["action"] == "policy.deleted"

    def test_decisions(self, client: httpx.Client, boss: keys.NewKey) -> None:
        today = client.get("/v1/policies/orders/state").json()["today"]
        found = client.post("/v1/policies/orders/recommend", json={"state": today}).json()
        mine = {"outcome": "overridden", "decision": found["decision"]}
        asked = client.put(f"/v1/recommendations/{found['recommendation_id']}/outcome", json=mine).json()
        assert asked["asked_by"] == boss.id
        entry = latest(client)
        assert (entry["action"], entry["subject"]) == ("recommendation.judged", found["recommendation_id"])
        assert entry["detail"]["outcome"] == "overridden"
        job = client.post(f"/v1/recommendations/{found['recommendation_id']}/replay", json={}).json()["id"]
        assert (latest(client)["action"], latest(client)["subject"]) == ("job.submitted", job)

    def test_keys(self, client: httpx.Client) -> None:
        made = client.post("/v1/keys", json={"name": "robot", "scopes": ["plan"]}).json()
        assert latest(client)["action"] == "key.made"
        assert latest(client)["detail"] == {"name": "robot", "scopes": ["plan"]}
        other = client.post(f"/v1/keys/{made['id']}/rotate", json={}).json()
        assert (latest(client)["action"], latest(client)["subject"]) == ("key.rotated", made["id"])
        client.delete(f"/v1/keys/{made['id']}")
        assert (latest(client)["action"], latest(client)["subject"]) == ("key.revoked", made["id"])
        written = client.get("/v1/audit").text
        assert made["secret"] not in written
        assert other["secret"] not in written


class TestOnlyWhatHappened:
    def test_a_refused_change_is_not_in_it(self, client: httpx.Client) -> None:
        before = latest(client)["id"]
        assert client.post("/v1/instances", json={"problem": "none"}).status_code == 422
        assert client.delete("/v1/instances/ins_01K9ZV6Q5RJ8XAMB4T0CWD3EFG").status_code == 404
        assert client.put("/v1/policies/orders/aliases/x", json={"version": 1}).status_code == 428
        assert latest(client)["id"] == before

    def test_what_changed_nothing_is_not_in_it(self, client: httpx.Client) -> None:
        sent = {"Idempotency-Key": "once-only"}
        document = example_document() | {"name": "stored-once"}
        client.post("/v1/instances", json=document, headers=sent)
        before = latest(client)["id"]
        assert client.post("/v1/instances", json=document, headers=sent).headers["Idempotency-Replayed"]
        assert client.post("/v1/instances", json=document).status_code == 200
        assert latest(client)["id"] == before


class TestReading:
    def test_filters_and_pages(self, client: httpx.Client, boss: keys.NewKey) -> None:
        began = utcnow()
        made = [instance(client, f"filtered-{number}") for number in range(3)]
        late = {"since": began.isoformat(), "actor": boss.id, "action": "instance.stored"}
        first = client.get("/v1/audit", params={**late, "limit": 2}).json()
        rest = client.get("/v1/audit", params={**late, "limit": 2, "cursor": first["next_cursor"]}).json()
        assert [entry["subject"] for entry in first["items"] + rest["items"]] == made[::-1]
        assert rest["next_cursor"] is None
        (only,) = client.get("/v1/audit", params={"subject": made[0]}).json()["items"]
        assert only["subject"] == made[0]
        earlier = client.get("/v1/audit", params={"until": began.isoformat()}).json()["items"]
        assert not {entry["subject"] for entry in earlier} & set(made)
        assert client.get("/v1/audit", params={**late, "actor": "local"}).json()["items"] == []

    @pytest.mark.parametrize(
        "query",
        ["actor=me", "action=looked", "subject=a%20b", "since=yesterday", "since=2026-11-26T00:00:00", "until=0.5"],
    )
    def test_a_filter_that_is_none_is_named(self, client: httpx.Client, query: str) -> None:
        answer = client.get(f"/v1/audit?{query}")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"].startswith("/" + query.split("=")[0])

    @pytest.mark.parametrize("scope", ["read", "plan", "train"])
    def test_only_administrators_may(self, server: Server, scope: str) -> None:
        with server.database.write() as session:
            secret = keys.create(session, "curious", [scope]).secret
        with server.client(secret) as client:
            assert client.get("/v1/audit").status_code == 403

    def test_embedded_modes_only_user_is_local(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        with running(make_settings(tmp_path_factory.mktemp("alone"))) as server, server.client() as client:
            instance(client, "mine")
            assert (latest(client)["actor"], latest(client)["actor_name"]) == ("local", "local")


def entry(age: timedelta = timedelta()) -> AuditRow:
    """An entry of that age."""
    who = {"actor": "local", "actor_name": "local", "action": "job.submitted", "subject": "job", "detail": {}}
    return AuditRow(id=new_id("aud"), created_at=utcnow() - age, **who)


class TestAppendOnly:
    """The database's own refusal, on both kinds."""

    def test_no_entry_changes(self, database: Database) -> None:
        with database.write() as session:
            session.add(entry(timedelta(days=400)))
        with pytest.raises(DBAPIError, match="append-only"), database.write() as session:
            session.execute(update(AuditRow).values(actor="nobody"))

    def test_no_young_entry_goes(self, database: Database) -> None:
        with database.write() as session:
            session.add_all([entry(), entry(timedelta(days=29))])
        for statement in (delete(AuditRow), delete(AuditRow).where(AuditRow.created_at < utcnow())):
            with pytest.raises(DBAPIError, match="30 days"), database.write() as session:
                session.execute(statement)

    def test_the_table_is_not_emptied_at_once(self, database: Database) -> None:
        if database.is_sqlite:
            pytest.skip("SQLite has no TRUNCATE")
        with pytest.raises(DBAPIError, match="append-only"), database.write() as session:
            session.execute(text("TRUNCATE audit_log"))

    def test_old_entries_are_pruned_and_that_is_told(self, database: Database) -> None:
        with database.write() as session:
            session.add_all([entry(timedelta(days=31)), entry(timedelta(days=100)), entry(timedelta(days=400))])
        with database.write() as session:
            assert audit.prunable(session, timedelta(days=99)) == 2
            assert audit.prune(session, timedelta(days=99)) == 2
            assert audit.prune(session, timedelta(days=99)) == 0
        with database.read() as session:
            kept = session.scalars(select(AuditRow).order_by(AuditRow.id)).all()
        assert [row.action for row in kept] == ["job.submitted", "audit.pruned"]
        assert kept[-1].detail == {"entries": 2, "older_than_days": 99}

    def test_nobody_prunes_what_is_young(self, database: Database) -> None:
        with database.write() as session, pytest.raises(ValueError, match="at least 30 days"):
            audit.prune(session, timedelta(days=29))

    def test_an_entry_goes_with_a_change_that_fails(self, database: Database) -> None:
        def change_and_fail() -> None:
            with database.write() as session:
                audit.note(session, LOCAL, "job.submitted", "job")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            change_and_fail()
        with database.read() as session:
            assert session.scalars(select(AuditRow)).all() == []
