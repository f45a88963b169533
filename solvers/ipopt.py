"""Ipopt behind one door: a nonlinear program passed once, solved again and again for other parameters.

casadi carries Ipopt with it (the extra `ac`). Every solve starts from the program's own start: for power flow Ipopt's
warm starts were slower. A solve that Ipopt does not end as solved is an `InnerSolveError`.

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
        options: dict[str, Any] = {"ipopt.print_level": 0, "print_time": 0, "ipopt.sb": "yes", "ipopt.tol": tolerance}
        parts: dict[str, Any] = {"x": program.variables, "p": program.parameters, "f": program.cost, "g": program.rows}
        self._solver = casadi.nlpsol("program", "ipopt", parts, options)

    def solve(self, parameters: Vector, purpose: str) -> LocalOptimum:
        """The optimum found for these parameters.

        Raises:
            InnerSolveError: Ipopt ended without one; the message names the purpose and Ipopt's own word.
        """
        own = self.program
        found = self._solver(
            x0=own.start, p=parameters, lbx=own.lower, ubx=own.upper, lbg=own.row_lower, ubg=own.row_upper
        )
        told = self._solver.stats()
        if not told["success"]:
            raise InnerSolveError(f"{purpose}: Ipopt ended with {told['return_status']}")
        columns, duals = np.array(found["x"]).ravel(), -np.array(found["lam_g"]).ravel()
        return LocalOptimum(float(found["f"]), columns, duals, int(told["iter_count"]))
