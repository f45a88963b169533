"""Optima of a backlogged store with restricted orders by the argument special to each restriction, not by iteration.

G(y) is the expected cost of a period that starts ordering up to position y: a newsvendor's over L+1 demands.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.oracles.demand import Floats, total
from tests.oracles.one_lane import single_period_cost

Cost = Callable[[Floats], Floats]


def position_cost(demand: Floats, lead_time: int, holding_cost: float, shortage_cost: float) -> Cost:
    """G as a function of the position after ordering."""
    sums = total(demand, lead_time + 1)
    return lambda levels: single_period_cost(np.asarray(levels, float), sums, holding_cost, shortage_cost)


def capacitated(demand: Floats, cost: Cost, capacity: int, levels: range, longest: int = 2_000) -> tuple[int, float]:
    """Best base stock S and average cost when at most `capacity` can be ordered a period.

    Ordering min(S − x, C) is optimal (Federgruen and Zipkin 1986); the shortfall V below S before demand then walks as
    V' = (V + D − C)⁺ whatever S is, so its long-run distribution is found once and the cost is E G(S − V).
    """
    shortfall = np.zeros(longest)
    shortfall[0] = 1.0
    for _ in range(100_000):
        raised = np.convolve(shortfall, demand)
        new = np.append(raised[: capacity + 1].sum(), raised[capacity + 1 :])[:longest]
        if float(np.abs(new - shortfall).sum()) < 1e-14:
            break
        shortfall = new
    kept = np.nonzero(shortfall > 1e-16)[0]
    costs = {level: float(cost(level - kept) @ shortfall[kept]) for level in levels}
    best = min(costs, key=lambda level: costs[level])
    return best, costs[best]


def reorder_point_lots(cost: Cost, multiple: int, points: range) -> tuple[int, float]:
    """Best R and average cost when orders are whole multiples of Q.

    The fewest lots that lift the position above R are ordered. That is optimal (Veinott 1965), and the position after
    ordering is R+1 … R+Q with equal chance (Hadley and Whitin 1963) if demand can make all of them reachable.
    """
    costs = {r: float(cost(np.arange(r + 1, r + multiple + 1)).mean()) for r in points}
    best = min(costs, key=lambda r: costs[r])
    return best, costs[best]


def reorder_point_order_up_to(demand: Floats, cost: Cost, fixed_order_cost: float) -> tuple[int, int, float]:
    """Best (s, S) and average cost by the algorithm of Zheng and Federgruen (1991).

    Between orders the position falls from S; m(j) counts how often it stands j below S. The cost of a cycle over its
    length, c(s, S) = (K + Σ_{j<S−s} m(j) G(S − j)) / Σ_{j<S−s} m(j), is searched from the minimum of G outwards.
    """
    visits = _visits(demand, 2_000)
    length = np.cumsum(visits)

    def average(low: int, high: int) -> float:
        steps = np.arange(high - low)
        return float((fixed_order_cost + visits[steps] @ cost(high - steps)) / length[high - low - 1])

    def single(level: int) -> float:
        return float(cost(np.array([level]))[0])

    middle = next(y for y in range(-1_000, 10_000) if single(y) <= single(y + 1))
    high, low = middle, middle - 1
    while average(low, middle) > single(low):
        low -= 1
    best = average(low, high)
    candidate = high + 1
    while single(candidate) <= best:
        if average(low, candidate) < best:
            high = candidate
            while average(low, high) <= single(low + 1):
                low += 1
            best = average(low, high)
        candidate += 1
    return low, high, best


def _visits(demand: Floats, longest: int) -> Floats:
    """Expected number of periods in which the position stands 0, 1, 2, … below where it started (renewal equation)."""
    visits = np.zeros(longest)
    visits[0] = 1.0 / (1.0 - demand[0])
    for j in range(1, longest):
        k = np.arange(1, min(j, len(demand) - 1) + 1)
        visits[j] = visits[j - k] @ demand[k] / (1.0 - demand[0])
    return visits
