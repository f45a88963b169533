"""Lots of several items that share a capacity, demand known: the textbook program, and a sequence of single units.

`capacitated_lots` is the capacitated lot-sizing problem with setup times (Trigeiro, Thomas and McClain, "Capacitated
lot sizing with setup times", Management Science 35(3), 1989), solved to proof:

    min Σ K_i y_it + h_i s_it   s.t.  s_{i,t−1} + x_it − d_it = s_it,   Σ_i (a_i x_it + τ_i y_it) ≤ C_t,
                                     x_it ≤ M_it y_it,   x, s ≥ 0,   y ∈ {0, 1}

`by_enumeration` tries every choice of setups instead and needs only linear programs. `unit_sequence` is the discrete
problem on one machine with sequence-dependent changeovers (CSPLib problem 58; Houndji, Schaus, Wolsey and Deville, "The
stocking cost constraint", CP 2014): every period makes one unit of one item or nothing, each order must be made by its
period, a unit waits at its item's stocking cost, and going over from one item to the next one made costs money, however
long the machine stood between. Solved by a recursion that runs backwards through the periods.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from tests.oracles.demand import Floats


@dataclass(frozen=True)
class CapacitatedLots:
    """Data of the capacitated problem: by item, and by period."""

    demand: Floats  # d (item, period) [units]
    setup_cost: Floats  # K (item,) [money]
    holding_cost: Floats  # h (item,) [money/unit/period]
    capacity: Floats  # C (period,) [hours]
    unit_time: Floats  # a (item,) [hours/unit]
    setup_time: Floats  # τ (item,) [hours]

    def _rows(self) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """A x = b, A' x ≤ b' and the cost, of columns x, y, s, each (item, period)."""
        items, periods = self.demand.shape
        cells = items * periods
        eye, nothing = np.eye(cells), np.zeros((cells, cells))
        before = np.kron(np.eye(items), np.eye(periods, k=-1))
        balance = np.hstack([eye, nothing, before - eye])
        most = np.cumsum(self.demand[:, ::-1], axis=1)[:, ::-1].ravel()
        switch = np.hstack([eye, -np.diag(most), nothing])
        shared = np.hstack([np.kron(t, np.eye(periods)) for t in (self.unit_time, self.setup_time, 0 * self.unit_time)])
        cost = np.concatenate([np.zeros(cells), *(np.repeat(c, periods) for c in (self.setup_cost, self.holding_cost))])
        limits = np.concatenate([np.zeros(cells), self.capacity])
        return balance, self.demand.ravel(), np.vstack([switch, shared]), limits, cost


def capacitated_lots(data: CapacitatedLots) -> float:
    """The least cost [money], proven; `ValueError` if demand cannot be met."""
    balance, demand, rows, limits, cost = data._rows()
    cells = data.demand.size
    whole = np.repeat([0, 1, 0], cells)
    found = milp(
        cost,
        integrality=whole,
        bounds=Bounds(0, np.where(whole, 1.0, np.inf)),
        constraints=[LinearConstraint(balance, demand, demand), LinearConstraint(rows, ub=limits)],
        options={"mip_rel_gap": 0.0},
    )
    if found.status != 0:
        raise ValueError(found.message)
    return float(found.fun)


def by_enumeration(data: CapacitatedLots) -> float:
    """The least cost [money] over all choices of setups: 2^(items × periods) linear programs."""
    balance, demand, rows, limits, cost = data._rows()
    cells = data.demand.size
    best = np.inf
    for setups in itertools.product((0.0, 1.0), repeat=cells):
        y = np.array(setups)
        bounds = [(0, None)] * cells + [(v, v) for v in y] + [(0, None)] * cells
        found = linprog(cost, A_ub=rows, b_ub=limits, A_eq=balance, b_eq=demand, bounds=bounds)
        if found.status == 0:
            best = min(best, float(found.fun))
    return best


def unit_sequence(
    orders: Sequence[Sequence[int]], stocking_cost: Sequence[float], changeover_cost: Sequence[Sequence[float]]
) -> float:
    """Least cost [money] of meeting all orders: `orders[item][period]` are 0 or 1, in the period they are due."""
    due = [[t for t, wanted in enumerate(row) if wanted] for row in orders]
    items, periods = range(len(orders)), len(orders[0])

    @cache
    def cost(period: int, left: tuple[int, ...], following: int) -> float:
        """Least cost of periods up to this one, when so many orders of each item are still to be made in them."""
        if period < 0:
            return 0.0 if not any(left) else np.inf
        if sum(left) > period + 1:
            return np.inf
        best = cost(period - 1, left, following)
        for item in items:
            if left[item] and (last := due[item][left[item] - 1]) >= period:
                fewer = (*left[:item], left[item] - 1, *left[item + 1 :])
                change = changeover_cost[item][following] if following >= 0 else 0.0
                waited = stocking_cost[item] * (last - period)
                best = min(best, change + waited + cost(period - 1, fewer, item))
        return best

    return cost(periods - 1, tuple(len(row) for row in due), -1)


# Twenty orders of five items in twenty periods, with its published optimum: a case of the benchmark of Houndji et al.
FIVE_ITEMS = (
    (
        "00000000000010100011",
        "00000000000001000101",
        "00001000001100000001",
        "00001001000010000001",
        "00100100000000001110",
    ),
    (12, 12, 10, 42, 37),
    ((0, 23, 41, 37, 28), (43, 0, 28, 24, 22), (41, 35, 0, 44, 25), (42, 41, 23, 0, 35), (13, 33, 46, 48, 0)),
    1107,
)
