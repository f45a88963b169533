"""A lower bound on the long-run average cost of every policy, by relaxing what is known and charging for it.

Papers: Rogers, "Pathwise stochastic optimal control", SIAM J. Control Optim. 46 (2007); Brown, Smith, Sun, "Information
relaxations and duality in stochastic dynamic programs", Oper. Res. 58 (2010); Brown, Smith, "Information relaxations,
duality, and convex stochastic dynamic programs", Oper. Res. 62 (2014), whose gradient penalties these are.

Hindsight knows all noise, so it costs far too little. Here it pays for what it knows: a state and a decision of stage t
are settled before the noise of stage t, so a price on them that averages to zero over that noise costs no policy
anything on average, but it costs a planner with foresight. With the right prices hindsight gains nothing. Proof and
figures: docs/solvers/information_relaxation.md.

Idea → function
  reference trajectories of a trained policy                          `solvers.long_run.LongRun.reference`
  value V of states, by matching gradients along trajectories          `solvers.multipliers.fit`
  multipliers  E_d ∇[c + V∘f](s_t, a_t, d) − ∇[c + V∘f](s_t, a_t, d_t)  `solvers.multipliers.Prices`
  least cost with all noise known, multipliers paid                    `solvers.relaxed_horizon`
  supergradient ascent: the bound is concave in the multipliers        `_ascend`
  fresh scenarios, interval                                            `_measure`

Deviations and why
  * average cost: the initial state is free and what the last state exceeds it by is priced linearly; the price of the
    ends vanishes like 1/T
  * part of the stage cost is replaced by its expectation over the stage's noise (copies in the program): prices that
    are a little wrong then cost a little, not a lot
  * expectations over the stage's noise are stratified samples, independent of the scenario: the multipliers average to
    zero exactly, however few are drawn
  * the multipliers' own zero-mean part along the reference is subtracted, which cuts the variance, not the mean

Metrics logged: value_per_stage (mini-batch), gradient_norm.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from models.core import Instance, Problem, Traits
from models.lazy import torch
from models.program import Vector
from solvers.core import Callbacks, Config, Solver, SolveResult, TrainRequest
from solvers.hdpo import HDPO, HDPOConfig
from solvers.long_run import LongRun
from solvers.multipliers import Prices, cosine, fit
from solvers.relaxed_horizon import SAMPLE, Reach, RelaxedHorizon

if TYPE_CHECKING:
    from torch import Tensor

    from models.dynamics import Policy

REACH = 3.0  # the program's free start and orders stay within so many times what the reference policy was seen to do


class InformationRelaxationConfig(Config):
    """Configuration of the bound by information relaxation. The defaults are meant to work."""

    scenarios: int = Field(24, ge=4, le=65_536, description="Fresh scenarios over which the bound is averaged.")
    periods: int = Field(600, ge=2, le=100_000, description="Stages T of a scenario; the ends cost a share of 1/T.")
    ascent_iterations: int = Field(150, ge=0, le=100_000, description="Steps that improve the multipliers.")
    ascent_scenarios: int = Field(4, ge=1, le=4096, description="Scenarios of a step.")
    ascent_periods: int = Field(150, ge=2, le=10_000, description="Stages of a step's scenarios.")
    ascent_rate: float = Field(1e-3, ge=0, le=1, description="Adam's step size in the ascent.")
    fit_iterations: int = Field(
        2500, ge=0, le=1_000_000, description="Steps that fit the value behind the multipliers."
    )
    fit_batch: int = Field(384, ge=1, le=100_000, description="States of a step.")
    width: int = Field(64, ge=1, le=1024, description="Hidden units a layer of the value.")
    inner_samples: int = Field(
        256, ge=2, le=65_536, description="Outcomes per expectation; rounded up to a power of 2."
    )
    ascent_samples: int = Field(32, ge=2, le=65_536, description="Outcomes per expectation in the ascent.")
    smoothing: float = Field(
        0.4, ge=0, lt=1, description="Share of the cost of meeting the noise that is counted in expectation."
    )
    copies: int = Field(12, ge=1, le=1000, description="Outcomes by which that expectation is bounded from below.")
    strength: float = Field(
        0.95, ge=0, le=1, description="What the fitted multipliers are scaled by before the ascent."
    )
    policy_family: str = Field("auto", pattern=r"^[a-z0-9_]+$", description="Family of the reference policy.")
    policy_iterations: int = Field(1000, ge=0, le=1_000_000, description="Steps that train the reference policy.")
    time_limit_seconds: float | None = Field(
        None, gt=0, le=86_400, description="Wall clock; training, fit and ascent each take at most a part of it."
    )


def information_relaxation(
    problem: Problem, instance: Instance, config: InformationRelaxationConfig, seed: int, callbacks: Callbacks
) -> SolveResult:
    """Train a reference policy, fit and improve multipliers, and measure the bound on fresh scenarios.

    Raises:
        InnerSolveError: the instance is not one whose stages are alike and whose noise is independent, or its state
            cannot be read from its program.
    """
    return bound_with(problem, instance, config, seed, callbacks, None)


def bound_with(
    problem: Problem,
    instance: Instance,
    config: InformationRelaxationConfig,
    seed: int,
    callbacks: Callbacks,
    policy: Policy[Any, Any] | None,
) -> SolveResult:
    """`information_relaxation` with a reference policy at hand; None trains one. Any policy gives a valid bound."""
    clock = _Clock(config.time_limit_seconds, callbacks)
    setting = LongRun(problem, instance, seed)
    if policy is None:
        policy = _trained(setting, config, callbacks, clock.share(0.35))
    setting.follow(policy)
    prices = Prices(setting, config)
    fit(prices, clock.until(0.55))
    prices.strengthen(config.strength)
    history = _ascend(prices, clock.until(0.85))
    ended, bounds, costs = _measure(prices, clock.until(1.0))
    document: dict[str, Any] = {
        "kind": "information_relaxation",
        "criterion": "long-run average",
        "seed": seed,
        "seconds": round(clock.seconds(), 3),
        "reach": REACH,
        "relaxes": list(setting.face.relaxes),
        "history": history,
    }
    if len(bounds) < 2:
        document["explanation"] = "Time was up before two batches of scenarios were solved."
        return SolveResult(ended, document)
    return SolveResult(ended, document | _figures(setting, bounds, costs))


def _figures(setting: LongRun, bounds: list[Vector], costs: list[Vector]) -> dict[str, Any]:
    """The bound per stage over batches of scenarios, and the reference policy's cost on the same ones.

    Scenarios of a batch share the copies' noise, so the batches' means are the independent observations.
    """
    value, error, half = _interval(np.array([batch.mean() for batch in bounds]))
    cost, cost_error, _ = _interval(np.array([batch.mean() for batch in costs]))
    stages = setting.simulator.num_stages - setting.simulator.first_reported_stage
    return {
        "scenarios": sum(len(batch) for batch in bounds),
        "batches": len(bounds),
        "value": value * stages,
        "value_per_stage": value,
        "standard_error": error,  # per stage
        "ci95": [value - half, value + half],  # per stage
        "certified_per_stage": value - half,
        "policy_cost_per_stage": cost,
        "policy_standard_error": cost_error,
        "gap_percent": 100.0 * (cost - value) / max(abs(value), 1e-12),
    }


def _interval(means: Vector) -> tuple[float, float, float]:
    """Mean, standard error, and half the 95 % interval by Student's t."""
    from scipy import stats

    error = float(means.std(ddof=1)) / math.sqrt(len(means))
    return float(means.mean()), error, float(stats.t.ppf(0.975, len(means) - 1)) * error


