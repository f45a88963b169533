"""Real worker processes for tests, and a hand to submit and follow jobs without HTTP."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import psutil
from pydantic import TypeAdapter

from service.db.rows import InstanceRow, JobEventRow, JobRow
from service.db.session import Database
from service.instances.service import parse, store
from service.jobs import repository, service
from service.jobs.bell import make_bell, ring_after_commit
from service.jobs.schemas import JobRequest
from service.jobs.states import FINISHED
from service.settings import Settings
from service.storage import Storage
from tests.service.lab import PLUGINS

ROOT = Path(__file__).parents[2]
REQUEST: TypeAdapter[Any] = TypeAdapter(JobRequest)
Found = TypeVar("Found")


class Worker:
    """A worker process; its output goes to a file."""

    def __init__(self, settings: Settings, log: Path, more: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service.worker"],
                env=environment(settings) | dict(more or {}),
                cwd=ROOT,
                stdout=output,
                stderr=output,
                preexec_fn=end_with_parent,
            )

    def children(self) -> list[psutil.Process]:
        """The processes of its jobs."""
        try:
            return psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds: float = 30.0) -> int:
        """Ask it to stop and wait; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        finally:
            if self.process.poll() is None:
                self.kill()


def end_with_parent() -> None:
    """Have the kernel kill this process with the one that starts it, however that one ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def environment(settings: Settings) -> dict[str, str]:
    """The environment that gives a process these settings, and the laboratory's solvers."""
    changed = settings.model_dump(mode="json", exclude_defaults=True, include=settings.model_fields_set)
    own = {
        f"HERENOW_{name.upper()}": json.dumps(value) if isinstance(value, list | dict) else str(value)
        for name, value in changed.items()
    }
    return {**os.environ, **own, "HERENOW_SOLVERS": PLUGINS, "OMP_NUM_THREADS": "1"}


class Desk:
    """Submits jobs and looks after them, as the API does."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.storage = Storage.of(settings)
        self._bell = make_bell(settings)

    def instance(self, document: dict[str, Any]) -> str:
        """Store an instance; its id."""
        with self.database.write() as session:
            row, _ = store(session, parse(document))
        return row.id

    def submit(self, rung: bool = True, **asked: Any) -> str:
        """Queue a job; its id. Not `rung`, its bell is lost."""
        with self.database.write() as session:
            job = service.submit(session, self.settings, REQUEST.validate_python(asked))
            if rung:
                ring_after_commit(session, self.database, self._bell, job.id)
        return job.id

    def ring(self, job_id: str) -> bool:
        """Ring a job's bell once more."""
        return self._bell.ring(job_id)

    def cancel(self, job_id: str) -> None:
        """Ask a job to stop."""
        with self.database.write() as session:
            service.cancel(session, job_id)

    def job(self, job_id: str) -> JobRow:
        """The job as it stands."""
        with self.database.read() as session:
            return session.get_one(JobRow, job_id)

    def instance_row(self, instance_id: str) -> InstanceRow:
        """An instance."""
        with self.database.read() as session:
            return session.get_one(InstanceRow, instance_id)

    def events(self, job_id: str) -> list[JobEventRow]:
        """Everything that happened to a job."""
        with self.database.read() as session:
            return repository.events_after(session, job_id, 0, 100_000)

    def states(self, job_id: str) -> list[str]:
        """The states a job has been in."""
        return [event.data["state"] for event in self.events(job_id) if event.type == "state"]

    def log(self, job_id: str) -> str:
        """A job's log."""
        return self.storage.read_log(job_id, 0, 2**20)[0].decode()

    def finished(self, job_id: str, seconds: float = 60.0) -> JobRow:
        """The job once it is finished."""

        def look() -> JobRow | None:
            job = self.job(job_id)
            return job if job.state in FINISHED else None

        return eventually(look, seconds, lambda: self.tell(job_id))

    def at_checkpoint(self, job_id: str, seconds: float = 60.0) -> int:
        """The iteration of the latest checkpoint, once there is one."""

        def look() -> int | None:
            found = [event.data["iteration"] for event in self.events(job_id) if event.type == "checkpoint"]
            return found[-1] if found else None

        return eventually(look, seconds, lambda: self.tell(job_id))

    def tell(self, job_id: str) -> str:
        """What is known of a job, for a failing test."""
        job = self.job(job_id)
        return f"{job.state} {job.error} {self.states(job_id)}\n{self.log(job_id)}"


def eventually(look: Callable[[], Found | None], seconds: float = 30.0, tell: Callable[[], str] = lambda: "") -> Found:
    """What `look` finds, once it finds something; TimeoutError with what `tell` tells after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found is not None and found is not False:
            return found
        time.sleep(0.1)
    raise TimeoutError(f"not within {seconds:g} s: {tell()}")
