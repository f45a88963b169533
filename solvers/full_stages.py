"""Carrying out what was planned where plans know a stage only in part: one program more, with the plan's end as data.

Plans are linear; a power flow is not, and plants that are on or off are not convex. A policy decides by its own program
where the stage is to end, and this decides how: by Ipopt or by branch and bound. Decisions are then feasible in full,
and what they cost is what they cost.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from models.core import Instance, Problem
from models.lazy import torch
from solvers.core import InnerSolveError
from solvers.evaluation import InfeasibleDecision, check_feasible

if TYPE_CHECKING:
    from models.dynamics import Stage
    from models.full_stages import FullStages
    from models.program import LinearProgram, Vector
    from solvers.highs import HotProgram
    from solvers.ipopt import Ipopt

TOLERANCE = 1e-9  # of Ipopt: what it leaves open must pass for rounding
MIP_GAP = 1e-6
MOST_SCENARIOS = 4  # whose features mark the range seen in training: a stage takes tens of milliseconds


class InFull:
    """Plans of one instance carried out; where plans are exact already, they are what is carried out.

    Thread-safe: one solve at a time. Every solve starts afresh, so that a decision is a function of state and plan.
    """

    def __init__(self, problem: Problem, instance: Instance) -> None:
        """Raises:
        InnerSolveError: Ipopt is needed and not installed.
        """
        face = problem.full_stages
        self.needed = face is not None and face.refuses(instance) is None
        self._problem, self._instance = problem, instance
        self._stages: FullStages | None = None
        self._solvers: dict[int, HotProgram | Ipopt] = {}
        self._lock = threading.Lock()
        if self.needed:
            self._simulator = problem.simulator(instance, counts=False).double()
            self._solver(0)

    def __call__(self, state: Any, planned: Any, stage: Stage) -> Any:
        """The planned decisions carried out, for every row of the batch.

        Raises:
            InnerSolveError: a row's program has no solution, or none was found; the message says which.
        """
        if not self.needed:
            return planned
        like = next(iter(vars(planned).values()))
        exact, plan = (part.to("cpu").to(torch.float64) for part in (state, planned))
        stages = np.broadcast_to(np.asarray(stage), (plan.batch,))
        done = []
        with self._lock:
            for row, own in enumerate(stages.tolist()):
                place = slice(row, row + 1)
                one = plan.rows(place)
                columns, duals = self._solve(self._full().data(exact.rows(place), one, own)[0], own)
                done.append(self._full().decision(one, columns[None], duals[None], own))
        joined = type(plan)(**{name: torch.cat([getattr(one, name) for one in done]) for name in vars(plan)})
        try:
            check_feasible(self._simulator, exact, joined, stage)
        except InfeasibleDecision as error:
            raise InnerSolveError(f"carried out in full, {error}") from error
        return joined.to(like.device).to(like.dtype)

    def _full(self) -> FullStages:
        if self._stages is None:
            assert self._problem.full_stages is not None
            self._stages = self._problem.full_stages.of(self._instance)
        return self._stages

    def _solver(self, stage: int) -> HotProgram | Ipopt:
        from models.full_stages import NonlinearProgram
        from models.program import NoProgram
        from solvers.highs import HotProgram
        from solvers.ipopt import Ipopt

        try:
            program = self._full().program(stage)
        except NoProgram as error:
            raise InnerSolveError(str(error)) from error
        if id(program) not in self._solvers:
            self._solvers[id(program)] = (
                Ipopt(program, TOLERANCE)
                if isinstance(program, NonlinearProgram)
                else HotProgram(program, mip_gap=MIP_GAP, brief=True)
            )
        return self._solvers[id(program)]

    def _solve(self, data: Vector, stage: int) -> tuple[Vector, Vector]:
        """Columns (n,) and duals (r,) of the stage's program, NaN where it has none."""
        from solvers.ipopt import Ipopt

        solver, purpose = self._solver(stage), f"stage {stage}, carried out in full"
        if isinstance(solver, Ipopt):
            found = solver.solve(data, purpose)
            return found.columns, found.row_duals
        return self._branch_and_bound(solver, data, purpose)

    def _branch_and_bound(self, hot: HotProgram, data: Vector, purpose: str) -> tuple[Vector, Vector]:
        program: LinearProgram = hot.program
        hot.forget()
        hot.set_data(data, np.zeros(len(program.noises)))
        found = hot.solve()
        if found.status != "optimal":
            raise InnerSolveError(f"{purpose}: the program is {found.status}{hot.at_odds()}")
        return hot.columns(), np.full(len(program.rows), np.nan)
