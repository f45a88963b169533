"""Published networks, ready to post: each is a valid body for `POST /v1/instances`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.core import Example
from models.inventory_network import feature_examples as features

Document = dict[str, Any]


def one_store(unmet_demand: str, lead_time: int, shortage_cost: float, process: Document, name: str) -> Document:
    """One store fed by one supplier, rolling, with a warm-up."""
    return {
        "problem": "inventory_network",
        "name": name,
        "periods": 100,
        "warmup_periods": 50,
        "nodes": [
            {"id": "supplier", "kind": "supplier"},
            {
                "id": "store",
                "kind": "store",
                "holding_cost": 1.0,
                "shortage_cost": shortage_cost,
                "unmet_demand": unmet_demand,
                "initial_on_hand": 5.0 * (lead_time + 1),
            },
        ],
        "lanes": [{"from": "supplier", "to": "store", "lead_time": lead_time}],
        "demand": process,
    }


def one_store_backlogged(lead_time: int = 4, shortage_cost: float = 9.0) -> Document:
    """Backlogged demand N(5, 1.6): the optimum is a newsvendor over L+1 periods."""
    process = {"process": "normal", "nodes": {"store": {"mean": 5.0, "std": 1.6}}}
    return one_store(
        "backlogged", lead_time, shortage_cost, process, f"one-store-backlogged-l{lead_time}-p{shortage_cost:g}"
    )


def one_store_lost(lead_time: int = 4, shortage_cost: float = 9.0) -> Document:
    """Lost sales, Poisson(5) (Zipkin 2008)."""
    process = {"process": "poisson", "nodes": {"store": {"mean": 5.0}}}
    return one_store("lost", lead_time, shortage_cost, process, f"one-store-lost-l{lead_time}-p{shortage_cost:g}")


def serial(
    lead_times: Sequence[int], holding_costs: Sequence[float], shortage_cost: float = 9.0, name: str | None = None
) -> Document:
    """Echelons in series, the store first, backlogged N(5, 2) (Clark and Scarf 1960).

    `lead_times` [periods] and `holding_costs` [money/unit/period] go from the store to the top. ValueError if their
    lengths differ.
    """
    length = len(lead_times)
    ids = ["store", *(f"echelon-{k}" for k in range(2, length + 1)), "supplier"]
    nodes: list[Document] = [{"id": "supplier", "kind": "supplier"}]
    lanes: list[Document] = []
    for k, (lead, holding) in enumerate(zip(lead_times, holding_costs, strict=True)):
        node: Document = {"id": ids[k], "kind": "store" if k == 0 else "warehouse", "holding_cost": holding}
        if k == 0:
            node |= {"shortage_cost": shortage_cost, "unmet_demand": "backlogged"}
        nodes.append(node | {"initial_on_hand": 5.0 * (lead + 1)})
        lanes.append({"from": ids[k + 1], "to": ids[k], "lead_time": lead})
    return {
        "problem": "inventory_network",
        "name": name or f"serial-{length}-p{shortage_cost:g}",
        "periods": 150,
        "warmup_periods": 100,
        "nodes": nodes,
        "lanes": lanes,
        "demand": {"process": "normal", "nodes": {"store": {"mean": 5.0, "std": 2.0}}},
    }


def serial_backlogged(lead_time: int = 4, shortage_cost: float = 9.0) -> Document:
    """Four echelons in series, backlogged N(5, 2) (Clark and Scarf 1960)."""
    name = f"serial-backlogged-l{lead_time}-p{shortage_cost:g}"
    return serial([lead_time, 3, 4, 2], [1.0, 0.5, 0.2, 0.1], shortage_cost, name)


@dataclass(frozen=True)
class _Stores:
    """Parameters of the paper's stores, each drawn from its own seed, so that fewer stores are the first of more."""

    mean: list[float]  # μ [units/period]
    std: list[float]  # σ [units/period]
    holding_cost: list[float]  # h [money/unit/period]
    shortage_cost: list[float]  # p [money/unit]
    lead_time: list[int]  # L [periods]


