"""The two rules that never look at stock: every machine on one item for ever, and nothing at all."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.core import NetworkSize
from models.dynamics import Stage
from models.lot_sizing.lots import Lots, LotState
from models.lot_sizing.policies.base import LotRule, dependent_demand, shortage_price
from models.lot_sizing.simulator import LotSimulator


class StaticPolicy(LotRule):
    """Every machine makes one item for ever: the assignment that saves most shortage cost, one machine an item.

    What machine m saves with item i over the horizon: min(ρ, mean demand) · shortage cost · T − setup cost −
    holding cost · room · T.
    """

    item: Tensor

    def __init__(self, simulator: LotSimulator, idle: bool = False) -> None:
        super().__init__(simulator)
        none = np.full(simulator.num_machines, simulator.num_items)
        chosen = none if idle else _assignment(simulator, self.room.double().numpy())
        self.register_buffer("item", torch.from_numpy(chosen))

    def propose(self, state: LotState, stage: Stage) -> Lots:
        item = self.item.expand(state.batch, -1)
        return self.lots(state, item, self.room, stage)

    def describe(self) -> dict[str, Any]:
        items = [*self.simulator.places, None]
        machines = [machine.id for machine in self.simulator.plant.machines]
        return {"items": {machine: items[k] for machine, k in zip(machines, self.item.tolist(), strict=True)}}


def _assignment(simulator: LotSimulator, room: Any) -> Any:
    """Item of every machine (M,), I where none is worth it."""
    from scipy.optimize import linear_sum_assignment

    lay, stages = simulator.layout, simulator.num_stages
    mean = dependent_demand(simulator).mean(0)
    saved = np.minimum(lay.production, mean) * shortage_price(simulator) - lay.holding_cost * room
    gain = np.where(lay.can_make, saved * stages - lay.setup_cost, -1.0)
    idle = np.zeros((lay.num_machines, lay.num_machines))
    machines, items = linear_sum_assignment(-np.hstack([gain, idle]))
    return np.minimum(items[np.argsort(machines)], lay.num_items)


def static(plant: Any, simulator: LotSimulator, size: NetworkSize) -> StaticPolicy:
    """Family `static`."""
    return StaticPolicy(simulator)


def idle(plant: Any, simulator: LotSimulator, size: NetworkSize) -> StaticPolicy:
    """Family `idle`."""
    return StaticPolicy(simulator, idle=True)
