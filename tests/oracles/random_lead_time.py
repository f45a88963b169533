"""One store whose lead time is random, orders never crossing: every period a single draw decides which age lands.

Goods of age a land when a uniform u is below P(L = a | L ≥ a); with that chance rising in a, whatever is older lands
too, and the lead time of an order has exactly the given distribution (Kaplan 1970, Ehrhardt 1984).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tests.oracles.demand import Floats, total
from tests.oracles.one_lane import single_period_cost
from tests.oracles.tables import Grid, Optimum, Table, solve, tabulate


def newsvendor_over_lead_times(
    demand: Floats, lead_times: Mapping[int, float], holding_cost: float, shortage_cost: float
) -> tuple[int, float]:
    """Best base stock and average cost with backlog, in closed form.

    The youngest order that has landed by a period's demand is A periods old, and P(A ≤ a) = P(L ≤ a): the demand a
    position must last for is the mixture of sums over L+1 periods.
    """
    levels = np.arange(0, round(3 * (1 + max(lead_times)) * len(demand)))
    costs = sum(
        chance * single_period_cost(levels, total(demand, lead + 1), holding_cost, shortage_cost)
        for lead, chance in lead_times.items()
    )
    best = int(np.argmin(costs))
    return best, float(np.asarray(costs)[best])


def one_or_two_periods(
    demand: Floats,
    chance_of_one: float,
    holding_cost: float,
    shortage_cost: float,
    unmet_demand: str,
    most: int,
    lowest: int,
    highest: int,
) -> Optimum:
    """Best orders by stock and by what was ordered last period and has not landed, lead time 1 or 2."""
    return solve(
        one_or_two_periods_table(
            demand, chance_of_one, holding_cost, shortage_cost, unmet_demand, most, lowest, highest
        )
    )


def one_or_two_periods_table(
    demand: Floats,
    chance_of_one: float,
    holding_cost: float,
    shortage_cost: float,
    unmet_demand: str,
    most: int,
    lowest: int,
    highest: int,
) -> Table:
    """The decision problem behind `one_or_two_periods`: at the end of a period what is two periods old lands in any
    case, what was just ordered with chance `chance_of_one`."""
    states = Grid.box((lowest, highest), (0, most))
    posts = Grid.box((lowest, highest), (0, most), (0, most))
    cost = single_period_cost(states.axes[0], demand, holding_cost, shortage_cost)
    floor = 0 if unmet_demand == "lost" else -np.inf

    def decide(before: Sequence[Floats], choices: Sequence[Floats]) -> tuple[Sequence[Floats], Floats]:
        (stock, waiting), (order,) = before, choices
        # Positions that could outgrow the grid are not aimed at.
        return (stock, waiting, order), np.where((order > 0) & (stock + waiting + order > highest), np.inf, 0.0)

    def realize(after: Sequence[Floats], outcomes: Sequence[Floats]) -> tuple[Sequence[Floats], Floats]:
        (stock, waiting, order), (units, lands) = after, outcomes
        left = np.maximum(stock - units, floor) + waiting + lands * order
        return (left, (1 - lands) * order), cost[(stock - lowest).astype(int)]

    units = np.arange(len(demand))
    outcomes = (np.tile(units, 2), np.repeat([0, 1], len(units)))
    chance = np.concatenate([(1 - chance_of_one) * demand, chance_of_one * demand])
    return tabulate(states, Grid.box((0, most)), decide, posts, realize, outcomes, chance)
