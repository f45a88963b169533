"""Lagrangian decomposition of weakly coupled decisions: a lower bound for every policy, and a policy by its values.

Parts (items, …) share resources (machine time, …): Σ_i a_i(x_i) ≤ C_t in every stage. With prices λ_t ≥ 0 for their use
instead of the constraint, the parts fall apart into small Markov decision problems, and for any prices

  L(λ) = Σ_i V_i(λ) − Σ_t λ_t · C_t  ≤  the least expected cost of any policy.

Equation → function
  V_{i,t}(s) = min_x c_i(s, x) + λ_t·a_i(x) + E V_{i,t+1}    `dual`: `WeaklyCoupled.expect` and `improve` by stage
  L(λ), ∂L/∂λ_t = Σ_i E a_i − C_t                            `dual`: the gradient is the expected use less what there is
  λ ← max(λ + ρ_k m_k, 0), m_k = β m_{k−1} + (1 − β) ∂L      `Ascent.step`: supergradient ascent with momentum
  x_t = argmin_x Σ_i c_i(s_i, x_i) + V^x_{i,t}(s_i, x_i)      `solvers.look_ahead`: one step, all resources as they are
    subject to Σ_i a_i(x_i) ≤ C_t

Sources: Hawkins, "A Lagrangian decomposition approach to weakly coupled dynamic optimization problems", PhD thesis, MIT
(2003); Adelman, Mersereau, "Relaxations of weakly coupled stochastic dynamic programs", Operations Research 56 (2008);
momentum as in Polyak, USSR Computational Mathematics and Mathematical Physics 4 (1964).

Choices and why
  * Prices are first the same in every stage (the gradient's mean moves them all), if stages are alike: five numbers are
    found sooner than five hundred. Then every stage gets its own, which is where the end of the horizon shows.
  * Any prices give a bound, so the ascent stops when it likes; the best prices found are kept.
  * The bound is of the problem as the face sees it (`relaxes` says what it allows beyond); every relaxation lowers it.
  * The policy looks ahead with prices averaged over neighbouring stages (`smoothing`): the ascent's prices zigzag from
    stage to stage, which does not hurt their bound and costs the policy 1 to 2 %.
  * The prices of the stage itself play no part in its decision: there the resources are what they are.

Metrics logged: `bound`, of this iteration's prices; `best_bound`; `excess`, the largest expected use beyond capacity.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from models.core import BoundValue, Instance, Issue, Problem, Traits
from models.lazy import lazy, torch
from solvers.core import Callbacks, Config, Solver, TrainRequest, TrainResult
from solvers.value_iteration import all_stages_count, no_stop

if TYPE_CHECKING:
    from torch import Tensor

    from models.dynamics import Policy
    from models.weakly_coupled import PartValues, WeaklyCoupled

NAME = "lagrangian"
MOMENTUM = 0.7  # β
DECAY = 8.0  # iterations after which a step is half the first: ρ_k = ρ_0 / (1 + k / 8)
SHARED = 1 / 3  # of the iterations, in which all stages have the same prices
TABLES = 16_000_000  # post-values that a policy keeps
RECORDED = 30_000_000  # post-values of all stages beyond which a stage is computed again for the gradient

_look_ahead = lazy("solvers.look_ahead:LookAheadPolicy")
_part_values = lazy("models.weakly_coupled:PartValues")


class LagrangianConfig(Config):
    """Configuration of the decomposition."""

    iterations: int = Field(60, ge=0, le=100_000, description="Steps of the ascent on the prices.")
    step: float = Field(
        1.0, gt=0, le=1000, description="First step, as a share of the mean price, for a unit of use beyond capacity."
    )
    smoothing: int = Field(
        21, ge=1, le=10_001, description="Stages over which the policy's prices are averaged; 1: as the bound has them."
    )
    exchange: int = Field(
        0, ge=0, le=100, description="Rounds in which the policy also tries to change two choices at once; costs time."
    )


class Stopped(Exception):
    """A stop was asked for in the middle of an evaluation."""


def dual(
    face: WeaklyCoupled[Any, Any], prices: Tensor, should_stop: Callable[[], bool] = no_stop, gradient: bool = True
) -> tuple[float, Tensor]:
    """L(λ) [money] of prices (stage, resource), and its supergradient (stage, resource): expected excess of use.

    Raises:
        Stopped: a stop was asked for.
    """
    prices = prices.clone().requires_grad_(gradient)
    values = face.terminal()
    again = face.num_posts * face.num_stages > RECORDED and gradient
    for stage in reversed(range(face.num_stages)):
        if should_stop():
            raise Stopped
        arguments = (face, values, prices[stage], stage)
        values = (
            torch.utils.checkpoint.checkpoint(_stage, *arguments, use_reentrant=False) if again else _stage(*arguments)
        )
    bound = face.at_start(values).sum() - sum(prices[stage] @ face.capacity(stage) for stage in range(face.num_stages))
    if not gradient:
        return float(bound), torch.zeros_like(prices)
    (excess,) = torch.autograd.grad(bound, prices)
    return float(bound.detach()), excess


def _stage(face: WeaklyCoupled[Any, Any], values: Tensor, prices: Tensor, stage: int) -> Tensor:
    return face.improve(face.expect(values, stage), prices, stage)


@dataclass
class Ascent:
    """Where an ascent on the prices stands."""

    face: WeaklyCoupled[Any, Any]
    iterations: int  # to be made in all
    first_step: float  # ρ_0 [money per unit of use, squared]
    prices: Tensor  # (stage, resource) to be tried next [money/unit]
    momentum: Tensor  # (stage, resource)
    best_prices: Tensor
    best: float = -math.inf  # [money] of the whole horizon
    iteration: int = 0
    seconds: float = 0.0

    @classmethod
    def begin(
        cls, face: WeaklyCoupled[Any, Any], config: LagrangianConfig, should_stop: Callable[[], bool] = no_stop
    ) -> Ascent:
        """Uniform prices that would spread the cost of free resources over what there is of them.

        Raises:
            Stopped: a stop was asked for.
        """
        free = torch.zeros((face.num_stages, len(face.resources)), dtype=torch.float64)
        bound, _ = dual(face, free, should_stop, gradient=False)
        there = sum(float(face.capacity(stage).sum()) for stage in range(face.num_stages))
        price = max(bound / there, 1e-9) if there > 0 else 0.0
        prices = torch.full_like(free, price)
        return cls(face, config.iterations, config.step * price, prices, torch.zeros_like(free), free, bound)

    @property
    def shared(self) -> int:
        """Iterations in which all stages have the same prices."""
        return int(self.iterations * SHARED) if self.face.stationary else 0

    def step(self, should_stop: Callable[[], bool] = no_stop) -> dict[str, float]:
        """Judge the prices and move them.

        Raises:
            Stopped: a stop was asked for.
        """
        bound, excess = dual(self.face, self.prices, should_stop)
        if bound > self.best:
            self.best, self.best_prices = bound, self.prices
        age = self.iteration
        if self.iteration < self.shared:
            excess = excess.mean(0, keepdim=True).expand_as(excess)
        else:
            age -= self.shared
            if age == 0 and self.shared:
                self.prices, self.momentum = self.best_prices, torch.zeros_like(excess)
        self.momentum = MOMENTUM * self.momentum + (1 - MOMENTUM) * excess
        self.prices = (self.prices + self.first_step / (1 + age / DECAY) * self.momentum).clamp_min(0.0)
        self.iteration += 1
        return {"bound": bound, "best_bound": self.best, "excess": float(excess.max())}

    def checkpoint(self) -> dict[str, Any]:
        """Everything needed to go on."""
        tensors = {name: getattr(self, name).clone() for name in ("prices", "momentum", "best_prices")}
        numbers = {name: getattr(self, name) for name in ("first_step", "best", "iteration", "seconds")}
        return {**tensors, **numbers}

    @classmethod
    def restore(cls, face: WeaklyCoupled[Any, Any], config: LagrangianConfig, kept: Mapping[str, Any]) -> Ascent:
        """The ascent a checkpoint holds."""
        prices, momentum, best_prices = (kept[name].clone() for name in ("prices", "momentum", "best_prices"))
        first, best, seconds = (float(kept[name]) for name in ("first_step", "best", "seconds"))
        done = int(kept["iteration"])
        return cls(face, config.iterations, first, prices, momentum, best_prices, best, done, seconds)


def lagrangian_bound(problem: Problem, instance: Instance, should_stop: Callable[[], bool]) -> BoundValue:
    """The best bound that the default ascent finds before a stop is asked for.

    Raises:
        ValueError: the instance does not fall apart, its reported cost is not that of all stages, or a stop came
            before there was any bound.
    """
    ascent = _begin(problem, instance, LagrangianConfig(), should_stop)
    try:
        while ascent.iteration < ascent.iterations:
            ascent.step(should_stop)
    except Stopped:
        pass
    return bound_value(ascent)


def _begin(problem: Problem, instance: Instance, config: LagrangianConfig, should_stop: Callable[[], bool]) -> Ascent:
    if problem.weakly_coupled is None:
        raise ValueError(f"{problem.name} does not fall apart into parts")
    all_stages_count(problem, instance)
    try:
        return Ascent.begin(problem.weakly_coupled.of(instance), config, should_stop)
    except Stopped:
        raise ValueError("time was up before the parts were evaluated once") from None


def bound_value(ascent: Ascent) -> BoundValue:
    """An ascent's bound with what it rests on."""
    face = ascent.face
    means = ascent.best_prices.mean(0).tolist()
    words: dict[str, Any] = {
        "method": "each part alone, at a price for what it uses of the shared resources",
        "iterations": ascent.iteration,
        "mean_prices": {name: round(price, 6) for name, price in zip(face.resources, means, strict=True)},
    }
    if face.relaxes:
        words["relaxes"] = list(face.relaxes)
    return BoundValue(ascent.best / face.num_stages, 0.0, words)


