"""The algebraic face of a problem: one stage in Pyomo algebra, compiled once to sparse matrices, chained by state.

A room writes ONE stage as Pyomo algebra in which the decision x, the incoming state s and the noise w are all variables
and hands it to `compile_stage`, which lets Pyomo's standard-form compiler turn it into

    min  cost·x + state_cost·s + noise_cost·w + constant
    s.t. row_lower ≤ A x + B s + C w ≤ row_upper,   lower ≤ x ≤ upper,   x integer where `integer`

Data are never baked into the algebra: a new state or noise moves right-hand sides only, which is what lets a solver
start hot from its last basis. `outgoing` says which column becomes each entry of the next incoming state. It may be a
decision column (end stock), an incoming-state column (goods that move one slot nearer) or a noise column (an inflow
seen now and used next): what merely moves needs neither a variable nor a row.

`chain` joins stages by state. The result is a `LinearProgram` again, with the first state and all stages' noise as its
data. `scenario_tree` joins them along a tree of outcomes: what is decided before the noise strikes is shared by the
branches, what answers it is not; `two_stage` is the tree that branches once. No solver library is known here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.linear_program import Indices, LinearProgram, Mask, Vector, compile_stage
from models.scenario_tree import MultistageProgram, ScenarioTree, chain, scenario_tree, two_stage

__all__ = [
    "Indices",
    "LinearProgram",
    "Mask",
    "MultistageProgram",
    "NoProgram",
    "Outcomes",
    "Program",
    "ScenarioTree",
    "Vector",
    "chain",
    "compile_stage",
    "scenario_tree",
    "two_stage",
]


class NoProgram(ValueError):
    """An instance has no algebraic face although its problem has one in general; the message says why."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Finitely many outcomes of chance.

    Raises:
        ValueError: the shapes do not fit, or the probabilities are none.
    """

    values: Vector  # (outcome, entry)
    probabilities: Vector  # (outcome,) positive, sum to one

    def __post_init__(self) -> None:
        count = len(self.values)
        if self.values.ndim != 2 or self.probabilities.shape != (count,):
            raise ValueError(f"outcomes {self.values.shape} and probabilities {self.probabilities.shape} do not fit")
        if not (self.probabilities > 0).all() or abs(self.probabilities.sum() - 1) > 1e-9:
            raise ValueError("probabilities of outcomes are positive and sum to one")


class Program(ABC):
    """A problem's algebraic face for one instance: its stages, and how tensors become their data and back."""

    num_stages: int  # horizon T
    cycle: int = 0  # past the horizon the last `cycle` stages come again and again; 0: the process ends there
    relaxes: Sequence[str] = ()  # what the stages allow that the simulator does not, in words; () if they agree exactly
    approximates: str | None = None  # what the stages know only roughly, so that their costs bound nothing; None: none

    @abstractmethod
    def stage(self, stage: int) -> LinearProgram:
        """The compiled stage t; the same object for stages that are alike, so that it is built and passed once."""

    @abstractmethod
    def state_vector(self, state: Any) -> Vector:
        """Simulator states → data (batch, k), in the order of `LinearProgram.states`."""

    @abstractmethod
    def noise_vector(self, noise: Any, stage: int) -> Vector:
        """What strikes in a stage of noise paths → data (batch, m), in the order of `LinearProgram.noises`."""

    @abstractmethod
    def decision(self, x: Vector, stage: int) -> Any:
        """Columns of a stage (batch, n) → decision tensors of the simulator."""

    def priced(self, decision: Any, duals: Vector, stage: int) -> Any:
        """The decision with what its prices say, from the duals (batch, r) of the stage's rows [money]; as it is unless
        the room has a place for them (water values, marginal costs)."""
        return decision

    @property
    def lookahead(self) -> int:
        """Stages a plan must cover, its own included, for what it decides now not to feel where it ends.

        Long enough that what is decided now has had all its effect. The whole horizon unless a room knows better.
        """
        return self.num_stages

    def here_and_now(self, stage: int) -> Indices:
        """Columns of a stage that are decided before its noise strikes; the others answer the noise.

        All of them where noise touches neither row nor cost of the stage (it is the next stage that feels it).

        Raises:
            NotImplementedError: noise strikes within the stage, and the room does not say which columns come first.
        """
        whole = self.stage(stage)
        if whole.noise_matrix.count_nonzero() or whole.noise_cost.any():
            raise NotImplementedError(f"{type(self).__name__} does not say which columns are decided before the noise")
        return np.arange(len(whole.columns))

    def outcomes(self, stage: int) -> Outcomes | None:
        """What may strike in a stage, as noise data (outcome, m), whatever struck before.

        None: it depends on what struck before, or there are too many to count.
        """
        return None

    def starts(self) -> Outcomes | None:
        """The states a scenario may start in, as data (outcome, k); None as for `outcomes`."""
        return None

    def final(self) -> LinearProgram | None:
        """A program of the last outgoing state alone that prices what is left at the end; None: it is worth nothing."""
        return None

    def noise_path(self, noise: Any) -> Vector:
        """Noise paths → data (batch, all stages' m) of the chained program."""
        return np.concatenate([self.noise_vector(noise, stage) for stage in range(self.num_stages)], axis=1)

    def horizon(self, weights: Sequence[float] | Vector) -> MultistageProgram:
        """All stages chained; `weights` (T+1,) multiply the stages' costs and, last, what is left at the end."""
        stages = [self.stage(stage) for stage in range(self.num_stages)]
        if len(weights) != len(stages) + 1:
            raise ValueError(f"{len(weights)} weights for {len(stages)} stages and what is left at the end")
        final = self.final()
        return chain(stages, weights[:-1]) if final is None else chain([*stages, final], weights)

    def window(self, stage: int, length: int) -> tuple[list[int], list[LinearProgram]]:
        """The stages that a plan made in `stage` covers, at most `length`, and their programs, `final` included.

        They end with the horizon, unless the process goes on past it (`cycle`).

        Raises:
            ValueError: the stage lies past the horizon, and the process does not.
        """
        if self.cycle:
            covered = [self._like(stage + k) for k in range(length)]
            return covered, [self.stage(s) for s in covered]
        covered = list(range(stage, min(stage + length, self.num_stages)))
        if not covered:
            raise ValueError(f"stage {stage} lies past the horizon of {self.num_stages} stages")
        programs = [self.stage(s) for s in covered]
        end = self.final() if covered[-1] + 1 == self.num_stages else None
        return covered, programs if end is None else [*programs, end]

    def _like(self, stage: int) -> int:
        """The stage within the horizon that a stage past it is like."""
        beyond = stage - self.num_stages
        return stage if beyond < 0 else self.num_stages - self.cycle + beyond % self.cycle
