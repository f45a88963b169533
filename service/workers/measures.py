"""What a worker measures of its work, for Prometheus: jobs and how they end, leases, children, how training goes."""

from __future__ import annotations

import threading
import time

from prometheus_client import Counter, Gauge, Histogram, generate_latest

from service.db.rows import JobRow
from service.jobs.repository import Lease
from service.jobs.states import FINISHED, QUEUED
from service.metrics import own_registry
from service.system.facts import figures_of

_JOB_SECONDS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200)
_WAIT_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200)
_EXCESS = (-0.5, -0.2, -0.1, -0.05, -0.02, -0.01, 0.0, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
_GAPS = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
NONE = "none"


class WorkerMetrics:
    """The measures of one worker process, in a registry of its own; safe to call from several threads."""

    def __init__(self, memory_limit_mb: int = 0) -> None:
        self.registry = registry = own_registry("worker")
        self._seconds = Histogram(
            "herenow_job_seconds",
            "Time worked on jobs that ended here, earlier attempts included [s].",
            ("kind", "solver", "state"),
            buckets=_JOB_SECONDS,
            registry=registry,
        )
        self._waits = Histogram(
            "herenow_job_wait_seconds",
            "Time from submission to the first attempt [s].",
            ("kind",),
            buckets=_WAIT_SECONDS,
            registry=registry,
        )
        self._failures = Counter(
            "herenow_jobs_failed", "Jobs that failed here, by problem type.", ("kind", "problem"), registry=registry
        )
        self._lost = Counter(
            "herenow_leases_lost",
            "Attempts whose worker or child was lost, by what became of the job.",
            ("outcome",),
            registry=registry,
        )
        for outcome in ("queued", "ended"):
            self._lost.labels(outcome)
        self._given_back = Counter(
            "herenow_jobs_given_back", "Jobs given back to the queue by a worker that stops.", registry=registry
        )
        self._rung = Counter(
            "herenow_bells_rung_again", "Bells rung again for jobs nobody had taken.", registry=registry
        )
        self._looked = Gauge(
            "herenow_reconciler_last_look_timestamp_seconds",
            "When lost bells and leases were last looked for [seconds since 1970].",
            registry=registry,
        )
        self._running = Gauge("herenow_jobs_running", "Jobs this worker runs now.", registry=registry)
        self._memory = Gauge(
            "herenow_child_memory_bytes", "Resident memory of the largest child now [bytes].", registry=registry
        )
        self._memory_peak = Gauge(
            "herenow_child_memory_peak_bytes",
            "Largest resident memory of a child since this worker started [bytes].",
            registry=registry,
        )
        limit = Gauge(
            "herenow_child_memory_limit_bytes", "Resident memory at which a child is ended [bytes].", registry=registry
        )
        limit.set(memory_limit_mb * 2**20)
        self._iterations = Counter(
            "herenow_training_iterations", "Training iterations done here.", ("solver",), registry=registry
        )
        self._excess = Histogram(
            "herenow_training_excess_over_best_rule",
            "Certified cost of trained policies above the best rule's, relative; below 0 it is better.",
            ("solver",),
            buckets=_EXCESS,
            registry=registry,
        )
        self._gaps = Histogram(
            "herenow_training_gap_to_bound",
            "Certified gap of trained policies to the lower bound, relative.",
            ("solver",),
            buckets=_GAPS,
            registry=registry,
        )
        self._lock = threading.Lock()
        self._peak = 0
        self._children: dict[str, int] = {}  # resident memory of the child of each job [bytes]
        self._reached: dict[str, int] = {}  # iteration each job was last seen at

    def text(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)

    def claimed(self, job: JobRow) -> None:
        """A job is taken."""
        if job.attempt == 1 and job.started_at is not None:
            self._waits.labels(job.kind).observe(max((job.started_at - job.created_at).total_seconds(), 0.0))
        self.child_uses(job.id, 0)

    def child_uses(self, job_id: str, memory: int) -> None:
        """A job's child is this large now [bytes]."""
        with self._lock:
            self._children[job_id] = memory
            self._tell_children()

    def reached(self, job_id: str, solver: str | None, iteration: int) -> None:
        """A training is at that iteration; an attempt that resumes starts where it was first seen."""
        with self._lock:
            done = iteration - self._reached.get(job_id, iteration)
            self._reached[job_id] = iteration
        if done > 0:
            self._iterations.labels(solver or NONE).inc(done)

    def attempt_over(self, lease: Lease, lost_before: int, job: JobRow | None) -> None:
        """An attempt's child is gone; `job` is its job as it is now."""
        with self._lock:
            self._children.pop(lease.job_id, None)
            self._reached.pop(lease.job_id, None)
            self._tell_children()
        if job is None:
            return
        if job.lost_workers > lost_before:
            self.lost(job.state == QUEUED)
        elif job.state == QUEUED:
            self._given_back.inc()
        if job.state in FINISHED and job.worker == lease.worker:
            self._ended(job)

    def lost(self, is_queued: bool) -> None:
        """A job lost its worker or child, and waits again or has ended."""
        self._lost.labels("queued" if is_queued else "ended").inc()

    def rung(self, bells: int) -> None:
        """So many bells were rung again."""
        self._rung.inc(bells)

    def looked(self) -> None:
        """The reconciler has looked."""
        self._looked.set(time.time())

    def _ended(self, job: JobRow) -> None:
        self._seconds.labels(job.kind, job.solver or NONE, job.state).observe(job.elapsed_seconds)
        if job.error is not None:
            slug = str(job.error.get("type", NONE)).rpartition("/")[2]
            self._failures.labels(job.kind, slug).inc()
        if job.kind == "train" and job.result is not None:
            excess, gap = figures_of(job.result.get("certificate"))
            if excess is not None:
                self._excess.labels(job.solver or NONE).observe(excess)
            if gap is not None:
                self._gaps.labels(job.solver or NONE).observe(gap)

    def _tell_children(self) -> None:
        self._running.set(len(self._children))
        largest = max(self._children.values(), default=0)
        self._memory.set(largest)
        self._peak = max(largest, self._peak)
        self._memory_peak.set(self._peak)
