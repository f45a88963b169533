"""Learned policies of a plant: a weight for every item of every machine, infeasible ones masked."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from models.choices import ChoicePolicy, masked
from models.core import NetworkSize
from models.dynamics import FeatureName, Stage
from models.lot_sizing.encoder import LotEncoder
from models.lot_sizing.instance import LotSizing
from models.lot_sizing.lots import LotChoices, Lots, LotState
from models.lot_sizing.simulator import LotSimulator
from models.networks import bend


class LotPolicy(ChoicePolicy[LotState, Lots]):
    """A network of the whole state with a head for every slot.

    With `sequential` the heads read a hidden layer to which what the earlier slots chose has been added: machine after
    machine, at little more than the cost of independent heads.
    """

    first: Tensor

    def __init__(self, simulator: LotSimulator, size: NetworkSize, sequential: bool) -> None:
        super().__init__()
        self._simulator = (simulator,)
        self.sequential = sequential
        self.encoder = LotEncoder(simulator)
        slots, options = self.choices.num_slots, self.choices.num_options
        self.trunk = hidden(self.encoder.size, size.width, size.depth)
        self.heads = nn.Parameter(torch.zeros(slots, size.width, options))
        self.biases = nn.Parameter(torch.zeros(slots, options))
        self.earlier = nn.Parameter(torch.zeros(slots * options if sequential else 0, size.width))
        self.register_buffer("first", torch.arange(slots) * options, persistent=False)

    @property
    def choices(self) -> LotChoices:
        """The plant's."""
        return self._simulator[0].lot_choices

    def features(self, state: LotState, stage: Stage) -> Tensor:
        """The encoder's."""
        encoded: Tensor = self.encoder(state, stage)
        return encoded

    def feature_names(self) -> list[FeatureName]:
        """The encoder's."""
        return self.encoder.names()

    def read(self, state: LotState, stage: Stage) -> Float[Tensor, "batch width"]:
        """The last hidden layer before it is bent."""
        seen: Tensor = self.trunk(self.encoder(state, stage))
        return seen

    def weigh(
        self,
        read: Float[Tensor, "batch width"],
        state: LotState,
        stage: Stage,
        choice: Int[Tensor, "batch slot"] | None,
        slot: int | None,
    ) -> Tensor:
        """The heads; earlier choices count where `sequential`, and for what they leave feasible."""
        feasible = self.choices.feasible(state, stage, choice)
        if slot is not None:
            return masked(self._one(read, choice, slot), feasible[:, slot])
        if not self.sequential or choice is None:
            weights = bend(read) @ self.heads.transpose(0, 1).flatten(1) + self.biases.flatten()
            return masked(weights.view(feasible.shape), feasible)
        chosen = nn.functional.embedding(choice + self.first, self.earlier)
        before = read[:, None] + chosen.cumsum(1) - chosen
        weights = torch.baddbmm(self.biases[:, None], bend(before).transpose(0, 1), self.heads).transpose(0, 1)
        return masked(weights, feasible)

    def _one(self, read: Tensor, choice: Tensor | None, slot: int) -> Float[Tensor, "batch option"]:
        """Unmasked logits of one slot."""
        if choice is not None and slot and self.sequential:
            places = choice[:, :slot] + self.first[:slot]
            read = read + nn.functional.embedding(places, self.earlier).sum(1)
        return torch.addmm(self.biases[slot], bend(read), self.heads[slot])


def hidden(inputs: int, width: int, depth: int) -> nn.Sequential:
    """Hidden layers up to the last one's weighted sums, not yet bent."""
    layers: list[nn.Module] = [nn.Linear(inputs, width)]
    for _ in range(depth - 1):
        layers += [nn.Hardswish(), nn.Linear(width, width)]
    return nn.Sequential(*layers)


def mlp(plant: LotSizing, simulator: LotSimulator, size: NetworkSize) -> LotPolicy:
    """Family `mlp`: one perceptron, a head for every slot."""
    return LotPolicy(simulator, size, sequential=False)


def sequential(plant: LotSizing, simulator: LotSimulator, size: NetworkSize) -> LotPolicy:
    """Family `sequential`: machine after machine, each knowing what the earlier ones make."""
    return LotPolicy(simulator, size, sequential=True)
