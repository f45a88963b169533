"""What the rules of the room share: a proposal the simulator makes feasible, and the scales of their levels."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.dynamics import Policy, Stage
from models.lot_sizing.demand.process import Floats
from models.lot_sizing.lots import Lots, LotState
from models.lot_sizing.simulator import LotSimulator

AHEAD = 4  # periods of demand to come that a rule looks at together
COVER = 12.0  # [periods of mean demand] that stand for the room of an item without a storage limit


class LotRule(Policy[LotState, Lots]):
    """Base of the rules: items proposed for the machines, lots up to a level where they are divisible."""

    ahead: Tensor
    room: Tensor
    production: Tensor

    def __init__(self, simulator: LotSimulator) -> None:
        super().__init__()
        # Kept out of the module tree: the dynamics are not weights.
        self._simulator = (simulator,)
        lay = simulator.layout
        ahead = np.maximum(coming(dependent_demand(simulator), AHEAD), 1e-3)
        room = np.where(np.isfinite(lay.inventory_max), lay.inventory_max, COVER * ahead.mean(0))
        for name, values in (("ahead", ahead), ("room", room), ("production", lay.production)):
            self.register_buffer(name, torch.from_numpy(values).to(torch.get_default_dtype()), persistent=False)

    @property
    def simulator(self) -> LotSimulator:
        """The dynamics whose constraints the decisions obey."""
        return self._simulator[0]

    def forward(self, state: LotState, stage: Stage) -> Lots:
        return self.simulator.repair(state, self.propose(state, stage), stage)

    def demand(self, stage: Stage) -> Float[Tensor, "*batch item"]:
        """Mean demand a period over the coming periods, what the bill of materials will take included [units]."""
        return self.ahead[stage % len(self.ahead)]

    def lots(
        self, state: LotState, item: Int[Tensor, "batch machine"], level: Float[Tensor, "*batch item"], stage: Stage
    ) -> Lots:
        """Lots of these items: full ones, or as much as brings the stock after mean demand up to `level`."""
        output = self.simulator.output
        if not output.divisible:
            return Lots(item, state.stock.new_zeros((item.shape[0], 0)))
        missing = (level + self.demand(stage) - state.stock).clamp_min(0.0)
        wanted = torch.cat((missing, torch.zeros_like(missing[:, :1])), dim=1).gather(1, item)
        full = output.of(state, item, stage)
        share = torch.where(full > 0, wanted / full.clamp_min(1e-9), 0.0).clamp_max(1.0)
        # What is lumpy is searched, not descended; of several lots a period the rules use the first.
        return Lots(_first(item, output.several, self.simulator.num_items), _first(share.detach(), output.several, 0.0))


def _first(values: Tensor, several: int, rest: float) -> Tensor:
    """Values (batch, machine) as those of each machine's first lot, the others `rest`."""
    others = torch.full_like(values, rest)
    return torch.stack((values, *[others] * (several - 1)), dim=2).flatten(1) if several > 1 else values


def coming(table: Floats, periods: int) -> Floats:
    """Average of `table` (cycle, …) over each period and those that follow it, the cycle wrapped around."""
    length = len(table)
    found: Floats = np.mean([table[(np.arange(length) + k) % length] for k in range(periods)], axis=0)
    return found


def dependent_demand(simulator: LotSimulator) -> Floats:
    """Mean demand (cycle, item) of every period, what its successors' mean demand takes of each item included."""
    consumption = simulator.layout.consumption
    if consumption is None:
        return simulator.tables.means
    # The sum of the powers of the consumption table: it ends after as many levels as there are items.
    return simulator.tables.means @ np.linalg.inv(np.eye(len(consumption)) - consumption)


def shortage_price(simulator: LotSimulator) -> Floats:
    """What a unit short costs (item,) [money]: its own sales, or those of what it is a component of if dearer."""
    lay = simulator.layout
    price: Floats = lay.lost_sales_cost + lay.backlog_cost
    used = lay.consumption
    if used is None:
        return price
    share = np.divide(1.0, used, out=np.zeros_like(used), where=used > 0)
    for _ in range(len(price)):  # levels of the bill of materials, at most
        price = np.maximum(price, (share * price[:, None]).max(0))
    return price
