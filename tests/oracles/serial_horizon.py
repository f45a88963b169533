"""The optimum of a serial line with backlogged demand over a finite horizon: echelon base stocks that change by stage.

Clark and Scarf (1960) for the order of events of `"receipt": "after_decision"`: in period t every node orders and its
supplier ships at once what it has; what is due in t joins stock; demand strikes the last node. With y_k(t) the echelon
position of node k after ordering (k = 1 at the customer) and D[s, t] the demand of periods s … t,

    net inventory of node 1 at the end of t   = y_1(t − L_1) − D[t − L_1, t]
    echelon stock of k without what is under way to it, at the end of t = E_k(t) = y_k(t − L_k) − D[t − L_k, t]
    stock of k > 1 at the end of t             = E_k(t) − (y_{k−1}(t) − D_t)
    under way to k at the end of t             = (y_k(t) − D_t) − E_k(t)
    what k − 1 may be raised to in t + 1       y_{k−1}(t + 1) ≤ E_k(t)

so every cost is a function of one position, and the limits couple each node to the one above only. A limit's cost,
Λ(e) = min_{y ≤ e} H(y) − min H with H convex, is charged to the node that causes it. Shipping capacities are left out;
the result bounds the cost of every policy from below, and is the optimum where no capacity binds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.oracles.demand import Floats, total


@dataclass(frozen=True)
class Stage:
    """One node of the line, the customer's first, and the lane into it."""

    lead_time: int  # [periods]
    holding_cost: float  # [money/unit/period]
    in_transit_cost: float  # [money/unit/period], on what is under way to it
    unit_cost: float  # [money/unit ordered] by it
    initial_stock: int  # [units]; nothing is under way at the start


def least_cost(
    line: Sequence[Stage], demand: Floats, periods: int, price: float, backlog_cost: float, low: int, high: int
) -> tuple[float, list[list[int]]]:
    """Least expected cost of all periods [money], revenue being a negative cost, and each node's level by period.

    `demand` are the chances of 0, 1, 2, … units a period; positions are whole numbers from `low` to `high`.
    """
    grid = np.arange(low, high + 1, dtype=np.float64)
    mean = float(np.arange(len(demand)) @ demand)
    sums = [total(demand, n) for n in range(periods + 1)]
    inherited = [np.zeros_like(grid) for _ in range(periods)]  # what limits on the node below cost, by its period
    cost = -price * mean * periods
    levels: list[list[int]] = []
    echelon = 0
    for k, node in enumerate(line):
        echelon += node.initial_stock
        above = line[k + 1].holding_cost if k + 1 < len(line) else 0.0
        own = [np.zeros_like(grid) for _ in range(periods)]
        for t in range(periods):
            # The position y after the demand of t: under way to k, and no longer in the stock of the node above.
            own[t] += (node.in_transit_cost - above) * (grid - mean) + node.unit_cost * grid
            end = t + node.lead_time
            if end < periods:
                own[t] += _expect(_at_end(grid, k, node, end, periods, price, backlog_cost), sums[node.lead_time + 1])
                if end + 1 < periods:
                    own[t] += _expect(inherited[end + 1], sums[node.lead_time + 1])
        # Periods whose end, or whose limit on the node below, the starting stock alone decides.
        for end in range(min(node.lead_time, periods)):
            cost += _value(_at_end(grid, k, node, end, periods, price, backlog_cost), grid, echelon, sums[end + 1])
        for t in range(min(node.lead_time + 1, periods)):
            cost += _value(inherited[t], grid, echelon, sums[t])
        ahead = np.zeros_like(grid)
        limits: list[Floats] = [np.zeros_like(grid)] * periods
        levels.append([0] * periods)
        for t in reversed(range(periods)):
            to_go = own[t] + _expect(ahead, demand)
            best = int(np.argmin(to_go))
            levels[k][t] = low + best
            raised = to_go.copy()
            raised[: best + 1] = to_go[best]  # the least cost of y ≥ x
            limits[t] = np.where(np.arange(len(grid)) < best, to_go - to_go[best], 0.0)
            ahead = raised - node.unit_cost * grid
        cost += float(ahead[echelon - low])
        inherited = limits  # of the top node these cost nothing: its supplier always has enough
    return cost, levels


def _at_end(grid: Floats, k: int, node: Stage, end: int, periods: int, price: float, backlog_cost: float) -> Floats:
    """Cost at the end of a period of E, the echelon stock that has reached node k."""
    if k > 0:
        return (node.holding_cost - node.in_transit_cost) * grid
    # Backlog left at the horizon never earns its price.
    owed = backlog_cost + (price if end == periods - 1 else 0.0)
    return node.holding_cost * np.clip(grid, 0, None) + owed * np.clip(-grid, 0, None) - node.in_transit_cost * grid


def _expect(values: Floats, demand: Floats) -> Floats:
    """E values(y − demand) at every grid point; below the grid, values go on as straight lines."""
    pad = len(demand) - 1
    slope = values[1] - values[0]
    below = values[0] - slope * np.arange(pad, 0, -1)
    return np.asarray(np.convolve(np.concatenate([below, values]), demand, mode="valid"))


def _value(values: Floats, grid: Floats, position: int, demand: Floats) -> float:
    """E values(position − demand)."""
    return float(_expect(values, demand)[int(position - grid[0])])
