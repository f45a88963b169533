"""Acceptance tests: made, run, judged, and asked before a version goes into use."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from service.acceptance import judging
from service.db.rows import AcceptanceVerdictRow, InstanceRow, JobRow
from service.ids import new_id
from service.jobs import work
from service.jobs.outcomes import Evaluated, Judged
from service.settings import Settings
from solvers.evaluation import InfeasibleDecision
from tests.service.api_server import Server, add_policy, example_document, running

PLACE = "/v1/policies/north/acceptance-tests"
ALIAS = "/v1/policies/north/aliases/production"


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


@pytest.fixture
def body(caller: httpx.Client) -> dict[str, Any]:
    """A test of cost and service that guards `production`."""
    instance_id = caller.get("/v1/policies/north").json()["instance_id"]
    return {
        "name": "no-dearer",
        "instance_id": instance_id,
        "scenarios": 64,
        "policies": ["north@production"],
        "rules": ["base_stock"],
        "least_service": {"fill_rate": 0.9},
        "guards": ["production"],
    }


def verdict(server: Server, test_id: str, policy_id: str, passed: bool) -> None:
    """What a run would leave."""
    check = {"rule": "feasible", "subject": None, "passed": passed, "measured": None, "ci95": None, "limit": None}
    check["detail"] = "every decision is feasible" if passed else "a decision is not feasible: capacity"
    with server.database.write() as session:
        row = AcceptanceVerdictRow(
            id=new_id("vdt"), test_id=test_id, policy_id=policy_id, job_id=new_id("job"), scenarios=64
        )
        row.passed, row.checks = passed, [check]
        session.add(row)


def promote(client: httpx.Client, version: int, **headers: str) -> httpx.Response:
    return client.put(ALIAS, json={"version": version}, headers=headers or {"If-None-Match": "*"})


class TestMaking:
    def test_one_is_made_shown_listed_and_deleted(self, caller: httpx.Client, body: dict[str, Any]) -> None:
        made = caller.post(PLACE, json=body)
        test = made.json()
        assert (made.status_code, made.headers["Location"]) == (201, f"{PLACE}/{test['id']}")
        assert {key: test[key] for key in body} == body
        assert isinstance(test["seed"], int)
        assert caller.get(made.headers["Location"]).json() == test
        assert caller.get(PLACE).json()["items"] == [test]
        assert caller.delete(made.headers["Location"]).status_code == 204
        assert caller.get(made.headers["Location"]).status_code == 404

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"instance_id": "ins_01K9ZV6Q5RJ8XAMB4T0CWD3EFG"}, "/instance_id"),
            ({"rules": ["no_such_rule"]}, "/rules/0"),
            ({"policies": ["nobody"]}, "/policies/0"),
            ({"policies": ["Nobody!"]}, "/policies/0"),
            ({"scenario_set_id": "scn_01K9ZV6Q5RJ8XAMB4T0CWD3EFG", "scenarios": 9}, "/scenarios"),
            ({"least_service": {"fill_rate": 1.5}}, "/least_service/fill_rate"),
            ({"largest_cost_increase": 11}, "/largest_cost_increase"),
            ({"guards": ["Production"]}, "/guards/0"),
            ({"surprise": 1}, "/surprise"),
        ],
    )
    def test_each_wrong_field_is_named(
        self, caller: httpx.Client, body: dict[str, Any], change: dict[str, Any], pointer: str
    ) -> None:
        answer = caller.post(PLACE, json={**body, **change})
        assert answer.status_code == 422
        assert pointer in [error["pointer"] for error in answer.json()["errors"]]

    def test_a_name_is_taken_once(self, caller: httpx.Client, body: dict[str, Any]) -> None:
        assert caller.post(PLACE, json=body).status_code == 201
        assert caller.post(PLACE, json=body).status_code == 409

    def test_it_belongs_to_its_policy(self, caller: httpx.Client, own: Server, body: dict[str, Any]) -> None:
        add_policy(own, example_document(), "south")
        test_id = caller.post(PLACE, json=body).json()["id"]
        assert caller.get(f"/v1/policies/south/acceptance-tests/{test_id}").status_code == 404
        assert caller.get("/v1/policies/nobody/acceptance-tests").status_code == 404

    def test_it_keeps_its_instance(self, caller: httpx.Client, body: dict[str, Any]) -> None:
        made = caller.post("/v1/instances", json={**example_document(), "name": "alone"}).json()["id"]
        assert caller.post(PLACE, json={**body, "instance_id": made}).status_code == 201
        assert caller.delete(f"/v1/instances/{made}").json()["used_by"] == ["acceptance tests"]


class TestRunning:
    def test_a_run_is_a_job_that_compares_with_what_is_in_use_now(
        self, caller: httpx.Client, own: Server, body: dict[str, Any]
    ) -> None:
        test_id = caller.post(PLACE, json={**body, "guards": []}).json()["id"]
        place = f"{PLACE}/{test_id}/runs"
        ids = {version: caller.get(f"/v1/policies/north:{version}").json()["id"] for version in (1, 2)}
        first = caller.post(place, json={"version": 2})
        assert first.status_code == 202, first.text
        assert (first.json()["kind"], first.json()["config"]["policies"]) == ("accept", [ids[2]])
        promote(caller, 1)
        second = caller.post(place, json={"version": 2}).json()
        assert second["config"]["policies"] == [ids[2], ids[1]]
        assert second["config"]["rivals"] == [{"ref": "north@production", "policy_id": ids[1]}]
        assert second["seed"] == caller.get(f"{PLACE}/{test_id}").json()["seed"]
        assert caller.get("/v1/jobs?kind=accept").json()["items"][0]["id"] == second["id"]

    def test_a_version_must_exist(self, caller: httpx.Client, body: dict[str, Any]) -> None:
        test_id = caller.post(PLACE, json=body).json()["id"]
        answer = caller.post(f"{PLACE}/{test_id}/runs", json={"version": 9})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/version")

    def test_a_rival_that_is_gone_is_told(self, caller: httpx.Client, body: dict[str, Any]) -> None:
        test_id = caller.post(PLACE, json={**body, "policies": ["north:1"]}).json()["id"]
        assert caller.delete("/v1/policies/north:1").status_code == 204
        answer = caller.post(f"{PLACE}/{test_id}/runs", json={"version": 2})
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")


class TestKeeping:
    """What the end of a run leaves behind."""

    @pytest.fixture
    def job(self, own: Server, caller: httpx.Client, body: dict[str, Any]) -> JobRow:
        """A run of the test on version 2, as its worker has it."""
        test_id = caller.post(PLACE, json={**body, "rules": [], "least_service": {}}).json()["id"]
        job_id = caller.post(f"{PLACE}/{test_id}/runs", json={"version": 2}).json()["id"]
        with own.database.read() as session:
            return session.get_one(JobRow, job_id)

    def ended(self, server: Server, job: JobRow, outcome: Judged) -> dict[str, Any]:
        """The job's columns after its end."""
        with server.database.write() as session:
            return outcome.rows(session, job, session.get_one(InstanceRow, job.instance_id))

    def verdicts(self, client: httpx.Client, job: JobRow) -> list[dict[str, Any]]:
        test: dict[str, Any] = client.get(f"{PLACE}/{job.config['acceptance_test_id']}").json()
        return list(test["verdicts"])

    def evaluated(self, job: JobRow) -> Evaluated:
        entry = {"name": "north:2", "mean_cost": 1.0, "service": {}}
        body = {"scenarios": 64, "policies": [entry], "policy_ids": {"north:2": job.config["policies"][0]}}
        return Evaluated(body, {}, "finished")

    def test_an_evaluation_and_its_verdict(self, own: Server, caller: httpx.Client, job: JobRow) -> None:
        columns = self.ended(own, job, Judged(self.evaluated(job), "", is_complete=True))
        (kept,) = self.verdicts(caller, job)
        assert (kept["passed"], kept["scenarios"], kept["evaluation_id"]) == (True, 64, columns["evaluation_id"])
        assert [check["rule"] for check in kept["checks"]] == ["feasible", "cost"]
        assert columns["result"]["verdict"]["passed"] is True

    def test_a_decision_that_is_not_feasible_is_a_verdict_too(
        self, own: Server, caller: httpx.Client, job: JobRow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any) -> Evaluated:
            raise InfeasibleDecision("stage 3: a constraint is broken by 2")

        monkeypatch.setattr(work, "_evaluate", broken)
        task: Any = SimpleNamespace(control=SimpleNamespace(cancelled=False))
        outcome = work._accept(task, None, None)  # type: ignore[arg-type]
        assert isinstance(outcome, Judged)
        self.ended(own, job, outcome)
        (kept,) = self.verdicts(caller, job)
        assert (kept["passed"], kept["evaluation_id"]) == (False, None)
        assert "stage 3" in kept["checks"][0]["detail"]

    def test_a_run_cut_short_gives_no_verdict(self, own: Server, caller: httpx.Client, job: JobRow) -> None:
        columns = self.ended(own, job, Judged(self.evaluated(job), "", is_complete=False))
        assert columns["evaluation_id"]
        assert self.verdicts(caller, job) == []

    def test_a_test_deleted_meanwhile_leaves_the_evaluation_alone(
        self, own: Server, caller: httpx.Client, job: JobRow
    ) -> None:
        caller.delete(f"{PLACE}/{job.config['acceptance_test_id']}")
        columns = self.ended(own, job, Judged(self.evaluated(job), "", is_complete=True))
        assert columns["result"] == {"verdict": None}
        assert caller.get(f"/v1/evaluations/{columns['evaluation_id']}").status_code == 200


