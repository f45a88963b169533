"""Inflow scenarios of the planner's own: one number for every hydro plant and stage."""

from typing import Any

from models.hydrothermal.instance import HydrothermalSystem
from models.lazy import torch
from models.scenarios import Floats, ScenarioTable


def inflow_table(system: HydrothermalSystem) -> ScenarioTable:
    """What a scenario of a system says; the inflow of stage 0 is known when its decision is taken."""
    plants = tuple(hydro.id for hydro in system.hydros)
    return ScenarioTable("inflow", "m³/s", plants, system.stages, stage_word="stage")


def inflow_panel(simulator: Any, values: Floats, generator: Any) -> tuple[Any, Any]:
    """Initial states and noise of inflow (scenario, stage, plant) [m³/s]."""
    return simulator.on_paths(torch.from_numpy(values) * simulator.system.hm3_per_m3s)  # type: ignore[no-any-return]
