"""TS-DDR: two-stage deep decision rules.

Paper: Rosemberg, Street, Valladão, Van Hentenryck, "Efficiently Training Deep-Learning Parametric Policies using
Lagrangian Duality", arXiv 2405.14973. A network proposes where each stage is to end (storage targets); a linear program
finds the cheapest way there; the price of the target is the gradient that trains the network. No solver is
differentiated through.

Equation → function
  v̂_t = π_θ(w_0 … w_t, v̂_{t−1})                         `target_policy.TargetNetwork`, `Targets.reach`
  Q_t(v̂_{t−1}, w_t, v̂_t)                                `stage_costs.with_targets`: f(z_t) plus what data cost
  ∂Q_t/∂v̂_t, ∂Q_t/∂v̂_{t−1}: duals of the linking rows    `target_rollout.priced`; the rest is autograd's
  θ ← Adam(θ, ∇ E Σ_t γ^t Q_t)                           `_Run.descend`
  penalised targets, one program a trajectory            `target_rollout.Aimed`, `stage_costs.aiming`

Modes. strict (the default where every reachable target can be met): targets lie within what is reachable, by a
stretched sigmoid between limits that gradients flow through; a trajectory then falls apart into stages, open and closed
loop coincide, and no penalty has to be tuned. penalty: targets may be missed at a price; a trajectory is one program
over all stages, and the network sees the targets, not what was really reached, until it serves. Which one was taken,
and why, is logged.

Deviations and why
  * strict targets instead of penalised ones, with reachable limits down the cascade
  * stage costs from an oracle of dual vertices, re-checked by HiGHS on a sample each step (`stage_costs.Oracle`)
  * the network reads the signals that the state carries, so that it can be asked for any state
  * the loss is divided by its own first value; cosine learning rate; the weights best on fixed validation scenarios,
    solved exactly, are kept

Metrics logged: cost (training batch), validation_cost, best_cost [money/stage], learning_rate, gradient_norm, vertices,
oracle_gap (relative, of the re-checked stages), checked and missed (stages re-checked, stages whose targets could not
be met, so far), remedies.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from models.core import Instance, Problem, Traits
from models.lazy import lazy, torch
from solvers.core import (
    Callbacks,
    Config,
    Diverged,
    InnerSolveError,
    Solver,
    TrainRequest,
    TrainResult,
)
from solvers.descent import copy, fill, moments, take_back, warm_cosine
from solvers.draws import Draws, scenario_seed

if TYPE_CHECKING:
    from torch import Tensor

    from models.program import Program
    from solvers.target_policy import TargetPolicy
    from solvers.target_rollout import Trajectories

NAME = "tsddr"
MAX_BAD_STEPS = 20  # consecutive steps with a non-finite gradient before training gives up
PENALTY_MARGIN = 2.0  # the penalty, as a multiple of the dearest unit of target with hindsight
PENALTY_SCENARIOS = 8

_target_policy = lazy("solvers.target_policy:TargetPolicy")


class TSDDRConfig(Config):
    """Configuration of TS-DDR. The defaults are meant to work."""

    network: Literal["lstm", "linear"] = Field("lstm", description="lstm: TS-DDR; linear: a linear decision rule.")
    mode: Literal["auto", "strict", "penalty"] = Field(
        "auto", description="Whether targets are met or aimed at; auto: met wherever that is always feasible."
    )
    penalty: float | None = Field(
        None,
        gt=0,
        le=1e12,
        description="Price of missing a target [money/unit], where it is missed; null: from prices with hindsight.",
    )
    iterations: int = Field(1500, ge=0, le=1_000_000, description="Adam steps, one mini-batch of scenarios each.")
    batch_size: int = Field(64, ge=1, le=100_000, description="Scenarios in a mini-batch.")
    learning_rate: float = Field(4e-3, gt=0, le=1, description="Adam's step size after warm-up.")
    warmup_iterations: int = Field(20, ge=0, le=100_000, description="Steps over which the learning rate rises.")
    gradient_clip: float = Field(1.0, gt=0, le=1e6, description="Largest norm of the (scaled) gradient.")
    width: int = Field(64, ge=1, le=4096, description="Hidden units a layer.")
    oracle: bool = Field(True, description="Answer stage costs from dual vertices; false: solve every stage.")
    checks: int = Field(128, ge=0, le=1_000_000, description="Stages re-checked by HiGHS in every step.")
    validation_every: int = Field(50, ge=1, le=1_000_000, description="Steps between validations.")
    validation_scenarios: int = Field(32, ge=2, le=1_000_000, description="Scenarios of a validation, solved exactly.")
    lanes: int = Field(1, ge=1, le=256, description="Groups of stage programs; more of them can use more processes.")
    processes: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Processes that the lanes run in; null: one a core. It does not change a result.",
    )
    helpers: int = Field(
        0,
        ge=0,
        le=256,
        description="Free workers that may be asked to take lanes over, for systems whose stages take milliseconds; "
        "each is busy with it until the training ends. Give lanes enough. It does not change a result.",
    )


@dataclass
class State:
    """What changes while training, beside weights, optimizer, generators and vertices."""

    iteration: int = 0
    unit: float = 1.0  # what the untrained policy costs [money/stage]
    best: float = math.inf
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0


def train(request: TrainRequest, callbacks: Callbacks) -> TrainResult:
    """Train the network; returns the policy best on validation scenarios.

    Raises:
        InnerSolveError: the problem has no targets, or a stage cannot end at one. Diverged: no finite gradients.
    """
    run = _Run(request, callbacks)
    with run.trajectories.lanes:
        stopped_by = run.descend()
    state = run.state
    policy = build(request.problem, request.instance, request.config, NAME)
    policy.load_state_dict(state.best_weights)
    return TrainResult(policy.eval(), NAME, state.curve, state.iteration, state.seconds, stopped_by)


class _Run:
    """Policy, trajectories and scenarios of one run."""

    def __init__(self, request: TrainRequest, callbacks: Callbacks) -> None:
        from solvers.target_rollout import Aimed, Met

        self.request, self.callbacks, self.started = request, callbacks, time.monotonic()
        config = self.config = request.config
        if request.problem.program is None:
            raise InnerSolveError(f"{request.problem.name} has no program")
        face = request.problem.program(request.instance)
        simulator = request.problem.simulator(request.instance, counts=False).double()
        torch.manual_seed(request.seed)  # initial weights
        self.policy = build(request.problem, request.instance, config, NAME)
        if request.warm_start is not None:
            fill(self.policy, request.warm_start)
        self.draws = Draws(simulator, config.validation_scenarios, None, request.seed, "cpu")
        reason = self._why_not_strict(face)
        helpers = callbacks.helpers(min(config.helpers, config.lanes - 1)) if config.helpers else ()
        if config.helpers:
            callbacks.on_log(f"{len(helpers)} of {config.helpers} workers lend a hand")
        self.policy.strict.fill_(reason is None)
        self.policy.price.fill_(config.penalty or self._price(face))
        self.trajectories: Trajectories
        if reason is None:
            callbacks.on_log("strict mode: every target that can be reached is met")
            chosen = torch.Generator().manual_seed(scenario_seed(request.seed, "training") ^ 1)
            self.trajectories = Met(self.policy, simulator, face, config, chosen, helpers)
            self.generators = [self.draws.generator, chosen]
        else:
            callbacks.on_log(f"penalty mode, {float(self.policy.price):.6g} a unit of target missed: {reason}")
            self.trajectories = Aimed(self.policy, simulator, face, config, helpers)
            self.generators = [self.draws.generator]
        self.state = State()
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=config.learning_rate)
        if request.checkpoint is not None:
            self._restore(request.checkpoint)
        self.elapsed = self.state.seconds

    def descend(self) -> Literal["finished", "time_limit", "request"]:
        """Adam steps until something ends it; why it ended."""
        config, state = self.config, self.state
        if self.request.checkpoint is None:
            first = self.judge()["validation_cost"]
            state.unit = max(abs(first), 1e-6) if math.isfinite(first) else 1.0
        bad = 0
        while state.iteration < config.iterations:
            rate = learning_rate(config, state.iteration)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            cost = self.trajectories.costs(*self.draws.batch(config.batch_size), exact=False).mean()
            self.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(cost / state.unit)
            norm = float(torch.nn.utils.clip_grad_norm_(self.policy.parameters(), config.gradient_clip))
            bad = 0 if math.isfinite(norm) else bad + 1
            if bad >= MAX_BAD_STEPS:
                raise Diverged(f"{bad} steps in a row had no finite gradient (iteration {state.iteration})")
            if bad == 0:
                self.optimizer.step()
            state.iteration += 1
            state.seconds = self.elapsed + time.monotonic() - self.started
            stop = self.callbacks.should_stop()
            late = self.request.is_over(state.iteration, state.seconds)
            metrics = {"cost": float(cost.detach()), "learning_rate": rate, "gradient_norm": norm}
            if state.iteration % config.validation_every == 0 or state.iteration == config.iterations or stop or late:
                metrics |= self.judge() | self.trajectories.metrics()
                self.callbacks.on_checkpoint(self._checkpoint())
            self.callbacks.on_iteration(state.iteration, config.iterations, metrics | {"best_cost": state.best})
            if stop or late:
                return "request" if stop else "time_limit"
        return "finished"

    def judge(self) -> dict[str, float]:
        """Validate, every stage solved; keep the weights if they are the cheapest so far."""
        state = self.state
        with torch.no_grad():
            cost = float(self.trajectories.costs(*self.draws.validation, exact=True).mean())
        cost = cost if math.isfinite(cost) else math.inf
        if cost < state.best or not state.best_weights:
            state.best = cost
            state.best_weights = copy(self.policy)
        if state.iteration or not self.config.iterations:
            row = {"iteration": float(state.iteration), "seconds": state.seconds}
            state.curve.append(row | {"cost": cost, "best_cost": state.best})
        return {"validation_cost": cost}

    def _why_not_strict(self, face: Program) -> str | None:
        """None for strict mode."""
        from solvers.target_rollout import coupled

        reason = self.policy.targets.strict or coupled(face, self.policy.targets)
        if self.config.mode == "strict" and reason is not None:
            raise InnerSolveError(f"strict mode does not fit: {reason}")
        return "it was asked for" if self.config.mode == "penalty" and reason is None else reason

    def _price(self, face: Program) -> float:
        from solvers.target_rollout import dearest

        state, noise = self.draws.validation
        some = slice(PENALTY_SCENARIOS)
        return PENALTY_MARGIN * max(dearest(face, self.policy.targets, state.rows(some), noise.rows(some)), 1e-6)

    def _checkpoint(self) -> dict[str, Any]:
        state = self.state
        return {
            "iteration": state.iteration,
            "unit": state.unit,
            "best": state.best,
            "curve": [dict(row) for row in state.curve],
            "seconds": state.seconds,
            "weights": copy(self.policy),
            "best_weights": dict(state.best_weights),
            "moments": moments(self.optimizer),
            "generators": [generator.get_state() for generator in self.generators],
            "trajectories": self.trajectories.state(),
        }

    def _restore(self, checkpoint: Mapping[str, Any]) -> None:
        self.policy.load_state_dict(checkpoint["weights"])
        take_back(self.optimizer, checkpoint["moments"])
        for generator, kept in zip(self.generators, checkpoint["generators"], strict=True):
            generator.set_state(kept.cpu())
        self.trajectories.restore(checkpoint["trajectories"])
        self.state = State(
            int(checkpoint["iteration"]),
            float(checkpoint["unit"]),
            float(checkpoint["best"]),
            dict(checkpoint["best_weights"]),
            [dict(row) for row in checkpoint["curve"]],
            float(checkpoint["seconds"]),
        )


def learning_rate(config: TSDDRConfig, iteration: int) -> float:
    """Linear warm-up, then half a cosine down to one hundredth of the rate."""
    return warm_cosine(config.learning_rate, config.warmup_iterations, config.iterations, iteration)


def build(problem: Problem, instance: Instance, config: Any, family: str) -> TargetPolicy:
    """The untrained policy, ready to take stored weights."""
    policy: TargetPolicy = _target_policy(problem, instance, config.network, config.width)
    return policy


def _needs(traits: Traits) -> list[str]:
    reasons = []
    if not traits.has_targets:
        reasons.append("the problem does not say where its stages may be asked to end")
    if not traits.has_program or not traits.convex:
        reasons.append("a linear program must find the way to the targets")
    return reasons


TSDDR = Solver(
    name=NAME,
    title="TS-DDR: two-stage deep decision rules",
    summary="A network proposes where each stage ends, a program finds the cheapest way, its duals train the network.",
    kind="train",
    config=TSDDRConfig,
    needs=_needs,
    train=train,
    build=build,
    quick={"iterations": 4, "batch_size": 8, "validation_every": 2, "validation_scenarios": 4, "width": 8},
    source="Rosemberg, Street, Valladão, Van Hentenryck, arXiv 2405.14973",
)