def _published_stores(stores: int) -> _Stores:
    def uniform(seed: int, low: float, high: float) -> Any:
        return np.random.RandomState(seed).uniform(low, high, stores)

    mean = uniform(33, 2.5, 7.5).round(3)
    return _Stores(
        mean=mean.tolist(),
        std=(mean * uniform(92, 0.25, 0.5)).round(3).tolist(),
        holding_cost=uniform(73, 0.7, 1.3).tolist(),
        shortage_cost=uniform(28, 6.3, 11.7).tolist(),
        lead_time=np.random.RandomState(41).randint(2, 6, stores).tolist(),
    )


def warehouse_stores(stores: int, correlation: float = 0.5) -> Document:
    """One warehouse (h .3, L 3) and any number of stores that lose demand, as published for 3 to 50 stores.

    Means in 2.5 … 7.5, coefficients of variation in .25 … .5, h in .7 … 1.3, p in 6.3 … 11.7, lead times 2 … 5.
    """
    found = _published_stores(stores)
    ids = [f"store-{k + 1}" for k in range(stores)]
    nodes: list[Document] = [
        {"id": "supplier", "kind": "supplier"},
        {"id": "warehouse", "kind": "warehouse", "holding_cost": 0.3, "initial_on_hand": 4 * round(sum(found.mean), 3)},
    ]
    lanes: list[Document] = [{"from": "supplier", "to": "warehouse", "lead_time": 3}]
    for k, node_id in enumerate(ids):
        costs = {"holding_cost": found.holding_cost[k], "shortage_cost": found.shortage_cost[k], "unmet_demand": "lost"}
        start = round(found.mean[k] * (found.lead_time[k] + 1), 3)
        nodes.append({"id": node_id, "kind": "store", "initial_on_hand": start} | costs)
        lanes.append({"from": "warehouse", "to": node_id, "lead_time": found.lead_time[k]})
    return _paper(f"warehouse-{stores}-stores", nodes, lanes, ids, found, correlation)


def transshipment(
    stores: int, correlation: float = 0.5, shortage_cost: float = 9.0, lead_time: int = 4, holding_cost: float = 1.0
) -> Document:
    """A warehouse (L 3) through which goods pass to stores that backlog demand; h = 1, one lead time for all stores.

    Goods are no cheaper to hold in the warehouse than in a store and cost nothing on the way, so keeping any there only
    serves to send it elsewhere later; a large `holding_cost` of the warehouse forbids that too. Demand is that of
    `warehouse_stores`.
    """
    found = _published_stores(stores)
    ids = [f"store-{k + 1}" for k in range(stores)]
    costs = {"holding_cost": 1.0, "shortage_cost": shortage_cost, "unmet_demand": "backlogged"}
    nodes: list[Document] = [
        {"id": "supplier", "kind": "supplier"},
        {"id": "warehouse", "kind": "warehouse", "holding_cost": holding_cost},
    ]
    lanes: list[Document] = [{"from": "supplier", "to": "warehouse", "lead_time": 3}]
    for k, node_id in enumerate(ids):
        start = round(found.mean[k] * (lead_time + 1), 3)
        nodes.append({"id": node_id, "kind": "store", "initial_on_hand": start} | costs)
        lanes.append({"from": "warehouse", "to": node_id, "lead_time": lead_time})
    return _paper(f"transshipment-{stores}", nodes, lanes, ids, found, correlation)


def _paper(
    name: str, nodes: list[Document], lanes: list[Document], ids: list[str], found: _Stores, correlation: float
) -> Document:
    demand = {k: {"mean": mean, "std": std} for k, mean, std in zip(ids, found.mean, found.std, strict=True)}
    return {
        "problem": "inventory_network",
        "name": name,
        "periods": 50,
        "warmup_periods": 30,
        "nodes": nodes,
        "lanes": lanes,
        "demand": {"process": "normal", "correlation": correlation, "nodes": demand},
    }


def warehouse_two_stores() -> Document:
    """One warehouse and two stores, one losing and one backlogging demand, correlated normal demand."""
    return {
        "problem": "inventory_network",
        "name": "dc-two-stores",
        "periods": 50,
        "warmup_periods": 30,
        "nodes": [
            {"id": "plant", "kind": "supplier"},
            {"id": "dc", "kind": "warehouse", "holding_cost": 0.3, "initial_on_hand": 20},
            _store("s1", "lost"),
            _store("s2", "backlogged"),
        ],
        "lanes": [
            {"from": "plant", "to": "dc", "lead_time": 3},
            {"from": "dc", "to": "s1", "lead_time": 2},
            {"from": "dc", "to": "s2", "lead_time": 2, "unit_cost": 0.1},
        ],
        "demand": {
            "process": "normal",
            "correlation": 0.5,
            "nodes": {"s1": {"mean": 5.0, "std": 1.6}, "s2": {"mean": 4.0, "std": 1.2}},
        },
    }


