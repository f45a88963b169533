"""Live progress of a run, the same for one in this process (callbacks) and one on a server (events)."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from service.cli.console import err, plain
from solvers.core import Callbacks

PLAIN_SECONDS = 10.0  # between two lines where there is no terminal to redraw


class RunDisplay:
    """A bar for each phase of a run, with the cost under way; plain lines where the output is not a terminal.

    Use as a context manager. `update` takes a job's `progress`; `phase` says what the run does outside iterations.
    """

    def __init__(self, console: Console = err) -> None:
        self._console = console
        self._redraws = console.is_terminal and not console.is_dumb_terminal
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        self._last_line = 0.0
        self._bars = Progress(
            TextColumn("{task.description:<20}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=console,
            disable=not self._redraws,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None and self._tasks:
            self._finish(next(reversed(self._tasks)))
        self._bars.stop()

    def update(self, progress: Mapping[str, Any]) -> None:
        """Show where the run stands: iterations with their cost, or the phase it is in."""
        phase = progress.get("phase", "training")
        if phase != "training":
            self.phase(phase, float(progress.get("phase_fraction", progress.get("fraction", 0.0))))
            return
        done, planned = int(progress.get("iteration") or 0), int(progress.get("iterations") or 0)
        self._show("training", done / planned if planned else 0.0, _note(progress))

    def phase(self, name: str, fraction: float) -> None:
        """Show what the run is doing now and how much of that is done (0 to 1)."""
        self._show(name.replace("_", " "), fraction, "")

    def log(self, text: str) -> None:
        """A line for people, above the bars."""
        self._bars.console.print(f"[dim]{plain(text)}[/dim]")

    def _show(self, name: str, share: float, note: str) -> None:
        share = min(max(share, 0.0), 1.0)
        with self._lock:
            is_new = name not in self._tasks
            if is_new:
                if self._tasks:
                    self._finish(next(reversed(self._tasks)))
                self._tasks[name] = self._bars.add_task(name, total=1.0, note="")
            self._bars.update(self._tasks[name], completed=share, note=note)
            now = time.monotonic()
            if not self._redraws and (is_new or now - self._last_line >= PLAIN_SECONDS):
                self._last_line = now
                self._console.print(f"{name} {share:4.0%} {note}".rstrip(), soft_wrap=True)

    def _finish(self, name: str) -> None:
        """A phase is over: its clock stops. Training that was cut short keeps showing how far it came."""
        task = self._bars.tasks[self._tasks[name]]
        if name != "training":
            self._bars.update(task.id, completed=1.0)
        elif task.completed < 1.0:
            self._bars.update(task.id, note=task.fields["note"].rpartition("  ")[0] + "  ended early")
        self._bars.stop_task(task.id)


def _note(progress: Mapping[str, Any]) -> str:
    parts = [f"iteration {progress.get('iteration', 0)}"]
    for key, word in (("cost", "cost"), ("best_cost", "best")):
        if progress.get(key) is not None:
            parts.append(f"{word} {progress[key]:,.4g}")
    if progress.get("eta_seconds"):
        parts.append(f"{progress['eta_seconds']:.0f} s left")
    return "  ".join(parts)


@contextmanager
def run_callbacks(display: RunDisplay) -> Iterator[Callbacks]:
    """Callbacks that draw on `display`; the first Ctrl-C asks the run to stop and keep its best, the second ends it."""
    asked = threading.Event()

    def interrupted(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        display.log("stopping; the best policy so far is kept (Ctrl-C again to give up)")

    def on_iteration(iteration: int, iterations: int, metrics: Mapping[str, float]) -> None:
        display.update({"iteration": iteration, "iterations": iterations, **metrics})

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield Callbacks(on_iteration=on_iteration, should_stop=asked.is_set, on_log=display.log, on_phase=display.phase)
    finally:
        signal.signal(signal.SIGINT, before)
