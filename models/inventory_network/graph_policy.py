"""The graph network: message passing over the lanes, one set of weights for any network."""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.core import NetworkSize
from models.dynamics import Stage
from models.inventory_network.encoder import NetworkEncoder
from models.inventory_network.policy import NetworkPolicy, lane_scale, nearly_positive
from models.inventory_network.simulator import NetworkSimulator, NetworkState, Orders
from models.networks import LaneConvolution, LanePair, perceptron

HORIZON = 10.0  # [periods] scale of lead times in static features


class GraphPolicy(NetworkPolicy):
    """Message passing over the lane graph: weights are shared by all nodes and lanes, so their number does not grow
    with the network, and one policy can serve networks it never saw.

    Source: Alvo et al., arXiv 2306.11246 (graph neural policy); here messages are weighted by flow.
    """

    node_static: Tensor
    lane_static: Tensor
    cell_place: Tensor
    share_in: Tensor
    share_out: Tensor
    edge_index: Tensor
    lane_scale: Tensor

    def __init__(self, simulator: NetworkSimulator, size: NetworkSize) -> None:
        super().__init__(simulator)
        self.encoder = NetworkEncoder(simulator)
        lay, width = simulator.layout, size.width
        self.rounds = size.rounds if size.rounds is not None else _longest_path(simulator)
        self.window = max((arrival for _, arrival in self.encoder.cells), default=0) + 1
        node_static, lane_static = _static_features(simulator)
        time = 1 if self.encoder.finite else 0
        self.embed_node = perceptron(1 + self.window + node_static.shape[1] + time, width, 1, width)
        self.embed_lane = nn.Linear(lane_static.shape[1] + 2 * time, width)
        self.convolutions = nn.ModuleList(LaneConvolution(width) for _ in range(self.rounds))
        self.pair = LanePair(width)
        self.head = perceptron(width, width, size.depth - 1, 1)
        cell_place = torch.tensor(
            [node * self.window + arrival for node, arrival in self.encoder.cells], dtype=torch.long
        )
        share_in, share_out = _flow_shares(simulator)
        for name, tensor in (
            ("node_static", node_static),
            ("lane_static", lane_static),
            ("cell_place", cell_place),
            ("share_in", share_in),
            ("share_out", share_out),
            ("edge_index", torch.from_numpy(np.stack((lay.source, lay.target)))),
            ("lane_scale", lane_scale(simulator)),
        ):
            self.register_buffer(name, tensor, persistent=False)

    def features(self, state: NetworkState, stage: Stage) -> Float[Tensor, "batch feature"]:
        features: Tensor = self.encoder(state, stage)
        return features

    def propose(self, state: NetworkState, stage: Stage) -> Orders:
        # One stage for the whole batch: what depends on it alone is computed once and broadcast.
        time = (
            self.encoder.time_left(stage, 1 if isinstance(stage, int) else state.batch) if self.encoder.finite else None
        )
        nodes = self.embed_node(self._node_features(state, time))
        lanes = self.embed_lane(self._lane_features(time))
        for convolution in self.convolutions:
            nodes = convolution(nodes, lanes, self.edge_index, self.share_in, self.share_out)
        asked = self.head(self.pair(nodes, lanes, self.edge_index)).squeeze(-1)
        return Orders(self.lane_scale * nearly_positive(asked + 1.0))

    def _node_features(self, state: NetworkState, time: Tensor | None) -> Float[Tensor, "batch node feature"]:
        simulator, batch = self.simulator, state.batch
        profile = state.pipeline.new_zeros(simulator.num_nodes * self.window, batch)
        profile = profile.index_copy(0, self.cell_place, self.encoder.arrivals(state).t())
        stock = self.encoder.stock(state)
        dynamic = torch.cat((stock[..., None], profile.t().reshape(batch, simulator.num_nodes, self.window)), dim=-1)
        suppliers = len(simulator.layout.nodes) - simulator.num_nodes
        parts = [nn.functional.pad(dynamic, (0, 0, 0, suppliers)), self.node_static.expand(batch, -1, -1)]
        if time is not None:
            parts.append(time[:, None, :1].expand(batch, len(simulator.layout.nodes), -1))
        return torch.cat(parts, dim=-1)

    def _lane_features(self, time: Tensor | None) -> Float[Tensor, "any_batch lane feature"]:
        if time is None:
            return self.lane_static[None]
        slack = time[:, 1:, None]
        static = self.lane_static.expand(len(time), -1, -1)
        return torch.cat((static, slack, (slack >= 0).to(slack)), dim=-1)


def _flow_shares(simulator: NetworkSimulator) -> tuple[Tensor, Tensor]:
    """Each lane's share of the flow into its target and out of its source."""
    lay = simulator.layout
    flow = np.maximum(lay.lane_flow, 1e-9)
    into = np.bincount(lay.target, flow, len(lay.nodes))[lay.target]
    out = np.bincount(lay.source, flow, len(lay.nodes))[lay.source]
    return torch.tensor(flow / into, dtype=torch.get_default_dtype()), torch.tensor(
        flow / out, dtype=torch.get_default_dtype()
    )


def _static_features(simulator: NetworkSimulator) -> tuple[Tensor, Tensor]:
    """What never changes about nodes and lanes, relative to the network's own scale of flow and cost."""
    lay, net = simulator.layout, simulator.net
    money = max([n.holding_cost for n in net.nodes] + [1e-9])
    flow = np.maximum(lay.flow, 1e-3)
    typical = float(np.median(flow[: lay.num_demand]))
    nodes = [
        [
            float(node.kind == "store"),
            float(node.kind == "supplier"),
            float(node.kind == "store" and node.unmet_demand == "lost"),
            math.log(flow[k] / typical),
            lay.flow_std[k] / flow[k],
            node.holding_cost / money,
            math.log1p((node.shortage_cost + node.price) / money) / 3.0,
            min(lay.to_demand[k] / HORIZON, 2.0),
        ]
        for k, node in enumerate(lay.nodes)
    ]
    lanes = [
        [
            lane.lead_time / HORIZON,
            math.log1p(lane.unit_cost / money) / 3.0,
            lane.in_transit_cost / money,
            math.log(max(lay.lane_flow[k], 1e-3) / typical),
            float(lay.source[k] >= lay.num_stocking),
        ]
        for k, lane in enumerate(lay.lanes)
    ]
    dtype = torch.get_default_dtype()
    return torch.tensor(nodes, dtype=dtype), torch.tensor(lanes, dtype=dtype)


def _longest_path(simulator: NetworkSimulator) -> int:
    """Lanes on the longest way through the network: as many rounds let every node hear of every other on its way."""
    lay = simulator.layout
    depth = [0] * len(lay.nodes)
    for _ in lay.nodes:
        for source, target in zip(lay.source.tolist(), lay.target.tolist(), strict=True):
            depth[target] = max(depth[target], depth[source] + 1)
    return max(depth)


def graph_policy(net: Any, simulator: NetworkSimulator, size: NetworkSize) -> GraphPolicy:
    """Family `gnn`."""
    return GraphPolicy(simulator, size)
