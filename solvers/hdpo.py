"""HDPO: hindsight differentiable policy optimisation.

Paper: Alvo, Russo, Kanoria, Oh, Ma, "Deep Reinforcement Learning for Inventory Networks", arXiv 2306.11246.
The dynamics are known and differentiable, so the average cost along sampled scenarios is differentiated through the
whole horizon and descended: no critic, no score function.

Equation → function
  J(θ) = E_ω Σ_t C_t(S_t, π_θ(S_t), ω_t)   `rollout.roll_out`: back-propagated through every stage
  θ ← Adam(θ, ∇J)                           `_descend`: one step per mini-batch of scenarios
  policy selection on a dev set             `judge`: the weights with the least cost on validation scenarios are kept

Deviations and why
  * scenarios are drawn afresh for every step unless `training_scenarios` fixes their number: there is nothing to
    overfit; the fixed set reproduces the paper's sample-efficiency study
  * the learning rate follows a cosine to zero after a linear warm-up, instead of the best of three constant rates
  * the loss is divided by its own first value, so that the gradient clip means the same for any currency
  * classical rules are tuned by the same function (`tune_rule`)

  * several processes may share a batch, `ranks`: the same gradient, summed (`solvers.ranks`)

Metrics logged: cost (training batch), validation_cost, best_cost [money/stage], learning_rate, gradient_norm.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from models.core import Instance, Issue, NetworkSize, Problem, Traits
from models.lazy import torch
from solvers.core import Callbacks, Config, Diverged, Solver, TrainRequest, TrainResult, WeightsDoNotFit
from solvers.descent import copy, fill, moments, take_back, warm_cosine
from solvers.draws import OTHER_DEVICE, Draws, scenario_seed
from solvers.duals import Duals
from solvers.ranks import ALONE, Ranks, too_many
from solvers.recorded import Recorded
from solvers.rollout import Outcome, average_cost, relaxed, roll_out
from solvers.team import train_together

if TYPE_CHECKING:
    from torch import Tensor

    from models.dynamics import Policy

__all__ = ["HDPO", "HDPOConfig", "average_cost", "scenario_seed", "train"]

MAX_BAD_STEPS = 20  # consecutive steps with a non-finite gradient before training gives up


class HDPOConfig(Config):
    """Configuration of HDPO. The defaults are meant to work."""

    family: str = Field(
        "auto", pattern=r"^[a-z0-9_]+$", description="Policy family to train; auto lets the problem choose."
    )
    iterations: int = Field(
        1500,
        ge=0,
        le=1_000_000,
        description="Adam steps, one mini-batch of scenarios each; 0 keeps the weights it starts from.",
    )
    batch_size: int = Field(128, ge=1, le=1_000_000, description="Scenarios in a mini-batch.")
    learning_rate: float = Field(6e-3, gt=0, le=1, description="Adam's step size after warm-up.")
    warmup_iterations: int = Field(20, ge=0, le=100_000, description="Steps over which the learning rate rises.")
    gradient_clip: float = Field(1.0, gt=0, le=1e6, description="Largest norm of the (scaled) gradient.")
    width: int = Field(64, ge=1, le=4096, description="Hidden units a layer.")
    depth: int = Field(2, ge=1, le=16, description="Hidden layers.")
    rounds: int | None = Field(None, ge=0, le=64, description="Message-passing rounds; null lets the problem choose.")
    training_scenarios: int | None = Field(
        None, ge=1, le=10_000_000, description="Fixed number of training scenarios; null draws fresh ones every step."
    )
    validation_every: int = Field(50, ge=1, le=1_000_000, description="Steps between validations.")
    validation_scenarios: int = Field(2048, ge=1, le=1_000_000, description="Scenarios of a validation.")
    dual_rate: float = Field(0.1, ge=0, le=100, description="Step of the multipliers of constraints in expectation.")
    checkpoint_every: int = Field(
        0, ge=0, le=100_000, description="Stages between states kept for the gradient: memory for time; 0 keeps all."
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Arithmetic of the policy's networks in training; bfloat16 needs a GPU."
    )
    recorded: bool = Field(
        True, description="On a GPU, record a step as a CUDA graph and replay it; a CPU has nothing to record."
    )
    ranks: int = Field(
        1,
        ge=1,
        le=256,
        description="Processes that share every mini-batch, as far as there are: cores of the machine, its GPUs, free "
        "workers. Up to rounding it does not change a result.",
    )


@dataclass
class Run:
    """What changes while training: everything a checkpoint holds beside weights, optimizer and generators."""

    iteration: int
    best: tuple[float, float]  # violation of the constraints beyond tolerance, cost: the policy kept
    best_weights: dict[str, Tensor]
    curve: list[dict[str, float]]
    seconds: float


def train(request: TrainRequest, callbacks: Callbacks) -> TrainResult:
    """Train the configured family on the request's instances; returns the policy best on validation scenarios."""
    return train_together(HDPO, request, callbacks)


