"""Demand processes of an item as documents: parameters, rules, and the exact distribution of every period.

Demand of different periods is independent, so a process is a distribution for every period of a cycle. Free of torch
and, but for rounded normals, of scipy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from models.core import Issue, Record, pointer

Floats = npt.NDArray[np.float64]
Where = tuple[str | int, ...]
Amount = Annotated[float, Field(ge=0, le=1e6)]
Mean = Annotated[float, Field(ge=0, le=10_000)]
Multiplier = Annotated[float, Field(ge=0, le=1000)]

CERTAIN = 1e-6  # how far probabilities may miss a sum of one
TAIL = 1e-15  # probability beyond which a tail is left out
LARGEST_SUPPORT = 100_000  # values of one distribution


@dataclass(frozen=True)
class Distribution:
    """A finite distribution: values [units/period] and their probabilities, which sum to one."""

    values: Floats
    probabilities: Floats

    @property
    def mean(self) -> float:
        """E[D] [units/period]."""
        return float(self.values @ self.probabilities)

    @property
    def variance(self) -> float:
        """Var[D] [units²/period²]."""
        return float((self.values - self.mean) ** 2 @ self.probabilities)


class ItemDemand(Record):
    """Base of the processes."""

    def distributions(self, periods: int) -> list[Distribution]:
        """The distributions of periods 0, 1, … of a cycle; one if demand is alike in every period."""
        raise NotImplementedError

    def entries(self, periods: int) -> int:
        """About how many probabilities its distributions hold, without building them."""
        return 1

    def rules(self, where: Where, periods: int) -> Iterator[Issue]:
        """Rules this process breaks (error) or strains (warning) in an instance with so many periods."""
        yield from ()


class MassFunction(ItemDemand):
    """Any finite distribution."""

    process: Literal["pmf"]
    values: list[Amount] = Field(min_length=1, max_length=10_000, description="Possible demand [units/period].")
    probabilities: list[Annotated[float, Field(ge=0, le=1)]] = Field(
        min_length=1, max_length=10_000, description="Probability of each; they sum to one."
    )

    def distributions(self, periods: int) -> list[Distribution]:
        chance = np.array(self.probabilities)
        return [Distribution(np.array(self.values), chance / chance.sum())]

    def rules(self, where: Where, periods: int) -> Iterator[Issue]:
        if len(self.values) != len(self.probabilities):
            detail = f"has {len(self.probabilities)} entries, needs one for each of the {len(self.values)} values"
            yield _error("length", detail, *where, "probabilities")
        elif abs((total := sum(self.probabilities)) - 1) > CERTAIN:
            yield _error("sum", f"sum to {total:.8g}, must sum to one", *where, "probabilities")
        if len(set(self.values)) < len(self.values):
            yield _error("duplicate", "a value is named twice", *where, "values")


class Binomial(ItemDemand):
    """n customers a period, each of whom wants one unit with probability p."""

    process: Literal["binomial"]
    n: int = Field(ge=0, le=10_000, description="Number of customers.")
    p: float = Field(ge=0, le=1, description="Chance that one of them buys.")

    def distributions(self, periods: int) -> list[Distribution]:
        if self.p in (0.0, 1.0) or self.n == 0:
            return [_certain(self.n * self.p)]
        counts = np.arange(self.n + 1)
        ratio = np.log((self.n - counts[:-1]) / (counts[:-1] + 1) * (self.p / (1 - self.p)))
        return [_trimmed(self.n * math.log1p(-self.p), ratio)]


class Poisson(ItemDemand):
    """Poisson demand."""

    process: Literal["poisson"]
    mean: Mean = Field(description="μ [units/period].")

    def distributions(self, periods: int) -> list[Distribution]:
        return [counts(self.mean, self.mean)]


class NegativeBinomial(ItemDemand):
    """Negative binomial demand: Poisson whose rate varies, so it varies more than Poisson."""

    process: Literal["negative_binomial"]
    mean: Mean = Field(description="μ [units/period].")
    variance: float = Field(ge=0, le=1e8, description="σ² > μ [units²/period²].")

    def distributions(self, periods: int) -> list[Distribution]:
        return [counts(self.mean, self.variance)]

    def rules(self, where: Where, periods: int) -> Iterator[Issue]:
        if self.mean > 0 and self.variance <= self.mean:
            detail = f"must be above the mean ({self.mean:g}); a variance equal to the mean is process poisson"
            yield _error("variance", detail, *where, "variance")
        elif _count_support(self.mean, self.variance) > LARGEST_SUPPORT:
            detail = f"demand would range over more than {LARGEST_SUPPORT} values; use larger units"
            yield _error("support", detail, *where, "variance")


class Seasonal(ItemDemand):
    """Counts whose mean has a season and a trend: (mean + trend · t) · season[t mod m], Poisson or more variable."""

    process: Literal["seasonal"]
    mean: Mean = Field(description="μ in period 0 at season 1 [units/period].")
    season: list[Multiplier] = Field(
        min_length=1, max_length=10_000, description="Multipliers of period 0, 1, …; they repeat."
    )
    trend: float = Field(0.0, ge=-1e4, le=1e4, description="Added to the mean every period [units/period²].")
    dispersion: float = Field(
        1.0, ge=1, le=100, description="Variance over mean; 1 is Poisson, more is negative binomial."
    )

    def means(self, periods: int) -> Floats:
        """Mean of every period of the cycle [units/period]."""
        stages = np.arange(periods if self.trend else min(len(self.season), periods))
        means: Floats = (self.mean + self.trend * stages) * np.array(self.season)[stages % len(self.season)]
        return means

    def entries(self, periods: int) -> int:
        means = self.means(periods)
        top = float(means.max(initial=0.0))
        return len(means) * _count_support(top, top * self.dispersion)

    def distributions(self, periods: int) -> list[Distribution]:
        return [counts(mean, mean * self.dispersion) for mean in self.means(periods).tolist()]

    def rules(self, where: Where, periods: int) -> Iterator[Issue]:
        means = self.means(periods)
        if means.min() < 0:
            detail = f"the mean falls below zero in period {int((means < 0).argmax())}"
            yield _error("trend", detail, *where, "trend")
        elif means.max() > 1e5 or _count_support(means.max(), means.max() * self.dispersion) > LARGEST_SUPPORT:
            yield _error("support", "the mean exceeds 100,000; use larger units", *where, "mean")


class Forecast(ItemDemand):
    """A forecast for every period that misses: normal about it, clipped at zero, rounded to whole units."""

    process: Literal["forecast"]
    forecast: list[Amount] = Field(
        min_length=1, max_length=10_000, description="Of period 0, 1, … [units/period]; the last one goes on."
    )
    error: float = Field(ge=0, le=3, description="Standard deviation of the miss in period 0, a share of the forecast.")
    error_growth: float = Field(0.0, ge=0, le=1, description="Added to `error` for every period further ahead.")

    def entries(self, periods: int) -> int:
        spread = self.error + self.error_growth * periods
        return math.ceil(sum(self.forecast) / len(self.forecast) * 17 * spread + 2) * periods

    def distributions(self, periods: int) -> list[Distribution]:
        length = periods if self.error_growth or len(self.forecast) > 1 else 1
        last = len(self.forecast) - 1
        means = [self.forecast[min(t, last)] for t in range(length)]
        return [_rounded_normal(mean, (self.error + self.error_growth * t) * mean) for t, mean in enumerate(means)]

    def rules(self, where: Where, periods: int) -> Iterator[Issue]:
        spread = self.error + self.error_growth * (periods - 1)
        if spread > 3:
            yield _error("error", f"the error grows to {spread:.3g} of the forecast, at most 3", *where, "error_growth")
        elif max(self.forecast) * (1 + 8 * spread) > LARGEST_SUPPORT:
            detail = f"demand would range over more than {LARGEST_SUPPORT} values; use larger units"
            yield _error("support", detail, *where, "forecast")
        if 1 < len(self.forecast) < periods:
            detail = f"covers {len(self.forecast)} of {periods} periods; its last value stands for the rest"
            yield Issue("forecast", "warning", pointer(*where, "forecast"), detail)


class History(ItemDemand):
    """The user's own past demand: every period repeats one of its periods, at the same place in the season.

    Items whose histories are equally long and have the same season repeat the same period together, so what they have
    in common is kept.
    """

    process: Literal["history"]
    history: list[Amount] = Field(min_length=1, max_length=10_000, description="Oldest first [units/period].")
    season_length: int = Field(1, ge=1, le=5_000, description="Length of the season [periods]; 1: none.")

    def distributions(self, periods: int) -> list[Distribution]:
        rows, season = np.array(self.history), self.season_length
        # Period 0 follows the last row.
        places = [(len(rows) + t) % season for t in range(min(season, periods))]
        drawn = [rows[place::season] for place in places]
        return [Distribution(own, np.full(len(own), 1 / len(own))) for own in drawn]

    def rules(self, where: Where, periods: int) -> Iterator[Issue]:
        if len(self.history) < self.season_length:
            detail = f"a season of {self.season_length} periods needs as many rows, there are {len(self.history)}"
            yield _error("season_length", detail, *where, "season_length")
        elif len(self.history) < 30:
            detail = f"{len(self.history)} periods are a short history: the policy knows no other demand"
            yield Issue("short_history", "warning", pointer(*where, "history"), detail)


DemandProcess = Annotated[
    MassFunction | Binomial | Poisson | NegativeBinomial | Seasonal | Forecast | History, Field(discriminator="process")
]


def counts(mean: float, variance: float) -> Distribution:
    """Poisson, or negative binomial where the variance exceeds the mean."""
    if mean <= 0:
        return _certain(0.0)
    rows = np.arange(_count_support(mean, variance))
    if variance <= mean:
        return _trimmed(-mean, np.log(mean / (rows + 1)))
    size, fail = mean**2 / (variance - mean), 1 - mean / variance
    return _trimmed(size * math.log1p(-fail), np.log((rows + size) / (rows + 1) * fail))


def _count_support(mean: float, variance: float) -> int:
    """How far counts must be followed until only a negligible tail is left: its decay is at least 1 − mean/variance."""
    if mean <= 0:
        return 1
    over = max(variance / mean, 1.0)
    return math.ceil(mean + 12 * math.sqrt(max(variance, mean)) + 40 * over)


def _trimmed(first_log: float, log_ratios: Floats) -> Distribution:
    """Counts 0, 1, … from log P(0) and log P(k+1)/P(k), without negligible tails."""
    logs = first_log + np.concatenate([[0.0], np.cumsum(log_ratios)])
    chance = np.exp(logs)
    kept = np.flatnonzero(chance > TAIL)
    values, chance = np.arange(kept[0], kept[-1] + 1, dtype=np.float64), chance[kept[0] : kept[-1] + 1]
    return Distribution(values, chance / chance.sum())


def _rounded_normal(mean: float, std: float) -> Distribution:
    if std <= 1e-9:
        return _certain(float(round(mean)))
    from scipy.special import ndtr

    low, high = max(math.floor(mean - 8.5 * std), 0), math.ceil(mean + 8.5 * std) + 1
    values = np.arange(low, high + 1, dtype=np.float64)
    chance = np.diff(ndtr((values + 0.5 - mean) / std), prepend=0.0)
    return Distribution(values, chance / chance.sum())


def _certain(value: float) -> Distribution:
    return Distribution(np.array([value]), np.ones(1))


def _error(code: str, detail: str, *where: str | int) -> Issue:
    return Issue(code, "error", pointer(*where), detail)
