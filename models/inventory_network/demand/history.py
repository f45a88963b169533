"""The user's own history as demand: drawn in blocks, season by season, adjusted for calendar and price."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from importlib.util import find_spec
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from models.core import Issue
from models.inventory_network.demand.covariates import Elasticity, calendar_multipliers, price_elasticity
from models.inventory_network.demand.document import ANY_TIME, DemandDocument, Level, error, warning
from models.inventory_network.demand.timeline import (
    GREGORIAN_DAYS,
    Floats,
    Ints,
    Pattern,
    Profile,
    Timeline,
    rows,
)

Price = Annotated[float, Field(gt=0, le=1e9)]
Date = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
SHORT = 30  # [periods] below which a history is called short
MEMBERS = {"weekday": 7, "month": 12}


class Empirical(DemandDocument):
    """The user's own history: one row per period, oldest first, columns by node; blocks of rows are drawn.

    A row holds all nodes of one past period, so the correlation between nodes is kept; a block of consecutive rows also
    keeps what one period says of the next (moving-block bootstrap, Künsch 1989). With `season_length` rows are used
    at their own place in the season. `covariates` and `prices` divide what they explain out of the history and multiply
    what is to be expected of them into the future: a row of a Monday can serve a Sunday.
    """

    process: Literal["empirical"]
    nodes: list[str] = Field(min_length=1, description="Node of each column of `history`.")
    history: list[list[Level]] = Field(min_length=1, max_length=100_000, description="Demand [units/period].")
    block: int = Field(1, ge=1, le=10_000, description="Length of the blocks drawn [periods]; 1 draws single rows.")
    season_length: int | None = Field(
        None, ge=2, le=10_000, description="Length of the season [periods]; rows are used at their place in the season."
    )
    first_date: Date | None = Field(
        None, description="First day of the first row. Default: the history ends right before `start_date`."
    )
    covariates: list[Literal["weekday", "month"]] = Field(
        default_factory=list, max_length=2, description="Calendar effects to fit and to expect; needs `start_date`."
    )
    prices: list[list[Price]] | None = Field(
        None, description="Price in every row of `history`, by node [money/unit]; fits how demand answers to price."
    )
    planned_prices: list[list[Price]] | None = Field(
        None,
        max_length=10_000,
        description="Price of every period to come, by node [money/unit]; repeats if the horizon is rolling.",
    )
    forecast: Literal["exponential_smoothing"] | None = Field(
        None, description="Tells the policy a smoothed level of past demand, its constant fitted to the history."
    )

    @property
    def node_ids(self) -> list[str]:
        return list(self.nodes)

    def place(self, node_id: str) -> str | int:
        return self.nodes.index(node_id)

    @property
    def window(self) -> int:
        return min(self.block - 1, 4)

    @property
    def season_periods(self) -> int:
        return self.season_length or 1

    @cached_property
    def table(self) -> Floats:
        """The history (row, node) [units/period]."""
        return np.array(self.history, dtype=np.float64)

    def shift(self, timeline: Timeline) -> int:
        """Periods from the history's first row to period 0."""
        if self.first_date is None or timeline.start is None:
            return len(self.history)
        return (timeline.start - date.fromisoformat(self.first_date)).days // timeline.period_days

    def start_weights(self) -> Floats:
        """Chance (row,) that a block starts at each row, among the rows at the same place in the season."""
        season, starts = self.season_periods, len(self.history) - self.block + 1
        place = np.arange(starts) % season
        weights: Floats = 1.0 / np.bincount(place, minlength=season)[place]
        return weights

    def row_weights(self) -> Floats:
        """Chance (row,) that each row is drawn in a period at its place in the season.

        A period is equally likely to be the first, second, … of its block, and blocks overlap the ends of the history
        less often than its middle.
        """
        weights: Floats = np.convolve(self.start_weights(), np.ones(self.block)) / self.block
        return weights

    @cached_property
    def fits(self) -> dict[Timeline, Adjusted]:
        """What was fitted already, by the periods it is for; fits of long histories take seconds."""
        return {}

    def adjusted(self, timeline: Timeline) -> Adjusted:
        """The history with what covariates explain divided out, and what they mean for the future."""
        if timeline not in self.fits:
            self.fits[timeline] = self._fitted(timeline)
        return self.fits[timeline]

    def _fitted(self, timeline: Timeline) -> Adjusted:
        stages = np.arange(len(self.history)) - self.shift(timeline)
        groups = [getattr(timeline, name)(stages) for name in self.covariates]
        sizes = [MEMBERS[name] for name in self.covariates]
        table, multipliers = self.table, []
        elasticity: list[Elasticity] = []
        if self.prices is not None:
            past, planned = np.array(self.prices), np.array(self.planned_prices)
            elasticity = [price_elasticity(self.table[:, k], past[:, k], groups, sizes) for k in range(len(self.nodes))]
            power = -np.array([found.value for found in elasticity])
            usual = np.exp(np.log(past).mean(0))
            table = table / (past / usual) ** power
            multipliers.append(rows((planned / usual) ** power, repeats=timeline.rolling))
        if groups:
            calendar = calendar_multipliers(table, groups, sizes)
            explained = np.prod([found[group] for found, group in zip(calendar, groups, strict=True)], axis=0)
            table = _without(table, explained)
            multipliers += [
                Pattern(found, self._members(name, timeline))
                for name, found in zip(self.covariates, calendar, strict=True)
            ]
        return Adjusted(table, tuple(multipliers), tuple(elasticity))

    @staticmethod
    def _members(name: str, timeline: Timeline) -> Ints:
        cycle = timeline.date_cycle(7 if name == "weekday" else GREGORIAN_DAYS)
        members: Ints = getattr(timeline, name)(np.arange(cycle))
        return members

    def profile(self, timeline: Timeline) -> Profile:
        adjusted = self.adjusted(timeline)
        weights, season = self.row_weights()[:, None], self.season_periods
        # Row r serves the periods t with t + shift ≡ r (mod season).
        place = (np.arange(len(self.history)) - self.shift(timeline)) % season
        first, second = np.zeros((season, len(self.nodes))), np.zeros((season, len(self.nodes)))
        np.add.at(first, place, weights * adjusted.table)
        np.add.at(second, place, weights * adjusted.table**2)
        std = np.sqrt(np.maximum(second - first**2, 0.0))
        return Profile(rows(first), rows(std), adjusted.multipliers)

    def rules(self, where: tuple[str, ...], timeline: Timeline = ANY_TIME) -> Iterator[Issue]:
        broken = [*_table_rules(self, where), *_block_rules(self, where), *_date_rules(self, where, timeline)]
        if not any(issue.severity == "error" for issue in broken):
            broken += _price_rules(self, where, timeline)
            broken += _trend_rules(self, where)
        yield from broken


