"""Small random plants that have tables, with some of everything the exact methods take."""

from __future__ import annotations

import random
from typing import Any

from models.lot_sizing.instance import LotSizing


def tabulated_plant(seed: int, **changes: Any) -> LotSizing:
    """Two items on one or two machines over three periods."""
    dice = random.Random(seed)
    machines = [f"M{k}" for k in range(dice.randint(1, 2))]
    pairs = [(m, i) for m in machines for i in "AB" if dice.random() < 0.8]
    found: dict[str, Any] = {
        "problem": "lot_sizing",
        "periods": 3,
        "whole_units": True,
        "setup_carry_over": dice.random() < 0.5,
        "items": [_item(dice, name) for name in "AB"],
        "machines": [_machine(dice, name, [i for m, i in pairs if m == name]) for name in machines],
        "capabilities": [_capability(dice, machine, item) for machine, item in pairs],
    }
    if dice.random() < 0.5:
        found["changeovers"] = [
            {
                "machine": m,
                "from": before,
                "to": item,
                "cost": float(dice.randint(0, 4)),
                "loss": float(dice.randint(0, 2)),
            }
            for m, item in pairs
            for before in [None, *(own for other, own in pairs if other == m and own != item)]
            if dice.random() < 0.7
        ]
    if dice.random() < 0.5:
        found["maintenance"] = [{"machine": dice.choice(machines), "period": 1}]
    return LotSizing.model_validate(found | changes)


def _item(dice: random.Random, name: str) -> dict[str, Any]:
    waits = dice.random() < 0.4
    most = float(dice.randint(2, 5))
    weights = [dice.randint(1, 5) for _ in range(dice.randint(1, 3))]
    values = dice.sample([0.0, 1.0, 2.0, 3.0], len(weights))
    return {
        "id": name,
        "holding_cost": dice.choice([0.0, 0.5, 1.0]),
        "lost_sales_cost": float(dice.randint(1, 8)),
        "unmet_demand": "backlogged" if waits else "lost",
        "backlog_cost": float(dice.randint(0, 3)) if waits else 0.0,
        "backlog_max": 2.0 if waits else None,
        "inventory_max": most,
        "initial_inventory": float(dice.randint(-1 if waits else 0, int(most))),
        "demand": {"process": "pmf", "values": values, "probabilities": [w / sum(weights) for w in weights]},
    }


def _machine(dice: random.Random, name: str, able: list[str]) -> dict[str, Any]:
    hours = dice.random() < 0.4
    return {
        "id": name,
        "initial_setup": dice.choice([None, *able]),
        "hours": 8.0 if hours else None,
        "hours_by_period": [8.0, 4.0] if hours else None,
    }


def _capability(dice: random.Random, machine: str, item: str) -> dict[str, Any]:
    return {
        "machine": machine,
        "item": item,
        "production": float(dice.randint(1, 4)),
        "setup_cost": float(dice.randint(0, 4)),
        "setup_loss": float(dice.randint(0, 2)),
    }
