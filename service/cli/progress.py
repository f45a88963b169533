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
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from service.cli.console import err, plain
from solvers.core import Callbacks

PLAIN_SECONDS = 10.0  # between two lines where there is no terminal to redraw


class RunDisplay:
    """A progress bar with the cost under way; plain lines where the output is not a terminal.

    Use as a context manager. `update` takes the fields of a job's `progress` (iteration, iterations, fraction, cost,
    best_cost); `phase` says what the run does outside iterations.
    """

    def __init__(self, title: str, console: Console = err) -> None:
        self._console = console
        self._title = title
        self._lock = threading.Lock()
        self._last_line = 0.0
        self._shown: set[str] = set()
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("[dim]{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("[dim]left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=1.0, note="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def update(self, progress: Mapping[str, Any]) -> None:
        """Show where the run stands."""
        done = int(progress.get("iteration") or 0)
        planned = int(progress.get("iterations") or 0)
        fraction = progress.get("fraction")
        share = float(fraction) if fraction is not None else done / planned if planned else 0.0
        self._show(self._title, share, _note(progress))

    def phase(self, name: str, fraction: float) -> None:
        """Show what the run is doing now and how much of that is done (0 to 1)."""
        self._show(name.replace("_", " "), fraction, "")

    def log(self, text: str) -> None:
        """A line for people, above the bar."""
        self._bar.console.print(f"[dim]{plain(text)}[/dim]")

    def _show(self, description: str, share: float, note: str) -> None:
        share = min(max(share, 0.0), 1.0)
        with self._lock:
            if self._console.is_terminal:
                task = self._bar.tasks[0]
                if task.description != description:
                    self._bar.reset(self._task)
                self._bar.update(self._task, description=description, completed=share, note=note)
                return
            if description not in self._shown or time.monotonic() - self._last_line >= PLAIN_SECONDS:
                self._shown.add(description)
                self._last_line = time.monotonic()
                self._console.print(f"{description} {share:4.0%} {note}".rstrip(), soft_wrap=True)


def _note(progress: Mapping[str, Any]) -> str:
    parts = []
    if progress.get("iteration") is not None:
        parts.append(f"iteration {progress['iteration']}")
    for key, word in (("cost", "cost"), ("best_cost", "best")):
        if progress.get(key) is not None:
            parts.append(f"{word} {progress[key]:,.4g}")
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
