"""Small networks, one for each thing planners have beyond the textbook, ready to post."""

from __future__ import annotations

import math
from typing import Any

Document = dict[str, Any]


def _store(node_id: str = "store", **changes: Any) -> Document:
    costs = {"holding_cost": 1.0, "shortage_cost": 9.0, "unmet_demand": "lost"}
    return {"id": node_id, "kind": "store", "initial_on_hand": 15} | costs | changes


def _rolling(name: str, nodes: list[Document], lanes: list[Document], demand: Document, **changes: Any) -> Document:
    """A network that goes on for ever."""
    return {
        "problem": "inventory_network",
        "name": name,
        "periods": 60,
        "warmup_periods": 20,
        "nodes": [{"id": "supplier", "kind": "supplier"}, *nodes],
        "lanes": lanes,
        "demand": demand,
    } | changes


def _one_store(name: str, store: Document, lane: Document, demand: Document, **changes: Any) -> Document:
    own = {"from": "supplier", "to": "store"} | lane
    return _rolling(name, [_store(**store)], [own], demand, **changes)


_FIVE: Document = {"process": "poisson", "nodes": {"store": {"mean": 5.0}}}


def fill_rate() -> Document:
    """No shortage cost: 97 % of demand is to be met from stock, at the least holding cost."""
    store = {"shortage_cost": 0.0, "fill_rate_target": 0.97}
    return _one_store("fill-rate", store, {"lead_time": 2}, _FIVE)


def partial_backlog() -> Document:
    """Six customers in ten wait, four go elsewhere."""
    store = {"unmet_demand": "partial", "backlog_share": 0.6, "lost_sales_cost": 12.0, "shortage_cost": 4.0}
    return _one_store("partial-backlog", store, {"lead_time": 2}, _FIVE)


def perishable() -> Document:
    """Goods that can be sold for four periods, demand that varies more than Poisson."""
    store = {"shelf_life": 4, "outdate_cost": 5.0, "holding_cost": 0.2}
    demand = {"process": "negative_binomial", "nodes": {"store": {"mean": 5.0, "variance": 9.0}}}
    return _one_store("perishable", store, {"lead_time": 1}, demand)


def random_lead_time() -> Document:
    """An overseas supplier whose goods take two to four periods."""
    lead = {"values": [2, 3, 4], "probabilities": [0.3, 0.5, 0.2]}
    lane = {"lead_time": 4, "random_lead_time": lead}
    return _one_store("random-lead-time", {"unmet_demand": "backlogged", "initial_on_hand": 20}, lane, _FIVE)


def fixed_costs_and_lots() -> Document:
    """A truck to the warehouse costs 20 whatever is on it and brings whole pallets of six, at least two of them."""
    nodes = [
        {"id": "hub", "kind": "warehouse", "holding_cost": 0.3, "initial_on_hand": 30},
        _store("east"),
        _store("west", unmet_demand="backlogged"),
    ]
    truck = {"fixed_order_cost": 20.0, "minimum_order": 12.0, "lot_multiple": 6.0}
    lanes = [
        {"from": "supplier", "to": "hub", "lead_time": 2, **truck},
        {"from": "hub", "to": "east", "lead_time": 1},
        {"from": "hub", "to": "west", "lead_time": 1},
    ]
    demand = {"process": "poisson", "nodes": {"east": {"mean": 4.0}, "west": {"mean": 3.0}}}
    # Few periods: with fixed costs and lots the bound solves an integer program over all of them.
    return _rolling("fixed-costs-and-lots", nodes, lanes, demand, periods=16, warmup_periods=4)


def seasonal_with_shocks() -> Document:
    """A year of thirteen four-week periods, a growing market, and rivals' promotions that halve demand for a while."""
    season = [0.7, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.2, 1.1, 1.0, 1.0, 1.3, 1.0]
    store = {"holding_cost": 0.5, "shortage_cost": 8.0, "initial_on_hand": 40}
    demand = {
        "process": "seasonal",
        "season": season,
        "shock": {"probability": 0.08, "factor": 0.5, "duration": 3},
        "correlation": 0.3,
        "nodes": {"north": {"mean": 12.0, "std": 3.0, "trend": 0.1}, "south": {"mean": 9.0, "std": 3.0}},
    }
    nodes = [_store("north", **store), _store("south", **store)]
    lanes = [{"from": "supplier", "to": node["id"], "lead_time": 2} for node in nodes]
    return _rolling("seasonal-with-shocks", nodes, lanes, demand, periods=39, warmup_periods=0)


def spare_parts() -> Document:
    """Two depots that need a part once in a while, several at a time, and a central store of them."""
    depot = {"holding_cost": 1.0, "shortage_cost": 40.0, "unmet_demand": "backlogged", "initial_on_hand": 3}
    nodes = [
        {"id": "central", "kind": "warehouse", "holding_cost": 0.6, "initial_on_hand": 6},
        _store("depot-1", **depot),
        _store("depot-2", **depot),
    ]
    lanes = [
        {"from": "supplier", "to": "central", "lead_time": 4},
        {"from": "central", "to": "depot-1", "lead_time": 1},
        {"from": "central", "to": "depot-2", "lead_time": 1},
    ]
    demand = {
        "process": "intermittent",
        "nodes": {
            "depot-1": {"probability": 0.15, "size_mean": 2.0},
            "depot-2": {"probability": 0.3, "size_mean": 1.5, "size_variance": 0.9},
        },
    }
    return _rolling("spare-parts", nodes, lanes, demand, integer_orders=True)


def history_in_blocks() -> Document:
    """Half a year of daily sales with a week in it, drawn in blocks of two weeks that begin on their own weekday."""
    nodes = [
        {"id": "hub", "kind": "warehouse", "holding_cost": 0.2, "initial_on_hand": 60},
        _store("market", initial_on_hand=30),
        _store("station", unmet_demand="backlogged", initial_on_hand=25),
    ]
    lanes = [
        {"from": "supplier", "to": "hub", "lead_time": 3},
        {"from": "hub", "to": "market", "lead_time": 1},
        {"from": "hub", "to": "station", "lead_time": 1},
    ]
    demand = {
        "process": "empirical",
        "nodes": ["market", "station"],
        "history": _sales(),
        "block": 14,
        "season_length": 7,
    }
    return _rolling("history-in-blocks", nodes, lanes, demand, start_date="2026-06-29")


def _sales() -> list[list[float]]:
    """182 days of two shops: a week, and a slow swell that days have in common. Made, so that anybody may have it."""
    week = [(1.1, 1.2), (1.0, 1.2), (1.0, 1.2), (1.1, 1.2), (1.3, 1.3), (1.4, 0.5), (0.1, 0.4)]
    days = []
    for day in range(182):
        swell = 1 + 0.25 * math.sin(day / 9) + 0.15 * math.sin(day / 4 + 1)
        ripple = ((day * 37) % 11 - 5) / 20, ((day * 53) % 13 - 6) / 20
        market, station = week[day % 7]
        days.append([float(round(11 * market * (swell + ripple[0]))), float(round(8 * station * (swell + ripple[1])))])
    return days
