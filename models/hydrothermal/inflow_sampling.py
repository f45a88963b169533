"""Inflow processes drawn as tensors: the stage that is known, the paths that follow, their means [hm³/stage].

A path holds in place t the inflow of stage t + 1: that of stage 0 is part of the initial state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.hydrothermal.inflow import Autoregressive, Floats, Markov, Paths, Scenarios
from models.hydrothermal.par import fit_par

MEAN_PATHS = 4_096  # drawn for the mean of what has no simple one
MEAN_SEED = 20_240_501


class InflowSampler(nn.Module, ABC):
    """How one system's inflows are drawn. `lags`: past stages that say something of the next."""

    lags: int = 0

    @abstractmethod
    def first(self, batch: int, generator: torch.Generator) -> Tensor:
        """Inflow of stage 0 (batch, plant) [hm³]."""

    @abstractmethod
    def paths(self, batch: int, generator: torch.Generator) -> Tensor:
        """Inflow of stages 1 … T (batch, T, plant) [hm³]."""

    @abstractmethod
    def means(self) -> Tensor:
        """Mean inflow of stages 0 … T (T+1, plant) [hm³]."""

    def onward(self, inflow: Tensor, past: Tensor, stage: int, batch: int, generator: torch.Generator) -> Tensor:
        """Inflow after a stage in which `inflow` (plant,) is known and `past` (lag, plant) came before [hm³].

        (batch, T, plant), place t that of stage t + 1 as in `paths`; places before the stage say nothing. As drawn from
        the start, unless the past says something of what comes.
        """
        return self.paths(batch, generator)

    def past(self) -> Tensor:
        """Inflows before stage 0 (lag, plant), the nearest first [hm³]."""
        return torch.zeros((0, self.means().shape[1]), dtype=torch.float64)

    def panel(self) -> Tensor | None:
        """Paths named for evaluation: inflow of stages 0 … T−1 (path, T, plant) [hm³]; None: there are none."""
        return None

    def outcomes(self, stage: int) -> tuple[Tensor, Tensor] | None:
        """What may flow in stage t ≥ 1: (scenario, plant) [hm³] and probabilities; None if it depends on the past."""
        return None

    def starts(self) -> tuple[Tensor, Tensor]:
        """What may flow in stage 0: (scenario, plant) [hm³] and probabilities."""
        known = self.first(1, torch.Generator())
        return known, torch.ones(1, dtype=torch.float64)


def inflow_sampler(process: Any, plants: Sequence[str], stages: int, hm3_per_m3s: float) -> InflowSampler:
    """The sampler of a process; unit conversion happens here."""
    if isinstance(process, Scenarios):
        return _Independent(process, plants, stages, hm3_per_m3s)
    if isinstance(process, Markov):
        return _Chain(process, plants, stages, hm3_per_m3s)
    if isinstance(process, Paths):
        return _Given(process, plants, stages, hm3_per_m3s)
    return _Regression(process, list(plants), stages, hm3_per_m3s)


def _rows(num_rows: int, stages: int) -> Tensor:
    """Row of the table for the stages 0 … T; past the end of one that does not repeat, its last."""
    index = torch.arange(stages + 1)
    return index % num_rows if num_rows < stages else index.clamp_max(num_rows - 1)


def _cyclic_rows(cyclic: bool, num_rows: int, stages: int) -> Tensor:
    return torch.arange(stages + 1) % num_rows if cyclic else _rows(num_rows, stages)


class _Independent(InflowSampler):
    """Scenarios of every stage, drawn anew."""

    table: Tensor
    chances: Tensor
    rows: Tensor

    def __init__(self, process: Scenarios, plants: Sequence[str], stages: int, hm3_per_m3s: float) -> None:
        super().__init__()
        self.stages = stages
        self.register_buffer("table", torch.from_numpy(process.table(plants)) * hm3_per_m3s, persistent=False)
        self.register_buffer("chances", torch.from_numpy(process.chances()), persistent=False)
        rows = _cyclic_rows(process.cyclic, process.num_table_stages, stages)
        self.register_buffer("rows", rows, persistent=False)
        known = process.current_inflow_m3s
        self.known = None if known is None else hm3_per_m3s * torch.tensor([known[p] for p in plants]).double()
        self.judged = process.evaluation_scenarios

    def first(self, batch: int, generator: torch.Generator) -> Tensor:
        if self.known is not None:
            return self.known.expand(batch, -1)
        drawn = _draw(self.chances[self.rows[:1]], batch, generator)
        return self.table[self.rows[0], drawn[:, 0]]

    def paths(self, batch: int, generator: torch.Generator) -> Tensor:
        rows = self.rows[1:]
        return self.table[rows, _draw(self.chances[rows], batch, generator)]

    def means(self) -> Tensor:
        mean = (self.chances[:, :, None] * self.table).sum(1)[self.rows]
        return mean if self.known is None else torch.cat((self.known[None], mean[1:]))

    def panel(self) -> Tensor | None:
        if self.judged is None:
            return None
        numbers = torch.tensor([path[: self.stages] for path in self.judged])
        return self.table[self.rows[:-1], numbers]

    def outcomes(self, stage: int) -> tuple[Tensor, Tensor] | None:
        row = self.rows[min(stage, self.stages)]
        return self.table[row], self.chances[row]

    def starts(self) -> tuple[Tensor, Tensor]:
        if self.known is not None:
            return self.known[None], torch.ones(1, dtype=torch.float64)
        return self.table[self.rows[0]], self.chances[self.rows[0]]