def part_values(face: WeaklyCoupled[Any, Any], prices: Tensor, kept: list[int]) -> PartValues[Any, Any]:
    """The parts' post-values at prices (stage, resource), with a table for every stage in `kept` (ascending).

    Other stages use the nearest table after them, or the last.
    """
    found: PartValues[Any, Any] = _part_values(face, len(kept))
    values, rent = face.terminal(), 0.0
    for stage in reversed(range(face.num_stages)):
        posts = face.expect(values, stage)
        if stage in kept:
            found.tables[kept.index(stage)] = posts.to(found.tables.dtype)
        found.index[stage] = next((row for row, own in enumerate(kept) if own >= stage), len(kept) - 1)
        found.rent[stage] = rent
        rent += float(prices[stage] @ face.capacity(stage))
        values = face.improve(posts, prices[stage], stage)
    return found


def kept_stages(face: WeaklyCoupled[Any, Any]) -> list[int]:
    """Stages whose post-values a policy keeps: all, or those 0, 1, 2, 4, … stages before the last one.

    Fewer where they would not fit (`TABLES`); where stages are not alike as many as fit, evenly spread.
    """
    stages, fit = face.num_stages, max(TABLES // face.num_posts, 1)
    if stages <= fit:
        return list(range(stages))
    if not face.stationary:
        return sorted({round(k * (stages - 1) / max(fit - 1, 1)) for k in range(fit)})
    before = [0, *(1 << k for k in range(64))]
    return sorted(stages - 1 - own for own in before[:fit] if own < stages)


def smoothed(prices: Tensor, width: int) -> Tensor:
    """Prices (stage, resource) averaged over `width` stages around each, fewer at both ends."""
    reach = (width - 1) // 2
    ends = torch.cat([torch.zeros_like(prices[:1]), prices.cumsum(0)])
    stage = torch.arange(len(prices))
    low, high = (stage - reach).clamp_min(0), (stage + reach + 1).clamp_max(len(prices))
    return (ends[high] - ends[low]) / (high - low).unsqueeze(1)


def train(request: TrainRequest, callbacks: Callbacks) -> TrainResult:
    """Ascend on the prices, then tabulate the parts for the policy.

    Raises:
        ValueError: the instance does not fall apart (see `lagrangian_bound`).
    """
    started = time.monotonic()
    config: LagrangianConfig = request.config
    limit = math.inf if request.time_limit is None else request.time_limit
    if request.checkpoint is None:
        ascent = _begin(request.problem, request.instance, config, no_stop)
    else:
        assert request.problem.weakly_coupled is not None, "it was there when the checkpoint was made"
        ascent = Ascent.restore(request.problem.weakly_coupled.of(request.instance), config, request.checkpoint)
    before, curve = ascent.seconds, []

    def stop() -> bool:
        return callbacks.should_stop() or ascent.seconds > limit

    while ascent.iteration < config.iterations:
        try:
            metrics = ascent.step(callbacks.should_stop)
        except Stopped:
            break
        ascent.seconds = before + time.monotonic() - started
        callbacks.on_iteration(ascent.iteration, config.iterations, metrics)
        curve.append({"iteration": float(ascent.iteration), "seconds": ascent.seconds, **metrics})
        callbacks.on_checkpoint(ascent.checkpoint())
        if stop():
            break
    reason: Literal["finished", "time_limit", "request"] = "finished"
    if ascent.iteration < config.iterations:
        reason = "request" if callbacks.should_stop() else "time_limit"
    policy = _look_ahead(request.problem, request.instance, config)
    policy.take(
        part_values(policy.face, smoothed(ascent.best_prices, config.smoothing), policy.kept), ascent.best_prices
    )
    seconds = before + time.monotonic() - started
    return TrainResult(policy.eval(), NAME, curve, ascent.iteration, seconds, reason, bound=bound_value(ascent))


def build(problem: Problem, instance: Instance, config: Any, family: str) -> Policy[Any, Any]:
    """The policy, ready to take its tables."""
    policy: Policy[Any, Any] = _look_ahead(problem, instance, config)
    return policy


def _needs(traits: Traits) -> list[str]:
    return [] if traits.weakly_coupled else ["it does not fall apart into parts that share priced resources"]


def _refuses(problem: Problem, instance: Instance, config: LagrangianConfig) -> list[Issue]:
    face = problem.weakly_coupled
    reason = "it does not fall apart into parts" if face is None else face.refuses(instance)
    return [] if reason is None else [Issue("parts", "error", "", reason)]


LAGRANGIAN = Solver(
    name=NAME,
    title="Lagrangian decomposition",
    summary="Prices what the parts of a problem share, solves each part exactly, and decides one step ahead by their "
    "values; the prices prove a lower bound for every policy.",
    kind="train",
    config=LagrangianConfig,
    needs=_needs,
    train=train,
    build=build,
    refuses=_refuses,
    quick={"iterations": 3},
    source="Hawkins, PhD thesis, MIT, 2003; Adelman, Mersereau, Operations Research 56(3), 2008",
)
