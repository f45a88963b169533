"""A benchmark in independent parts, each in a process of its own on one thread: many cores, one table.

A cell leaves what it found in files; whoever makes the table reads them. Cells start longest first, each as soon as
those it needs have ended. One that fails says why and stops no other.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

Weights = dict[str, Tensor]
T = TypeVar("T")


class Kept:
    """What was computed before, by name: weights and figures, in a folder if there is one."""

    def __init__(self, folder: Path | None, complete: bool = False) -> None:
        self.folder, self.complete = folder, complete
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def weights(self, name: str, make: Callable[[], Weights]) -> Weights:
        """Trained weights."""
        path = None if self.folder is None else self.folder / f"{name}.pt"
        if path is not None and path.exists():
            loaded: Weights = torch.load(path, weights_only=True)
            return loaded
        found = self._make("trained", name, make)
        if path is not None:
            torch.save(found, path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
        return found

    def costs(self, name: str, make: Callable[[], list[list[float]]]) -> list[list[float]]:
        """Costs of every scenario, policy by policy."""
        path = None if self.folder is None else self.folder / f"{name}.json"
        if path is not None and path.exists():
            loaded: list[list[float]] = json.loads(path.read_text())
            return loaded
        found = self._make("judged", name, make)
        if path is not None:
            path.with_suffix(".part").write_text(json.dumps(found))
            path.with_suffix(".part").rename(path)
        return found

    def _make(self, done: str, name: str, make: Callable[[], T]) -> T:
        if self.complete:
            raise SystemExit(f"{name} is not in {self.folder}: run without --collect first")
        started = time.process_time()
        found = make()
        print(f"  {done} {name} in {time.process_time() - started:.0f} CPU-seconds", flush=True)
        return found


@dataclass(frozen=True)
class Cell:
    """One part: a function of a module and its arguments, and about how many CPU-seconds it takes."""

    name: str
    run: Callable[..., Any]
    arguments: tuple[Any, ...]
    seconds: float
    needs: str | None = None  # another cell's name


def run_all(cells: Sequence[Cell], jobs: int) -> list[str]:
    """Run every cell, `jobs` at a time; the names of those that failed, or whose need did."""
    waiting = sorted(cells, key=lambda cell: -_urgency(cell, cells))
    ended: set[str] = set()
    failed: list[str] = []
    running: dict[Future[tuple[float, str]], Cell] = {}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        while waiting or running:
            for cell in [cell for cell in waiting if cell.needs in failed]:
                waiting.remove(cell)
                failed.append(cell.name)
            for cell in [cell for cell in waiting if cell.needs is None or cell.needs in ended]:
                if len(running) < jobs:
                    waiting.remove(cell)
                    running[pool.submit(_alone, cell)] = cell
            if not running:
                continue
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                cell = running.pop(future)
                seconds, fault = future.result()
                (failed.append if fault else ended.add)(cell.name)
                print(f"  {cell.name}: {seconds:.0f} CPU-seconds {fault}", flush=True)
    return failed


def _urgency(cell: Cell, cells: Sequence[Cell]) -> float:
    """CPU-seconds of the cell and of the longest that waits for it."""
    return cell.seconds + max((other.seconds for other in cells if other.needs == cell.name), default=0.0)


def _alone(cell: Cell) -> tuple[float, str]:
    """The CPU-seconds a cell took, and what went wrong if anything did."""
    torch.set_num_threads(1)
    started = time.process_time()
    try:
        cell.run(*cell.arguments)
    except Exception:  # a benchmark's cell may fail in any way; the others go on
        return time.process_time() - started, "failed:\n" + traceback.format_exc()
    return time.process_time() - started, ""
