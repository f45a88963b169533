"""Start from the parts' values of a decomposition and learn the rest: a residual actor and residual critics.

The decomposition (`solvers.lagrangian`) gives every part's expected cost to go. Its one-step look-ahead is a good
choice x⁰(s); how much an option costs beyond it, q(s, k, j), and the sum of the values, Φ before the decision and Φ^x
after it, are known without learning anything.

Equation → function
  x⁰ = argmin_x c(s, x) + Φ^x(s^x),  Φ(s) = that least cost     `Guide.prior`: `look_ahead.settle`
  log π(j | s, k) ∝ f_θ(s, k, j) − q(s, k, j)/τ                 `ResidualActor.leaning`: policy residual, τ is learned
  V = Φ + v_θ,  V^x = Φ^x + v^x_θ                               `ResidualValues`
  c_a + Φ^x(s^x) − Φ(s),  c_w + γ Φ(s′) − Φ^x(s^x)              `Potentials.shaped`: what v_θ and v^x_θ are critics of

The last line is potential-based shaping (Ng, Harada, Russell, ICML 1999), split over the two halves of a stage: no
policy gets any better or worse by it, and learning v_θ from shaped costs is the same as learning V from a start at Φ
(Wiewiora, JAIR 19, 2003). Residual policies: Silver, Allen, Tenenbaum, Kaelbling, arXiv 1812.06298 (2018).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from models.choices import ChoicePolicy, Choices, Prior, Values
from models.dynamics import FeatureName, Stage
from models.weakly_coupled import PartValues
from solvers.advantages import Rollout
from solvers.look_ahead import settle

if TYPE_CHECKING:
    from solvers.scenario_rows import Rows

HALVINGS = 40  # of the interval in which the heat lies


class Guide(nn.Module):
    """The parts' values of an instance: what is known of a state before anything is learned.

    It stays on the processor in single precision, wherever the networks are.
    """

    def __init__(self, values: PartValues[Any, Any]) -> None:
        super().__init__()
        self.values = values

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Guide:
        """Neither moved nor cast: the tables' face looks entries up on the processor."""
        return self

    def prior(self, state: Any, stage: Stage) -> Prior:
        """The look-ahead's choice, what others cost beyond it, and what it is expected to cost."""
        device = next(iter(vars(state).values())).device
        state, stage = _here(state, stage)
        situation = self.values.situation(state, stage)
        choice = settle(situation)
        excess = situation.changes(choice[None])[0]
        cost = situation.costs(choice[None])[0] - self.values.rent[stage]
        return Prior(choice, torch.where(excess.isfinite(), excess, 0.0), cost).to(device)

    @torch.no_grad()
    def cost(self, state: Any, stage: Stage) -> Tensor:
        """Φ(s), expected cost to go before the decision: (batch,) [money]."""
        return self.prior(state, stage).cost

    def post_cost(self, post: Any, stage: Stage) -> Tensor:
        """Φ^x(s^x), expected cost to go after it: (batch,) [money]."""
        device = next(iter(vars(post).values())).device
        return self.values.post_value(*_here(post, stage)).to(device)


def _here(record: Any, stage: Stage) -> tuple[Any, Stage]:
    stage = stage.cpu() if isinstance(stage, Tensor) else stage
    return record.to(torch.device("cpu")).to(torch.float32), stage


class ResidualActor(ChoicePolicy[Any, Any]):
    """A network's logits, less what an option costs beyond the look-ahead's choice, over a heat τ [money]."""

    def __init__(self, network: ChoicePolicy[Any, Any], guide: Guide) -> None:
        super().__init__()
        network.even_out()
        self.network, self.guide = network, guide
        self.sequential = network.sequential
        self.log_heat = nn.Parameter(torch.zeros(()))

    @property
    def choices(self) -> Choices[Any, Any]:
        """The network's."""
        return self.network.choices

    def prior(self, state: Any, stage: Stage) -> Prior:
        """The guide's."""
        with torch.no_grad():
            return self.guide.prior(state, stage)

    def leaning(self, logits: Tensor, prior: Prior | None, slot: int | None) -> Tensor:
        """Dear options lose weight."""
        assert prior is not None, "the guide always has one"
        excess = prior.excess if slot is None else prior.excess[:, slot]
        return logits - excess * torch.exp(-self.log_heat)

    def encoded(self, state: Any, stage: Stage) -> Any:
        """The network's."""
        return self.network.encoded(state, stage)

    def read(self, state: Any, stage: Stage) -> Any:
        """The network's."""
        return self.network.read(state, stage)

    def weigh(self, read: Any, state: Any, stage: Stage, choice: Tensor | None, slot: int | None) -> Tensor:
        """The network's."""
        return self.network.weigh(read, state, stage, choice, slot)

    def features(self, state: Any, stage: Stage) -> Tensor | None:
        """The network's."""
        return self.network.features(state, stage)

    def feature_names(self) -> list[FeatureName]:
        """The network's."""
        return self.network.feature_names()


