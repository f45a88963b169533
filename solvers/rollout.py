"""A policy rolled through the dynamics with gradients: what it costs, and how far it is from its constraints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from models.dynamics import Costs, Policy, Simulator

Decide = Callable[[Any, Any], Any]  # (state, stage) → decision


@dataclass(frozen=True)
class Outcome:
    """What a policy did on a batch of scenarios, differentiable in its weights."""

    cost: Tensor  # () mean cost per stage over all stages [money/stage]
    slacks: Tensor  # (constraint,) mean over scenarios and reported stages; at most zero is wanted
    slack_sizes: Tensor  # (constraint,) root mean square over the same: the slack's natural scale
    names: tuple[str, ...] = ()  # of the constraints


def roll_out(
    simulator: Simulator[Any, Any, Any, Any],
    policy: Policy[Any, Any],
    state: Any,
    noise: Any,
    checkpoint_every: int = 0,
    bfloat16: bool = False,
) -> Outcome:
    """Simulate from `state` along `noise` over the whole horizon.

    All stages count in the cost, also those before `first_reported_stage`: early orders must be learned too.
    With `checkpoint_every` only the states between spans of so many stages are kept for the gradient, which is equal;
    everything inside a span is computed again. `bfloat16` lowers the precision of the policy's networks alone.
    """
    decide = _in_bfloat16(policy.settle()) if bfloat16 else policy.settle()
    span = checkpoint_every or simulator.num_stages
    tally = _Tally()
    for first in range(0, simulator.num_stages, span):
        stages = range(first, min(first + span, simulator.num_stages))
        if checkpoint_every and torch.is_grad_enabled():
            arguments = (_run, simulator, decide, state, noise, stages)
            state, part = torch.utils.checkpoint.checkpoint(*arguments, use_reentrant=False, preserve_rng_state=False)
        else:
            state, part = _run(simulator, decide, state, noise, stages)
        tally = tally.plus(part)
    weight = simulator.discount**simulator.num_stages
    cost = tally.cost + weight * _mean(simulator.terminal(state), next(policy.parameters()))
    reported = max(simulator.num_stages - simulator.first_reported_stage, 1)
    names = tuple(tally.slacks or {})
    slacks = [tally.slacks[name] / reported for name in names]
    sizes = [(tally.squares[name] / reported).detach().sqrt() for name in names]
    none = cost.new_zeros(0)
    return Outcome(
        cost / simulator.num_stages,
        torch.stack(slacks) if slacks else none,
        torch.stack(sizes) if sizes else none,
        names,
    )


def average_cost(simulator: Simulator[Any, Any, Any, Any], policy: Policy[Any, Any], state: Any, noise: Any) -> Tensor:
    """Mean cost per stage over all stages of the horizon [money/stage], differentiable in the policy's weights."""
    return roll_out(simulator, policy, state, noise).cost


@contextmanager
def relaxed(*simulators: Simulator[Any, Any, Any, Any]) -> Iterator[None]:
    """While gradients are taken: the simulators leave out the jumps that only blur them (see `Simulator.relaxes`)."""
    for simulator in simulators:
        simulator.relaxed = True
    try:
        yield
    finally:
        for simulator in simulators:
            simulator.relaxed = False


class _Tally:
    """Sums over stages."""

    def __init__(self, cost: Any = 0.0, slacks: Any = None, squares: Any = None) -> None:
        self.cost = cost
        self.slacks: dict[str, Tensor] = slacks or {}
        self.squares: dict[str, Tensor] = squares or {}

    def plus(self, other: _Tally) -> _Tally:
        return _Tally(self.cost + other.cost, _sum(self.slacks, other.slacks), _sum(self.squares, other.squares))


def _run(
    simulator: Simulator[Any, Any, Any, Any], decide: Decide, state: Any, noise: Any, stages: range
) -> tuple[Any, _Tally]:
    """A span of stages: the state after it, and the sums of what was counted in it."""
    tally = _Tally()
    weight = simulator.discount**stages.start
    for stage in stages:
        post, decided = simulator.decide(state, decide(state, stage), stage)
        state, realized = simulator.realize(post, noise, stage)
        means = [value.mean() for costs in (decided, realized) for value in costs.components.values()]
        spent = sum(means[1:], means[0]) if means else 0.0
        tally.cost = tally.cost + (spent if weight == 1.0 else weight * spent)
        weight *= simulator.discount
        slacks = {**decided.slacks, **realized.slacks} if stage >= simulator.first_reported_stage else {}
        if slacks:
            tally.slacks = _sum(tally.slacks, {name: value.mean() for name, value in slacks.items()})
            squares = {name: value.detach().square().mean() for name, value in slacks.items()}
            tally.squares = _sum(tally.squares, squares)
    return state, tally


def _sum(one: dict[str, Tensor], two: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**one, **{name: one[name] + value if name in one else value for name, value in two.items()}}


def _mean(costs: Costs, like: Tensor) -> Tensor:
    total = torch.zeros((), device=like.device)
    for component in costs.components.values():
        total = total + component.mean()
    return total


def _in_bfloat16(decide: Decide) -> Decide:
    def lowered(state: Any, stage: Any) -> Any:
        like: Tensor = next(iter(vars(state).values()))
        with torch.autocast(like.device.type, dtype=torch.bfloat16):
            decision = decide(state, stage)
        return decision.map(lambda tensor: tensor.to(like.dtype))

    return lowered
