"""The optimal base stock of one store with backlogged demand: a newsvendor over L+1 periods.

An order decided now is followed by L+1 demands before the next one can matter, so the average cost of keeping the
position at S is h E[(S − X)⁺] + b E[(X − S)⁺] with X the demand of L+1 periods (Arrow, Harris, Marschak 1951).
"""

from __future__ import annotations

import numpy as np

from tests.oracles.demand import Floats, clipped_normal, total


def newsvendor(distribution: Floats, step: float, holding_cost: float, shortage_cost: float) -> tuple[float, float]:
    """Optimal level and its expected cost for demand of 0, 1, 2, … steps [units, money/period]."""
    values = np.arange(len(distribution)) * step
    cumulative = np.cumsum(distribution)
    best = int(np.searchsorted(cumulative, shortage_cost / (holding_cost + shortage_cost)))
    over = np.clip(values[best] - values, 0.0, None) @ distribution
    short = np.clip(values - values[best], 0.0, None) @ distribution
    return float(values[best]), float(holding_cost * over + shortage_cost * short)


def backlogged_store(
    mean: float, std: float, lead_time: int, holding_cost: float, shortage_cost: float, step: float = 0.005
) -> tuple[float, float]:
    """Optimal base-stock level and average cost under normal demand clipped at zero [units, money/period]."""
    demand = total(clipped_normal(mean, std, step), lead_time + 1)
    return newsvendor(demand, step, holding_cost, shortage_cost)
