"""A lower bound on the long-run average cost of every policy, by relaxing what is known and charging for it.

Papers: Rogers, "Pathwise stochastic optimal control", SIAM J. Control Optim. 46 (2007); Brown, Smith, Sun, "Information
relaxations and duality in stochastic dynamic programs", Oper. Res. 58 (2010); Brown, Smith, "Information relaxations,
duality, and convex stochastic dynamic programs", Oper. Res. 62 (2014), whose gradient penalties these are.

Hindsight knows all noise, so it costs far too little. Here it pays for what it knows: a state and a decision of stage t
are settled before the noise of stage t, so a price on them that averages to zero over that noise costs no policy
anything on average, but it costs a planner with foresight. With the right prices hindsight gains nothing. Proof and
figures: docs/solvers/information_relaxation.md.

Idea → function
  reference trajectories of a trained policy                          `_Setting.reference`
  value V of states, by matching gradients along trajectories          `_fit`
  multipliers  E_d ∇[c + V∘f](s_t, a_t, d) − ∇[c + V∘f](s_t, a_t, d_t)  `_Prices.multipliers`
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

import copy
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from models.core import Instance, Problem, Traits
from models.lazy import torch
from models.program import Vector
from solvers.core import Callbacks, Config, InnerSolveError, Solver, SolveResult, TrainRequest
from solvers.hdpo import HDPO, HDPOConfig, scenario_seed
from solvers.relaxed_horizon import SAMPLE, Flat, Reach, RelaxedHorizon, flat

if TYPE_CHECKING:
    from torch import Tensor

    from models.dynamics import Policy, Simulator

HORIZON = 40  # stages to the end beyond which the end is no longer felt
REACH = 3.0  # the program's free start and orders stay within so many times what the reference policy was seen to do
POOL = 1 << 18  # outcomes among which the strata of an expectation are found
TOGETHER = 1 << 18  # rows of tensors at a time in the measurement
ROUGH = 1 << 13  # the same while fitting and ascending, where a batch's common error averages out


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
    setting = _Setting(problem, instance, seed)
    if policy is None:
        policy = _trained(setting, config, callbacks, clock.share(0.35))
    setting.follow(policy)
    prices = _Prices(setting, config)
    _fit(prices, clock.until(0.55))
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


def _figures(setting: _Setting, bounds: list[Vector], costs: list[Vector]) -> dict[str, Any]:
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

    def until(self, part: float) -> _Phase:
        return _Phase(self, self.share(part), self.callbacks)


@dataclass(frozen=True)
class _Phase:
    """A part of the run: until when it may go on, and whom it tells."""

    clock: _Clock
    end: float | None
    callbacks: Callbacks

    def over(self) -> Literal["time_limit", "stopped"] | None:
        if self.callbacks.should_stop():
            return "stopped"
        return "time_limit" if self.end is not None and self.clock.seconds() >= self.end else None


def _trained(
    setting: _Setting, config: InformationRelaxationConfig, callbacks: Callbacks, seconds: float | None
) -> Policy[Any, Any]:
    assert HDPO.train is not None
    chosen = HDPOConfig(family=config.policy_family, iterations=config.policy_iterations)
    request = TrainRequest(setting.problem, setting.instance, chosen, setting.seed, time_limit=seconds)
    quiet = Callbacks(should_stop=callbacks.should_stop)
    callbacks.on_phase("reference_policy", 0.0)
    return HDPO.train(request, quiet).policy


@dataclass(frozen=True)
class _Path:
    """What the reference policy did, flat: states (N, T+1, k), decisions (N, T, m), costs (N, T), noise records."""

    states: Tensor
    decisions: Tensor
    costs: Tensor
    noise: Any  # fields (N, T, …)
    joints: list[Tensor]  # the T+1 states one by one, for gradients


class _Setting:
    """An instance whose stages are alike, its program, and a reference policy to follow."""

    def __init__(self, problem: Problem, instance: Instance, seed: int) -> None:
        if problem.program is None:
            raise InnerSolveError(f"{problem.name} has no program")
        self.problem, self.instance, self.seed = problem, instance, seed
        self.simulator: Simulator[Any, Any, Any, Any] = problem.simulator(instance, counts=False)
        self.face = problem.program(instance)
        self.stage = self.simulator.first_reported_stage
        self.generator = torch.Generator().manual_seed(scenario_seed(seed, "training") + 1)
        self.fresh = torch.Generator().manual_seed(scenario_seed(seed, "evaluation") + 1)
        reason = _not_stationary(self)
        if reason:
            raise InnerSolveError(f"information relaxation bounds long-run averages: {reason}")

    def follow(self, policy: Policy[Any, Any]) -> None:
        """Take a policy as the reference, and states spread like its long run to start from."""
        for weight in policy.parameters():
            weight.requires_grad_(False)
        self.policy = policy.settle()
        self.starts = self.simulator.initial(512, self.generator)
        warm = max(self.stage, HORIZON)
        path = self.reference(512, warm, self.generator)
        self.starts = self.state_kind.record(path.states[:, -1])
        path = self.reference(512, warm, self.generator)
        self.seen = path

    def noise(self, rows: int, stages: int, generator: Any) -> Any:
        """Independent outcomes, fields (rows, stages, …), whatever the instance's horizon."""
        total = rows * stages
        paths = self.simulator.sample(math.ceil(total / self.simulator.num_stages), generator)
        return paths.map(lambda x: x.flatten(0, 1)[:total].unflatten(0, (rows, stages)))

    def reference(self, rows: int, stages: int, generator: Any, gradients: bool = False) -> _Path:
        """The policy followed for some stages from states of its long run; with `gradients`, differentiable."""
        noise = self.noise(rows, stages, generator)
        chosen = torch.randint(self.starts.batch, (rows,), generator=generator)
        state = self.starts.rows(chosen)
        states, decisions, costs = [], [], []
        with torch.set_grad_enabled(gradients):
            for t in range(stages):
                here = flat(state).requires_grad_() if gradients and t == 0 else flat(state)
                self.state_kind = Flat(state)
                decision = self.policy(self.state_kind.record(here), self.stage)
                self.decision_kind = Flat(decision)
                following, cost = self.step(here, flat(decision), noise.map(lambda x, t=t: x[:, t : t + 1]))
                states.append(here)
                decisions.append(flat(decision))
                costs.append(cost)
                state = self.state_kind.record(following)
            states.append(flat(state))
        return _Path(torch.stack(states, 1), torch.stack(decisions, 1), torch.stack(costs, 1), noise, states)

    def step(self, state: Tensor, decision: Tensor, noise: Any) -> tuple[Tensor, Tensor]:
        """Flat next states and the cost of a stage, for flat states and decisions and noise of one stage."""
        # Noise has one stage only: stages are alike, so its first may stand for any.
        post, decided = self.simulator.decide(
            self.state_kind.record(state), self.decision_kind.record(decision), self.stage
        )
        following, realized = self.simulator.realize(post, noise, 0)
        parts = [*decided.components.values(), *realized.components.values()]
        return flat(following), torch.stack(parts).sum(0)


