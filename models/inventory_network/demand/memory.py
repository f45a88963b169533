"""What a network remembers of past demand, and what the calendar says of the periods to come.

Most demand processes forget, and most are alike in every period; then the tensors have no columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.dynamics import Stage
from models.inventory_network.demand.forecast import smoothing_constants
from models.inventory_network.demand.process import Empirical
from models.inventory_network.demand.timeline import GREGORIAN_DAYS, LONGEST_CYCLE, Floats, Pattern
from models.inventory_network.instance import InventoryNetwork, topological_order

NEGLIGIBLE = 0.05  # share of a store's mean demand below which a period says nothing of the level
FADED = 0.01  # weight below which a past period is forgotten
LONGEST_MEMORY = 60  # [periods]
YEAR = 365.2425  # [days]


class ExpectedDemand(nn.Module):
    """Mean demand of any period [units/period], looked up in tables that repeat."""

    average: Tensor

    def __init__(self, net: InventoryNetwork, store_ids: list[str]) -> None:
        super().__init__()
        columns = [net.demand.node_ids.index(store) for store in store_ids]
        self.profile = net.demand.profile(net.timeline).columns(columns)
        self.patterns: tuple[Pattern, ...] = (self.profile.mean, *self.profile.multipliers)
        for k, pattern in enumerate(self.patterns):
            values = torch.from_numpy(pattern.values).to(torch.get_default_dtype())
            self.register_buffer(f"values_{k}", values, persistent=False)
            self.register_buffer(f"index_{k}", torch.from_numpy(pattern.index), persistent=False)
        average = torch.from_numpy(self.profile.average(net.timeline)[0]).to(torch.get_default_dtype())
        self.register_buffer("average", average, persistent=False)

    def forward(self, stage: Tensor) -> Tensor:
        """Mean demand (…, store) of the periods (…)."""
        found = torch.ones((), dtype=self.average.dtype, device=self.average.device)
        for k, pattern in enumerate(self.patterns):
            index, values = getattr(self, f"index_{k}"), getattr(self, f"values_{k}")
            length = len(pattern.index)
            place = stage.remainder(length) if pattern.repeats else stage.clamp(0, length - 1)
            row = index.index_select(0, place.reshape(-1))  # an index of one number would be read back to the processor
            found = found * values.index_select(0, row).view(*place.shape, -1)
        return found

    def periods(self, stage: Stage) -> Tensor:
        """A stage, or one per row, as a tensor beside the tables."""
        if isinstance(stage, int):
            return torch.full((), stage, dtype=torch.long, device=self.average.device)
        return stage.to(self.average.device).long()


class DemandMemory(nn.Module):
    """What of the past helps to foresee demand: `width` columns, carried in the state as `memory`.

    All columns are demand over what was to be expected, so they are near one and free of units: first the last
    `window` periods, latest first, each with one column (`common`: total over total) or one per store; then, if the
    instance asks for a forecast, the level that exponential smoothing gives each store.
    """

    alpha: Tensor

    def __init__(self, net: InventoryNetwork, store_ids: list[str]) -> None:
        super().__init__()
        process = net.demand
        self.window = process.window
        self.common = process.common
        self.store_ids = list(store_ids)
        self.num_stores = len(store_ids)
        self.smooths = isinstance(process, Empirical) and process.forecast is not None
        self.lag_width = 1 if self.common else self.num_stores
        self.width = self.window * self.lag_width + (self.num_stores if self.smooths else 0)
        self.expected = ExpectedDemand(net, store_ids) if self.width else None
        constants = _constants(process, net, store_ids) if isinstance(process, Empirical) and self.smooths else None
        alpha = torch.zeros(0) if constants is None else torch.from_numpy(constants).to(torch.get_default_dtype())
        self.register_buffer("alpha", alpha, persistent=False)

    @property
    def needed(self) -> int:
        """How many past periods the memory makes use of; older ones have faded."""
        slow = [a for a in self.alpha.tolist() if a > 0]
        fade = max((math.ceil(math.log(FADED) / math.log1p(-a)) if a < 1 else 1 for a in slow), default=0)
        return max(self.window, min(fade, LONGEST_MEMORY))

    def initial(self) -> Float[Tensor, " width"]:
        """The memory at stage 0: demand so far was what was to be expected."""
        return torch.ones(self.width)

    def update(
        self, memory: Float[Tensor, "batch width"], demand: Float[Tensor, "batch store"], stage: Stage
    ) -> Float[Tensor, "batch width"]:
        """The memory once `demand` [units/period] has struck."""
        if self.expected is None:
            return memory
        expected = self.expected(self.expected.periods(stage)).expand(demand.shape[0], -1)
        return self._advance(memory, demand, expected, expected > NEGLIGIBLE * self.expected.average)

    def read(self, history: Mapping[str, Sequence[float]], stage: int) -> Float[Tensor, " width"]:
        """The memory that a planner's past demand leaves at `stage`: by store, oldest first."""
        return self.read_all([history], torch.tensor([stage]))[0]

    def read_all(
        self, histories: Sequence[Mapping[str, Sequence[float]]], stage: Stage
    ) -> Float[Tensor, "batch width"]:
        """`read` for many states at once; a store or a period that is missing changes nothing."""
        needed = self.needed
        table = np.full((len(histories), needed, self.num_stores), np.nan)
        for row, history in enumerate(histories):
            for place, store in enumerate(self.store_ids):
                recent = list(history.get(store, ()))[-needed:] if needed else []
                table[row, needed - len(recent) :, place] = recent
        return self.replay(torch.from_numpy(table), stage)

    def replay(self, history: Float[Tensor, "batch period store"], stage: Stage) -> Float[Tensor, "batch width"]:
        """The memory that past demand leaves, oldest first, the last period being the one before `stage`.

        NaN stands for a demand that is not known; it changes nothing.
        """
        history = history.to(self.alpha)
        batch, length, _ = history.shape
        memory = self.initial().to(history).expand(batch, -1)
        if self.expected is None:
            return memory
        now = self.expected.periods(stage)
        for k in range(length):
            demand = history[:, k]
            expected = self.expected(now - length + k).expand(batch, -1)
            told = ~demand.isnan() & (expected > NEGLIGIBLE * self.expected.average)
            memory = self._advance(memory, demand.nan_to_num(), expected, told)
        return memory

    def _advance(self, memory: Tensor, demand: Tensor, expected: Tensor, told: Tensor) -> Tensor:
        """One period on; where a period tells nothing the level stays and the period counts as expected."""
        relative = torch.where(told, demand / torch.where(told, expected, 1.0), 1.0)
        latest = relative
        if self.common and self.window:
            due = torch.where(told, expected, 0.0).sum(1, keepdim=True)
            seen = torch.where(told, demand, 0.0).sum(1, keepdim=True)
            latest = torch.where(due > 0, seen / torch.where(due > 0, due, 1.0), 1.0)
        kept = self.lag_width * (self.window - 1)
        parts = [latest.t(), memory.t()[:kept]] if self.window else []
        if self.smooths:
            level = memory.t()[self.window * self.lag_width :]
            parts.append(torch.where(told.t(), level + self.alpha[:, None] * (relative.t() - level), level))
        return torch.cat(parts).t()


