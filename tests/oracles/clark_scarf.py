"""The optimum of a serial supply line with backlogged demand: echelon base-stock levels, stage by stage.

Clark and Scarf (1960), for the order of events of the inventory network: ship, then demand; a node upstream pays
holding on what is left after shipping, goods in transit cost nothing, the store pays on what is left after demand. With
T_i the echelon position of node i after ordering, the cost of a period is

    G(T_1) + Σ_{i>1} h_i (E_i − T_{i−1}),   E_i(t) = T_i(t − L_i) − demand of L_i periods,   T_{i−1} ≤ E_i

with G the store's expected holding and shortage cost after L_1 + 1 demands. It falls apart into

    C_1(y) = G(y) − h_2 y,   C_i(y) = E[ min_{T ≤ y − D(L_i)} C_{i−1}(T) + h_i (y − D(L_i)) ] − h_{i+1} y

and the least C_N is the average cost. Expectations are convolutions on a grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.oracles.demand import Floats, clipped_normal, convolve, total


def serial_line(
    mean: float,
    std: float,
    lead_times: Sequence[int],
    holding_costs: Sequence[float],
    shortage_cost: float,
    step: float = 0.02,
) -> tuple[list[float], float]:
    """Optimal echelon base-stock levels, store first, and average cost [units, money/period].

    Demand is normal, clipped at zero; lead times and holding costs are listed from the store to the top.
    """
    return serial_line_of(clipped_normal(mean, std, step), step, lead_times, holding_costs, shortage_cost)


def serial_line_of(
    single: Floats, step: float, lead_times: Sequence[int], holding_costs: Sequence[float], shortage_cost: float
) -> tuple[list[float], float]:
    """The same for any demand of 0, 1, 2, … steps with chances `single`."""
    values, periods = np.arange(len(single)) * step, sum(lead_times) + 1
    mean = float(values @ single)
    std = float(((values - mean) ** 2 @ single) ** 0.5)
    sums = [total(single, lead + (i == 0)) for i, lead in enumerate(lead_times)]
    upstream = [*holding_costs[1:], 0.0]
    # Every expectation uses up as much of the low end of the grid as its demand is long.
    low = -sum(len(demand) for demand in sums)
    high = round((periods * mean + 8 * std * periods**0.5) / step)  # above every level worth keeping
    levels: list[float] = []
    points = np.arange(low, high + 1) * step
    inner = holding_costs[0] * np.clip(points, 0.0, None) + shortage_cost * np.clip(-points, 0.0, None)
    for demand, above, here in zip(sums, upstream, [0.0, *holding_costs[1:]], strict=True):
        points, cost = _expected(points, inner + here * points, demand)
        cost = cost - above * points
        levels.append(float(points[np.argmin(cost)]))
        inner = np.minimum.accumulate(cost)  # the least cost with T at most y
    return levels, float(cost.min())


def _expected(points: Floats, values: Floats, demand: Floats) -> tuple[Floats, Floats]:
    """E[values at y − demand] for every grid point y whose y − demand is on the grid, and those points."""
    # Fourier rounding is relative to the largest value: the steep low end is measured from a straight line.
    slope = (values[1] - values[0]) / (points[1] - points[0])
    bent = values - values[0] - slope * (points - points[0])
    mean = float(np.arange(len(demand)) @ demand) * (points[1] - points[0])
    kept = slice(len(demand) - 1, len(points))
    line = values[0] + slope * (points - mean - points[0])
    return points[kept], convolve(bent, demand)[kept] + line[kept]
