"""Both clients against a real server: answers, refusals, and a line that breaks after the server did the work."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.client import (
    Changed,
    Client,
    InvalidInput,
    JobFailed,
    NoAnswer,
    NotFound,
    Retry,
    StillRunning,
    TooMany,
    Unauthenticated,
    UnexpectedAnswer,
    arrays_of,
)
from service.client.calls import duration
from service.client.errors import refusal, retry_after
from service.db.rows import JobEventRow, JobRow
from service.keys.service import create
from tests.client.conftest import Do
from tests.client.line import bad_line
from tests.dashboard.stored import add_job, curve
from tests.service.api_server import Server, example_document, make_settings, running

pytestmark = pytest.mark.processes


@pytest.fixture
def instance(site: Server) -> str:
    with Client(site.url) as client:
        return client.instances.create(example_document()).id


class TestAnswers:
    def test_records_are_typed(self, site: Server, do: Do, instance: str) -> None:
        found = do(site.url, lambda client: client.instances.get(instance))
        assert (found.id, found.document["problem"]) == (instance, "inventory_network")
        assert found.created_at.tzinfo is not None

    def test_pages_are_one_iterator(self, site: Server, do: Do) -> None:
        with Client(site.url) as client:
            made = {client.instances.create(example_document() | {"name": f"paged-{k}"}).id for k in range(5)}
        found = do(site.url, lambda client: client.instances.list(search="paged-", page_size=2))
        assert [item.id for item in found] == sorted(made, reverse=True)

    def test_what_is_wrong_is_named(self, site: Server, do: Do) -> None:
        with pytest.raises(InvalidInput) as caught:
            do(site.url, lambda client: client.instances.create(example_document() | {"periods": -1}))
        assert (caught.value.slug, caught.value.errors[0].pointer) == ("invalid-input", "/periods")
        assert caught.value.request_id

    def test_what_is_not_there_is_said(self, site: Server, do: Do) -> None:
        with pytest.raises(NotFound, match="nobody"):
            do(site.url, lambda client: client.policies.get("nobody"))

    def test_a_policy_is_asked_for_one_state_many_and_columns(self, site: Server, do: Do, policy: str) -> None:
        one = do(site.url, lambda client: client.policies.recommend("orders", explain=True))
        assert one.decision["orders"]
        assert one.why
        today = do(site.url, lambda client: client.policies.state(policy)).today
        many = do(site.url, lambda client: client.policies.recommend_many("orders", [today, today]))
        assert len(many.recommendations) == 2
        columns = {"on_hand": {name: np.full(3, value) for name, value in today["on_hand"].items()}}
        whole = do(site.url, lambda client: client.policies.recommend_columns("orders", columns))
        found = arrays_of({"in_training_range": whole.in_training_range, **whole.decisions})
        assert found["in_training_range"].shape == (3,)
        assert isinstance(found["orders"], np.ndarray)

    def test_a_decision_comes_as_a_file(self, site: Server, do: Do, policy: str) -> None:
        sheet = do(site.url, lambda client: client.policies.recommend_file("orders", "csv"))
        assert sheet.startswith(b"From,To,Quantity")
        asked = do(site.url, lambda client: client.policies.recommend("orders"))
        kept = do(site.url, lambda client: client.recommendations.file(asked.recommendation_id, "csv"))
        assert kept == sheet

    def test_files_become_an_instance(self, site: Server, do: Do, tmp_path: Path) -> None:
        network = b"""{"problem": "inventory_network", "name": "from-csv", "periods": 30, "warmup_periods": 10,
          "nodes": [{"id": "plant", "kind": "supplier"},
                    {"id": "shop", "kind": "store", "holding_cost": 1, "shortage_cost": 9}],
          "lanes": [{"from": "plant", "to": "shop", "lead_time": 2}]}"""
        lines = ["date,shop", *(f"2026-02-{day},{day % 7}" for day in range(10, 29))]
        (tmp_path / "history.csv").write_text("\n".join(lines))
        files = {"instance": network, "history": tmp_path / "history.csv"}
        found = do(site.url, lambda client: client.instances.import_files("inventory_network", "csv", files))
        assert found.name == "from-csv"

    def test_an_alias_moves_only_as_seen(self, site: Server, do: Do, policy: str, request: Any) -> None:
        word = f"tried-{request.node.callspec.id}"
        seen = do(site.url, lambda client: client.aliases.put("orders", word, 1, seen=None))
        do(site.url, lambda client: client.aliases.put("orders", word, 1, seen=seen, note="again"))
        with pytest.raises(Changed):
            do(site.url, lambda client: client.aliases.delete("orders", word, seen=seen))

    def test_keys_come_from_the_environment_and_are_not_shown(
        self, do: Do, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with running(make_settings(tmp_path, require_keys=True)) as server:
            with pytest.raises(Unauthenticated):
                do(server.url, lambda client: client.policies.list())
            with server.database.write() as session:
                secret = create(session, "planner", ["read"]).secret
            monkeypatch.setenv("HERENOW_API_KEY", secret)
            monkeypatch.setenv("HERENOW_SERVER", server.url)
            assert do(None, lambda client: client.policies.list()) == []
            with Client() as client:
                assert secret not in repr(client)


class TestBadLine:
    def test_a_job_submitted_over_a_line_that_loses_answers_is_one_job(
        self, site: Server, do: Do, instance: str, request: Any
    ) -> None:
        name = f"once-{request.node.callspec.id}"
        with bad_line(site.url, 0, 0) as (url, line):
            job = do(url, lambda client: client.jobs.train(instance, "hdpo", policy_name=name, time_limit=60))
        assert line.connections == 3  # twice the server did the work and the answer was lost
        queued = [found.id for found in Client(site.url).jobs.list() if found.policy_name == name]
        assert queued == [job.id]

    def test_a_deletion_whose_answer_was_lost_has_succeeded(self, site: Server, do: Do, request: Any) -> None:
        document = example_document() | {"name": f"gone-{request.node.callspec.id}"}
        made = Client(site.url).instances.create(document).id
        with bad_line(site.url, 0) as (url, _):
            assert do(url, lambda client: client.instances.delete(made)) is None
        with pytest.raises(NotFound):
            do(site.url, lambda client: client.instances.delete(made))

    def test_what_has_no_key_is_not_sent_twice(self, site: Server, do: Do, request: Any) -> None:
        name = f"lost-{request.node.callspec.id}"
        with bad_line(site.url, 0) as (url, line), pytest.raises(NoAnswer):
            do(url, lambda client: client.keys.create(name, ["read"]))
        assert line.connections == 1
        assert [key.name for key in Client(site.url).keys.list()].count(name) == 1

    def test_a_conditional_change_is_not_sent_twice(self, site: Server, do: Do, policy: str, request: Any) -> None:
        word = f"moved-{request.node.callspec.id}"
        with bad_line(site.url, 0) as (url, line), pytest.raises(NoAnswer):
            do(url, lambda client: client.aliases.put("orders", word, 1, seen=None))
        assert line.connections == 1
        assert Client(site.url).aliases.get("orders", word).policy.version == 1

    def test_events_cut_midway_come_once_each_and_in_order(self, site: Server, do: Do, instance: str) -> None:
        job = add_job(site, instance, "succeeded", curve(40, 40))
        with bad_line(site.url, 900, 3000, 0, 2500) as (url, line):
            found = do(url, lambda client: client.jobs.events(job), retry=Retry(6, 0.01))
        assert line.connections == 5
        assert [event.seq for event in found] == list(range(1, len(found) + 1))
        assert found[-1].type == "end"
        assert do(site.url, lambda client: client.jobs.events(job, after=found[-1].seq)) == []

    def test_who_is_not_there_is_given_up_on(self, do: Do) -> None:
        with pytest.raises(NoAnswer, match="tried 4 times"):
            do("http://127.0.0.1:9", lambda client: client.system.version())


class TestBusy:
    def test_it_comes_again_when_the_service_says_so(self, do: Do, tmp_path: Path) -> None:
        with running(make_settings(tmp_path, rate_per_minute=60)) as server:
            with httpx.Client(base_url=server.url) as hasty:
                while hasty.get("/v1/version").status_code == 200:
                    pass
            assert do(server.url, lambda client: client.system.version()).version

    def test_a_wait_that_is_too_long_is_told(self, do: Do, tmp_path: Path) -> None:
        with running(make_settings(tmp_path, max_queued_jobs=1)) as server:
            instance = Client(server.url).instances.create(example_document()).id
            Client(server.url).jobs.train(instance, "hdpo")
            with pytest.raises(TooMany) as caught:
                do(server.url, lambda client: client.jobs.train(instance, "hdpo"))
        assert (caught.value.slug, caught.value.retry_after) == ("queue-full", 30.0)


class TestWaiting:
    @pytest.fixture
    def running_job(self, site: Server, instance: str) -> str:
        return add_job(site, instance, "running", curve(40, 10))

    def test_progress_is_told_and_the_job_returned(self, site: Server, do: Do, running_job: str) -> None:
        told: list[dict[str, Any]] = []
        threading.Timer(0.3, finish, (site, running_job, "succeeded")).start()
        job = do(site.url, lambda client: client.jobs.wait(running_job, timeout=20, on_progress=told.append))
        assert job.state == "succeeded"
        assert told[-1]["iteration"] == 10

    def test_a_callback_may_be_a_coroutine(self, site: Server, instance: str) -> None:
        import asyncio

        from service.client import AsyncClient

        told = []
        job = add_job(site, instance, "succeeded", curve(40, 10))

        async def tell(progress: dict[str, Any]) -> None:
            told.append(progress["iteration"])

        async def wait() -> None:
            async with AsyncClient(site.url) as client:
                await client.jobs.wait(job, on_progress=tell)

        asyncio.run(wait())
        assert told == [10]

    def test_a_failed_job_is_an_exception_with_its_reason(self, site: Server, do: Do, instance: str) -> None:
        error = {"type": "/problems/diverged", "title": "Training diverged", "status": 500, "detail": "too steep"}
        job = add_job(site, instance, "failed", error=error)
        with pytest.raises(JobFailed, match="too steep") as caught:
            do(site.url, lambda client: client.jobs.wait(job))
        assert caught.value.job.id == job

    def test_time_that_is_up_is_an_exception_and_the_job_goes_on(self, site: Server, do: Do, running_job: str) -> None:
        with pytest.raises(StillRunning, match="within 0"):
            do(site.url, lambda client: client.jobs.wait(running_job, timeout=0.4))
        assert Client(site.url).jobs.get(running_job).state == "running"


def finish(site: Server, job_id: str, state: str) -> None:
    with site.database.write() as session:
        job = session.get_one(JobRow, job_id)
        job.state, job.event_seq = state, job.event_seq + 1
        end = {"state": state, "error": None, "stopped_by": None, "policy_id": None}
        session.add(JobEventRow(job_id=job_id, seq=job.event_seq, type="end", data=end))


class TestSmallThings:
    @pytest.mark.parametrize(
        ("given", "said"),
        [(timedelta(minutes=10), "PT600S"), (2.5, "PT2.5S"), (600, "PT600S"), ("PT10M", "PT10M"), (None, None)],
    )
    def test_time_spans(self, given: Any, said: str | None) -> None:
        assert duration(given) == said

    def test_retry_after_is_a_number_or_a_date(self) -> None:
        def after(said: str) -> float | None:
            return retry_after(httpx.Response(429, headers={"Retry-After": said}))

        assert after("7") == 7.0
        assert after("soon") is None
        assert after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0

    def test_a_gateway_that_speaks_html_is_understood(self) -> None:
        assert refusal(httpx.Response(502, text="<html>")).args[0].startswith("502")
        assert isinstance(refusal(httpx.Response(302, text="")), UnexpectedAnswer)

    def test_pauses_double_and_are_random(self) -> None:
        retry = Retry(first_pause=1.0, longest_pause=4.0)
        for failures, most in ((1, 1.0), (2, 2.0), (3, 4.0), (9, 4.0)):
            pauses = [retry.pause(failures) for _ in range(200)]
            assert max(pauses) <= most
            assert max(pauses) > most / 2
            assert min(pauses) < most / 2
        assert 5.0 <= retry.pause(1, 5.0) <= 6.0

    def test_another_service_is_not_mistaken_for_ours(self, do: Do) -> None:
        import http.server

        class Other(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b'{"name": "something else"}')

            def log_message(self, *words: Any) -> None:
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Other) as other:
            threading.Thread(target=other.serve_forever, daemon=True).start()
            with pytest.raises(UnexpectedAnswer, match="/v1/version"):
                do(f"http://127.0.0.1:{other.server_port}", lambda client: client.system.version())
            other.shutdown()
