"""Prices on states and decisions that average to zero over the noise: learned for `information_relaxation`.

A value function V says what a state and a decision turn out to be worth
once the noise is known, less what was to be expected (Brown and Smith, Oper. Res. 62 (2014), gradient penalties).
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.lazy import torch
from solvers.long_run import HORIZON, LongRun, Path
from solvers.relaxed_horizon import flat

if TYPE_CHECKING:
    from torch import Tensor

    from solvers.information_relaxation import InformationRelaxationConfig, Phase

POOL = 1 << 18  # outcomes among which the strata of an expectation are found
TOGETHER = 1 << 18  # rows of tensors at a time in the measurement
ROUGH = 1 << 13  # the same while fitting and ascending, where a batch's common error averages out


def _value(width: int, hidden: int) -> Any:
    """A smooth scalar function of a normalised state and the share of the horizon left."""
    layers = [torch.nn.Linear(width + 1, hidden), torch.nn.Softplus(beta=2.0)]
    layers += [torch.nn.Linear(hidden, hidden), torch.nn.Softplus(beta=2.0), torch.nn.Linear(hidden, 1)]
    return torch.nn.Sequential(*layers)


class Prices:
    """The multipliers: what a value function says states and decisions turn out to be worth, less what was expected."""

    def __init__(self, setting: LongRun, config: InformationRelaxationConfig) -> None:
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
        """What ascent moves: the network, its factor and the price of the ends."""
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

    def multipliers(self, path: Path, generator: Any, create: bool = False) -> Multipliers:
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
        return Multipliers(
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
class Multipliers:
    """Prices along reference trajectories, zero on average over the noise [money per unit]."""

    states: Tensor  # (N, T, k)
    decisions: Tensor  # (N, T, m)
    surprise: Tensor  # (N, T) zero-mean: subtracts what chance did to the reference


def stratified(setting: LongRun, rows: int, samples: int, generator: Any, pool_size: int = ROUGH) -> Any:
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


def fit(prices: Prices, phase: Phase) -> None:
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
    paths: Path | None = None
    for step in range(total):
        if phase.over():
            return
        optimizer.param_groups[0]["lr"] = 3e-3 * cosine(step, total)
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


def _trajectories(setting: LongRun) -> tuple[Path, Tensor]:
    """Trajectories and, for each of their states, the gradient of the cost from there to the end."""
    path = setting.reference(128, HORIZON + HORIZON // 2, setting.generator, gradients=True)
    slopes = torch.autograd.grad(path.costs.sum(), path.joints[:-1])
    return path, torch.stack(slopes, 1)


def _pick(setting: LongRun, path: Path, slopes: Tensor, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    stages = slopes.shape[1]
    row = torch.randint(len(slopes), (batch,), generator=setting.generator)
    when = torch.randint(stages, (batch,), generator=setting.generator)
    return path.states[row, when].detach().clone(), (stages - when).float(), slopes[row, when]


def _bellman(prices: Prices, target: Any, batch: int, samples: int = 8) -> tuple[Tensor, Tensor, Tensor]:
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


def cosine(step: int, total: int) -> float:
    """From one down to a fiftieth along half a cosine."""
    return 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * step / total))
