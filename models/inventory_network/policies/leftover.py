"""What suppliers would have left over, or lack, once every lane has asked: shared out among their lanes.

An order-up-to policy asks on every lane as if it were alone. What its supplier has beyond that stays where it is, even
if nothing is gained by keeping it there; what is short is better shared by risk than in proportion to what was asked.
Both are one correction, a_k += g s_k (stock − Σ a), with shares Σ s_k = 1 and one part g for surplus, one for shortage.
With g = 1 and shares in proportion to the spread of demand over the lead time every customer moves by as many standard
deviations: the allocation of the balance relaxation (Eppen, Schrage 1981; Federgruen, Zipkin 1984).
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.inventory_network.flows import LEAST, Floats
from models.inventory_network.layout import Layout
from models.inventory_network.policies.graph_features import GraphIndex, Ints
from models.inventory_network.policies.graph_static import starting_level
from models.inventory_network.simulator import NetworkSimulator, NetworkState
from models.networks import FEW, lowered

FURTHEST = 5.0  # a share's weight moves by at most this much, as a logarithm, from where it started


class Leftover(nn.Module):
    """Shares every sender's surplus, and its shortage, among its lanes.

    Senders are the graph's: nodes that hold stock, and suppliers with a limit. Lanes from other suppliers are left as
    they are. `order` is the order in which the lanes' rows come.
    """

    lane_sender: Tensor
    sending: Tensor
    limit: Tensor
    weight: Tensor
    push: Tensor
    scale: Tensor
    sends: Tensor
    less: Tensor

    def __init__(self, simulator: NetworkSimulator, graph: GraphIndex, order: Ints, scale: Tensor) -> None:
        super().__init__()
        lay = simulator.layout
        self.num_senders = len(graph.senders)
        sender = np.full(lay.num_lanes, self.num_senders, dtype=np.int64)
        sender[graph.lanes] = graph.sender
        nodes = graph.nodes[graph.senders]
        self.num_stocking = int((nodes < lay.num_stocking).sum())
        _, spread = starting_level(simulator)
        scale = scale[torch.from_numpy(order)]
        weight = torch.from_numpy(spread[lay.target[order]]).to(scale) * scale
        limits = simulator.ordering.throughput_capacity.index_select(0, torch.from_numpy(nodes)).to(scale)
        self.backlogs = bool((nodes < lay.num_demand).any())  # otherwise their stock is never negative
        self.limited = any(lay.nodes[k].throughput_capacity is not None for k in nodes.tolist())
        for name, tensor in (
            ("lane_sender", torch.from_numpy(sender[order])),
            ("sending", torch.from_numpy(nodes[: self.num_stocking])),
            ("limit", limits[:, None]),
            ("weight", weight[:, None]),
            ("push", torch.from_numpy(_pushed(lay, nodes)).to(scale)[:, None]),
            ("scale", scale[:, None]),
        ):
            self.register_buffer(name, tensor, persistent=False)
        # Few senders take matrix products, many a gather and a scattered sum.
        self.few = self.num_senders <= FEW
        columns = self.num_senders if self.few else 0
        sends = (self.lane_sender[:, None] == torch.arange(columns)).to(scale)
        self.register_buffer("sends", sends[..., None], persistent=False)  # (lane, sender, 1) whose lane it is
        self.register_buffer("less", -(sends * self.scale).t().contiguous(), persistent=False)

    def per_unit(
        self,
        weight: Float[Tensor, "lane any_stage"],
        surplus: Float[Tensor, "sender one_or_stage"],
        shortage: Float[Tensor, "sender one_or_stage"],
    ) -> tuple[Tensor, Tensor]:
        """What a lane gets of a unit its sender has left over, bears of one it lacks [periods of the lane's flow];
        with few senders in its sender's column, (lane, sender, stage).

        What is learned departs from where it starts: `weight` is added to the logarithms of the lanes' weights,
        `surplus` and `shortage` to the parts that are given out.
        """
        weight = self.weight * weight.clamp(-FURTHEST, FURTHEST).exp()
        total = weight.new_zeros(self.num_senders + 1, weight.shape[1]).index_add(0, self.lane_sender, weight)
        share = weight / (total.index_select(0, self.lane_sender) * self.scale)
        surplus, shortage = share * self._at_lanes(self.push + surplus), share * self._at_lanes(1.0 + shortage)
        return (surplus[:, None] * self.sends, shortage[:, None] * self.sends) if self.few else (surplus, shortage)

    def _at_lanes(self, values: Float[Tensor, "sender any"]) -> Float[Tensor, "lane any"]:
        """Values of every lane's sender; 0 where nothing limits it."""
        return nn.functional.pad(values, (0, 0, 0, 1)).index_select(0, self.lane_sender)

    def forward(
        self,
        state: NetworkState,
        wanted: Float[Tensor, "lane batch"],
        surplus: Float[Tensor, "lane ... any_batch"],
        shortage: Float[Tensor, "lane ... any_batch"],
    ) -> Float[Tensor, "lane batch"]:
        """What is asked [periods of the lane's flow] once surplus and shortage are shared, `per_unit` of them.

        Nothing is asked where a share of the shortage exceeds what was wanted.
        """
        left = self._left(state, wanted)
        asked = self._given(wanted, surplus, left.clamp_min(0.0))
        return self._given(asked, shortage, left.clamp_max(0.0)).clamp_min(0.0)

    def _left(self, state: NetworkState, wanted: Float[Tensor, "lane batch"]) -> Float[Tensor, "sender batch"]:
        """What every sender would have left over [units], or lack."""
        if self.few and not lowered(wanted):  # stock is not for low precision
            return torch.addmm(self._supply(state), self.less, wanted)
        units = wanted * self.scale
        total = units.new_zeros(self.num_senders + 1, units.shape[1]).index_add(0, self.lane_sender, units)
        return self._supply(state) - total[:-1]

    def _given(self, asked: Tensor, part: Tensor, left: Float[Tensor, "sender batch"]) -> Float[Tensor, "lane batch"]:
        """What is asked, with a part of what is left over."""
        if not self.few:
            return torch.addcmul(asked, part, self._at_lanes(left))
        if part.shape[-1] == 1 and not lowered(left):
            return torch.addmm(asked, part[..., 0], left)
        return asked + (part * left).sum(1)

    def _supply(self, state: NetworkState) -> Float[Tensor, "sender batch"]:
        """What every sender can ship now [units]: `NetworkSimulator.supply`, of the senders alone."""
        on_hand = state.net_inventory.t().index_select(0, self.sending)
        on_hand = on_hand.clamp_min(0.0) if self.backlogs else on_hand
        if not self.limited:
            return on_hand
        suppliers = self.limit[self.num_stocking :].expand(-1, on_hand.shape[1])
        return torch.cat((torch.minimum(on_hand, self.limit[: self.num_stocking]), suppliers))


def _pushed(lay: Layout, senders: Ints) -> Floats:
    """1 for senders whose stock costs as much as their customers' or more, so that none should be kept; else 0."""
    held = np.zeros(len(lay.nodes))
    held[: lay.num_stocking] = [node.holding_cost for node in lay.nodes[: lay.num_stocking]]
    flow = np.maximum(lay.lane_flow, LEAST)
    below = np.bincount(lay.source, flow * held[lay.target], len(lay.nodes))
    below = below / np.bincount(lay.source, flow, len(lay.nodes)).clip(LEAST)
    return np.asarray(((held > 0) & (held >= below))[senders], dtype=np.float64)