def capacitated_two_suppliers() -> Document:
    """A near, dear, limited supplier and a far, cheap one for two stores; the user's own history as demand."""
    history = [[3, 8], [5, 6], [0, 9], [7, 7], [4, 10], [6, 5], [2, 8], [9, 6], [4, 7], [5, 11], [3, 4], [8, 9]] * 3
    return {
        "problem": "inventory_network",
        "name": "capacitated-two-suppliers",
        "periods": 40,
        "warmup_periods": 10,
        "nodes": [
            {"id": "near", "kind": "supplier"},
            {"id": "far", "kind": "supplier"},
            {"id": "hub", "kind": "warehouse", "holding_cost": 0.2, "initial_on_hand": 30, "throughput_capacity": 16},
            _store("north", "lost") | {"storage_capacity": 30},
            _store("south", "backlogged"),
        ],
        "lanes": [
            {"from": "near", "to": "hub", "lead_time": 1, "unit_cost": 2.0, "capacity": 8},
            {"from": "far", "to": "hub", "lead_time": 4, "unit_cost": 1.0, "in_transit_cost": 0.05},
            {"from": "hub", "to": "north", "lead_time": 0},
            {"from": "hub", "to": "south", "lead_time": 1},
        ],
        "demand": {"process": "empirical", "nodes": ["north", "south"], "history": history},
    }


def _store(node_id: str, unmet_demand: str) -> Document:
    costs = {"holding_cost": 1.0, "shortage_cost": 9.0, "unmet_demand": unmet_demand}
    return {"id": node_id, "kind": "store", "initial_on_hand": 10} | costs


def eight_nodes(unmet_demand: str = "backlogged") -> Document:
    """The or-gym "NetworkManagement" instance: one retailer, two distributors, three factories, two raw materials."""
    nodes: list[Document] = [
        _retailer(unmet_demand),
        {"id": "distributor-2", "kind": "warehouse", "initial_on_hand": 110, "holding_cost": 0.02},
        {"id": "distributor-3", "kind": "warehouse", "initial_on_hand": 80, "holding_cost": 0.015},
        _factory("factory-4", 400, 0.012, 90, 0.010),
        _factory("factory-5", 350, 0.013, 90, 0.015),
        _factory("factory-6", 380, 0.011, 80, 0.012),
        {"id": "raw-7", "kind": "supplier"},
        {"id": "raw-8", "kind": "supplier"},
    ]
    # Prices between own nodes cancel in the network's profit, so only raw material has a unit cost.
    lanes = [
        _lane("distributor-2", "retailer-1", 5, 0.0, 0.010),
        _lane("distributor-3", "retailer-1", 3, 0.0, 0.015),
        _lane("factory-4", "distributor-2", 8, 0.0, 0.008),
        _lane("factory-4", "distributor-3", 10, 0.0, 0.006),
        _lane("factory-5", "distributor-2", 9, 0.0, 0.005),
        _lane("factory-6", "distributor-2", 11, 0.0, 0.007),
        _lane("factory-6", "distributor-3", 12, 0.0, 0.004),
        _lane("raw-7", "factory-4", 0, 0.15, 0.0),
        _lane("raw-7", "factory-5", 1, 0.05, 0.005),
        _lane("raw-8", "factory-5", 2, 0.07, 0.002),
        _lane("raw-8", "factory-6", 0, 0.20, 0.0),
    ]
    return _gym(f"eight-nodes-{_short(unmet_demand)}", nodes, lanes)


