"""Ipopt behind one door: a nonlinear program passed once, solved again and again for other parameters.

casadi carries Ipopt with it (the extra `ac`). Every solve starts from the program's own start: for power flow Ipopt's
warm starts were slower. Where the first barrier strategy fails a second one is tried, and counted; what neither solves
is an `InnerSolveError`.

Source: Wächter and Biegler, "On the implementation of an interior-point filter line-search algorithm for large-scale
nonlinear programming", Mathematical Programming 106 (2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from solvers.core import InnerSolveError

if TYPE_CHECKING:
    from models.program import Vector

TOLERANCE = 1e-7
BOUND_RELAX = 1e-10  # by which bounds may be passed, relative; Ipopt's own 1e-8 shows in a dispatch
STRATEGIES = ("adaptive", "monotone")  # of the barrier parameter: the first is faster, the second a remedy


@dataclass(frozen=True)
class LocalOptimum:
    """Where Ipopt ended: a local optimum, the global one only if the program is convex."""

    value: float  # [money]
    columns: Vector  # (n,)
    row_duals: Vector  # (r,) ∂value/∂(right-hand side)
    iterations: int


class Ipopt:
    """One nonlinear program in one Ipopt object. `InnerSolveError` if casadi is not installed."""

    def __init__(self, program: Any, tolerance: float = TOLERANCE) -> None:
        try:
            import casadi
        except ImportError:
            raise InnerSolveError("Ipopt comes with casadi, which is not installed: install herenow[ac]") from None
        self.program = program
        self.remedies = 0  # solves that needed the second barrier strategy
        cost = program.cost / program.unit
        parts: dict[str, Any] = {"x": program.variables, "p": program.parameters, "f": cost, "g": program.rows}
        quiet: dict[str, Any] = {"ipopt.print_level": 0, "print_time": 0, "ipopt.sb": "yes", "ipopt.tol": tolerance}
        quiet["ipopt.bound_relax_factor"] = BOUND_RELAX
        self._solvers = [
            casadi.nlpsol("program", "ipopt", parts, quiet | {"ipopt.mu_strategy": strategy}) for strategy in STRATEGIES
        ]

    def solve(self, parameters: Vector, purpose: str) -> LocalOptimum:
        """The optimum found for these parameters.

        Raises:
            InnerSolveError: Ipopt ended without one; the message names the purpose and Ipopt's own word.
        """
        own, words = self.program, []
        for solver in self._solvers:
            found = solver(
                x0=own.start, p=parameters, lbx=own.lower, ubx=own.upper, lbg=own.row_lower, ubg=own.row_upper
            )
            told = solver.stats()
            if told["success"]:
                columns = np.array(found["x"]).ravel()
                duals = -own.unit * np.array(found["lam_g"]).ravel()
                return LocalOptimum(own.unit * float(found["f"]), columns, duals, int(told["iter_count"]))
            words.append(told["return_status"])
            self.remedies += solver is self._solvers[0]
        raise InnerSolveError(f"{purpose}: Ipopt ended with {', then '.join(words)}")
