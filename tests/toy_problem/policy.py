"""Policies of the stand: a perceptron and the classical rule."""

from typing import Any

import torch
from torch import Tensor, nn

from models.core import NetworkSize
from models.dynamics import Encoder, Policy, Stage
from models.networks import perceptron
from tests.toy_problem.simulator import NewsstandSimulator, Order, Stock


class StockEncoder(Encoder):
    """Stock over the greatest demand."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, state: Stock, stage: Stage) -> Tensor:
        return (state.copies / self.scale).unsqueeze(1)


class StandPolicy(Policy[Stock, Order]):
    """A proposal, clipped at zero."""

    def __init__(self, simulator: NewsstandSimulator) -> None:
        super().__init__()
        self._simulator = (simulator,)

    def forward(self, state: Stock, stage: Stage) -> Order:
        return self._simulator[0].repair(state, self.propose(state, stage), stage)


class NetworkPolicy(StandPolicy):
    """A perceptron of the stock."""

    def __init__(self, simulator: NewsstandSimulator, size: NetworkSize) -> None:
        super().__init__(simulator)
        self.scale = simulator.stand.high
        self.encoder = StockEncoder(self.scale)
        self.hidden = perceptron(1, size.width, size.depth, 1)
        self.linear = nn.Linear(1, 1)

    def features(self, state: Stock, stage: Stage) -> Tensor:
        encoded: Tensor = self.encoder(state, stage)
        return encoded

    def propose(self, state: Stock, stage: Stage) -> Order:
        seen = self.encoder(state, stage)
        return Order(self.scale * (0.5 + self.linear(seen) + self.hidden(seen)).squeeze(1))


class OrderUpToPolicy(StandPolicy):
    """Order what is missing to one level."""

    def __init__(self, simulator: NewsstandSimulator) -> None:
        super().__init__(simulator)
        self.level = nn.Parameter(torch.tensor(simulator.stand.high))

    def propose(self, state: Stock, stage: Stage) -> Order:
        return Order(self.level - state.copies)

    def describe(self) -> dict[str, Any]:
        return {"order_up_to": float(self.level.detach())}


def network(stand: Any, simulator: NewsstandSimulator, size: NetworkSize) -> NetworkPolicy:
    """Family `network`."""
    return NetworkPolicy(simulator, size)


def order_up_to(stand: Any, simulator: NewsstandSimulator, size: NetworkSize) -> OrderUpToPolicy:
    """Family `order_up_to`."""
    return OrderUpToPolicy(simulator)
