"""The oracles against published numbers and against each other."""

import numpy as np
import pytest

from tests.oracles.clark_scarf import serial_line
from tests.oracles.demand import clipped_normal, poisson, total
from tests.oracles.lost_sales import lost_sales_store
from tests.oracles.newsvendor import backlogged_store

PENALTIES = (4, 9, 19, 39)


@pytest.mark.parametrize(
    ("lead_time", "costs"),
    [
        (1, (3.1666, 3.9703, 4.6666, 5.2891)),
        (4, (5.0062, 6.2769, 7.3779, 8.3620)),
        (10, (7.4245, 9.3091, 10.9419, 12.4017)),
    ],
)
def test_one_backlogged_store_is_a_newsvendor(lead_time: int, costs: tuple[float, ...]) -> None:
    found = [backlogged_store(5.0, 1.6, lead_time, 1.0, p)[1] for p in PENALTIES]
    assert found == pytest.approx(costs, abs=6e-5)


@pytest.mark.parametrize(
    ("lead_time", "costs", "digits"),
    [
        (1, (4.04, 5.44, 6.68, 7.84), 2),
        (2, (4.40, 6.09, 7.66, 9.11), 2),
        (3, (4.60, 6.53, 8.36, 10.04), 2),
        (4, (4.7285, 6.8359, 8.8872, 10.7944), 4),
    ],
)
def test_one_store_with_lost_sales_is_zipkins_table(lead_time: int, costs: tuple[float, ...], digits: int) -> None:
    found = [round(lost_sales_store(poisson(5.0), lead_time, 1.0, p, tolerance=1e-6), digits) for p in PENALTIES]
    assert found == pytest.approx(costs, abs=1e-9)


def test_lost_sales_without_lead_time_is_one_periods_newsvendor() -> None:
    demand = poisson(5.0)
    units = np.arange(len(demand))
    by_hand = min(float(np.where(units < s, s - units, 9.0 * (units - s)) @ demand) for s in range(20))
    assert lost_sales_store(demand, 0, 1.0, 9.0) == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("lead_times", "costs"),
    [
        ((4, 3, 4, 2), (8.7525, 10.7339, 12.4201, 13.9100)),
        ((1, 3, 4, 2), (6.8986, 8.3669, 9.6080, 10.7009)),
    ],
)
def test_four_echelons_are_clark_and_scarfs(lead_times: tuple[int, ...], costs: tuple[float, ...]) -> None:
    found = [serial_line(5.0, 2.0, lead_times, (1.0, 0.5, 0.2, 0.1), p)[1] for p in PENALTIES]
    assert found == pytest.approx(costs, abs=3e-4)


def test_seven_echelons() -> None:
    levels, cost = serial_line(5.0, 2.0, (4, 3, 2, 3, 1, 4, 2), (1.0, 0.5, 0.4, 0.3, 0.25, 0.2, 0.1), 9.0)
    assert cost == pytest.approx(12.2890, abs=3e-4)
    assert levels == sorted(levels)


def test_one_echelon_is_the_newsvendor() -> None:
    levels, cost = serial_line(5.0, 1.6, (4,), (1.0,), 9.0, step=0.01)
    level, exact = backlogged_store(5.0, 1.6, 4, 1.0, 9.0)
    assert cost == pytest.approx(exact, abs=1e-4)
    assert levels[0] == pytest.approx(level, abs=0.02)


def test_sums_keep_mean_and_variance() -> None:
    step = 0.01
    sums = total(clipped_normal(5.0, 1.6, step), 5)
    values = np.arange(len(sums)) * step
    assert sums.sum() == pytest.approx(1.0)
    assert values @ sums == pytest.approx(5 * 5.0002, abs=2e-3)  # clipping lifts the mean a little
    assert (values**2) @ sums - (values @ sums) ** 2 == pytest.approx(5 * 1.6**2, rel=2e-3)
