"""What a job's child reports while it works: progress, metrics, incumbents, checkpoints and log lines.

A solver may call back thousands of times a second; a thread writes what is new twice a second in one transaction.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from service.db.patience import AWAY
from service.db.session import Database
from service.jobs import lifecycle
from service.jobs.lifecycle import LeaseLost
from service.jobs.repository import Lease
from service.jobs.states import EventType

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.5
MAX_LOG_CHARACTERS = 8000  # of one event; the log file has everything
SHOWN = ("cost", "best_cost", "bound")  # metrics that are part of `progress`


class Reporter:
    """Collects on the solver's thread, writes on its own. `on_lost` is called when the lease is gone."""

    def __init__(self, database: Database, lease: Lease, iterates: bool, on_lost: Callable[[], None]) -> None:
        self._database = database
        self._lease = lease
        self._iterates = iterates  # progress is told by iterations; else by the phase
        self._on_lost = on_lost
        self._lock = threading.Lock()  # guards what is collected
        self._writing = threading.Lock()  # one flush at a time
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
        self._progress: dict[str, Any] = {}
        self._metrics: dict[str, tuple[int, float]] = {}
        self._events: list[tuple[EventType, dict[str, Any]]] = []
        self._lines: list[str] = []
        self._best = math.inf
        self._dirty = False
        self._first: tuple[int, float] | None = None  # iteration and moment this attempt began at

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    def close(self) -> None:
        """Write what is left and stop."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self.flush()

    def iteration(self, iteration: int, iterations: int, metrics: Mapping[str, float]) -> None:
        """A step of training: cheap enough for every one."""
        now = time.monotonic()
        finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
        with self._lock:
            self._first = self._first or (iteration, now)
            self._progress |= {
                "phase": "training",
                "iteration": iteration,
                "iterations": iterations,
                "fraction": iteration / iterations if iterations else 0.0,
                "eta_seconds": _eta(self._first, iteration, iterations, now),
                **{name: finite[name] for name in SHOWN if name in finite},
                **({"ranks": int(finite["ranks"])} if "ranks" in finite else {}),
            }
            self._metrics |= {name: (iteration, value) for name, value in finite.items()}
            if (best := finite.get("best_cost", math.inf)) < self._best:
                self._best = best
                self._replace("incumbent", {"iteration": iteration, "cost": best})
            self._dirty = True

    def phase(self, name: str, fraction: float) -> None:
        """What the job does outside iterations, and how far it is with that."""
        key = "phase_fraction" if self._iterates else "fraction"
        with self._lock:
            self._progress |= {"phase": name, key: min(max(float(fraction), 0.0), 1.0)}
            self._dirty = True

    def checkpoint(self, iteration: int | None, size: int) -> None:
        """A checkpoint is on disk [bytes]."""
        with self._lock:
            self._replace("checkpoint", {"iteration": iteration, "bytes": size})

    def line(self, text: str) -> None:
        """A line for people."""
        with self._lock:
            self._lines.append(text.replace("\0", "\ufffd"))

    def flush(self) -> None:
        """Write what is new; keeps it for the next time when the database does not answer."""
        with self._writing:
            events, progress = self._take()
            if not events:
                return
            changes = {"progress": progress} if progress else {}
            try:
                with self._database.write() as session:
                    lifecycle.write(session, self._lease, changes, events)
            except AWAY as error:
                log.warning("events wait for the database: %s", type(error).__name__)
                with self._lock:
                    self._events = [event for event in events if event[0] != "progress"] + self._events
                    self._dirty = True

    def _take(self) -> tuple[list[tuple[EventType, dict[str, Any]]], dict[str, Any]]:
        with self._lock:
            events, self._events = self._events, []
            if self._lines:
                events.append(("log", {"text": "\n".join(self._lines)[-MAX_LOG_CHARACTERS:]}))
                self._lines = []
            for name, (iteration, value) in self._metrics.items():
                events.append(("metric", {"name": name, "iteration": iteration, "value": value}))
            self._metrics = {}
            progress = dict(self._progress)
            if self._dirty:
                events.append(("progress", progress))
                self._dirty = False
            return events, progress

    def _replace(self, kind: EventType, data: dict[str, Any]) -> None:
        """Between two flushes only the latest of a type counts."""
        self._events = [event for event in self._events if event[0] != kind] + [(kind, data)]

    def _run(self) -> None:
        while not self._stopping.wait(FLUSH_SECONDS):
            try:
                self.flush()
            except LeaseLost:
                self._on_lost()
                return


def _eta(first: tuple[int, float], iteration: int, iterations: int, now: float) -> float | None:
    """Seconds to the last iteration at this attempt's pace; None until there is a pace."""
    start, began = first
    if iteration <= start or now <= began:
        return None
    return round((iterations - iteration) * (now - began) / (iteration - start), 1)
