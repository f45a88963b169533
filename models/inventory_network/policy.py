"""Learned policies for inventory networks, and what all policies of the room share.

Learned policies and rules propose an order for every lane; the simulator's proportional rationing makes it feasible.
The graph network, the shared network and the classical rules are in `policies`.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.core import NetworkSize
from models.dynamics import FeatureName, Policy, Stage
from models.inventory_network.encoder import NetworkEncoder
from models.inventory_network.flows import echelon_shares
from models.inventory_network.policies.graph_static import starting_level
from models.inventory_network.simulator import NetworkSimulator, NetworkState, Orders
from models.networks import by_columns, perceptron

SHARPNESS = 8.0  # of the softplus behind the gradient of a positive part
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
    hidden layers need only learn what departs from it. Training starts from an echelon base-stock policy whose levels
    cover the lead time's demand: a start in the right valley for lines of any length.

    Where the horizon ends, every lane has a level of its own in every period: what is best to have falls to nothing as
    the end comes near, on each lane at another time and not smoothly. Lanes then fall silent one by one, so there the
    gradient has to be exact: orders pass a softplus instead of a straight-through positive part.
    """

    lane_scale: Tensor

    def __init__(self, simulator: NetworkSimulator, size: NetworkSize) -> None:
        super().__init__(simulator)
        self.encoder = NetworkEncoder(simulator)
        lay = simulator.layout
        self.hidden = perceptron(self.encoder.num_features, size.width, size.depth, lay.num_lanes)
        self.linear = nn.Linear(self.encoder.num_features, lay.num_lanes)
        self.register_buffer("lane_scale", lane_scale(simulator), persistent=False)
        with torch.no_grad():
            slope, level = _echelon_start(simulator, self.encoder)
            self.linear.weight.copy_(slope)
            self.linear.bias.copy_(level)
        stages = simulator.num_stages if self.encoder.finite else 0
        self.by_stage = nn.Parameter(torch.zeros(stages, lay.num_lanes)) if stages else None  # [mean flows]

    def features(self, state: NetworkState, stage: Stage) -> Float[Tensor, "batch feature"]:
        features: Tensor = self.encoder(state, stage)
        return features

    def feature_names(self) -> list[FeatureName]:
        return self.encoder.names()

    def propose(self, state: NetworkState, stage: Stage) -> Orders:
        features = self.encoder(state, stage).t()
        asked = by_columns(self.linear, features) + by_columns(self.hidden, features)
        if self.by_stage is not None:
            level = self.by_stage[stage]
            asked = asked + (level[:, None] if level.dim() == 1 else level.t())
        orders = nearly_positive(asked) if self.by_stage is None else smoothly_positive(asked)
        return Orders((self.lane_scale[:, None] * orders).t())


def _echelon_start(simulator: NetworkSimulator, encoder: NetworkEncoder) -> tuple[Tensor, Tensor]:
    """Slopes (lane, feature) and levels (lane,) of an echelon base-stock policy, suppliers in shares of their flow."""
    lay = simulator.layout
    count = lay.num_stocking
    covered = torch.zeros(count, count)  # how much of column j's position belongs to row i's echelon
    for node, shares in enumerate(echelon_shares(lay)):
        covered[node, list(shares)] = torch.tensor(list(shares.values())).to(covered)
    flow = lane_scale(simulator)
    into = flow.new_zeros(count).index_add(0, simulator.target, flow)
    part = covered[simulator.target] / into[simulator.target, None]  # (lane, node), per unit of the node's position
    slope = torch.zeros(lay.num_lanes, encoder.num_features)
    slope[:, :count] = -part * encoder.scale
    nodes = torch.tensor([node for node, _ in encoder.cells], dtype=torch.long)
    slope[:, count : count + len(nodes)] = -part[:, nodes] * encoder.cell_scale
    periods, _ = starting_level(simulator)
    level = torch.tensor(periods * lay.flow[:count], dtype=flow.dtype)
    return slope, level[simulator.target] / into[simulator.target]


def nearly_positive(asked: Tensor) -> Tensor:
    """The positive part, with the gradient of a softplus eight times as sharp.

    Order-up-to behaviour is held exactly and no order means none, and a lane that has fallen silent can come back.
    """
    positive: Tensor = _NearlyPositive.apply(asked)  # type: ignore[no-untyped-call]
    return positive


class _NearlyPositive(torch.autograd.Function):
    """One step of the gradient's tape instead of five."""

    generate_vmap_rule = True  # many runs are trained at once by torch.func

    @staticmethod
    def forward(asked: Tensor) -> Tensor:
        return asked.clamp_min(0.0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (asked,) = ctx.saved_tensors
        return gradients[0] * torch.sigmoid(SHARPNESS * asked)


def smoothly_positive(asked: Tensor) -> Tensor:
    """Softplus, four times as sharp: straight where typical orders lie, with its own gradient.

    Orders below a hundredth of the lane's mean flow are none: nobody sends a truck for them. Their gradient stays.
    """
    smooth = nn.functional.softplus(asked, beta=4.0)
    return smooth - torch.where(smooth < NEGLIGIBLE, smooth, 0.0).detach()


def lane_scale(simulator: NetworkSimulator) -> Tensor:
    """Mean flow of each lane [units/period], the scale of its orders."""
    return torch.tensor(simulator.layout.lane_flow, dtype=torch.get_default_dtype()).clamp_min(1e-3)


def perceptron_policy(net: Any, simulator: NetworkSimulator, size: NetworkSize) -> PerceptronPolicy:
    """Family `mlp`."""
    return PerceptronPolicy(simulator, size)
