"""Sampling demand: paths (batch, stage, store), in node-major memory so that a stage is one contiguous block."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.inventory_network.demand.process import (
    DemandProcess,
    Empirical,
    Intermittent,
    NegativeBinomial,
    Normal,
    Poisson,
    Seasonal,
)
from models.inventory_network.demand.timeline import Floats, Ints, Profile, Timeline
from models.inventory_network.instance import InventoryNetwork

TABLED = 500.0  # [units/period], greatest mean of a Poisson demand that is drawn from a table
Draw = Callable[[int, int, torch.Generator, Tensor], Tensor]
"""(stages, batch, generator, like) → (stage, store, batch), with the precision and on the device of `like`."""


class DemandSampler:
    """Draws the demand of a network's stores, named in the order of the columns."""

    def __init__(self, net: InventoryNetwork, store_ids: list[str]) -> None:
        process: DemandProcess = net.demand
        columns = [process.node_ids.index(store) for store in store_ids]
        self.profile: Profile = process.profile(net.timeline).columns(columns)
        self._draw: Draw = _PREPARED[type(process)](process, columns, net.timeline)

    def __call__(
        self, batch: int, stages: int, generator: torch.Generator, dtype: torch.dtype
    ) -> Float[Tensor, "batch stage store"]:
        """Demand [units/period] drawn with `generator` on its device."""
        like = torch.zeros((), dtype=dtype, device=generator.device)
        return self._draw(stages, batch, generator, like).permute(2, 0, 1)

    def moments_at(self, stages: Ints) -> tuple[Floats, Floats]:
        """Mean and standard deviation (stage, store) of what is drawn in each period [units/period]."""
        return self.profile.at(stages)

    def expected(self, stages: int, like: Tensor) -> Float[Tensor, "stage store"]:
        """Mean demand of each period [units/period], in the precision and on the device of `like`."""
        return torch.from_numpy(self.profile.at(np.arange(stages))[0]).to(like)


# Each process prepares its arrays once, in the stores' order, and returns how it draws.


def _poisson(process: Poisson, columns: list[int], timeline: Timeline) -> Draw:
    """By inverting the distribution: a look into a table instead of a rejection loop, thirty times as fast."""
    mean = process.moments()[0][columns]
    if mean.max(initial=0.0) > TABLED:
        return _large_poisson(torch.from_numpy(mean)[:, None])
    table = torch.from_numpy(_poisson_table(mean))
    guide = Guide(table)

    def draw(stages: int, batch: int, generator: torch.Generator, like: Tensor) -> Tensor:
        # In double precision, so that the tail is there.
        shape = (len(columns), stages, batch)
        chance = torch.rand(shape, generator=generator, dtype=torch.float64, device=like.device)
        chance = chance.flatten(1)
        on_cpu = like.device.type == "cpu"
        found = guide(chance) if on_cpu else torch.searchsorted(table.to(like.device), chance, right=True)
        paths = torch.empty(stages, len(columns), batch, dtype=like.dtype, device=like.device)
        return paths.copy_(found.view(shape).transpose(0, 1))

    return draw


class Guide:
    """`torch.searchsorted(table, values, right=True)` for values in [0, 1), several times as fast.

    Where each of equal cells of [0, 1) begins in a rising row is known beforehand; from there it is a step or none for
    nearly all values, and some more in the tail. Source: Chen, Asau, AIIE Transactions 6 (1974) 163.
    """

    CELLS = 1024
    TOGETHER = 1 << 15  # values of a row at a time, so that they stay in the cache

    def __init__(self, table: Float[Tensor, "row entry"]) -> None:
        edges = torch.arange(self.CELLS, dtype=table.dtype) / self.CELLS
        rows = len(table)
        ended = torch.nn.functional.pad(table, (0, 1), value=2.0)  # no value is beyond
        self.table, self.rows = ended.flatten(), torch.arange(rows)[:, None]
        begin = torch.searchsorted(table, edges.expand(rows, -1).contiguous(), right=True)
        self.begin = (begin + self.rows * ended.shape[1]).flatten()
        self.first = self.rows * ended.shape[1]

    def __call__(self, values: Float[Tensor, "row value"]) -> Int[Tensor, "row value"]:
        """How many entries of its row each value reaches."""
        return torch.cat([self._reached(part) for part in torch.split(values, self.TOGETHER, 1)], dim=1)

    def _reached(self, values: Float[Tensor, "row value"]) -> Int[Tensor, "row value"]:
        cell = (values * self.CELLS).long().add_(self.rows * self.CELLS)
        place, flat = self.begin.take(cell).flatten(), values.flatten()
        left = (flat >= self.table.take(place)).nonzero()[:, 0]
        while len(left):
            place[left] += 1
            left = left[flat[left] >= self.table.take(place[left])]
        return place.view_as(values) - self.first