@dataclass(frozen=True)
class Adjusted:
    """A history made comparable from period to period, and what multiplies it in every period to come."""

    table: Floats  # (row, node) [units/period]
    multipliers: tuple[Pattern, ...]
    elasticity: tuple[Elasticity, ...]  # by node; empty without prices


def _without(table: Floats, explained: Floats) -> Floats:
    """`table` over `explained`; where nothing was ever to be expected the row says nothing and becomes the mean."""
    known = explained > 0
    found = np.divide(table, explained, out=np.zeros_like(table), where=known)
    mean = found.sum(0) / np.maximum(known.sum(0), 1)
    return np.where(known, found, mean)


def _table_rules(process: Empirical, where: tuple[str, ...]) -> Iterator[Issue]:
    nodes = len(process.nodes)
    if len(set(process.nodes)) < nodes:
        yield error("duplicate", "a node is named twice", *where, "nodes")
    for name in ("history", "prices", "planned_prices"):
        for index, row in enumerate(getattr(process, name) or []):
            if len(row) != nodes:
                detail = f"has {len(row)} values, needs one for each of the {nodes} nodes"
                yield error("length", detail, *where, name, index)
    if 1 < len(process.history) < SHORT:
        detail = f"{len(process.history)} periods are a short history: the policy knows no other demand"
        yield warning("short_history", detail, *where, "history")


def _block_rules(process: Empirical, where: tuple[str, ...]) -> Iterator[Issue]:
    length, season = len(process.history), process.season_periods
    if process.season_length and length < 2 * season:
        detail = f"a season of {season} periods needs at least {2 * season} rows of history, there are {length}"
        yield error("season_length", detail, *where, "season_length")
    elif process.block > length:
        yield error("block", f"is longer than the history ({length} rows)", *where, "block")
    elif length - process.block + 1 < season:
        detail = f"too few blocks of {process.block} rows start in {length} rows to fill a season of {season} periods"
        yield error("block", detail, *where, "block")
    elif process.block > 1 and length < 4 * process.block:
        detail = f"{length} rows hold fewer than four blocks of {process.block}: simulated demand repeats the history"
        yield warning("block", detail, *where, "block")
    if process.forecast and find_spec("statsmodels") is None:
        detail = "needs the forecasting library of the extra `forecast`: pip install 'herenow[forecast]'"
        yield error("forecast", detail, *where, "forecast")