class _Chain(InflowSampler):
    """Scenarios that follow each other as a Markov chain."""

    table: Tensor
    transitions: Tensor
    rows: Tensor

    def __init__(self, process: Markov, plants: Sequence[str], stages: int, hm3_per_m3s: float) -> None:
        super().__init__()
        self.stages, self.start = stages, process.initial_scenario
        self.register_buffer("table", torch.from_numpy(process.table(plants)) * hm3_per_m3s, persistent=False)
        given = torch.tensor(process.transitions, dtype=torch.float64)
        self.register_buffer("transitions", given / given.sum(2, keepdim=True), persistent=False)
        rows = _cyclic_rows(process.cyclic, process.num_table_stages, stages)
        self.register_buffer("rows", rows, persistent=False)

    def first(self, batch: int, generator: torch.Generator) -> Tensor:
        return self.table[self.rows[0], self.start].expand(batch, -1)

    def paths(self, batch: int, generator: torch.Generator) -> Tensor:
        return self._from(self.start, 0, batch, generator)

    def onward(self, inflow: Tensor, past: Tensor, stage: int, batch: int, generator: torch.Generator) -> Tensor:
        """From the scenario whose inflow is nearest to the one known."""
        near = (self.table[self.rows[stage]] - inflow).abs().sum(1).argmin()
        return self._from(int(near), stage, batch, generator)

    def _from(self, start: int, first: int, batch: int, generator: torch.Generator) -> Tensor:
        """Paths (batch, T, plant) [hm³] from a scenario of the stage `first` on; nothing before it."""
        uniform = torch.rand((batch, self.stages), generator=generator, dtype=torch.float64, device=self.table.device)
        scenario = torch.full((batch,), start, dtype=torch.long, device=self.table.device)
        found = [torch.zeros((batch, self.table.shape[2]), dtype=torch.float64, device=self.table.device)] * first
        for stage in range(first, self.stages):
            ladder = self.transitions[stage % len(self.transitions)][scenario].cumsum(1)
            scenario = _rung(ladder, uniform[:, stage, None])[:, 0]
            found.append(self.table[self.rows[stage + 1], scenario])
        return torch.stack(found, dim=1)

    def means(self) -> Tensor:
        chance = torch.zeros(self.table.shape[1], dtype=torch.float64)
        chance[self.start] = 1.0
        found = []
        for stage in range(self.stages + 1):
            found.append(chance @ self.table[self.rows[stage]])
            chance = chance @ self.transitions[stage % len(self.transitions)]
        return torch.stack(found)


class _Given(InflowSampler):
    """The user's own paths."""

    table: Tensor
    chances: Tensor
    rows: Tensor

    def __init__(self, process: Paths, plants: Sequence[str], stages: int, hm3_per_m3s: float) -> None:
        super().__init__()
        self.stages = stages
        self.register_buffer("table", torch.from_numpy(process.table(plants)) * hm3_per_m3s, persistent=False)
        count = self.table.shape[1]
        given = process.probabilities or [1.0 / count] * count
        chances = torch.tensor(given, dtype=torch.float64)
        self.register_buffer("chances", chances / chances.sum(), persistent=False)
        self.register_buffer("rows", _rows(process.num_table_stages, stages), persistent=False)

    def first(self, batch: int, generator: torch.Generator) -> Tensor:
        return self.table[0, 0].expand(batch, -1)

    def paths(self, batch: int, generator: torch.Generator) -> Tensor:
        chosen = _draw(self.chances[None], batch, generator)[:, 0]
        return self.table[self.rows[1:]][:, chosen].transpose(0, 1)

    def means(self) -> Tensor:
        return (self.chances[None, :, None] * self.table).sum(1)[self.rows]