class TestGuarding:
    def test_only_a_version_that_has_passed_goes_into_use(
        self, caller: httpx.Client, own: Server, body: dict[str, Any]
    ) -> None:
        test_id = caller.post(PLACE, json=body).json()["id"]
        ids = {version: caller.get(f"/v1/policies/north:{version}").json()["id"] for version in (1, 2)}
        untried = promote(caller, 1)
        assert (untried.status_code, untried.json()["type"]) == (409, "/problems/acceptance-test-failed")
        assert untried.json()["tests"] == [{"id": test_id, "name": "no-dearer", "verdict": "missing", "failed": []}]
        verdict(own, test_id, ids[1], passed=True)
        seen = promote(caller, 1)
        assert seen.status_code == 201
        verdict(own, test_id, ids[2], passed=False)
        failed = promote(caller, 2, **{"If-Match": seen.headers["ETag"]})
        assert failed.status_code == 409
        assert failed.json()["tests"][0]["failed"] == ["a decision is not feasible: capacity"]
        assert caller.get(ALIAS).json()["policy"]["version"] == 1
        assert caller.put("/v1/policies/north/aliases/trial", json={"version": 2}, headers={"If-None-Match": "*"})

    def test_the_latest_verdict_counts_and_stale_knowledge_comes_first(
        self, caller: httpx.Client, own: Server, body: dict[str, Any]
    ) -> None:
        test_id = caller.post(PLACE, json=body).json()["id"]
        policy_id = caller.get("/v1/policies/north:1").json()["id"]
        verdict(own, test_id, policy_id, passed=True)
        verdict(own, test_id, policy_id, passed=False)
        assert promote(caller, 1).status_code == 409
        assert promote(caller, 1, **{"If-Match": "*"}).status_code == 412
        (shown,) = caller.get(f"{PLACE}/{test_id}").json()["verdicts"]
        assert (shown["version"], shown["passed"], shown["policy_id"]) == (1, False, policy_id)
        assert caller.delete(f"{PLACE}/{test_id}").status_code == 204
        assert promote(caller, 1).status_code == 201

    def test_verdicts_go_with_their_version(self, caller: httpx.Client, own: Server, body: dict[str, Any]) -> None:
        test_id = caller.post(PLACE, json=body).json()["id"]
        verdict(own, test_id, caller.get("/v1/policies/north:1").json()["id"], passed=True)
        assert caller.delete("/v1/policies/north:1").status_code == 204
        assert caller.get(f"{PLACE}/{test_id}").json()["verdicts"] == []
        with own.database.read() as session:
            assert session.query(AcceptanceVerdictRow).count() == session.query(JobRow).count() == 0


