"""What was and what may come, as one figure: past values, then quantile bands of sampled scenarios."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.figures import LEVELS, MOST_STAGES, Band, Line, Number, Series, ribbons

Paths = npt.NDArray[np.floating[Any]]
"""Scenarios, led by (scenario, stage)."""


def quantiles(paths: Paths) -> dict[float, list[float]]:
    """Quantiles over scenarios at every stage, by level, of paths (scenario, stage)."""
    rows = np.quantile(np.asarray(paths, dtype=np.float64), LEVELS, axis=0)
    return {level: row.tolist() for level, row in zip(LEVELS, rows, strict=True)}


def drawn_stages(stages: int) -> int:
    """How many coming stages of a horizon are drawn."""
    return min(stages, MOST_STAGES)


def fan(
    key: str,
    title: str,
    caption: str,
    paths: Paths,
    *,
    unit: str,
    x_title: str,
    label: Callable[[int], float | str] = lambda stage: stage,
    past: Sequence[Number] = (),
    group: str | None = None,
    first: int = 0,
) -> Series:
    """A fan of scenarios (scenario, stage) from the stage `first` on, after its past, oldest first."""
    before = list(past)[-MOST_STAGES:]
    levels = quantiles(paths)
    none: list[Number] = [None] * len(before)
    median, mean = levels[0.5], np.asarray(paths, dtype=np.float64).mean(0).tolist()
    bands = tuple(Band(b.name, (*none, *b.lower), (*none, *b.upper)) for b in ribbons(levels))
    lines = [Line("median", (*none, *median)), Line("mean", (*none, *mean))]
    if before:
        gap: list[Number] = [None] * len(median)
        lines.insert(0, Line("past", (*before, *gap), group="past"))
    axis = tuple(label(first + k) for k in range(-len(before), len(median)))
    return Series(key, title, caption, group, x=axis, x_title=x_title, unit=unit, lines=tuple(lines), bands=bands)
