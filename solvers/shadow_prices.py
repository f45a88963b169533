"""Shadow prices: what one more unit of what is there today, or of a limit, would have saved with hindsight.

The duals of the perfect-information program, averaged over scenarios. Names are the program's own: of the entries of
its incoming state, of its rows with a fixed limit, and of its columns with one. A limit's price counts it raised in
every stage. Where a program has several optimal duals, these are those of the basis the solver ended in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from solvers.evaluation import estimate, interval

if TYPE_CHECKING:
    from models.program import Indices, LinearProgram, Vector
    from solvers.highs import HotProgram

LARGE = 1e11  # an upper limit from which on there is none
ZERO = 1e-9


@dataclass
class ShadowPrices:
    """Collects the duals of one hot program, solve after solve."""

    program: LinearProgram
    states: list[Vector] = field(default_factory=list)  # (k,) saved by one more unit of each state entry
    limits: list[Vector] = field(default_factory=list)  # (limit,) saved by one more unit of each limit, all stages

    def __post_init__(self) -> None:
        rows, columns = _limited(self.program.row_upper), _limited(self.program.upper)
        names = [_family(self.program.rows[k]) for k in rows] + [_family(self.program.columns[k]) for k in columns]
        self.limit_names = list(dict.fromkeys(names))
        self._rows, self._columns = rows, columns
        self._place = np.array([self.limit_names.index(name) for name in names], dtype=np.int64)

    def add(self, hot: HotProgram) -> None:
        """Take the duals of the last solve; `InnerSolveError` if it left none."""
        self.states.append(-hot.state_prices())
        # A dual of a minimum is at most zero where an upper limit binds, at least zero where a lower one does.
        duals = [np.minimum(hot.row_duals()[self._rows], 0.0), np.minimum(hot.reduced_costs()[self._columns], 0.0)]
        saved = np.zeros(len(self.limit_names))
        np.add.at(saved, self._place, -np.concatenate(duals))
        self.limits.append(saved)

    def document(self) -> dict[str, Any]:
        """Mean saving of one more unit, with its interval: `state` entries today, `limits` in every stage."""
        return {
            "state": _entries(self.program.states, self.states),
            "limits": _entries(self.limit_names, self.limits),
        }


def _limited(upper: Vector) -> Indices:
    """Positions with a fixed limit. Balances and links have zero on the right-hand side."""
    return np.flatnonzero((upper > 0) & (upper < LARGE))


def _family(name: str) -> str:
    """A row's or column's name without its stage."""
    return re.sub(r"@\d+$", "", name)


def _entries(names: Sequence[str], values: list[Vector]) -> list[dict[str, Any]]:
    """One entry per name, most valuable first."""
    found = []
    for name, column in zip(names, np.array(values).T, strict=True):
        mean, error = estimate(np.where(np.abs(column) < ZERO, 0.0, column))
        found.append({"name": name, "saves": mean, "standard_error": error, "ci95": interval(mean, error)})
    return sorted(found, key=lambda entry: -abs(entry["saves"]))
