"""A job's own process: `python -m service.jobs.child FD`, a fresh interpreter in a session of its own.

It lives no longer than its worker, reports that it lives, does the work, and writes what came of it under its lease.
Only here, and where recommendations are computed, is torch imported.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, BinaryIO

from service import logs, tracing
from service.db.patience import AWAY, insist
from service.db.rows import InstanceRow, JobRow
from service.db.session import Database
from service.errors import problem
from service.jobs import lifecycle, repository
from service.jobs.lifecycle import LeaseLost
from service.jobs.process import BEAT, BEGUN, EXIT_DATABASE_AWAY, EXIT_LEASE_LOST, EXIT_RELEASED, Order
from service.jobs.reporting import Reporter
from service.settings import Settings
from service.storage import NO_ROOM, Storage, is_full

BEAT_SECONDS = 1.0
PR_SET_PDEATHSIG = 1

log = logging.getLogger(__name__)


def main() -> None:
    """Carry out the order on stdin; the exit code says how that went only where the database cannot."""
    beats, worker_log = int(sys.argv[1]), int(sys.argv[2])
    order = Order.read(sys.stdin.buffer.readline())
    die_with(order.parent)
    _log(order.settings, worker_log)
    tracing.configure(order.settings, "child")
    threading.Thread(target=_beat, args=(beats,), name="beat", daemon=True).start()
    with logs.bound(job_id=order.lease.job_id):
        code = carry_out(order, sys.stdin.buffer, beats)
    tracing.close()
    with suppress(OSError):  # a full disk
        sys.stdout.flush()
    os._exit(code)  # all is written: winding torch and its threads down would only keep the worker waiting


def _log(settings: Settings, worker_log: int) -> None:
    """Every line into the job's log, for people, and into the worker's as that is written, if it is of its level."""
    logs.configure(settings, "child", open(worker_log, "w", buffering=1, encoding="utf-8"))  # noqa: SIM115 (for good)
    level = settings.log_level.upper()
    logging.getLogger().handlers[0].setLevel(level)
    for name in ("", "service"):
        logging.getLogger(name).setLevel("DEBUG" if level == "DEBUG" else "INFO")
    own = logging.StreamHandler(sys.stdout)
    own.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(own)


def carry_out(order: Order, wishes: BinaryIO, beats: int) -> int:
    """Work on the job until it ends, is given back, or is no longer ours; returns the exit code."""
    database = Database(order.settings.database, pool_size=2)
    job, instance = insist(lambda: _rows(database, order.lease.job_id))
    if job is None or instance is None:
        return EXIT_LEASE_LOST
    with logs.bound(request_id=job.request_id), tracing.span(f"job.{job.kind}", order.traceparent, job_id=job.id):
        return _work(order, database, job, instance, wishes, beats)


def _work(order: Order, database: Database, job: JobRow, instance: InstanceRow, wishes: BinaryIO, beats: int) -> int:
    """The job's work, and what its end means to the worker."""
    from service.jobs.work import Control, Released, Task, work  # here, for the beat must not wait for torch

    reporter = Reporter(database, order.lease, job.kind in ("train", "reproduce"), on_lost=_leave)
    control = Control(job.time_limit_seconds - order.elapsed)
    threading.Thread(target=_listen, args=(wishes, control), name="wishes", daemon=True).start()
    storage = Storage.of(order.settings)
    task = Task(job, instance, order.lease, order.settings, database, storage, reporter, control)
    log.info("attempt %d of job %s (%s %s)", order.lease.attempt, job.id, job.kind, job.solver or "")
    reporter.start()
    os.write(beats, BEGUN)
    try:
        work(task)
    except Released:
        log.info("stopped as asked; the work goes on from its checkpoint")
        with suppress(LeaseLost):
            reporter.close()
        return EXIT_RELEASED
    except LeaseLost:
        log.warning("the job is another worker's by now")
        return EXIT_LEASE_LOST
    except AWAY:
        log.exception("the database did not answer")
        return EXIT_DATABASE_AWAY  # no fault of the job's: its worker has it tried again
    except BaseException as error:
        return _fail(database, order, reporter, error)
    return 0


def _rows(database: Database, job_id: str) -> tuple[JobRow | None, InstanceRow | None]:
    with database.read() as session:
        job = repository.get(session, job_id)
        return job, repository.instance(session, job.instance_id) if job is not None else None


def _fail(database: Database, order: Order, reporter: Reporter, error: BaseException) -> int:
    with suppress(LeaseLost):
        reporter.close()
    document = error_document(error)
    log.error("the job failed: %s", document["detail"], exc_info=error)

    def write() -> None:
        with database.write() as session:
            lifecycle.finish(session, order.lease, "failed", error=document)

    try:
        insist(write)
    except LeaseLost:
        return EXIT_LEASE_LOST
    except AWAY:
        return EXIT_DATABASE_AWAY
    return 0


def error_document(error: BaseException) -> Mapping[str, Any]:
    """The problem document of a failure. Its traceback goes to the job's log and never here."""
    from models.core import InvalidInput
    from service.decisions.replaying import OutcomeChanged
    from service.jobs.work import GpuUnavailable
    from solvers.artifact import ArtifactError
    from solvers.core import Diverged, InnerSolveError, WeightsDoNotFit
    from solvers.reproduction import CannotReproduce, CutShort

    if isinstance(error, CannotReproduce):
        return problem("conflict", f"The policy cannot be made again: {error}.")
    if isinstance(error, CutShort):
        return problem("time-limit", f"The policy was not made again: {error}.")
    if isinstance(error, OutcomeChanged):
        return problem("conflict", str(error))
    if isinstance(error, InvalidInput):
        return problem("invalid-input", str(error))
    if isinstance(error, Diverged):
        return problem("diverged", str(error))
    if isinstance(error, InnerSolveError):
        return problem("inner-solve-failed", str(error))
    if isinstance(error, ArtifactError):
        return problem("artifact-unavailable", str(error))
    if isinstance(error, GpuUnavailable):
        return problem("gpu-unavailable", str(error))
    if isinstance(error, WeightsDoNotFit):
        return problem("policy-does-not-fit", str(error))
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, of a GPU
        return problem("memory-limit", "The job asked for more memory than the machine or the GPU has.")
    if is_full(error):
        return problem("storage-full", NO_ROOM)
    return problem("job-crashed", f"An unexpected {type(error).__name__} ended the job; its log has the details.")


def die_with(parent: int) -> None:
    """Have the kernel end this process with its parent, where the kernel can; then check it was not too late."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
            score.write("500")  # if memory runs out, the kernel should end this process, not the worker or the API
    if os.getppid() != parent:
        os._exit(EXIT_LEASE_LOST)


def _beat(descriptor: int) -> None:
    """A byte a second for the worker; without a reader there is no worker, and no reason to go on."""
    while True:
        try:
            os.write(descriptor, BEAT)
        except OSError:
            _leave()
        time.sleep(BEAT_SECONDS)


def _listen(wishes: BinaryIO, control: Any) -> None:
    """Hear the worker's wishes; the end of the pipe is the end of the worker."""
    for line in wishes:
        control.wish(line.decode().strip())
    _leave()


def _leave() -> None:
    os._exit(EXIT_LEASE_LOST)


if __name__ == "__main__":
    main()
