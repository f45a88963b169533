"""What a planner looks at, in words every problem shares: networks, matrices, series with bands, schedules.

A figure is a value that is checked when it is made and becomes plain JSON; how it is drawn is no business of this
floor. Free of torch and numpy. Figures stay small whatever the instance: who draws one shows the largest parts and
says so in the caption (`shown`).
"""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

DIGITS = 6  # significant digits that a figure keeps
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles a fan is drawn from: an outer band, an inner one, the median."""
MOST_PLACES = 20  # places (stores, items, plants) with a series of their own in a group of figures
MOST_STAGES = 120  # coming stages drawn, and as many past ones
FAN_NUMBERS = 8_000_000  # numbers drawn at most for the quantiles of one instance
FAN_SCENARIOS = (64, 1024)  # scenarios drawn, at least and at most

Mark = Literal["line", "bar", "area", "point"]
Number = float | None
T = TypeVar("T")


@dataclass(frozen=True)
class Figure(ABC):
    """Something to look at; `caption` says in one sentence what to read from it.

    Figures of one `group` show the same for different places.
    """

    key: str
    title: str
    caption: str
    group: str | None = None

    kind: ClassVar[str]

    def document(self) -> dict[str, Any]:
        """Plain JSON: what all figures have, then what this kind has."""
        head = {"key": self.key, "title": self.title, "caption": self.caption, "kind": self.kind, "group": self.group}
        return head | self._body()

    def _body(self) -> dict[str, Any]:
        raise NotImplementedError

    def _demand(self, holds: bool, what: str) -> None:
        if not holds:
            raise ValueError(f"figure {self.key!r}: {what}")


@dataclass(frozen=True)
class Fact:
    """A labelled value, with its unit where it has one."""

    label: str
    value: float | str
    unit: str = ""

    def document(self) -> list[Any]:
        """[label, value, unit]."""
        return [self.label, number(self.value) if isinstance(self.value, float | int) else self.value, self.unit]


@dataclass(frozen=True)
class Node:
    """A place in a network. `tier` is its column where the drawing has layers; `group` a word with a colour."""

    id: str
    label: str
    group: str
    tier: int = 0
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True)
class Link:
    """A directed tie between two nodes."""

    source: str
    target: str
    label: str = ""
    group: str = ""
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True)
class Network(Figure):
    """Nodes and links: `layered` from left to right by tier, or `free` where there is no direction."""

    nodes: tuple[Node, ...] = ()
    links: tuple[Link, ...] = ()
    layout: Literal["layered", "free"] = "layered"

    kind: ClassVar[str] = "network"

    def __post_init__(self) -> None:
        known = {node.id for node in self.nodes}
        self._demand(len(known) == len(self.nodes), "two nodes have the same id")
        lost = next((link for link in self.links if link.source not in known or link.target not in known), None)
        self._demand(lost is None, f"a link names a node that is not drawn: {lost}")

    def _body(self) -> dict[str, Any]:
        nodes = [
            {"id": n.id, "label": n.label, "tier": n.tier, "group": n.group, "facts": [f.document() for f in n.facts]}
            for n in self.nodes
        ]
        links = [
            {"from": k.source, "to": k.target, "label": k.label, "group": k.group}
            | {"facts": [f.document() for f in k.facts]}
            for k in self.links
        ]
        return {"layout": self.layout, "nodes": nodes, "links": links}


@dataclass(frozen=True)
class Matrix(Figure):
    """A table of numbers, words and gaps (None)."""

    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    values: tuple[tuple[float | str | None, ...], ...] = ()
    unit: str = ""

    kind: ClassVar[str] = "matrix"

    def __post_init__(self) -> None:
        self._demand(len(self.values) == len(self.rows), f"{len(self.values)} rows of values, {len(self.rows)} names")
        fits = all(len(row) == len(self.columns) for row in self.values)
        self._demand(fits, f"a row has not one value for each of the {len(self.columns)} columns")

    def _body(self) -> dict[str, Any]:
        cells = [[number(v) if isinstance(v, float | int) else v for v in row] for row in self.values]
        return {"rows": list(self.rows), "columns": list(self.columns), "values": cells, "unit": self.unit}


@dataclass(frozen=True)
class Line:
    """One line, row of bars, area or set of points; None where it has a gap. Equal `stack` words are stacked."""

    name: str
    values: tuple[Number, ...]
    mark: Mark = "line"
    stack: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Band:
    """What lies between two quantiles."""

    name: str
    lower: tuple[Number, ...]
    upper: tuple[Number, ...]


@dataclass(frozen=True)
class Series(Figure):
    """Lines and bands over a common axis; bands are nested, the outer first."""

    x: tuple[float | str, ...] = ()
    x_title: str = ""
    unit: str = ""
    lines: tuple[Line, ...] = ()
    bands: tuple[Band, ...] = ()

    kind: ClassVar[str] = "series"

    def __post_init__(self) -> None:
        count = len(self.x)
        for line in self.lines:
            self._demand(len(line.values) == count, f"{line.name} has {len(line.values)} values over {count} places")
        for band in self.bands:
            self._demand(len(band.lower) == len(band.upper) == count, f"{band.name} does not cover the axis")
            pairs = zip(band.lower, band.upper, strict=True)
            ordered = all((low is None) == (up is None) and (low is None or low <= up) for low, up in pairs)  # type: ignore[operator]
            self._demand(ordered, f"{band.name} has a lower end above its upper one")

    def _body(self) -> dict[str, Any]:
        lines = [
            {"name": k.name, "values": numbers(k.values), "mark": k.mark, "stack": k.stack, "group": k.group}
            for k in self.lines
        ]
        bands = [{"name": b.name, "lower": numbers(b.lower), "upper": numbers(b.upper)} for b in self.bands]
        axis = [number(v) if isinstance(v, float | int) else v for v in self.x]
        return {"x": axis, "x_title": self.x_title, "unit": self.unit, "lines": lines, "bands": bands}


@dataclass(frozen=True)
class Bar:
    """A stretch of time on a resource: from `start` to before `end`, with how much in the schedule's unit."""

    row: str
    label: str
    start: float
    end: float
    amount: float | None = None
    unit: str = ""
    group: str = ""


