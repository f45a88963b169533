"""Bounds and plans in whole numbers: relax and fix, gaps told, proven bounds where time was short."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from models.registry import problem
from solvers.bounds import DETERMINISTIC, PERFECT_INFORMATION
from solvers.core import Callbacks, SolveResult
from solvers.highs import HotProgram
from solvers.planning import RollingPolicy
from solvers.relax_and_fix import relax_and_fix
from solvers.rolling_horizon import ROLLING_DETERMINISTIC

PLANTS = problem("lot_sizing")
QUIET = Callbacks()


def bakery(periods: int, machines: int = 1) -> dict[str, Any]:
    """Three breads on one oven or more: every change costs, and two would sell faster than one oven bakes."""
    breads = ("rye", "oat", "malt")
    demand = {"process": "pmf", "values": [0.0, 1.0, 2.0], "probabilities": [0.2, 0.5, 0.3]}
    item = {"holding_cost": 1.0, "lost_sales_cost": 9.0, "inventory_max": 9.0, "initial_inventory": 2.0}
    ovens = [f"oven-{k}" for k in range(machines)]
    able = {"production": 4.0, "setup_cost": 2.0, "setup_loss": 1.0}
    return {
        "problem": "lot_sizing",
        "periods": periods,
        "items": [{"id": bread, "demand": demand, **item} for bread in breads],
        "machines": [{"id": oven} for oven in ovens],
        "capabilities": [{"machine": oven, "item": bread, **able} for oven in ovens for bread in breads],
    }


def hindsight(document: dict[str, Any], **config: Any) -> SolveResult:
    assert PERFECT_INFORMATION.solve is not None
    own = PERFECT_INFORMATION.config(scenarios=2, **config)
    return PERFECT_INFORMATION.solve(PLANTS, PLANTS.parse(document), own, 1, QUIET)


def planned(document: dict[str, Any], **config: Any) -> SolveResult:
    assert DETERMINISTIC.solve is not None
    return DETERMINISTIC.solve(PLANTS, PLANTS.parse(document), DETERMINISTIC.config(**config), 1, QUIET)


def test_whole_numbers_tighten_the_bound_of_hindsight() -> None:
    loose, tight = hindsight(bakery(5)).document, hindsight(bakery(5), whole_numbers=True).document
    assert tight["value"] > loose["value"] + 1.0
    assert (tight["unproved_scenarios"], tight["largest_gap"] <= 1e-4) == (0, True)
    assert "unproved_scenarios" not in loose


def test_what_is_proven_in_a_short_time_is_a_bound_and_said_to_be_no_optimum() -> None:
    loose = hindsight(bakery(16, 2))
    short = hindsight(bakery(16, 2), whole_numbers=True, seconds_per_scenario=1.0)
    assert short.status == "time_limit"
    assert short.document["unproved_scenarios"] == short.document["scenarios"] == 2
    assert short.document["value"] >= loose.document["value"] - 1e-6
    assert short.document["largest_gap"] is None or short.document["largest_gap"] > 1e-4


def test_relax_and_fix_gives_a_whole_plan_near_the_best() -> None:
    plant = PLANTS.parse(bakery(8))
    face, simulator = PLANTS.program(plant), PLANTS.simulator(plant).double()  # type: ignore[misc]
    chained = face.horizon(np.ones(9))
    state = face.state_vector(simulator.initial(1, torch.Generator()))[0]
    noise = face.noise_path(simulator.sample(1, torch.Generator().manual_seed(3)))[0]
    columns = relax_and_fix(chained, state, noise, 4, 1e-6, 60.0)
    assert columns is not None
    whole = columns[chained.program.integer]
    np.testing.assert_allclose(whole, whole.round(), atol=1e-5)
    hot = HotProgram(chained.program)
    hot.set_data(state, noise)
    best = hot.solve().value
    cost = chained.program.cost @ columns + chained.program.offset(state, noise)
    assert best - 1e-6 <= cost <= 1.3 * best
    assert relax_and_fix(chained, state, noise, 4, 1e-6, 60.0, lambda: True) is None


def test_a_long_plan_starts_from_relax_and_fix_and_tells_its_gap() -> None:
    found = planned(bakery(40), time_limit_seconds=4.0, window=5)
    assert found.status in ("optimal", "time_limit")
    document = found.document
    assert document["planned_cost"] == pytest.approx(document["replayed_cost"], abs=1e-4)
    assert document["planned_cost_bound"] <= document["planned_cost"] + 1e-6
    assert 0 <= document["gap"] < 1.0
    assert document["largest_repair"] == 0


def test_machines_rows_are_served_and_decided_by_plans() -> None:
    """A plan's items are whole numbers in any precision of the state."""
    plant = PLANTS.parse(bakery(8))
    policy = RollingPolicy(PLANTS, plant, ROLLING_DETERMINISTIC.config(look_ahead=4))
    simulator = PLANTS.simulator(plant)
    state = simulator.initial(2, torch.Generator())
    lots = policy(state, 0)
    assert lots.item.dtype == torch.int64
    assert float(simulator.violation(state, lots, 0).max()) == 0