class _Regression(InflowSampler):
    """PAR(p), drawn stage after stage."""

    mean: Tensor
    deviation: Tensor
    weights: Tensor
    residual: Tensor
    mixing: Tensor
    history: Tensor
    known: Tensor

    def __init__(self, process: Autoregressive, plants: list[str], stages: int, hm3_per_m3s: float) -> None:
        super().__init__()
        self.stages, self.scale, self.log = stages, hm3_per_m3s, process.transform == "log"
        self.first_season = process.first_season
        fitted = fit_par(process, plants)
        self.lags = fitted.lags
        for name in ("mean", "deviation", "weights", "residual", "mixing"):
            self.register_buffer(name, torch.from_numpy(getattr(fitted, name)), persistent=False)
        past = np.stack([np.array(process.history_m3s[plant]) for plant in plants], axis=1)[::-1][: self.lags]
        self.register_buffer("history", torch.from_numpy(past.copy()), persistent=False)
        given = process.current_inflow_m3s
        known = self._led_to() if given is None else torch.tensor([given[p] for p in plants], dtype=torch.float64)
        self.register_buffer("known", known, persistent=False)
        self._means: Tensor | None = None

    def _season(self, stage: int) -> int:
        return (self.first_season + stage) % len(self.mean)

    def _led_to(self) -> Tensor:
        """Inflow of stage 0 without chance (plant,) [m³/s]."""
        z = (
            torch.stack([self._standard(self.history[lag], -1 - lag) for lag in range(self.lags)])
            if self.lags
            else None
        )
        season = self._season(0)
        drift = torch.zeros_like(self.mean[season]) if z is None else (self.weights[season] * z).sum(0)
        level = self.mean[season] + self.deviation[season] * drift
        return level.exp() if self.log else level.clamp_min(0.0)

    def _standard(self, inflow: Tensor, stage: int) -> Tensor:
        season = self._season(stage)
        values = inflow.clamp_min(1e-9).log() if self.log else inflow
        return (values - self.mean[season]) / self.deviation[season]

    def first(self, batch: int, generator: torch.Generator) -> Tensor:
        return (self.known * self.scale).expand(batch, -1)

    def past(self) -> Tensor:
        return self.history * self.scale

    def paths(self, batch: int, generator: torch.Generator) -> Tensor:
        return self._from(self.known, self.history, 0, batch, generator)

    def onward(self, inflow: Tensor, past: Tensor, stage: int, batch: int, generator: torch.Generator) -> Tensor:
        return self._from(inflow / self.scale, past / self.scale, stage, batch, generator)

    def _from(self, known: Tensor, past: Tensor, first: int, batch: int, generator: torch.Generator) -> Tensor:
        """Paths (batch, T, plant) [hm³] after inflows [m³/s] of the stage `first` and those before; nothing earlier."""
        shape = (batch, self.stages, self.mean.shape[1])
        normal = torch.randn(shape, generator=generator, dtype=torch.float64, device=self.mean.device)
        recent = [self._standard(known, first).expand(batch, -1)]
        recent += [self._standard(past[k], first - 1 - k).expand(batch, -1) for k in range(max(self.lags - 1, 0))]
        found = [torch.zeros_like(normal[:, 0])] * first
        for stage in range(first + 1, self.stages + 1):
            season = self._season(stage)
            drift = torch.zeros_like(recent[0])
            for lag in range(self.lags):
                drift = drift + self.weights[season, lag] * recent[lag]
            z = drift + self._chance(normal[:, stage - 1] @ self.mixing[season].T, drift, season)
            level = self.mean[season] + self.deviation[season] * z
            inflow = level.exp() if self.log else level.clamp_min(0.0)
            recent = [self._standard(inflow, stage), *recent[: max(self.lags - 1, 0)]]
            found.append(inflow)
        return torch.stack(found, dim=1) * self.scale

    def _chance(self, normal: Tensor, drift: Tensor, season: int) -> Tensor:
        """ε: normal, or lognormal from where inflow is zero, with mean zero and the residual's variance."""
        spread = self.residual[season]
        if self.log:
            return spread * normal
        lowest = -(self.mean[season] / self.deviation[season] + drift).clamp_min(1e-3)
        ratio = 1.0 + (spread / lowest).square()
        width = ratio.log().sqrt()
        return lowest + (-lowest) * (width * normal - 0.5 * width.square()).exp()

    def means(self) -> Tensor:
        """Of paths drawn once, from a seed of their own."""
        if self._means is None:
            drawn = self.paths(MEAN_PATHS, torch.Generator().manual_seed(MEAN_SEED)).mean(0)
            self._means = torch.cat(((self.known * self.scale)[None], drawn))
        return self._means


def _draw(chances: Tensor, batch: int, generator: torch.Generator) -> Tensor:
    """Scenarios (batch, stage) drawn by the chances (stage, scenario)."""
    stages = len(chances)
    uniform = torch.rand((batch, stages), generator=generator, dtype=torch.float64, device=chances.device)
    return _rung(chances.cumsum(1), uniform.t().contiguous()).t()


def _rung(ladder: Tensor, uniform: Tensor) -> Tensor:
    """The first rung (row, …) of each row's ladder of probabilities above a uniform number."""
    found = torch.searchsorted(ladder.contiguous(), uniform.contiguous(), right=True)
    return found.clamp_max(ladder.shape[1] - 1)


__all__ = ["Floats", "InflowSampler", "inflow_sampler"]
