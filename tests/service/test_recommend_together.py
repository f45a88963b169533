"""Requests that come at the same time: decided together, recorded together, each answered as if it were alone."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from models.registry import problems
from service.db.rows import PolicyRow, RecommendationRow
from service.decisions import batches as rooms
from service.decisions import repository, service
from service.http_protocol import MOST_HEAD_BYTES
from service.settings import Settings
from solvers.artifact import PolicyArtifact
from solvers.registry import solver
from solvers.serving import ServedPolicy
from tests.service.api_server import Server, add_policy, example_document, first_problem, running

ALIKE = 1e-4  # of a quantity: the last of the four decimals that are given


@pytest.fixture
def server(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with the policy `orders`, which has decided and is known to be quick; however busy this machine is."""
    monkeypatch.setattr(rooms, "PATIENCE_SECONDS", 60.0)
    with running(settings) as server, server.client() as client:
        add_policy(server, example_document())
        for _ in range(3):
            client.post("/v1/policies/orders/recommend", json={}).raise_for_status()
        yield server


def states(client: httpx.Client, count: int) -> list[dict[str, Any]]:
    """Different states of the policy's network."""
    today = client.get("/v1/policies/orders/state").json()["today"]
    return [{**today, "on_hand": {k: 3.0 * v + 7 * i for k, v in today["on_hand"].items()}} for i in range(count)]


def ask(client: httpx.Client, body: dict[str, Any], **headers: str) -> httpx.Response:
    return client.post("/v1/policies/orders/recommend", json=body, headers=headers)


def ask_at_once(server: Server, bodies: list[dict[str, Any]], headers: dict[str, str] | None = None) -> list[Any]:
    """The answers to requests that are under way at the same time."""
    with server.client() as client, ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(lambda body: ask(client, body, **(headers or {})), bodies))


def promote(client: httpx.Client, version: int) -> None:
    """Have `orders@production` mean a version."""
    place = "/v1/policies/orders/aliases/production"
    now = client.get(place)
    seen = {"If-Match": now.headers["ETag"]} if now.status_code == 200 else {"If-None-Match": "*"}
    client.put(place, json={"version": version}, headers=seen).raise_for_status()


def recorded(server: Server) -> int:
    with server.database.read() as session:
        return session.scalar(select(func.count()).select_from(RecommendationRow)) or 0


