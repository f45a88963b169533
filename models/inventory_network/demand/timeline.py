"""When the periods of a network lie, and figures that repeat from period to period.

Free of torch, so that documents can be checked without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

GREGORIAN_DAYS = 146_097  # the calendar repeats after 400 years
LONGEST_CYCLE = 10_000  # [periods]; averages over a longer cycle are taken over its beginning


@dataclass(frozen=True)
class Timeline:
    """The periods of a network: how many, whether they go on for ever, and their dates if it has any."""

    periods: int  # T
    rolling: bool = False
    start: date | None = None  # first day of period 0
    period_days: int = 1  # [days]

    def days(self, stages: Ints) -> Ints:
        """First day of each period, counted from 1970-01-01; periods before the start are negative. Needs a `start`."""
        if self.start is None:
            raise ValueError("the network has no start_date")
        first = self.start.toordinal() - date(1970, 1, 1).toordinal()
        return first + np.asarray(stages, dtype=np.int64) * self.period_days

    def day(self, stage: int) -> date | None:
        """First day of a period; None without dates."""
        return self.start + timedelta(days=stage * self.period_days) if self.start else None

    def weekday(self, stages: Ints) -> Ints:
        """Day of the week of each period's first day, 0 (Monday) … 6."""
        return (self.days(stages) + 3) % 7

    def month(self, stages: Ints) -> Ints:
        """Month of each period's first day, 0 (January) … 11."""
        return self.days(stages).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12

    def date_cycle(self, days: int) -> int:
        """Periods after which a pattern of so many days repeats."""
        return days // math.gcd(days, self.period_days)


@dataclass(frozen=True)
class Pattern:
    """Figures of every store that change with the period: `values[index[t]]`, t wrapped around or held at its end."""

    values: Floats  # (row, store)
    index: Ints  # (period,) row of each period
    repeats: bool = True

    def at(self, stages: Ints) -> Floats:
        """Figures of the periods asked for (stage, store)."""
        length = len(self.index)
        place = stages % length if self.repeats else np.clip(stages, 0, length - 1)
        return self.values[self.index[place]]

    def columns(self, columns: list[int]) -> Pattern:
        """The pattern of some stores, in their order."""
        return Pattern(self.values[:, columns], self.index, self.repeats)

    @property
    def changes(self) -> bool:
        """Whether any two periods differ."""
        return bool((self.values[self.index] != self.values[self.index[0]]).any()) if len(self.index) > 1 else False


def constant(values: Floats) -> Pattern:
    """The same figures (store,) in every period."""
    return Pattern(np.asarray(values, dtype=np.float64)[None], np.zeros(1, dtype=np.int64))


def rows(values: Floats, repeats: bool = True) -> Pattern:
    """One row of figures (period, store) after the other."""
    return Pattern(np.asarray(values, dtype=np.float64), np.arange(len(values), dtype=np.int64), repeats)


@dataclass(frozen=True)
class Profile:
    """Mean and standard deviation of demand in every period: a level times multipliers [units/period]."""

    mean: Pattern
    std: Pattern
    multipliers: tuple[Pattern, ...] = ()

    def at(self, stages: Ints) -> tuple[Floats, Floats]:
        """Mean and standard deviation of each period and store (stage, store)."""
        factor = np.ones_like(self.mean.at(stages))
        for pattern in self.multipliers:
            factor = factor * pattern.at(stages)
        return self.mean.at(stages) * factor, self.std.at(stages) * factor

    def average(self, timeline: Timeline) -> tuple[Floats, Floats]:
        """Mean and standard deviation (store,) of a period taken at random: of the horizon, or of a whole cycle."""
        periods = timeline.periods
        if timeline.rolling:
            cycle = math.lcm(*(len(p.index) for p in (self.mean, self.std, *self.multipliers) if p.changes))
            periods = min(cycle, LONGEST_CYCLE)
        mean, std = self.at(np.arange(periods))
        return mean.mean(0), np.sqrt((std**2).mean(0) + mean.var(0))

    @property
    def stationary(self) -> bool:
        """Whether every period has the same mean."""
        return not any(pattern.changes for pattern in (self.mean, *self.multipliers))

    def columns(self, columns: list[int]) -> Profile:
        """The profile of some stores, in their order."""
        multipliers = tuple(pattern.columns(columns) for pattern in self.multipliers)
        return Profile(self.mean.columns(columns), self.std.columns(columns), multipliers)
