"""Base stock with min-shortage rationing: what is short is shared so that everyone's shortage is equally likely."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.core import NetworkSize
from models.dynamics import Stage
from models.inventory_network.columns import add, take, total
from models.inventory_network.flows import lead_in
from models.inventory_network.policies.rules import BaseStockPolicy
from models.inventory_network.policy import NetworkPolicy
from models.inventory_network.simulator import NetworkSimulator, NetworkState, Orders

HALVINGS = 40


class MinShortagePolicy(NetworkPolicy):
    """Base stock whose suppliers, when short, fill what is wanted except v standard deviations of each customer's
    lead-time demand, the same v for all customers of a supplier: a_k = (wanted_k − v σ_k)⁺ with Σ a_k = stock.

    Under normal demand equal v is equal risk, which is the myopic optimum for equal costs (Federgruen and Zipkin 1984);
    for other costs the levels learn the difference. σ is learned as well.
    """

    source: Tensor
    own_lanes: Tensor

    def __init__(self, simulator: NetworkSimulator) -> None:
        super().__init__(simulator)
        lay = simulator.layout
        self.base = BaseStockPolicy(simulator)
        own = np.flatnonzero(lay.source < lay.num_stocking)
        spread = lay.flow_std[: lay.num_stocking] * np.sqrt(lead_in(lay) + 1)
        sigma = torch.tensor(spread[lay.target[own]], dtype=torch.get_default_dtype()).clamp_min(1e-3)
        self.spread = nn.Parameter(sigma.log())  # log σ [units] of every lane from a stocking node
        self.register_buffer("own_lanes", torch.from_numpy(own), persistent=False)
        self.register_buffer("source", torch.from_numpy(lay.source[own]), persistent=False)

    def propose(self, state: NetworkState, stage: Stage) -> Orders:
        wanted = self.base.propose(state, stage).quantity
        asked = take(wanted, self.own_lanes)
        filled = self._fill(asked, self.simulator.available(state))
        return Orders(add(wanted, self.own_lanes, filled - asked))

    def _fill(
        self, asked: Float[Tensor, "batch own"], stock: Float[Tensor, "batch node"]
    ) -> Float[Tensor, "batch own"]:
        """Shares of `stock` that leave shortages in proportion to σ; all that is asked for where there is enough."""
        count, spread = stock.shape[1], self.spread.exp()
        short = total(asked, self.source, count) > stock
        with torch.no_grad():  # the level of shortage, by bisection
            low = torch.zeros_like(stock)
            high = torch.zeros_like(stock) + (asked / spread).amax(1, keepdim=True)
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                given = total((asked - take(middle, self.source) * spread).clamp_min(0.0), self.source, count)
                low, high = torch.where(given > stock, middle, low), torch.where(given > stock, high, middle)
            served = (asked > take(high, self.source) * spread).to(asked)
        # Given who is served, the level is a linear equation, and its gradient exact.
        spreads = total(served * spread, self.source, count).clamp_min(1e-9)
        level = (total(served * asked, self.source, count) - stock) / spreads
        filled = served * (asked - take(level, self.source) * spread).clamp_min(0.0)
        return torch.where(take(short, self.source), filled, asked)

    def describe(self) -> dict[str, Any]:
        lanes = [self.simulator.layout.lanes[k] for k in self.own_lanes.tolist()]
        shares = [
            {"from": lane.source, "to": lane.target, "shortage_share": round(x, 4)}
            for lane, x in zip(lanes, self.spread.exp().tolist(), strict=True)
        ]
        return self.base.describe() | {"rationing": shares}


def min_shortage(net: Any, simulator: NetworkSimulator, size: NetworkSize) -> MinShortagePolicy:
    """Family `base_stock_min_shortage`."""
    return MinShortagePolicy(simulator)
