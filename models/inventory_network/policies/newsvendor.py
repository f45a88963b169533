"""The generalised newsvendor: order up to a quantile of what is forecast for the lead time, period by period."""

from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.core import NetworkSize
from models.dynamics import Stage
from models.inventory_network.flows import cover
from models.inventory_network.policies.graph_static import starting_level
from models.inventory_network.policies.rules import echelon_matrix
from models.inventory_network.policy import NetworkPolicy
from models.inventory_network.simulator import NetworkSimulator, NetworkState, Orders


class NewsvendorPolicy(NetworkPolicy):
    """q = (F⁻¹(u) − position)⁺ with F the forecast of an echelon's demand over its lead time and one period more.

    The forecast is normal, its mean and variance those of the demand process in the very periods the order is for, its
    mean moved by the smoothed level of past demand where the instance asks for one. The fractile u = Φ(z) of every node
    is learned; suppliers share in proportion to learned weights. Source: Alvo et al., arXiv 2306.11246 (generalised
    newsvendor).
    """

    mean: Tensor
    std: Tensor
    covered: Tensor
    target: Tensor
    slot_target: Tensor

    def __init__(self, simulator: NetworkSimulator) -> None:
        super().__init__(simulator)
        lay = simulator.layout
        mean, std = _forecasts(simulator)
        dtype = torch.get_default_dtype()
        self.register_buffer("mean", torch.tensor(mean, dtype=dtype), persistent=False)  # (stage, node, store)
        self.register_buffer("std", torch.tensor(std, dtype=dtype), persistent=False)  # (stage, node)
        self.register_buffer("covered", echelon_matrix(simulator), persistent=False)
        self.register_buffer("target", torch.from_numpy(lay.target), persistent=False)
        self.register_buffer("slot_target", torch.from_numpy(lay.target[lay.slot_lane]), persistent=False)
        periods, spread = starting_level(simulator)
        self.safety = nn.Parameter(torch.tensor((periods - cover(lay)) / spread, dtype=dtype))  # z
        self.share = nn.Parameter(torch.zeros(lay.num_lanes))  # logits among the lanes into a node

    def propose(self, state: NetworkState, stage: Stage) -> Orders:
        own = state.net_inventory.t().index_add(0, self.slot_target, state.pipeline.t())
        level = self._mean(state, stage) + (self.safety * self.std[self._row(stage)]).t().reshape(len(own), -1)
        order = (level - self.covered @ own).clamp_min(0.0).t()
        weight = self.share.exp()
        total = weight.new_zeros(len(own)).index_add(0, self.target, weight)
        return Orders(order[:, self.target] * (weight / total[self.target]))

    def _row(self, stage: Stage) -> Stage:
        last = len(self.mean) - 1
        return min(stage, last) if isinstance(stage, int) else stage.clamp_max(last)

    def _mean(self, state: NetworkState, stage: Stage) -> Float[Tensor, "node any_batch"]:
        mean = self.mean[self._row(stage)]
        if not self.simulator.memory.smooths:
            return mean.sum(-1).t().reshape(mean.shape[-2], -1)
        level = state.memory[:, -self.simulator.num_demand :]
        return torch.einsum("...ns,bs->nb" if mean.dim() == 2 else "bns,bs->nb", mean, level)

    def describe(self) -> dict[str, Any]:
        nodes = self.simulator.layout.nodes[: self.simulator.num_nodes]
        fractiles = [NormalDist().cdf(z) for z in self.safety.tolist()]
        return {"fractiles": {node.id: round(u, 4) for node, u in zip(nodes, fractiles, strict=True)}}


def _forecasts(simulator: NetworkSimulator) -> tuple[Any, Any]:
    """Mean (stage, node, store) and standard deviation (stage, node) of an echelon's demand over its cover [units].

    A cover that is no whole number of periods takes its last period in part.
    """
    lay, net = simulator.layout, simulator.net
    columns = [net.demand.node_ids.index(store) for store in simulator.store_ids]
    profile = net.demand.profile(net.timeline).columns(columns)
    covers = cover(lay)
    stages = np.arange(net.periods + int(np.ceil(covers.max())) + 1)
    mean, std = profile.at(stages)
    shares = echelon_matrix(simulator).numpy()[:, : lay.num_demand]
    summed = [np.concatenate([np.zeros((1, lay.num_demand)), x.cumsum(0)]) for x in (mean, std**2)]
    means = np.empty((net.periods, lay.num_stocking, lay.num_demand))
    variances = np.empty((net.periods, lay.num_stocking))
    first = np.arange(net.periods)
    for node, length in enumerate(covers.tolist()):
        whole, part = int(length), length - int(length)
        for table, values, power in ((means, mean, 1), (variances, std**2, 2)):
            window = summed[power - 1][first + whole] - summed[power - 1][first] + part * values[first + whole]
            table[:, node] = window * shares[node] if power == 1 else window @ shares[node] ** 2
    return means, np.sqrt(variances)


def newsvendor(net: Any, simulator: NetworkSimulator, size: NetworkSize) -> NewsvendorPolicy:
    """Family `newsvendor`."""
    return NewsvendorPolicy(simulator)
