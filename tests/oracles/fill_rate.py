"""The least stock that meets a fill-rate target: one backlogged store without a shortage cost.

The fill rate is the share of demand met from stock in its own period; waiting costs nothing further. For a price λ on
each unit not met at once, a period that starts at position y costs h E(y − D_{L+1})⁺ + λ E[unmet], which a base stock
minimises period by period; so the base stock that just meets the target is optimal among all policies (duality).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.oracles.demand import Floats, total
from tests.oracles.tables import Grid, least_cost_by_program, tabulate


def service_of(level: Floats, demand: Floats, step: float, lead_time: int) -> tuple[Floats, Floats]:
    """Fill rate and mean stock on hand [units] of every base stock `level` [units].

    What is unmet in a period is the backlog after its demand less the backlog before it.
    """
    before, after = total(demand, lead_time), total(demand, lead_time + 1)
    mean = float(np.arange(len(demand)) @ demand) * step
    unmet = _short(level, after, step) - _short(level, before, step)
    on_hand = _short(level, after, step) + level - mean * (lead_time + 1)
    return 1.0 - unmet / mean, on_hand


def _short(level: Floats, demand: Floats, step: float) -> Floats:
    return np.asarray([np.clip(np.arange(len(demand)) * step - y, 0, None) @ demand for y in np.atleast_1d(level)])


def least_base_stock(demand: Floats, step: float, lead_time: int, target: float) -> tuple[float, float]:
    """The base stock [units] whose fill rate is `target`, by bisection, and its mean stock on hand [units]."""
    low, high = 0.0, len(demand) * step * (lead_time + 1)
    for _ in range(60):
        middle = 0.5 * (low + high)
        fill, _ = service_of(np.array([middle]), demand, step, lead_time)
        low, high = (middle, high) if float(fill[0]) < target else (low, middle)
    return high, float(service_of(np.array([high]), demand, step, lead_time)[1][0])


def price_of_service(level: float, demand: Floats, step: float, lead_time: int, holding_cost: float) -> float:
    """λ [money/unit] at which a base stock is best: h F_{L+1}(S) / (F_L(S) − F_{L+1}(S)) for continuous demand.

    For every policy, cost + λ (units unmet − units that may be unmet) is then at least the optimum.
    """
    before, after = (np.cumsum(total(demand, periods)) for periods in (lead_time, lead_time + 1))
    place = level / step
    met_before, met_after = (
        float(np.interp(place, np.arange(len(sums)) + 0.5, sums, right=1.0)) for sums in (before, after)
    )
    return holding_cost * met_after / (met_before - met_after)


def least_stock_by_program(demand: Floats, lead_time: int, target: float, lowest: int, highest: int) -> float:
    """Least mean stock on hand [units] of any policy that meets the target, whole-unit demand: a linear program over
    how often each position and order occur, lots drawn where that helps."""
    positions = Grid.box((lowest, highest))
    orders = Grid.box((0, highest - lowest))
    before, after = total(demand, lead_time), total(demand, lead_time + 1)
    levels = positions.axes[0]
    on_hand = np.clip(levels[:, None] - np.arange(len(after)), 0, None) @ after
    unmet = _short(levels, after, 1.0) - _short(levels, before, 1.0)

    def decide(states: Sequence[Floats], choices: Sequence[Floats]) -> tuple[Sequence[Floats], Floats]:
        return (states[0] + choices[0],), np.zeros(1)

    def realize(posts: Sequence[Floats], outcomes: Sequence[Floats]) -> tuple[Sequence[Floats], Floats]:
        return (posts[0] - outcomes[0],), on_hand[:, None]

    table = tabulate(positions, orders, decide, positions, realize, (np.arange(len(demand)),), demand)
    mean = float(np.arange(len(demand)) @ demand)
    return least_cost_by_program(table, unmet[table.post], (1 - target) * mean)
