"""The reorder-point rule (s, S): order up to S once the position has fallen to s; best where an order costs K."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.core import NetworkSize
from models.dynamics import Stage
from models.inventory_network.policies.rules import starting_levels
from models.inventory_network.policy import NetworkPolicy
from models.inventory_network.simulator import NetworkSimulator, NetworkState, Orders


class ReorderPointPolicy(NetworkPolicy):
    """q = S − position if position ≤ s, else nothing; S and S − s ≥ 0 by node, suppliers in fixed proportions.

    With a lot multiple Q the simulator rounds the order to whole lots: an (s, nQ) policy. The cost jumps in s, so the
    parameters are searched, not descended. Source: Scarf (1960).
    """

    scale: Tensor
    target: Tensor
    slot_target: Tensor

    def __init__(self, simulator: NetworkSimulator) -> None:
        super().__init__(simulator)
        lay = simulator.layout
        scale = torch.tensor(lay.flow[: lay.num_stocking], dtype=torch.get_default_dtype()).clamp_min(1e-3)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("target", torch.from_numpy(lay.target), persistent=False)
        self.register_buffer("slot_target", torch.from_numpy(lay.target[lay.slot_lane]), persistent=False)
        lot = _economic_lot(simulator, scale)
        up_to = starting_levels(simulator, echelon=False) + lot / 2
        self.order_up_to = nn.Parameter(up_to / scale)  # S [periods of supply]
        self.lot = nn.Parameter(lot / scale)  # S − s [periods of supply], counted as none below zero
        several = bool((torch.bincount(self.target, minlength=lay.num_stocking) > 1).any())
        self.share = nn.Parameter(torch.zeros(lay.num_lanes if several else 0))  # logits among the lanes into a node

    def propose(self, state: NetworkState, stage: Stage) -> Orders:
        own = state.net_inventory.t().index_add(0, self.slot_target, state.pipeline.t()).t()
        short = self.order_up_to * self.scale - own
        due = (short >= self.lot.clamp_min(0.0) * self.scale) & (short > 0)
        order = torch.where(due, short, 0.0)[:, self.target]
        return Orders(order * self._shares() if len(self.share) else order)

    def _shares(self) -> Float[Tensor, " lane"]:
        weight = self.share.exp()
        total = weight.new_zeros(self.simulator.num_nodes).index_add(0, self.target, weight)
        return weight / total[self.target]

    def describe(self) -> dict[str, Any]:
        nodes = self.simulator.layout.nodes[: self.simulator.num_nodes]
        up_to = (self.order_up_to * self.scale).tolist()
        points = ((self.order_up_to - self.lot.clamp_min(0.0)) * self.scale).tolist()
        return {
            "order_up_to": {node.id: round(x, 4) for node, x in zip(nodes, up_to, strict=True)},
            "reorder_points": {node.id: round(x, 4) for node, x in zip(nodes, points, strict=True)},
        }


def _economic_lot(simulator: NetworkSimulator, flow: Tensor) -> Float[Tensor, " node"]:
    """Harris's lot √(2KD/h), at least the minimum order and the lot multiple of the lanes into a node [units]."""
    lay = simulator.layout
    fixed, least = torch.zeros_like(flow), torch.zeros_like(flow)
    for k, lane in enumerate(lay.lanes):
        node = int(lay.target[k])
        fixed[node] = max(float(fixed[node]), lane.fixed_order_cost)
        least[node] = max(float(least[node]), lane.minimum_order, lane.lot_multiple or 0.0)
    holding = torch.tensor([max(node.holding_cost, 1e-3) for node in lay.nodes[: lay.num_stocking]]).to(flow)
    return torch.maximum((2 * fixed * flow / holding).sqrt(), least)


def reorder_point(net: Any, simulator: NetworkSimulator, size: NetworkSize) -> ReorderPointPolicy:
    """Family `reorder_point`."""
    return ReorderPointPolicy(simulator)
