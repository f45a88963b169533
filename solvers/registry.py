"""The algorithms Herenow knows. A new algorithm is one file and one line here.

Algorithms of your own, kept outside this tree, are named by the environment:
`HERENOW_SOLVERS=package.module:ATTRIBUTE,…`.
"""

from __future__ import annotations

from models.lazy import plugins
from solvers.bound import BOUND
from solvers.bounds import DETERMINISTIC, PERFECT_INFORMATION
from solvers.core import Solver
from solvers.hdpo import HDPO
from solvers.information_relaxation import INFORMATION_RELAXATION
from solvers.lagrangian import LAGRANGIAN
from solvers.pdppo import PDPPO
from solvers.rolling_horizon import ROLLING_DETERMINISTIC, ROLLING_SCENARIO_TREE, ROLLING_TWO_STAGE
from solvers.sddp import SDDP
from solvers.search import CROSS_ENTROPY
from solvers.tsddr import TSDDR
from solvers.value_iteration import VALUE_ITERATION

_SOLVERS: dict[str, Solver] = {
    solver.name: solver
    for solver in (
        HDPO,
        PDPPO,
        ROLLING_DETERMINISTIC,
        ROLLING_TWO_STAGE,
        ROLLING_SCENARIO_TREE,
        SDDP,
        TSDDR,
        BOUND,
        CROSS_ENTROPY,
        PERFECT_INFORMATION,
        INFORMATION_RELAXATION,
        DETERMINISTIC,
        VALUE_ITERATION,
        LAGRANGIAN,
        *plugins("HERENOW_SOLVERS", Solver),
    )
}


def solvers() -> dict[str, Solver]:
    """Every registered solver by name, in a copy."""
    return dict(_SOLVERS)


def solver(name: str) -> Solver:
    """The solver of that name; KeyError if there is none."""
    return _SOLVERS[name]
