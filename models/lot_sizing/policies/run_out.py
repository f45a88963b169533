"""The run-out rule: every machine makes what will run out first, with a bonus for what it is set up for."""

from typing import Any

import torch
from torch import Tensor, nn

from models.core import NetworkSize
from models.dynamics import Stage
from models.lot_sizing.lots import Lots, LotState
from models.lot_sizing.policies.base import LotRule, dependent_demand, shortage_price
from models.lot_sizing.simulator import LotSimulator


class RunOutPolicy(LotRule):
    """Smallest run-out time (stock over mean demand) first, weighed by what a period's shortage costs.

    An item's need is `shortage cost · demand / largest` · (`cover` − run-out time); a machine takes the item of the
    greatest need, its own counted `keep` periods more urgent, or idles where none is needed. Machines choose in
    document order and see what earlier ones will make. The cost jumps in the parameters, so they are searched.
    """

    weight: Tensor

    def __init__(self, simulator: LotSimulator) -> None:
        super().__init__(simulator)
        price = shortage_price(simulator) * dependent_demand(simulator).mean(0)
        weight = torch.from_numpy(price / max(price.max(), 1e-9)).to(self.room)
        self.register_buffer("weight", weight, persistent=False)
        self.cover = nn.Parameter(torch.tensor(6.0))  # [periods of demand] up to which an item is needed
        self.keep = nn.Parameter(torch.tensor(4.0))  # [periods] in favour of the item set up for
        self.power = nn.Parameter(torch.tensor(1.0))  # of the weight: 0 treats all items alike

    def propose(self, state: LotState, stage: Stage) -> Lots:
        demand, items = self.demand(stage), torch.arange(self.simulator.num_items, device=state.stock.device)
        weight = self.weight.clamp_min(1e-3) ** self.power.clamp_min(0.0)
        full = self.simulator.output.every(state, stage)[..., :-1]
        stock, chosen = state.stock, []
        for machine in range(self.simulator.num_machines):
            own = items == state.setup[:, machine, None]
            need = (self.cover - stock / demand + torch.where(own, self.keep.clamp_min(0.0), 0.0)) * weight
            best = torch.where(self.production[machine] > 0, need, -1.0).max(1)
            chosen.append(torch.where(best.values > 0, best.indices, self.simulator.num_items))
            made = (items == best.indices[:, None]) & (best.values > 0)[:, None]
            stock = stock + torch.where(made, full[:, machine], 0.0)
        level = torch.minimum(self.cover.clamp_min(0.0) * demand, self.room)
        return self.lots(state, torch.stack(chosen, dim=1), level, stage)

    def describe(self) -> dict[str, Any]:
        return {name: round(float(value.detach()), 4) for name, value in self.named_parameters()}


def run_out(plant: Any, simulator: LotSimulator, size: NetworkSize) -> RunOutPolicy:
    """Family `run_out`."""
    return RunOutPolicy(simulator)
