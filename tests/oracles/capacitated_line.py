"""A warehouse that ships at most so much a period to one store with backlogged demand; both lead times one period.

In a period the warehouse orders q from outside and ships a ≤ min(stock, capacity); it pays holding on what is left,
the store pays on what is left after demand, and q and a have arrived when the next period starts. Without the capacity
this is a serial line, whose optimum Clark and Scarf give.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.oracles.demand import Floats
from tests.oracles.one_lane import single_period_cost
from tests.oracles.tables import Grid, Optimum, solve, tabulate


def line(
    demand: Floats,
    warehouse_holding_cost: float,
    store_holding_cost: float,
    shortage_cost: float,
    capacity: int,
    most: int = 8,
    warehouse_most: int = 12,
    lowest: int = -20,
    highest: int = 14,
) -> Optimum:
    """Best outside order and shipment by warehouse stock and store net inventory, all before the decision."""
    states = Grid.box((0, warehouse_most), (lowest, highest))
    store_cost = single_period_cost(states.axes[1], demand, store_holding_cost, shortage_cost)

    def decide(before: Sequence[Floats], choices: Sequence[Floats]) -> tuple[Sequence[Floats], Floats]:
        (stock, net), (order, shipment) = before, choices
        left = stock - shipment
        # A store above the grid would only pay more: not aimed at.
        cost = np.where((left < 0) | ((shipment > 0) & (net + shipment > highest)), np.inf, 0.0)
        return (left + order, net + shipment), cost + warehouse_holding_cost * left + store_cost[
            (net - lowest).astype(int)
        ]

    def realize(after: Sequence[Floats], outcomes: Sequence[Floats]) -> tuple[Sequence[Floats], Floats]:
        (stock, net), (units,) = after, outcomes
        return (stock, net - units), np.zeros(1)

    orders = Grid.box((0, most), (0, capacity))
    return solve(tabulate(states, orders, decide, states, realize, (np.arange(len(demand)),), demand), 1e-7)
