"""Stages in full, where the programs that plans are made of know a stage only in part.

A power flow in alternating current is not linear; a plant that is on or off is not convex. Plans, training and cuts see
the stage of `models.program.Program`; where a stage is to end is decided there. How it is carried out is decided here,
by a larger program with that end as data. No solver library is known: `solvers.full_stages` solves it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.linear_program import LinearProgram, Vector


@dataclass(frozen=True, eq=False)
class NonlinearProgram:
    """min f(x, p) s.t. row_lower ≤ g(x, p) ≤ row_upper, lower ≤ x ≤ upper; expressions are casadi's."""

    variables: Any
    parameters: Any
    cost: Any
    rows: Any
    lower: Vector
    upper: Vector
    start: Vector
    row_lower: Vector
    row_upper: Vector
    unit: float  # [money] in which costs are of a size that solvers like
    columns: Mapping[str, slice]  # where kinds of variables are
    kinds: Mapping[str, slice]  # where kinds of rows are


class FullStages(ABC):
    """One instance's stages in full. How plans differ is said by `models.program.Program.approximates` or `relaxes`."""

    @abstractmethod
    def program(self, stage: int) -> NonlinearProgram | LinearProgram:
        """The stage's program; the same object for stages that are alike, so that it is passed to a solver once."""

    @abstractmethod
    def data(self, state: Any, planned: Any, stage: int) -> Vector:
        """Parameters, or incoming states, of the program (batch, p), so that it ends where the plan does."""

    @abstractmethod
    def decision(self, planned: Any, columns: Vector, duals: Vector, stage: int) -> Any:
        """Columns (batch, n) and duals (batch, r) [money], NaN where there are none, as a decision.

        What only a plan knows (what is worth keeping) stays as planned.
        """
