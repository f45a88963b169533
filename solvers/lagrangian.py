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
  * Where stages are alike, prices are found on a short horizon first; its two ends, with their middle's mean between,
    are the prices of the real one, which are then improved further (`stretched`).
  * Any prices give a bound, so the ascent stops when it likes; the best prices found are kept.
  * The bound is of the problem as the face sees it (`relaxes` says what it allows beyond); every relaxation lowers it.
  * The policy looks ahead with other prices than the bound's, which zigzag from stage to stage and iteration to
    iteration: averaged over iterations (`Ascent.steady`) and over neighbouring stages (`smoothing`), then raised and
    lowered, all and one by one, while simulated cost falls (`tuned`).
  * The prices of the stage itself play no part in its decision: there the resources are what they are.

Metrics logged: `bound`, of this iteration's prices, and `best_bound` [money/stage], of the horizon that is priced;
`excess`, the largest expected use beyond capacity.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from models.core import BoundValue, Instance, Issue, Problem, Traits
from models.lazy import lazy, torch
from solvers.core import Callbacks, Config, Solver, TrainRequest, TrainResult
from solvers.draws import scenario_seed
from solvers.value_iteration import all_stages_count, no_stop

if TYPE_CHECKING:
    from torch import Tensor

    from models.dynamics import Policy, Simulator
    from models.weakly_coupled import PartValues, WeaklyCoupled

NAME = "lagrangian"
MOMENTUM = 0.7  # β
DECAY = 8.0  # iterations after which a step is half the first: ρ_k = ρ_0 / (1 + k / 8)
STEADY = 0.9  # share of the moving average that stays in every iteration
SHORT = 48  # stages of the short horizon on which prices are found first
LONG = 200  # stages up to which the real horizon's own prices and tables are worth their time
POLISH = 0.25  # of the iterations, last, on the real horizon
PATIENCE = 5.0  # [s] that a last evaluation may take after a stop was asked for
TABLES = 16_000_000  # post-values that a policy keeps
DENSE = 64  # last stages of a long horizon, whose tables differ
REACH = 32  # stages from the end beyond which all tables are alike, where few are kept
SMALL = 5_000_000  # post-values of a short horizon up to which prices are looked for with the real tables alone
POLISHED = 60_000_000  # post-values of the real horizon up to which they are improved with the real tables at last
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
    tuning: int = Field(
        12,
        ge=0,
        le=10_000,
        description="Prices that the policy tries in simulation, raised or lowered, to keep the best.",
    )
    tuning_scenarios: int = Field(256, ge=2, le=65_536, description="Scenarios of every trial.")
    exchange: int = Field(
        0, ge=0, le=100, description="Rounds in which the policy also tries to change two choices at once; costs time."
    )


class Stopped(Exception):
    """A stop was asked for in the middle of an evaluation."""


