"""HDPO: hindsight differentiable policy optimisation.

Paper: Alvo, Russo, Kanoria, Oh, Ma, "Deep Reinforcement Learning for Inventory Networks", arXiv 2306.11246.
The dynamics are known and differentiable, so the average cost along sampled scenarios is differentiated through the
whole horizon and descended: no critic, no score function.

Equation → function
  J(θ) = E_ω Σ_t C_t(S_t, π_θ(S_t), ω_t)   `average_cost`: back-propagated through every stage
  θ ← Adam(θ, ∇J)                           `train`: one step per mini-batch of scenarios
  policy selection on a dev set             `train`: the weights with the least cost on validation scenarios are kept

Deviations and why
  * scenarios are drawn afresh for every step unless `training_scenarios` fixes their number: there is nothing to
    overfit; the fixed set reproduces the paper's sample-efficiency study
  * the learning rate follows a cosine to zero after a linear warm-up, instead of the best of three constant rates
  * the loss is divided by its own first value, so that the gradient clip means the same for any currency
  * classical rules are tuned by the same function (`tune_rule`)

Metrics logged: cost (training batch), validation_cost, best_cost [money/stage], learning_rate, gradient_norm.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from models.core import Instance, Issue, NetworkSize, Problem, Traits
from models.lazy import torch
from solvers.core import Callbacks, Config, Diverged, Solver, TrainRequest, TrainResult, WeightsDoNotFit

if TYPE_CHECKING:
    from torch import Tensor

    from models.dynamics import Policy, Simulator

MAX_BAD_STEPS = 20  # consecutive steps with a non-finite gradient before training gives up


class HDPOConfig(Config):
    """Configuration of HDPO. The defaults are meant to work."""

    family: str = Field(
        "auto", pattern=r"^[a-z0-9_]+$", description="Policy family to train; auto lets the problem choose."
    )
    iterations: int = Field(1500, ge=1, le=1_000_000, description="Adam steps, one mini-batch of scenarios each.")
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


@dataclass
class _Run:
    """What changes while training: everything a checkpoint holds."""

    iteration: int
    best_cost: float
    best_weights: dict[str, Tensor]
    curve: list[dict[str, float]]
    seconds: float


def train(request: TrainRequest, callbacks: Callbacks) -> TrainResult:
    """Train the configured family on the request's instance; returns the policy best on validation scenarios."""
    config: HDPOConfig = request.config
    family = resolve_family(request.problem, request.instance, config)
    device = torch.device(request.device)
    torch.manual_seed(request.seed)  # initial weights
    simulator = request.problem.simulator(request.instance, counts=False).to(device)
    policy = request.problem.family(family).build(request.instance, simulator, network_size(config)).to(device)
    if request.warm_start is not None:
        _fill(policy, request.warm_start)
    stopped_by, run = _descend(policy, simulator, config, request, callbacks)
    # Rebuilt rather than moved: a policy trained on a GPU holds dynamics that live there too.
    best = build(request.problem, request.instance, config, family)
    best.load_state_dict({name: tensor.cpu() for name, tensor in run.best_weights.items()})
    return TrainResult(best.eval(), family, run.curve, run.iteration, run.seconds, stopped_by)


def average_cost(simulator: Simulator[Any, Any, Any, Any], policy: Policy[Any, Any], state: Any, noise: Any) -> Tensor:
    """Mean cost per stage over all stages of the horizon [money/stage], differentiable in the policy's weights.

    All stages count, also those before `first_reported_stage`: early orders must be learned too.
    """
    total = torch.zeros((), device=next(policy.parameters()).device)
    weight = 1.0
    for stage in range(simulator.num_stages):
        post, decided = simulator.decide(state, policy(state, stage), stage)
        state, realized = simulator.realize(post, noise, stage)
        for component in (*decided.components.values(), *realized.components.values()):
            total = total + weight * component.mean()
        weight *= simulator.discount
    for component in simulator.terminal(state).components.values():
        total = total + weight * component.mean()
    return total / simulator.num_stages


def _descend(
    policy: Policy[Any, Any],
    simulator: Simulator[Any, Any, Any, Any],
    config: HDPOConfig,
    request: TrainRequest,
    callbacks: Callbacks,
) -> tuple[Any, _Run]:
    draws = _Draws(simulator, config, request)
    optimizer = torch.optim.Adam(policy.parameters(), lr=config.learning_rate)
    started = time.monotonic()
    if request.checkpoint is None:
        run = _Run(0, math.inf, _copy(policy), [], 0.0)
        scale = _validate(policy, simulator, draws)
        run.best_cost = scale
    else:
        run, scale = _restore(request.checkpoint, policy, optimizer, draws)
    elapsed_before = run.seconds
    # A profit near zero must not blow the scaled loss up.
    unit = max(abs(scale), 1e-6)
    bad_steps = 0
    stopped_by = "finished"
    while run.iteration < config.iterations:
        rate = learning_rate(config, run.iteration)
        for group in optimizer.param_groups:
            group["lr"] = rate
        cost = average_cost(simulator, policy, *draws.batch(config.batch_size))
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(cost / unit)
        norm = float(torch.nn.utils.clip_grad_norm_(policy.parameters(), config.gradient_clip))
        bad_steps = 0 if math.isfinite(norm) else bad_steps + 1
        if bad_steps >= MAX_BAD_STEPS:
            raise Diverged(f"{MAX_BAD_STEPS} steps in a row had no finite gradient (iteration {run.iteration})")
        if bad_steps == 0:
            optimizer.step()
        run.iteration += 1
        run.seconds = elapsed_before + time.monotonic() - started
        stop = callbacks.should_stop()
        late = request.time_limit is not None and run.seconds >= request.time_limit
        metrics = {"cost": float(cost.detach()), "learning_rate": rate, "gradient_norm": norm}
        if run.iteration % config.validation_every == 0 or run.iteration == config.iterations or stop or late:
            metrics |= _keep_best(policy, simulator, draws, run)
            callbacks.on_checkpoint(_checkpoint(run, policy, optimizer, draws, scale))
        callbacks.on_iteration(run.iteration, config.iterations, metrics | {"best_cost": run.best_cost})
        if stop or late:
            stopped_by = "request" if stop else "time_limit"
            break
    return stopped_by, run


