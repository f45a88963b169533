"""Hydrothermal systems written for this project, ready to post."""

from __future__ import annotations

import math
import random
from typing import Any

from models.core import Example

Document = dict[str, Any]
OWN = "written for this project"


def _seasonal_scenarios(means: dict[str, float], stages: int, spread: list[float], swing: float) -> Document:
    """Scenarios around a yearly wave; a factor of `spread` scales all plants' inflow of a scenario alike."""
    waves = [1 + swing * math.cos(2 * math.pi * stage / stages) for stage in range(stages)]
    table = {
        plant: [[round(mean * wave * factor, 3) for factor in spread] for wave in waves]
        for plant, mean in means.items()
    }
    return {"process": "scenarios", "cyclic": True, "inflow_m3s": table}


def one_reservoir() -> Document:
    """A reservoir, two thermals, a year of months: the smallest system in which water has a value."""
    return {
        "problem": "hydrothermal",
        "name": "one-reservoir",
        "stages": 24,
        "stage_hours": 730,
        "physics": "transport",
        "deficit_cost_per_mwh": 1000,
        "buses": [{"id": "town", "load_mw": 100}],
        "thermals": [
            {"id": "gas", "bus": "town", "max_mw": 40, "cost_per_mwh": 45},
            {"id": "oil", "bus": "town", "max_mw": 40, "cost_per_mwh": 130},
        ],
        "hydros": [
            {
                "id": "lake",
                "bus": "town",
                "production_factor_mw_per_m3s": 0.9,
                "turbine_max_m3s": 90,
                "storage_max_hm3": 400,
                "spill_cost_per_hm3": 0.1,
                "initial_storage_hm3": 200,
            }
        ],
        "inflows": _seasonal_scenarios({"lake": 60}, 12, [0.5, 0.8, 1.0, 1.2, 1.5], 0.6),
    }


def cascade_three() -> Document:
    """Three plants on one river: turbined water of each serves the next, spill of the first leaves the valley."""
    plants = [("upper", 0.8, 60, 250, "middle", None), ("middle", 0.5, 80, 60, "lower", "lower")]
    plants.append(("lower", 1.2, 90, 40, None, None))  # type: ignore[arg-type]
    return {
        "problem": "hydrothermal",
        "name": "cascade-three",
        "stages": 24,
        "stage_hours": 730,
        "physics": "transport",
        "deficit_cost_per_mwh": 800,
        "buses": [{"id": "valley", "load_mw": [150, 150, 140, 130, 120, 120, 125, 125, 130, 140, 150, 155]}],
        "thermals": [
            {"id": "coal", "bus": "valley", "max_mw": 50, "cost_per_mwh": 35},
            {"id": "gas", "bus": "valley", "max_mw": 50, "cost_per_mwh": 70},
        ],
        "hydros": [
            {
                "id": name,
                "bus": "valley",
                "production_factor_mw_per_m3s": factor,
                "turbine_max_m3s": most,
                "storage_max_hm3": full,
                "spill_cost_per_hm3": 0.1,
                "initial_storage_hm3": full / 2,
                "turbine_downstream": down,
                "spill_downstream": spill,
                "min_outflow_m3s": 5,
                "min_outflow_cost_per_hm3": 400,
            }
            for name, factor, most, full, down, spill in plants
        ],
        "inflows": _seasonal_scenarios({"upper": 25, "middle": 12, "lower": 8}, 12, [0.5, 0.8, 1.1, 1.6], 0.5),
    }


