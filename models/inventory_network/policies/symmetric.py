"""The symmetry-aware network: one store network shared by all stores, and a context network on everything above them.

Stores that are alike are decided alike, and the number of weights does not grow with their number; what stands above
them is decided by networks of its own. Source: Alvo et al., arXiv 2306.11246 (symmetry-aware policy).
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.core import NetworkSize
from models.dynamics import FeatureName, Stage
from models.inventory_network.encoder import NetworkEncoder
from models.inventory_network.policies.graph_features import DynamicFeatures, GraphIndex
from models.inventory_network.policies.graph_static import StaticFeatures, starting_level
from models.inventory_network.policies.leftover import Leftover
from models.inventory_network.policy import NetworkPolicy, lane_scale, nearly_positive
from models.inventory_network.simulator import NetworkSimulator, NetworkState, Orders
from models.networks import FeatureMap, bend


class SymmetricPolicy(NetworkPolicy):
    """Context ← (nodes above the stores, mean over stores); lanes into stores ← (store, its lane, context) by one
    network; lanes above ← context by one head each. All depart from an echelon base-stock policy.
    """

    lane_scale: Tensor
    level: Tensor
    store_lanes: Tensor
    upper_lanes: Tensor
    order: Tensor
    target: Tensor

    def __init__(self, simulator: NetworkSimulator, size: NetworkSize) -> None:
        super().__init__(simulator)
        lay, width = simulator.layout, size.width
        self.encoder = NetworkEncoder(simulator)
        graph = GraphIndex(simulator)
        self.dynamic, self.static = DynamicFeatures(simulator, graph), StaticFeatures(simulator, graph)
        self.num_stores, self.num_upper = lay.num_demand, lay.num_stocking - lay.num_demand
        level, _ = starting_level(simulator)
        into_store = lay.target < lay.num_demand
        store_lanes, upper_lanes = np.flatnonzero(into_store), np.flatnonzero(~into_store)
        dtype = torch.get_default_dtype()
        self.register_buffer("level", torch.tensor(level, dtype=dtype)[:, None], persistent=False)
        self.register_buffer("lane_scale", lane_scale(simulator)[:, None], persistent=False)
        for name, index in (
            ("store_lanes", store_lanes),
            ("upper_lanes", upper_lanes),
            ("order", np.argsort(np.concatenate([store_lanes, upper_lanes]))),
            ("target", lay.target),
        ):
            self.register_buffer(name, torch.from_numpy(index), persistent=False)
        seen = self._seen(simulator)
        about = self.static(torch.zeros(1).to(self.level))[1].shape[0]
        self.gather = FeatureMap(seen * self.num_upper + seen, width, bias=True)
        self.context = FeatureMap(width, width, bias=True)
        self.enter = FeatureMap(seen + about + width, width, bias=True)
        self.layers = nn.ModuleList(FeatureMap(width, width, bias=True) for _ in range(size.depth - 1))
        self.store_head = _silent(FeatureMap(width, 1, bias=True))
        self.upper_head = _silent(FeatureMap(width, len(upper_lanes), bias=True))
        self.leftover = Leftover(simulator, graph, np.arange(lay.num_lanes), lane_scale(simulator))
        self.share_head = _silent(FeatureMap(about, 1))
        self.given_out = nn.Parameter(torch.zeros(2, self.leftover.num_senders, 1))  # of surplus, of shortage

    def _seen(self, simulator: NetworkSimulator) -> int:
        state = simulator.initial(1, torch.Generator())
        return int(self.dynamic(state, self.level)[0].shape[0])

    def features(self, state: NetworkState, stage: Stage) -> Float[Tensor, "batch feature"]:
        features: Tensor = self.encoder(state, stage)
        return features

    def feature_names(self) -> list[FeatureName]:
        return self.encoder.names()

    def propose(self, state: NetworkState, stage: Stage) -> Orders:
        stages = torch.as_tensor(stage, device=self.level.device).to(self.level).reshape(-1)
        _, lanes, outlook = self.static(stages)
        seen, gap = self.dynamic(state, self.level * outlook[: len(self.level)])
        batch = seen.shape[-1]
        stores, upper = seen[:, : self.num_stores], seen[:, self.num_stores : self.num_stores + self.num_upper]
        everything = torch.cat((upper.reshape(-1, 1, batch), stores.mean(1, keepdim=True)))
        context = bend(self.context(bend(self.gather(everything))))  # (width, 1, batch)
        own = stores.index_select(1, self.target[self.store_lanes])
        about = lanes.index_select(1, self.store_lanes).expand(-1, -1, batch)
        hidden = bend(self.enter(torch.cat((own, about, context.expand(-1, own.shape[1], -1)))))
        for layer in self.layers:
            hidden = bend(layer(hidden))
        answers = torch.cat((self.store_head(hidden)[0], self.upper_head(context)[:, 0]))
        wanted = nearly_positive(gap.index_select(0, self.target) + answers.index_select(0, self.order))
        if self.leftover.num_senders:
            surplus, shortage = self.leftover.per_unit(self.share_head(lanes)[0], self.given_out[0], self.given_out[1])
            wanted = self.leftover(state, wanted, surplus, shortage)
        return Orders((self.lane_scale * wanted).t())


def _silent(layer: FeatureMap) -> FeatureMap:
    nn.init.zeros_(layer.weight)
    return layer


def symmetric_policy(net: Any, simulator: NetworkSimulator, size: NetworkSize) -> SymmetricPolicy:
    """Family `symmetric`."""
    return SymmetricPolicy(simulator, size)
