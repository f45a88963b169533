"""The child process of a job, as its worker holds it, and what the two say to each other.

Worker → child on stdin: one JSON line with the order, then a line for each wish (`cancel`, `release`, `time-limit`).
Child → worker on a pipe: a byte a second as long as its interpreter runs, and another one when it has loaded what it
needs and the work begins. stdout and stderr are the job's log; what it logs goes to the worker's own log too, with the
job's id on every line, for that is where an operator collects.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from service.jobs.repository import Lease
from service.settings import Settings

EXIT_DATABASE_AWAY = 74  # the database did not answer
EXIT_RELEASED = 75  # the child gave the job up at a checkpoint, as asked
EXIT_LEASE_LOST = 76  # the job is another worker's by now
BEAT, BEGUN = b".", b"!"

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Order:
    """All a child is told: whose lease, the settings, seconds already worked, and who its parent is."""

    lease: Lease
    settings: Settings
    elapsed: float
    parent: int = 0
    gpu: str | None = None  # id of the GPU that is this job's alone
    traceparent: str | None = None  # the span of this attempt, which the child's work belongs to

    def line(self) -> bytes:
        """The order as one line. It may hold the database's password, so it never goes on a command line."""
        settings = self.settings.model_dump(mode="json") | {"device": "cpu" if self.gpu is None else "cuda"}
        lease = {"job_id": self.lease.job_id, "worker": self.lease.worker, "attempt": self.lease.attempt}
        order = {"lease": lease, "settings": settings, "elapsed": self.elapsed, "parent": os.getpid()}
        order["traceparent"] = self.traceparent
        return json.dumps(order).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Self:
        """The order from its line."""
        order = json.loads(line)
        lease, settings = Lease(**order["lease"]), Settings(**order["settings"])
        return cls(lease, settings, order["elapsed"], order["parent"], traceparent=order["traceparent"])


class ChildProcess:
    """A running child in a session of its own; leaving the context leaves nothing of it alive."""

    def __init__(self, order: Order, log_path: Path) -> None:
        with log_path.open("ab") as log:
            beats, child_end = os.pipe()
            os.set_blocking(beats, False)
            self._beats = beats
            worker_log = _own_log()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service.jobs.child", str(child_end), str(worker_log)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(order.settings.job_threads, order.gpu),
                pass_fds=(child_end, worker_log),
                start_new_session=True,
            )
        os.close(child_end)
        os.close(worker_log)
        self.started = self.last_beat = time.monotonic()
        self.begun: float | None = None  # when the work itself began
        self._terminated = False
        self._send(order.line())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait(self, seconds: float) -> int | None:
        """Its exit code, or None if it still runs after that time. Also hears its beats."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._hear()
            return None

    def tell(self, wish: str) -> None:
        """Tell it something; a child that is gone hears nothing."""
        self._send(wish.encode() + b"\n")

    def memory(self) -> int:
        """Resident memory [bytes]; 0 once it is gone."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def terminate(self) -> None:
        """SIGTERM to its session, once."""
        if not self._terminated:
            self._terminated = True
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to its session."""
        self._signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._signal(signal.SIGKILL)  # also whatever the child itself may have started
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        os.close(self._beats)

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            heard = os.read(self._beats, 4096)
            if heard:
                self.last_beat = time.monotonic()
            if BEGUN in heard:
                self.begun = self.last_beat

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # it is gone already
            os.killpg(self.pid, number)


def _own_log() -> int:
    """A descriptor of this process's own log, for a child to write to as well."""
    return os.dup(sys.__stderr__.fileno()) if sys.__stderr__ is not None else os.open(os.devnull, os.O_WRONLY)


def environment(threads: int, gpu: str | None) -> dict[str, str]:
    """The worker's environment, its import path, and a child's share of the CPU and of the GPUs."""
    return {
        **os.environ,
        **{name: str(threads) for name in _THREADS},
        "CUDA_VISIBLE_DEVICES": gpu or "",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
    }
