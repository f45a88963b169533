"""Named plants, ready to post; all made up here."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from models.core import Example

Document = dict[str, Any]
OWN = "made up for Herenow"


def _able(machine: str, item: str, production: float, setup_cost: float, **more: float) -> Document:
    return {"machine": machine, "item": item, "production": production, "setup_cost": setup_cost, **more}


def workshop(num_items: int, num_machines: int, seed: int) -> Document:
    """A plant in the shape of the published settings: a random half of all pairs can be made, few items are dear."""
    dice = random.Random(seed)

    def between(low: int, high: int) -> int:
        return low + int((high - low + 1) * dice.random())

    items, machines = ([f"{kind}{k + 1}" for k in range(n)] for kind, n in (("item-", num_items), ("m", num_machines)))
    able = []
    for machine in machines:
        for item in items:
            if dice.random() < 0.6:
                loss = (1, 1, 1, 2, 3)[between(0, 4)]
                able.append(_able(machine, item, between(4, 40), between(15, 30), setup_loss=loss))
    return {
        "problem": "lot_sizing",
        "name": f"workshop-{num_items}x{num_machines}",
        "periods": 100,
        "initial_state": "random",
        "items": [
            {
                "id": item,
                "holding_cost": 0.01,
                "lost_sales_cost": 1.1 if dice.random() < 0.45 else 0.1,
                "inventory_max": 100,
                "demand": {"process": "binomial", "n": 20, "p": 0.4},
            }
            for item in items
        ],
        "machines": [{"id": machine} for machine in machines],
        "capabilities": able,
    }


def _four_items() -> Document:
    price = {"red": 3, "green": 2, "blue": 2, "white": 1}
    rates = [("m1", "red", 3), ("m1", "green", 2), ("m1", "blue", 3), ("m2", "green", 3), ("m2", "blue", 2)]
    return {
        "problem": "lot_sizing",
        "name": "four-colours",
        "periods": 100,
        "initial_state": "random",
        "items": [
            {
                "id": name,
                "holding_cost": 0.1,
                "lost_sales_cost": cost,
                "inventory_max": 10,
                "demand": {"process": "binomial", "n": 3, "p": 0.4},
            }
            for name, cost in price.items()
        ],
        "machines": [{"id": "m1"}, {"id": "m2"}],
        "capabilities": [_able(m, i, rate, 2, setup_loss=1) for m, i, rate in [*rates, ("m2", "white", 3)]],
    }


def _bottling() -> Document:
    """Two filling lines in three shifts a day: syrups dirty the line, so what came before matters."""
    week = [1.0, 1.0, 1.0, 1.1, 1.4, 0.7, 0.0]
    drinks = {"water": (40, 0.6), "lemonade": (24, 0.9), "cola": (30, 1.0), "juice": (12, 1.6)}
    able = [("line1", "water", 120), ("line1", "lemonade", 96), ("line1", "cola", 96), ("line1", "juice", 60)]
    able += [("line2", "water", 80), ("line2", "juice", 64)]
    sweetness = {"water": 0, "lemonade": 1, "juice": 2, "cola": 3}
    changes = [
        {
            "machine": machine,
            "from": before,
            "to": item,
            "cost": 20 + 15 * max(sweetness[before] - sweetness[item], 0),
            "hours": 1 + max(sweetness[before] - sweetness[item], 0),
        }
        for machine, item, _ in able
        for other, before, _ in able
        if machine == other and item != before
    ]
    return {
        "problem": "lot_sizing",
        "name": "bottling",
        "periods": 56,
        "lot_rule": "up_to_rate",
        "setup_carry_over": True,
        "items": [
            {
                "id": name,
                "holding_cost": 0.02,
                "lost_sales_cost": price,
                "inventory_max": 300,
                "initial_inventory": 2 * mean,
                "demand": {"process": "seasonal", "mean": mean, "season": week, "dispersion": 2.0},
            }
            for name, (mean, price) in drinks.items()
        ],
        "machines": [
            {"id": "line1", "initial_setup": "water", "hours": 24, "hours_by_period": [24, 24, 24, 24, 24, 16, 8]},
            {"id": "line2", "initial_setup": "juice", "hours": 16, "hours_by_period": [16, 16, 16, 16, 16, 0, 0]},
        ],
        "capabilities": [_able(machine, item, rate, 20, setup_hours=1) for machine, item, rate in able],
        "changeovers": changes,
        "maintenance": [
            {"machine": "line1", "period": 16, "periods": 2},
            {"machine": "line2", "period": 30, "hours": 8},
        ],
    }


def _gearboxes() -> Document:
    """Three levels: gears and housings become gearboxes, gearboxes with motors become drives; orders wait."""
    waiting = {"gearbox": (20, 4, 6), "drive": (60, 9, 4)}
    items: list[Document] = [
        {
            "id": name,
            "holding_cost": 0.5,
            "lost_sales_cost": price,
            "backlog_cost": late,
            "backlog_max": 20,
            "inventory_max": 40,
            "initial_inventory": stock,
            "demand": {"process": "poisson", "mean": 1.5 if name == "drive" else 0.5},
        }
        for name, (price, late, stock) in waiting.items()
    ]
    items += [
        {
            "id": name,
            "holding_cost": 0.1,
            "unmet_demand": "lost",
            "inventory_max": 80,
            "initial_inventory": stock,
            "demand": {"process": "pmf", "values": [0], "probabilities": [1]},
        }
        for name, stock in (("gear", 24), ("housing", 12), ("motor", 10))
    ]
    able = [("assembly", "gearbox", 4), ("assembly", "drive", 4), ("mill", "gear", 16), ("mill", "housing", 8)]
    parts = [("gearbox", "gear", 3), ("gearbox", "housing", 1), ("drive", "gearbox", 1), ("drive", "motor", 1)]
    return {
        "problem": "lot_sizing",
        "name": "gearboxes",
        "periods": 60,
        "unmet_demand": "backlogged",
        "whole_units": True,
        "setup_carry_over": True,
        "items": items,
        "machines": [
            {"id": "mill", "initial_setup": "gear", "minimum_run": 2},
            {"id": "assembly", "initial_setup": "drive"},
            {"id": "winder", "initial_setup": "motor", "minimum_run": 3},
        ],
        "capabilities": [_able(m, i, rate, 8, setup_loss=1) for m, i, rate in [*able, ("winder", "motor", 4)]],
        "bill_of_materials": [{"item": i, "component": c, "quantity": n} for i, c, n in parts],
    }


def _spare_parts() -> Document:
    """Demand of every kind, in one store with limited space."""
    past = [3, 0, 5, 2, 0, 0, 7, 4, 1, 0, 2, 6, 3, 1, 0, 8, 2, 2, 0, 5, 4, 0, 1, 3, 9, 0, 2, 4, 1, 3, 0, 6, 5, 1, 2, 0]
    forecast = [10, 11, 12, 14, 18, 24, 30, 26, 20, 15, 12, 10] * 4
    demand: dict[str, Document] = {
        "seal": {"process": "negative_binomial", "mean": 4, "variance": 12},
        "valve": {"process": "history", "history": past},
        "pump": {"process": "history", "history": past[5:] + past[:5]},
        "filter": {"process": "forecast", "forecast": forecast, "error": 0.2, "error_growth": 0.005},
    }
    price = {"seal": 4, "valve": 12, "pump": 30, "filter": 3}
    able = [("press", "seal", 20), ("press", "filter", 40), ("lathe", "valve", 8), ("lathe", "pump", 6)]
    return {
        "problem": "lot_sizing",
        "name": "spare-parts",
        "periods": 48,
        "whole_units": True,
        "items": [
            {
                "id": name,
                "holding_cost": 0.05 * price[name],
                "lost_sales_cost": price[name],
                "initial_inventory": 10,
                "demand": own,
            }
            for name, own in demand.items()
        ],
        "machines": [{"id": "press"}, {"id": "lathe"}],
        "capabilities": [_able(m, i, rate, 10, setup_loss=2) for m, i, rate in [*able, ("lathe", "filter", 20)]],
        "storages": [{"id": "store", "capacity": 150, "items": list(demand), "space": {"pump": 3, "valve": 2}}],
    }


def _packing() -> Document:
    """A packing line that makes several sizes a week, in big buckets: lots share the week's hours."""
    sizes = {"small": (60, 1.2), "medium": (35, 2.0), "large": (18, 3.5), "jumbo": (6, 6.0)}
    rates = {"small": 400, "medium": 300, "large": 200, "jumbo": 120}
    return {
        "problem": "lot_sizing",
        "name": "packing",
        "periods": 26,
        "unmet_demand": "backlogged",
        "lot_rule": "up_to_rate",
        "lots_per_period": 3,
        "setup_carry_over": True,
        "items": [
            {
                "id": name,
                "holding_cost": 0.05,
                "lost_sales_cost": 4 * late,
                "backlog_cost": late,
                "backlog_max": 4 * mean,
                "inventory_max": 10 * mean,
                "initial_inventory": 2 * mean,
                "demand": {"process": "negative_binomial", "mean": mean, "variance": 3 * mean},
            }
            for name, (mean, late) in sizes.items()
        ],
        "machines": [{"id": "line", "initial_setup": "small", "hours": 40}],
        "capabilities": [_able("line", name, rate, 25, setup_hours=4) for name, rate in rates.items()],
    }


