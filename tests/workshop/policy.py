"""Policies of the workshop: a perceptron, machine after machine, a rule; and the critics."""

from typing import Any

import torch
from torch import Tensor, nn

from models.choices import ChoicePolicy, Choices, Values, masked
from models.core import NetworkSize
from models.dynamics import Policy, Stage
from models.networks import perceptron
from tests.workshop.simulator import Shop, Work, WorkshopSimulator


class ShopEncoder(nn.Module):
    """Stock over the most kept, setups one-hot, and how near the end is, in two measures."""

    def __init__(self, simulator: WorkshopSimulator) -> None:
        super().__init__()
        self.shop = simulator.shop
        self.size = self.shop.items + self.shop.machines * (self.shop.items + 1) + 2

    def forward(self, state: Shop, stage: Stage) -> Tensor:
        setups = nn.functional.one_hot(state.setup, self.shop.items + 1).flatten(1).to(state.stock.dtype)
        left = self.shop.days - torch.as_tensor(stage, device=setups.device).expand(state.batch)
        time = torch.stack((left / self.shop.days, torch.exp(-left / 3.0)), 1)
        return torch.cat((state.stock / self.shop.stock_max, setups, time), 1)


class NetworkPolicy(ChoicePolicy[Shop, Work]):
    """Logits of every machine from one perceptron; with `sequential` it also reads what earlier machines make."""

    def __init__(self, simulator: WorkshopSimulator, size: NetworkSize, sequential: bool) -> None:
        super().__init__()
        self._simulator = (simulator,)
        self.sequential = sequential
        self.encoder = ShopEncoder(simulator)
        slots, options = self.choices.num_slots, self.choices.num_options
        self.network = perceptron(self.encoder.size, size.width, size.depth, slots * options)
        self.earlier = nn.Parameter(torch.zeros(slots, options, slots, options))

    @property
    def choices(self) -> Choices[Shop, Work]:
        return self._simulator[0].choices

    def features(self, state: Shop, stage: Stage) -> Tensor:
        return self.encoder(state, stage)

    def read(self, state: Shop, stage: Stage) -> Tensor:
        shape = (state.batch, self.choices.num_slots, self.choices.num_options)
        return self.network(self.encoder(state, stage)).view(shape)

    def weigh(self, read: Tensor, state: Shop, stage: Stage, choice: Tensor | None, slot: int | None) -> Tensor:
        found = read
        if self.sequential and choice is not None:
            found = read.clone()
            for later in range(1, self.choices.num_slots):
                for earlier in range(later):
                    found[:, later] = found[:, later] + self.earlier[earlier, choice[:, earlier], later]
        logits = masked(found, self.choices.feasible(state, stage, choice))
        return logits if slot is None else logits[:, slot]


class ScarcestPolicy(Policy[Shop, Work]):
    """Machine k makes the item that is k-th scarcest, if it is scarce."""

    def __init__(self, simulator: WorkshopSimulator) -> None:
        super().__init__()
        self.shop = simulator.shop

    def propose(self, state: Shop, stage: Stage) -> Work:
        order = state.stock.argsort(dim=1, stable=True)[:, : self.shop.machines]
        scarce = state.stock.gather(1, order) < self.shop.made
        return Work(torch.where(scarce, order, self.shop.items))

    def forward(self, state: Shop, stage: Stage) -> Work:
        return self.propose(state, stage)


class ShopValues(Values[Shop, Shop]):
    """Two perceptrons."""

    def __init__(self, simulator: WorkshopSimulator, size: NetworkSize) -> None:
        super().__init__(simulator.num_stages)
        self.encoder = ShopEncoder(simulator)
        self.before = perceptron(self.encoder.size, size.width, size.depth, 1)
        self.after = perceptron(self.encoder.size, size.width, size.depth, 1)

    def value(self, state: Shop, stage: Stage) -> Tensor:
        return self.in_money(self.before(self.encoder(state, stage)).squeeze(1), stage, 0)

    def post_value(self, post: Shop, stage: Stage) -> Tensor:
        return self.in_money(self.after(self.encoder(post, stage)).squeeze(1), stage, 1)


def network(shop: Any, simulator: WorkshopSimulator, size: NetworkSize) -> NetworkPolicy:
    """Family `network`."""
    return NetworkPolicy(simulator, size, sequential=False)


def sequential(shop: Any, simulator: WorkshopSimulator, size: NetworkSize) -> NetworkPolicy:
    """Family `sequential`."""
    return NetworkPolicy(simulator, size, sequential=True)


def scarcest(shop: Any, simulator: WorkshopSimulator, size: NetworkSize) -> ScarcestPolicy:
    """Family `scarcest`."""
    return ScarcestPolicy(simulator)


def critics(shop: Any, simulator: WorkshopSimulator, size: NetworkSize) -> ShopValues:
    """The critics of its states."""
    return ShopValues(simulator, size)