def train_rank(request: TrainRequest, callbacks: Callbacks, ranks: Ranks) -> TrainResult:
    """One rank's part of it; alone, all of it."""
    config: HDPOConfig = request.config
    if config.precision == "bfloat16" and not request.device.startswith("cuda"):
        raise ValueError("precision: bfloat16 is for a GPU; this run is on a CPU")
    family = resolve_family(request.problem, request.instance, config)
    lessons = _lessons(request, config, family, ranks)
    stopped_by, run = _descend(lessons, config, request, callbacks, ranks)
    # Rebuilt rather than moved: a policy trained on a GPU holds dynamics that live there too.
    best = build(request.problem, request.instance, config, family)
    best.load_state_dict({name: tensor.cpu() for name, tensor in run.best_weights.items()})
    lessons[0].policy.load_state_dict(run.best_weights)
    constraints = lessons[0].duals.report(lessons[0].validate().slacks)
    return TrainResult(best.eval(), family, run.curve, run.iteration, run.seconds, stopped_by, constraints)


class Lesson:
    """One instance to train on: its dynamics, scenarios, unit of cost and the multipliers of its constraints."""

    def __init__(
        self, request: TrainRequest, config: HDPOConfig, family: str, place: int, ranks: Ranks = ALONE
    ) -> None:
        instance = (request.instance, *request.also)[place]
        self.config, self.ranks = config, ranks
        self.recorded: Recorded | None = None
        # Families read the dynamics on the processor while they build, and what they keep moves with them.
        self.simulator = request.problem.simulator(instance, counts=False)
        policy = request.problem.family(family).build(instance, self.simulator, network_size(config))
        self.policy: Policy[Any, Any] = policy.to(request.device)
        self.simulator.to(request.device)
        counts = (config.validation_scenarios, config.training_scenarios)
        self.draws = Draws(self.simulator, *counts, request.seed, request.device, place, ranks)

    def begin(self, prices: Mapping[str, float], unit: float | None = None) -> None:
        """Measure the untrained policy: its cost is the unit of the loss, so the gradient clip fits any currency."""
        first = self.validate()
        # A profit near zero must not blow the scaled loss up.
        self.unit = unit if unit is not None else max(abs(_finite(float(first.cost))), 1e-6)
        self.duals = Duals(first, self.unit, prices)

    def learn(self) -> Outcome:
        """The policy on a mini-batch; the gradients of the loss are in its weights afterwards."""
        scenarios, share = self.draws.batch(self.config.batch_size), self.draws.share(self.config.batch_size)
        if self.recorded is not None:
            outcome = self.recorded(*scenarios)
        else:
            outcome = self._at_all_slacks(self.attempt(*scenarios), share)
            self.policy.zero_grad(set_to_none=True)
            torch.autograd.backward(self.loss(outcome))
        return replace(outcome, cost=self.ranks.combine(self.policy.parameters(), share, outcome.cost))

    def _at_all_slacks(self, outcome: Outcome, share: float) -> Outcome:
        """The outcome with the slacks of the whole batch, and this rank's slope of them: their price bends with them,
        so a rank's own slacks would not do."""
        if self.ranks.alone or not outcome.names:
            return outcome
        slacks = outcome.slacks + (self.ranks.mean(outcome.slacks, share) - outcome.slacks).detach()
        return replace(outcome, slacks=slacks)

    def record(self) -> None:
        """Make the next steps replays of one that is recorded here; `RuntimeError` where that cannot be done."""
        if not self.ranks.alone and self.duals.names:
            raise RuntimeError("its ranks speak of constraints half-way")
        scenarios = self.draws.rehearsal(self.config.batch_size)
        self.recorded = Recorded(self.attempt, self.loss, self.policy.parameters(), *scenarios)

    def attempt(self, state: Any, noise: Any) -> Outcome:
        """The policy on scenarios, with gradients."""
        lowered = self.config.precision == "bfloat16"
        with relaxed(self.simulator):
            return roll_out(self.simulator, self.policy, state, noise, self.config.checkpoint_every, lowered)

    def loss(self, outcome: Outcome) -> Tensor:
        """What is descended: the cost in its own unit and the price of constraints broken."""
        return outcome.cost / self.unit + self.duals.penalty(outcome)

    def validate(self) -> Outcome:
        """The policy on the validation scenarios, as it will be served."""
        with torch.no_grad():
            own = roll_out(self.simulator, self.policy, *self.draws.validation)
        if self.ranks.alone:
            return own
        share = self.ranks.share(self.config.validation_scenarios)
        told = torch.cat((own.cost[None], own.slacks, own.slack_sizes.square()))
        (cost, *_), slacks, squares = torch.split(self.ranks.mean(told, share), [1, len(own.slacks), len(own.slacks)])
        return Outcome(cost, slacks, squares.sqrt(), own.names)