def close_to(one: Any, other: Any) -> bool:
    """Whether two documents are the same, quantities to `ALIKE`."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close_to(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close_to, one, other))
    if isinstance(one, float) or isinstance(other, float):
        return abs(one - other) <= ALIKE * max(1.0, abs(one))
    return bool(one == other)


class TestTogether:
    def test_each_gets_the_decision_it_gets_alone(self, server: Server) -> None:
        with server.client() as client:
            asked = states(client, 24)
            alone = [ask(client, {"state": state}).json()["decision"] for state in asked]
        together = [answer.json()["decision"] for answer in ask_at_once(server, [{"state": s} for s in asked])]
        assert all(map(close_to, alone, together))
        assert len({json.dumps(decision) for decision in alone}) > 12, "the states are told apart"

    def test_each_has_a_record_of_its_own(self, server: Server) -> None:
        before = recorded(server)
        with server.client() as client:
            bodies = [{"state": state} for state in states(client, 24)] + [{}, {"states": states(client, 3)}]
            answers = [answer.json() for answer in ask_at_once(server, bodies)]
            assert recorded(server) == before + len(bodies)
            for body, answer in zip(bodies, answers, strict=True):
                kept = client.get(f"/v1/recommendations/{answer['recommendation_id']}").json()
                assert (kept["request"], kept["response"]) == (body, answer)
                assert kept["asked_by"] == "local"
                assert kept["states"] == len(body.get("states", [0]))

    def test_they_share_transactions(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes = []
        first, add = threading.Event(), repository.add

        def slow(session: Any, rows: Any) -> None:
            sizes.append(len(rows))
            first.wait(0.3)  # while one transaction runs the others gather
            add(session, rows)

        monkeypatch.setattr(repository, "add", slow)
        answers = ask_at_once(server, [{}] * 30)
        assert {answer.status_code for answer in answers} == {200}
        assert sum(sizes) == 30
        assert len(sizes) < 15

    def test_a_wrong_state_is_refused_alone(self, server: Server) -> None:
        with server.client() as client:
            good = [{"state": state} for state in states(client, 12)]
        bad = [{"state": {"on_hand": {"nowhere": 1}}}, {"state": {"period": "x"}}, {"state": {"period": 10**6}}]
        answers = ask_at_once(server, [*good, *bad])
        assert [answer.status_code for answer in answers] == [200] * 12 + [422] * 3
        pointers = [error["pointer"] for answer in answers[12:] for error in answer.json()["errors"]]
        assert all(pointer.startswith("/state/") for pointer in pointers)
        assert answers[12].headers["Content-Type"] == "application/problem+json"

    def test_nothing_is_answered_before_its_record_is_there(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(session: Any, rows: Any) -> None:
            raise OperationalError("insert", {}, Exception("disk full"))

        monkeypatch.setattr(repository, "add", fail)
        answers = ask_at_once(server, [{}] * 8)
        assert {answer.status_code for answer in answers} == {503}
        assert {answer.headers["Retry-After"] for answer in answers} == {"1"}
        monkeypatch.undo()
        assert ask_at_once(server, [{}] * 2)[0].status_code == 200  # and the threads live

    def test_an_alias_that_moves_is_obeyed_at_once(self, server: Server) -> None:
        add_policy(server, example_document(), version=2)
        with server.client() as client:
            for version in (1, 2, 1):
                promote(client, version)
                for _ in range(2):
                    answer = client.post("/v1/policies/orders@production/recommend", json={})
                    assert answer.json()["policy"]["version"] == version

    def test_what_the_policy_before_refuses_is_decided_by_the_one_meant_now(self, server: Server) -> None:
        names = [example.name for example in first_problem().examples]
        with server.client() as client:
            assert ask(client, {}).json()["policy"]["version"] == 1
            add_policy(server, example_document(names[-1]), version=2)  # of another network
            today = client.get("/v1/policies/orders:2/state").json()["today"]
            assert client.post("/v1/policies/orders:1/recommend", json={"state": today}).status_code == 422
            for _ in range(2):
                answer = ask(client, {"state": today})
                assert answer.status_code == 200, answer.text
                assert answer.json()["policy"]["version"] == 2

    def test_an_alias_that_moves_while_a_batch_is_decided_is_obeyed(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        newer = add_policy(server, example_document(), version=2)
        before, together, moved = recorded(server), service.recommend_together, []

        def decide(policy: Any, key: Any, asked: Any) -> Any:
            found = together(policy, key, asked)
            if not moved:
                promote(client, 2)
                moved.append(key)
            return found

        with server.client() as client:
            promote(client, 1)
            for ref in ("orders:2", "orders@production"):
                client.post(f"/v1/policies/{ref}/recommend", json={}).raise_for_status()
            monkeypatch.setattr(service, "recommend_together", decide)
            answer = client.post("/v1/policies/orders@production/recommend", json={}).json()
        assert [key.version for key in moved] == [1]
        assert answer["policy"]["id"] == newer
        assert recorded(server) == before + 3, "what was decided by the other policy is no record"

    def test_a_policy_deleted_meanwhile_refuses_its_own_requests_only(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add_policy(server, example_document(), "other")
        with server.client() as client:
            client.post("/v1/policies/other/recommend", json={}).raise_for_status()
            with server.database.write() as session:
                session.query(RecommendationRow).delete()
            add = repository.add
            started = threading.Event()

            def late(session: Any, rows: Any) -> None:
                if not started.is_set():  # the policy goes after the decision and before its record
                    started.set()
                    session.query(PolicyRow).filter_by(name="other").delete()
                add(session, rows)

            monkeypatch.setattr(repository, "add", late)
            with ThreadPoolExecutor(9) as pool:
                names = ["orders"] * 8 + ["other"]
                answers = list(pool.map(lambda n: client.post(f"/v1/policies/{n}/recommend", json={}), names))
        assert [answer.status_code for answer in answers[:8]] == [200] * 8
        assert answers[8].status_code in (200, 404, 409)


class TestUnusual:
    @pytest.mark.parametrize(
        ("body", "accept", "status", "kind"),
        [
            ({"options": {"explain": True}}, "*/*", 200, "application/json"),
            ({}, "text/csv", 200, "text/csv"),
            ({}, "image/png", 406, "application/problem+json"),
            ({"surprise": 1}, "*/*", 422, "application/problem+json"),
            ({"state": {}, "states": []}, "*/*", 422, "application/problem+json"),
        ],
    )
    def test_what_is_unusual_is_answered_as_ever(
        self, server: Server, body: Any, accept: str, status: int, kind: str
    ) -> None:
        with server.client() as client:
            answer = ask(client, body, Accept=accept)
        assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) == (status, kind)
        assert answer.headers["X-Request-Id"]

    def test_an_unknown_policy_is_a_404_and_broken_json_a_400(self, server: Server) -> None:
        with server.client() as client:
            assert client.post("/v1/policies/nobody/recommend", json={}).status_code == 404
            broken = client.post(
                "/v1/policies/orders/recommend", content="{", headers={"Content-Type": "application/json"}
            )
            assert (broken.status_code, broken.json()["type"]) == (400, "/problems/invalid-json")

    def test_a_policy_that_takes_its_time_does_not_hold_up_others(self, server: Server) -> None:
        served = server.app.state.served
        with server.client() as client:
            digest = client.get("/v1/policies/orders").json()["artifact_digest"]
            served._held[digest].seconds = 1.0
            assert served.quick(digest) is None
            assert ask(client, {}).status_code == 200  # a thread of its own, which finds it quick after all
            assert served.quick(digest) is not None


class TestBackPressure:
    def test_more_than_may_wait_are_refused_at_once_and_told_when_to_return(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.app.state.batches._most = 4
        go_on, add = threading.Event(), repository.add

        def stuck(session: Any, rows: Any) -> None:
            go_on.wait(20)
            add(session, rows)

        monkeypatch.setattr(repository, "add", stuck)
        with server.client() as client, ThreadPoolExecutor(12) as pool:
            asked = [pool.submit(ask, client, {}) for _ in range(12)]
            done = iter(asked)
            refused = []
            while len(refused) < 8:  # those who may wait wait; all others have their answer
                refused = [one for one in asked if one.done()]
            go_on.set()
            answers = [one.result() for one in done]
        assert sorted(answer.status_code for answer in answers) == [200] * 4 + [503] * 8
        for one in refused:
            assert one.result().headers["Retry-After"] == "1"
            assert one.result().json()["type"] == "/problems/busy"

    def test_who_waited_too_long_is_refused(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rooms, "PATIENCE_SECONDS", -1.0)
        with server.client() as client:
            assert ask(client, {}).status_code == 503


class TestKeys:
    def test_the_first_answer_is_replayed_and_recorded_once(self, server: Server) -> None:
        before = recorded(server)
        with server.client() as client:
            first = ask(client, {}, **{"Idempotency-Key": "a"})
            again = ask(client, {}, **{"Idempotency-Key": "a"})
            other = ask(client, {"options": {}}, **{"Idempotency-Key": "a"})
        assert first.json() == again.json()
        assert again.headers["Idempotency-Replayed"] == "true"
        assert (other.status_code, other.json()["type"]) == (422, "/problems/key-reused")
        assert recorded(server) == before + 1

    def test_many_at_once_with_one_key_make_one(self, server: Server) -> None:
        before = recorded(server)
        answers = ask_at_once(server, [{}] * 20, {"Idempotency-Key": "b"})
        assert {answer.status_code for answer in answers} <= {200, 409}
        assert len({answer.json()["recommendation_id"] for answer in answers if answer.status_code == 200}) == 1
        assert recorded(server) == before + 1

    def test_another_process_answered_between_decision_and_record(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with server.client() as client:
            first = ask(client, {}, **{"Idempotency-Key": "c"}).json()
            seen = rooms._replayed

            def blind(session: Any, batch: Any, hold: bool = False) -> Any:
                return seen(session, batch, hold) if hold else {}

            monkeypatch.setattr(rooms, "_replayed", blind)
            again = ask(client, {}, **{"Idempotency-Key": "c"})
        assert again.json() == first


@pytest.mark.parametrize("name", sorted(problems()))
def test_a_batch_decides_as_one_by_one(name: str) -> None:
    """In process, for a learned policy of every problem that has one: quantities agree to the decimals given."""
    problem = problems()[name]
    instance = problem.parse(problem.examples[0].document())
    learner = next(s for s in (solver("hdpo"), solver("pdppo"), solver("tsddr")) if not s.needs(problem.traits))
    family, config = problem.default_family(instance), learner.config()
    assert learner.build is not None
    artifact = PolicyArtifact(
        problem=name,
        solver=learner.name,
        family=family,
        config=config.model_dump(mode="json"),
        seed=1,
        instance=instance.document(),
        weights=learner.build(problem, instance, config, family).state_dict(),
        training_range={},
        certificate={},
        description={},
        curve=[],
        training={},
    )
    served = ServedPolicy(artifact)
    today = served.view.today()
    (alone,) = served.recommend([today])
    assert all(close_to(alone, one) for one in served.recommend([today] * 9))
    elsewhere = ServedPolicy(artifact, "no such device", far_rows=1)
    assert elsewhere.far is None, "what another device does not decide is decided here"
    assert close_to(alone, elsewhere.recommend([today])[0])


def test_a_head_without_end_is_refused(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: ")
        try:
            for _ in range(2 * MOST_HEAD_BYTES // 4096):
                connection.sendall(b"a" * 4096)
            received = connection.recv(65536)
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert not received or received.startswith(b"HTTP/1.1 400")
