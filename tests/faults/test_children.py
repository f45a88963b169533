"""Jobs that misbehave: each ends in a state that is true, and takes nothing else with it."""

from __future__ import annotations

import pytest

from tests.faults.plant import END_SECONDS, Plant, end_events, lab, once, quick
from tests.faults.report import PATIENCE, Recovery, fault
from tests.service.workers import Worker, eventually

STRICT = {"JOB_MEMORY_MB": 1500, "OVERTIME_SECONDS": 5, "TERM_SECONDS": 0.5, "SILENCE_SECONDS": 8, "CONCURRENCY": 1}


@pytest.fixture
def strict(site: Plant) -> Worker:
    """A worker of little patience and memory."""
    return site.worker(**{f"HERENOW_{name}": str(value) for name, value in STRICT.items()})


def ends_as(site: Plant, job_id: str, slug: str, attempts: int) -> str:
    """The job fails in this way; its error's detail. Nothing of it runs on."""
    job = site.desk.finished(job_id, 240 * PATIENCE)
    assert job.error is not None, site.desk.tell(job_id)
    assert (job.state, job.error["type"], job.attempt) == ("failed", f"/problems/{slug}", attempts)
    assert [end["error"] for end in end_events(site.desk, job_id)] == [job.error]
    assert job.policy_id is None
    eventually(lambda: not site.children(), END_SECONDS * PATIENCE)
    return str(job.error["detail"])


def works_on(site: Plant, instance_id: str, recovery: Recovery) -> None:
    """The next job is taken."""
    with recovery.within():
        job_id = site.desk.submit(**quick(instance_id))
        once(lambda: "starting" in site.desk.states(job_id), 60, site.tell)
    site.desk.cancel(job_id)
    site.desk.finished(job_id, 150)


@fault("a child that leaks up to the memory limit", "it alone ends, as memory-limit; the worker goes on")
def test_leak(site: Plant, strict: Worker, instance_id: str, recovery: Recovery) -> None:
    job_id = site.desk.submit(**lab(instance_id, behaviour="hog"))
    assert "1500 MiB" in ends_as(site, job_id, "memory-limit", 1)
    works_on(site, instance_id, recovery)


@fault("a child that segfaults every time", "tried twice, then quarantined with the signal named")
def test_segfault(site: Plant, strict: Worker, instance_id: str, recovery: Recovery) -> None:
    job_id = site.desk.submit(**lab(instance_id, behaviour="signal"))
    assert "signal 11" in ends_as(site, job_id, "quarantined", 2)
    works_on(site, instance_id, recovery)


@fault("a child that never ends", "ended after its time limit and overtime, as time-limit")
def test_never_ends(site: Plant, strict: Worker, instance_id: str, recovery: Recovery) -> None:
    job_id = site.desk.submit(**lab(instance_id, behaviour="hang", at=1, time_limit="PT1S"))
    ends_as(site, job_id, "time-limit", 1)
    works_on(site, instance_id, recovery)


@fault("a child that stands still (SIGSTOP)", "noticed by its silence, tried twice, then quarantined")
def test_freeze(site: Plant, strict: Worker, instance_id: str, recovery: Recovery) -> None:
    job_id = site.desk.submit(**lab(instance_id, behaviour="freeze"))
    assert "no longer reported" in ends_as(site, job_id, "quarantined", 2)
    works_on(site, instance_id, recovery)


@fault("a training that diverges", "fails as diverged, at once and without another attempt; no policy")
def test_diverging(site: Plant, strict: Worker, instance_id: str, recovery: Recovery) -> None:
    job_id = site.desk.submit(**lab(instance_id, behaviour="diverge"))
    assert "finite" in ends_as(site, job_id, "diverged", 1)
    works_on(site, instance_id, recovery)
