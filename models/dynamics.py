"""The tensor words: records of tensors, costs, simulator, encoder, policy.

A stage is decide ∘ realize: a deterministic half (state, decision → post-decision state, costs) and a stochastic half
(post-decision state, noise → next state, costs). Every tensor leads with the batch of scenarios.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

if TYPE_CHECKING:
    from models.choices import Choices

Stage = int | Tensor
"""A decision epoch t: one int for a rollout, or one integer per batch row (batch,) when serving many states."""


@dataclass(frozen=True)
class Tensors:
    """Base of states, post-states, decisions and noise: a frozen record of tensors led by (batch, ...)."""

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """The record with `function` applied to every field."""
        return type(self)(**{f.name: function(getattr(self, f.name)) for f in fields(self)})

    def rows(self, index: Any) -> Self:
        """The batch rows selected by a slice, a boolean mask or an index."""
        return self.map(lambda tensor: tensor[index])

    def to(self, target: Any) -> Self:
        """The record on another device, or its real numbers in another precision: whole numbers stay such."""
        if not isinstance(target, torch.dtype):
            return self.map(lambda tensor: tensor.to(target))
        return self.map(lambda tensor: tensor.to(target) if tensor.is_floating_point() else tensor)

    def detach(self) -> Self:
        """The record cut from the autograd graph."""
        return self.map(lambda tensor: tensor.detach())

    @property
    def batch(self) -> int:
        """Number of scenarios."""
        first: Tensor = getattr(self, fields(self)[0].name)
        return first.shape[0]


T = TypeVar("T", bound=Tensors)


def concatenate(records: list[T]) -> T:
    """Records joined along the batch."""
    kind = type(records[0])
    return kind(**{f.name: torch.cat([getattr(r, f.name) for r in records]) for f in fields(kind)})


@dataclass(frozen=True)
class Costs:
    """What half a stage cost, and what it counted.

    `components` are money per scenario by name, positive is bad (a revenue is a negative cost); `quantities` are
    physical sums per scenario (demand, met, on hand, …) from which service measures and plots are made. `places` are
    the same figures by place (node, machine, reservoir), columns in the order of `Simulator.places`. `slacks` are
    constraints in expectation, by name: each must be at most zero on average over scenarios and reported stages.
    """

    components: Mapping[str, Float[Tensor, " batch"]]
    quantities: Mapping[str, Float[Tensor, " batch"]] = field(default_factory=dict)
    places: Mapping[str, Float[Tensor, "batch place"]] = field(default_factory=dict)
    slacks: Mapping[str, Float[Tensor, " batch"]] = field(default_factory=dict)

    @property
    def total(self) -> Float[Tensor, " batch"]:
        """Sum of the components [money/stage]."""
        return torch.stack(tuple(self.components.values())).sum(0)


S = TypeVar("S", bound=Tensors)  # state
P = TypeVar("P", bound=Tensors)  # post-decision state
D = TypeVar("D", bound=Tensors)  # decision
W = TypeVar("W", bound=Tensors)  # noise path


class Simulator(nn.Module, ABC, Generic[S, P, D, W]):
    """A problem's dynamics for one instance, batched. State S, post-state P, decision D, noise W."""

    num_stages: int
    first_reported_stage: int = 0  # costs before this stage warm the system up and are not reported
    reported_until: int | None = None  # costs from this stage on only keep the end from being felt; None: the horizon
    discount: float = 1.0
    places: tuple[str, ...] = ()  # ids of the columns of `Costs.places`
    relaxes: tuple[str, ...] = ()  # what training's gradients smooth over, in words; evaluation is always exact
    choices: "Choices[S, D] | None" = None  # how a decision is made of finite choices; None where it is continuous
    relaxed: bool = False  # set by training while it takes gradients: jumps that only blur them may be left out

    @property
    def reported_stages(self) -> range:
        """The stages whose costs are reported; what is left at the end counts if they reach it."""
        return range(self.first_reported_stage, self.num_stages if self.reported_until is None else self.reported_until)

    @abstractmethod
    def initial(self, batch: int, generator: torch.Generator) -> S:
        """States at stage 0; random only if the instance says so."""

    @abstractmethod
    def sample(self, batch: int, generator: torch.Generator) -> W:
        """Noise paths: fields (batch, stage, ...)."""

    def onward(self, state: S, stage: int, batch: int, generator: torch.Generator) -> W:
        """Noise paths that may follow one state (a batch of one) in a stage; places before the stage say nothing.

        As sampled from the start, unless the past says something of what comes.
        """
        return self.sample(batch, generator)

    def panel(self) -> tuple[S, W] | None:
        """Scenarios that the instance names for evaluation (initial states and noise paths); None: they are drawn.

        Training never draws from them.
        """
        return None

    @abstractmethod
    def expected(self, batch: int) -> W:
        """The noise path's mean, repeated: fields (batch, stage, ...)."""

    @abstractmethod
    def decide(self, state: S, decision: D, stage: Stage) -> tuple[P, Costs]:
        """Deterministic half. The decision must be feasible (see `repair`)."""

    @abstractmethod
    def realize(self, post: P, noise: W, stage: Stage) -> tuple[S, Costs]:
        """Stochastic half; `noise` is the whole path, `stage` picks what strikes now."""

    @abstractmethod
    def repair(self, state: S, decision: D, stage: Stage) -> D:
        """A feasible decision near a proposed one, itself if feasible; differentiable if the problem is."""

    @abstractmethod
    def violation(self, state: S, decision: D, stage: Stage) -> Float[Tensor, " batch"]:
        """Largest breach of any constraint of the decision, in the constraint's unit; 0 is feasible."""

    def terminal(self, state: S) -> Costs:
        """Cost of what is left at the horizon; nothing unless the instance says so."""
        return Costs({})

    @abstractmethod
    def service(self, quantities: Mapping[str, Float[Tensor, " batch"]]) -> dict[str, float]:
        """Service measures (fill_rate, …) from quantities summed over the reported stages."""


