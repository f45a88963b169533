"""Random small lot-sizing plants for contract tests, a function of a seed: every option of the JSON comes up."""

from __future__ import annotations

from typing import Any

import numpy as np


def random_plant(seed: int) -> dict[str, Any]:
    """A document with 1–3 items, 1–2 machines, 2–5 periods, and whatever options the seed brings."""
    rng = np.random.default_rng(seed)
    items, machines = [f"item-{k}" for k in range(rng.integers(1, 4))], [f"m-{k}" for k in range(rng.integers(1, 3))]
    periods, hours = int(rng.integers(2, 6)), bool(rng.random() < 0.5)
    capabilities = [_capability(rng, m, i, hours) for m in machines for i in items if rng.random() < 0.85]
    document: dict[str, Any] = {
        "problem": "lot_sizing",
        "name": f"random-{seed}",
        "periods": periods,
        "lot_rule": str(rng.choice(["all_or_nothing", "up_to_rate"])),
        "setup_carry_over": bool(rng.random() < 0.5),
        "whole_units": bool(rng.random() < 0.3),
        "items": [_item(rng, name) for name in items],
        "machines": [_machine(rng, name, hours, capabilities) for name in machines],
        "capabilities": capabilities,
    }
    if rng.random() < 0.5:
        document["changeovers"] = _changeovers(rng, capabilities)
    if len(items) > 1 and rng.random() < 0.4:
        lines = [{"item": items[0], "component": items[1], "quantity": _one(rng, 1.0, 2.0, 0.5)}]
        lines += [{"item": items[1], "component": items[2]}] if len(items) > 2 and rng.random() < 0.5 else []
        document["bill_of_materials"] = lines
    if rng.random() < 0.4:
        document["storages"] = [_storage(rng, items)]
    if rng.random() < 0.3:
        work = {"machine": machines[0], "period": int(rng.integers(periods)), "periods": int(rng.integers(1, 3))}
        document["maintenance"] = [work | ({"hours": 3.0} if hours and rng.random() < 0.5 else {})]
    return document


def _one(rng: np.random.Generator, *values: float) -> float:
    return float(rng.choice(values))


def _item(rng: np.random.Generator, name: str) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": name,
        "holding_cost": _one(rng, 0.0, 0.5, 1.0),
        "lost_sales_cost": _one(rng, 0.0, 1.0, 5.0, 10.0),
        "initial_inventory": _one(rng, 0, 1, 2),
        "demand": {"process": "pmf", "values": [0.0, 1.0, 3.0], "probabilities": [0.3, 0.4, 0.3]},
    }
    if rng.random() < 0.3:
        item["demand"] = {"process": "seasonal", "mean": 2.0, "season": [1.0, 0.5]}
    if rng.random() < 0.6:
        item["inventory_max"] = _one(rng, 4.0, 5.0, 8.0)
    if rng.random() < 0.35:
        item |= {"unmet_demand": "backlogged", "backlog_cost": _one(rng, 1.0, 3.0)}
        item |= {"backlog_max": _one(rng, 1.0, 2.0, 4.0)} if rng.random() < 0.5 else {}
    return item


def _machine(rng: np.random.Generator, name: str, hours: bool, capabilities: list[dict[str, Any]]) -> dict[str, Any]:
    machine: dict[str, Any] = {"id": name}
    if hours:
        machine["hours"] = 8.0
        machine |= {"hours_by_period": [8.0, 4.0, _one(rng, 0.0, 6.0)]} if rng.random() < 0.4 else {}
    if rng.random() < 0.4:
        machine["minimum_run"] = int(rng.integers(2, 4))
    own = [line["item"] for line in capabilities if line["machine"] == name]
    if own and rng.random() < 0.5:
        machine["initial_setup"] = str(rng.choice(own))
    return machine


def _capability(rng: np.random.Generator, machine: str, item: str, hours: bool) -> dict[str, Any]:
    line: dict[str, Any] = {"machine": machine, "item": item, "production": _one(rng, 2.0, 3.0, 3.5, 5.0)}
    line["setup_cost"] = _one(rng, 0.0, 1.0, 4.0)
    if hours and rng.random() < 0.5:
        return line | {"setup_hours": _one(rng, 1.0, 3.0)}
    return line | {"setup_loss": _one(rng, 0.0, 1.0, 2.5, 4.0)}


def _changeovers(rng: np.random.Generator, capabilities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for line in capabilities:
        sources = [own["item"] for own in capabilities if own["machine"] == line["machine"]]
        for source in [*sources, None]:
            if source != line["item"] and rng.random() < 0.6:
                own = {"machine": line["machine"], "from": source, "to": line["item"], "cost": _one(rng, 0, 2, 6)}
                found.append(own | ({"loss": _one(rng, 0.0, 1.0, 2.0)} if rng.random() < 0.5 else {}))
    return found


def _storage(rng: np.random.Generator, items: list[str]) -> dict[str, Any]:
    kept = rng.permutation(items)[: rng.integers(1, len(items) + 1)].tolist()
    space = {kept[0]: _one(rng, 0.5, 2.0)} if rng.random() < 0.5 else {}
    return {"id": "store", "capacity": _one(rng, 6.0, 9.5, 12.0), "items": kept, "space": space}