def _not_stationary(setting: _Setting) -> str | None:
    """Why the stages cannot all be alike and the noise independent, as far as that can be seen."""
    simulator, face = setting.simulator, setting.face
    if simulator.first_reported_stage == 0:
        return "without a warm-up the horizon is a fixed one"
    if simulator.discount != 1.0:
        return "costs are discounted"
    if any(face.stage(t) is not face.stage(setting.stage) for t in range(simulator.num_stages)):
        return "its stages differ"
    if face.final() is not None:
        return "what is left at the end has a price"
    paths = face.noise_path(simulator.sample(4096, torch.Generator().manual_seed(1)))
    by_stage = paths.reshape(4096, simulator.num_stages, -1)
    spread = by_stage.std(axis=(0, 1)) + 1e-12
    centred = (by_stage - by_stage.mean(axis=(0, 1))) / spread
    limit = 6.0 / math.sqrt(4096)
    if np.abs(centred.mean(0)).max(initial=0.0) > limit:
        return "its noise has another mean in some stages"
    for lag in range(1, min(8, simulator.num_stages)):
        if np.abs((centred[:, :-lag] * centred[:, lag:]).mean((0, 1))).max(initial=0.0) > limit:
            return "its noise depends on the past"
    return None


def _value(width: int, hidden: int) -> Any:
    """A smooth scalar function of a normalised state and the share of the horizon left."""
    layers = [torch.nn.Linear(width + 1, hidden), torch.nn.Softplus(beta=2.0)]
    layers += [torch.nn.Linear(hidden, hidden), torch.nn.Softplus(beta=2.0), torch.nn.Linear(hidden, 1)]
    return torch.nn.Sequential(*layers)


