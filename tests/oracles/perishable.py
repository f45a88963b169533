"""One lost-sales store whose goods are usable for m periods, oldest sold first; lead time 0 or 1.

The state is the stock by remaining life, 1 … m−1 periods, and with lead time 1 also what has just joined (life m); with
lead time 0 the order itself is life m. After demand what is in its last period is outdated, holding is paid on the
rest, and everything is a period older (Nahmias 1975; Fries 1975).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.oracles.demand import Floats
from tests.oracles.newsvendor import newsvendor
from tests.oracles.tables import Grid, Optimum, Table, solve, tabulate


def perishable_store(
    demand: Floats,
    shelf_life: int,
    lead_time: int,
    holding_cost: float,
    shortage_cost: float,
    outdate_cost: float,
    most: int,
) -> Optimum:
    """Best orders, at most `most` units, by stock of each remaining life, shortest first."""
    return solve(perishable_table(demand, shelf_life, lead_time, holding_cost, shortage_cost, outdate_cost, 0.0, most))


def perishable_table(
    demand: Floats,
    shelf_life: int,
    lead_time: int,
    holding_cost: float,
    shortage_cost: float,
    outdate_cost: float,
    unit_cost: float,
    most: int,
) -> Table:
    """The decision problem behind `perishable_store`, with a cost of every unit ordered."""
    if lead_time not in (0, 1):
        raise ValueError("lead time must be 0 or 1")
    states = Grid.box(*[(0, most)] * (shelf_life - 1 + lead_time))
    posts = Grid.box(*[(0, most)] * (shelf_life + lead_time))

    def decide(ages: Sequence[Floats], choices: Sequence[Floats]) -> tuple[Sequence[Floats], Floats]:
        return (*ages, choices[0]), unit_cost * choices[0]

    def realize(ages: Sequence[Floats], outcomes: Sequence[Floats]) -> tuple[Sequence[Floats], Floats]:
        left, short = [], outcomes[0]
        for stock in ages[:shelf_life]:
            left.append(np.clip(stock - short, 0, None))
            short = np.clip(short - stock, 0, None)
        outdated, *kept = left
        cost = holding_cost * sum(kept, np.zeros(1)) + shortage_cost * short + outdate_cost * outdated
        return (*kept, *ages[shelf_life:]), cost

    return tabulate(states, Grid.box((0, most)), decide, posts, realize, (np.arange(len(demand)),), demand)


def one_period_life(demand: Floats, shortage_cost: float, outdate_cost: float) -> tuple[float, float]:
    """Best stock and average cost when goods last a single period, in closed form: whatever is left is outdated."""
    return newsvendor(demand, 1.0, outdate_cost, shortage_cost)
