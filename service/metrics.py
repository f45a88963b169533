"""What Prometheus reads of an API process at `/metrics`: requests, recommendations, policies held.

What is true of the whole service, whichever process is asked, comes from the database (`service.system.facts`); what
only a worker knows, from the worker (`service.workers.measures`). Labels take values from closed lists alone (routes,
states, problem types, solvers): no id, name or path of a request ever becomes one.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.registry import Collector

from service.version import VERSION

_LATENCIES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS")


def own_registry(role: str) -> CollectorRegistry:
    """A registry for one process, with what is measured of every process: memory, CPU, files, release."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    build = Info("herenow_build", "The release that runs here.", registry=registry)
    build.info({"version": VERSION, "role": role, "python": platform.python_version()})
    return registry


class Metrics:
    """The measures of one API process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = own_registry("api")
        self._requests = Histogram(
            "herenow_request_seconds",
            "Time from request to complete response [s].",
            ("method", "route", "status"),
            buckets=_LATENCIES,
            registry=self.registry,
        )
        self.in_flight = Gauge("herenow_requests_in_flight", "Requests being answered.", registry=self.registry)
        self._refused = Counter(
            "herenow_refused", "Requests refused, by type of problem document.", ("problem",), registry=self.registry
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
        self.states_outside = Counter(
            "herenow_recommended_states_out_of_range",
            "States outside the range that the policy's training saw.",
            registry=self.registry,
        )
        self.decisions_repaired = Counter(
            "herenow_recommended_decisions_repaired",
            "Decisions moved to keep every constraint.",
            registry=self.registry,
        )
        self.alerts = Counter(
            "herenow_recommended_alerts", "Alerts told with recommendations that explain.", registry=self.registry
        )
        self.policy_loads = Counter(
            "herenow_policy_cache", "Policies looked for, by whether ready.", ("found",), registry=self.registry
        )
        self.policies_held = Gauge("herenow_policies_held", "Policies ready in memory.", registry=self.registry)

    def request(self, method: str, route: str, status: int, seconds: float, problem: str | None = None) -> None:
        """Count one request, and the type of problem document it was answered with if it was."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).observe(seconds)
        if problem is not None:
            self._refused.labels(problem).inc()

    def recommended(self, answer: Mapping[str, Any], states: int) -> None:
        """Count one answered request: its time, its states, and what is odd about them."""
        self.recommend_seconds.observe(answer["elapsed_ms"] / 1000)
        self.recommended_states.inc(states)
        if "recommendations" not in answer and not isinstance(answer["in_training_range"], bool):  # in columns
            self.states_outside.inc(answer["in_training_range"].count(False))
            self.decisions_repaired.inc(sum(answer["repaired"]))
            return
        for one in answer.get("recommendations", (answer,)):
            self.states_outside.inc(not one["in_training_range"])
            self.decisions_repaired.inc(bool(one["repairs"]))
            self.alerts.inc(len(one.get("alerts", ())))

    def add(self, collector: Collector) -> None:
        """Let every reading ask this one too."""
        self.registry.register(collector)

    def text(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)
