"""Demand scenarios of the planner's own: one number for every item and period."""

from typing import Any

from models.lazy import torch
from models.lot_sizing.instance import LotSizing
from models.scenarios import Floats, ScenarioTable


def demand_table(plant: LotSizing) -> ScenarioTable:
    """What a scenario of a plant says."""
    return ScenarioTable("demand", "units/period", tuple(item.id for item in plant.items), plant.num_stages)


def demand_panel(simulator: Any, values: Floats, generator: Any) -> tuple[Any, Any]:
    """Initial states and noise of demand (scenario, period, item); the start is random if the instance says so."""
    from models.lot_sizing.simulator import Demand

    start = simulator.initial(len(values), generator)
    return start, Demand(torch.from_numpy(values).to(start.stock))
