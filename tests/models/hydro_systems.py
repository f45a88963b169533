"""Small hydrothermal systems for tests: named ones, and random ones that use every option."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.powermodels import read_powermodels

Document = dict[str, Any]


def two_buses(physics: str = "dc") -> Document:
    """A reservoir at one bus, load and a thermal at the other."""
    return {
        "problem": "hydrothermal",
        "name": "two-buses",
        "stages": 6,
        "stage_hours": 730,
        "physics": physics,
        "deficit_cost_per_mwh": 1000,
        "buses": [{"id": "b1"}, {"id": "b2", "load_mw": 100}],
        "lines": [{"id": "l1", "from": "b1", "to": "b2", "resistance_pu": 0.01, "reactance_pu": 0.1, "limit_mw": 80}],
        "thermals": [{"id": "g1", "bus": "b2", "max_mw": 60, "cost_per_mwh": 40}],
        "hydros": [
            {
                "id": "h1",
                "bus": "b1",
                "production_factor_mw_per_m3s": 1.0,
                "turbine_max_m3s": 70,
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


def changed(document: Document, **changes: Any) -> Document:
    """A copy with values put in by path: `hydros__0__bus="b2"`."""
    copied = copy.deepcopy(document)
    for path, value in changes.items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("__")]
        place: Any = copied
        for part in parents:
            place = place[part]
        place[last] = value
    return copied


def every_option(seed: int, physics: str = "dc_losses", **changes: Any) -> HydrothermalSystem:
    """A ring of four buses and a cascade of three, with every option of the page, drawn at random."""
    rng = np.random.default_rng(seed)

    def by_season(low: float, high: float, count: int = 2) -> list[float]:
        return [round(float(value), 3) for value in rng.uniform(low, high, count)]

    hydros = []
    for k, (down, spill) in enumerate([("h2", "h3"), ("h3", None), (None, None)]):
        full = float(rng.uniform(60, 200))
        hydros.append(
            {
                "id": f"h{k + 1}",
                "bus": f"b{k + 1}",
                "production_factor_mw_per_m3s": float(rng.uniform(0.3, 1.5)),
                "turbine_max_m3s": by_season(20, 90),
                "storage_min_hm3": 0.1 * full,
                "storage_max_hm3": full,
                "initial_storage_hm3": float(rng.uniform(0.1, 1.0)) * full,
                "turbine_downstream": down,
                "spill_downstream": spill,
                "cost_per_mwh": 0.2,
                "spill_cost_per_hm3": 3.0,
                "evaporation_share": by_season(0.0, 0.05),
                "min_outflow_m3s": by_season(5, 30),
                "min_outflow_cost_per_hm3": 80.0,
                "reserve_storage_hm3": by_season(0.1 * full, 0.5 * full),
                "reserve_cost_per_hm3": 15.0,
                "flood_storage_hm3": by_season(0.6 * full, full),
                "flood_cost_per_hm3": 12.0,
            }
        )
    hydros[1]["production_pieces"] = [
        {"per_m3s": 1.1, "per_hm3": 0.02},
        {"constant_mw": 12.0, "per_m3s": 0.5, "per_hm3": 0.05},
    ]
    ends = [("b1", "b2"), ("b2", "b3"), ("b3", "b4"), ("b4", "b1"), ("b1", "b3")]
    table = rng.gamma(3.0, 12.0, (3, 4, 3)).round(2)
    document: Document = {
        "problem": "hydrothermal",
        "name": "every-option",
        "stages": 5,
        "report_stages": 4,
        "stage_hours": 168,
        "physics": physics,
        "deficit_cost_per_mwh": 900,
        "deficit_tiers": [{"share_of_load": 0.05, "cost_per_mwh": 300}],
        "surplus_cost_per_mwh": 1.0,
        "discount": 0.98,
        "blocks": [
            {"id": "peak", "share": 0.3, "load_factor": 1.3, "renewable_factor": 0.5},
            {"id": "base", "share": 0.7, "load_factor": 0.87, "renewable_factor": 1.2},
        ],
        "buses": [{"id": f"b{k + 1}", "load_mw": by_season(10, 60)} for k in range(4)],
        "lines": [
            {
                "id": f"l{k + 1}",
                "from": a,
                "to": b,
                "resistance_pu": float(rng.uniform(0.01, 0.05)),
                "reactance_pu": float(rng.uniform(0.05, 0.3)),
                "limit_mw": float(rng.uniform(20, 70)),
                "angle_max_rad": 0.5,
            }
            for k, (a, b) in enumerate(ends)
        ],
        "thermals": [
            {"id": "coal", "bus": "b4", "min_mw": 8, "max_mw": 50, "cost_per_mwh": 30, "ramp_mw": 12, "initial_mw": 20},
            {"id": "gas", "bus": "b2", "min_mw": by_season(0, 5), "max_mw": by_season(20, 40), "cost_per_mwh": 55},
            {"id": "oil", "bus": "b4", "max_mw": 30, "cost_per_mwh": 110},
        ],
        "fuels": [{"id": "tank", "thermals": ["gas", "oil"], "max_mwh": by_season(1500, 4000)}],
        "renewables": [{"id": "wind", "bus": "b3", "available_mw": by_season(0, 40, 3)}],
        "hydros": hydros,
        "inflows": {
            "process": "scenarios",
            "cyclic": True,
            "inflow_m3s": {f"h{k + 1}": table[:, :, k].tolist() for k in range(3)},
        },
        "end": {
            "cuts": [
                {"intercept": 60_000, "slope_per_hm3": {"h1": -400, "h2": -250, "h3": -90}},
                {"intercept": 20_000, "slope_per_hm3": {"h1": -40, "h3": -30}},
            ],
            "storage_hm3": {"h1": 40},
            "shortage_cost_per_hm3": 70,
        },
    }
    return HydrothermalSystem.model_validate(changed(document, **changes))


def case_files(case: str) -> dict[str, bytes]:
    """A published case's files; the test is skipped where they are absent."""
    root = os.environ.get("HERENOW_CASE_DATA")
    if root is None or not (Path(root) / "hydro" / case).is_dir():
        pytest.skip("needs the published cases: HERENOW_CASE_DATA")
    names = {
        "network": "PowerModels.json",
        "hydro": "hydro.json",
        "inflows": "inflows.csv",
        "probabilities": "scenarioprobability.csv",
    }
    folder = Path(root) / "hydro" / case
    return {part: (folder / name).read_bytes() for part, name in names.items() if (folder / name).exists()}


def published(case: str, **options: str) -> HydrothermalSystem:
    """A published case, imported."""
    return HydrothermalSystem.model_validate(read_powermodels(case_files(case), options))


def bolivia(stages: int = 126, physics: str = "dc") -> HydrothermalSystem:
    """Bolivia as the figures of the page use it."""
    return published("bolivia", stages=str(stages), load_factor="0.6", physics=physics)


def published_paths() -> np.ndarray[Any, np.dtype[np.int64]]:
    """The evaluation's scenario numbers (500, 126), counted from 0."""
    case_files("bolivia")
    file = Path(os.environ["HERENOW_CASE_DATA"]) / "hydro" / "bolivia" / "evaluation_columns.csv"
    return np.loadtxt(file, delimiter=",", dtype=np.int64) - 1