def _large_poisson(mean: Tensor) -> Draw:
    """For means whose table would be long."""

    def draw(stages: int, batch: int, generator: torch.Generator, like: Tensor) -> Tensor:
        return torch.poisson(mean.to(like).expand(stages, -1, batch), generator=generator)

    return draw


def _poisson_table(mean: Floats) -> Floats:
    """P(D ≤ k) for k = 0, 1, … as far as double precision tells it from one, a row for every mean."""
    counts = np.arange(math.ceil(mean.max() + 12 * math.sqrt(mean.max()) + 40))
    logs = counts * np.log(np.maximum(mean, 1e-300))[:, None] - mean[:, None]
    logs -= np.array([math.lgamma(k + 1) for k in counts])
    return np.asarray(np.minimum(np.exp(logs).cumsum(axis=1), 1.0))


def _normal(process: Normal, columns: list[int], timeline: Timeline) -> Draw:
    nodes = [list(process.nodes.values())[k] for k in columns]
    mean = torch.tensor([node.mean for node in nodes], dtype=torch.float64)[:, None]
    std = torch.tensor([node.std for node in nodes], dtype=torch.float64)[:, None]

    def draw(stages: int, batch: int, generator: torch.Generator, like: Tensor) -> Tensor:
        standard = _correlated(stages, len(nodes), batch, process.correlation, generator, like)
        return standard.mul_(std.to(like)).add_(mean.to(like)).clamp_min_(0.0)

    return draw


def _correlated(
    stages: int, size: int, batch: int, correlation: float, generator: torch.Generator, like: Tensor
) -> Tensor:
    """Standard normals (stage, store, batch), any two stores of a stage correlated alike.

    The symmetric square root of the equicorrelation matrix, singular ones included: its eigenvalues are 1 + (n−1)ρ on
    the diagonal direction and 1 − ρ on the rest.
    """
    drawn = torch.randn(stages, size, batch, generator=generator, dtype=like.dtype, device=like.device)
    if not correlation or size == 1:
        return drawn
    common = math.sqrt(max(1 + (size - 1) * correlation, 0.0))
    rest = math.sqrt(max(1 - correlation, 0.0))
    shared = drawn.mean(1, keepdim=True) * (common - rest)
    return drawn.mul_(rest).add_(shared)


def _negative_binomial(process: NegativeBinomial, columns: list[int], timeline: Timeline) -> Draw:
    nodes = [list(process.nodes.values())[k] for k in columns]
    mean = torch.tensor([node.mean for node in nodes], dtype=torch.float64)[:, None]
    variance = torch.tensor([node.variance for node in nodes], dtype=torch.float64)[:, None]

    def draw(stages: int, batch: int, generator: torch.Generator, like: Tensor) -> Tensor:
        return _gamma_poisson(mean, variance, (stages, len(nodes), batch), generator, like)

    return draw


def _gamma_poisson(
    mean: Tensor, variance: Tensor, shape: tuple[int, int, int], generator: torch.Generator, like: Tensor
) -> Tensor:
    """Negative binomial counts (stage, store, batch) with these means and variances (store, 1)."""
    excess = variance - mean
    # The size is infinite where variance and mean are equal; a thousand million is that to nine digits.
    size = torch.where(excess > 0, mean**2 / excess.clamp_min(1e-300), 0.0).clamp(0.0, 1e9)
    rate = torch._standard_gamma(size.to(like).expand(shape).contiguous(), generator=generator)
    scale = torch.where(size > 0, mean / size.clamp_min(1e-300), 0.0)
    return torch.poisson(rate.mul_(scale.to(like)), generator=generator)