class _Clock:
    """The time limit shared out among phases; `stop` functions say when a phase must end, and why."""

    def __init__(self, limit: float | None, callbacks: Callbacks) -> None:
        self.started, self.limit, self.callbacks = time.perf_counter(), limit, callbacks

    def seconds(self) -> float:
        return time.perf_counter() - self.started

    def share(self, part: float) -> float | None:
        return None if self.limit is None else self.limit * part

    def until(self, part: float) -> Phase:
        return Phase(self, self.share(part), self.callbacks)


@dataclass(frozen=True)
class Phase:
    """A part of the run: until when it may go on, and whom it tells."""

    clock: _Clock
    end: float | None
    callbacks: Callbacks

    def over(self) -> Literal["time_limit", "stopped"] | None:
        """Why the phase must end now; None while it may go on."""
        if self.callbacks.should_stop():
            return "stopped"
        return "time_limit" if self.end is not None and self.clock.seconds() >= self.end else None


def _trained(
    setting: LongRun, config: InformationRelaxationConfig, callbacks: Callbacks, seconds: float | None
) -> Policy[Any, Any]:
    assert HDPO.train is not None
    chosen = HDPOConfig(family=config.policy_family, iterations=config.policy_iterations)
    request = TrainRequest(setting.problem, setting.instance, chosen, setting.seed, time_limit=seconds)
    quiet = Callbacks(should_stop=callbacks.should_stop)
    callbacks.on_phase("reference_policy", 0.0)
    return HDPO.train(request, quiet).policy


def _ascend(prices: Prices, phase: Phase) -> list[dict[str, float]]:
    """Adam along supergradients: the bound is concave in the multipliers, and its slope is where the program goes."""
    config, setting = prices.config, prices.setting
    total = config.ascent_iterations
    history: list[dict[str, float]] = []
    if not total:
        return history
    horizon = _relaxed(prices, config.ascent_periods)
    groups = [
        {"params": [*prices.network.parameters(), prices.factor], "scale": 1.0},
        {"params": [prices.slope], "scale": 3.0},
    ]
    optimizer = torch.optim.Adam(groups, config.ascent_rate, betas=(0.9, 0.98))
    for step in range(total):
        if phase.over():
            break
        for group in optimizer.param_groups:
            group["lr"] = config.ascent_rate * group["scale"] * cosine(step, total)
        batch = _solve_batch(prices, horizon, config.ascent_scenarios, setting.generator, create=True)
        per_stage = batch.priced / (config.ascent_scenarios * config.ascent_periods)
        optimizer.zero_grad()
        torch.autograd.backward(-per_stage)
        norm = torch.nn.utils.clip_grad_norm_(prices.parameters(), 1.0)
        optimizer.step()
        row = {
            "iteration": float(step + 1),
            "value_per_stage": float(batch.bounds.mean()),
            "gradient_norm": float(norm),
        }
        history.append(row)
        phase.callbacks.on_iteration(step + 1, total, {k: v for k, v in row.items() if k != "iteration"})
    return history


