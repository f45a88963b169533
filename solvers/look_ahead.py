"""One step of look-ahead on the parts' values: every start improved by its best single change until none helps.

See `solvers.lagrangian` for the equations; torch is imported here and not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.core import Instance, Problem
from models.dynamics import Policy, Stage
from models.weakly_coupled import PartValues, Situation
from solvers.lagrangian import NAME, kept_stages

if TYPE_CHECKING:
    from models.choices import Choices
    from models.weakly_coupled import WeaklyCoupled
    from solvers.lagrangian import LagrangianConfig

MOST_CHANGES = 1000  # of one choice each, in a row
WORTH_IT = 1e-6  # relative improvement below which values of single precision say nothing


class LookAheadPolicy(Policy[Any, Any]):
    """Least cost now plus the parts' post-values, by local search over the choices; always feasible.

    Raises:
        ValueError: the instance does not fall apart, or its decisions are not made of choices.
    """

    name = NAME
    prices: Tensor  # (stage, resource) of the bound [money/unit]

    def __init__(self, problem: Problem, instance: Instance, config: LagrangianConfig) -> None:
        super().__init__()
        if problem.weakly_coupled is None:
            raise ValueError(f"{problem.name} does not fall apart into parts")
        self.face: WeaklyCoupled[Any, Any] = problem.weakly_coupled.of(instance)
        simulator = problem.simulator(instance, counts=False)
        if simulator.choices is None:
            raise ValueError(f"{problem.name} has no finite choices")
        self.choices: Choices[Any, Any] = simulator.choices
        self.rounds = config.exchange
        self.kept = kept_stages(self.face)
        self.values: PartValues[Any, Any] = PartValues(self.face, len(self.kept))
        self.register_buffer("prices", torch.zeros(self.face.num_stages, len(self.face.resources)))

    def propose(self, state: Any, stage: Stage) -> Any:
        """The best choices that local search finds."""
        situation = self.values.situation(state, stage)
        choice = settle(situation)[None]
        for _ in range(self.rounds):
            choice, improved = exchange(situation, choice)
            if not improved:
                break
        return self.choices.decision(choice[0])

    def forward(self, state: Any, stage: Stage) -> Any:
        """The same: the search never leaves what is feasible."""
        return self.propose(state, stage)

    def alternatives(self, state: Any, decision: Any, stage: Stage) -> Tensor:
        """Cost now and to go, by the parts' values, had one slot chosen otherwise (batch, slot, option) [money]."""
        situation, choice = self.values.situation(state, stage), self.choices.choice(decision)[None]
        later = self.values.rent[stage].expand(state.batch)
        return situation.changes(choice)[0] + (situation.costs(choice)[0] - later)[:, None, None]

    def describe(self) -> dict[str, Any]:
        """Mean price of every resource [money/unit]."""
        means = self.prices.mean(0).tolist()
        return {"mean_prices": dict(zip(self.face.resources, (round(price, 6) for price in means), strict=True))}


def settle(situation: Situation) -> Tensor:
    """The best of what descent from every start finds: (batch, slot)."""
    choice = descend(situation, situation.starts())
    best = situation.costs(choice).argmin(0)
    return choice.gather(0, best[None, :, None].expand(1, *choice.shape[1:]))[0]


def descend(situation: Situation, choice: Tensor) -> Tensor:
    """Take the best single change of every row (start, batch, slot) until none improves any."""
    least = -WORTH_IT * (1.0 + situation.costs(choice).abs())
    for _ in range(MOST_CHANGES):
        changes = situation.changes(choice)
        best, at = changes.flatten(2).min(2)
        improving = best < least
        if not bool(improving.any()):
            break
        choice = torch.where(improving[..., None], changed(choice, at, changes.shape[3]), choice)
    return choice


def changed(choice: Tensor, at: Tensor, options: int) -> Tensor:
    """Choices (…, slot) with the one that `at` (…) names (slot · options + option) in place."""
    return choice.scatter(-1, (at // options)[..., None], (at % options)[..., None])


def exchange(situation: Situation, choice: Tensor) -> tuple[Tensor, bool]:
    """The best change of two slots at once for every row (1, batch, slot), and whether any row improved."""
    first = situation.changes(choice)[0]
    slots, options = first.shape[1:]
    first = first.flatten(1).T  # (change, batch)
    every = torch.arange(slots * options, device=choice.device)
    tried = changed(choice.expand(len(every), -1, -1), every[:, None].expand_as(first), options)
    tried = torch.where(first.isfinite()[..., None], tried, choice)
    second, then = situation.changes(tried).flatten(2).min(2)
    total, best = torch.where(first.isfinite(), first + second, torch.inf).min(0)
    improving = total < -WORTH_IT * (1.0 + situation.costs(choice)[0].abs())
    pick = best[None]
    pair = changed(tried, then, options).gather(0, pick[..., None].expand(1, *choice.shape[1:]))
    return torch.where(improving[None, :, None], pair, choice), bool(improving.any())