class TestJudging:
    """What an evaluation's document says of the version tried."""

    DOCUMENT: dict[str, Any] = {  # noqa: RUF012
        "policy_ids": {"north:2": "pol_2", "north:1": "pol_1"},
        "policies": [
            {
                "name": "north:2",
                "mean_cost": 99.0,
                "service": {"fill_rate": 0.93},
                "targets": [{"name": "fill_rate of a", "slack": 0.2, "ci95": [0.1, 0.3], "met": False}],
            },
            {"name": "north:1", "mean_cost": 100.0, "paired_difference": {"mean": 1.0, "ci95": [-0.5, 2.5]}},
            {"name": "base_stock", "mean_cost": 110.0, "paired_difference": {"mean": 11.0, "ci95": [10.0, 12.0]}},
        ],
    }

    def judged(self, largest: float = 0.0, least: float = 0.9) -> dict[tuple[str, str | None], Any]:
        test: Any = SimpleNamespace(
            largest_cost_increase=largest,
            rules=["base_stock"],
            least_service={"fill_rate": least, "on_time": 0.5},
        )
        rivals = [{"ref": "north@production", "policy_id": "pol_1"}, {"ref": "north@new", "policy_id": None}]
        rivals.append({"ref": "north", "policy_id": "pol_2"})
        found = judging.checks(test, self.DOCUMENT, rivals)
        return {(check["rule"], check["subject"]): check for check in found}

    def test_a_version_is_no_dearer_only_if_that_is_sure(self) -> None:
        cost = self.judged()[("cost", "north@production")]
        assert (cost["passed"], cost["measured"], cost["ci95"]) == (False, -1.0, [-2.5, 0.5])
        assert self.judged(largest=0.005)[("cost", "north@production")]["passed"]
        assert not self.judged(largest=0.0049)[("cost", "north@production")]["passed"]
        assert self.judged()[("cost", "base_stock")]["passed"]
        assert not self.judged(largest=-0.1)[("cost", "base_stock")]["passed"]  # a tenth cheaper is wanted

    def test_an_alias_nobody_has_and_the_version_itself_are_no_rivals(self) -> None:
        found = self.judged()
        assert found[("cost", "north@new")]["passed"]
        assert found[("cost", "north")]["passed"]

    def test_service_and_targets_count(self) -> None:
        assert self.judged()[("service", "fill_rate")]["passed"]
        assert not self.judged(least=0.94)[("service", "fill_rate")]["passed"]
        assert "has no on_time" in self.judged()[("service", "on_time")]["detail"]
        assert not self.judged()[("target", "fill_rate of a")]["passed"]
        assert not judging.infeasible("capacity")[0]["passed"]
