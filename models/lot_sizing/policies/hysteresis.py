"""Keep a machine on its item until there is enough of it; then move it to the item that is most urgent."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.core import NetworkSize
from models.dynamics import Stage
from models.lot_sizing.lots import Lots, LotState
from models.lot_sizing.policies.base import LotRule, shortage_price
from models.lot_sizing.simulator import LotSimulator


class HysteresisPolicy(LotRule):
    """An item is started when its stock falls below `low`, and made until it reaches `high`: (s, S) with a machine.

    A machine whose item has enough goes to the most urgent item below its low level that no machine is on; if there is
    none it goes on (or idles, where that keeps its setup). Machines are served in document order, one to an item.
    Only what is worth it counts: a machine takes an item if the shortage cost saved in a cycle from low to high,
    less changeover and holding, is at least `worth` times its changeover cost, and its rate at least `pace` times the
    demand. With `by_item` every item has its own levels, else all share them, in periods of demand and as part of the
    room. The cost jumps in the levels, so they are searched.
    """

    shortage: Tensor
    holding: Tensor
    setup_cost: Tensor

    def __init__(self, simulator: LotSimulator, by_item: bool = False) -> None:
        super().__init__(simulator)
        lay = simulator.layout
        for name, values in (
            ("shortage", shortage_price(simulator)),
            ("holding", lay.holding_cost),
            ("setup_cost", lay.setup_cost),
        ):
            self.register_buffer(name, torch.from_numpy(values).to(self.room), persistent=False)
        levels = simulator.num_items if by_item else 1
        self.low = nn.Parameter(torch.full((levels,), 2.0))  # s [periods of demand]
        self.high = nn.Parameter(torch.full((levels,), 0.9))  # S [share of the room]
        self.worth = nn.Parameter(torch.tensor(1.0))  # [–]
        self.pace = nn.Parameter(torch.tensor(1.0))  # [–]

    def levels(self, stage: Stage) -> tuple[Float[Tensor, "*batch item"], Float[Tensor, "*batch item"]]:
        """Low and high level of every item [units]."""
        low = self.low.clamp_min(0.0) * self.demand(stage)
        return low, torch.maximum(self.high.clamp(0.0, 1.0) * self.room, low)

    def worthwhile(self, stage: Stage) -> Bool[Tensor, "*batch machine item"]:
        """Which items each machine should take."""
        low, high = self.levels(stage)
        demand = self.demand(stage)
        net = (self.production - demand[..., None, :]).clamp_min(1e-3)
        lot = (high - low)[..., None, :].clamp_min(1e-3)
        cycle = lot / net + lot / demand[..., None, :]
        saved = self.shortage * torch.minimum(self.production, demand[..., None, :])
        held = self.holding * (high + low)[..., None, :] / 2
        gain = cycle * (saved - held) - self.setup_cost
        fast = self.production >= self.pace * demand[..., None, :]
        return (self.production > 0) & fast & (gain >= self.worth * self.setup_cost)

    def propose(self, state: LotState, stage: Stage) -> Lots:
        low, high = self.levels(stage)
        takes = self.worthwhile(stage).expand(state.batch, -1, -1)
        none = torch.zeros_like(takes[..., :1])
        item = state.setup
        on = nn.functional.one_hot(item, self.simulator.num_items + 1).bool()[..., :-1]
        wanted = (on & takes).any(2)  # the machine is on an item that is worth it
        full = (on & (state.stock >= high)[:, None]).any(2)
        earlier = (on & takes).long().cumsum(1) - (on & takes).long()
        second = (on & (earlier > 0)).any(2)  # another machine is on it before
        keeps = wanted & ~full & ~second
        covered = (on & takes).any(1)
        urgency = (low - state.stock) / self.demand(stage)
        chosen = []
        for machine in range(self.simulator.num_machines):
            asked = takes[:, machine] & ~covered & (urgency > 0)
            most = torch.where(asked, urgency, 0.0).max(1)
            goes = (most.values > 0) & ~keeps[:, machine]
            rests = ~goes & ~keeps[:, machine] & self._rests(item, state, machine, wanted, high)
            stays = torch.where(rests, self.simulator.num_items, item[:, machine])
            chosen.append(torch.where(goes, most.indices, stays))
            gone = torch.cat((takes[:, machine], none[:, machine]), dim=1) & goes[:, None]
            places = torch.arange(self.simulator.num_items + 1, device=item.device)
            covered = covered | (gone & (places == most.indices[:, None]))[:, :-1]
        return self.lots(state, torch.stack(chosen, dim=1), high, stage)

    def _rests(
        self, item: Tensor, state: LotState, machine: int, wanted: Tensor, high: Tensor
    ) -> Bool[Tensor, " batch"]:
        """Whether a machine with nowhere to go idles: its item has enough, and idling loses no setup worth having."""
        own = nn.functional.one_hot(item[:, machine], self.simulator.num_items + 1).bool()[:, :-1]
        enough = (own & (state.stock >= high)).any(1)
        return enough if self.simulator.carries_over else enough & ~wanted[:, machine]

    def describe(self) -> dict[str, Any]:
        low, high = (level.expand(self.simulator.num_items) for level in self.levels(0))
        takes = self.worthwhile(0)
        names, machines = self.simulator.places, self.simulator.plant.machines
        return {
            "low": {name: round(x, 4) for name, x in zip(names, low.tolist(), strict=True)},
            "high": {name: round(x, 4) for name, x in zip(names, high.tolist(), strict=True)},
            "items": {m.id: [names[k] for k in takes[place].nonzero().flatten()] for place, m in enumerate(machines)},
        }


def hysteresis(plant: Any, simulator: LotSimulator, size: NetworkSize) -> HysteresisPolicy:
    """Family `hysteresis`."""
    return HysteresisPolicy(simulator)


def reorder_levels(plant: Any, simulator: LotSimulator, size: NetworkSize) -> HysteresisPolicy:
    """Family `reorder_levels`."""
    return HysteresisPolicy(simulator, by_item=True)
