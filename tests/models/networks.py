"""Random small inventory networks for contract tests, a function of a seed: plain ones, and rich ones, which have every
feature of the JSON beside stock, lanes and capacities."""

from __future__ import annotations

from typing import Any

import numpy as np


def random_network(seed: int) -> dict[str, Any]:
    """A document with 1–2 suppliers, 0–3 warehouses in layers, 1–3 stores, and whatever options the seed brings."""
    rng = np.random.default_rng(seed)
    profit = bool(rng.random() < 0.4)
    receipt = str(rng.choice(["before_decision", "after_decision"]))
    suppliers = [f"supplier-{k}" for k in range(rng.integers(1, 3))]
    warehouses = [f"warehouse-{k}" for k in range(rng.integers(0, 4))]
    stores = [f"store-{k}" for k in range(rng.integers(1, 4))]
    lanes = _lanes(rng, suppliers, warehouses, stores, receipt)
    nodes: list[dict[str, Any]] = [_supplier(rng, name) for name in suppliers]
    nodes += [_stocking(rng, name, lanes) for name in warehouses]
    nodes += [_store(rng, name, lanes, profit) for name in stores]
    rng.shuffle(nodes)
    return {
        "problem": "inventory_network",
        "name": f"random-{seed}",
        "periods": int(rng.integers(4, 9)),
        "objective": "profit" if profit else "cost",
        "receipt": receipt,
        "nodes": nodes,
        "lanes": lanes,
        "demand": {
            "process": "empirical",
            "nodes": stores,
            "history": (rng.integers(0, 13, size=(12, len(stores))) / rng.choice([1, 2])).tolist(),
        },
    }


def rich_network(seed: int, chance: bool = True) -> dict[str, Any]:
    """A random network with fixed costs, minimum orders, lots, partial backlogs, targets and shelf lives thrown in.

    Without `chance` no lead time is random, so that the network has a program.
    """
    rng = np.random.default_rng([seed, 1])
    document = random_network(seed)
    if rng.random() < 0.2:
        document["integer_orders"] = True
    nodes = {node["id"]: node for node in document["nodes"]}
    for lane in document["lanes"]:
        _restrict_orders(rng, lane, nodes)
        if chance and document["receipt"] == "before_decision" and lane["lead_time"] and rng.random() < 0.3:
            _randomise_lead_time(rng, lane)
    for node in document["nodes"]:
        if node["kind"] == "store":
            _enrich_store(rng, node)
    return document


def _restrict_orders(rng: np.random.Generator, lane: dict[str, Any], nodes: dict[str, dict[str, Any]]) -> None:
    limits = (lane.get("capacity"), nodes[lane["from"]].get("throughput_capacity"))
    limits += (nodes[lane["to"]].get("storage_capacity"),)
    most = min([12.0, *(limit for limit in limits if limit is not None)])
    if rng.random() < 0.35:
        lane["fixed_order_cost"] = float(rng.integers(1, 40)) / 4
    if rng.random() < 0.3 and most >= 4:
        lane["lot_multiple"] = float(rng.integers(1, 5))
    if rng.random() < 0.3 and most >= 8:
        lane["minimum_order"] = lane.get("lot_multiple", 1.0) * float(rng.integers(1, 3))


def _randomise_lead_time(rng: np.random.Generator, lane: dict[str, Any]) -> None:
    shorter = [value for value in range(1, lane["lead_time"]) if rng.random() < 0.6]
    weights = rng.integers(1, 5, size=len(shorter) + 1).astype(float)
    values = [*shorter, lane["lead_time"]]
    lane["random_lead_time"] = {"values": values, "probabilities": (weights / weights.sum()).tolist()}


