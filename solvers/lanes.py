"""Stage programs kept hot in lanes, in this process or in spawned ones.

A lane owns one HiGHS object per stage and answers forward and backward passes. What a solve finds where optima are many
depends on what its object solved before; so work is dealt to lanes by a fixed rule, and however many processes share
the lanes, the answers are the same. Spawned workers end when their pipe closes.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from models.program import Indices, Vector
from solvers.core import InnerSolveError
from solvers.cuts import Cuts, no_cuts
from solvers.highs import HotProgram
from solvers.stage_nodes import Node

NOTHING = np.zeros(0)


@dataclass(frozen=True, eq=False)
class Trials:
    """Forward passes: what was carried out of each stage, and what the stages cost, in programs' units."""

    carried: list[Vector]  # by stage, (trial, c)
    costs: Vector  # (trial, T) without the future


@dataclass
class Work:
    """What lanes have done."""

    solves: int = 0
    seconds: float = 0.0
    remedies: Counter[str] = field(default_factory=Counter)

    def add(self, other: Work) -> None:
        """Add what another has done."""
        self.solves, self.seconds = self.solves + other.solves, self.seconds + other.seconds
        self.remedies.update(other.remedies)


class Lane:
    """One HiGHS object per stage, with the cuts it was given."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self._hot: dict[int, HotProgram] = {}
        self._cuts = [no_cuts(len(node.carried)) for node in nodes]
        self._done = Work()

    def add_cuts(self, stage: int, cuts: Cuts) -> None:
        """Append cuts to a stage."""
        self._cuts[stage] = self._cuts[stage].joined(cuts)
        if stage in self._hot:
            self._append(self._hot[stage], stage, cuts)

    def set_cuts(self, stage: int, cuts: Cuts) -> None:
        """Replace a stage's cuts; its program starts afresh."""
        self._cuts[stage] = cuts
        self._drop(stage)

    def restart(self) -> None:
        """Forget what was solved: every program starts afresh with the cuts it has."""
        for stage in list(self._hot):
            self._drop(stage)

    def forward(self, states: Vector, outcomes: Indices) -> Trials:
        """From states (trial, k) along outcomes (trial, T): decide, let the outcome strike, go on."""
        costs = np.zeros((len(states), len(self.nodes)))
        carried = [np.zeros((len(states), len(node.carried))) for node in self.nodes]
        for trial, state in enumerate(states):
            for stage, node in enumerate(self.nodes):
                value, columns = self._solve(stage, state)
                first = len(columns) - node.futures
                costs[trial, stage] = value - node.program.cost[first:] @ columns[first:]
                carried[stage][trial] = columns[node.carried]
                state = node.following(carried[stage][trial])[outcomes[trial, stage]]
        return Trials(carried, costs)

    def backward(self, stage: int, states: Vector) -> tuple[Vector, Vector]:
        """Least costs (n,) of a stage and all after it from states (n, k), and their slopes (n, k)."""
        values, slopes = np.zeros(len(states)), np.zeros(states.shape)
        hot = self._program(stage)
        for row, state in enumerate(states):
            hot.set_data(state, NOTHING)
            values[row] = hot.solve().require(f"stage {stage}").value
            slopes[row] = hot.state_prices()
        return values, slopes

    def work(self) -> Work:
        """What was done so far."""
        total = Work()
        total.add(self._done)
        for hot in self._hot.values():
            total.add(Work(hot.tally.solves, hot.tally.seconds, hot.tally.remedies))
        return total

    def _solve(self, stage: int, state: Vector) -> tuple[float, Vector]:
        hot = self._program(stage)
        hot.set_data(state, NOTHING)
        return hot.solve().require(f"stage {stage}").value, hot.columns()

    def _program(self, stage: int) -> HotProgram:
        if stage not in self._hot:
            self._hot[stage] = HotProgram(self.nodes[stage].program)
            self._append(self._hot[stage], stage, self._cuts[stage])
        return self._hot[stage]

    def _append(self, hot: HotProgram, stage: int, cuts: Cuts) -> None:
        if len(cuts):
            rows = self.nodes[stage].rows(cuts.outcomes, cuts.slopes)
            hot.add_rows(rows, cuts.intercepts, np.full(len(cuts), np.inf))

    def _drop(self, stage: int) -> None:
        hot = self._hot.pop(stage, None)
        if hot is not None:
            self._done.add(Work(hot.tally.solves, hot.tally.seconds, hot.tally.remedies))


