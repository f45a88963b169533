"""One backlogged store with a near, dear supplier and a far, cheap one whose lead time is one period longer.

With lead times l and l+1, what is ordered far arrives a period later than what is ordered near, so a period starts
with one number: the expedited position x, stock and everything due within l periods, last period's far order included.
Near orders lift it to y, far ones lift the whole position to z, and next period x' = z − D. Without capacities a dual
base stock is optimal (Fukuda 1964); with them the table is solved.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.oracles.demand import Floats, total
from tests.oracles.one_lane import single_period_cost
from tests.oracles.tables import Grid, Optimum, solve, tabulate


def dual_sourcing(
    demand: Floats,
    near_lead_time: int,
    holding_cost: float,
    shortage_cost: float,
    near_unit_cost: float,
    far_unit_cost: float,
    near_capacity: int = 20,
    far_capacity: int = 20,
    lowest: int = -30,
    highest: int = 30,
) -> Optimum:
    """Best near and far orders by expedited position before ordering, capacities in units a period."""
    positions = Grid.box((lowest, highest))
    cost = single_period_cost(positions.axes[0], total(demand, near_lead_time + 1), holding_cost, shortage_cost)

    def decide(states: Sequence[Floats], choices: Sequence[Floats]) -> tuple[Sequence[Floats], Floats]:
        (position,), (near, far) = states, choices
        level = np.clip(position + near - lowest, 0, highest - lowest).astype(int)
        return (position + near + far,), near_unit_cost * near + far_unit_cost * far + cost[level]

    def realize(posts: Sequence[Floats], outcomes: Sequence[Floats]) -> tuple[Sequence[Floats], Floats]:
        (position,), (units,) = posts, outcomes
        return (position - units,), np.zeros(1)

    orders = Grid.box((0, near_capacity), (0, far_capacity))
    return solve(tabulate(positions, orders, decide, positions, realize, (np.arange(len(demand)),), demand))


def dual_base_stock(
    demand: Floats,
    near_lead_time: int,
    holding_cost: float,
    shortage_cost: float,
    near_unit_cost: float,
    far_unit_cost: float,
    levels: range,
) -> tuple[int, int, float]:
    """Best near level y, far level z ≥ y and average cost without capacities, in closed form.

    Every period ends its orders at z, so it starts at z − D; near orders are (y − z + D)⁺, and the rest of the mean
    demand is ordered far.
    """
    cost = single_period_cost(np.arange(-400, 400), total(demand, near_lead_time + 1), holding_cost, shortage_cost)
    units = np.arange(len(demand))
    found = []
    for far in levels:
        for near in range(levels.start, far + 1):
            start = far - units
            bought = np.clip(near - start, 0, None)
            premium = (near_unit_cost - far_unit_cost) * float(bought @ demand)
            average = float(cost[np.maximum(start, near) + 400] @ demand)
            found.append((premium + average + far_unit_cost * float(units @ demand), near, far))
    best = min(found)
    return best[1], best[2], best[0]