def _two_items() -> Document:
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
                "holding_cost": 1,
                "lost_sales_cost": 10,
                "inventory_max": 10,
                "initial_inventory": 4,
                "demand": {"process": "pmf", "values": [0, 1, 2], "probabilities": [0.341, 0.58, 0.079]},
            },
            {
                "id": "B",
                "holding_cost": 1,
                "lost_sales_cost": 20,
                "inventory_max": 10,
                "initial_inventory": 2,
                "demand": {"process": "binomial", "n": 4, "p": 0.4},
            },
        ],
        "machines": [{"id": "M1", "initial_setup": None}],
        "capabilities": [_able("M1", item, 3, 1, setup_loss=1) for item in ("A", "B")],
    }


def _example(name: str, title: str, document: Callable[[], Document], source: str = OWN) -> Example:
    return Example(name, title, source, document)


EXAMPLES = (
    _example("workshop-15x5", "Fifteen items on five machines", lambda: workshop(15, 5, 4)),
    _example("workshop-25x10", "Twenty-five items on ten machines", lambda: workshop(25, 10, 11)),
    _example("four-items-two-machines", "Four colours on two small machines", _four_items),
    _example("bottling", "Two bottling lines: changeovers by sequence, hours, maintenance", _bottling),
    _example("gearboxes", "Gears, gearboxes and drives: three levels, orders wait", _gearboxes),
    _example("spare-parts", "Spare parts: demand of every kind, one store", _spare_parts),
    _example("packing", "A packing line: several lots a week", _packing),
    _example("two-items-one-machine", "Two items on one machine", _two_items),
)
