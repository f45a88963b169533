"""Every lower bound on every network of the problem's page: value, known value, time, gap of the best policy known.

Used by `benchmarks.bounds`, which prints it first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from models.inventory_network import PROBLEM
from models.inventory_network.examples import (
    one_store_backlogged,
    one_store_lost,
    serial,
    serial_backlogged,
    transshipment,
    warehouse_stores,
)

PENALTIES = (4.0, 9.0, 19.0, 39.0)
NEWSVENDOR = {
    1: (3.1666, 3.9703, 4.6666, 5.2891),
    4: (5.0062, 6.2769, 7.3779, 8.3620),
    10: (7.4245, 9.3091, 10.9419, 12.4017),
}
LOST = {
    1: (4.04, 5.44, 6.68, 7.84),
    2: (4.40, 6.09, 7.66, 9.11),
    3: (4.60, 6.53, 8.36, 10.04),
    4: (4.7285, 6.8359, 8.8872, 10.7944),
}
SERIAL = {4: (8.7525, 10.7339, 12.4201, 13.9100), 1: (6.8986, 8.3669, 9.6080, 10.7009)}
SEVEN = ((4, 3, 2, 3, 1, 4, 2), (1.0, 0.5, 0.4, 0.3, 0.25, 0.2, 0.1))
PUBLISHED_WAREHOUSES = {3: 5.60, 5: 5.26, 10: 5.72, 20: 5.90, 30: 5.61, 50: 5.42}
TRANSSHIPMENTS = (3, 5, 10, 20)


@dataclass(frozen=True)
class Row:
    """A network, what is known of its cost, and by how many stores and periods figures are divided."""

    label: str
    document: dict[str, Any]
    known: float | None  # optimum or formula [money/store/period]
    policy: float | None  # best policy known
    stores: int = 1


def networks(longest: bool) -> Iterator[Row]:
    """All networks of truths 1 to 5; the warehouses with many stores only if asked for."""
    for lead, costs in NEWSVENDOR.items():
        for penalty, cost in zip(PENALTIES, costs, strict=True):
            yield Row(
                f"one store, backlogged, L {lead}, p {penalty:g}", one_store_backlogged(lead, penalty), cost, cost
            )
    for lead, costs in LOST.items():
        for penalty, cost in zip(PENALTIES, costs, strict=True):
            yield Row(f"one store, lost, L {lead}, p {penalty:g}", one_store_lost(lead, penalty), cost, cost)
    for lead, costs in SERIAL.items():
        for penalty, cost in zip(PENALTIES, costs, strict=True):
            yield Row(f"four in series, Ls {lead}, p {penalty:g}", serial_backlogged(lead, penalty), cost, cost)
    yield Row("seven in series, p 9", serial(*SEVEN), 12.2890, 12.2890)
    for stores in TRANSSHIPMENTS:
        document = transshipment(stores, holding_cost=10.0) | {"periods": 100, "warmup_periods": 50}
        yield Row(f"transshipment, {stores} stores", document, formula(document), None, stores)
    for stores, cost in PUBLISHED_WAREHOUSES.items():
        if stores <= 10 or longest:
            yield Row(f"warehouse, {stores} stores, lost", warehouse_stores(stores), None, cost, stores)


def formula(document: dict[str, Any]) -> float:
    """The page's balance relaxation for normal demand that is not clipped: p 9, h 1, L 3 and 4, ρ .5."""
    spreads = np.array([node["std"] for node in document["demand"]["nodes"].values()])
    joint = 0.5 * (spreads**2).sum() + 0.5 * spreads.sum() ** 2
    spread = math.sqrt(3 * joint + 5 * spreads.sum() ** 2)
    return float(10.0 * norm.pdf(norm.ppf(0.9)) * spread / len(spreads))


def table(longest: bool) -> Iterator[str]:
    """One line per network and bound, per store and period."""
    yield "| network | bound | value | known | difference | best policy known | policy above bound | CPU seconds |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in networks(longest):
        net = PROBLEM.parse(row.document)
        for method in PROBLEM.bounds:
            if method.refuses(net) is None:
                started = time.process_time()
                value = method.value(net, lambda: False).value_per_stage / row.stores
                seconds = time.process_time() - started
                yield _line(row, method.name, value, seconds)


def _line(row: Row, name: str, value: float, seconds: float) -> str:
    known = "" if row.known is None else f"{row.known:.4f}"
    difference = "" if row.known is None else f"{100 * (value / row.known - 1):+.3f} %"
    policy = "" if row.policy is None else f"{row.policy:.4g}"
    above = "" if row.policy is None or row.known is not None else f"{100 * (row.policy / value - 1):.2f} %"
    return f"| {row.label} | {name} | {value:.4f} | {known} | {difference} | {policy} | {above} | {seconds:.2f} |"