def two_buses() -> Document:
    """A reservoir behind a line that is too thin at times: prices differ between its ends."""
    return {
        "problem": "hydrothermal",
        "name": "two-buses",
        "stages": 24,
        "stage_hours": 730,
        "physics": "dc",
        "deficit_cost_per_mwh": 1000,
        "buses": [{"id": "b1", "load_mw": 0}, {"id": "b2", "load_mw": 100}],
        "lines": [
            {"id": "l1", "from": "b1", "to": "b2", "resistance_pu": 0.0, "reactance_pu": 0.1, "limit_mw": 80},
        ],
        "thermals": [{"id": "g1", "bus": "b2", "min_mw": 0, "max_mw": 60, "cost_per_mwh": 40}],
        "hydros": [
            {
                "id": "h1",
                "bus": "b1",
                "production_factor_mw_per_m3s": 1.0,
                "turbine_max_m3s": 70,
                "storage_min_hm3": 0,
                "storage_max_hm3": 300,
                "initial_storage_hm3": 150,
            }
        ],
        "inflows": {
            "process": "scenarios",
            "cyclic": True,
            "inflow_m3s": {"h1": [[30, 50, 80], [20, 40, 60]]},
            "probabilities": [[0.3, 0.4, 0.3], [0.3, 0.4, 0.3]],
        },
    }


def generated(buses: int = 28, hydros: int = 11, stages: int = 24, seed: int = 28) -> Document:
    """A meshed system of any size: a ring with chords, rivers of three plants, thermals of many costs."""
    draw = random.Random(seed)
    load = [round(draw.uniform(5, 40), 1) for _ in range(buses)]
    total = sum(load)
    ends = [(k, (k + 1) % buses) for k in range(buses)] + [(3 * k, (3 * k + 7) % buses) for k in range(buses // 7)]
    lines = [
        {
            "id": f"l{k + 1}",
            "from": f"b{a + 1}",
            "to": f"b{b + 1}",
            "resistance_pu": round(draw.uniform(0.005, 0.03), 4),
            "reactance_pu": round(draw.uniform(0.05, 0.25), 4),
            "limit_mw": round(draw.uniform(0.12, 0.3) * total, 1),
        }
        for k, (a, b) in enumerate(ends)
    ]
    costs = sorted(round(draw.uniform(20, 110), 1) for _ in range(max(buses * 3 // 4, 2)))
    thermals = [
        {
            "id": f"g{k + 1}",
            "bus": f"b{draw.randrange(buses) + 1}",
            "max_mw": round(0.8 * total / len(costs) * draw.uniform(0.6, 1.4), 1),
            "cost_per_mwh": cost,
        }
        for k, cost in enumerate(costs)
    ]
    plants, means = [], {}
    for k in range(hydros):
        last = k % 3 == 2 or k == hydros - 1
        power = 0.6 * total / hydros * draw.uniform(0.5, 1.6)
        factor = round(draw.uniform(0.3, 2.5), 2)
        name = f"h{k + 1}"
        means[name] = round((0.55 if k % 3 == 0 else 0.2) * power / factor, 3)
        full = round(means[name] * 0.0036 * 730 * draw.uniform(0.5, 4.0), 2)
        plants.append(
            {
                "id": name,
                "bus": f"b{draw.randrange(buses) + 1}",
                "production_factor_mw_per_m3s": factor,
                "turbine_max_m3s": round(power / factor, 3),
                "storage_max_hm3": full,
                "spill_cost_per_hm3": 0.1,
                "initial_storage_hm3": round(0.4 * full, 2),
                "turbine_downstream": None if last else f"h{k + 2}",
                "spill_downstream": None if last else f"h{k + 2}",
            }
        )
    return {
        "problem": "hydrothermal",
        "name": f"generated-{buses}-buses",
        "stages": stages,
        "stage_hours": 730,
        "physics": "dc",
        "deficit_cost_per_mwh": 600,
        "buses": [{"id": f"b{k + 1}", "load_mw": value} for k, value in enumerate(load)],
        "lines": lines,
        "thermals": thermals,
        "hydros": plants,
        "inflows": _seasonal_scenarios(means, 12, [0.4, 0.65, 0.85, 1.0, 1.15, 1.4, 1.8], 0.5),
    }


EXAMPLES: tuple[Example, ...] = (
    Example("generated_28", "28 buses and 11 reservoirs, generated", OWN, generated),
    Example("cascade_three", "Three plants on one river", OWN, cascade_three),
    Example("one_reservoir", "One reservoir and two thermals", OWN, one_reservoir),
    Example("two_buses", "A reservoir behind a thin line", OWN, two_buses),
)