def _date_rules(process: Empirical, where: tuple[str, ...], timeline: Timeline) -> Iterator[Issue]:
    if (process.covariates or process.first_date) and timeline.start is None:
        name = "covariates" if process.covariates else "first_date"
        yield error("start_date", "needs the network's start_date", *where, name)
        return
    if len(set(process.covariates)) < len(process.covariates):
        yield error("duplicate", "is named twice", *where, "covariates")
    if process.first_date:
        yield from _first_date_rules(process, (*where, "first_date"), timeline)
    if "weekday" in process.covariates and timeline.period_days != 1:
        yield error("weekday", "needs periods of one day (period_days 1)", *where, "covariates")
        return
    if timeline.start is None or not process.covariates:
        return
    stages = np.arange(len(process.history)) - process.shift(timeline)
    for name in process.covariates:
        missing = MEMBERS[name] - len(np.unique(getattr(timeline, name)(stages)))
        if missing:
            detail = f"the history has no {name} of {missing} of the {MEMBERS[name]}: their effect is unknown"
            yield error("covariates", detail, *where, "covariates")


def _first_date_rules(process: Empirical, where: tuple[str, ...], timeline: Timeline) -> Iterator[Issue]:
    assert timeline.start is not None
    try:
        first = date.fromisoformat(process.first_date or "")
    except ValueError:
        yield error("date", "is not a day of the calendar", *where)
        return
    gap = (timeline.start - first).days
    if gap % timeline.period_days:
        detail = f"must lie a whole number of periods ({timeline.period_days} days) before start_date"
        yield error("first_date", detail, *where)
    elif gap // timeline.period_days < len(process.history):
        detail = f"the history of {len(process.history)} periods would reach past start_date ({timeline.start})"
        yield error("first_date", detail, *where)


def _price_rules(process: Empirical, where: tuple[str, ...], timeline: Timeline) -> Iterator[Issue]:
    if (process.prices is None) != (process.planned_prices is None):
        missing = "prices" if process.prices is None else "planned_prices"
        yield error("prices", "past and planned prices go together: one is missing", *where, missing)
        return
    if process.prices is None or process.planned_prices is None:
        return
    if len(process.prices) != len(process.history):
        detail = f"has {len(process.prices)} rows, needs one for each of the {len(process.history)} rows of history"
        yield error("length", detail, *where, "prices")
        return
    if not process.planned_prices or (not timeline.rolling and len(process.planned_prices) != timeline.periods):
        detail = f"has {len(process.planned_prices)} rows, needs one for each of the {timeline.periods} periods"
        yield error("length", detail, *where, "planned_prices")
        return
    past, planned = np.array(process.prices), np.array(process.planned_prices)
    for k, found in enumerate(process.adjusted(timeline).elasticity):
        name = process.nodes[k]
        if found.problem:
            yield error("elasticity", f"{name}: {found.problem}", *where, "prices")
        elif found.value < 0:
            detail = (
                f"{name}: past demand rose with the price (elasticity {found.value:.2f} ± {found.standard_error:.2f})"
            )
            yield warning("elasticity", detail, *where, "prices")
        elif found.value < 2 * found.standard_error:
            detail = f"{name}: the effect of the price is uncertain ({found.value:.2f} ± {found.standard_error:.2f})"
            yield warning("elasticity", detail, *where, "prices")
        if planned[:, k].min() < 0.8 * past[:, k].min() or planned[:, k].max() > 1.25 * past[:, k].max():
            detail = (
                f"{name}: planned prices leave the range of past ones ({past[:, k].min():g} to {past[:, k].max():g})"
            )
            yield warning("extrapolation", detail, *where, "planned_prices")


def _trend_rules(process: Empirical, where: tuple[str, ...]) -> Iterator[Issue]:
    """Rows are drawn as if demand had always been the same; a history that grew or shrank says so."""
    season = process.season_periods
    half = len(process.history) // 2 // season * season
    if half < SHORT // 2:
        return
    early, late = process.table[:half].sum(1), process.table[-half:].sum(1)
    spread = np.sqrt((early.var() + late.var()) / half * min(process.block, half))
    change = late.mean() - early.mean()
    if spread > 0 and abs(change) > 4 * spread and abs(change) > 0.2 * early.mean():
        detail = (
            f"total demand went from {early.mean():.4g} to {late.mean():.4g} a period between the history's halves; "
            "rows are drawn as if it had not changed"
        )
        yield warning("history_trend", detail, *where, "history")
