"""One store on one lane whose orders are restricted: capacity, minimum order, lots, fixed cost; lost or backlogged.

`menu` lists the quantities that may be ordered, which states capacity, minimum order quantity and lot multiple alike.
With backlog the inventory position is all that matters (the cost of position y is that of L+1 demands), with lost
sales the stock and, from lead time 1 on, the order under way (it joins stock after demand).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.oracles.demand import Floats, total
from tests.oracles.tables import Grid, Optimum, Table, solve, tabulate


def single_period_cost(levels: Floats, demand: Floats, holding_cost: float, shortage_cost: float) -> Floats:
    """E[h (y − D)⁺ + b (D − y)⁺] for each level y [money]."""
    left = np.asarray(levels)[..., None] - np.arange(len(demand))
    return np.asarray((holding_cost * np.clip(left, 0, None) + shortage_cost * np.clip(-left, 0, None)) @ demand)


def backlogged_store(
    demand: Floats,
    lead_time: int,
    holding_cost: float,
    shortage_cost: float,
    menu: Sequence[int],
    fixed_order_cost: float = 0.0,
    lowest: int = -30,
    highest: int = 40,
) -> Optimum:
    """The best orders by inventory position before ordering, `lowest` … `highest`."""
    return solve(
        backlogged_table(demand, lead_time, holding_cost, shortage_cost, menu, fixed_order_cost, lowest, highest)
    )


def backlogged_table(
    demand: Floats,
    lead_time: int,
    holding_cost: float,
    shortage_cost: float,
    menu: Sequence[int],
    fixed_order_cost: float = 0.0,
    lowest: int = -30,
    highest: int = 40,
) -> Table:
    """The decision problem behind `backlogged_store`; its post-state is the position after ordering."""
    positions = Grid.box((lowest, highest))
    cost = single_period_cost(positions.axes[0], total(demand, lead_time + 1), holding_cost, shortage_cost)

    def decide(states: Sequence[Floats], choices: Sequence[Floats]) -> tuple[Sequence[Floats], Floats]:
        (position,), (order,) = states, choices
        return (position + order,), fixed_order_cost * (order > 0)

    def realize(posts: Sequence[Floats], outcomes: Sequence[Floats]) -> tuple[Sequence[Floats], Floats]:
        (position,), (units,) = posts, outcomes
        return (position - units,), cost[:, None]

    outcomes = (np.arange(len(demand)),)
    return tabulate(positions, Grid((np.array(menu, float),)), decide, positions, realize, outcomes, demand)


def lost_sales_table(
    demand: Floats,
    lead_time: int,
    holding_cost: float,
    shortage_cost: float,
    menu: Sequence[int],
    fixed_order_cost: float = 0.0,
    highest: int = 30,
) -> Table:
    """A store that loses unmet demand, lead time 0 or 1; the state is the stock before ordering, goods due included."""
    stocks = Grid.box((0, highest))
    cost = single_period_cost(stocks.axes[0], demand, holding_cost, shortage_cost)
    orders = Grid((np.array(menu, float),))
    outcomes = (np.arange(len(demand)),)
    if lead_time == 0:

        def decide(states: Sequence[Floats], choices: Sequence[Floats]) -> tuple[Sequence[Floats], Floats]:
            (stock,), (order,) = states, choices
            return (stock + order,), fixed_order_cost * (order > 0)

        def realize(posts: Sequence[Floats], chances: Sequence[Floats]) -> tuple[Sequence[Floats], Floats]:
            (stock,), (units,) = posts, chances
            return (np.clip(stock - units, 0, None),), cost[:, None]

        return tabulate(stocks, orders, decide, stocks, realize, outcomes, demand)
    if lead_time != 1:
        raise ValueError("lead time must be 0 or 1")
    posts = Grid.box((0, highest), (0, max(menu)))

    def order_late(states: Sequence[Floats], choices: Sequence[Floats]) -> tuple[Sequence[Floats], Floats]:
        (stock,), (order,) = states, choices
        # A stock that could outgrow the grid is not aimed at.
        return (stock, order), np.where((order > 0) & (stock + order > highest), np.inf, fixed_order_cost * (order > 0))

    def receive(after: Sequence[Floats], chances: Sequence[Floats]) -> tuple[Sequence[Floats], Floats]:
        (stock, order), (units,) = after, chances
        return (np.clip(stock - units, 0, None) + order,), cost[stock.astype(int)]

    return tabulate(stocks, orders, order_late, posts, receive, outcomes, demand)


def lost_sales_store(
    demand: Floats,
    lead_time: int,
    holding_cost: float,
    shortage_cost: float,
    menu: Sequence[int],
    fixed_order_cost: float = 0.0,
    highest: int = 30,
) -> Optimum:
    """The best orders by stock before ordering."""
    return solve(lost_sales_table(demand, lead_time, holding_cost, shortage_cost, menu, fixed_order_cost, highest))


def minimum_order(least: int, most: int) -> list[int]:
    """The quantities a minimum order quantity leaves: 0, or `least` … `most`."""
    return [0, *range(least, most + 1)]


def lots(multiple: int, most: int) -> list[int]:
    """The quantities a lot multiple leaves."""
    return list(range(0, most + 1, multiple))
