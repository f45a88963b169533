"""Discrete decisions: finite choices made slot after slot, policies over them, and the two critics.

A problem whose decisions are choices from finite sets gives its simulator a `Choices`; whatever learns by trying
choices (policy gradients, look-ahead, value iteration) then needs to know nothing else about its decisions.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.dynamics import D, FeatureName, P, Policy, S, Simulator, Stage, Tensors

IMPOSSIBLE = -1e9
"""The logit of an infeasible option: finite, so that sums of logarithms stay numbers; its probability is zero."""


class Choices(ABC, Generic[S, D]):
    """How a problem's decision is made of choices: `num_slots` of them, each among at most `num_options`.

    A simulator that has choices takes a stage per row (batch,) wherever it takes a stage, noise included: rows of a
    batch may stand at different stages.
    """

    num_slots: int  # choices in a decision (machines, …)
    num_options: int  # options of the slot that has most (items and idle, …)
    coupled: bool = False  # what a slot may choose depends on what earlier slots chose

    @abstractmethod
    def feasible(
        self, state: S, stage: Stage, choice: Int[Tensor, "batch slot"] | None = None
    ) -> Bool[Tensor, "batch slot option"]:
        """Which options every slot has, given that the slots before it chose as in `choice`; always at least one.

        Without `choice` nothing is said of earlier slots: for problems that are not coupled.
        """

    @abstractmethod
    def decision(self, choice: Int[Tensor, "batch slot"]) -> D:
        """The decision those choices make."""

    @abstractmethod
    def choice(self, decision: D) -> Int[Tensor, "batch slot"]:
        """The choices a decision is made of."""


@dataclass(frozen=True)
class Prior(Tensors):
    """What is known of a batch of states before anything is learned: a good choice, and what others cost beyond it.

    A function of state and stage alone: computed once a decision, and remembered while a policy learns.
    """

    choice: Int[Tensor, "batch slot"]
    excess: Float[Tensor, "batch slot option"]  # [money] of one slot's options, the others as in `choice`; 0: forbidden
    cost: Float[Tensor, " batch"]  # expected cost to go [money]


class ChoicePolicy(Policy[S, D], ABC, Generic[S, D]):
    """A policy that weighs every option of every slot; its decision is the likeliest feasible choice.

    One that starts from what is known beside it overrides `prior` and `leaning`.
    """

    sequential: bool = False  # slots are picked one after another; needed where choices are coupled

    @property
    @abstractmethod
    def choices(self) -> Choices[S, D]:
        """What it chooses from."""

    @abstractmethod
    def read(self, state: S, stage: Stage) -> Any:
        """What the network makes of a state before it looks at any choice: computed once a decision."""

    @abstractmethod
    def weigh(
        self, read: Any, state: S, stage: Stage, choice: Int[Tensor, "batch slot"] | None, slot: int | None
    ) -> Tensor:
        """Logits of one slot (batch, option), or of all (batch, slot, option) if `slot` is None.

        Logarithms of weights, `IMPOSSIBLE` where infeasible; those of slot k may depend on choice[:, :k] alone.
        """

    def prior(self, state: S, stage: Stage) -> Prior | None:
        """What is known of the states beside the network; None: nothing."""
        return None

    def leaning(self, logits: Tensor, prior: Prior | None, slot: int | None) -> Tensor:
        """The network's logits of a slot, or of all, with what the prior adds to them."""
        return logits

    def encoded(self, state: S, stage: Stage) -> S:
        """The states with what networks see of them, if that is computed once and kept while a policy learns."""
        return state

    def even_out(self) -> None:
        """Forget what an untrained policy is inclined to: another one says what to start from."""

    def logits(
        self, state: S, stage: Stage, choice: Int[Tensor, "batch slot"] | None, prior: Prior | None = None
    ) -> Float[Tensor, "batch slot option"]:
        """Logits of all slots, each given what the earlier ones chose; infeasible options are `IMPOSSIBLE`.

        `prior` is that of these states, if it was computed before.
        """
        prior = self.prior(state, stage) if prior is None else prior
        return self.leaning(self.weigh(self.read(state, stage), state, stage, choice, None), prior, None)

    def pick(
        self, state: S, stage: Stage, choose: Callable[[Tensor], Tensor], prior: Prior | None = None
    ) -> Int[Tensor, "batch slot"]:
        """Choices made by `choose`, which maps logits (…, option) to the index chosen (…)."""
        prior = self.prior(state, stage) if prior is None else prior
        read = self.read(state, stage)
        if not self.sequential:
            return choose(self.leaning(self.weigh(read, state, stage, None, None), prior, None))
        choice = torch.zeros((state.batch, self.choices.num_slots), dtype=torch.long, device=_device(state))
        for slot in range(self.choices.num_slots):
            choice[:, slot] = choose(self.leaning(self.weigh(read, state, stage, choice, slot), prior, slot))
        return choice

    def propose(self, state: S, stage: Stage) -> D:
        """The likeliest feasible choice."""
        return self.choices.decision(self.pick(state, stage, likeliest))

    def forward(self, state: S, stage: Stage) -> D:
        """The likeliest feasible choice: infeasible ones are masked, so there is nothing to repair."""
        return self.propose(state, stage)


