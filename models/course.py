"""What a policy would do from a state on, and what a planner should look at first: courses and alerts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from models.fans import Paths, quantiles
from models.figures import Band, Line, Number, Series, ribbons

MOST_ALERTS = 50  # of one recommendation, the gravest
SURE, LIKELY = 0.5, 0.1  # chances from which a risk is critical, and from which it is a warning
Step = tuple[Any, Any, Any]
"""State, decision and stage (batch,) of one stage."""


@dataclass(frozen=True)
class Course:
    """The coming stages under a policy, today first.

    `expected`: batches of one, if all noise were as expected. `sampled`: the same stages on scenarios, a row each; None
    where deciding so often takes too long.
    """

    expected: tuple[Step, ...]
    sampled: tuple[Step, ...] | None = None

    def states(self, name: str, place: int) -> tuple[list[float], Paths | None]:
        """A column of a field of the states: as expected by stage, and on scenarios (scenario, stage)."""
        course = [float(getattr(state, name)[0, place]) for state, _, _ in self.expected]
        if self.sampled is None:
            return course, None
        columns = [getattr(state, name)[:, place].double().numpy() for state, _, _ in self.sampled]
        return course, np.stack(columns, axis=1)

    @property
    def stages(self) -> list[int]:
        """The stages, today's first."""
        return [int(stage[0]) for _, _, stage in self.expected]


@dataclass(frozen=True)
class Alert:
    """What a planner should look at: how grave, where in the state (JSON Pointer), what, and in numbers."""

    severity: Literal["info", "warning", "critical"]
    pointer: str
    title: str
    detail: str


def by_chance(chance: float) -> Literal["info", "warning", "critical"]:
    """How grave a risk of this chance is."""
    return "critical" if chance >= SURE else "warning" if chance >= LIKELY else "info"


def gravest(alerts: Sequence[Alert]) -> list[Alert]:
    """Critical ones first, at most `MOST_ALERTS`."""
    order = {"critical": 0, "warning": 1, "info": 2}
    return sorted(alerts, key=lambda alert: order[alert.severity])[:MOST_ALERTS]


def projected(
    key: str,
    title: str,
    caption: str,
    expected: Sequence[float],
    paths: Paths | None,
    x: Sequence[float | str],
    *,
    x_title: str,
    unit: str,
    group: str,
    limits: Sequence[tuple[str, float]] = (),
) -> Series:
    """A quantity in the coming stages: its expected course, its fan where there is one, and its limits."""
    lines = [Line("as expected", tuple(expected))]
    bands: tuple[Band, ...] = ()
    if paths is not None:
        levels: dict[float, Sequence[Number]] = dict(quantiles(paths))
        lines.append(Line("median", tuple(levels[0.5])))
        bands = ribbons(levels)
    lines += [Line(name, tuple([value] * len(x)), group="limit") for name, value in limits]
    return Series(key, title, caption, group, x=tuple(x), x_title=x_title, unit=unit, lines=tuple(lines), bands=bands)


def stacked(
    names: Sequence[str], rows: Sequence[Sequence[float]], most: int, rest: str, **own: Any
) -> tuple[Line, ...]:
    """Rows of values (name, place) as stacked lines: the largest by sum, and the rest together."""
    sums = [sum(abs(value) for value in row) for row in rows]
    kept = sorted(sorted(range(len(names)), key=lambda k: -sums[k])[:most])
    lines = [Line(names[k], tuple(rows[k]), **own) for k in kept if sums[k] > 0]
    left = [row for k, row in enumerate(rows) if k not in kept and sums[k] > 0]
    if left:
        lines.append(Line(rest, tuple(sum(column) for column in zip(*left, strict=True)), **own))
    return tuple(lines)