def _lessons(request: TrainRequest, config: HDPOConfig, family: str, ranks: Ranks) -> list[Lesson]:
    """Every instance's lesson; all policies hold the same weights."""
    torch.manual_seed(request.seed)  # initial weights
    lessons = [Lesson(request, config, family, place, ranks) for place in range(1 + len(request.also))]
    first = lessons[0].policy
    if request.warm_start is not None:
        fill(first, request.warm_start)
    ranks.follow(first.state_dict().values())
    for other in lessons[1:]:
        _share(first, other.policy)
    if request.checkpoint is None:
        for lesson in lessons:
            lesson.begin(request.prices)
    return lessons


def _descend(
    lessons: list[Lesson], config: HDPOConfig, request: TrainRequest, callbacks: Callbacks, ranks: Ranks
) -> tuple[Any, Run]:
    policy = lessons[0].policy
    optimizer = torch.optim.Adam(policy.parameters(), lr=config.learning_rate)
    started = time.monotonic()
    if request.checkpoint is None:
        run = Run(0, (math.inf, math.inf), copy(policy), [], 0.0)
        judge(lessons, run)
    else:
        run = _restore(request.checkpoint, lessons, optimizer, callbacks)
    if config.recorded and request.device.startswith("cuda"):
        _record(lessons, callbacks)
    elapsed_before = run.seconds
    bad_steps = 0
    stopped_by = "finished"
    while run.iteration < config.iterations:
        lesson = lessons[run.iteration % len(lessons)]
        rate = learning_rate(config, run.iteration)
        for group in optimizer.param_groups:
            group["lr"] = rate
        outcome = lesson.learn()
        norm = float(torch.nn.utils.clip_grad_norm_(policy.parameters(), config.gradient_clip))
        bad_steps = 0 if math.isfinite(norm) else bad_steps + 1
        if bad_steps >= MAX_BAD_STEPS:
            raise Diverged(f"{MAX_BAD_STEPS} steps in a row had no finite gradient (iteration {run.iteration})")
        if bad_steps == 0:
            optimizer.step()
            lesson.duals.ascend(outcome, config.dual_rate * rate / config.learning_rate)
        run.iteration += 1
        run.seconds = elapsed_before + time.monotonic() - started
        late = request.is_over(run.iteration, run.seconds)
        # All ranks end with the leader, at the same step.
        ending = ranks.agree(1 if callbacks.should_stop() else 2 if late else 0)
        metrics = {"cost": float(outcome.cost.detach()), "learning_rate": rate, "gradient_norm": norm}
        if run.iteration % config.validation_every == 0 or run.iteration == config.iterations or ending:
            metrics |= judge(lessons, run)
            callbacks.on_checkpoint(_checkpoint(lessons, run, optimizer))
        callbacks.on_iteration(run.iteration, config.iterations, metrics | {"best_cost": run.best[1]})
        if ending:
            stopped_by = "request" if ending == 1 else "time_limit"
            break
    return stopped_by, run


