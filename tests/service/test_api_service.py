"""Health, limits, queue, metrics, problem pages, and what holds for every request."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from service.ids import new_id
from service.metrics import Metrics
from service.problem_types import KINDS
from service.settings import Settings
from service.storage import Storage
from tests.service.api_server import Server, add_policy, example_document, make_settings, running

EMPTY = {"queued": 0, "oldest_queued_at": None, "slots": 0}
PARTS = ("database", "migrations", "storage", "disk", "broker")


class TestHealth:
    def test_it_is_alive(self, client: httpx.Client) -> None:
        assert client.get("/healthz/live").json() == {"status": "ok"}

    def test_it_is_ready_when_database_and_broker_answer(self, settings: Settings, redis_url: str) -> None:
        ready = settings.model_copy(update={"broker_url": redis_url})
        with running(ready) as server, server.client() as client:
            answer = client.get("/healthz/ready")
        assert answer.json() == {"status": "ok", "checks": dict.fromkeys(PARTS, "ok")}

    def test_it_says_which_part_does_not_answer(self, tmp_path: Path) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"redis://127.0.0.1:{closed.getsockname()[1]}/0"
        with running(make_settings(tmp_path, broker_url=url)) as server, server.client() as client:
            answer = client.get("/healthz/ready")
            assert client.get("/healthz/live").status_code == 200
        assert answer.status_code == 503
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["checks"] == {**dict.fromkeys(PARTS, "ok"), "broker": "does not answer"}

    @pytest.mark.parametrize(("revision", "status", "said"), [("0007", 503, "behind"), ("9999", 200, "ok, but ahead")])
    def test_it_knows_the_database_s_revision(self, tmp_path: Path, revision: str, status: int, said: str) -> None:
        settings = make_settings(tmp_path, broker_url=f"filesystem://{tmp_path}")
        with running(settings) as server, server.client() as client:
            with server.database.write() as session:
                session.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": revision})
            answer = client.get("/healthz/ready")
        assert answer.status_code == status
        assert answer.json()["checks"]["migrations"].startswith(said)

    def test_it_knows_when_the_disk_is_nearly_full(self, tmp_path: Path) -> None:
        settings = make_settings(tmp_path, broker_url=f"filesystem://{tmp_path}", min_free_mb=2**30)
        with running(settings) as server, server.client() as client:
            answer = client.get("/healthz/ready")
        assert answer.status_code == 503
        assert "HERENOW_MIN_FREE_MB" in answer.json()["checks"]["disk"]


class TestStatus:
    def test_limits_are_those_in_force(self, api: Server, client: httpx.Client) -> None:
        limits = client.get("/v1/limits").json()
        assert limits["max_body_bytes"] == api.settings.max_body_bytes
        assert limits["max_states"] == api.settings.max_states
        assert limits["requests_per_minute"] is None
        assert limits["default_time_limit"] == "PT30M"

    def test_the_version_is_told(self, client: httpx.Client) -> None:
        answer = client.get("/v1/version").json()
        assert (answer["name"], answer["api"]) == ("herenow", "v1")
        assert re.fullmatch(r"\d+\.\d+\.\d+.*", answer["version"])

    def test_the_queue_counts_jobs(self, settings: Settings) -> None:
        with running(settings) as server, server.client() as client:
            assert client.get("/v1/queue").json() == {
                "queued": 0,
                "active": 0,
                "oldest_queued_at": None,
                "jobs": {},
                "queues": {"cpu": EMPTY, "gpu": EMPTY},
            }
            instance_id = client.post("/v1/instances", json=example_document()).json()["id"]
            body = {"kind": "train", "instance_id": instance_id, "solver": "hdpo"}
            first = client.post("/v1/jobs", json=body).json()
            client.post("/v1/jobs", json=body)
            assert client.get("/v1/queue").json() == {
                "queued": 2,
                "active": 0,
                "oldest_queued_at": first["created_at"],
                "jobs": {"queued": 2},
                "queues": {
                    "cpu": {"queued": 2, "oldest_queued_at": first["created_at"], "slots": 0},
                    "gpu": {"queued": 0, "oldest_queued_at": None, "slots": 0},
                },
            }
            metrics = client.get("/metrics").text
        assert 'herenow_jobs{state="queued"} 2.0' in metrics

    def test_storage_is_told_by_kind(self, settings: Settings) -> None:
        with running(settings) as server, server.client() as client:
            before = client.get("/v1/storage").json()
            add_policy(server, example_document())
            Storage(settings.data_dir).job_folder(new_id("job")).mkdir(parents=True)
            after = client.get("/v1/storage").json()
        assert after["artifacts_bytes"] > before["artifacts_bytes"] == 0
        assert after["jobs_bytes"] == 0
        assert after["database_bytes"] > 0
        assert 0 < after["free_bytes"] <= after["total_bytes"]

    def test_metrics_count_requests_by_route_not_by_path(self, client: httpx.Client) -> None:
        client.get("/v1/problems/nothing")
        client.get("/no/such/path")
        text = client.get("/metrics").text
        assert 'herenow_request_seconds_count{method="GET",route="/v1/problems/{problem}",status="404"}' in text
        assert 'route="unmatched",status="404"' in text
        assert "no/such/path" not in text


class TestProblemPages:
    @pytest.mark.parametrize("slug", KINDS)
    def test_every_type_is_a_page(self, client: httpx.Client, slug: str) -> None:
        page = client.get(f"/problems/{slug}", headers={"Accept": "text/html"})
        assert page.headers["Content-Type"].startswith("text/html")
        assert KINDS[slug].title in page.text.replace("&#x27;", "'")
        assert client.get(f"/problems/{slug}").json()["status"] == KINDS[slug].status

    def test_they_are_listed(self, client: httpx.Client) -> None:
        assert {kind["type"] for kind in client.get("/problems").json()} == {f"/problems/{slug}" for slug in KINDS}
        assert client.get("/problems", headers={"Accept": "text/html"}).text.count("<li>") == len(KINDS)
        assert client.get("/problems/nothing").status_code == 404


class TestEveryRequest:
    def test_an_identifier_is_kept_or_given(self, client: httpx.Client) -> None:
        kept = client.get("/v1/problems", headers={"X-Request-Id": "mine-1"})
        assert kept.headers["X-Request-Id"] == "mine-1"
        for bad in ("a b", "x" * 65, "<script>"):
            given = client.get("/v1/nothing", headers={"X-Request-Id": bad})
            assert re.fullmatch(r"req_[0-9A-Z]{26}", given.headers["X-Request-Id"])
            assert given.json()["request_id"] == given.headers["X-Request-Id"]

    @pytest.mark.parametrize(
        ("method", "path", "allow"),
        [
            ("PUT", "/v1/instances", "GET, POST"),
            ("POST", "/v1/problems", "GET"),
            ("PATCH", "/v1/instances/ins_01K9ZV6Q5RJ8XAMB4T0CWD3EFG", "DELETE, GET"),
            ("GET", "/v1/policies/x/recommend", "POST"),
            ("DELETE", "/v1/jobs", "GET, POST"),
        ],
    )
    def test_other_methods_are_told_which_there_are(
        self, client: httpx.Client, method: str, path: str, allow: str
    ) -> None:
        answer = client.request(method, path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, allow)
        assert answer.json()["type"] == "/problems/method-not-allowed"

    @pytest.mark.parametrize("path", ["/nothing", "/v1", "/v1/problems/", "/v1//problems", "/v1/%2e%2e/x"])
    def test_no_path_is_a_problem_document(self, client: httpx.Client, path: str) -> None:
        answer = client.get(path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")

    @pytest.mark.parametrize(
        "host", ["example.com", "127.0.0.1.example.com", "localhost.example.com", "", "[::1", "a b"]
    )
    def test_another_host_is_not_answered(self, client: httpx.Client, host: str) -> None:
        answer = client.get("/v1/problems", headers={"Host": host})
        assert answer.status_code in (400, 421)

    @pytest.mark.parametrize("host", ["localhost", "localhost:1234", "127.0.0.1", "[::1]:80", "LOCALHOST"])
    def test_this_host_is(self, client: httpx.Client, host: str) -> None:
        assert client.get("/v1/problems", headers={"Host": host}).status_code == 200

    def test_pages_of_other_origins_are_refused(self, api: Server, client: httpx.Client) -> None:
        for origin in ("https://example.com", "null", f"{api.url}.example.com", "http://127.0.0.1:1"):
            answer = client.post("/v1/instances", json=example_document(), headers={"Origin": origin})
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/origin-not-allowed")
        assert client.get("/v1/problems", headers={"Origin": api.url}).status_code == 200

    def test_named_origins_and_hosts_are_let_in(self, tmp_path: Path) -> None:
        named = make_settings(tmp_path, allowed_origins=["https://plan.example.com"], allowed_hosts=["api.example.com"])
        with running(named) as server, server.client() as client:
            headers = {"Host": "api.example.com", "Origin": "https://plan.example.com"}
            assert client.get("/v1/problems", headers=headers).status_code == 200
            assert client.get("/v1/problems").status_code == 421

    def test_answers_are_not_cached_or_sniffed(self, client: httpx.Client) -> None:
        headers = client.get("/v1/problems").headers
        assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")

    def test_too_many_requests_are_told_to_wait(self, tmp_path: Path) -> None:
        with running(make_settings(tmp_path, rate_per_minute=5)) as server, server.client() as client:
            answers = [client.get("/v1/version") for _ in range(7)]
            assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
            assert 1 <= int(answers[-1].headers["Retry-After"]) <= 13
            assert answers[-1].json()["type"] == "/problems/rate-limited"
            assert client.get("/healthz/live").status_code == 200
            other = client.get("/v1/version", headers={"Authorization": "Bearer other"})
            assert other.status_code == 401  # another caller has a bucket of its own

    def test_a_crash_is_a_problem_document_too(
        self, api: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def crash() -> None:
            raise RuntimeError("secret detail")

        monkeypatch.setattr("service.problems.endpoints.problems", crash)
        with api.client() as client:
            answer = client.get("/v1/problems", headers={"X-Request-Id": "crash-1"})
        assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json")
        assert answer.headers["X-Request-Id"] == "crash-1"
        assert "secret" not in answer.text
        assert any("unhandled" in record.message for record in caplog.records)


def test_spans_are_made_by_the_frameworks_own_telemetry(tmp_path: Path) -> None:
    """With a tracer provider set (here by hand, in production by the OTEL_ variables), requests leave spans."""
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter").InMemorySpanExporter()
    simple = pytest.importorskip("opentelemetry.sdk.trace.export").SimpleSpanProcessor(memory)
    provider = trace.TracerProvider()
    provider.add_span_processor(simple)
    with running(make_settings(tmp_path)) as server:
        server.app._telemetry["tracer_provider"] = provider
        with server.client() as client:
            client.get("/v1/problems/nothing")
            client.get("/healthz/live")
    names = [span.name for span in memory.get_finished_spans()]
    assert "GET /v1/problems/{problem}" in names
    assert not any("healthz" in name for name in names)


class TestMeasuresOfRecommendations:
    """Each form of an answer is counted by its states."""

    def test_one_many_and_columns(self) -> None:
        metrics = Metrics()
        odd = {"in_training_range": False, "repairs": [{"field": "x"}], "alerts": [{}, {}]}
        fine = {"in_training_range": True, "repairs": []}
        metrics.recommended({"elapsed_ms": 2.0, **odd}, 1)
        metrics.recommended({"elapsed_ms": 2.0, "recommendations": [fine, odd, fine]}, 3)
        columns = {"in_training_range": [True, False, False], "repaired": [True, False, False], "decisions": {}}
        metrics.recommended({"elapsed_ms": 2.0, **columns}, 3)
        names = ("states", "states_out_of_range", "decisions_repaired", "alerts")
        found = [metrics.registry.get_sample_value(f"herenow_recommended_{name}_total") for name in names]
        assert found == [7, 4, 3, 4]

    def test_a_served_answer_is_counted(self, api: Server, client: httpx.Client, policy_id: str) -> None:
        before = _told(client, "herenow_recommended_states_total")
        assert client.post(f"/v1/policies/{policy_id}/recommend", json={}).status_code == 200
        assert _told(client, "herenow_recommended_states_total") == before + 1
        assert _told(client, "herenow_recommend_seconds_count") >= 1


def _told(client: httpx.Client, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])
