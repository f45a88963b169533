"""The problems Herenow knows. A new problem is one folder and one line here.

Problems of your own, kept outside this tree, are named by the environment:
`HERENOW_PROBLEMS=package.module:ATTRIBUTE,…`.
"""

from __future__ import annotations

from models.core import Problem
from models.hydrothermal import PROBLEM as hydrothermal
from models.inventory_network import PROBLEM as inventory_network
from models.lazy import plugins
from models.lot_sizing import PROBLEM as lot_sizing

_PROBLEMS: dict[str, Problem] = {
    problem.name: problem
    for problem in (inventory_network, lot_sizing, hydrothermal, *plugins("HERENOW_PROBLEMS", Problem))
}


def problems() -> dict[str, Problem]:
    """Every registered problem by name, in a copy."""
    return dict(_PROBLEMS)


def problem(name: str) -> Problem:
    """The problem of that name; KeyError if there is none."""
    return _PROBLEMS[name]