@dataclass(frozen=True)
class Schedule(Figure):
    """Bars on rows over time (a Gantt chart)."""

    rows: tuple[str, ...] = ()
    bars: tuple[Bar, ...] = ()
    x_title: str = ""

    kind: ClassVar[str] = "schedule"

    def __post_init__(self) -> None:
        known = set(self.rows)
        self._demand(len(known) == len(self.rows), "two rows have the same name")
        for bar in self.bars:
            self._demand(bar.row in known, f"a bar lies on {bar.row!r}, which is no row")
            self._demand(bar.start <= bar.end, f"a bar on {bar.row} ends before it begins")

    def _body(self) -> dict[str, Any]:
        bars = [
            {"row": b.row, "label": b.label, "from": number(b.start), "to": number(b.end)}
            | {"amount": number(b.amount), "unit": b.unit, "group": b.group}
            for b in self.bars
        ]
        return {"rows": list(self.rows), "bars": bars, "x_title": self.x_title}


def number(value: float | None) -> float | int | None:
    """A value to six significant digits, whole ones without a point; ValueError unless it is finite or None."""
    if value is None:
        return None
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be drawn")
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def numbers(values: Iterable[Number]) -> list[float | int | None]:
    """Values as a figure keeps them."""
    return [number(value) for value in values]


def ribbons(levels: Mapping[float, Sequence[Number]]) -> tuple[Band, ...]:
    """Nested bands from quantiles by level, paired from the outside in; a middle level belongs to no band."""
    ordered = sorted(levels)
    pairs = zip(ordered, reversed(ordered), strict=True)
    return tuple(
        Band(f"{100 * low:g}–{100 * up:g} %", tuple(levels[low]), tuple(levels[up])) for low, up in pairs if low < up
    )


def largest(names: Sequence[T], sizes: Sequence[float], most: int = MOST_PLACES) -> list[T]:
    """The names of the largest sizes, at most so many, in their own order."""
    ranked = sorted(range(len(names)), key=lambda k: -sizes[k])[:most]
    return [names[k] for k in sorted(ranked)]


def shown(caption: str, kept: int, total: int, what: str) -> str:
    """A caption that says so where only the largest are shown."""
    return caption if kept >= total else f"{caption} The {kept} {what} of {total} are shown."


def fan_scenarios(numbers_each: int) -> int:
    """Scenarios to draw where each holds so many numbers: enough for quantiles, in bounded memory."""
    least, most = FAN_SCENARIOS
    return max(least, min(most, FAN_NUMBERS // max(numbers_each, 1)))


def documents(figures: Collection[Figure]) -> list[dict[str, Any]]:
    """Figures as JSON; ValueError if two have the same key."""
    keys = [figure.key for figure in figures]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise ValueError(f"two figures have the key {twice!r}")
    return [figure.document() for figure in figures]
