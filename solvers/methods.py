"""The ways to bound a problem from below that need neither chance nor a policy: its own, and what its faces allow."""

from __future__ import annotations

from functools import partial

from models.core import BoundMethod, Problem
from solvers.lagrangian import LAGRANGIAN, lagrangian_bound
from solvers.sddp import SDDP, cut_bound, no_bound
from solvers.value_iteration import VALUE_ITERATION, optimum


def bound_methods(problem: Problem) -> tuple[BoundMethod, ...]:
    """The problem's own methods; the optimum, if its states have a table; prices, if it falls apart into parts."""
    methods = list(problem.bounds)
    if problem.finite is not None:
        methods.append(
            BoundMethod(
                "optimal",
                "The optimum itself",
                partial(optimum, problem),
                problem.finite.refuses,
                exact=True,
                source=VALUE_ITERATION.source,
            )
        )
    if problem.weakly_coupled is not None:
        methods.append(
            BoundMethod(
                LAGRANGIAN.name,
                "Every part alone, at a price for what it uses of the shared resources",
                partial(lagrangian_bound, problem),
                problem.weakly_coupled.refuses,
                source=LAGRANGIAN.source,
            )
        )
    if not SDDP.reasons_against(problem):
        methods.append(
            BoundMethod(
                SDDP.name,
                "Cuts of the cost to go",
                partial(cut_bound, problem),
                partial(no_bound, problem),
                source=SDDP.source,
            )
        )
    return tuple(methods)