def _record(lessons: Sequence[Lesson], callbacks: Callbacks) -> None:
    """Record every lesson's step, or say why steps are launched kernel by kernel."""
    for lesson in lessons:
        try:
            lesson.record()
        except RuntimeError as error:
            callbacks.on_log(f"the step cannot be recorded as a CUDA graph and runs without: {error}")


def judge(lessons: Sequence[Lesson], run: Run) -> dict[str, float]:
    """Validate; keep the weights if they are the cheapest that meet the constraints, else the least violating."""
    # Other machines may round otherwise: ranks do not drift apart.
    lessons[0].ranks.follow(lessons[0].policy.parameters())
    outcomes, (violation, cost) = _standing(lessons)
    if (violation, cost) < run.best:
        run.best, run.best_weights = (violation, cost), copy(lessons[0].policy)
    row = {"iteration": run.iteration, "seconds": run.seconds, "cost": cost, "best_cost": run.best[1]}
    metrics = {"validation_cost": cost}
    for name, price in lessons[0].duals.prices.items():
        metrics |= {f"price/{name}": price}
    for name, slack in zip(outcomes[0].names, outcomes[0].slacks.tolist(), strict=True):
        metrics |= {f"slack/{name}": slack}
    extra = {name: value for name, value in metrics.items() if "/" in name}
    if run.iteration or not lessons[0].config.iterations:
        run.curve.append({name: float(value) for name, value in (row | extra).items()})
    return metrics


def _standing(lessons: Sequence[Lesson]) -> tuple[list[Outcome], tuple[float, float]]:
    """The policy on the validation scenarios: its violation of constraints beyond tolerance, and its cost.

    With several instances costs are means of their ratios to the units, in the first one's money.
    """
    outcomes = [lesson.validate() for lesson in lessons]
    ratios = [float(outcome.cost) / lesson.unit for outcome, lesson in zip(outcomes, lessons, strict=True)]
    cost = lessons[0].unit * sum(ratios) / len(ratios)
    violation = max(lesson.duals.violation(outcome) for outcome, lesson in zip(outcomes, lessons, strict=True))
    return outcomes, (violation, cost if math.isfinite(cost) else math.inf)


def learning_rate(config: HDPOConfig, iteration: int) -> float:
    """Linear warm-up, then half a cosine down to one hundredth of the rate."""
    return warm_cosine(config.learning_rate, config.warmup_iterations, config.iterations, iteration)


def _finite(cost: float) -> float:
    return cost if math.isfinite(cost) else 1.0


def _share(first: Policy[Any, Any], other: Policy[Any, Any]) -> None:
    """Make `other` hold the very weights of `first`."""
    weights = dict(first.named_parameters())
    own = dict(other.named_parameters())
    if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in weights.items()}:
        raise WeightsDoNotFit("the instances to train on together need policies of one size")
    for name, value in weights.items():
        *path, last = name.split(".")
        setattr(other.get_submodule(".".join(path)), last, value)