def _enrich_store(rng: np.random.Generator, node: dict[str, Any]) -> None:
    if rng.random() < 0.35:
        node |= {"unmet_demand": "partial", "backlog_share": float(rng.choice([0.0, 0.25, 0.5, 1.0]))}
        node["lost_sales_cost"] = float(rng.integers(0, 41)) / 4
    if rng.random() < 0.3:
        node["fill_rate_target"] = float(rng.integers(80, 99)) / 100
    if rng.random() < 0.4:
        node |= {"shelf_life": int(rng.integers(1, 5)), "outdate_cost": float(rng.integers(0, 17)) / 4}
        ages = int(rng.integers(0, node["shelf_life"]))
        old = np.floor(max(node["initial_on_hand"], 0.0) * rng.dirichlet(np.ones(ages + 1)))[:ages]
        node["initial_expiring"] = old.tolist()


def _lanes(
    rng: np.random.Generator, suppliers: list[str], warehouses: list[str], stores: list[str], receipt: str
) -> list[dict[str, Any]]:
    lanes = []
    for k, target in enumerate(warehouses + stores):
        above = suppliers + warehouses[: min(k, len(warehouses))]
        chosen = rng.choice(above, size=min(len(above), int(rng.integers(1, 3))), replace=False)
        lanes += [_lane(rng, str(source), target, receipt) for source in chosen]
    return lanes


def _lane(rng: np.random.Generator, source: str, target: str, receipt: str) -> dict[str, Any]:
    lead = int(rng.integers(0, 4))
    slots = max(lead - 1, 0) if receipt == "before_decision" else lead
    lane: dict[str, Any] = {"from": source, "to": target, "lead_time": lead}
    if rng.random() < 0.5:
        lane["unit_cost"] = float(rng.integers(1, 5)) / 4
    if rng.random() < 0.3:
        lane["in_transit_cost"] = float(rng.integers(1, 5)) / 16
    if rng.random() < 0.3:
        lane["capacity"] = float(rng.integers(3, 12))
    if slots and rng.random() < 0.5:
        lane["initial_in_transit"] = rng.integers(0, 6, size=int(rng.integers(1, slots + 1))).astype(float).tolist()
    return lane


def _supplier(rng: np.random.Generator, name: str) -> dict[str, Any]:
    node: dict[str, Any] = {"id": name, "kind": "supplier"}
    if rng.random() < 0.3:
        node |= {"throughput_capacity": float(rng.integers(5, 25)), "throughput_cost": 0.125}
    return node


def _stocking(rng: np.random.Generator, name: str, lanes: list[dict[str, Any]]) -> dict[str, Any]:
    node: dict[str, Any] = {
        "id": name,
        "kind": "warehouse",
        "holding_cost": float(rng.integers(1, 8)) / 16,
        "initial_on_hand": float(rng.integers(0, 15)),
    }
    if rng.random() < 0.3:
        node["throughput_capacity"] = float(rng.integers(4, 20))
        node["throughput_cost"] = float(rng.integers(0, 3)) / 8
    _limit_storage(rng, node, lanes)
    return node


def _store(rng: np.random.Generator, name: str, lanes: list[dict[str, Any]], profit: bool) -> dict[str, Any]:
    unmet = str(rng.choice(["lost", "backlogged"]))
    node: dict[str, Any] = {
        "id": name,
        "kind": "store",
        "holding_cost": float(rng.integers(1, 9)) / 4,
        "shortage_cost": float(rng.integers(1, 41)) / 4,
        "unmet_demand": unmet,
        "initial_on_hand": float(rng.integers(-6 if unmet == "backlogged" else 0, 12)),
    }
    if profit:
        node["price"] = float(rng.integers(1, 25)) / 4
    _limit_storage(rng, node, lanes)
    return node


def _limit_storage(rng: np.random.Generator, node: dict[str, Any], lanes: list[dict[str, Any]]) -> None:
    """A capacity no smaller than what the node starts with: above it the program is a relaxation only."""
    if rng.random() < 0.25:
        coming = sum(sum(lane.get("initial_in_transit", [])) for lane in lanes if lane["to"] == node["id"])
        node["storage_capacity"] = max(node["initial_on_hand"], 0.0) + coming + float(rng.integers(0, 10))
