"""What a demand process must be: every rule refuses, or warns, with the field it is about."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from models.core import InvalidInput
from models.inventory_network import PROBLEM
from tests.models.demand_networks import PROCESSES, autoregressive_history, document, weekly_history

DATED = {"start_date": "2026-01-05"}


def empirical(**changes: Any) -> dict[str, Any]:
    return {"process": "empirical", "nodes": ["a", "b"], "history": weekly_history(70)} | changes


def priced(price: list[list[float]] | None = None, **changes: Any) -> dict[str, Any]:
    """A history with two prices, a hundred periods long."""
    rng = np.random.default_rng(0)
    drawn = rng.choice([1.0, 1.3], size=(100, 2))
    history = (rng.poisson(50, size=(100, 2)) / drawn**1.5).tolist()
    return (
        empirical(history=history, prices=drawn.tolist() if price is None else price, planned_prices=[[1.0, 1.0]] * 24)
        | changes
    )


def pointers(demand: dict[str, Any], **changes: Any) -> dict[str, str]:
    """Pointer → detail of everything refused."""
    with pytest.raises(InvalidInput) as caught:
        PROBLEM.parse(document(demand, **changes))
    return {issue.pointer: issue.detail for issue in caught.value.issues}


def remarks(demand: dict[str, Any], **changes: Any) -> dict[str, str]:
    """Pointer → detail of everything strained, in a network that is taken."""
    issues = list(PROBLEM.parse(document(demand, **changes)).rules())
    assert all(issue.severity == "warning" for issue in issues)
    return {issue.pointer: issue.detail for issue in issues}


def changed(name: str, path: list[str | int], value: Any) -> dict[str, Any]:
    demand = copy.deepcopy(PROCESSES[name][0])
    place: Any = demand
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return demand


REFUSED = [
    ("poisson", ["nodes", "a", "mean"], -1.0, "/demand/nodes/a/mean"),
    ("poisson", ["nodes", "a", "mean"], float("nan"), "/demand/nodes/a/mean"),
    ("poisson", ["nodes", "c"], {"mean": 1.0}, "/demand/nodes/c"),
    ("normal", ["nodes", "a", "std"], -1.0, "/demand/nodes/a/std"),
    ("normal", ["correlation"], -1.01, "/demand/correlation"),
    ("normal", ["nodes", "supplier"], {"mean": 1.0, "std": 1.0}, "/demand/nodes/supplier"),
    ("negative_binomial", ["nodes", "a", "variance"], 5.0, "/demand/nodes/a/variance"),
    ("negative_binomial", ["nodes", "a", "variance"], 4.0, "/demand/nodes/a/variance"),
    ("negative_binomial", ["nodes", "a", "mean"], 0.0, "/demand/nodes/a/mean"),
    ("seasonal", ["season"], [], "/demand/season"),
    ("seasonal", ["season"], [0.0, 0.0], "/demand/season"),
    ("seasonal", ["season"], [1.0, -1.0], "/demand/season/1"),
    ("seasonal", ["season"], [1.0, 1.0, 2.0], "/demand/nodes/b/season"),
    ("seasonal", ["nodes", "b", "season"], [0.0, 0.0], "/demand/nodes/b/season"),
    ("seasonal", ["nodes", "a", "trend"], -0.5, "/demand/nodes/a/trend"),
    ("seasonal", ["shock", "probability"], 1.5, "/demand/shock/probability"),
    ("seasonal", ["shock", "probability"], -0.1, "/demand/shock/probability"),
    ("seasonal", ["shock", "duration"], 0, "/demand/shock/duration"),
    ("seasonal", ["shock", "factor"], -1.0, "/demand/shock/factor"),
    ("seasonal", ["correlation"], 2.0, "/demand/correlation"),
    ("intermittent", ["nodes", "a", "probability"], 0.0, "/demand/nodes/a/probability"),
    ("intermittent", ["nodes", "a", "probability"], 1.1, "/demand/nodes/a/probability"),
    ("intermittent", ["nodes", "a", "size_mean"], 0.5, "/demand/nodes/a/size_mean"),
    ("intermittent", ["nodes", "a", "size_variance"], 1.5, "/demand/nodes/a/size_variance"),
    ("empirical", ["history", 3], [1.0], "/demand/history/3"),
    ("empirical", ["history", 3, 0], -1.0, "/demand/history/3/0"),
    ("empirical", ["history", 3, 0], float("nan"), "/demand/history/3/0"),
    ("empirical", ["history", 3, 0], "3", "/demand/history/3/0"),
    ("empirical", ["history"], [], "/demand/history"),
    ("empirical", ["nodes"], ["a", "a"], "/demand/nodes"),
    ("empirical", ["nodes"], ["a", "z"], "/demand/nodes/1"),
    ("empirical", ["nodes"], ["supplier", "b"], "/demand/nodes/0"),
    ("empirical", ["block"], 0, "/demand/block"),
    ("empirical", ["block"], 141, "/demand/block"),
    ("empirical", ["season_length"], 71, "/demand/season_length"),
    ("empirical", ["covariates"], ["weekday"], "/demand/covariates"),
    ("empirical", ["first_date"], "2020-01-01", "/demand/first_date"),
    ("empirical", ["forecast"], "guess", "/demand/forecast"),
]


@pytest.mark.parametrize(("name", "path", "value", "where"), REFUSED)
def test_a_broken_rule_names_its_field(name, path, value, where):
    found = pointers(changed(name, path, value))
    assert where in found, found
    assert all(found.values())


DATED_REFUSED = [
    (empirical(block=66, season_length=7), {}, "/demand/block", "fill a season"),
    (empirical(covariates=["weekday", "weekday"]), DATED, "/demand/covariates", "twice"),
    (empirical(covariates=["weekday"]), DATED | {"period_days": 7}, "/demand/covariates", "one day"),
    (empirical(covariates=["month"]), DATED, "/demand/covariates", "of the 12"),
    (empirical(history=weekly_history(5), covariates=["weekday"]), DATED, "/demand/covariates", "of the 7"),
    (empirical(first_date="2026-02-30"), DATED, "/demand/first_date", "calendar"),
    (empirical(first_date="2025-12-30"), DATED, "/demand/first_date", "past start_date"),
    (empirical(first_date="2024-01-02"), DATED | {"period_days": 7}, "/demand/first_date", "whole number"),
    (priced(prices=None), {}, "/demand/prices", "missing"),
    (priced(planned_prices=None), {}, "/demand/planned_prices", "missing"),
    (priced(planned_prices=[[1.0, 1.0]] * 23), {}, "/demand/planned_prices", "each of the 24"),
    (priced(planned_prices=[]), {"warmup_periods": 2}, "/demand/planned_prices", "has 0 rows"),
    (priced(planned_prices=[[1.0, 1.0]] * 23 + [[1.0]]), {}, "/demand/planned_prices/23", "needs one for each"),
    (priced([[1.0, 1.0]] * 99), {}, "/demand/prices", "has 99 rows"),
    (priced([[1.0, 1.0]] * 99 + [[1.0]]), {}, "/demand/prices/99", "needs one for each"),
    (priced(prices=[[1.0, 0.0]] * 100), {}, "/demand/prices/0/1", "greater than 0"),
    (priced([[1.0, 1.0 + k % 2] for k in range(100)]), {}, "/demand/prices", "a: the price never changes"),
    (
        priced([[1.0 + k % 3, 1.0 + (k % 7 > 4)] for k in range(100)], covariates=["weekday"]),
        DATED,
        "/demand/prices",
        "b: the price changes only with the calendar",
    ),
    (
        priced(
            [[1.0 + k % 3, 1.0 + k % 2] for k in range(100)],
            history=[[1.0, 0.0] if k else [1.0, 2.0] for k in range(100)],
        ),
        {},
        "/demand/prices",
        "b: only 1 periods with demand",
    ),
]


@pytest.mark.parametrize(("demand", "changes", "where", "words"), DATED_REFUSED)
def test_a_history_that_does_not_fit_is_refused_with_the_reason(demand, changes, where, words):
    found = pointers(demand, **changes)
    assert where in found, found
    assert words in found[where]


def test_a_trend_without_end_is_refused_and_with_an_end_taken():
    demand = changed("seasonal-rolling", ["nodes", "a", "trend"], 0.1)
    assert '"horizon": "finite"' in pointers(demand, warmup_periods=3)["/demand/nodes/a/trend"]
    assert remarks(demand) == {}


def test_a_falling_trend_is_refused_only_if_the_mean_falls_below_zero_in_time():
    demand = changed("seasonal-rolling", ["nodes", "a", "trend"], -0.2)
    assert "period 21" in pointers(demand)["/demand/nodes/a/trend"]
    assert remarks(demand, periods=21) == {}


def test_forecasts_without_the_library_are_refused_with_the_command_that_brings_it(monkeypatch):
    monkeypatch.setattr("models.inventory_network.demand.history.find_spec", lambda name: None)
    assert (
        "pip install 'herenow[forecast]'" in pointers(empirical(forecast="exponential_smoothing"))["/demand/forecast"]
    )


class TestWarnings:
    def test_a_season_longer_than_what_is_simulated(self):
        demand = changed("seasonal-rolling", ["season"], [1.0] * 25 + [2.0])
        assert "never seen" in remarks(demand, warmup_periods=3)["/demand/season"]

    def test_blocks_that_repeat_the_history(self):
        assert "fewer than four" in remarks(empirical(block=20))["/demand/block"]

    def test_a_history_that_grew(self):
        history = [[5.0 + 0.1 * k + k % 3, 5.0] for k in range(100)]
        assert "as if it had not changed" in remarks(empirical(history=history))["/demand/history"]

    def test_a_history_that_only_varies_is_taken_without_a_word(self):
        assert remarks(empirical(history=autoregressive_history(), block=8)) == {}
        assert remarks(empirical(season_length=7)) == {}

    def test_prices_beyond_those_seen(self):
        demand = priced(planned_prices=[[1.0, 2.0]] * 24)
        assert "b: planned prices leave the range" in remarks(demand)["/demand/planned_prices"]

    def test_an_effect_of_the_price_that_cannot_be_told_from_chance(self):
        rng = np.random.default_rng(3)
        prices = rng.choice([1.0, 1.01], size=(100, 2)).tolist()
        history = rng.poisson(5, size=(100, 2)).astype(float).tolist()
        found = remarks(priced(prices, history=history))["/demand/prices"]
        assert "uncertain" in found or "rose with the price" in found