def _seasonal(process: Seasonal, columns: list[int], timeline: Timeline) -> Draw:
    nodes = [list(process.nodes.values())[k] for k in columns]
    std = torch.tensor([node.std for node in nodes], dtype=torch.float64)[:, None]
    means = process.means(timeline)[:, columns]
    season = process.season_pattern().columns(columns)

    def draw(stages: int, batch: int, generator: torch.Generator, like: Tensor) -> Tensor:
        mean = torch.from_numpy(means[np.minimum(np.arange(stages), len(means) - 1)])[:, :, None]
        paths = _correlated(stages, len(nodes), batch, process.correlation, generator, like)
        paths = paths.mul_(std.to(like)).add_(mean.to(like)).clamp_min_(0.0)
        paths.mul_(torch.from_numpy(season.at(np.arange(stages)))[:, :, None].to(like))
        return paths.mul_(_shocks(process, stages, batch, generator, like)) if process.shock else paths

    return draw


def _shocks(process: Seasonal, stages: int, batch: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Multiplier (stage, 1, batch): shocks that started before period 0 may still last."""
    shock = process.shock
    assert shock is not None
    draws = torch.rand(stages + shock.duration - 1, batch, generator=generator, dtype=torch.float32, device=like.device)
    before = torch.nn.functional.pad((draws < shock.probability).to(torch.int32).cumsum(0), (0, 0, 1, 0))
    lasting = before[shock.duration :] > before[:stages]
    return torch.where(lasting, shock.factor, 1.0).to(like)[:, None, :]


def _intermittent(process: Intermittent, columns: list[int], timeline: Timeline) -> Draw:
    nodes = [list(process.nodes.values())[k] for k in columns]
    chance = torch.tensor([node.probability for node in nodes], dtype=torch.float64)[:, None]
    mean = torch.tensor([node.size_mean - 1 for node in nodes], dtype=torch.float64)[:, None]
    variance = torch.tensor([node.variance for node in nodes], dtype=torch.float64)[:, None]

    def draw(stages: int, batch: int, generator: torch.Generator, like: Tensor) -> Tensor:
        shape = (stages, len(nodes), batch)
        sizes = _gamma_poisson(mean, variance, shape, generator, like)
        sizes = torch.where(variance.to(like) > 0, sizes, mean.to(like)).add_(1.0)
        return sizes.mul_(
            torch.rand(shape, generator=generator, dtype=torch.float32, device=like.device) < chance.to(like)
        )

    return draw


def _empirical(process: Empirical, columns: list[int], timeline: Timeline) -> Draw:
    adjusted = process.adjusted(timeline)
    history = torch.from_numpy(adjusted.table[:, columns].T.copy())  # (store, row)
    multipliers = [pattern.columns(columns) for pattern in adjusted.multipliers]

    def draw(stages: int, batch: int, generator: torch.Generator, like: Tensor) -> Tensor:
        drawn = _rows(process, process.shift(timeline), stages, batch, generator)
        table = history.to(like)
        paths = torch.empty(stages, len(columns), batch, dtype=like.dtype, device=like.device)
        # Stage by stage, because one gather would come out store-major and need a second copy of all paths.
        for stage in range(stages):
            torch.index_select(table, 1, drawn[stage], out=paths[stage])
        for pattern in multipliers:
            paths.mul_(torch.from_numpy(pattern.at(np.arange(stages)))[:, :, None].to(like))
        return paths

    return draw


def _rows(process: Empirical, shift: int, stages: int, batch: int, generator: torch.Generator) -> Tensor:
    """The history's row (stage, batch) that each period of each scenario repeats.

    Blocks follow one another; the first is entered at a random place, so that no period is special.
    """
    block, season, device = process.block, process.season_periods, generator.device
    starts = len(process.history) - block + 1
    if block == 1 and season == 1:
        return torch.randint(starts, (stages, batch), generator=generator, device=device)
    entered = torch.randint(block, (batch,), generator=generator, device=device)
    number = -(-(stages + block - 1) // block)
    first_stage = torch.arange(number, device=device)[:, None] * block - entered  # of each block (block, batch)
    place = (first_stage + shift) % season
    choices = (starts - 1 - place) // season + 1
    uniform = torch.rand(number, batch, generator=generator, dtype=torch.float64, device=device)
    start = place + season * torch.minimum((uniform * choices).long(), choices - 1)
    along = torch.arange(stages, device=device)[:, None] + entered
    return start.gather(0, along // block) + along % block


_PREPARED: dict[type[Any], Callable[[Any, list[int], Timeline], Draw]] = {
    Poisson: _poisson,
    Normal: _normal,
    NegativeBinomial: _negative_binomial,
    Seasonal: _seasonal,
    Intermittent: _intermittent,
    Empirical: _empirical,
}
