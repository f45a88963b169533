"""Plants for tests: small named ones, and random ones with any mixture of features."""

from __future__ import annotations

import random
from typing import Any

import torch

from models.lot_sizing.instance import LotSizing
from models.lot_sizing.lots import Lots
from models.lot_sizing.simulator import LotSimulator


def plant(**changes: Any) -> LotSizing:
    """The page's two items on one machine, with changes."""
    return LotSizing.model_validate(document(**changes))


def document(**changes: Any) -> dict[str, Any]:
    """The page's two items on one machine, as JSON."""
    return {
        "problem": "lot_sizing",
        "name": "two-items",
        "periods": 100,
        "unmet_demand": "lost",
        "lot_rule": "all_or_nothing",
        "initial_state": "given",
        "items": [
            {
                "id": "A",
                "holding_cost": 1.0,
                "lost_sales_cost": 10.0,
                "inventory_max": 10.0,
                "initial_inventory": 4.0,
                "demand": {"process": "pmf", "values": [0.0, 1.0, 2.0], "probabilities": [0.341, 0.58, 0.079]},
            },
            {
                "id": "B",
                "holding_cost": 1.0,
                "lost_sales_cost": 20.0,
                "inventory_max": 10.0,
                "initial_inventory": 2.0,
                "demand": {"process": "binomial", "n": 4, "p": 0.4},
            },
        ],
        "machines": [{"id": "M1", "initial_setup": None}],
        "capabilities": [
            {"machine": "M1", "item": "A", "production": 3.0, "setup_cost": 1.0, "setup_loss": 1.0},
            {"machine": "M1", "item": "B", "production": 3.0, "setup_cost": 1.0, "setup_loss": 1.0},
        ],
    } | changes


def random_plant(seed: int) -> LotSizing:
    """A plant of 1 … 5 items and 1 … 4 machines with some of everything an instance can have."""
    dice = random.Random(seed)

    def coin(chance: float = 0.5) -> bool:
        return dice.random() < chance

    items, machines = [f"I{k}" for k in range(dice.randint(1, 5))], [f"M{k}" for k in range(dice.randint(1, 4))]
    hours = {machine: dice.choice([None, 8.0, 16.0]) for machine in machines}
    pairs = [(m, i) for m in machines for i in items if coin(0.7)]
    found: dict[str, Any] = {
        "problem": "lot_sizing",
        "periods": dice.randint(1, 12),
        "unmet_demand": dice.choice(["lost", "backlogged"]),
        "lot_rule": dice.choice(["all_or_nothing", "up_to_rate"]),
        "whole_units": coin(),
        "setup_carry_over": coin(),
    }
    found["items"] = [_item(dice, name, found["unmet_demand"]) for name in items]
    found["machines"] = [_machine(dice, name, hours[name], [i for m, i in pairs if m == name]) for name in machines]
    found["capabilities"] = [_capability(dice, m, i, hours[m]) for m, i in pairs]
    if found["lot_rule"] == "up_to_rate" and coin():
        found |= {"lots_per_period": dice.randint(2, 3), "whole_units": False}
        found["machines"] = [machine | {"minimum_run": 1} for machine in found["machines"]]
    if coin():
        found["changeovers"] = _changeovers(dice, pairs, hours)
    if coin() and len(items) > 1 and "lots_per_period" not in found:
        found["bill_of_materials"] = [
            {"item": items[k], "component": items[k + 1], "quantity": float(dice.randint(1, 3))}
            for k in range(len(items) - 1)
            if coin()
        ]
    if coin():
        kept = dice.sample(items, dice.randint(1, len(items)))
        space = {kept[0]: float(dice.randint(1, 3))} if coin() else {}
        found["storages"] = [{"id": "S", "capacity": float(dice.randint(60, 90)), "items": kept, "space": space}]
    if coin():
        machine = dice.choice(machines)
        lost = None if hours[machine] is None or coin() else 4.0
        found["maintenance"] = [{"machine": machine, "period": dice.randint(0, 6), "periods": 2, "hours": lost}]
    return LotSizing.model_validate(found)


def _item(dice: random.Random, name: str, unmet: str) -> dict[str, Any]:
    own = dice.choice([None, "lost", "backlogged"])
    waits = (own or unmet) == "backlogged"
    return {
        "id": name,
        "holding_cost": dice.choice([0.0, 0.5, 1.0]),
        "lost_sales_cost": float(dice.randint(0, 20)),
        "unmet_demand": own,
        "backlog_cost": float(dice.randint(0, 9)) if waits else 0.0,
        "backlog_max": dice.choice([None, 3.0]) if waits else None,
        "inventory_max": dice.choice([None, 10.0, 14.0]),
        "initial_inventory": float(dice.randint(-3 if waits else 0, 10)),
        "demand": {"process": "poisson", "mean": dice.choice([0.0, 1.0, 3.0])},
    }


def _machine(dice: random.Random, name: str, hours: float | None, able: list[str]) -> dict[str, Any]:
    by_period = [float(dice.randint(0, int(hours))) for _ in range(dice.randint(1, 3))] if hours else None
    return {
        "id": name,
        "initial_setup": dice.choice([None, *able]),
        "hours": hours,
        "hours_by_period": by_period if dice.random() < 0.5 else None,
        "minimum_run": dice.choice([1, 1, 2, 4]),
    }


def _capability(dice: random.Random, machine: str, item: str, hours: float | None) -> dict[str, Any]:
    in_hours = hours is not None and dice.random() < 0.5
    return {
        "machine": machine,
        "item": item,
        "production": float(dice.randint(1, 12)),
        "setup_cost": float(dice.randint(0, 5)),
        "setup_loss": 0.0 if in_hours else float(dice.randint(0, 4)),
        "setup_hours": 2.0 if in_hours else None,
    }


def _changeovers(
    dice: random.Random, pairs: list[tuple[str, str]], hours: dict[str, float | None]
) -> list[dict[str, Any]]:
    found = []
    for machine, target in pairs:
        for before in [None, *(item for own, item in pairs if own == machine and item != target)]:
            if dice.random() < 0.5:
                in_hours = hours[machine] is not None and dice.random() < 0.5
                lost = {"hours": 3.0} if in_hours else {"loss": float(dice.randint(0, 3))}
                found.append(
                    {"machine": machine, "from": before, "to": target, "cost": float(dice.randint(0, 9)), **lost}
                )
    return found


def random_decision(simulator: LotSimulator, state: Any, stage: Any, generator: torch.Generator) -> Lots:
    """Feasible choices, slot after slot, each at random."""
    choices = simulator.lot_choices
    choice = torch.zeros((state.batch, choices.num_slots), dtype=torch.long)
    for slot in range(choices.num_slots):
        open_to = choices.feasible(state, stage, choice)[:, slot].double()
        choice[:, slot] = torch.multinomial(open_to, 1, generator=generator).squeeze(1)
    return choices.decision(choice)
