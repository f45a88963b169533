"""What a lane of SDDP holds: one HiGHS object per stage with its cuts, for forward and backward passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.program import Indices, Vector
from solvers.cuts import Cuts, no_cuts
from solvers.highs import HotProgram
from solvers.stage_nodes import Node
from solvers.work import Work

NOTHING = np.zeros(0)


@dataclass(frozen=True, eq=False)
class Trials:
    """Forward passes: what was carried out of each stage, and what the stages cost, in programs' units."""

    carried: list[Vector]  # by stage, (trial, c)
    costs: Vector  # (trial, T) without the future


class StagePrograms:
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
            total.count(hot.tally)
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
            self._done.count(hot.tally)
