"""Cross-entropy search: tunes the few parameters of a rule without gradients.

Paper: Rubinstein, "The Cross-Entropy Method for Combinatorial and Continuous Optimization", Methodology and Computing
in Applied Probability 1 (1999); with smoothed updates (de Boer, Kroese, Mannor, Rubinstein 2005).
Rules such as (s, S) jump in their parameters, so their costs have no useful gradient. A normal distribution over the
parameters is sampled, every sample is simulated on the same scenarios, and the distribution moves to the best ones.

Deviations and why
  * every generation draws new common scenarios: nothing is overfitted, and within a generation noise cancels
  * the whole population is simulated at once (`torch.func`)
  * constraints in expectation come first: who breaks one ranks behind who breaks none

Metrics logged: cost (mean of the elite), validation_cost, best_cost [money/stage]; spread (mean standard deviation of
the parameters).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from models.core import Instance, Issue, NetworkSize, Problem
from models.lazy import torch
from solvers.core import Callbacks, Config, Solver, TrainRequest, TrainResult
from solvers.draws import Draws
from solvers.duals import TOLERANCE
from solvers.rollout import Outcome, roll_out

if TYPE_CHECKING:
    from torch import Tensor

    from models.dynamics import Policy, Simulator

SMOOTHING = 0.7  # weight of the elite in an update
START = 0.3  # standard deviation of a parameter at the start, over its size or one
MOST_PARAMETERS = 200


class CrossEntropyConfig(Config):
    """Configuration of cross-entropy search."""

    family: str = Field(
        "auto", pattern=r"^[a-z0-9_]+$", description="Rule to tune; auto takes one that has no gradient, or the first."
    )
    iterations: int = Field(40, ge=1, le=100_000, description="Generations.")
    population: int = Field(48, ge=4, le=10_000, description="Parameter samples of a generation.")
    elite: int = Field(8, ge=2, le=5_000, description="Samples that the distribution moves to.")
    batch_size: int = Field(128, ge=1, le=1_000_000, description="Common scenarios of a generation.")
    validation_every: int = Field(5, ge=1, le=100_000, description="Generations between validations.")
    validation_scenarios: int = Field(2048, ge=1, le=1_000_000, description="Scenarios of a validation.")


@dataclass
class _Run:
    iteration: int
    mean: Tensor
    std: Tensor
    best: tuple[float, float]  # violation, cost
    best_weights: Tensor
    curve: list[dict[str, float]]
    seconds: float


def train(request: TrainRequest, callbacks: Callbacks) -> TrainResult:
    """Tune the configured rule; returns the parameters best on validation scenarios."""
    config: CrossEntropyConfig = request.config
    family = resolve_family(request.problem, request.instance, config)
    simulator = request.problem.simulator(request.instance, counts=False)
    policy = request.problem.family(family).build(request.instance, simulator, NetworkSize())
    search = _Search(simulator, policy, config, request)
    run = search.restore(request.checkpoint) if request.checkpoint is not None else search.begin()
    started, before, stopped_by = time.monotonic(), run.seconds, "finished"
    while run.iteration < config.iterations:
        metrics = search.generation(run)
        run.iteration += 1
        run.seconds = before + time.monotonic() - started
        stop = callbacks.should_stop()
        late = request.is_over(run.iteration, run.seconds)
        if run.iteration % config.validation_every == 0 or run.iteration == config.iterations or stop or late:
            metrics |= search.judge(run)
            callbacks.on_checkpoint(search.checkpoint(run))
        callbacks.on_iteration(run.iteration, config.iterations, metrics | {"best_cost": run.best[1]})
        if stop or late:
            stopped_by = "request" if stop else "time_limit"
            break
    search.fill(run.best_weights)
    reason: Any = stopped_by
    best = build(request.problem, request.instance, config, family)
    best.load_state_dict(policy.state_dict())
    constraints = search.constraints(search.validate())
    return TrainResult(best.eval(), family, run.curve, run.iteration, run.seconds, reason, constraints)


class _Search:
    """One rule on one instance, its parameters as one vector."""

    def __init__(
        self,
        simulator: Simulator[Any, Any, Any, Any],
        policy: Policy[Any, Any],
        config: CrossEntropyConfig,
        request: TrainRequest,
    ) -> None:
        self.simulator, self.policy, self.config = simulator, policy, config
        self.named = {name: value for name, value in policy.named_parameters() if value.numel()}
        self.size = sum(value.numel() for value in self.named.values())
        if self.size > MOST_PARAMETERS:
            raise ValueError(f"{self.size} parameters are too many to search: at most {MOST_PARAMETERS}")
        self.draws = Draws(simulator, config.validation_scenarios, None, request.seed, "cpu")

    def begin(self) -> _Run:
        start = torch.cat([value.detach().flatten() for value in self.named.values()])
        std = START * start.abs().clamp_min(1.0)
        run = _Run(0, start, std, (math.inf, math.inf), start.clone(), [], 0.0)
        self.judge(run)
        return run

    def generation(self, run: _Run) -> dict[str, float]:
        """Sample, simulate on common scenarios, move to the elite."""
        noise = torch.randn(self.config.population, self.size, generator=self.draws.generator)
        noise[0] = 0.0  # the mean itself
        samples = run.mean + run.std * noise
        cost, violation = self._simulate(samples)
        # Whoever breaks a constraint comes behind whoever breaks none.
        order = sorted(range(len(samples)), key=lambda k: (violation[k], cost[k]))
        chosen = samples[order[: self.config.elite]]
        run.mean = (1 - SMOOTHING) * run.mean + SMOOTHING * chosen.mean(0)
        run.std = (1 - SMOOTHING) * run.std + SMOOTHING * chosen.std(0)
        elite = [cost[k] for k in order[: self.config.elite]]
        return {"cost": sum(elite) / len(elite), "spread": float(run.std.mean())}

    def _simulate(self, samples: Tensor) -> tuple[list[float], list[float]]:
        state, noise = self.draws.batch(self.config.batch_size)

        def one(weights: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            return torch.func.functional_call(self._rollout(), weights, (state, noise))  # type: ignore[no-any-return]

        with torch.no_grad():
            cost, slack = torch.func.vmap(one)(self._split(samples, "policy."))
        costs = [value if math.isfinite(value) else math.inf for value in cost.tolist()]
        worst = slack.amax(1).clamp_min(0.0).tolist() if slack.shape[1] else [0.0] * len(costs)
        return costs, worst

    def _rollout(self) -> Any:
        policy, simulator = self.policy, self.simulator

        class Rollout(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.policy = policy

            def forward(self, state: Any, noise: Any) -> tuple[Tensor, Tensor]:
                outcome = roll_out(simulator, self.policy, state, noise)
                return outcome.cost, _relative(outcome)

        return Rollout()

    def _split(self, samples: Tensor, prefix: str = "") -> dict[str, Tensor]:
        parts = torch.split(samples, [value.numel() for value in self.named.values()], dim=1)
        named = zip(self.named.items(), parts, strict=True)
        return {prefix + name: part.reshape(-1, *value.shape) for (name, value), part in named}

    def fill(self, weights: Tensor) -> None:
        """Give the policy these parameters."""
        with torch.no_grad():
            for name, value in self._split(weights[None]).items():
                self.named[name].copy_(value[0])

    def validate(self) -> Outcome:
        with torch.no_grad():
            return roll_out(self.simulator, self.policy, *self.draws.validation)

    def judge(self, run: _Run) -> dict[str, float]:
        """Validate the mean of the distribution; keep it if it is the best so far."""
        self.fill(run.mean)
        outcome = self.validate()
        cost = float(outcome.cost)
        cost = cost if math.isfinite(cost) else math.inf
        slack = _relative(outcome)
        violation = float(slack.max().clamp_min(0.0)) if len(slack) else 0.0
        if (violation, cost) < run.best:
            run.best, run.best_weights = (violation, cost), run.mean.clone()
        row = {"iteration": run.iteration, "seconds": run.seconds, "cost": cost, "best_cost": run.best[1]}
        if run.iteration:
            run.curve.append({name: float(value) for name, value in row.items()})
        return {"validation_cost": cost}

    def constraints(self, outcome: Outcome) -> dict[str, dict[str, float]]:
        """Slack and tolerance of every constraint; search knows no price."""
        rows = zip(outcome.names, outcome.slacks.tolist(), outcome.slack_sizes.tolist(), strict=True)
        return {name: {"slack": slack, "tolerance": TOLERANCE * size} for name, slack, size in rows}

    def checkpoint(self, run: _Run) -> dict[str, Any]:
        """Everything needed to go on."""
        kept = {"iteration": run.iteration, "best": list(run.best), "seconds": run.seconds}
        tensors = {"mean": run.mean.clone(), "std": run.std.clone(), "best_weights": run.best_weights.clone()}
        curve = [dict(row) for row in run.curve]
        return {**kept, **tensors, "curve": curve, "generator": self.draws.generator.get_state()}

    def restore(self, kept: Mapping[str, Any]) -> _Run:
        """The run a checkpoint holds."""
        self.draws.generator.set_state(kept["generator"].cpu())
        violation, cost = kept["best"]
        return _Run(
            int(kept["iteration"]),
            kept["mean"].clone(),
            kept["std"].clone(),
            (float(violation), float(cost)),
            kept["best_weights"].clone(),
            [dict(row) for row in kept["curve"]],
            float(kept["seconds"]),
        )


def _relative(outcome: Outcome) -> Tensor:
    """Slack of every constraint in its root mean square, less the tolerance."""
    return outcome.slacks / outcome.slack_sizes.clamp_min(1e-9) - TOLERANCE


def resolve_family(problem: Problem, instance: Instance, config: CrossEntropyConfig) -> str:
    """The rule to tune: the configured one, else the first without a gradient, else the first."""
    if config.family != "auto":
        return config.family
    rules = [family for family in problem.rules_for(instance) if family.tuning != "none"]
    if not rules:
        raise ValueError(f"{problem.name} has no rule to tune for this instance")
    return next((family for family in rules if family.tuning == "search"), rules[0]).name


def build(problem: Problem, instance: Instance, config: Any, family: str) -> Policy[Any, Any]:
    """The rule, ready to take stored parameters."""
    return problem.family(family).build(instance, problem.simulator(instance), NetworkSize())


def _refuses(problem: Problem, instance: Instance, config: CrossEntropyConfig) -> list[Issue]:
    if config.elite > config.population:
        return [Issue("elite", "error", "/elite", f"at most the population ({config.population})")]
    if config.family == "auto":
        tunable = any(family.tuning != "none" for family in problem.rules_for(instance))
        detail = None if tunable else f"{problem.name} has no rule to tune for this instance"
    elif config.family not in [family.name for family in problem.families]:
        detail = f"{problem.name} has no policy family {config.family!r}"
    elif problem.family(config.family).role == "learned":
        detail = f"{config.family!r} has too many parameters to search; train it with hdpo"
    elif problem.family(config.family).tuning == "none":
        detail = f"{config.family!r} has no parameters to tune"
    else:
        detail = problem.family(config.family).refuses(instance)
    return [Issue("family", "error", "/family", detail)] if detail else []


CROSS_ENTROPY = Solver(
    name="cross_entropy",
    title="Cross-entropy search",
    summary="Tunes the few parameters of a classical rule on common scenarios, without gradients.",
    kind="train",
    config=CrossEntropyConfig,
    needs=lambda traits: [],
    train=train,
    build=build,
    refuses=_refuses,
    quick={"iterations": 2, "population": 8, "elite": 2, "batch_size": 8, "validation_scenarios": 32},
    source="Rubinstein, Methodology and Computing in Applied Probability 1 (1999)",
)
