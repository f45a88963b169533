"""`/v1/jobs` over real HTTP: what is accepted, refused, shown, and how a job is followed. No worker runs here."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.db.rows import utcnow
from service.ids import new_id
from service.jobs import lifecycle
from service.jobs.endpoints import whole_characters
from service.jobs.repository import Lease
from service.jobs.schemas import duration_of, seconds_of
from service.settings import Settings
from service.storage import Storage
from solvers import registry
from tests.service.api_server import Server, add_policy, example_document, running
from tests.service.lab import LAB, LAB_PROGRAM


@pytest.fixture(autouse=True)
def _lab(monkeypatch: pytest.MonkeyPatch) -> None:
    for solver in (LAB, LAB_PROGRAM):
        monkeypatch.setitem(registry._SOLVERS, solver.name, solver)


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    with running(settings) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture
def instance_id(client: httpx.Client) -> str:
    return str(client.post("/v1/instances", json=example_document("one-store-backlogged")).json()["id"])


def asked(instance_id: str, **changes: Any) -> dict[str, Any]:
    return {"kind": "train", "instance_id": instance_id, "solver": "lab"} | changes


def submit(client: httpx.Client, instance_id: str, **changes: Any) -> str:
    answer = client.post("/v1/jobs", json=asked(instance_id, **changes))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def claim(server: Server, job_id: str) -> Lease:
    with server.database.write() as session:
        lease = lifecycle.claim(session, job_id, "w", 60.0)
    assert lease is not None
    return lease


def finish(server: Server, job_id: str, state: str = "succeeded", **changes: Any) -> None:
    lease = claim(server, job_id)
    with server.database.write() as session:
        lifecycle.finish(session, lease, state, **changes)  # type: ignore[arg-type]


def refused(answer: httpx.Response, status: int, slug: str, pointer: str | None = None) -> dict[str, Any]:
    """The problem document of a refusal, checked."""
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["type"]) == (status, f"/problems/{slug}"), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if pointer is not None:
        assert pointer in [error["pointer"] for error in document["errors"]], document
    return document


class TestSubmitting:
    def test_a_job_is_queued_and_says_where_to_look(self, client: httpx.Client, instance_id: str) -> None:
        answer = client.post("/v1/jobs", json=asked(instance_id, seed=7, time_limit="PT10M", policy_name="north"))
        job = answer.json()
        assert answer.status_code == 202
        assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
        assert answer.headers["retry-after"] == "1"
        found = client.get(answer.headers["location"]).json()
        assert found == job | {"waiting_for": "No live worker serves the queue cpu."}
        assert (job["state"], job["attempt"], job["seed"], job["time_limit"]) == ("queued", 0, 7, "PT10M")
        assert job["config"] == {"behaviour": "train", "at": 2, "iterations": 5, "pace": 0.02}
        assert job["policy_name"] == "north"

    def test_what_is_left_out_is_filled_in_and_recorded(self, client: httpx.Client, instance_id: str) -> None:
        jobs = [client.get(f"/v1/jobs/{submit(client, instance_id)}").json() for _ in range(3)]
        assert len({job["seed"] for job in jobs}) == 3
        assert jobs[0]["time_limit"] == "PT30M"
        assert jobs[0]["policy_name"].endswith("-lab")

    def test_the_same_idempotency_key_queues_one_job(self, client: httpx.Client, instance_id: str) -> None:
        headers = {"Idempotency-Key": "once"}
        first, second = (client.post("/v1/jobs", json=asked(instance_id), headers=headers) for _ in range(2))
        assert first.json() == second.json()
        assert second.headers["idempotency-replayed"] == "true"
        assert len(client.get("/v1/jobs").json()["items"]) == 1

    @pytest.mark.parametrize(
        ("changes", "pointer"),
        [
            ({"config": {"iterations": 0}}, "/config/iterations"),
            ({"config": {"surprise": 1}}, "/config/surprise"),
            ({"config": {"pace": "fast"}}, "/config/pace"),
            ({"solver": "alchemy"}, "/solver"),
            ({"solver": "lab_program"}, "/solver"),
            ({"seed": -1}, "/seed"),
            ({"seed": 2**31}, "/seed"),
            ({"time_limit": "10 minutes"}, "/time_limit"),
            ({"time_limit": "PT0S"}, "/time_limit"),
            ({"time_limit": "P1Y"}, "/time_limit"),
            ({"time_limit": "PT9999H"}, "/time_limit"),
            ({"policy_name": "../north"}, "/policy_name"),
            ({"warm_start": "pol_../../../etc/passwd"}, "/warm_start"),
            ({"warm_start": "nobody:3"}, "/warm_start"),
            ({"surprise": 1}, "/surprise"),
            ({"instance_id": "ins_00000000000000000000000000"}, "/instance_id"),
            ({"instance_id": "../../etc/passwd"}, "/instance_id"),
            ({"kind": "evaluate", "scenarios": 1, "solver": None}, "/scenarios"),
        ],
    )
    def test_a_wrong_field_is_named(
        self, client: httpx.Client, instance_id: str, changes: dict[str, Any], pointer: str
    ) -> None:
        refused(client.post("/v1/jobs", json=asked(instance_id) | changes), 422, "invalid-input", pointer)
        assert client.get("/v1/jobs").json()["items"] == []

    def test_a_config_that_does_not_fit_the_instance_names_its_field(
        self, client: httpx.Client, instance_id: str
    ) -> None:
        answer = client.post("/v1/jobs", json=asked(instance_id, config={"at": 13}))
        refused(answer, 422, "invalid-input", "/config/at")

    def test_a_warm_start_must_come_from_the_same_solver(
        self, server: Server, client: httpx.Client, instance_id: str
    ) -> None:
        add_policy(server, example_document("one-store-backlogged"), name="trained")
        answer = client.post("/v1/jobs", json=asked(instance_id, warm_start="trained"))
        refused(answer, 422, "invalid-input", "/warm_start")
        job = client.post("/v1/jobs", json=asked(instance_id, solver="hdpo", warm_start="trained:1")).json()
        assert job["warm_start"].startswith("pol_")

    def test_a_full_queue_is_said_to_be_full(self, settings: Settings) -> None:
        with running(settings.model_copy(update={"max_queued_jobs": 1})) as server, server.client() as client:
            instance = client.post("/v1/instances", json=example_document()).json()["id"]
            submit(client, instance)
            answer = client.post("/v1/jobs", json=asked(instance))
            refused(answer, 429, "queue-full")
            assert int(answer.headers["retry-after"]) > 0


class TestSeveralInstances:
    """Training one policy on a family of networks."""

    @pytest.fixture
    def other_id(self, client: httpx.Client) -> str:
        return str(client.post("/v1/instances", json=example_document("dc-two-stores")).json()["id"])

    def train(self, client: httpx.Client, instance_id: str, *also: str, family: str = "gnn") -> httpx.Response:
        body = asked(instance_id, solver="hdpo", config={"family": family}, also_instance_ids=list(also))
        return client.post("/v1/jobs", json=body)

    def test_they_are_shown_and_held(self, client: httpx.Client, instance_id: str, other_id: str) -> None:
        answer = self.train(client, instance_id, other_id)
        assert answer.status_code == 202, answer.text
        job = answer.json()
        assert job["also_instance_ids"] == [other_id]
        kept = refused(client.delete(f"/v1/instances/{other_id}"), 409, "in-use")
        assert kept["used_by"] == ["jobs"]
        client.post(f"/v1/jobs/{job['id']}/cancel")
        again = client.post(f"/v1/jobs/{job['id']}/retry").json()
        assert again["also_instance_ids"] == [other_id]
        client.post(f"/v1/jobs/{again['id']}/cancel")
        for done in (job, again):
            assert client.delete(f"/v1/jobs/{done['id']}").status_code == 204
        assert client.delete(f"/v1/instances/{other_id}").status_code == 204

    def test_what_does_not_fit_is_refused_by_field(self, client: httpx.Client, instance_id: str, other_id: str) -> None:
        unknown = new_id("ins")
        refused(self.train(client, instance_id, unknown), 422, "invalid-input", "/also_instance_ids/0")
        refused(self.train(client, instance_id, other_id, other_id), 422, "invalid-input", "/also_instance_ids/1")
        refused(self.train(client, instance_id, instance_id), 422, "invalid-input", "/also_instance_ids/0")
        refused(self.train(client, instance_id, other_id, family="mlp"), 422, "invalid-input", "/config/family")

    def test_a_solver_for_one_instance_says_so(self, client: httpx.Client, instance_id: str, other_id: str) -> None:
        answer = client.post("/v1/jobs", json=asked(instance_id, also_instance_ids=[other_id]))
        document = refused(answer, 422, "invalid-input")
        assert "one instance at a time" in document["detail"]


class TestEvaluateAndSolve:
    def test_an_evaluation_resolves_its_policies(self, server: Server, client: httpx.Client, instance_id: str) -> None:
        policy = add_policy(server, example_document("one-store-backlogged"), name="mine")
        body = {"kind": "evaluate", "instance_id": instance_id, "policies": ["mine", policy, "mine:1"], "seed": 5}
        job = client.post("/v1/jobs", json=body | {"scenarios": 64}).json()
        assert job["config"] == {"policies": [policy], "rules": [], "scenarios": 64}
        assert job["solver"] is None

    @pytest.mark.parametrize(
        ("changes", "pointer"),
        [
            ({}, "/policies"),
            ({"rules": ["astrology"]}, "/rules/0"),
            ({"policies": ["mine", "nobody"]}, "/policies/1"),
            ({"policies": ["mine"], "scenarios": 10**9}, "/scenarios"),
        ],
    )
    def test_what_an_evaluation_names_must_be_there(
        self, server: Server, client: httpx.Client, instance_id: str, changes: dict[str, Any], pointer: str
    ) -> None:
        add_policy(server, example_document("one-store-backlogged"), name="mine")
        answer = client.post("/v1/jobs", json={"kind": "evaluate", "instance_id": instance_id} | changes)
        refused(answer, 422, "invalid-input", pointer)

    def test_a_program_is_solved_by_a_program_solver(self, client: httpx.Client, instance_id: str) -> None:
        body = {"kind": "solve", "instance_id": instance_id, "solver": "perfect_information", "config": {}}
        assert client.post("/v1/jobs", json=body).json()["kind"] == "solve"
        refused(client.post("/v1/jobs", json=body | {"solver": "hdpo"}), 422, "invalid-input", "/solver")


class TestListing:
    def test_filters_and_cursors(self, server: Server, client: httpx.Client, instance_id: str) -> None:
        ids = [submit(client, instance_id) for _ in range(5)]
        finish(server, ids[1])
        first = client.get("/v1/jobs", params={"limit": 3}).json()
        rest = client.get("/v1/jobs", params={"limit": 3, "cursor": first["next_cursor"]}).json()
        assert [job["id"] for job in first["items"] + rest["items"]] == ids[::-1]
        assert rest["next_cursor"] is None

        def listed(**params: Any) -> list[str]:
            return [job["id"] for job in client.get("/v1/jobs", params=params).json()["items"]]

        assert listed(state="succeeded") == [ids[1]]
        assert listed(state=["succeeded", "queued"]) == ids[::-1]
        assert listed(kind="solve") == []
        assert listed(instance_id=instance_id) == ids[::-1]
        assert listed(instance_id="ins_" + "0" * 26) == []
        assert client.get("/v1/jobs", params={"state": "dreaming"}).status_code == 422

    def test_an_unknown_job_is_not_found(self, client: httpx.Client) -> None:
        nobody = new_id("job")
        for path in ("", "/result", "/events", "/log"):
            refused(client.get(f"/v1/jobs/{nobody}{path}"), 404, "not-found")
        for path in ("/cancel", "/retry"):
            refused(client.post(f"/v1/jobs/{nobody}{path}"), 404, "not-found")
        refused(client.delete(f"/v1/jobs/{nobody}"), 404, "not-found")
        refused(client.get("/v1/jobs/job_..%5C..%5Cetc"), 422, "invalid-input", "/job_id")


class TestCancelling:
    def test_a_queued_job_ends_at_once(self, client: httpx.Client, instance_id: str) -> None:
        job_id = submit(client, instance_id)
        answer = client.post(f"/v1/jobs/{job_id}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
        assert (answer.headers["Location"], answer.headers["Retry-After"]) == (f"/v1/jobs/{job_id}", "1")
        again = client.post(f"/v1/jobs/{job_id}/cancel")
        assert (again.status_code, again.json()["state"]) == (200, "cancelled")
        refused(client.get(f"/v1/jobs/{job_id}/result"), 409, "job-failed")

    def test_a_running_job_is_asked_to_stop(self, server: Server, client: httpx.Client, instance_id: str) -> None:
        job_id = submit(client, instance_id)
        claim(server, job_id)
        for _ in range(2):
            answer = client.post(f"/v1/jobs/{job_id}/cancel")
            assert (answer.status_code, answer.json()["state"]) == (202, "cancelling")
        assert answer.json()["cancel_requested_at"] is not None

    def test_a_finished_job_stays_what_it_is(self, server: Server, client: httpx.Client, instance_id: str) -> None:
        job_id = submit(client, instance_id)
        finish(server, job_id, result={"answer": 42})
        answer = client.post(f"/v1/jobs/{job_id}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")


class TestRetrying:
    def test_a_failed_job_is_repeated_with_its_seed(
        self, server: Server, client: httpx.Client, instance_id: str
    ) -> None:
        old = submit(client, instance_id, seed=11, config={"iterations": 3}, policy_name="p", time_limit="PT1M")
        finish(server, old, "failed", error={"type": "/problems/diverged"})
        answer = client.post(f"/v1/jobs/{old}/retry")
        new = answer.json()
        assert answer.status_code == 202
        assert answer.headers["location"] == f"/v1/jobs/{new['id']}"
        assert new["id"] != old
        assert new["retry_of"] == old
        before = client.get(f"/v1/jobs/{old}").json()
        same = ("seed", "config", "policy_name", "time_limit", "instance_id", "solver", "kind")
        assert {name: new[name] for name in same} == {name: before[name] for name in same}
        assert new["state"] == "queued"

    def test_a_job_that_runs_or_succeeded_is_not(self, server: Server, client: httpx.Client, instance_id: str) -> None:
        job_id = submit(client, instance_id)
        answer = client.post(f"/v1/jobs/{job_id}/retry")
        refused(answer, 409, "job-not-finished")
        assert int(answer.headers["retry-after"]) > 0
        finish(server, job_id, result={})
        refused(client.post(f"/v1/jobs/{job_id}/retry"), 409, "job-finished")


class TestDeleting:
    def test_only_a_finished_job_goes_and_its_folder_with_it(
        self, server: Server, client: httpx.Client, instance_id: str
    ) -> None:
        job_id = submit(client, instance_id)
        refused(client.delete(f"/v1/jobs/{job_id}"), 409, "job-not-finished")
        folder = Storage(server.settings.data_dir).job_folder(job_id)
        folder.mkdir()
        (folder / "log.txt").write_text("words")
        finish(server, job_id)
        assert client.delete(f"/v1/jobs/{job_id}").status_code == 204
        assert not folder.exists()
        refused(client.get(f"/v1/jobs/{job_id}"), 404, "not-found")
        assert client.delete(f"/v1/instances/{instance_id}").status_code == 204


class TestResults:
    def test_an_unfinished_job_says_when_to_ask_again(
        self, server: Server, client: httpx.Client, instance_id: str
    ) -> None:
        job_id = submit(client, instance_id)
        lease = claim(server, job_id)
        with server.database.write() as session:
            events = [("incumbent", {"iteration": 3, "cost": 5.5})]
            lifecycle.write(session, lease, {"progress": {"iteration": 4, "eta_seconds": 12.4}}, events)  # type: ignore[arg-type]
        answer = client.get(f"/v1/jobs/{job_id}/result")
        refused(answer, 409, "job-not-finished")
        assert answer.headers["retry-after"] == "12"
        partial = client.get(f"/v1/jobs/{job_id}/result", params={"partial": True}).json()
        assert partial["partial"] is True
        assert partial["best"] == {"iteration": 3, "cost": 5.5}
        assert partial["progress"]["iteration"] == 4

    def test_a_finished_job_gives_its_result(self, server: Server, client: httpx.Client, instance_id: str) -> None:
        job_id = submit(client, instance_id)
        finish(server, job_id, result={"status": "infeasible", "document": {}}, stopped_by="finished")
        for params in ({}, {"partial": True}):
            found = client.get(f"/v1/jobs/{job_id}/result", params=params).json()
            assert (found["partial"], found["status"], found["stopped_by"]) == (False, "infeasible", "finished")

    def test_a_failed_job_says_why_there_is_none(self, server: Server, client: httpx.Client, instance_id: str) -> None:
        job_id = submit(client, instance_id)
        finish(server, job_id, "failed", error={"type": "/problems/diverged"})
        answer = client.get(f"/v1/jobs/{job_id}/result")
        assert refused(answer, 409, "job-failed")["error"] == {"type": "/problems/diverged"}


def stream(client: httpx.Client, job_id: str, **headers: str) -> list[dict[str, Any]]:
    """Every event of a stream, until the server closes it."""
    events: list[dict[str, Any]] = []
    with client.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        event: dict[str, Any] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if line == "" and "id" in event:
                events.append(event)
                event = {}
            elif name in ("id", "event"):
                event[name] = value
            elif name == "data":
                event["data"] = json.loads(value)
    return events


class TestFollowing:
    @pytest.fixture
    def running_job(self, server: Server, client: httpx.Client, instance_id: str) -> Lease:
        return claim(server, submit(client, instance_id))

    def say(self, server: Server, lease: Lease, text: str) -> None:
        with server.database.write() as session:
            lifecycle.write(session, lease, {}, [("log", {"text": text})])

    def end(self, server: Server, lease: Lease) -> None:
        with server.database.write() as session:
            lifecycle.finish(session, lease, "succeeded", result={})

    def test_a_stream_follows_a_job_to_its_end(self, server: Server, client: httpx.Client, running_job: Lease) -> None:
        def work() -> None:
            for word in "abc":
                time.sleep(0.3)
                self.say(server, running_job, word)
            self.end(server, running_job)

        thread = threading.Thread(target=work)
        thread.start()
        events = stream(client, running_job.job_id)
        thread.join()
        assert [event["event"] for event in events] == ["state", "state", "log", "log", "log", "state", "end"]
        assert [event["id"] for event in events] == [str(number) for number in range(1, 8)]
        assert [event["data"]["seq"] for event in events] == list(range(1, 8))
        assert [event["data"]["data"]["text"] for event in events[2:5]] == ["a", "b", "c"]

    def test_a_stream_resumes_without_a_gap(self, server: Server, client: httpx.Client, running_job: Lease) -> None:
        for word in "abcdef":
            self.say(server, running_job, word)
        self.end(server, running_job)
        events = stream(client, running_job.job_id, **{"Last-Event-ID": "5"})
        assert [event["id"] for event in events] == ["6", "7", "8", "9", "10"]

    def test_a_late_joiner_gets_the_end_at_once(self, server: Server, client: httpx.Client, running_job: Lease) -> None:
        self.end(server, running_job)
        began = time.monotonic()
        assert stream(client, running_job.job_id)[-1]["event"] == "end"
        assert time.monotonic() - began < 2

    def test_who_has_had_the_end_is_told_not_to_come_back(
        self, server: Server, client: httpx.Client, running_job: Lease
    ) -> None:
        self.end(server, running_job)
        answer = client.get(f"/v1/jobs/{running_job.job_id}/events", headers={"Last-Event-ID": "4"})
        assert (answer.status_code, answer.content) == (204, b"")

    def test_a_long_poll_waits_for_the_first_event(
        self, server: Server, client: httpx.Client, running_job: Lease
    ) -> None:
        path, accept = f"/v1/jobs/{running_job.job_id}/events", {"Accept": "application/json"}
        threading.Timer(0.5, self.say, (server, running_job, "now")).start()
        began = time.monotonic()
        page = client.get(path, params={"after": 2, "wait": 10}, headers=accept).json()
        assert 0.4 < time.monotonic() - began < 5
        assert [event["data"] for event in page["items"]] == [{"text": "now"}]
        assert (page["next_after"], page["ended"]) == (3, False)
        nothing = client.get(path, params={"after": 3, "wait": 0.2}, headers=accept).json()
        assert nothing == {"items": [], "next_after": 3, "ended": False}

    def test_pages_join_without_a_gap_and_say_when_it_ended(
        self, server: Server, client: httpx.Client, running_job: Lease
    ) -> None:
        for word in "abcde":
            self.say(server, running_job, word)
        self.end(server, running_job)
        seen: list[int] = []
        after, ended = 0, False
        while not ended:
            params = {"after": after, "limit": 4, "wait": 5}
            answer = client.get(
                f"/v1/jobs/{running_job.job_id}/events", params=params, headers={"Accept": "application/json"}
            )
            page = answer.json()
            seen += [event["seq"] for event in page["items"]]
            after, ended = page["next_after"], page["ended"]
        assert seen == list(range(1, 10))

    def test_a_stream_of_a_deleted_job_ends(self, server: Server, client: httpx.Client, running_job: Lease) -> None:
        def remove() -> None:
            time.sleep(2.0)
            with server.database.write() as session:
                from service.db.rows import JobRow

                session.delete(session.get_one(JobRow, running_job.job_id))

        thread = threading.Thread(target=remove)
        thread.start()
        began = time.monotonic()
        assert [event["event"] for event in stream(client, running_job.job_id)] == ["state", "state"]
        assert time.monotonic() - began < 8
        thread.join()

    def test_no_other_form_is_offered(self, client: httpx.Client, running_job: Lease) -> None:
        answer = client.get(f"/v1/jobs/{running_job.job_id}/events", headers={"Accept": "text/html"})
        refused(answer, 406, "not-acceptable")


class TestLogs:
    def test_a_log_is_read_from_an_offset(self, server: Server, client: httpx.Client, instance_id: str) -> None:
        job_id = submit(client, instance_id)
        assert client.get(f"/v1/jobs/{job_id}/log").text == ""
        path = Storage(server.settings.data_dir).log_path(job_id)
        path.parent.mkdir()
        path.write_text("première ligne\n")
        first = client.get(f"/v1/jobs/{job_id}/log")
        assert first.text == "première ligne\n"
        assert first.headers["content-type"] == "text/plain; charset=utf-8"
        with path.open("a") as log:
            log.write("second\n")
        offset = first.headers["x-next-offset"]
        assert client.get(f"/v1/jobs/{job_id}/log", params={"offset": offset}).text == "second\n"
        assert client.get(f"/v1/jobs/{job_id}/log", params={"offset": 10**9}).text == ""
        assert client.get(f"/v1/jobs/{job_id}/log", params={"offset": -1}).status_code == 422

    @pytest.mark.parametrize("text", ["", "abc", "é", "a€", "😀", "x😀€é"])
    def test_a_character_is_never_cut(self, text: str) -> None:
        data = text.encode()
        for end in range(len(data) + 1):
            kept = whole_characters(data[:end])
            assert text.startswith(kept.decode())
            assert end - len(kept) < 4
        assert whole_characters(data) == data


class TestDurations:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("PT10M", 600), ("PT1H30M", 5400), ("P1DT1S", 86401), ("PT0.5S", 0.5), ("PT36H", 129600), ("P2D", 172800)],
    )
    def test_they_are_read(self, text: str, seconds: float) -> None:
        assert seconds_of(text) == seconds
        assert seconds_of(duration_of(seconds)) == seconds

    @pytest.mark.parametrize("text", ["", "P", "PT", "10", "PT-1S", "PT1M1H", "P1W", "pt1s", "PT1S ", "PT1e3S", "P1DT"])
    def test_or_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="duration"):
            seconds_of(text)


def test_times_are_utc(client: httpx.Client, instance_id: str) -> None:
    job = client.get(f"/v1/jobs/{submit(client, instance_id)}").json()
    assert job["created_at"].endswith("Z")
    assert job["created_at"][:10] == utcnow().isoformat()[:10]