class Encoder(nn.Module, ABC):
    """State or post-state → features; owns the scales that make them of order one.

    Features are also how a served policy knows its training range: their extremes are recorded in training.
    """

    @abstractmethod
    def forward(self, state: Any, stage: Stage) -> Tensor:
        """Features, led by batch."""


@dataclass(frozen=True)
class FeatureName:
    """A feature in the planner's words: `scale` times the feature is the quantity of that name."""

    name: str
    scale: float = 1.0


class Policy(nn.Module, ABC, Generic[S, D]):
    """A map from state to a feasible decision; learned network and classical rule alike."""

    precision: torch.dtype = torch.float32  # of the states it is served
    range_scenarios: int = 1024  # whose features mark the range seen in training; fewer where deciding takes long

    @abstractmethod
    def propose(self, state: S, stage: Stage) -> D:
        """The decision before feasibility, for every row of the batch."""

    @abstractmethod
    def forward(self, state: S, stage: Stage) -> D:
        """The feasible decision for every row of the batch."""

    def settle(self) -> Callable[[S, Stage], D]:
        """The policy as its weights now are, for one rollout: what depends on them alone is computed once."""
        return self

    def features(self, state: S, stage: Stage) -> Tensor | None:
        """The encoder's features (batch, ...) for a learned policy; None for a rule, which has no training range."""
        return None

    def feature_names(self) -> list[FeatureName]:
        """What each feature is, in the order of `features` flattened; empty where it has no words for them."""
        return []

    def alternatives(self, state: S, decision: D, stage: Stage) -> Tensor | None:
        """What every other choice would have cost, now and to go: (batch, slot, option); None if it cannot say."""
        return None

    def describe(self) -> dict[str, Any]:
        """What the policy is in the planner's words (order-up-to levels, …); empty for a network."""
        return {}
