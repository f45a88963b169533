"""Learned policies of a plant: a weight for every item of every machine, infeasible ones masked."""

import math

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
from models.networks import squashed

EVEN = 0.01  # gain of the heads: a policy starts from even chances


class LotPolicy(ChoicePolicy[LotState, Lots]):
    """A network of the whole state with a head for every slot.

    With `sequential` the heads read a hidden layer to which what the earlier slots chose has been added: machine after
    machine, at little more than the cost of independent heads.
    """

    first: Tensor

    def __init__(self, simulator: LotSimulator, size: NetworkSize, sequential: bool) -> None:
        super().__init__()
        self._simulator = (simulator,)
        self.conditioned = sequential
        # Where earlier machines take what later ones need, masks must follow one another in any case.
        self.sequential = sequential or self.choices.coupled
        self.encoder = LotEncoder(simulator)
        slots, options = self.choices.num_slots, self.choices.num_options
        self.trunk = squashed(self.encoder.size, size.width, size.depth - 1, size.width, math.sqrt(2))
        self.heads = nn.Parameter(
            nn.init.orthogonal_(torch.empty(slots * options, size.width), EVEN)
            .view(slots, options, -1)
            .transpose(1, 2)
            .contiguous()
        )
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
        """The last hidden layer's weighted sums."""
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
        if not self.conditioned or choice is None:
            weights = torch.tanh(read) @ self.heads.transpose(0, 1).flatten(1) + self.biases.flatten()
            return masked(weights.view(feasible.shape), feasible)
        chosen = nn.functional.embedding(choice + self.first, self.earlier)
        before = read[:, None] + chosen.cumsum(1) - chosen
        weights = torch.baddbmm(self.biases[:, None], torch.tanh(before).transpose(0, 1), self.heads).transpose(0, 1)
        return masked(weights, feasible)

    def _one(self, read: Tensor, choice: Tensor | None, slot: int) -> Float[Tensor, "batch option"]:
        """Unmasked logits of one slot."""
        if choice is not None and slot and self.conditioned:
            places = choice[:, :slot] + self.first[:slot]
            read = read + nn.functional.embedding(places, self.earlier).sum(1)
        return torch.addmm(self.biases[slot], torch.tanh(read), self.heads[slot])


def mlp(plant: LotSizing, simulator: LotSimulator, size: NetworkSize) -> LotPolicy:
    """Family `mlp`: one perceptron, a head for every slot."""
    return LotPolicy(simulator, size, sequential=False)


def sequential(plant: LotSizing, simulator: LotSimulator, size: NetworkSize) -> LotPolicy:
    """Family `sequential`: machine after machine, each knowing what the earlier ones make."""
    return LotPolicy(simulator, size, sequential=True)
