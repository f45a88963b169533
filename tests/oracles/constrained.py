"""One small instance for every constraint a planner has, with its optimum and the policy that attains it.

Each is a JSON document as a planner posts it, beside a number and a rule that come from `tests.oracles` alone: nothing
of the problem's own code is used. Stores have lead times short enough for an exact table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.oracles.capacitated_line import line
from tests.oracles.demand import Floats, clipped_normal, negative_binomial, poisson, total
from tests.oracles.dual_sourcing import dual_base_stock, dual_sourcing
from tests.oracles.fill_rate import least_base_stock, price_of_service
from tests.oracles.one_lane import backlogged_store, lost_sales_store, lots, minimum_order, single_period_cost
from tests.oracles.partial_backlog import one_period_late, without_lead_time
from tests.oracles.perishable import perishable_store
from tests.oracles.random_lead_time import newsvendor_over_lead_times, one_or_two_periods
from tests.oracles.restricted_orders import capacitated, position_cost, reorder_point_order_up_to
from tests.oracles.tables import Optimum

Document = dict[str, Any]
Rule = Callable[[Sequence[Floats]], Sequence[Floats]]
TAIL = 1e-12


@dataclass(frozen=True)
class Case:
    """An instance, its least average cost, and the best orders.

    `state` names what `orders` looks at, in order: "position" (net inventory and all under way), "net" (net
    inventory), "waiting" (under way on the first lane), "life 1", "life 2", … (stock by remaining life), of the store
    or, where it says so, "of" another node; `orders` gives a quantity for every lane of the document. For every
    policy, cost + Σ λ slack is at least the optimum.
    """

    document: Document
    optimum: float  # [money/period]
    how: str  # where the optimum comes from
    state: tuple[str, ...]
    orders: Rule
    prices: Mapping[str, float] = field(default_factory=dict)  # λ [money/unit of slack] of constraints in expectation


def table(optimum: Optimum) -> Rule:
    """The best orders of a solved table; states between its points or beyond its edges take the nearest."""
    flat = [decision.ravel() for decision in optimum.decisions]

    def orders(state: Sequence[Floats]) -> Sequence[Floats]:
        number, _ = optimum.table.states.index(state)
        return [decision[number] for decision in flat]

    return orders


def base_stock(level: float) -> Rule:
    """Order up to a level."""
    return lambda state: [np.clip(level - state[0], 0.0, None)]


def one_store(demand: Document, lanes: list[Document], node: Document, stock: float) -> Document:
    """A store fed by one supplier a lane, rolling, stock at the start near where it will be."""
    suppliers = [{"id": f"supplier-{k}", "kind": "supplier"} for k in range(len(lanes))]
    store = {"id": "store", "kind": "store", "holding_cost": 1.0, "initial_on_hand": stock} | node
    return {
        "problem": "inventory_network",
        "name": "constrained",
        "periods": 120,
        "warmup_periods": 40,
        "nodes": [*suppliers, store],
        "lanes": [{"from": f"supplier-{k}", "to": "store"} | lane for k, lane in enumerate(lanes)],
        "demand": demand,
    }


def poisson_demand(mean: float) -> Document:
    return {"process": "poisson", "nodes": {"store": {"mean": mean}}}


BACKLOGGED: Document = {"unmet_demand": "backlogged", "shortage_cost": 9.0}
LOST: Document = {"unmet_demand": "lost", "shortage_cost": 9.0}


def lane_capacity() -> Case:
    demand = poisson(3.0, TAIL)
    level, cost = capacitated(demand, position_cost(demand, 1, 1.0, 9.0), 4, range(5, 25))
    document = one_store(poisson_demand(3.0), [{"lead_time": 1, "capacity": 4.0}], BACKLOGGED, 8.0)
    how = "modified base stock (Federgruen and Zipkin 1986), long-run shortfall"
    return Case(document, cost, how, ("position",), lambda state: [np.clip(level - state[0], 0.0, 4.0)])


def storage_capacity() -> Case:
    """Position may reach 7; the best base stock would be 10. G is convex, so as near to it as allowed is best."""
    cost = single_period_cost(np.array([7.0]), total(poisson(3.0, TAIL), 2), 1.0, 9.0)
    node = BACKLOGGED | {"storage_capacity": 7.0}
    document = one_store(poisson_demand(3.0), [{"lead_time": 1}], node, 7.0)
    return Case(document, float(cost[0]), "base stock at the capacity, closed form", ("position",), base_stock(7.0))


def throughput_capacity() -> Case:
    counts = np.array([12, 12, 10, 6])
    history = [[float(units)] for units, count in enumerate(counts) for _ in range(count)]
    found = line(counts / counts.sum(), 0.3, 1.0, 9.0, capacity=2)
    document: Document = {
        "problem": "inventory_network",
        "name": "constrained",
        "periods": 120,
        "warmup_periods": 40,
        "nodes": [
            {"id": "plant", "kind": "supplier"},
            {"id": "warehouse", "kind": "warehouse", "holding_cost": 0.3, "throughput_capacity": 2.0},
            {"id": "store", "kind": "store", "holding_cost": 1.0, "initial_on_hand": 4.0} | BACKLOGGED,
        ],
        "lanes": [
            {"from": "plant", "to": "warehouse", "lead_time": 1},
            {"from": "warehouse", "to": "store", "lead_time": 1},
        ],
        "demand": {"process": "empirical", "nodes": ["store"], "history": history},
    }
    return Case(document, found.cost, "value iteration over both stocks", ("net of warehouse", "net"), table(found))


def minimum_order_backlogged() -> Case:
    found = backlogged_store(poisson(3.0, TAIL), 1, 1.0, 9.0, minimum_order(6, 40))
    document = one_store(poisson_demand(3.0), [{"lead_time": 1, "minimum_order": 6.0}], BACKLOGGED, 8.0)
    return Case(document | {"integer_orders": True}, found.cost, "value iteration", ("position",), table(found))


def minimum_order_lost() -> Case:
    found = lost_sales_store(poisson(3.0, TAIL), 1, 1.0, 9.0, minimum_order(5, 12), highest=20)
    document = one_store(poisson_demand(3.0), [{"lead_time": 1, "minimum_order": 5.0}], LOST, 6.0)
    return Case(document | {"integer_orders": True}, found.cost, "value iteration", ("net",), table(found))


def lot_multiple_backlogged() -> Case:
    found = backlogged_store(poisson(3.0, TAIL), 1, 1.0, 9.0, lots(4, 40))
    document = one_store(poisson_demand(3.0), [{"lead_time": 1, "lot_multiple": 4.0}], BACKLOGGED, 8.0)
    return Case(document, found.cost, "(R, nQ) (Veinott 1965), value iteration", ("position",), table(found))


def lot_multiple_lost() -> Case:
    found = lost_sales_store(poisson(3.0, TAIL), 1, 1.0, 9.0, lots(4, 12), highest=20)
    document = one_store(poisson_demand(3.0), [{"lead_time": 1, "lot_multiple": 4.0}], LOST, 6.0)
    return Case(document, found.cost, "value iteration", ("net",), table(found))


def fixed_order_cost_backlogged() -> Case:
    demand = poisson(6.0, TAIL)
    low, high, cost = reorder_point_order_up_to(demand, position_cost(demand, 0, 1.0, 4.0), 5.0)
    node = {"unmet_demand": "backlogged", "shortage_cost": 4.0}
    document = one_store(poisson_demand(6.0), [{"lead_time": 0, "fixed_order_cost": 5.0}], node, 5.0)
    how = f"(s, S) = ({low}, {high}) (Zheng and Federgruen 1991)"
    return Case(document, cost, how, ("position",), lambda state: [np.where(state[0] <= low, high - state[0], 0.0)])


def fixed_order_cost_lost() -> Case:
    found = lost_sales_store(poisson(3.0, TAIL), 1, 1.0, 9.0, range(16), fixed_order_cost=5.0, highest=26)
    document = one_store(poisson_demand(3.0), [{"lead_time": 1, "fixed_order_cost": 5.0}], LOST, 6.0)
    return Case(document | {"integer_orders": True}, found.cost, "value iteration", ("net",), table(found))


def two_suppliers() -> Case:
    near, far, cost = dual_base_stock(poisson(3.0, TAIL), 1, 1.0, 9.0, 2.0, 1.0, range(25))
    lanes = [{"lead_time": 1, "unit_cost": 2.0}, {"lead_time": 2, "unit_cost": 1.0}]
    document = one_store(poisson_demand(3.0), lanes, BACKLOGGED, 8.0)

    def orders(state: Sequence[Floats]) -> Sequence[Floats]:
        rushed = np.clip(near - state[0], 0.0, None)
        return [rushed, np.clip(far - state[0] - rushed, 0.0, None)]

    return Case(document, cost, f"dual base stock ({near}, {far}) (Fukuda 1964)", ("position",), orders)


def two_capacitated_suppliers() -> Case:
    found = dual_sourcing(poisson(3.0, TAIL), 0, 1.0, 9.0, 2.0, 1.0, near_capacity=1, far_capacity=3, lowest=-45)
    lanes = [
        {"lead_time": 0, "unit_cost": 2.0, "capacity": 1.0},
        {"lead_time": 1, "unit_cost": 1.0, "capacity": 3.0},
    ]
    document = one_store(poisson_demand(3.0), lanes, BACKLOGGED, 5.0)
    return Case(document | {"integer_orders": True}, found.cost, "value iteration", ("position",), table(found))


def random_lead_time_backlogged() -> Case:
    times = {2: 0.2, 3: 0.3, 4: 0.5}
    level, cost = newsvendor_over_lead_times(poisson(3.0, TAIL), times, 1.0, 9.0)
    random = {"values": list(times), "probabilities": list(times.values())}
    document = one_store(poisson_demand(3.0), [{"lead_time": 4, "random_lead_time": random}], BACKLOGGED, 15.0)
    how = "newsvendor over the mixture of L+1 periods (Kaplan 1970, Ehrhardt 1984)"
    return Case(document, cost, how, ("position",), base_stock(level))


def random_lead_time_lost() -> Case:
    found = one_or_two_periods(poisson(3.0, TAIL), 0.4, 1.0, 9.0, "lost", 10, 0, 22)
    random = {"values": [1, 2], "probabilities": [0.4, 0.6]}
    document = one_store(poisson_demand(3.0), [{"lead_time": 2, "random_lead_time": random}], LOST, 8.0)
    how = "value iteration over stock and what has not landed"
    return Case(document | {"integer_orders": True}, found.cost, how, ("net", "waiting"), table(found))


PARTIAL: Document = {"unmet_demand": "partial", "backlog_share": 0.5, "shortage_cost": 5.0, "lost_sales_cost": 12.0}


def partial_backlog_at_once() -> Case:
    level, cost = without_lead_time(poisson(3.0, TAIL), 1.0, 5.0, 12.0, 0.5)
    document = one_store(poisson_demand(3.0), [{"lead_time": 0}], PARTIAL, 5.0)
    return Case(document, cost, "newsvendor at b β + p (1 − β), closed form", ("position",), base_stock(level))


def partial_backlog() -> Case:
    found = one_period_late(poisson(3.0, TAIL), 1.0, 5.0, 12.0, 0.5, 10, -12, 20, step=0.25)
    document = one_store(poisson_demand(3.0), [{"lead_time": 1}], PARTIAL, 6.0)
    return Case(document, found.cost, "value iteration on quarter units", ("net",), table(found))


def fill_rate() -> Case:
    normal = clipped_normal(5.0, 1.6, 0.01)
    level, on_hand = least_base_stock(normal, 0.01, 1, 0.95)
    prices = {"fill_rate/store": price_of_service(level, normal, 0.01, 1, 1.0)}
    demand = {"process": "normal", "nodes": {"store": {"mean": 5.0, "std": 1.6}}}
    node = {"unmet_demand": "backlogged", "shortage_cost": 0.0, "fill_rate_target": 0.95}
    document = one_store(demand, [{"lead_time": 1}], node, 11.0)
    how = "base stock that just meets the target (duality)"
    return Case(document, on_hand, how, ("position",), base_stock(level), prices)


def fill_rate_two_stores() -> Case:
    """Two stores with a supplier each and a target each: nothing ties them, so each keeps its own least base stock."""
    step = 0.02
    parts = {"store": (5.0, 1.6, 1, 0.95, 1.0), "other": (8.0, 3.0, 2, 0.85, 0.5)}
    levels, prices, cost = [], {}, 0.0
    for store, (mean, std, lead_time, target, holding_cost) in parts.items():
        demand = clipped_normal(mean, std, step)
        level, stock = least_base_stock(demand, step, lead_time, target)
        prices[f"fill_rate/{store}"] = price_of_service(level, demand, step, lead_time, holding_cost)
        levels.append(level)
        cost += holding_cost * stock
    node = {"kind": "store", "unmet_demand": "backlogged", "shortage_cost": 0.0}
    document: Document = {
        "problem": "inventory_network",
        "name": "constrained",
        "periods": 120,
        "warmup_periods": 40,
        "nodes": [
            {"id": "supplier", "kind": "supplier"},
            node | {"id": "store", "holding_cost": 1.0, "fill_rate_target": 0.95, "initial_on_hand": 11.0},
            node | {"id": "other", "holding_cost": 0.5, "fill_rate_target": 0.85, "initial_on_hand": 24.0},
        ],
        "lanes": [
            {"from": "supplier", "to": "store", "lead_time": 1},
            {"from": "supplier", "to": "other", "lead_time": 2},
        ],
        "demand": {
            "process": "normal",
            "nodes": {"store": {"mean": 5.0, "std": 1.6}, "other": {"mean": 8.0, "std": 3.0}},
        },
    }

    def orders(state: Sequence[Floats]) -> Sequence[Floats]:
        return [np.clip(level - x, 0.0, None) for x, level in zip(state, levels, strict=True)]

    how = "each store's base stock that just meets its target (duality)"
    return Case(document, cost, how, ("position", "position of other"), orders, prices)


def perishable(shelf_life: int, lead_time: int) -> Case:
    found = perishable_store(poisson(3.0, 1e-10), shelf_life, lead_time, 1.0, 9.0, 4.0, 8)
    node = LOST | {"shelf_life": shelf_life, "outdate_cost": 4.0}
    document = one_store(poisson_demand(3.0), [{"lead_time": lead_time}], node, 4.0)
    lives = tuple(f"life {k}" for k in range(1, shelf_life + lead_time))
    how = "value iteration over stock by remaining life"
    return Case(document | {"integer_orders": True}, found.cost, how, lives, table(found))


def overdispersed() -> Case:
    found = lost_sales_store(negative_binomial(3.0, 7.5, TAIL), 1, 1.0, 9.0, range(21), highest=40)
    demand = {"process": "negative_binomial", "nodes": {"store": {"mean": 3.0, "variance": 7.5}}}
    document = one_store(demand, [{"lead_time": 1}], LOST, 8.0)
    return Case(document | {"integer_orders": True}, found.cost, "value iteration", ("net",), table(found))


def intermittent() -> Case:
    sizes = negative_binomial(3.0, 12.0, TAIL)  # of what a demand holds beyond its first unit: geometric sizes
    found = lost_sales_store(np.append(0.7, 0.3 * sizes), 1, 1.0, 9.0, range(26), highest=50)
    demand = {"process": "intermittent", "nodes": {"store": {"probability": 0.3, "size_mean": 4.0}}}
    document = one_store(demand, [{"lead_time": 1}], LOST, 6.0)
    return Case(document | {"integer_orders": True}, found.cost, "value iteration", ("net",), table(found))


CASES: dict[str, Callable[[], Case]] = {
    "lane-capacity": lane_capacity,
    "storage-capacity": storage_capacity,
    "throughput-capacity": throughput_capacity,
    "minimum-order-backlogged": minimum_order_backlogged,
    "minimum-order-lost": minimum_order_lost,
    "lot-multiple-backlogged": lot_multiple_backlogged,
    "lot-multiple-lost": lot_multiple_lost,
    "fixed-order-cost-backlogged": fixed_order_cost_backlogged,
    "fixed-order-cost-lost": fixed_order_cost_lost,
    "two-suppliers": two_suppliers,
    "two-capacitated-suppliers": two_capacitated_suppliers,
    "random-lead-time-backlogged": random_lead_time_backlogged,
    "random-lead-time-lost": random_lead_time_lost,
    "partial-backlog-at-once": partial_backlog_at_once,
    "partial-backlog": partial_backlog,
    "fill-rate": fill_rate,
    "fill-rate-two-stores": fill_rate_two_stores,
    "perishable-2-at-once": lambda: perishable(2, 0),
    "perishable-2": lambda: perishable(2, 1),
    "perishable-3-at-once": lambda: perishable(3, 0),
    "perishable-3": lambda: perishable(3, 1),
    "overdispersed": overdispersed,
    "intermittent": intermittent,
}
