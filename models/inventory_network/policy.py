"""Learned policies for inventory networks, and what all policies of the room share.

Learned policies and rules propose an order for every lane; the simulator's proportional rationing makes it feasible.
The graph network is in `graph_policy`, the classical rules are in `rules`.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.core import NetworkSize
from models.dynamics import Policy, Stage
from models.inventory_network.encoder import NetworkEncoder
from models.inventory_network.simulator import NetworkSimulator, NetworkState, Orders
from models.networks import perceptron

NEGLIGIBLE = 0.01  # share of a lane's mean flow below which an order is none


class NetworkPolicy(Policy[NetworkState, Orders]):
    """Base of the room's policies: a proposal, made feasible by the simulator."""

    def __init__(self, simulator: NetworkSimulator) -> None:
        super().__init__()
        # Kept out of the module tree: the dynamics are not weights.
        self._simulator = (simulator,)

    @property
    def simulator(self) -> NetworkSimulator:
        """The dynamics whose constraints the decisions obey."""
        return self._simulator[0]

    def forward(self, state: NetworkState, stage: Stage) -> Orders:
        return self.simulator.repair(state, self.propose(state, stage), stage)


class PerceptronPolicy(NetworkPolicy):
    """Fully connected network from all features to all lanes, with a linear path beside the hidden layers.

    The linear path holds order-up-to behaviour exactly (an order that falls one for one with the position), so the
    hidden layers need only learn what departs from it.
    """

    lane_scale: Tensor

    def __init__(self, simulator: NetworkSimulator, size: NetworkSize) -> None:
        super().__init__(simulator)
        self.encoder = NetworkEncoder(simulator)
        lay = simulator.layout
        self.hidden = perceptron(self.encoder.num_features, size.width, size.depth, lay.num_lanes)
        self.linear = nn.Linear(self.encoder.num_features, lay.num_lanes)
        nn.init.zeros_(self.linear.weight)
        nn.init.constant_(self.linear.bias, 1.0)
        self.register_buffer("lane_scale", lane_scale(simulator), persistent=False)

    def features(self, state: NetworkState, stage: Stage) -> Float[Tensor, "batch feature"]:
        features: Tensor = self.encoder(state, stage)
        return features

    def propose(self, state: NetworkState, stage: Stage) -> Orders:
        features = self.encoder(state, stage)
        return Orders(self.lane_scale * nearly_positive(self.linear(features) + self.hidden(features)))


def nearly_positive(asked: Tensor) -> Tensor:
    """Softplus, four times as sharp: straight where typical orders lie, so order-up-to behaviour is held exactly.

    Orders below a hundredth of the lane's mean flow are none: nobody sends a truck for them. Their gradient stays, so
    a lane that has fallen silent can come back.
    """
    smooth = nn.functional.softplus(asked, beta=4.0)
    return smooth - torch.where(smooth < NEGLIGIBLE, smooth, 0.0).detach()


def lane_scale(simulator: NetworkSimulator) -> Tensor:
    """Mean flow of each lane [units/period], the scale of its orders."""
    return torch.tensor(simulator.layout.lane_flow, dtype=torch.get_default_dtype()).clamp_min(1e-3)


def perceptron_policy(net: Any, simulator: NetworkSimulator, size: NetworkSize) -> PerceptronPolicy:
    """Family `mlp`."""
    return PerceptronPolicy(simulator, size)