@dataclass(frozen=True)
class _Batch:
    bounds: Vector  # (N,) per stage
    costs: Vector  # (N,) the reference policy's, per stage
    priced: Tensor  # () what the multipliers add, as a function of the weights; its gradient is the supergradient


def _solve_batch(prices: Prices, horizon: RelaxedHorizon, rows: int, generator: Any, create: bool = False) -> _Batch:
    """The program of every scenario of a fresh batch."""
    setting, stages = prices.setting, horizon.periods
    path = setting.reference(rows, stages, generator)
    paid = prices.multipliers(path, generator, create)
    horizon.draw(setting.noise(SAMPLE, 1, generator))
    struck = np.stack([setting.face.noise_vector(path.noise, t) for t in range(stages)], axis=1)
    by_state, by_decision = (x.detach().double().numpy() for x in (paid.states, paid.decisions))
    slope = prices.slope.detach().double().numpy()
    found = [horizon.solve(struck[i], by_state[i], by_decision[i], slope) for i in range(rows)]
    states = torch.from_numpy(np.stack([f[1] for f in found])).float()
    decisions = torch.from_numpy(np.stack([f[2] for f in found])).float()
    moved = (paid.states * (states[:, :-1] - path.states[:, :-1])).sum()
    moved = moved + (paid.decisions * (decisions - path.decisions)).sum()
    priced = moved + ((states[:, -1] - states[:, 0]) * prices.slope).sum()
    # Zero on average, whatever the policy: prices of the reference itself, and what chance did to it.
    here = (by_state * path.states[:, :-1].double().numpy()).sum((1, 2))
    here += (by_decision * path.decisions.double().numpy()).sum((1, 2))
    values = np.array([f[0] for f in found]) - here + paid.surprise.double().numpy().sum(1)
    return _Batch(values / stages, path.costs.double().numpy().mean(1), priced)


def _relaxed(prices: Prices, periods: int) -> RelaxedHorizon:
    setting, config = prices.setting, prices.config
    states, decisions = setting.seen.states.flatten(0, 1), setting.seen.decisions.flatten(0, 1)
    reach = Reach(states, decisions, setting.state_kind, setting.decision_kind, REACH)
    return RelaxedHorizon(setting.face, setting.stage, periods, config.smoothing, config.copies, reach)


def _measure(prices: Prices, phase: Phase) -> tuple[Any, list[Vector], list[Vector]]:
    """The bound on fresh scenarios, four or fewer to a batch, at least four batches if time allows."""
    config = prices.config
    horizon = _relaxed(prices, config.periods)
    rows = max(1, min(4, config.scenarios // 4))
    bounds: list[Vector] = []
    costs: list[Vector] = []
    while len(bounds) * rows < config.scenarios:
        ended = phase.over()
        if ended:
            return ended, bounds, costs
        batch = _solve_batch(prices, horizon, rows, prices.setting.fresh)
        bounds.append(batch.bounds)
        costs.append(batch.costs)
        phase.callbacks.on_phase("information_relaxation", len(bounds) * rows / config.scenarios)
    return "optimal", bounds, costs


def _needs(traits: Traits) -> list[str]:
    reasons = []
    if not traits.has_program:
        reasons.append("the problem has no algebraic program")
    elif not traits.convex:
        reasons.append("the bound is by convex duality: the program must be convex")
    if not traits.differentiable or traits.discrete_decisions:
        reasons.append("multipliers are gradients: the simulator must be differentiable in continuous decisions")
    return reasons


INFORMATION_RELAXATION = Solver(
    name="information_relaxation",
    title="Information-relaxation bound",
    summary="Hindsight that pays for what it knows: a lower bound on the long-run average cost of every policy.",
    kind="solve",
    config=InformationRelaxationConfig,
    needs=_needs,
    solve=information_relaxation,
    quick={
        "scenarios": 8,
        "periods": 40,
        "ascent_iterations": 3,
        "ascent_periods": 30,
        "fit_iterations": 30,
        "policy_iterations": 5,
        "inner_samples": 8,
        "ascent_samples": 8,
        "copies": 4,
    },
    source="Brown, Smith, Sun, Oper. Res. 58 (2010); Brown, Smith, Oper. Res. 62 (2014)",
)
