"""The optimum of one warehouse and two stores that lose demand, by value iteration over the whole network.

Every lead time is 1 and goods are usable when they arrive, so stock is all there is to know. In a period: the warehouse
orders r from outside and ships a₁ + a₂ ≤ w; what it has left pays; demand strikes the stores, and
x_i' = (x_i − d_i)⁺ + a_i, w' = w − a₁ − a₂ + r. Plain loops over tables: for small boxes of states only.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from tests.oracles.demand import Floats


def least_cost(
    joint: Floats, holding: tuple[float, float], shortage: tuple[float, float], warehouse: float, room: tuple[int, int]
) -> float:
    """Least average cost [money/period].

    Args:
        joint: (d₁, d₂) probabilities of the stores' demand together.
        holding: of the stores [money/unit/period].
        shortage: of the stores [money/unit lost].
        warehouse: the warehouse's holding cost [money/unit/period].
        room: the most that the warehouse, and a store, can hold [units]; wide enough that more is of no use.

    Raises:
        RuntimeError: no convergence.
    """
    most, top = room
    stock = np.arange(top + 1)
    spent, left = _store_tables(joint, holding, shortage, stock)
    value = np.zeros((most + 1, top + 1, top + 1))
    for _ in range(5000):
        new = np.full_like(value, np.inf)
        for first, second in product(stock, stock):
            ahead = _received(value, left, int(first), int(second))  # (w', x₁, x₂)
            ahead = np.minimum.accumulate(ahead[::-1])[::-1]  # the order r: any w' ≥ what is left
            for w in range(first + second, most + 1):
                rest = w - first - second
                new[w] = np.minimum(new[w], warehouse * rest + ahead[rest])
        new += spent
        change = new - value
        if change.max() - change.min() < 1e-7:
            return float(change.max())
        value = new - new.flat[0]
    raise RuntimeError("value iteration did not converge")


def _store_tables(
    joint: Floats, holding: tuple[float, float], shortage: tuple[float, float], stock: np.ndarray
) -> tuple[Floats, list[tuple[float, int, int]]]:
    spent = np.zeros((len(stock), len(stock)))
    struck = [(float(joint[d]), *d) for d in np.ndindex(joint.shape) if joint[d] > 0]
    for chance, one, two in struck:
        costs = [
            h * np.clip(stock - d, 0, None) + p * np.clip(d - stock, 0, None)
            for d, h, p in zip((one, two), holding, shortage, strict=True)
        ]
        spent += chance * (costs[0][:, None] + costs[1][None, :])
    return spent, struck


def _received(value: Floats, struck: list[tuple[float, int, int]], first: int, second: int) -> Floats:
    top = value.shape[1] - 1
    stock = np.arange(top + 1)
    found = np.zeros_like(value)
    for chance, one, two in struck:
        rows = np.minimum(np.clip(stock - one, 0, None) + first, top)
        columns = np.minimum(np.clip(stock - two, 0, None) + second, top)
        found += chance * value[:, rows[:, None], columns[None, :]]
    return found
