"""What a policy does in the long run, as flat tensors: the reference of `information_relaxation`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.core import Instance, Problem
from models.lazy import torch
from solvers.core import InnerSolveError
from solvers.hdpo import scenario_seed
from solvers.relaxed_horizon import Flat, flat

if TYPE_CHECKING:
    from torch import Tensor

    from models.dynamics import Policy, Simulator

HORIZON = 40  # stages to the end beyond which the end is no longer felt


@dataclass(frozen=True)
class Path:
    """What the reference policy did, flat: states (N, T+1, k), decisions (N, T, m), costs (N, T), noise records."""

    states: Tensor
    decisions: Tensor
    costs: Tensor
    noise: Any  # fields (N, T, …)
    joints: list[Tensor]  # the T+1 states one by one, for gradients


class LongRun:
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

    def reference(self, rows: int, stages: int, generator: Any, gradients: bool = False) -> Path:
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
        return Path(torch.stack(states, 1), torch.stack(decisions, 1), torch.stack(costs, 1), noise, states)

    def step(self, state: Tensor, decision: Tensor, noise: Any) -> tuple[Tensor, Tensor]:
        """Flat next states and the cost of a stage, for flat states and decisions and noise of one stage."""
        # Noise has one stage only: stages are alike, so its first may stand for any.
        post, decided = self.simulator.decide(
            self.state_kind.record(state), self.decision_kind.record(decision), self.stage
        )
        following, realized = self.simulator.realize(post, noise, 0)
        parts = [*decided.components.values(), *realized.components.values()]
        return flat(following), torch.stack(parts).sum(0)


def _not_stationary(setting: LongRun) -> str | None:
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
