"""Learned policies of a plant: a weight for every item of every machine, infeasible ones masked."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.choices import ChoicePolicy, masked
from models.core import NetworkSize
from models.dynamics import FeatureName, Stage
from models.lot_sizing.choices import LotChoices
from models.lot_sizing.encoder import LotEncoder
from models.lot_sizing.instance import LotSizing
from models.lot_sizing.lots import Lots, LotState
from models.lot_sizing.simulator import LotSimulator
from models.networks import squashed

EVEN = 0.01  # gain of the heads: a policy starts from even chances
KEEP = 3.0  # logit by which going on as set up is favoured at first: exploration then tries runs, not single lots
PART = 4  # one in so many hidden units is added to those of the last layer for what earlier machines chose


@dataclass(frozen=True)
class Read:
    """What a policy makes of a state before it looks at any choice."""

    shared: Float[Tensor, "batch width"]  # hidden units that every slot reads
    own: Float[Tensor, "batch part"]  # weighted sums of those to which earlier choices are added
    keep: Float[Tensor, "batch slot option"]  # what going on as set up is favoured by
    feasible: Bool[Tensor, "batch slot option"] | None  # None where it depends on earlier choices


class LotPolicy(ChoicePolicy[LotState, Lots]):
    """A network of the whole state with a head for every slot.

    With `conditioned` every head also reads some hidden units to which what the earlier slots chose has been added:
    machine after machine, at little more than the cost of independent heads.
    """

    first: Tensor

    def __init__(self, simulator: LotSimulator, size: NetworkSize, conditioned: bool) -> None:
        super().__init__()
        self._simulator = (simulator,)
        self.conditioned = conditioned
        # Where earlier machines take what later ones need, masks must follow one another in any case.
        self.sequential = conditioned or self.choices.coupled
        self.encoder = LotEncoder(simulator)
        slots, options = self.choices.num_slots, self.choices.num_options
        self.part = max(size.width // PART, 1) if conditioned else 0
        self.width = size.width
        self.trunk = squashed(self.encoder.size, size.width, size.depth - 1, size.width + self.part, math.sqrt(2))
        self.heads = nn.Parameter(nn.init.orthogonal_(torch.empty(size.width, slots * options), EVEN))
        self.biases = nn.Parameter(torch.zeros(slots, options))
        self.own_heads = nn.Parameter(EVEN * torch.randn(slots, self.part, options))
        self.earlier = nn.Parameter(torch.zeros(slots * options if conditioned else 0, self.part))
        self.keep = nn.Parameter(torch.full((simulator.num_machines,), KEEP))
        self.register_buffer("first", torch.arange(slots) * options, persistent=False)

    @property
    def choices(self) -> LotChoices:
        """The plant's."""
        return self._simulator[0].lot_choices

    def even_out(self) -> None:
        """Go on as set up no more gladly than anything else."""
        nn.init.zeros_(self.keep)

    def features(self, state: LotState, stage: Stage) -> Tensor:
        """The encoder's."""
        encoded: Tensor = self.encoder(state, stage)
        return encoded

    def encoded(self, state: LotState, stage: Stage) -> LotState:
        """With the encoder's features."""
        return self.encoder.seen_state(state, stage)

    def feature_names(self) -> list[FeatureName]:
        """The encoder's."""
        return self.encoder.names()

    def read(self, state: LotState, stage: Stage) -> Read:
        """The last hidden layer, and the mask if it is the same whatever is chosen."""
        sums: Tensor = self.trunk(self.encoder(state, stage))
        feasible = None if self.choices.coupled else self.choices.feasible(state, stage)
        return Read(torch.tanh(sums[:, : self.width]), sums[:, self.width :], self._kept(state), feasible)

    def _kept(self, state: LotState) -> Float[Tensor, "batch slot option"]:
        """Logits of going on with the item set up for; a machine set up for nothing is not inclined to idle."""
        setup = nn.functional.one_hot(state.setup, self.choices.num_options).to(self.keep.dtype)
        setup[..., self.choices.num_items] = 0.0
        favoured = (setup * self.keep[:, None])[:, :, None]
        others = self.choices.num_slots // self.choices.num_machines - 1  # slots of a machine after its first
        return nn.functional.pad(favoured, (0, 0, 0, others)).flatten(1, 2)

    def weigh(
        self,
        read: Read,
        state: LotState,
        stage: Stage,
        choice: Int[Tensor, "batch slot"] | None,
        slot: int | None,
    ) -> Tensor:
        """The heads; earlier choices count where `conditioned`, and for what they leave feasible."""
        feasible = self.choices.feasible(state, stage, choice) if read.feasible is None else read.feasible
        if slot is not None:
            return masked(self._one(read, choice, slot), feasible[:, slot])
        weights = torch.addmm(self.biases.flatten(), read.shared, self.heads).view(feasible.shape) + read.keep
        if self.conditioned:
            own = read.own[:, None].expand(-1, self.choices.num_slots, -1)
            if choice is not None:
                chosen = nn.functional.embedding(choice + self.first, self.earlier)
                own = own + chosen.cumsum(1) - chosen
            weights = weights + torch.bmm(torch.tanh(own).transpose(0, 1), self.own_heads).transpose(0, 1)
        return masked(weights, feasible)

    def _one(self, read: Read, choice: Tensor | None, slot: int) -> Float[Tensor, "batch option"]:
        """Unmasked logits of one slot."""
        options = self.choices.num_options
        mine = slice(slot * options, (slot + 1) * options)
        weights = torch.addmm(self.biases[slot], read.shared, self.heads[:, mine]) + read.keep[:, slot]
        if not self.conditioned:
            return weights
        own = read.own
        if choice is not None and slot:
            own = own + nn.functional.embedding(choice[:, :slot] + self.first[:slot], self.earlier).sum(1)
        return torch.addmm(weights, torch.tanh(own), self.own_heads[slot])


def mlp(plant: LotSizing, simulator: LotSimulator, size: NetworkSize) -> LotPolicy:
    """Family `mlp`: one perceptron, a head for every slot."""
    return LotPolicy(simulator, size, conditioned=False)


def sequential(plant: LotSizing, simulator: LotSimulator, size: NetworkSize) -> LotPolicy:
    """Family `sequential`: machine after machine, each knowing what the earlier ones make."""
    return LotPolicy(simulator, size, conditioned=True)
