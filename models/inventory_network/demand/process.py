"""Demand processes as documents: what they are called, their parameters, the rules that bind them.

The user's own history is in `models.inventory_network.demand.history`; how all are sampled in
`models.inventory_network.demand.sampling`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from models.core import Issue, Record
from models.inventory_network.demand.document import ANY_TIME, DemandDocument, Level, error, warning
from models.inventory_network.demand.history import Empirical
from models.inventory_network.demand.timeline import Floats, Pattern, Profile, Timeline, constant, rows

__all__ = ["DemandProcess", "Empirical", "Intermittent", "NegativeBinomial", "Normal", "Poisson", "Seasonal"]

Probability = Annotated[float, Field(ge=0, le=1)]
Multiplier = Annotated[float, Field(ge=0, le=1000)]
Season = Annotated[list[Multiplier], Field(min_length=1, max_length=10_000)]


class PoissonDemand(Record):
    mean: Level = Field(description="Mean demand μ [units/period].")


class Poisson(DemandDocument):
    """Independent Poisson demand."""

    process: Literal["poisson"]
    nodes: dict[str, PoissonDemand] = Field(min_length=1)

    @property
    def node_ids(self) -> list[str]:
        return list(self.nodes)

    def profile(self, timeline: Timeline) -> Profile:
        mean = np.array([node.mean for node in self.nodes.values()])
        return Profile(constant(mean), constant(np.sqrt(mean)))

    def rules(self, where: tuple[str, ...], timeline: Timeline = ANY_TIME) -> Iterator[Issue]:
        yield from ()


class NormalDemand(Record):
    mean: Level = Field(description="Mean μ before clipping [units/period].")
    std: Level = Field(description="Standard deviation σ before clipping [units/period].")


class Normal(DemandDocument):
    """Normal demand, equally correlated between nodes, independent between periods."""

    process: Literal["normal"]
    nodes: dict[str, NormalDemand] = Field(min_length=1)
    correlation: float = Field(0.0, ge=-1, le=1, description="ρ between any two nodes in the same period.")
    clip_at_zero: bool = Field(True, description="Negative draws become zero; required (demand is never negative).")

    @property
    def node_ids(self) -> list[str]:
        return list(self.nodes)

    def profile(self, timeline: Timeline) -> Profile:
        nodes = self.nodes.values()
        mean, std = clipped_moments(np.array([n.mean for n in nodes]), np.array([n.std for n in nodes]))
        return Profile(constant(mean), constant(std))

    def rules(self, where: tuple[str, ...], timeline: Timeline = ANY_TIME) -> Iterator[Issue]:
        yield from _correlation_rules(self.correlation, len(self.nodes), where)
        if not self.clip_at_zero:
            yield error("clip", "demand is never negative: must be true", *where, "clip_at_zero")


class NegativeBinomialDemand(Record):
    mean: float = Field(gt=0, le=1e6, description="Mean demand μ [units/period].")
    variance: float = Field(gt=0, le=1e12, description="Variance σ² > μ [units²/period²].")


class NegativeBinomial(DemandDocument):
    """Independent negative binomial demand: Poisson whose rate is gamma distributed, so it varies more than Poisson."""

    process: Literal["negative_binomial"]
    nodes: dict[str, NegativeBinomialDemand] = Field(min_length=1)

    @property
    def node_ids(self) -> list[str]:
        return list(self.nodes)

    def profile(self, timeline: Timeline) -> Profile:
        nodes = self.nodes.values()
        return Profile(
            constant(np.array([n.mean for n in nodes])), constant(np.sqrt(np.array([n.variance for n in nodes])))
        )

    def rules(self, where: tuple[str, ...], timeline: Timeline = ANY_TIME) -> Iterator[Issue]:
        for node_id, node in self.nodes.items():
            if node.variance <= node.mean:
                detail = f"must be above the mean ({node.mean:g}); a variance equal to the mean is process poisson"
                yield error("variance", detail, *where, "nodes", node_id, "variance")


class SeasonalDemand(Record):
    mean: Level = Field(description="Mean μ in period 0 at season 1, before clipping [units/period].")
    std: Level = Field(description="Standard deviation σ at season 1, before clipping [units/period].")
    trend: float = Field(0.0, ge=-1e6, le=1e6, description="τ, added to the mean every period [units/period²].")
    season: Season | None = Field(None, description="Own multipliers, instead of the process's `season`.")


class Shock(Record):
    """Now and then something multiplies the demand of all nodes for a while."""

    probability: Probability = Field(description="That a shock starts in a period.")
    factor: Multiplier = Field(description="Multiplies demand while a shock lasts.")
    duration: int = Field(1, ge=1, le=100, description="How long a shock lasts [periods]; shocks may overlap as one.")


class Seasonal(DemandDocument):
    """Normal demand with trend, season and shocks, clipped at zero.

    D_t = max(0, μ + τ·t + σ·z_t) · season[t mod m] · (factor while a shock lasts, else 1)
    """

    process: Literal["seasonal"]
    nodes: dict[str, SeasonalDemand] = Field(min_length=1)
    season: Season = Field([1.0], description="Multipliers of period 0, 1, …; they repeat. [1] is no season.")
    shock: Shock | None = None
    correlation: float = Field(0.0, ge=-1, le=1, description="ρ of z between any two nodes in the same period.")

    @property
    def node_ids(self) -> list[str]:
        return list(self.nodes)

    @property
    def season_periods(self) -> int:
        return max(len(node.season or self.season) for node in self.nodes.values())

    @property
    def window(self) -> int:
        return min(self.shock.duration - 1, 8) if self.shock and self.shock.probability > 0 else 0

    @property
    def common(self) -> bool:
        return True

    @property
    def shocked(self) -> float:
        """Share of the periods in which a shock lasts: one started in the last `duration` periods."""
        return 1 - (1 - self.shock.probability) ** self.shock.duration if self.shock else 0.0

    def season_pattern(self) -> Pattern:
        """Season multipliers of every node."""
        seasons = [node.season or self.season for node in self.nodes.values()]
        length = self.season_periods
        return rows(np.array([season * (length // len(season)) for season in seasons]).T)

    def means(self, timeline: Timeline) -> Floats:
        """μ + τ·t before season and clipping (period, node); one row if there is no trend."""
        mean = np.array([node.mean for node in self.nodes.values()])
        trend = np.array([node.trend for node in self.nodes.values()])
        stages = np.arange(timeline.periods if trend.any() else 1)
        found: Floats = mean + stages[:, None] * trend
        return found

    def profile(self, timeline: Timeline) -> Profile:
        mean, std = clipped_moments(self.means(timeline), np.array([node.std for node in self.nodes.values()]))
        if self.shock:
            share, factor = self.shocked, self.shock.factor
            second = (mean**2 + std**2) * (1 - share + share * factor**2)
            mean = mean * (1 - share + share * factor)
            std = np.sqrt(np.maximum(second - mean**2, 0.0))
        return Profile(rows(mean, repeats=False), rows(std, repeats=False), (self.season_pattern(),))

    def rules(self, where: tuple[str, ...], timeline: Timeline = ANY_TIME) -> Iterator[Issue]:
        yield from _correlation_rules(self.correlation, len(self.nodes), where)
        for node_id, node in self.nodes.items():
            yield from _season_rules(self, node, (*where, "nodes", node_id))
            yield from _trend_rules(node, (*where, "nodes", node_id, "trend"), timeline)
        shared = any(node.season is None for node in self.nodes.values())
        if shared and self.season_periods % len(self.season):
            detail = f"{len(self.season)} multipliers do not fit a season of {self.season_periods} periods"
            yield error("season", detail, *where, "season")
        if shared and not any(self.season):
            yield error("season", "all multipliers are zero: there is never any demand", *where, "season")
        if timeline.rolling and timeline.periods < self.season_periods:
            detail = (
                f"its {self.season_periods} periods are more than the {timeline.periods} simulated: some are never seen"
            )
            yield warning("season", detail, *where, "season")


def _season_rules(process: Seasonal, node: SeasonalDemand, where: tuple[str, ...]) -> Iterator[Issue]:
    if node.season is None:
        return
    if process.season_periods % len(node.season):
        detail = f"{len(node.season)} multipliers do not fit a season of {process.season_periods} periods"
        yield error("season", detail, *where, "season")
    if not any(node.season):
        yield error("season", "all multipliers are zero: there is never any demand", *where, "season")


def _trend_rules(node: SeasonalDemand, where: tuple[str, ...], timeline: Timeline) -> Iterator[Issue]:
    if node.trend == 0:
        return
    if timeline.rolling:
        detail = (
            'a trend without end has no policy that is the same in every period; use "horizon": "finite" or no trend'
        )
        yield error("trend", detail, *where)
    elif node.mean + node.trend * (timeline.periods - 1) < 0:
        detail = f"the mean falls below zero in period {math.ceil(node.mean / -node.trend + 1e-9)}, within the horizon"
        yield error("trend", detail, *where)


class IntermittentDemand(Record):
    probability: float = Field(gt=0, le=1, description="That there is any demand in a period.")
    size_mean: float = Field(ge=1, le=1e6, description="Mean size of a demand [units], at least 1.")
    size_variance: float | None = Field(
        None, ge=0, le=1e12, description="Variance of the size [units²]. Default: geometric sizes, m·(m − 1)."
    )

    @property
    def variance(self) -> float:
        """Variance of a demand's size, geometric if nothing is said [units²]."""
        return self.size_mean * (self.size_mean - 1) if self.size_variance is None else self.size_variance