class Lanes:
    """Several lanes, spread over processes. Close it when done (it is a context manager)."""

    def __init__(self, nodes: Sequence[Node], lanes: int, processes: int) -> None:
        self.count = lanes
        spread = min(processes, lanes)
        self._own = [Lane(nodes) for _ in range(lanes)] if spread < 2 else []
        self._pipes: list[Connection] = []
        self._workers = []
        if spread > 1:
            context = multiprocessing.get_context("spawn")
            for _ in range(spread):
                ours, theirs = context.Pipe()
                worker = context.Process(target=_serve, args=(theirs, list(nodes)), daemon=True)
                worker.start()
                theirs.close()
                self._pipes.append(ours)
                self._workers.append(worker)

    def tell(self, method: str, *arguments: Any) -> None:
        """Have every lane do something that has no answer."""
        for lane in self._own:
            getattr(lane, method)(*arguments)
        for worker, pipe in enumerate(self._pipes):
            pipe.send((method, [(lane, arguments) for lane in self._lanes_of(worker, self.count)], False))

    def ask(self, method: str, parts: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The answers of the first lanes, each to its own part of the work.

        Raises:
            InnerSolveError: a lane could not solve its programs, or its process is gone.
        """
        if self._own:
            return [getattr(lane, method)(*part) for lane, part in zip(self._own, parts, strict=False)]
        answers: list[Any] = [None] * len(parts)
        asked = [(pipe, self._lanes_of(worker, len(parts))) for worker, pipe in enumerate(self._pipes)]
        # One message a worker and answer: neither side ever waits with a full pipe for the other to read.
        for pipe, lanes in asked:
            pipe.send((method, [(lane, parts[lane]) for lane in lanes], True))
        for pipe, lanes in asked:
            try:
                found, trouble = pipe.recv()
            except EOFError as error:
                raise InnerSolveError("a worker process ended before it answered") from error
            if trouble is not None:
                raise InnerSolveError(trouble)
            for lane, answer in zip(lanes, found, strict=True):
                answers[lane] = answer
        return answers

    def work(self) -> Work:
        """What all lanes have done so far."""
        total = Work()
        for part in self.ask("work", [()] * self.count):
            total.add(part)
        return total

    def close(self) -> None:
        """End the workers."""
        for pipe in self._pipes:
            pipe.close()
        for worker in self._workers:
            worker.join(5.0)

    def __enter__(self) -> Lanes:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _lanes_of(self, worker: int, count: int) -> range:
        """Which of the first `count` lanes live in a worker."""
        return range(worker, count, len(self._pipes))


def processes_for(lanes: int, wanted: int | None) -> int:
    """How many processes share so many lanes: as many as wanted, else as there are cores; one in a daemon."""
    if multiprocessing.current_process().daemon:
        return 1
    return min(lanes, wanted if wanted is not None else len(os.sched_getaffinity(0)))


def _serve(pipe: Connection, nodes: list[Node]) -> None:
    """A worker: does what it is told, lane by lane, until the pipe closes."""
    kept: dict[int, Lane] = {}
    trouble: str | None = None
    while True:
        try:
            method, parts, wanted = pipe.recv()
        except EOFError:
            return
        answers = []
        for lane, arguments in parts:
            if lane not in kept:
                kept[lane] = Lane(nodes)
            try:
                answers.append(getattr(kept[lane], method)(*arguments))
            except (InnerSolveError, ValueError) as error:
                trouble = str(error)
        if wanted:
            pipe.send((answers, trouble))