def _keep_best(
    policy: Policy[Any, Any], simulator: Simulator[Any, Any, Any, Any], draws: _Draws, run: _Run
) -> dict[str, float]:
    validation = _validate(policy, simulator, draws)
    if validation < run.best_cost:
        run.best_cost, run.best_weights = validation, _copy(policy)
    row = {"iteration": run.iteration, "seconds": run.seconds, "cost": validation, "best_cost": run.best_cost}
    run.curve.append({name: float(value) for name, value in row.items()})
    return {"validation_cost": validation}


def _validate(policy: Policy[Any, Any], simulator: Simulator[Any, Any, Any, Any], draws: _Draws) -> float:
    """Mean cost per stage on the validation scenarios; infinite where not finite, so that it is never the best."""
    with torch.no_grad():
        cost = float(average_cost(simulator, policy, *draws.validation))
    return cost if math.isfinite(cost) else math.inf


class _Draws:
    """Training and validation scenarios from one explicit generator each, seeds disjoint from evaluation's."""

    def __init__(self, simulator: Simulator[Any, Any, Any, Any], config: HDPOConfig, request: TrainRequest) -> None:
        self.simulator = simulator
        self.generator = torch.Generator(request.device).manual_seed(scenario_seed(request.seed, "training"))
        held_out = torch.Generator(request.device).manual_seed(scenario_seed(request.seed, "validation"))
        self.validation = self._draw(config.validation_scenarios, held_out)
        self.fixed = None
        if config.training_scenarios is not None:
            self.fixed = self._draw(config.training_scenarios, self.generator)

    def _draw(self, count: int, generator: torch.Generator) -> tuple[Any, Any]:
        return self.simulator.initial(count, generator), self.simulator.sample(count, generator)

    def batch(self, size: int) -> tuple[Any, Any]:
        """A mini-batch: fresh scenarios, or rows of the fixed set."""
        if self.fixed is None:
            return self._draw(size, self.generator)
        state, noise = self.fixed
        if size >= state.batch:
            return self.fixed
        chosen = torch.randperm(state.batch, generator=self.generator, device=self.generator.device)[:size]
        return state.rows(chosen), noise.rows(chosen)


def scenario_seed(seed: int, purpose: str) -> int:
    """A generator seed for a purpose: training, validation and evaluation never share a scenario stream.

    Below 2^53, so that every JSON reader holds it exactly.
    """
    lane = {"training": 1, "validation": 2, "rules": 3, "evaluation": 4}[purpose]
    return (seed * 2_654_435_761 + lane * 0x9E3779B97F4A7C15) % (1 << 53)


def learning_rate(config: HDPOConfig, iteration: int) -> float:
    """Linear warm-up, then half a cosine down to one hundredth of the rate."""
    if iteration < config.warmup_iterations:
        return config.learning_rate * (iteration + 1) / config.warmup_iterations
    done = (iteration - config.warmup_iterations) / max(config.iterations - config.warmup_iterations, 1)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def _fill(policy: Policy[Any, Any], weights: Mapping[str, Tensor]) -> None:
    try:
        policy.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise WeightsDoNotFit("the weights to start from are of another network, size or family") from error


def _copy(policy: Policy[Any, Any]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in policy.state_dict().items()}


def _checkpoint(
    run: _Run, policy: Policy[Any, Any], optimizer: torch.optim.Optimizer, draws: _Draws, scale: float
) -> dict[str, Any]:
    moments = optimizer.state_dict()["state"]
    return {
        "iteration": run.iteration,
        "best_cost": run.best_cost,
        "curve": [dict(row) for row in run.curve],
        "seconds": run.seconds,
        "scale": scale,
        "weights": _copy(policy),
        "best_weights": dict(run.best_weights),
        "moments": {str(k): {name: value.clone() for name, value in m.items()} for k, m in moments.items()},
        "generator": draws.generator.get_state(),
    }


def _restore(
    checkpoint: Mapping[str, Any], policy: Policy[Any, Any], optimizer: torch.optim.Optimizer, draws: _Draws
) -> tuple[_Run, float]:
    policy.load_state_dict(checkpoint["weights"])
    state = optimizer.state_dict()
    state["state"] = {int(k): dict(moments) for k, moments in checkpoint["moments"].items()}
    optimizer.load_state_dict(state)
    draws.generator.set_state(checkpoint["generator"].cpu())
    run = _Run(
        int(checkpoint["iteration"]),
        float(checkpoint["best_cost"]),
        dict(checkpoint["best_weights"]),
        [dict(row) for row in checkpoint["curve"]],
        float(checkpoint["seconds"]),
    )
    return run, float(checkpoint["scale"])


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
    if config.family == "auto":
        return []
    names = [family.name for family in problem.families]
    if config.family not in names:
        detail = f"{problem.name} has no policy family {config.family!r}; it has {', '.join(names)}"
    else:
        detail = problem.family(config.family).refuses(instance) or ""
    return [Issue("family", "error", "/family", detail)] if detail else []


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
    build=build,
    refuses=_refuses,
    refuses_several=_refuses_several,
    source="Alvo, Russo, Kanoria, Oh, Ma, arXiv 2306.11246",
)
