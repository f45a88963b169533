"""One job on a running service, as an operator sees it: logs, one trace, measures, health."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cli.terminal import Serving, serving
from tests.servers import free_port
from tests.service.api_server import example_document
from tests.service.collector import Span, collecting
from tests.service.lab import PLUGINS
from tests.service.workers import eventually

REQUEST = "deploy-42"

pytestmark = pytest.mark.processes


@dataclass
class Seen:
    """What was seen of the service once it has stopped."""

    folder: Path
    job_id: str
    spans: list[Span]
    measures: dict[str, dict[tuple[tuple[str, str], ...], float]]
    health: dict[str, Any]
    api_lines: list[str]

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Every log line of every process."""
        worker = (self.folder / "logs" / "worker.log").read_text().splitlines()
        return [json.loads(line) for line in self.api_lines + worker]

    def measure(self, name: str, **labels: str) -> float:
        """The sum of a measure over the series that have these labels."""
        return sum(value for key, value in self.measures[name].items() if labels.items() <= dict(key).items())


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """A service that ran one training of ten iterations and refused one request."""
    folder, port = tmp_path_factory.mktemp("seen"), free_port()
    env = {"HERENOW_LOG_FORMAT": "json", "HERENOW_ACCESS_LOG": "true", "HERENOW_SOLVERS": PLUGINS}
    with collecting() as collector:
        env |= {"HERENOW_TRACE_ENDPOINT": collector.url, "HERENOW_WORKER_METRICS_PORT": str(port)}
        with serving(folder, env=env) as server:
            job_id = _one_job(server)
            worker = f"http://127.0.0.1:{port}"
            eventually(lambda: "herenow_job_seconds_count{" in httpx.get(f"{worker}/metrics").text, 30)
            measures = _measures(server.url, worker)
            health = httpx.get(f"{worker}/healthz/ready").json()
            assert httpx.get(f"{worker}/healthz/live").status_code == 200
            assert httpx.get(f"{worker}/v1/jobs").status_code == 404
    return Seen(folder, job_id, collector.spans, measures, health, server.lines)


def _one_job(server: Serving) -> str:
    with httpx.Client(base_url=server.url, headers={"X-Request-Id": REQUEST}) as client:
        instance = client.post("/v1/instances", json=example_document()).json()["id"]
        asked = {"kind": "train", "instance_id": instance, "solver": "lab", "time_limit": "PT10S"}
        job_id: str = client.post("/v1/jobs", json=asked | {"config": {"iterations": 10, "pace": 0.4}}).json()["id"]
        assert client.post("/v1/jobs", json=asked | {"solver": "nobody"}).status_code == 422
        eventually(lambda: client.get(f"/v1/jobs/{job_id}").json()["state"] == "succeeded", 90)
    return job_id


def _measures(*urls: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for url in urls:
        for family in text_string_to_metric_families(httpx.get(f"{url}/metrics").text):
            for sample in family.samples:
                found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


class TestLogs:
    """What the processes wrote."""

    def test_every_line_of_every_process_is_json(self, seen: Seen) -> None:
        assert {line["role"] for line in seen.lines} == {"api", "worker", "child"}

    def test_request_and_job_are_on_the_lines_of_all_three(self, seen: Seen) -> None:
        mine = [line for line in seen.lines if line.get("job_id") == seen.job_id]
        assert {line["role"] for line in mine} == {"api", "worker", "child"}
        assert {line["request_id"] for line in mine} == {REQUEST}

    def test_access_lines_have_fields(self, seen: Seen) -> None:
        access = [line for line in seen.lines if line.get("path") == "/v1/jobs" and line["method"] == "POST"]
        assert [(line["status"], line["request_id"]) for line in access] == [(202, REQUEST), (422, REQUEST)]

    def test_the_jobs_own_log_stays_text(self, seen: Seen) -> None:
        text = (seen.folder / "jobs" / seen.job_id / "log.txt").read_text()
        assert "attempt 1 of job" in text
        assert "{" not in text


def test_one_trace_has_request_claim_training_and_certificate(seen: Seen) -> None:
    request = next(span for span in seen.spans if span.name == "POST /v1/jobs")
    trace = {span.name: span for span in seen.spans if span.trace == request.trace}
    services = {name: span.service for name, span in trace.items()}
    assert services["job.claim"] == services["job.attempt"] == "herenow-worker"
    assert services["job.train"] == services["training"] == services["certificate"] == "herenow-child"
    assert trace["job.claim"].attributes["job_id"] == seen.job_id
    assert _line_up(trace, "certificate") == ["job.train", "job.attempt", "job.claim"]


def _line_up(trace: dict[str, Span], name: str) -> list[str]:
    """The names of a span's ancestors outside the API, nearest first."""
    by_id = {span.id: span for span in trace.values()}
    found = []
    span = by_id.get(trace[name].parent)
    while span is not None and span.service != "herenow-api":
        found.append(span.name)
        span = by_id.get(span.parent)
    return found


class TestMeasures:
    """What Prometheus would have read."""

    def test_the_api_tells_of_requests_and_refusals(self, seen: Seen) -> None:
        assert seen.measure("herenow_request_seconds_count", route="/v1/jobs", status="202") == 1
        assert seen.measure("herenow_refused_total", problem="invalid-input") == 1
        assert seen.measure("herenow_requests_in_flight") >= 1  # the scrape itself

    def test_the_api_tells_what_the_database_has(self, seen: Seen) -> None:
        assert seen.measure("herenow_database_up") == 1
        assert seen.measure("herenow_jobs", state="succeeded") == 1
        assert seen.measure("herenow_queue_jobs") == 0
        assert seen.measure("herenow_workers", state="idle") == 1
        assert seen.measure("herenow_disk_free_bytes") > 0

    def test_the_worker_tells_of_its_jobs(self, seen: Seen) -> None:
        assert seen.measure("herenow_job_seconds_count", kind="train", solver="lab", state="succeeded") == 1
        assert seen.measure("herenow_job_wait_seconds_count", kind="train") == 1
        assert seen.measure("herenow_jobs_running") == 0
        assert seen.measure("herenow_child_memory_peak_bytes") > 50e6
        assert seen.measure("herenow_leases_lost_total") == 0
        assert seen.measure("herenow_reconciler_last_look_timestamp_seconds") > 1e9

    def test_the_worker_tells_whether_training_learns(self, seen: Seen) -> None:
        assert 1 <= seen.measure("herenow_training_iterations_total", solver="lab") <= 10
        assert seen.measure("herenow_training_excess_over_best_rule_count", solver="lab") == 1

    def test_both_tell_their_release(self, seen: Seen) -> None:
        assert seen.measure("herenow_build_info", role="api") == seen.measure("herenow_build_info", role="worker") == 1


def test_a_worker_says_whether_it_is_ready(seen: Seen) -> None:
    assert seen.health["status"] == "ok"
    assert set(seen.health["checks"]) == {"database", "migrations", "storage", "disk", "broker"}