def _constants(process: Empirical, net: InventoryNetwork, store_ids: list[str]) -> Floats:
    """Smoothing constants of the stores, fitted to the history over what was to be expected of each row."""
    columns = [process.nodes.index(store) for store in store_ids]
    profile = process.profile(net.timeline).columns(columns)
    adjusted = process.adjusted(net.timeline).table[:, columns]
    expected = profile.mean.at(np.arange(len(adjusted)) - process.shift(net.timeline))
    told = expected > NEGLIGIBLE * expected.mean(0)
    return smoothing_constants(np.divide(adjusted, expected, out=np.ones_like(adjusted), where=told))


class DemandCalendar(nn.Module):
    """Features of a period that say what demand to expect: `width` columns, of order one.

    First the phase of everything that repeats (season, week, year, planned prices) as cosine and sine, then mean demand
    over the next few periods as a multiple of the usual, one column per window for every group of stores that have the
    same multiples. There are none if demand is alike in every period. A planned price shows in the demand it makes
    expected.
    """

    cycle_length: Tensor
    cycle_start: Tensor
    cycle_step: Tensor
    angle: Tensor
    representative: Tensor

    def __init__(self, net: InventoryNetwork, store_ids: list[str]) -> None:
        super().__init__()
        self.expected = ExpectedDemand(net, store_ids)
        self.num_stores = len(store_ids)
        self.windows = _windows(net)  # [periods]
        changes = not self.expected.profile.stationary
        cycles = _cycles(net) if changes else []
        for name, position in (("cycle_length", 0), ("cycle_start", 1), ("cycle_step", 2)):
            column = torch.tensor([cycle[position] for cycle in cycles], dtype=torch.long)
            self.register_buffer(name, column, persistent=False)
        angle = torch.tensor([2 * math.pi / cycle[3] for cycle in cycles])
        self.register_buffer("angle", angle, persistent=False)
        groups = _groups(self.expected, net) if changes else []
        self.register_buffer("representative", torch.tensor(groups, dtype=torch.long), persistent=False)
        self.width = 2 * len(cycles) + len(groups) * len(self.windows)

    def forward(self, stage: Stage, batch: int) -> Float[Tensor, "batch width"]:
        """Features of a stage, or of one stage per row."""
        periods = self.expected.periods(stage)
        if not self.width:
            return self.angle.new_zeros(batch, 0)
        day = (periods[..., None] * self.cycle_step + self.cycle_start).remainder(self.cycle_length)
        angle = day.to(self.angle) * self.angle
        outlook = self._outlook(periods, self.representative).flatten(-2)
        return torch.cat((angle.cos(), angle.sin(), outlook), dim=-1).expand(batch, -1)

    def outlook(self, stage: Stage, batch: int) -> Float[Tensor, "batch store window"]:
        """Mean demand of each store over the next 1 … `windows` periods, as a multiple of its usual mean."""
        periods = self.expected.periods(stage)
        stores = torch.arange(self.num_stores, device=periods.device)
        return self._outlook(periods, stores).expand(batch, -1, -1)

    def _outlook(self, periods: Tensor, stores: Tensor) -> Tensor:
        """(…, store, window) for the periods (…)."""
        ahead = torch.arange(self.windows[-1], device=periods.device)
        usual = self.expected.average.clamp_min(1e-9)
        relative = (self.expected(periods[..., None] + ahead) / usual)[..., stores]  # (…, ahead, store)
        return torch.stack([relative[..., :window, :].mean(-2) for window in self.windows], dim=-1)