def _checkpoint(lessons: list[Lesson], run: Run, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    return {
        "iteration": run.iteration,
        "best": list(run.best),
        "curve": [dict(row) for row in run.curve],
        "seconds": run.seconds,
        "weights": copy(lessons[0].policy),
        "best_weights": dict(run.best_weights),
        "moments": moments(optimizer),
        "units": [lesson.unit for lesson in lessons],
        "duals": [lesson.duals.state() for lesson in lessons],
        "generators": [lesson.draws.generator.get_state() for lesson in lessons],
    }


def _restore(
    checkpoint: Mapping[str, Any], lessons: list[Lesson], optimizer: torch.optim.Optimizer, callbacks: Callbacks
) -> Run:
    policy, best_weights = lessons[0].policy, dict(checkpoint["best_weights"])
    violation, cost = checkpoint["best"]
    best, iteration, goes_on = (float(violation), float(cost)), int(checkpoint["iteration"]), True
    kept = zip(lessons, checkpoint["units"], checkpoint["duals"], checkpoint["generators"], strict=True)
    for lesson, unit, duals, generator in kept:
        lesson.begin({}, float(unit))
        lesson.duals.restore(duals)
        goes_on &= lesson.draws.go_on(generator, iteration)
    if not goes_on:
        callbacks.on_log(OTHER_DEVICE)
        policy.load_state_dict(best_weights)
        best = _standing(lessons)[1]
    policy.load_state_dict(checkpoint["weights"])
    take_back(optimizer, checkpoint["moments"])
    curve = [dict(row) for row in checkpoint["curve"]]
    return Run(iteration, best, best_weights, curve, float(checkpoint["seconds"]))


def resolve_family(problem: Problem, instance: Instance, config: HDPOConfig) -> str:
    """The policy family to train: the configured one, or the problem's choice."""
    return problem.default_family(instance) if config.family == "auto" else config.family


def network_size(config: HDPOConfig) -> NetworkSize:
    """The configured network size."""
    return NetworkSize(config.width, config.depth, config.rounds)


def build(problem: Problem, instance: Instance, config: HDPOConfig, family: str) -> Policy[Any, Any]:
    """An untrained policy of the family, ready to take stored weights."""
    return problem.family(family).build(instance, problem.simulator(instance), network_size(config))


def _needs(traits: Traits) -> list[str]:
    reasons = []
    if not traits.differentiable:
        reasons.append("HDPO needs a simulator whose costs are differentiable in the decision")
    if traits.discrete_decisions:
        reasons.append("HDPO needs continuous decisions: there is no pathwise gradient through a discrete choice")
    return reasons


def _refuses(problem: Problem, instance: Instance, config: HDPOConfig) -> list[Issue]:
    found = too_many(config.ranks, batch_size=config.batch_size, validation_scenarios=config.validation_scenarios)
    if config.training_scenarios is not None:
        found += too_many(config.ranks, training_scenarios=config.training_scenarios)
    if config.family == "auto":
        return found
    names = [family.name for family in problem.families]
    if config.family not in names:
        detail = f"{problem.name} has no policy family {config.family!r}; it has {', '.join(names)}"
    else:
        detail = problem.family(config.family).refuses(instance) or ""
    return [*found, Issue("family", "error", "/family", detail)] if detail else found


def _refuses_several(problem: Problem, instances: tuple[Instance, ...], config: HDPOConfig) -> list[Issue]:
    """One policy for several instances needs weights that fit each of them."""
    family = problem.family(resolve_family(problem, instances[0], config))
    if not family.transfers:
        fit = [other.name for other in problem.families if other.transfers and other.role == "learned"]
        words = f"one of {', '.join(fit)}" if fit else "none that this problem has"
        detail = f"{family.name!r} has weights for one instance only; several instances need {words}"
        return [Issue("family", "error", "/family", detail)]
    reasons = [family.refuses(instance) for instance in instances]
    return [Issue("family", "error", "/family", reason) for reason in reasons if reason is not None]


HDPO = Solver(
    name="hdpo",
    title="HDPO: hindsight differentiable policy optimisation",
    summary="Differentiates the average cost through a batched simulation of the known dynamics.",
    kind="train",
    config=HDPOConfig,
    needs=_needs,
    train=train,
    train_rank=train_rank,
    build=build,
    refuses=_refuses,
    refuses_several=_refuses_several,
    quick={"iterations": 2},
    source="Alvo, Russo, Kanoria, Oh, Ma, arXiv 2306.11246",
)
