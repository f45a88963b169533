"""Networks that differ in their demand alone, and histories with a known law, for the room's tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.inventory_network import PROBLEM
from models.inventory_network.instance import InventoryNetwork


def document(demand: dict[str, Any], stores: tuple[str, ...] = ("a", "b"), **changes: Any) -> dict[str, Any]:
    """Stores fed by one supplier."""
    return {
        "problem": "inventory_network",
        "name": "demand",
        "periods": 24,
        "nodes": [
            {"id": "supplier", "kind": "supplier"},
            *({"id": s, "kind": "store", "holding_cost": 1.0, "shortage_cost": 9.0} for s in stores),
        ],
        "lanes": [{"from": "supplier", "to": s, "lead_time": 2} for s in stores],
        "demand": demand,
    } | changes


def network(demand: dict[str, Any], **changes: Any) -> InventoryNetwork:
    """A validated network."""
    net = PROBLEM.parse(document(demand, **changes))
    assert isinstance(net, InventoryNetwork)
    return net


def weekly_history(rows: int = 140, seed: int = 0) -> list[list[float]]:
    """Poisson demand of two stores, one with a weekly season; Saturdays and Sundays are low."""
    rng = np.random.default_rng(seed)
    week = np.array([1.2, 1.2, 1.1, 1.0, 1.5, 0.6, 0.4])
    mean = np.stack([10 * week[np.arange(rows) % 7], np.full(rows, 8.0)], axis=1)
    return rng.poisson(mean).astype(float).tolist()


def autoregressive_history(rows: int = 400, keeps: float = 0.7, seed: int = 1) -> list[list[float]]:
    """AR(1) demand of two stores that hangs together from period to period and between the stores."""
    rng = np.random.default_rng(seed)
    level, found = np.zeros(2), []
    for _ in range(rows):
        common = rng.normal()
        level = keeps * level + np.sqrt(1 - keeps**2) * (0.8 * common + 0.6 * rng.normal(size=2))
        found.append(np.maximum(20 + 4 * level, 0).round(3).tolist())
    return found


PROCESSES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "poisson": ({"process": "poisson", "nodes": {"b": {"mean": 3.0}, "a": {"mean": 0.0}}}, {}),
    "poisson-large": ({"process": "poisson", "nodes": {"a": {"mean": 3.0}, "b": {"mean": 900.0}}}, {}),
    "normal": (
        {
            "process": "normal",
            "correlation": -0.4,
            "nodes": {"a": {"mean": 2.0, "std": 3.0}, "b": {"mean": 5.0, "std": 0.0}},
        },
        {},
    ),
    "negative_binomial": (
        {
            "process": "negative_binomial",
            "nodes": {"a": {"mean": 5.0, "variance": 12.0}, "b": {"mean": 0.5, "variance": 0.9}},
        },
        {},
    ),
    "seasonal": (
        {
            "process": "seasonal",
            "correlation": 0.5,
            "season": [0.5, 1.0, 1.5, 0.0],
            "shock": {"probability": 0.1, "factor": 3.0, "duration": 3},
            "nodes": {"a": {"mean": 5.0, "std": 3.0, "trend": 0.5}, "b": {"mean": 2.0, "std": 1.0, "season": [1, 2]}},
        },
        {},
    ),
    "seasonal-rolling": (
        {"process": "seasonal", "season": [1.0, 2.0, 0.5], "nodes": {s: {"mean": 4.0, "std": 1.0} for s in "ab"}},
        {"warmup_periods": 3},
    ),
    "intermittent": (
        {
            "process": "intermittent",
            "nodes": {
                "a": {"probability": 0.2, "size_mean": 3.0},
                "b": {"probability": 0.5, "size_mean": 4.0, "size_variance": 0.0},
            },
        },
        {},
    ),
    "empirical": ({"process": "empirical", "nodes": ["b", "a"], "history": weekly_history()}, {}),
    "blocks": ({"process": "empirical", "nodes": ["a", "b"], "history": weekly_history(60), "block": 9}, {}),
    "blocks-in-season": (
        {"process": "empirical", "nodes": ["b", "a"], "history": weekly_history(59), "block": 5, "season_length": 7},
        {},
    ),
    "weekdays": (
        {"process": "empirical", "nodes": ["b", "a"], "history": weekly_history(), "covariates": ["weekday"]},
        {"start_date": "2026-01-05"},
    ),
    "calendar-and-gap": (
        {
            "process": "empirical",
            "nodes": ["a", "b"],
            "history": weekly_history(400),
            "block": 4,
            "first_date": "2024-06-01",
            "covariates": ["weekday", "month"],
        },
        {"start_date": "2026-01-25", "warmup_periods": 2},
    ),
}
"""Name → demand and what else of the network it needs; every feature of every process is in one of them."""
