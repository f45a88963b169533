"""What explains past demand: multipliers of weekday and month, and how demand answers to price."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.inventory_network.demand.timeline import Floats, Ints

SWEEPS = 50


def calendar_multipliers(demand: Floats, groups: list[Ints], sizes: list[int]) -> list[Floats]:
    """Multipliers (group member, store) of demand (row, store), one table for each way of grouping the rows.

    Weekday and month together are fitted by proportional fitting, which gives the maximum likelihood of a log-linear
    Poisson rate. Over the rows each table averages one. A store that never had demand has multipliers of one.
    """
    mean = demand.mean(0)
    tables = [np.ones((size, demand.shape[1])) for size in sizes]
    for _ in range(SWEEPS if len(groups) > 1 else 1):
        for k, group in enumerate(groups):
            others = np.ones_like(demand) * mean
            for other, table in enumerate(tables):
                if other != k:
                    others *= table[groups[other]]
            seen, due = _sums(demand, group, sizes[k]), _sums(others, group, sizes[k])
            table = np.divide(seen, due, out=np.ones_like(seen), where=due > 0)
            average = table[group].mean(0)
            tables[k] = np.divide(table, average, out=np.ones_like(table), where=average > 0)
    return tables


def _sums(values: Floats, group: Ints, size: int) -> Floats:
    total = np.zeros((size, values.shape[1]))
    np.add.at(total, group, values)
    return total


@dataclass(frozen=True)
class Elasticity:
    """How one store's demand answers to its price: demand ∝ price^−ε."""

    value: float  # ε
    standard_error: float
    problem: str = ""  # why it cannot be told from the history; empty if it can


def price_elasticity(demand: Floats, prices: Floats, groups: list[Ints], sizes: list[int]) -> Elasticity:
    """ε of one store (row,) by least squares: log demand = a + calendar − ε·log price, periods without demand left out.

    The calendar enters with one indicator per group member, so that a price cut every December is not taken for the
    effect of December.
    """
    sold = demand > 0
    logs, price = np.log(demand[sold]), np.log(prices[sold])
    design = [np.ones(len(logs))]
    for group, size in zip(groups, sizes, strict=True):
        design += [(group[sold] == member).astype(np.float64) for member in range(1, size)]
    calendar = np.stack(design, axis=1)
    if len(logs) < np.linalg.matrix_rank(calendar) + 3:
        return Elasticity(0.0, np.inf, f"only {len(logs)} periods with demand: too few to tell what the price does")
    price_left = price - calendar @ np.linalg.lstsq(calendar, price, rcond=None)[0]
    if np.ptp(price) < 1e-9:
        return Elasticity(0.0, np.inf, "the price never changes in the periods with demand")
    if price_left.std() < 1e-6 * max(price.std(), 1e-12) or price_left.std() < 1e-9:
        return Elasticity(0.0, np.inf, "the price changes only with the calendar: the two effects cannot be told apart")
    log_left = logs - calendar @ np.linalg.lstsq(calendar, logs, rcond=None)[0]
    moment = float(price_left @ price_left)
    slope = float(price_left @ log_left) / moment
    freedom = len(logs) - int(np.linalg.matrix_rank(calendar)) - 1
    error = np.sqrt(float(((log_left - slope * price_left) ** 2).sum()) / freedom / moment)
    return Elasticity(-slope, float(error))
