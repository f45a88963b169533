"""A machine's clock moved by an hour: leases are judged by what is seen of them, not by what time it is."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.faults.plant import Plant, end_events, lab, once
from tests.faults.report import Recovery, fault


def library() -> Path:
    """libfaketime, from its wheel."""
    spec = find_spec("libfaketime")
    if spec is None or spec.origin is None or sys.platform != "linux":
        pytest.skip("no libfaketime (it is among the development dependencies; Linux only)")
    found = Path(spec.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
    if not found.exists():
        pytest.skip("libfaketime came without its library")
    return found


@pytest.mark.parametrize("hours", [1, -1])
@fault("a worker's clock moved by an hour, either way", "its job goes on; killed then, another takes over within 20 s")
def test_moved_clock(site: Plant, instance_id: str, hours: int, recovery: Recovery, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    moved = site.worker(
        LD_PRELOAD=str(library()),
        FAKETIME_TIMESTAMP_FILE=str(clock),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    job_id = site.desk.submit(**lab(instance_id, iterations=100_000, pace=0.1))
    site.desk.at_checkpoint(job_id, 90)
    site.worker()
    site.listening(2)
    clock.write_text(f"{hours * 3600:+d}")
    before = site.desk.job(job_id).heartbeat_at
    assert before is not None
    once(
        lambda: (
            (_heartbeat_shift(site, job_id, before) > 3000)
            if hours > 0
            else (_heartbeat_shift(site, job_id, before) < -3000)
        )
    )
    time.sleep(2.5 * site.settings.lease_seconds)
    job = site.desk.job(job_id)
    assert (job.state, job.attempt, job.lost_workers) == ("running", 1, 0), site.desk.tell(job_id)
    with recovery.within():
        moved.kill()
        once(lambda: site.desk.states(job_id).count("starting") == 2, 60, site.tell)
    site.desk.cancel(job_id)
    assert site.desk.finished(job_id, 150).state == "cancelled"
    assert len(end_events(site.desk, job_id)) == 1


def _heartbeat_shift(site: Plant, job_id: str, before: object) -> float:
    """By how much the clock that writes the heartbeats has moved [s]."""
    return (site.desk.job(job_id).heartbeat_at - before).total_seconds()  # type: ignore[operator]
