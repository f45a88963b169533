"""The lot-sizing oracles against published optima and against each other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.oracles.capacitated_lots import FIVE_ITEMS, CapacitatedLots, by_enumeration, capacitated_lots, unit_sequence
from tests.oracles.wagner_whitin import wagner_whitin


def test_a_textbook_example_of_wagner_and_whitin() -> None:
    """Snyder and Shen, Fundamentals of Supply Chain Theory, 2nd ed., example 3.9."""
    cost, lots = wagner_whitin([90, 120, 80, 70], 500, 2)
    assert cost == 1380
    assert lots == [210, 0, 150, 0]


def test_the_example_of_the_paper() -> None:
    """Wagner and Whitin 1958, table 1: twelve months with setup costs of their own."""
    demand = [69, 29, 36, 61, 61, 26, 34, 67, 45, 67, 79, 56]
    setups = [85, 102, 102, 101, 98, 114, 105, 86, 119, 110, 98, 114]
    assert wagner_whitin(demand, setups, 1)[0] == 864


@pytest.mark.parametrize("demand", [[0, 5, 0, 0, 7, 3], [4, 0, 9, 2, 0, 6], [0, 0, 0]])
def test_no_choice_of_setups_is_cheaper(demand: list[float]) -> None:
    def cost(setups: tuple[bool, ...]) -> float:
        total, last = 0.0, None
        for period, wanted in enumerate(demand):
            last = period if setups[period] else last
            if wanted and last is None:
                return np.inf
            total += 6.0 * setups[period] + (wanted * 0.7 * (period - last) if last is not None else 0.0)
        return total

    cheapest = min(cost(setups) for setups in itertools.product((False, True), repeat=len(demand)))
    found, lots = wagner_whitin(demand, 6.0, 0.7)
    assert found == pytest.approx(cheapest)
    assert sum(lots) == sum(demand)


def two_items(**changes: float) -> CapacitatedLots:
    numbers = {"capacity": 20.0, "setup_time": 3.0} | changes
    return CapacitatedLots(
        demand=np.array([[8.0, 5.0, 9.0], [6.0, 7.0, 2.0]]),
        setup_cost=np.array([12.0, 9.0]),
        holding_cost=np.array([1.0, 2.0]),
        capacity=np.full(3, numbers["capacity"]),
        unit_time=np.array([1.0, 1.0]),
        setup_time=np.full(2, numbers["setup_time"]),
    )


@pytest.mark.parametrize("capacity", [20.0, 24.0, 60.0])
@pytest.mark.parametrize("setup_time", [0.0, 3.0])
def test_the_capacitated_program_is_the_best_choice_of_setups(capacity: float, setup_time: float) -> None:
    data = two_items(capacity=capacity, setup_time=setup_time)
    assert capacitated_lots(data) == pytest.approx(by_enumeration(data), abs=1e-6)


def test_without_a_limit_every_item_is_wagner_and_whitins() -> None:
    data = two_items(capacity=1e4)
    alone = [wagner_whitin(list(data.demand[k]), data.setup_cost[k], data.holding_cost[k])[0] for k in range(2)]
    assert capacitated_lots(data) == pytest.approx(sum(alone))


def test_demand_beyond_the_capacity_cannot_be_met() -> None:
    with pytest.raises(ValueError, match="infeasible"):
        capacitated_lots(two_items(capacity=14.0))


def test_a_published_sequence_of_five_items() -> None:
    orders, stocking, changeovers, optimum = FIVE_ITEMS
    wanted = [[int(digit) for digit in row] for row in orders]
    assert unit_sequence(wanted, stocking, changeovers) == optimum


def test_a_short_sequence_is_the_best_of_all_sequences() -> None:
    orders = [[0, 1, 0, 0, 1], [1, 0, 0, 1, 0]]
    stocking, changeovers = [2.0, 3.0], [[0.0, 5.0], [4.0, 0.0]]

    def cost(sequence: tuple[int, ...]) -> float:
        made = [np.cumsum([own == item for own in sequence]) for item in (0, 1)]
        left = [made[item] - np.cumsum(orders[item]) for item in (0, 1)]
        if min(row.min() for row in left) < 0:
            return np.inf
        order = [own for own in sequence if own < 2]
        changes = sum(changeovers[a][b] for a, b in itertools.pairwise(order))
        return float(changes + sum(stocking[item] * left[item].sum() for item in (0, 1)))

    cheapest = min(cost(sequence) for sequence in itertools.product((0, 1, 2), repeat=5))
    assert unit_sequence(orders, stocking, changeovers) == pytest.approx(cheapest)