class Intermittent(DemandDocument):
    """Spare parts: most periods nothing, now and then one plus a negative binomial number of units."""

    process: Literal["intermittent"]
    nodes: dict[str, IntermittentDemand] = Field(min_length=1)

    @property
    def node_ids(self) -> list[str]:
        return list(self.nodes)

    def profile(self, timeline: Timeline) -> Profile:
        nodes = self.nodes.values()
        chance, size = np.array([n.probability for n in nodes]), np.array([n.size_mean for n in nodes])
        second = chance * (np.array([n.variance for n in nodes]) + size**2)
        mean = chance * size
        return Profile(constant(mean), constant(np.sqrt(second - mean**2)))

    def rules(self, where: tuple[str, ...], timeline: Timeline = ANY_TIME) -> Iterator[Issue]:
        for node_id, node in self.nodes.items():
            least = node.size_mean - 1
            if node.variance != 0 and node.variance <= least:
                detail = f"must be 0 (always the same size) or above size_mean − 1 ({least:g}): negative binomial sizes"
                yield error("size_variance", detail, *where, "nodes", node_id, "size_variance")


def _correlation_rules(correlation: float, nodes: int, where: tuple[str, ...]) -> Iterator[Issue]:
    lowest = -1.0 / (nodes - 1) if nodes > 1 else -1.0
    if correlation < lowest:
        yield error("correlation", f"{nodes} nodes cannot all be correlated below {lowest:.4g}", *where, "correlation")


def clipped_moments(mean: Floats, std: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of max(X, 0) for normal X, elementwise."""
    from scipy.special import ndtr

    mean, std = np.broadcast_arrays(np.asarray(mean, dtype=np.float64), np.asarray(std, dtype=np.float64))
    spread = np.where(std > 0, std, 1.0)
    z = mean / spread
    density, above = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi), ndtr(z)
    first = mean * above + spread * density
    variance = (mean**2 + spread**2) * above + mean * spread * density - first**2
    sure = np.maximum(mean, 0.0)
    return np.where(std > 0, first, sure), np.where(std > 0, np.sqrt(np.maximum(variance, 0.0)), 0.0)


DemandProcess = Annotated[
    Poisson | Normal | NegativeBinomial | Seasonal | Intermittent | Empirical, Field(discriminator="process")
]