class _Prices:
    """The multipliers: what a value function says states and decisions turn out to be worth, less what was expected."""

    def __init__(self, setting: _Setting, config: InformationRelaxationConfig) -> None:
        self.setting, self.config = setting, config
        states = setting.seen.states.flatten(0, 1)
        self.width = states.shape[1]
        self.mean, std = states.mean(0), states.std(0)
        self.scale = torch.where(std < 1e-6, torch.ones(()), std)
        self.unit = float(setting.seen.costs.std()) + 1e-6
        with torch.random.fork_rng():
            torch.manual_seed(setting.seed)
            self.network = _value(self.width, config.width)
        self.factor = torch.ones((), requires_grad=True)
        self.slope = torch.zeros(self.width, requires_grad=True)

    def parameters(self) -> list[Tensor]:
        return [*self.network.parameters(), self.factor, self.slope]

    def value(self, states: Tensor, left: Tensor, network: Any = None) -> Tensor:
        """V [money] of flat states (B, k) with `left` (B,) stages to the end; nothing is worth anything after it."""
        share = left.clamp(max=HORIZON)[:, None] / HORIZON
        features = torch.cat([(states - self.mean) / self.scale, share], 1)
        worth: Tensor = (network or self.network)(features)[:, 0]
        return self.factor * self.unit * worth * (left > 0)

    def strengthen(self, factor: float) -> None:
        """Scale V, and price the last state against the first by V's mean gradient far from the end."""
        with torch.no_grad():
            self.factor.fill_(factor)
        states = self.setting.seen.states.flatten(0, 1).clone().requires_grad_()
        worth = self.value(states, torch.full((len(states),), float(HORIZON)))
        (slopes,) = torch.autograd.grad(worth.sum(), states)
        with torch.no_grad():
            self.slope.copy_(slopes.mean(0))

    def multipliers(self, path: _Path, generator: Any, create: bool = False) -> _Multipliers:
        """Zero-mean multipliers along reference trajectories; `create` keeps them differentiable in the weights."""
        rows, stages = path.decisions.shape[:2]
        states = path.states[:, :stages].flatten(0, 1).detach()
        decisions = path.decisions.flatten(0, 1).detach()
        noise = path.noise.map(lambda x: x.flatten(0, 1)[:, None])
        left = torch.arange(stages - 1, -1, -1).float().repeat(rows)
        wanted = self.config.ascent_samples if create else self.config.inner_samples
        samples = 1 << (wanted - 1).bit_length()
        # A graph that is to be differentiated again is kept whole; else memory is bounded.
        size = len(left) if create else max(TOGETHER // samples, 1)
        parts = [
            self._part(states[i], decisions[i], noise.rows(i), left[i], samples, generator, create)
            for i in torch.split(torch.arange(len(left)), size)
        ]
        by_state, by_decision, surprise = (torch.cat(part) for part in zip(*parts, strict=True))
        return _Multipliers(
            by_state.view(rows, stages, -1), by_decision.view(rows, stages, -1), surprise.view(rows, stages)
        )

    def _part(
        self, states: Tensor, decisions: Tensor, noise: Any, left: Tensor, samples: int, generator: Any, create: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Multipliers of flat rows, and what chance did to each."""
        states, decisions = states.clone().requires_grad_(), decisions.clone().requires_grad_()
        own = self._worth(states, decisions, noise, left)
        drawn = stratified(self.setting, len(left), samples, generator, ROUGH if create else POOL)
        many = [x.repeat_interleave(samples, 0) for x in (states, decisions, left)]
        surprise = self._worth(many[0], many[1], drawn, many[2]).view(-1, samples).mean(1) - own
        by_state, by_decision = torch.autograd.grad(surprise.sum(), (states, decisions), create_graph=create)
        return by_state, by_decision, surprise.detach()

    def _worth(self, states: Tensor, decisions: Tensor, noise: Any, left: Tensor) -> Tensor:
        """What a stage costs, as far as it is not counted in expectation, and what its end is worth."""
        following, cost = self.setting.step(states, decisions, noise)
        return (1.0 - self.config.smoothing) * cost + self.value(following, left)


@dataclass(frozen=True)
class _Multipliers:
    states: Tensor  # (N, T, k)
    decisions: Tensor  # (N, T, m)
    surprise: Tensor  # (N, T) zero-mean: subtracts what chance did to the reference


def stratified(setting: _Setting, rows: int, samples: int, generator: Any, pool_size: int = ROUGH) -> Any:
    """`samples` outcomes of a stage for each of `rows`, row by row: one from each of as many equally likely strata.

    A pool independent of everything else is split in halves, each by its widest coordinate, until there are enough
    strata; a row takes one member of each at random. The mean over a row is unbiased, and its noise small.
    """
    each = max(pool_size // samples, 1)
    pool = setting.noise(samples * each, 1, generator)
    points = flat(pool)
    points = points / points.std(0).clamp_min(1e-9)
    strata = [torch.arange(len(points))]
    while len(strata) < samples:
        halves = []
        for members in strata:
            widest = int(points[members].var(0).argmax())
            ordered = members[points[members, widest].argsort()]
            halves += [ordered[: len(ordered) // 2], ordered[len(ordered) // 2 :]]
        strata = halves
    place = torch.randint(each, (samples, rows), generator=generator)
    chosen = torch.stack(strata).gather(1, place).t().flatten()
    return pool.rows(chosen)


def _fit(prices: _Prices, phase: _Phase) -> None:
    """Fit V so that its gradient is that of the policy's cost to go.

    Bellman's equation differentiated: ∇V(s) = E_d ∇[c + V∘f](s, π(s), d), the policy's own response included, towards a
    slowly following copy of V; a fifth of the steps first learn from whole trajectories, which need no V to start from.
    """
    config, setting = prices.config, prices.setting
    total = config.fit_iterations
    if not total:
        return
    target = copy.deepcopy(prices.network)
    optimizer = torch.optim.Adam(prices.network.parameters(), 3e-3, betas=(0.9, 0.99))
    paths: _Path | None = None
    for step in range(total):
        if phase.over():
            return
        optimizer.param_groups[0]["lr"] = 3e-3 * _cosine(step, total)
        if step < total // 5:
            if step % 10 == 0 or paths is None:
                paths, slopes = _trajectories(setting)
            states, left, wanted = _pick(setting, paths, slopes, config.fit_batch)
        else:
            states, left, wanted = _bellman(prices, target, config.fit_batch)
        states.requires_grad_()
        (found,) = torch.autograd.grad(prices.value(states, left).sum(), states, create_graph=True)
        loss = (((found - wanted) * prices.scale / prices.unit) ** 2).sum(1).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(target.parameters(), prices.network.parameters(), strict=True):
                slow.lerp_(fast, 0.02 if step >= total // 5 else 1.0)
        if step % 50 == 0:
            phase.callbacks.on_phase("fit", step / total)


def _trajectories(setting: _Setting) -> tuple[_Path, Tensor]:
    """Trajectories and, for each of their states, the gradient of the cost from there to the end."""
    path = setting.reference(128, HORIZON + HORIZON // 2, setting.generator, gradients=True)
    slopes = torch.autograd.grad(path.costs.sum(), path.joints[:-1])
    return path, torch.stack(slopes, 1)


def _pick(setting: _Setting, path: _Path, slopes: Tensor, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    stages = slopes.shape[1]
    row = torch.randint(len(slopes), (batch,), generator=setting.generator)
    when = torch.randint(stages, (batch,), generator=setting.generator)
    return path.states[row, when].detach().clone(), (stages - when).float(), slopes[row, when]


def _bellman(prices: _Prices, target: Any, batch: int, samples: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    """States of the long run, stages left, and the gradient Bellman's equation gives there."""
    setting, generator = prices.setting, prices.setting.generator
    seen = setting.seen.states.flatten(0, 1)
    states = seen[torch.randint(len(seen), (batch,), generator=generator)].clone().requires_grad_()
    near = torch.randint(1, HORIZON + 1, (batch,), generator=generator).float()
    left = torch.where(torch.rand(batch, generator=generator) < 0.6, torch.tensor(float(HORIZON + 1)), near)
    decision = flat(setting.policy(setting.state_kind.record(states), setting.stage))
    drawn = stratified(setting, batch, samples, generator)
    many = [x.repeat_interleave(samples, 0) for x in (states, decision, left - 1)]
    following, cost = setting.step(many[0], many[1], drawn)
    (wanted,) = torch.autograd.grad((cost + prices.value(following, many[2], target)).sum() / samples, states)
    return states.detach(), left, wanted


def _ascend(prices: _Prices, phase: _Phase) -> list[dict[str, float]]:
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
            group["lr"] = config.ascent_rate * group["scale"] * _cosine(step, total)
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


def _solve_batch(prices: _Prices, horizon: RelaxedHorizon, rows: int, generator: Any, create: bool = False) -> _Batch:
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


def _relaxed(prices: _Prices, periods: int) -> RelaxedHorizon:
    setting, config = prices.setting, prices.config
    states, decisions = setting.seen.states.flatten(0, 1), setting.seen.decisions.flatten(0, 1)
    reach = Reach(states, decisions, setting.state_kind, setting.decision_kind, REACH)
    return RelaxedHorizon(setting.face, setting.stage, periods, config.smoothing, config.copies, reach)


def _measure(prices: _Prices, phase: _Phase) -> tuple[Any, list[Vector], list[Vector]]:
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


def _cosine(step: int, total: int) -> float:
    """From one down to a fiftieth along half a cosine."""
    return 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * step / total))


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
