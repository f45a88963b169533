"""Random small inventory networks for contract tests: every feature of the JSON, a function of a seed."""

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
