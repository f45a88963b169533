"""The published settings as instances: their simulator starts at random and lets a machine make what it can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models.lot_sizing.instance import LotSizing


def published(path: Path) -> LotSizing:
    """The instance in one of the publishers' JSON files."""
    data = json.loads(path.read_text())
    items, machines = range(data["n_items"]), range(data["n_machines"])
    return LotSizing.model_validate(
        {
            "problem": "lot_sizing",
            "periods": data["time_horizon"],
            "initial_state": "random",
            "items": [_item(data, i) for i in items],
            "machines": [{"id": f"machine-{m}"} for m in machines],
            "capabilities": [_capability(data, m, i) for m in machines for i in items if _rate(data, m, i) > 0],
        }
    )


def _rate(data: dict[str, Any], machine: int, item: int) -> float:
    return float(data["machine_production"][machine][item])


def _item(data: dict[str, Any], item: int) -> dict[str, Any]:
    return {
        "id": f"item-{item}",
        "holding_cost": float(data["holding_costs"][item]),
        "lost_sales_cost": float(data["lost_sales_costs"][item]),
        "inventory_max": float(data["max_inventory_level"][item]),
        "demand": _demand(data["demand_distribution"]),
    }


def _demand(data: dict[str, Any]) -> dict[str, Any]:
    if data["name"] == "binomial":
        return {"process": "binomial", "n": data["n"], "p": data["p"]}
    values = [float(value) for value in data["vals"]]
    return {"process": "pmf", "values": values, "probabilities": data["probs"]}


def _capability(data: dict[str, Any], machine: int, item: int) -> dict[str, Any]:
    return {
        "machine": f"machine-{machine}",
        "item": f"item-{item}",
        "production": _rate(data, machine, item),
        "setup_cost": float(data["setup_costs"][machine][item]),
        "setup_loss": float(data["setup_loss"][machine][item]),
    }
