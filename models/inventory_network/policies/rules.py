"""Classical rules: order up to a level, alone or for the echelon, capped or not."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.core import NetworkSize
from models.dynamics import Stage
from models.inventory_network.flows import echelon_shares, lead_in
from models.inventory_network.policies.graph_static import starting_level
from models.inventory_network.policy import NetworkPolicy
from models.inventory_network.simulator import NetworkSimulator, NetworkState, Orders


class BaseStockPolicy(NetworkPolicy):
    """Order up to a level: q = (S − position)⁺, shared among a node's suppliers in fixed proportions.

    `echelon` takes the position of a node together with everything downstream of it; `capped` never orders more than
    a cap. Levels, caps and shares are trained by the same pathwise gradient as the networks.
    """

    covered: Tensor
    scale: Tensor
    target: Tensor
    slot_target: Tensor

    def __init__(self, simulator: NetworkSimulator, echelon: bool = False, capped: bool = False) -> None:
        super().__init__(simulator)
        lay = simulator.layout
        covered = echelon_matrix(simulator) if echelon else torch.eye(lay.num_stocking)
        scale = torch.tensor(lay.flow[: lay.num_stocking], dtype=torch.get_default_dtype()).clamp_min(1e-3)
        self.register_buffer("covered", covered.to(scale), persistent=False)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("target", torch.from_numpy(lay.target), persistent=False)
        self.register_buffer("slot_target", torch.from_numpy(lay.target[lay.slot_lane]), persistent=False)
        self.level = nn.Parameter(starting_levels(simulator, echelon) / scale)  # [periods of supply]
        self.cap = nn.Parameter(torch.full_like(scale, 2.0)) if capped else None  # [periods of supply]
        self.share = nn.Parameter(torch.zeros(lay.num_lanes))  # logits among the lanes into one node

    def propose(self, state: NetworkState, stage: Stage) -> Orders:
        order = (self.level * self.scale - self.position(state)).clamp_min(0.0)
        if self.cap is not None:
            order = torch.minimum(order, self.cap.clamp_min(0.0) * self.scale)
        return Orders(order[:, self.target] * self._shares())

    def position(self, state: NetworkState) -> Float[Tensor, "batch node"]:
        """Net inventory and all under way, of the node or of its echelon [units]."""
        own = state.net_inventory.t().index_add(0, self.slot_target, state.pipeline.t())
        return (self.covered @ own).t()

    def _shares(self) -> Float[Tensor, " lane"]:
        """Share of a node's order that each of its lanes takes; they sum to one."""
        weight = self.share.exp()
        total = weight.new_zeros(self.simulator.num_nodes).index_add(0, self.target, weight)
        return weight / total[self.target]

    def describe(self) -> dict[str, Any]:
        nodes = self.simulator.layout.nodes[: self.simulator.num_nodes]
        levels = (self.level * self.scale).tolist()
        found: dict[str, Any] = {"levels": {node.id: round(x, 4) for node, x in zip(nodes, levels, strict=True)}}
        if self.cap is not None:
            caps = (self.cap.clamp_min(0.0) * self.scale).tolist()
            found["caps"] = {node.id: round(x, 4) for node, x in zip(nodes, caps, strict=True)}
        lanes = self.simulator.layout.lanes
        found["shares"] = [
            {"from": lane.source, "to": lane.target, "share": round(x, 4)}
            for lane, x in zip(lanes, self._shares().tolist(), strict=True)
        ]
        return found


def starting_levels(simulator: NetworkSimulator, echelon: bool) -> Float[Tensor, " node"]:
    """Mean demand over the lead time, review period included, and a safety stock against running short [units]."""
    lay = simulator.layout
    flow = lay.flow[: lay.num_stocking]
    if echelon:
        periods, _ = starting_level(simulator)
        return torch.tensor(flow * periods, dtype=torch.get_default_dtype())
    cover = lead_in(lay) + 1
    spread = lay.flow_std[: lay.num_stocking] * np.sqrt(cover)
    return torch.tensor(flow * cover + spread, dtype=torch.get_default_dtype())


def echelon_matrix(simulator: NetworkSimulator) -> Float[Tensor, "node node"]:
    """How much of each column's position belongs to each row's echelon: the share of its flow that comes from it."""
    count = simulator.layout.num_stocking
    covered = torch.zeros(count, count)
    for node, shares in enumerate(echelon_shares(simulator.layout)):
        covered[node, list(shares)] = torch.tensor(list(shares.values())).to(covered)
    return covered


def base_stock(net: Any, simulator: NetworkSimulator, size: NetworkSize) -> BaseStockPolicy:
    """Family `base_stock`."""
    return BaseStockPolicy(simulator)


def capped_base_stock(net: Any, simulator: NetworkSimulator, size: NetworkSize) -> BaseStockPolicy:
    """Family `capped_base_stock`."""
    return BaseStockPolicy(simulator, capped=True)


def echelon_base_stock(net: Any, simulator: NetworkSimulator, size: NetworkSize) -> BaseStockPolicy:
    """Family `echelon_base_stock`."""
    return BaseStockPolicy(simulator, echelon=True)