def _windows(net: InventoryNetwork) -> list[int]:
    """Spans an order cares about [periods]: this one, the longest lane's cover, and the longest way through the net."""
    longest: dict[str, int] = {}
    for node_id in reversed(topological_order(net) or []):
        onward = [lane.lead_time + longest[lane.target] for lane in net.lanes if lane.source == node_id]
        longest[node_id] = max(onward, default=0)
    lane = max(lane.lead_time for lane in net.lanes)
    return sorted({1, lane + 1, max(longest.values()) + 1})


def _cycles(net: InventoryNetwork) -> list[tuple[int, int, int, float]]:
    """What repeats: length, place of period 0 and step per period, all whole, and the length that makes a full turn."""
    process, timeline = net.demand, net.timeline
    season = process.season_periods
    found = [(season, 0, 1, float(season))] if season > 1 else []
    if isinstance(process, Empirical):
        if "weekday" in process.covariates:
            found.append((7, int(timeline.weekday(np.zeros(1, dtype=np.int64))[0]), 1, 7.0))
        if "month" in process.covariates and timeline.start is not None:
            day = timeline.start.timetuple().tm_yday - 1
            found.append((GREGORIAN_DAYS, day, timeline.period_days, YEAR))
        if process.planned_prices and timeline.rolling and len(process.planned_prices) > 1:
            found.append((len(process.planned_prices), 0, 1, float(len(process.planned_prices))))
    return found


def _groups(expected: ExpectedDemand, net: InventoryNetwork) -> list[int]:
    """One store of each set of stores whose demand rises and falls alike, those that never change left out."""
    cycle = math.lcm(*(len(pattern.index) for pattern in expected.patterns))
    stages = np.arange(min(cycle, LONGEST_CYCLE) if net.is_rolling else net.periods)
    mean = expected.profile.at(stages)[0]
    relative = np.round(mean / np.maximum(mean.mean(0), 1e-9), 6)
    _, first = np.unique(relative, axis=1, return_index=True)
    return sorted(int(store) for store in first if np.ptp(relative[:, store]) > 0)