def four_serial(unmet_demand: str = "backlogged") -> Document:
    """The serial sister of the eight-node network: raw material, factory, distributor, retailer."""
    nodes: list[Document] = [
        _retailer(unmet_demand),
        {"id": "distributor-2", "kind": "warehouse", "initial_on_hand": 100, "holding_cost": 0.02},
        _factory("factory-3", 200, 0.01, 100, 0.01),
        {"id": "raw-4", "kind": "supplier"},
    ]
    lanes = [
        _lane("distributor-2", "retailer-1", 4, 0.0, 0.010),
        _lane("factory-3", "distributor-2", 4, 0.0, 0.005),
        _lane("raw-4", "factory-3", 0, 0.5, 0.0),
    ]
    return _gym(f"four-serial-{_short(unmet_demand)}", nodes, lanes)


def _short(unmet_demand: str) -> str:
    return "backlog" if unmet_demand == "backlogged" else "lost"


def _retailer(unmet_demand: str) -> Document:
    costs = {"holding_cost": 0.03, "shortage_cost": 0.1, "unmet_demand": unmet_demand, "price": 2.0}
    return {"id": "retailer-1", "kind": "store", "initial_on_hand": 100} | costs


def _factory(node_id: str, stock: float, holding: float, capacity: float, operating: float) -> Document:
    limits = {"throughput_capacity": capacity, "throughput_cost": operating}
    return {"id": node_id, "kind": "warehouse", "initial_on_hand": stock, "holding_cost": holding} | limits


def _lane(source: str, target: str, lead_time: int, unit_cost: float, in_transit: float) -> Document:
    costs = {"unit_cost": unit_cost, "in_transit_cost": in_transit}
    return {"from": source, "to": target, "lead_time": lead_time} | costs


def _gym(name: str, nodes: list[Document], lanes: list[Document]) -> Document:
    return {
        "problem": "inventory_network",
        "name": name,
        "periods": 30,
        "objective": "profit",
        "receipt": "after_decision",
        "nodes": nodes,
        "lanes": lanes,
        "demand": {"process": "poisson", "nodes": {"retailer-1": {"mean": 20.0}}},
    }


_GYM = "Hubbs et al., arXiv 2008.06319 (or-gym NetworkManagement)"
_PAPER = "Alvo et al., arXiv 2306.11246"
EXAMPLES = (
    Example("eight-nodes-backlog", "Eight nodes, three echelons, backlogged demand, profit", _GYM, eight_nodes),
    Example("eight-nodes-lost", "Eight nodes, three echelons, lost demand, profit", _GYM, lambda: eight_nodes("lost")),
    Example("four-serial-backlog", "Raw material to retailer in series, backlogged, profit", _GYM, four_serial),
    Example("four-serial-lost", "Raw material to retailer in series, lost, profit", _GYM, lambda: four_serial("lost")),
    Example(
        "one-store-backlogged", "One store, backlogged normal demand, lead time 4", "Newsvendor", one_store_backlogged
    ),
    Example("one-store-lost", "One store, lost Poisson demand, lead time 4", "Zipkin 2008", one_store_lost),
    Example("serial-backlogged", "Four echelons in series, backlogged", "Clark and Scarf 1960", serial_backlogged),
    Example("dc-two-stores", "One warehouse, two stores, correlated demand", "Herenow", warehouse_two_stores),
    Example("warehouse-20-stores", "One warehouse, twenty stores, lost demand", _PAPER, lambda: warehouse_stores(20)),
    Example("transshipment-3", "Goods pass a warehouse to three stores", _PAPER, lambda: transshipment(3)),
    Example("fill-rate", "One store that must meet 97 % of demand from stock", "Herenow", features.fill_rate),
    Example("partial-backlog", "One store, six customers in ten wait", "Herenow", features.partial_backlog),
    Example("perishable", "One store, goods that outdate after four periods", "Herenow", features.perishable),
    Example("random-lead-time", "One store, lead time of two to four periods", "Herenow", features.random_lead_time),
    Example(
        "fixed-costs-and-lots", "Fixed order cost, minimum order, pallets", "Herenow", features.fixed_costs_and_lots
    ),
    Example(
        "seasonal-with-shocks", "Two stores, season, trend, shocks that last", "Herenow", features.seasonal_with_shocks
    ),
    Example("spare-parts", "A central store and two depots, demand now and then", "Herenow", features.spare_parts),
    Example(
        "history-in-blocks", "Daily sales, drawn in blocks with their weekday", "Herenow", features.history_in_blocks
    ),
    Example(
        "capacitated-two-suppliers", "Two suppliers, capacities, own history", "Herenow", capacitated_two_suppliers
    ),
)