def dual(
    face: WeaklyCoupled[Any, Any], prices: Tensor, should_stop: Callable[[], bool] = no_stop, gradient: bool = True
) -> tuple[float, Tensor]:
    """L(λ) [money] of prices (stage, resource), and its supergradient (stage, resource): expected excess of use.

    Fewer prices than stages bound the first stages alone, which is what a shorter horizon is where stages are alike.

    Raises:
        Stopped: a stop was asked for.
    """
    prices = prices.clone().requires_grad_(gradient)
    values = face.terminal()
    again = face.num_posts * len(prices) > RECORDED and gradient
    for stage in reversed(range(len(prices))):
        if should_stop():
            raise Stopped
        arguments = (face, values, prices[stage], stage)
        values = (
            torch.utils.checkpoint.checkpoint(_stage, *arguments, use_reentrant=False) if again else _stage(*arguments)
        )
    bound = face.at_start(values).sum() - sum(prices[stage] @ face.capacity(stage) for stage in range(len(prices)))
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
    prices: Tensor  # (stage of the present horizon, resource) to be tried next [money/unit]
    momentum: Tensor  # m, the same shape
    steady: Tensor  # moving average of the prices tried: they zigzag, it does not
    peak_prices: Tensor  # best prices on the present horizon
    peak: float = -math.inf  # [money] their bound, by the face it is looked for with
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
        stages = min(face.num_stages, SHORT) if face.stationary else face.num_stages
        free = torch.zeros((stages, len(face.resources)), dtype=torch.float64)
        bound, _ = dual(simpler(face) or face, free, should_stop, gradient=False)
        there = sum(float(face.capacity(stage).sum()) for stage in range(len(free)))
        price = max(bound / there, 1e-9) if there > 0 else 0.0
        prices = torch.full_like(free, price)
        return cls(face, config.iterations, config.step * price, prices, free.clone(), prices, free, bound)

    def __post_init__(self) -> None:
        """Large tables are left to the last steps, or to the proof."""
        self.simple = simpler(self.face)

    @property
    def rough(self) -> bool:
        """Whether the prices still stand on simpler tables."""
        return self.simple is not None and not (self._late and self._polishes)

    @property
    def _late(self) -> bool:
        return self.iteration >= (1 - POLISH) * self.iterations

    @property
    def _polishes(self) -> bool:
        return self.face.num_posts * self.face.num_stages <= POLISHED

    @property
    def done(self) -> bool:
        """Whether all iterations are made."""
        return self.iteration >= self.iterations

    def step(self, should_stop: Callable[[], bool] = no_stop) -> dict[str, float]:
        """Judge the prices and move them. Bounds are told per stage.

        Raises:
            Stopped: a stop was asked for.
        """
        stages = self.face.num_stages
        if len(self.prices) < stages <= LONG and self._late:
            self._lengthen(stages)
        elif self.simple is not None and not self.rough and self.iteration < (1 - POLISH) * self.iterations + 1:
            self._begin_again(self.peak_prices)
        tables = self.simple if self.simple is not None and self.rough else self.face
        bound, excess = dual(tables, self.prices, should_stop)
        if bound > self.peak:
            self.peak, self.peak_prices = bound, self.prices
        self.momentum = MOMENTUM * self.momentum + (1 - MOMENTUM) * excess
        self.prices = (self.prices + self.first_step / (1 + self.iteration / DECAY) * self.momentum).clamp_min(0.0)
        self.steady = STEADY * self.steady + (1 - STEADY) * self.prices
        self.iteration += 1
        stages = len(self.prices)
        return {"bound": bound / stages, "best_bound": self.peak / stages, "excess": float(excess.max())}

    def _lengthen(self, stages: int) -> None:
        """Go on with the real horizon, from the best prices of the short one."""
        self.steady = stretched(self.steady, stages)
        self._begin_again(stretched(self.peak_prices, stages))

    def _begin_again(self, prices: Tensor) -> None:
        """Go on from these prices, whose bound is not known."""
        self.prices, self.peak_prices, self.peak = prices, prices, -math.inf
        self.momentum = torch.zeros_like(prices)

    def prove(self, should_stop: Callable[[], bool] = no_stop) -> tuple[float, Tensor]:
        """The bound [money] of the best prices over the whole horizon, and those prices (stage, resource).

        Raises:
            Stopped: a stop was asked for.
        """
        prices = stretched(self.peak_prices, self.face.num_stages)
        known = len(self.peak_prices) == len(prices) and math.isfinite(self.peak)
        if known and (self.simple is None or (self._polishes and self.iteration > (1 - POLISH) * self.iterations)):
            return self.peak, prices
        return dual(self.face, prices, should_stop, gradient=False)[0], prices

    def checkpoint(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {name: getattr(self, name) for name in (*_TENSORS, *_NUMBERS)}

    @classmethod
    def restore(cls, face: WeaklyCoupled[Any, Any], config: LagrangianConfig, kept: Mapping[str, Any]) -> Ascent:
        """The ascent a checkpoint holds."""
        return cls(face, config.iterations, **{name: kept[name] for name in (*_TENSORS, *_NUMBERS)})


_TENSORS = ("prices", "momentum", "steady", "peak_prices")
_NUMBERS = ("first_step", "peak", "iteration", "seconds")


def simpler(face: WeaklyCoupled[Any, Any]) -> WeaklyCoupled[Any, Any] | None:
    """Tables to look for prices with where the real ones are large; None where they are not, or there are none."""
    return face.simpler() if face.num_posts * min(face.num_stages, SHORT) > SMALL else None


def stretched(prices: Tensor, stages: int) -> Tensor:
    """Prices (stage, resource) of a short horizon for a longer one: its two ends, their middle's mean between."""
    own = len(prices)
    if own == stages:
        return prices
    middle = prices[own // 3 : own - own // 3].mean(0, keepdim=True)
    return torch.cat([prices[: own // 2], middle.expand(stages - own, -1), prices[own // 2 :]])


def lagrangian_bound(problem: Problem, instance: Instance, should_stop: Callable[[], bool]) -> BoundValue:
    """The best bound that the default ascent finds before a stop is asked for.

    Raises:
        ValueError: the instance does not fall apart, its reported cost is not that of all stages, or a stop came
            before there was any bound.
    """
    try:
        ascent = _begin(problem, instance, LagrangianConfig(), should_stop)
        started = time.monotonic()
        with suppress(Stopped):
            while not ascent.done:
                ascent.step(should_stop)
        each = (time.monotonic() - started) / max(ascent.iteration, 1)
        if ascent.rough and ascent.simple is not None:
            each *= ascent.face.num_posts / max(ascent.simple.num_posts, 1)
        # One more evaluation is worth a moment's patience: without it there may be no bound at all.
        patient = each * ascent.face.num_stages / len(ascent.prices) < PATIENCE
        return bound_value(ascent, *ascent.prove(no_stop if patient else should_stop))
    except Stopped:
        raise ValueError("time was up before the parts were evaluated once") from None


def _begin(problem: Problem, instance: Instance, config: LagrangianConfig, should_stop: Callable[[], bool]) -> Ascent:
    if problem.weakly_coupled is None:
        raise ValueError(f"{problem.name} does not fall apart into parts")
    all_stages_count(problem, instance)
    return Ascent.begin(problem.weakly_coupled.of(instance), config, should_stop)


def bound_value(ascent: Ascent, bound: float, prices: Tensor) -> BoundValue:
    """A bound [money] of prices, with what it rests on."""
    face = ascent.face
    means = prices.mean(0).tolist()
    words: dict[str, Any] = {
        "method": "each part alone, at a price for what it uses of the shared resources",
        "iterations": ascent.iteration,
        "mean_prices": {name: round(price, 6) for name, price in zip(face.resources, means, strict=True)},
    }
    if face.relaxes:
        words["relaxes"] = list(face.relaxes)
    return BoundValue(bound / face.num_stages, 0.0, words)


def part_values(face: WeaklyCoupled[Any, Any], prices: Tensor, kept: list[int]) -> PartValues[Any, Any]:
    """The parts' post-values at prices (stage, resource), with a table for every stage in `kept` (ascending).

    Other stages use the nearest table: by the ratio of stages left where stages are alike, else the next, or the last.
    """
    found: PartValues[Any, Any] = _part_values(face, len(kept))
    found.index.copy_(_nearest(face, torch.tensor(kept)))
    earned = torch.stack([own @ face.capacity(stage) for stage, own in enumerate(prices)])
    found.rent.copy_(earned.sum() - earned.cumsum(0))
    rows = {stage: row for row, stage in enumerate(kept)}
    values = face.terminal()
    for stage in reversed(range(kept[0], face.num_stages)):
        posts = face.expect(values, stage)
        if stage in rows:
            found.tables[rows[stage]] = posts.to(found.tables.dtype)
        values = face.improve(posts, prices[stage], stage)
    return found


def _nearest(face: WeaklyCoupled[Any, Any], kept: Tensor) -> Tensor:
    """The place in `kept` of every stage's table: (stage,)."""
    stages = torch.arange(face.num_stages)
    if not face.stationary:
        return torch.searchsorted(kept, stages).clamp_max(len(kept) - 1)
    left, own = ((face.num_stages - stage).double().log() for stage in (stages, kept))
    return (left[:, None] - own).abs().argmin(1)


def kept_stages(face: WeaklyCoupled[Any, Any]) -> list[int]:
    """Stages whose post-values a policy keeps: all, where they fit (`TABLES`) and the horizon is not long.

    Where stages are alike, a long horizon needs the last `DENSE` ones and two that stand for all before; where so many
    do not fit, a few whose distances from the last grow by a factor. Where they are not alike, as many as fit, evenly
    spread.
    """
    stages, fit = face.num_stages, max(TABLES // face.num_posts, 1)
    if stages <= fit and (stages <= LONG or not face.stationary):
        return list(range(stages))
    if not face.stationary:
        return sorted({round(k * (stages - 1) / max(fit - 1, 1)) for k in range(fit)})
    dense = [*range(DENSE), 2 * DENSE, 4 * DENSE]
    reach = min(stages - 1, REACH)
    spread = [0, *(round(reach ** (k / max(fit - 2, 1))) for k in range(fit - 1))] if fit > 1 else [reach]
    before = dense if len(dense) <= fit else sorted(set(spread))
    return sorted(stages - 1 - own for own in before if own < min(stages, 4 * DENSE + 1))


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
    trials_done = 0
    if request.checkpoint is None:
        ascent = _begin(request.problem, request.instance, config, no_stop)
    else:
        assert request.problem.weakly_coupled is not None, "it was there when the checkpoint was made"
        ascent = Ascent.restore(request.problem.weakly_coupled.of(request.instance), config, request.checkpoint)
    before, curve = ascent.seconds, []

    def stop() -> bool:
        spent = before + time.monotonic() - started
        return callbacks.should_stop() or request.is_over(ascent.iteration + trials_done, spent)

    def no_more_trials() -> bool:
        nonlocal trials_done
        enough = stop()
        trials_done += not enough
        return enough

    with suppress(Stopped):
        while not ascent.done:
            metrics = ascent.step(stop)
            ascent.seconds = before + time.monotonic() - started
            callbacks.on_iteration(ascent.iteration, config.iterations, metrics)
            curve.append({"iteration": float(ascent.iteration), "seconds": ascent.seconds, **metrics})
            callbacks.on_checkpoint(ascent.checkpoint())
    reason: Literal["finished", "time_limit", "request"] = "finished"
    if not ascent.done:
        reason = "request" if callbacks.should_stop() else "time_limit"
    bound, prices = ascent.prove()
    policy = _look_ahead(request.problem, request.instance, config)
    base = smoothed(stretched(ascent.steady, len(prices)), config.smoothing)
    tuned(request, policy, base, callbacks, no_more_trials)
    policy.prices.copy_(prices)
    seconds = before + time.monotonic() - started
    proof = bound_value(ascent, bound, prices)
    steps = ascent.iteration + trials_done
    return TrainResult(policy.eval(), NAME, curve, ascent.iteration, seconds, reason, bound=proof, counted=steps)


def tuned(
    request: TrainRequest, policy: Any, base: Tensor, callbacks: Callbacks, should_stop: Callable[[], bool]
) -> float:
    """Give the policy the best prices tried: `base` (stage, resource), then its resources' raised and lowered.

    Returns the mean simulated cost per stage [money/stage]; nan where nothing was tried.
    """
    config: LagrangianConfig = request.config
    face = policy.face
    policy.values = part_values(face, base, policy.kept)
    if not config.tuning:
        return math.nan
    simulator = request.problem.simulator(request.instance, counts=False)
    draws = torch.Generator().manual_seed(scenario_seed(request.seed, "training"))
    state = simulator.initial(config.tuning_scenarios, draws)
    noise = simulator.sample(config.tuning_scenarios, draws)
    best, scale = simulated(simulator, policy, state, noise), torch.ones(len(face.resources), dtype=torch.float64)
    for trial, factor in zip(range(config.tuning), trials(len(face.resources)), strict=False):
        if should_stop():
            break
        callbacks.on_phase("tuning", trial / config.tuning)
        kept = policy.values
        policy.values = part_values(face, base * scale * factor, policy.kept)
        cost = simulated(simulator, policy, state, noise)
        if cost < best:
            best, scale = cost, scale * factor
        else:
            policy.values = kept
    return best


def trials(resources: int) -> Iterator[Tensor]:
    """Factors (resource,) to try, for ever: all prices, then each alone; steps are halved from round to round."""
    width = 0.15
    while True:
        for factor in (1 - width, 1 + width):
            yield torch.full((resources,), factor, dtype=torch.float64)
        for k in range(resources):
            for factor in (1 - width, 1 + width):
                yield torch.ones(resources, dtype=torch.float64).index_fill(0, torch.tensor(k), factor)
        width /= 2


def simulated(simulator: Simulator[Any, Any, Any, Any], policy: Any, state: Any, noise: Any) -> float:
    """Mean cost per stage of a policy over the first `LONG` stages [money/stage]."""
    total, stages = 0.0, min(simulator.num_stages, LONG)
    with torch.inference_mode():
        for stage in range(stages):
            post, paid = simulator.decide(state, policy(state, stage), stage)
            state, costs = simulator.realize(post, noise, stage)
            total += float(paid.total.mean()) + float(costs.total.mean())
    return total / stages


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
    quick={"iterations": 3, "tuning": 1, "tuning_scenarios": 8},
    source="Hawkins, PhD thesis, MIT, 2003; Adelman, Mersereau, Operations Research 56(3), 2008",
)