class ResidualValues(Values[Any, Any]):
    """The guide's costs to go plus what the critics `rest` say is missing in them."""

    def __init__(self, rest: Values[Any, Any], guide: Guide) -> None:
        super().__init__(rest.num_stages)
        self.rest = rest
        self._guide = (guide,)  # the actor's, whose weights it is stored with

    def encoded(self, post: Any, stage: Stage) -> Any:
        """The rest's."""
        return self.rest.encoded(post, stage)

    def value(self, state: Any, stage: Stage) -> Tensor:
        """Φ + v_θ."""
        return self._guide[0].cost(state, stage) + self.rest.value(state, stage)

    def post_value(self, post: Any, stage: Stage) -> Tensor:
        """Φ^x + v^x_θ."""
        return self._guide[0].post_cost(post, stage) + self.rest.post_value(post, stage)


class Potentials:
    """What the guide expected at every stage of a rollout: (stage, row) [money]."""

    def __init__(self, guide: Guide, like: Tensor) -> None:
        self.guide = guide
        self.before, self.after, self.then = (torch.zeros_like(like) for _ in range(3))

    def put(self, step: int, prior: Prior, post: Any, stage: Tensor) -> None:
        """A stage of every row: Φ of its state and Φ^x of its post-decision state."""
        self.before[step], self.after[step] = prior.cost, self.guide.post_cost(post, stage)

    def follow(self, state: Any, stage: Tensor, cut: list[tuple[int, slice, Tensor]]) -> None:
        """Φ of what came next: of `state` after the last stage, and what is given where a row was cut off."""
        self.then[:-1] = self.before[1:]
        self.then[-1] = self.guide.cost(state, stage)
        for step, part, cost in cut:
            self.then[step, part] = cost

    def shaped(self, seen: Rollout, discount: float) -> Rollout:
        """The rollout with its costs shaped; its `following` is already the critics' of shaped costs."""
        decided = seen.decided + self.after - self.before
        return replace(seen, decided=decided, realized=seen.realized + discount * self.then - self.after)


def heat_of(excess: Tensor, feasible: Tensor, softness: float) -> float:
    """τ [money] at which choices take another option than the look-ahead's with probability `softness` on average.

    Args:
        excess, feasible: (row, slot, option) of states that the look-ahead comes into.
    """
    free = feasible.sum(2) > 1
    costs = torch.where(feasible, excess, torch.inf)[free].double()
    if not len(costs) or not softness:
        return float(excess.max()) * 1e-3 + 1e-6
    low, high = 1e-9, 1e3 * float(excess.max()) + 1e-6
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        other = 1 - torch.softmax(-costs / middle, 1).amax(1).mean()
        low, high = (low, middle) if float(other) > softness else (middle, high)
    return high


@torch.no_grad()
def heat(actor: ResidualActor, rows: Rows, stages: int, softness: float) -> None:
    """Set the actor's τ by the states that the look-ahead comes into in `stages` stages of `rows`."""
    found = []
    for _ in range(stages):
        prior = actor.prior(rows.state, rows.stage)
        found.append((prior.excess, actor.choices.feasible(rows.state, rows.stage)))
        rows.step(actor.choices.decision(prior.choice))
        for cohort, _ in rows.over():
            rows.restart(cohort)
    excess, feasible = ([rows.ranks.whole(part, rows.total) for part in parts] for parts in zip(*found, strict=True))
    actor.log_heat.fill_(math.log(heat_of(torch.cat(excess), torch.cat(feasible), softness)))