class Values(nn.Module, ABC, Generic[S, P]):
    """The two critics: expected cost to go before the decision (V) and after it, before the noise (V^x) [money].

    Most of a cost to go is how much of the horizon is left: `in_money` gives `centre · annuity + spread · network`, the
    annuity being the discounted number of stages left. Whoever trains the critics keeps `centre` near the mean cost of
    a stage and `spread` near the standard deviation of what the annuity does not explain, of V first, of V^x second:
    the networks' outputs are then of order one in any currency and at any stage.
    """

    centre: Tensor  # (2,) [money/stage]
    spread: Tensor  # (2,) [money]
    discount: float = 1.0  # γ per stage, set by whoever trains them

    def __init__(self, num_stages: int) -> None:
        super().__init__()
        self.num_stages = num_stages
        self.register_buffer("centre", torch.zeros(2))
        self.register_buffer("spread", torch.ones(2))

    @abstractmethod
    def value(self, state: S, stage: Stage) -> Float[Tensor, " batch"]:
        """V(s): expected cost to go before the decision [money]."""

    @abstractmethod
    def post_value(self, post: P, stage: Stage) -> Float[Tensor, " batch"]:
        """V^x(s^x): expected cost to go after the decision of this stage, its own cost left out [money]."""

    def encoded(self, post: P, stage: Stage) -> P:
        """The post-decision states with what networks see of them, if that is kept; states are the policy's to encode.

        A policy and the critics of the same problem see the same of a state.
        """
        return post

    def annuity(self, stage: Stage) -> Tensor:
        """Σ_{k < T − t} γ^k: stages left, discounted; () or (batch,)."""
        left = torch.as_tensor(self.num_stages - stage, dtype=self.spread.dtype, device=self.spread.device)
        return left if self.discount == 1 else (1 - self.discount**left) / (1 - self.discount)

    def in_money(self, said: Float[Tensor, " batch"], stage: Stage, half: int) -> Float[Tensor, " batch"]:
        """What the network of a half (0: V, 1: V^x) said, as a cost to go [money]."""
        return self.centre[half] * self.annuity(stage) + self.spread[half] * said


class CriticisedPolicy(Policy[S, D], Generic[S, P, D]):
    """A policy of choices with its critics: it decides, and says what every other choice would have cost.

    With `sweeps` the actor's choices are improved before they are returned (`improve`). `scored` says that V^x is the
    whole cost to go, which both need.
    """

    def __init__(
        self,
        simulator: Simulator[S, P, D, Any],
        actor: ChoicePolicy[S, D],
        values: Values[S, P],
        sweeps: int = 0,
        scored: bool = True,
    ) -> None:
        super().__init__()
        self._simulator = (simulator,)
        self.actor, self.values = actor, values
        self.sweeps, self.scored = sweeps, scored

    def propose(self, state: S, stage: Stage) -> D:
        """The actor's likeliest choice, improved."""
        choice = self.actor.pick(state, stage, likeliest)
        if self.sweeps:
            choice = improve(self._simulator[0], self.values, state, stage, choice, self.sweeps)
        return self.actor.choices.decision(choice)

    def forward(self, state: S, stage: Stage) -> D:
        """The same: masked choices are feasible."""
        return self.propose(state, stage)

    def features(self, state: S, stage: Stage) -> Tensor | None:
        """The actor's features."""
        return self.actor.features(state, stage)

    def feature_names(self) -> list[FeatureName]:
        """The actor's names of them."""
        return self.actor.feature_names()

    def alternatives(self, state: S, decision: D, stage: Stage) -> Tensor | None:
        """Cost now and to go of every option of every slot, the other slots as decided: (batch, slot, option)."""
        if not self.scored:
            return None
        return option_costs(self._simulator[0], self.values, state, stage, self.actor.choices.choice(decision))


