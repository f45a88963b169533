"""One store of which a share β of newly unmet demand waits and the rest is lost.

Of demand d met by stock x⁺, the rest u = d − min(x⁺, d) costs p (1 − β) u at once and lifts the backlog by β u, which
costs b a unit and period. β u is not whole, so the stock lives on a grid of `step` and what falls between two points is
shared between them; halving the step shows what that costs. Without lead time every order clears the backlog, and the
optimum is the newsvendor whose shortage costs b β + p (1 − β).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.oracles.demand import Floats
from tests.oracles.newsvendor import newsvendor
from tests.oracles.tables import Grid, Optimum, solve, tabulate


def without_lead_time(
    demand: Floats, holding_cost: float, backlog_cost: float, lost_sales_cost: float, backlog_share: float
) -> tuple[float, float]:
    """Best base stock and average cost, lead time 0, in closed form."""
    shortage = backlog_cost * backlog_share + lost_sales_cost * (1 - backlog_share)
    return newsvendor(demand, 1.0, holding_cost, shortage)


def one_period_late(
    demand: Floats,
    holding_cost: float,
    backlog_cost: float,
    lost_sales_cost: float,
    backlog_share: float,
    most: int,
    lowest: int,
    highest: int,
    step: float = 0.25,
) -> Optimum:
    """Best orders (multiples of `step`) by stock before ordering, lead time 1."""
    states = Grid.box((lowest, highest), step=step)
    posts = Grid.box((lowest, highest), (0, most), step=step)

    def decide(before: Sequence[Floats], choices: Sequence[Floats]) -> tuple[Sequence[Floats], Floats]:
        (stock,), (order,) = before, choices
        # A stock that could outgrow the grid is not aimed at.
        return (stock, order), np.where((order > 0) & (stock + order > highest), np.inf, 0.0)

    def realize(after: Sequence[Floats], outcomes: Sequence[Floats]) -> tuple[Sequence[Floats], Floats]:
        (stock, order), (units, upper) = after, outcomes
        left, lost = _strike(stock, units, backlog_share)
        cost = holding_cost * np.clip(left, 0, None) + backlog_cost * np.clip(-left, 0, None) + lost_sales_cost * lost
        return ((np.floor((left + order) / step + 1e-9) + upper) * step,), cost

    units = np.arange(len(demand))
    outcomes = (np.tile(units, 2), np.repeat([0, 1], len(units)))
    stock, _ = posts.points
    left, _ = _strike(stock[:, None], units[None], backlog_share)
    above = np.clip(left / step - np.floor(left / step + 1e-9), 0, None)  # orders are multiples of the step
    chance = np.concatenate([demand * (1 - above), demand * above], axis=1)
    return solve(tabulate(states, Grid.box((0, most), step=step), decide, posts, realize, outcomes, chance))


def _strike(stock: Floats, units: Floats, backlog_share: float) -> tuple[Floats, Floats]:
    """Net inventory after demand, and demand lost."""
    met = np.minimum(np.clip(stock, 0, None), units)
    unmet = units - met
    return stock - met - backlog_share * unmet, (1 - backlog_share) * unmet
