"""The optimum of one store with lost sales, any demand and lead time, by relative value iteration.

State before ordering: stock x (goods due now included) and the orders z_1 … z_{L−1} arriving after 1 … L−1 periods. An
order q joins as z_L; demand strikes; x' = (x − d)⁺ + z_1 and the orders move up (Zipkin 2008). The state space has
(x_max + 1)(q_max + 1)^{L−1} points, and an iteration is one matrix product per value of z_1.
"""

from __future__ import annotations

import numpy as np

from tests.oracles.demand import Floats, total


def lost_sales_store(
    demand: Floats,
    lead_time: int,
    holding_cost: float,
    shortage_cost: float,
    tolerance: float = 1e-6,
    max_iterations: int = 10_000,
) -> float:
    """Least average cost [money/period], within `tolerance`, for whole-unit demand of 0, 1, 2, … with `demand` chances.

    Raises: as `lost_sales_policy`.
    """
    return lost_sales_policy(demand, lead_time, holding_cost, shortage_cost, tolerance, max_iterations)[0]


def lost_sales_policy(
    demand: Floats,
    lead_time: int,
    holding_cost: float,
    shortage_cost: float,
    tolerance: float = 1e-6,
    max_iterations: int = 10_000,
) -> tuple[float, Floats]:
    """Least average cost [money/period], and the order [units] of every state (x, z_1, …, z_{L−1}).

    Raises:
        ValueError: a negative lead time, or the largest order considered is used (the grid is too small).
        RuntimeError: no convergence.
    """
    if lead_time < 0:
        raise ValueError("lead time is negative")
    ratio = shortage_cost / (holding_cost + shortage_cost)
    # The backlogged store's base stock is enough for the position; no order exceeds one period's fractile by much.
    most = int(np.searchsorted(np.cumsum(total(demand, lead_time + 1)), ratio)) + 1
    largest = int(np.searchsorted(np.cumsum(demand), ratio)) + 3
    expected = _expected_cost(demand, most, holding_cost, shortage_cost)
    if lead_time == 0:
        best = int(expected.argmin())
        return float(expected.min()), np.clip(best - np.arange(most + 1), 0, None)
    left = _left_over(demand, most)
    slots = (largest + 1,) * (lead_time - 1)
    value = np.zeros((most + 1, *slots))
    for _ in range(max_iterations):
        following, order = _best_orders(value, left, largest, lead_time)
        new = expected.reshape(-1, *(1,) * len(slots)) + following
        change = new - value
        if change.max() - change.min() < tolerance:
            if int(order.max()) >= largest:
                raise ValueError("the largest order considered is used: the grid is too small")
            return float(0.5 * (change.max() + change.min())), order
        value = new - new.flat[0]
    raise RuntimeError(f"value iteration did not converge in {max_iterations} iterations")


def _expected_cost(demand: Floats, most: int, holding_cost: float, shortage_cost: float) -> Floats:
    stock, units = np.arange(most + 1)[:, None], np.arange(len(demand))[None]
    cost = holding_cost * np.clip(stock - units, 0, None) + shortage_cost * np.clip(units - stock, 0, None)
    return np.asarray(cost @ demand)


def _left_over(demand: Floats, most: int) -> Floats:
    """Chance of each stock after demand, by stock before it: (x, x')."""
    chances = np.zeros((most + 1, most + 1))
    for units, chance in enumerate(demand):
        for stock in range(most + 1):
            chances[stock, max(stock - units, 0)] += chance
    return chances


def _best_orders(value: Floats, left: Floats, largest: int, lead_time: int) -> tuple[Floats, Floats]:
    """Least expected value of the next state over the order, and that order: arrays like `value`."""
    most = value.shape[0] - 1
    if lead_time == 1:  # the order itself is what joins stock
        following = np.stack([left @ value[_joined(most, q)] for q in range(largest + 1)], axis=-1)
        return following.min(-1), following.argmin(-1)
    best, orders = np.empty_like(value), np.empty(value.shape, dtype=np.int64)
    for arriving in range(largest + 1):
        # following[x, z_2 … z_{L−1}, q]: the last axis of `value` is the order just placed
        following = np.tensordot(left, value[_joined(most, arriving)], axes=1)
        best[:, arriving], orders[:, arriving] = following.min(-1), following.argmin(-1)
    return best, orders


def _joined(most: int, arriving: int) -> Floats:
    """Stock after an arrival, by stock before it; more than the grid holds counts as its end, which no one aims at."""
    return np.minimum(np.arange(most + 1) + arriving, most)