def likeliest(logits: Float[Tensor, "*batch option"]) -> Int[Tensor, "*batch"]:
    """The option of the greatest logit; the first of equals."""
    return logits.argmax(-1)


def masked(logits: Float[Tensor, "*batch option"], feasible: Bool[Tensor, "*batch option"]) -> Tensor:
    """Logits with `IMPOSSIBLE` where infeasible."""
    return torch.where(feasible, logits, IMPOSSIBLE)


def option_costs(
    simulator: Simulator[S, P, D, Any],
    values: Values[S, P],
    state: S,
    stage: Stage,
    choice: Int[Tensor, "batch slot"],
    slots: list[int] | None = None,
) -> Float[Tensor, "batch asked option"]:
    """Cost now and to go of every option of every slot, or of `slots`, the others as in `choice`; infinite where
    infeasible.

    The half stage from decision to post-decision state is known, so this is exact but for the critic. In a coupled
    problem an option that leaves a later slot's choice infeasible counts as infeasible.
    """
    choices = _choices_of(simulator)
    asked = torch.arange(choices.num_slots, device=choice.device) if slots is None else choice.new_tensor(slots)
    every = len(asked) * choices.num_options
    tried = choice[:, None, None, :].repeat(1, len(asked), choices.num_options, 1)
    tried[:, torch.arange(len(asked), device=choice.device), :, asked] = torch.arange(
        choices.num_options, device=choice.device
    )
    flat = tried.reshape(-1, choices.num_slots)
    many = state.map(lambda tensor: tensor.repeat_interleave(every, 0))
    stages = stage.repeat_interleave(every) if isinstance(stage, Tensor) else stage
    allowed = choices.feasible(many, stages, flat).gather(2, flat.unsqueeze(2)).squeeze(2).all(1)
    # Infeasible trials are simulated as the choice itself, so that a simulator is never asked what it cannot do.
    flat = torch.where(allowed[:, None], flat, choice.repeat_interleave(every, 0))
    post, costs = simulator.decide(many, choices.decision(flat), stages)
    total = values.post_value(post, stages)
    total = total + costs.total if costs.components else total
    return torch.where(allowed, total, torch.inf).reshape(-1, len(asked), choices.num_options)


def improve(
    simulator: Simulator[S, P, D, Any],
    values: Values[S, P],
    state: S,
    stage: Stage,
    choice: Int[Tensor, "batch slot"],
    sweeps: int,
) -> Int[Tensor, "batch slot"]:
    """Choices after `sweeps` rounds of coordinate descent over slots on cost now plus V^x; ties stay as they are."""
    for _ in range(sweeps):
        for slot in range(_choices_of(simulator).num_slots):
            costs = option_costs(simulator, values, state, stage, choice, [slot])[:, 0]
            best, kept = costs.min(1), costs.gather(1, choice[:, slot : slot + 1]).squeeze(1)
            choice = choice.clone()
            choice[:, slot] = torch.where(best.values < kept, best.indices, choice[:, slot])
    return choice


def _choices_of(simulator: Simulator[S, P, D, Any]) -> Choices[S, D]:
    if simulator.choices is None:
        raise ValueError("this problem's decisions are not made of choices")
    return simulator.choices


def _device(state: Any) -> torch.device:
    first: Tensor = next(iter(vars(state).values()))
    return first.device
