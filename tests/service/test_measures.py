"""What a worker counts of its attempts."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

from service.db.rows import JobRow, utcnow
from service.jobs.repository import Lease
from service.workers.measures import WorkerMetrics

LEASE = Lease("job_1", "w:1", 1)


def job(**changes: Any) -> JobRow:
    now = utcnow()
    given: dict[str, Any] = {"id": "job_1", "kind": "train", "solver": "hdpo", "state": "running", "attempt": 1}
    given |= {"worker": "w:1", "lost_workers": 0, "elapsed_seconds": 12.0, "created_at": now - timedelta(seconds=3)}
    return JobRow(**(given | {"started_at": now, "error": None, "result": None} | changes))


def value(measures: WorkerMetrics, name: str, **labels: str) -> float:
    return measures.registry.get_sample_value(name, labels) or 0.0


def over(**changes: Any) -> WorkerMetrics:
    measures = WorkerMetrics()
    measures.claimed(job())
    measures.attempt_over(LEASE, 0, job(**changes))
    return measures


def test_a_success_is_counted_with_its_time_and_certificate() -> None:
    certificate = {"policy": {"mean_cost": 90.0}, "rules": [{"mean_cost": 120.0}, {"mean_cost": 100.0}], "gap": 0.04}
    measures = over(state="succeeded", result={"certificate": certificate})
    ended = {"kind": "train", "solver": "hdpo", "state": "succeeded"}
    assert value(measures, "herenow_job_seconds_sum", **ended) == 12.0
    excess = "herenow_training_excess_over_best_rule_bucket"
    assert [value(measures, excess, solver="hdpo", le=le) for le in ("-0.2", "-0.1", "1.0")] == [0, 1, 1]
    assert value(measures, "herenow_training_gap_to_bound_sum", solver="hdpo") == 0.04
    assert 2.9 < value(measures, "herenow_job_wait_seconds_sum", kind="train") < 3.5


def test_a_failure_is_counted_by_its_type() -> None:
    measures = over(state="failed", error={"type": "/problems/diverged"})
    assert value(measures, "herenow_jobs_failed_total", kind="train", problem="diverged") == 1


def test_what_is_given_back_is_not_lost() -> None:
    measures = over(state="queued", worker=None, attempt=0)
    assert value(measures, "herenow_jobs_given_back_total") == 1
    assert value(measures, "herenow_leases_lost_total", outcome="queued") == 0


def test_a_lost_child_is_counted_by_what_became_of_the_job() -> None:
    assert value(over(state="queued", worker=None, lost_workers=1), "herenow_leases_lost_total", outcome="queued") == 1
    quarantined = over(state="failed", lost_workers=1, error={"type": "/problems/quarantined"})
    assert value(quarantined, "herenow_leases_lost_total", outcome="ended") == 1
    assert value(quarantined, "herenow_jobs_failed_total", kind="train", problem="quarantined") == 1


def test_what_another_worker_ended_is_not_ours() -> None:
    measures = over(state="succeeded", worker="w:2")
    assert value(measures, "herenow_job_seconds_count", kind="train", solver="hdpo", state="succeeded") == 0


def test_a_deleted_job_is_no_error() -> None:
    measures = WorkerMetrics()
    measures.claimed(job())
    measures.attempt_over(LEASE, 0, None)
    assert value(measures, "herenow_jobs_running") == 0


def test_iterations_count_from_where_an_attempt_was_first_seen() -> None:
    measures = WorkerMetrics()
    for iteration in (500, 510, 510, 530):
        measures.reached("job_1", "hdpo", iteration)
    assert value(measures, "herenow_training_iterations_total", solver="hdpo") == 30


def test_the_largest_child_is_told_and_remembered() -> None:
    measures = WorkerMetrics(memory_limit_mb=2)
    measures.child_uses("job_1", 100)
    measures.child_uses("job_2", 300)
    assert value(measures, "herenow_child_memory_bytes") == 300
    measures.attempt_over(Lease("job_2", "w:1", 1), 0, None)
    assert value(measures, "herenow_child_memory_bytes") == 100
    assert value(measures, "herenow_child_memory_peak_bytes") == 300
    assert value(measures, "herenow_child_memory_limit_bytes") == 2 * 2**20


def test_threads_do_not_lose_each_others_counts() -> None:
    measures = WorkerMetrics()
    work = [
        threading.Thread(target=lambda k=k: [measures.child_uses(f"j{k}", k) for _ in range(500)]) for k in range(8)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert value(measures, "herenow_jobs_running") == 8


def test_labels_take_no_value_from_a_request() -> None:
    """Whatever the job says, only kinds, solvers, states and problem types become labels."""
    text = over(
        state="failed", policy_name="secret-name", error={"type": "/problems/x", "detail": "secret-detail"}
    ).text()
    assert b"secret" not in text
    assert b"job_1" not in text
