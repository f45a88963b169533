"""Optima and lower bounds that decompose: lines in series (Clark and Scarf), one warehouse with many stores.

Every expectation is a convolution on a grid of echelon positions. Long-run average cost per period.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.inventory_network.exact.grid import Floats, Grid, linear_cost, total
from models.inventory_network.exact.store import Optimum


@dataclass(frozen=True)
class Echelon:
    """One location of a line, or a warehouse."""

    lead_time: int  # [periods] from the supply above
    holding_cost: float  # h [money/unit/period]


def serial_line(single: Grid, line: Sequence[Echelon], shortage_cost: float) -> Optimum:
    """Optimal echelon base-stock levels and cost of locations in series, store first (Clark and Scarf 1960).

    With T_i the echelon position of location i after ordering, E_i the echelon stock it leaves and G the store's cost
    over L_1 + 1 periods, a period costs G(T_1) + Σ_{i>1} h_i (E_i − T_{i−1}) with T_{i−1} ≤ E_i. It falls apart into

        C_1(y) = G(y) − h_2 y,   C_i(y) = E[ min_{T ≤ y − D(L_i)} C_{i−1}(T) + h_i (y − D(L_i)) ] − h_{i+1} y

    and the least C_N is the average cost.
    """
    store, *above = line
    step = single.step
    sums = [total(single, echelon.lead_time) for echelon in above]
    final = total(single, store.lead_time + 1)
    # Every expectation uses up as much of the low end of the grid as its demand is long.
    low = -sum(len(demand.mass) - 1 for demand in sums) - len(final.mass)
    mean = single.mean / step
    covered = sum(echelon.lead_time for echelon in line) + 1
    high = round(mean * covered + 8 * single.std / step * np.sqrt(covered)) + 2
    positions = np.arange(low, high + 1, dtype=np.float64) * step
    cost = linear_cost(final, positions, store.holding_cost, shortage_cost)
    upstream = [echelon.holding_cost for echelon in above] + [0.0]
    cost = cost - upstream[0] * positions
    levels = [float(positions[np.argmin(cost)])]
    for demand, here, beyond in zip(sums, upstream[:-1], upstream[1:], strict=True):
        inner = np.minimum.accumulate(cost) + here * positions  # the least cost with T at most y
        positions, cost = expected_after(positions, inner, demand)
        cost = cost - beyond * positions
        levels.append(float(positions[np.argmin(cost)]))
    least = float(cost.min())
    return Optimum(least, least, {str(k): level for k, level in enumerate(levels)})


def expected_after(positions: Floats, values: Floats, demand: Grid) -> tuple[Floats, Floats]:
    """E[values at y − demand] for every position y whose y − demand is on the grid, and those positions."""
    # Fourier rounding is relative to the largest value: the steep low end is measured from a straight line.
    slope = (values[1] - values[0]) / demand.step
    bent = values - values[0] - slope * (positions - positions[0])
    length = len(bent) + len(demand.mass) - 1
    size = 1 << (length - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(bent, size) * np.fft.rfft(demand.mass, size), size)[:length]
    kept = slice(len(demand.mass) - 1, len(positions))
    line = values[0] + slope * (positions - demand.mean - positions[0])
    return positions[kept], np.asarray(product[kept] + line[kept])


@dataclass(frozen=True)
class Branch:
    """One store behind a warehouse, its demand over L + 1 periods known."""

    covered: Grid  # demand of L + 1 periods
    holding_cost: float
    shortage_cost: float


def balance_relaxation(
    joint: Grid, warehouse: Echelon, branches: Sequence[Branch], keeps_nothing: bool = False
) -> Optimum:
    """A lower bound for one warehouse and backlogged stores: stock may be moved between stores at will.

    Whatever the policy, after the warehouse's lead time the echelon's stock E = y − D(L_w) is what the stores'
    positions z_i and the warehouse's own stock share, so the period costs at least

        R(E) = min { Σ G_i(z_i) + h_w (E − Σ z_i) : Σ z_i ≤ E },   and the average at least min_y E R(y − D(L_w)),

    with = for ≤ where the warehouse keeps nothing (Eppen and Schrage 1981; Federgruen and Zipkin 1984).

    Args:
        joint: demand of all stores together in one period.
    """
    step = joint.step
    slopes, at_low, low = _allocation(branches, step)
    shared = at_low + np.concatenate([[0.0], np.cumsum(slopes * step)])
    behind = total(joint, warehouse.lead_time)
    # A long straight end below and above, along which R goes on with its last slopes.
    extra = len(behind.mass) + 1
    positions = low + np.arange(-extra, len(slopes) + 1 + extra, dtype=np.float64) * step
    head = at_low + slopes[0] * step * np.arange(-extra, 0)
    tail = shared[-1] + slopes[-1] * step * np.arange(1, extra + 1)
    shared = np.concatenate([head, shared, tail])
    if not keeps_nothing:
        # Keeping back: the least over z ≤ E of shared(z) + h (E − z)
        held = warehouse.holding_cost
        shared = np.minimum.accumulate(shared - held * positions) + held * positions
    levels, cost = expected_after(positions, shared, behind)
    least = int(np.argmin(cost))
    return Optimum(float(cost[least]), float("inf"), {"echelon_base_stock": float(levels[least])})


def _allocation(branches: Sequence[Branch], step: float) -> tuple[Floats, float, float]:
    """Σ G_i(z_i) least over Σ z_i = z: its slopes per step in rising order, its value and place at the low end.

    The least sum of convex functions takes the flattest step first (infimal convolution).
    """
    slopes, at_low, low = [], 0.0, 0.0
    for branch in branches:
        levels = np.arange(-1.0, len(branch.covered.mass) + 1) * step
        costs = linear_cost(branch.covered, levels, branch.holding_cost, branch.shortage_cost)
        slopes.append(np.diff(costs) / step)
        at_low += float(costs[0])
        low += float(levels[0])
    return np.sort(np.concatenate(slopes)), at_low, low
