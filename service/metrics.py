"""What Prometheus reads at `/metrics`: requests, recommendations, policies held, jobs by state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_LATENCIES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """The measures of one API process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Histogram(
            "herenow_request_seconds",
            "Time from request to complete response [s].",
            ("method", "route", "status"),
            buckets=_LATENCIES,
            registry=self.registry,
        )
        self.recommend_seconds = Histogram(
            "herenow_recommend_seconds",
            "Time to compute the decisions of one request [s].",
            buckets=_LATENCIES,
            registry=self.registry,
        )
        self.batch_requests = Histogram(
            "herenow_batch_requests",
            "Requests decided together.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self.recommended_states = Counter(
            "herenow_recommended_states", "States a decision was recommended for.", registry=self.registry
        )
        self.policy_loads = Counter(
            "herenow_policy_cache", "Policies looked for, by whether ready.", ("found",), registry=self.registry
        )
        self.policies_held = Gauge("herenow_policies_held", "Policies ready in memory.", registry=self.registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        known = method if method in ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS") else "other"
        self._requests.labels(known, route, str(status)).observe(seconds)

    def watch_jobs(self, count: Callable[[], Mapping[str, int]]) -> None:
        """Let every reading ask `count` for the number of jobs by state."""
        self.registry.register(_Jobs(count))

    def text(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)


class _Jobs(Collector):
    def __init__(self, count: Callable[[], Mapping[str, int]]) -> None:
        self._count = count

    def describe(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("herenow_jobs", "Jobs by state.", labels=("state",))

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("herenow_jobs", "Jobs by state.", labels=("state",))
        for state, number in self._count().items():
            family.add_metric((state,), number)
        yield family
