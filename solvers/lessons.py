"""What a policy learns from a rollout: minibatches, and the losses of the actor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from models.lazy import torch
from solvers.advantages import Credit

if TYPE_CHECKING:
    from torch import Tensor

    from solvers.pdppo import PDPPOConfig

IMPOSSIBLE = -1e9  # `models.choices.IMPOSSIBLE`, which is not imported where nothing computes


@dataclass(frozen=True)
class Lessons:
    """A rollout flattened for minibatches: (row, …)."""

    state: Any
    post: Any
    stage: Tensor
    choice: Tensor
    log_probabilities: Tensor  # (row, slot, option) of the policy that chose
    credit: Credit
    prior: Any = None  # what was known of the states beside the network, if anything

    def rows(self, index: Tensor) -> Lessons:
        """The minibatch of an index."""
        return self.map(lambda value: value.rows(index) if hasattr(value, "rows") else value[index])

    def map(self, function: Callable[[Any], Any]) -> Lessons:
        """The lessons with `function` applied to every record and tensor."""
        credit = Credit(*(function(getattr(self.credit, f.name)) for f in fields(Credit)))
        flat = (function(self.stage), function(self.choice), function(self.log_probabilities))
        prior = None if self.prior is None else function(self.prior)
        return Lessons(function(self.state), function(self.post), *flat, credit, prior)


@dataclass(frozen=True)
class Lesson:
    """A loss of the actor, and how far it has moved: KL divergence from the old policy, share of clipped ratios."""

    loss: Tensor
    kl: Tensor
    clipped: Tensor


def surrogate(new: Tensor, part: Lessons, config: PDPPOConfig, left: float) -> Lesson:
    """The clipped surrogate, or mirror descent's, of log-probabilities `new` (row, slot, option).

    r is the joint ratio: the choices of a decision share its merit. Advantages are costs: negative is good.
    """
    log_ratio = _joint(new, part.choice) - _joint(part.log_probabilities, part.choice)
    ratio = log_ratio.exp()
    merit = -part.credit.advantage
    clipped = ((ratio - 1).abs() > config.clip).to(ratio.dtype).mean()
    if config.update == "mirror":
        kl = (new.exp() * (new - part.log_probabilities)).sum((1, 2)).mean()
        step = config.mirror_step * max(left, config.final_rate)
        return Lesson(kl / step - (ratio * merit).mean(), kl, clipped)
    bounded = ratio.clamp(1 - config.clip, 1 + config.clip)
    loss = -torch.minimum(ratio * merit, bounded * merit).mean()
    return Lesson(loss, (ratio - 1 - log_ratio).mean(), clipped)


def imitation(new: Tensor, part: Lessons, softness: float) -> Lesson:
    """Cross-entropy to the teacher's choices, `softness` of it to all feasible ones: who is sure learns no more."""
    feasible = new > IMPOSSIBLE / 2
    even = torch.where(feasible, new, 0.0).sum(2) / feasible.sum(2)
    wanted = (1 - softness) * _joint(new, part.choice) + softness * even.sum(1)
    return Lesson(-wanted.mean(), new.new_zeros(()), new.new_zeros(()))


def _joint(log_probabilities: Tensor, choice: Tensor) -> Tensor:
    """Log-probability of all choices of a decision together: (row,)."""
    return log_probabilities.gather(2, choice.unsqueeze(2)).squeeze(2).sum(1)
