"""Many HDPO runs at once: same structure, other numbers or seeds, one set of tensor operations for all.

A small network's training is bound by the overhead of its thousands of small operations. Stacking the weights of
runs that differ in seed or in an instance's numbers (costs, demand) and mapping one rollout over the stack
(`torch.func`) shares that overhead. Every run gets the updates it would get alone: scenarios and initial weights of its
own seed, its own loss, gradient clip and choice on validation scenarios; Adam works weight by weight.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from models.lazy import torch
from solvers.core import Callbacks, Diverged, TrainRequest, TrainResult
from solvers.hdpo import HDPOConfig, Lesson, build, learning_rate, resolve_family
from solvers.rollout import average_cost, relaxed

if TYPE_CHECKING:
    from torch import Tensor

    from models.dynamics import Policy, Simulator

CHECKED = 64  # scenarios on which runs are compared alone and together
Stacked = dict[str, "Tensor"]


def train_many(requests: Sequence[TrainRequest], callbacks: Callbacks) -> list[TrainResult]:
    """Train every request; they share a config and a structure, and none has constraints in expectation.

    Raises:
        ValueError: the requests do not fit together. Diverged: a run had no finite gradient.
    """
    config: HDPOConfig = requests[0].config
    if any(request.config != config or request.also or request.checkpoint is not None for request in requests):
        raise ValueError("runs trained together share one config, start anew and have one instance each")
    family = resolve_family(requests[0].problem, requests[0].instance, config)
    lessons = []
    for request in requests:
        torch.manual_seed(request.seed)  # initial weights
        lessons.append(Lesson(request, config, family, 0))
    ensemble = _Ensemble([lesson.simulator for lesson in lessons], [lesson.policy for lesson in lessons])
    validation = ensemble.stack([lesson.draws.validation for lesson in lessons])
    optimizer = torch.optim.Adam(list(ensemble.weights.values()), lr=config.learning_rate)
    best_cost = ensemble.validate(validation)
    units = best_cost.abs().clamp_min(1e-6)
    best = {name: value.detach().clone() for name, value in ensemble.weights.items()}
    curves: list[list[dict[str, float]]] = [[] for _ in requests]
    started = time.monotonic()
    iteration = 0
    while iteration < config.iterations and not callbacks.should_stop():
        rate = learning_rate(config, iteration)
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = ensemble.stack([lesson.draws.batch(config.batch_size) for lesson in lessons])
        with relaxed(ensemble.simulator):
            costs = ensemble.costs(batch)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward((costs / units).sum())
        norms = ensemble.clip(config.gradient_clip)
        if not bool(norms.isfinite().all()):
            raise Diverged(f"run {int((~norms.isfinite()).nonzero()[0])} had no finite gradient at {iteration}")
        optimizer.step()
        iteration += 1
        metrics = {"cost": float(costs.detach().mean()), "learning_rate": rate, "gradient_norm": float(norms.mean())}
        if iteration % config.validation_every == 0 or iteration == config.iterations:
            found = ensemble.validate(validation)
            better = found < best_cost  # not where it is not a number
            best_cost = torch.where(better, found, best_cost)
            for name, value in ensemble.weights.items():
                best[name][better] = value.detach()[better]
            for curve, cost, least in zip(curves, found.tolist(), best_cost.tolist(), strict=True):
                seconds = time.monotonic() - started
                curve.append({"iteration": iteration, "seconds": seconds, "cost": cost, "best_cost": least})
            metrics |= {"validation_cost": float(found.mean()), "best_cost": float(best_cost.mean())}
        callbacks.on_iteration(iteration, config.iterations, metrics)
    stopped_by: Any = "finished" if iteration == config.iterations else "request"
    seconds = (time.monotonic() - started) / len(requests)  # each run's share
    results = []
    for k, (request, curve) in enumerate(zip(requests, curves, strict=True)):
        policy = build(request.problem, request.instance, config, family)
        policy.load_state_dict({name: value[k].cpu() for name, value in best.items()})
        results.append(TrainResult(policy.eval(), family, curve, iteration, seconds, stopped_by))
    return results


class _Ensemble:
    """Policies with their simulators, stacked along a leading dimension of runs."""

    def __init__(self, simulators: list[Simulator[Any, Any, Any, Any]], policies: list[Policy[Any, Any]]) -> None:
        self.simulator, self.policy, self.count = simulators[0], policies[0], len(policies)
        shapes = [{name: value.shape for name, value in policy.named_parameters()} for policy in policies]
        if any(shape != shapes[0] for shape in shapes):
            raise ValueError("runs trained together have one structure; their policies have other weights")
        self.weights = {
            name: torch.stack([dict(policy.named_parameters())[name].detach() for policy in policies]).requires_grad_()
            for name, _ in self.policy.named_parameters()
        }
        self.shared: Stacked = {}
        self.own: Stacked = {}
        for part, modules in (("policy", policies), ("simulator", simulators)):
            self._gather(part, modules)
        self._check(simulators, policies)

    def _gather(self, part: str, modules: Sequence[Any]) -> None:
        """Buffers that are alike are kept once, others stacked."""
        tables = [dict(module.named_buffers()) for module in modules]
        for name, first in tables[0].items():
            values = [table[name] for table in tables if name in table]
            if len(values) < len(tables) or any(value.shape != first.shape for value in values):
                raise ValueError(f"runs trained together have one structure; they differ in {name}")
            alike = all(torch.equal(value, first) for value in values)
            target = self.shared if alike else self.own
            target[f"{part}.{name}"] = first if alike else torch.stack(values)

    def stack(self, batches: Sequence[tuple[Any, Any]]) -> tuple[Stacked, Stacked]:
        """Every run's states and noise along a leading dimension, scenarios innermost in memory."""
        return self._stack([state for state, _ in batches]), self._stack([noise for _, noise in batches])

    def _stack(self, records: Sequence[Any]) -> Stacked:
        return {
            name: torch.stack([getattr(record, name).movedim(0, -1) for record in records]).movedim(-1, 1)
            for name in vars(records[0])
        }

    def costs(self, batch: tuple[Stacked, Stacked]) -> Tensor:
        """Mean cost per stage of every run (run,)."""
        mapped = torch.func.vmap(self._cost, in_dims=(0, 0, 0, 0))
        found: Tensor = mapped(self.weights, self.own, *batch)
        return found

    def validate(self, batch: tuple[Stacked, Stacked]) -> Tensor:
        """Mean cost per stage of every run (run,), without gradients."""
        with torch.no_grad():
            return self.costs(batch)

    def _cost(self, weights: Stacked, own: Stacked, state: Stacked, noise: Stacked) -> Tensor:
        named = {f"policy.{name}": value for name, value in weights.items()} | own | self.shared
        arguments = (self.kinds[0](**state), self.kinds[1](**noise))
        cost: Tensor = torch.func.functional_call(self._rollout, named, arguments)
        return cost

    def clip(self, largest: float) -> Tensor:
        """Scale every run's gradient to a norm of at most `largest`; the norms before (run,)."""
        gradients = [value.grad for value in self.weights.values() if value.grad is not None]
        norms = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0).sqrt()
        factor = (largest / (norms + 1e-6)).clamp_max(1.0)  # as torch's own clip has it
        for gradient in gradients:
            gradient.mul_(factor.reshape(-1, *[1] * (gradient.dim() - 1)))
        return norms

    def _check(self, simulators: Sequence[Any], policies: Sequence[Any]) -> None:
        """A few scenarios of every run, alone and together: what is not in buffers must be alike too."""
        generator = torch.Generator(self._device()).manual_seed(0)
        batches = [(s.initial(CHECKED, generator), s.sample(CHECKED, generator)) for s in simulators]
        state, noise = batches[0]
        self.kinds = (type(state), type(noise))
        self._rollout = _rollout_module(self.simulator, self.policy)
        with torch.no_grad():
            alone = [
                float(average_cost(s, p, *batch)) for s, p, batch in zip(simulators, policies, batches, strict=True)
            ]
        together = self.validate(self.stack(batches)).tolist()
        for k, (one, other) in enumerate(zip(alone, together, strict=True)):
            if not math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-4):
                raise ValueError(f"run {k} is of another structure: it costs {one:g} alone and {other:g} together")

    def _device(self) -> Any:
        return next(iter(self.weights.values())).device


def _rollout_module(simulator: Any, policy: Any) -> Any:
    """A module whose call is the average cost, so that weights and buffers can be put in its place."""

    class Rollout(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.policy, self.simulator = policy, simulator

        def forward(self, state: Any, noise: Any) -> Tensor:
            return average_cost(self.simulator, self.policy, state, noise)

    return Rollout()
