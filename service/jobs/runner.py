"""A worker's side of a job: claim it, start its child, keep the lease, enforce the limits, say how it ended.

The child computes and writes its own results. This side never touches a tensor and needs nothing of the child but that
it lives: whatever the child does, the job ends in a state that is true.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from service import logs, tracing
from service.db.patience import AWAY, insist
from service.db.rows import JobRow
from service.db.session import Database
from service.errors import problem
from service.ids import new_id
from service.jobs import lifecycle, repository
from service.jobs.lifecycle import LeaseLost
from service.jobs.process import EXIT_RELEASED, ChildProcess, Order
from service.jobs.repository import Lease
from service.jobs.states import FINISHED, HELD
from service.settings import Settings
from service.storage import NO_ROOM, Storage, is_full
from service.workers.measures import WorkerMetrics

log = logging.getLogger(__name__)

TICK_SECONDS = 0.2
LOOK_SECONDS = 0.5  # how often the database is asked whether the job is being cancelled


class Runner:
    """Runs jobs for one worker process; safe to call from several threads."""

    def __init__(
        self, settings: Settings, database: Database, storage: Storage, measures: WorkerMetrics | None = None
    ) -> None:
        self._measures = measures or WorkerMetrics()
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._settings = settings
        self._database = database
        self._storage = storage
        self._stopping = threading.Event()

    def run(self, job_id: str, gpu: str | None = None) -> None:
        """Claim the job and see it through, on the GPU of that id or on the CPU; returns at once if it is taken."""
        if self._stopping.is_set():
            return
        try:
            with self._database.read() as session:
                origin = repository.origin(session, job_id)
        except AWAY as error:
            log.warning("job %s could not be looked at now: %s", job_id, type(error).__name__)
            return
        if origin is None:
            return
        with logs.bound(job_id=job_id, request_id=origin.request_id):
            with tracing.span("job.claim", origin.traceparent, job_id=job_id):
                claimed, above = self._claim(job_id), tracing.traceparent()
            if claimed is None:
                return
            lease, job = claimed
            log.info("job %s: attempt %d starts", job_id, lease.attempt)
            with tracing.span("job.attempt", above, job_id=job_id, attempt=lease.attempt):
                self._attempt(lease, job, gpu)

    def _attempt(self, lease: Lease, job: JobRow, gpu: str | None) -> None:
        self._measures.claimed(job)
        try:
            Attempt(
                self._settings, self._database, self._storage, lease, job, self._stopping, self._measures, gpu
            ).run()
        finally:
            self._measures.attempt_over(lease, job.lost_workers, self._as_it_is(job.id))

    def _as_it_is(self, job_id: str) -> JobRow | None:
        try:
            with self._database.read() as session:
                return repository.get(session, job_id)
        except AWAY:
            return None

    def _claim(self, job_id: str) -> tuple[Lease, JobRow] | None:
        # A token of its own for every claim, so that no two attempts of one worker are ever confused.
        worker = f"{self.name}:{new_id('wrk')}"
        try:
            with self._database.write() as session:
                lease = lifecycle.claim(session, job_id, worker, self._settings.lease_seconds)
                job = repository.get(session, job_id)
        except AWAY as error:
            log.warning("job %s could not be claimed now: %s", job_id, type(error).__name__)
            return None
        return None if lease is None or job is None else (lease, job)

    def stop(self) -> None:
        """Take no more jobs; those running are asked to checkpoint and go back to the queue."""
        self._stopping.set()


@dataclass
class Ending:
    """Why the child is being ended, and when patience is over [monotonic seconds]."""

    reason: str
    term_at: float
    kill_at: float


class Attempt:
    """One attempt at a job: a child process watched until it is gone."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        storage: Storage,
        lease: Lease,
        job: JobRow,
        stopping: threading.Event,
        measures: WorkerMetrics,
        gpu: str | None = None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._storage = storage
        self._lease = lease
        self._time_limit = job.time_limit_seconds
        self._elapsed_before = job.elapsed_seconds
        self._stopping = stopping
        self._measures = measures
        self._solver = job.solver
        self._gpu = gpu
        self._ending: Ending | None = None
        self._begun: float | None = None  # what a process takes to start is not the job's time
        self._renew_at = self._look_at = self._answered_at = time.monotonic()
        self._away = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds worked on the job, earlier attempts included and those without a database left out."""
        worked = time.monotonic() - self._begun - self._away if self._begun is not None else 0.0
        return self._elapsed_before + max(worked, 0.0)

    def run(self) -> None:
        """Start the child and return when it is gone and the job's state says what became of it."""
        job_id = self._lease.job_id
        writer = self._lease.worker.rpartition("_")[2]
        with self._storage.log_carried(job_id, writer):
            self._attend(job_id)

    def _attend(self, job_id: str) -> None:
        try:
            started = self._start(job_id)
        except OSError as error:
            full, reason = is_full(error), error.strerror or str(error)
            insist(lambda: self._not_started(full, reason), is_over=self._stopping.is_set)
            return
        with started as child:
            try:
                code = self._watch(child)
                insist(lambda: self._conclude(code), is_over=self._stopping.is_set)
            except LeaseLost:
                if not self._is_finished(wait=child):
                    log.warning("job %s is no longer ours; its child is ended", self._lease.job_id)
        self._patiently(lambda: self._tidy(job_id))

    def _start(self, job_id: str) -> ChildProcess:
        """The child; OSError when the machine has no room or no process for it."""
        self._storage.job_folder(job_id).mkdir(mode=0o700, parents=True, exist_ok=True)
        order = Order(
            self._lease, self._settings, self._elapsed_before, gpu=self._gpu, traceparent=tracing.traceparent()
        )
        return ChildProcess(order, self._storage.log_path(job_id))

    def _not_started(self, is_full: bool, reason: str) -> None:
        log.error("job %s: its process could not be started: %s", self._lease.job_id, reason)
        with self._database.write() as session:
            job = repository.get(session, self._lease.job_id, lock=True)
            if is_full:
                error = problem("storage-full", NO_ROOM)
                lifecycle.finish(session, self._lease, "failed", error=error)
            elif job is not None:
                lifecycle.lose(session, job, f"The job's process could not be started: {reason}.")

    def _watch(self, child: ChildProcess) -> int:
        while (code := child.wait(TICK_SECONDS)) is None:
            now = time.monotonic()
            self._begun = child.begun
            if now >= self._renew_at:
                self._renew_at = now + self._settings.heartbeat_seconds
                self._patiently(self._renew)
            if now >= self._look_at:
                self._look_at = now + LOOK_SECONDS
                self._patiently(lambda: self._look(child))
            self._enforce(child, now)
            self._escalate(child, now)
        return code

    def _renew(self) -> None:
        with self._database.write() as session:
            lifecycle.renew(session, self._lease, self._settings.lease_seconds, self.elapsed)

    def _look(self, child: ChildProcess) -> None:
        with self._database.read() as session:
            found = repository.state_and_seq(session, self._lease.job_id)
            iteration = repository.iteration(session, self._lease.job_id)
        if iteration is not None:
            self._measures.reached(self._lease.job_id, self._solver, iteration)
        if found is not None and found[0] == "cancelling":
            self._ask(child, "cancel", self._settings.cancel_seconds)

    def _patiently(self, step: Callable[[], None]) -> None:
        """A database that does not answer now must not end a job: the lease outlives a short silence."""
        try:
            step()
        except SQLAlchemyError as error:
            log.warning("job %s: the database did not answer (%s)", self._lease.job_id, type(error).__name__)
            self._away += time.monotonic() - self._answered_at
        self._answered_at = time.monotonic()

    def _enforce(self, child: ChildProcess, now: float) -> None:
        if self._stopping.is_set():
            self._ask(child, "release", self._settings.stop_seconds)
        if self.elapsed > self._time_limit + self._settings.overtime_seconds:
            self._ask(child, "time-limit", self._settings.term_seconds)
        memory = child.memory()
        self._measures.child_uses(self._lease.job_id, memory)
        if memory > self._settings.job_memory_mb * 2**20:
            self._end(child, "memory-limit")
        late = child.begun is None and now - child.started > self._settings.start_seconds
        if late or now - child.last_beat > self._settings.silence_seconds:
            self._end(child, "silence")

    def _ask(self, child: ChildProcess, reason: str, grace: float) -> None:
        """Ask the child to stop, once; SIGTERM and SIGKILL follow if it does not."""
        if self._ending is None:
            log.info("job %s: asked to stop (%s)", self._lease.job_id, reason)
            term_at = time.monotonic() + grace
            self._ending = Ending(reason, term_at, term_at + self._settings.term_seconds)
            child.tell(reason)

    def _end(self, child: ChildProcess, reason: str) -> None:
        """End the child at once: it is beyond asking."""
        if self._ending is None or self._ending.reason != reason:
            log.warning("job %s: ended at once (%s)", self._lease.job_id, reason)
            now = time.monotonic()
            self._ending = Ending(reason, now, now)

    def _escalate(self, child: ChildProcess, now: float) -> None:
        if self._ending is not None and now >= self._ending.kill_at:
            child.kill()
        elif self._ending is not None and now >= self._ending.term_at:
            child.terminate()

    def _conclude(self, code: int) -> None:
        """Write what the child could not; does nothing when the child ended the job itself."""
        reason = self._ending.reason if self._ending is not None else ""
        with self._database.write() as session:
            job = repository.get(session, self._lease.job_id, lock=True)
            if job is None or job.worker != self._lease.worker or job.state not in HELD:
                return
            lifecycle.write(session, self._lease, {"elapsed_seconds": self.elapsed})
            if reason == "release" or code == EXIT_RELEASED:
                lifecycle.give_back(session, self._lease)
            elif reason == "cancel":
                lifecycle.finish(session, self._lease, "cancelled", stopped_by="request")
            elif reason in ("time-limit", "memory-limit"):
                error = problem(reason, self._limit_detail(reason))
                lifecycle.finish(session, self._lease, "failed", error=error)
            else:
                lifecycle.lose(session, job, _death(code, reason))

    def _is_finished(self, wait: ChildProcess) -> bool:
        """Whether the lease is gone because the child itself has just ended the job; it may then leave in peace."""
        job = insist(self._row, is_over=self._stopping.is_set)
        mine = job is not None and job.worker == self._lease.worker and job.state in FINISHED
        if mine:
            wait.wait(self._settings.term_seconds)
        return mine

    def _row(self) -> JobRow | None:
        with self._database.read() as session:
            return repository.get(session, self._lease.job_id)

    def _tidy(self, job_id: str) -> None:
        """A job that has ended resumes from nothing."""
        with self._database.read() as session:
            found = repository.state_and_seq(session, job_id)
        try:
            if found is None:
                self._storage.remove_job(job_id)
            elif found[0] in FINISHED:
                self._storage.remove_checkpoint(job_id)
            if found is None or found[0] not in HELD:  # else another worker of this machine may be at it already
                self._storage.leave_job(job_id)
        except OSError as error:
            log.warning("job %s: something is left in the store: %s", job_id, error)

    def _limit_detail(self, reason: str) -> str:
        if reason == "memory-limit":
            return f"The job used more than {self._settings.job_memory_mb} MiB of memory."
        overtime = self._settings.overtime_seconds
        return f"The job had not ended {overtime:g} s after its time limit of {self._time_limit:g} s."


def _death(code: int, reason: str) -> str:
    if reason == "silence":
        return "The job's process no longer reported."
    if code < 0:
        return f"The job's process was ended by signal {-code}."
    return f"The job's process ended with code {code}."
