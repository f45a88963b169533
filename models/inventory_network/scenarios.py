"""Demand scenarios of the planner's own: one number for every node with demand and period."""

from typing import Any

import numpy as np

from models.inventory_network.instance import InventoryNetwork
from models.lazy import torch
from models.scenarios import Floats, ScenarioTable


def demand_table(net: InventoryNetwork) -> ScenarioTable:
    """What a scenario of a network says."""
    return ScenarioTable("demand", "units/period", tuple(net.demand_nodes), net.periods)


def demand_panel(simulator: Any, values: Floats, generator: Any) -> tuple[Any, Any]:
    """Initial states and noise of demand (scenario, period, node in document order); lead times stay random."""
    from models.inventory_network.simulator import Demand

    places = demand_table(simulator.net).places
    order = np.array([places.index(store) for store in simulator.store_ids])
    drawn = simulator.sample(len(values), generator)
    demand = torch.from_numpy(values[:, :, order]).to(drawn.demand)
    return simulator.initial(len(values), generator), Demand(demand, drawn.delay)
