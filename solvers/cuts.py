"""Cuts of a cost to go, and which of them are worth keeping in a program: level-one selection.

A cut θ ≥ intercept + slope·c supports one column θ of a node over the columns c it carries on. Level one keeps the cuts
that are the highest at one of the points where cuts were made; the others are remembered, and come back when a new
point needs them.

Source: de Matos, Philpott, Finardi, "Improving the performance of stochastic dual dynamic programming", Journal of
Computational and Applied Mathematics 290, 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.program import Indices, Vector

HIGHER = 1e-9  # by how much, relative to its size, a cut must be higher to take a point over


@dataclass(frozen=True, eq=False)
class Cuts:
    """Cuts of one node, in order of age.

    Raises:
        ValueError: the shapes do not fit.
    """

    outcomes: Indices  # (cut,) which θ they support
    intercepts: Vector  # (cut,)
    slopes: Vector  # (cut, c)

    def __post_init__(self) -> None:
        count = self.intercepts.shape
        if len(count) != 1 or self.outcomes.shape != count or self.slopes.shape[:-1] != count:
            raise ValueError(f"cuts of {self.outcomes.shape}, {count} and {self.slopes.shape} do not fit")

    def __len__(self) -> int:
        return len(self.intercepts)

    def take(self, which: Indices) -> Cuts:
        """Some of them."""
        return Cuts(self.outcomes[which], self.intercepts[which], self.slopes[which])

    def joined(self, other: Cuts) -> Cuts:
        """These and younger ones."""
        return Cuts(
            np.concatenate([self.outcomes, other.outcomes]),
            np.concatenate([self.intercepts, other.intercepts]),
            np.concatenate([self.slopes, other.slopes]),
        )


def no_cuts(columns: int) -> Cuts:
    """None, over so many carried columns."""
    return Cuts(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros((0, columns)))


class CutPool:
    """All cuts of one node with the points they were made at, and those that level one keeps."""

    def __init__(self, columns: int, futures: int, given: Cuts | None = None) -> None:
        """Over so many carried columns and columns θ; `given` cuts came without points and are always kept."""
        self.cuts = no_cuts(columns) if given is None else given
        self.pinned = len(self.cuts)
        self.points = np.zeros((0, columns))
        self.heights = np.zeros((0, futures))  # (point, θ) of the highest cut
        self.highest = np.zeros((0, futures), dtype=np.int64)  # which cut that is, −1 for none

    def add(self, cuts: Cuts, points: Vector) -> None:
        """Cuts and the points (point, c) they were made at."""
        first = len(self.cuts)
        self._raise(self.points, self.heights, self.highest, cuts, first)
        self.cuts = self.cuts.joined(cuts)
        shape = (len(points), self.heights.shape[1])
        heights, highest = np.full(shape, -np.inf), np.full(shape, -1)
        self._raise(points, heights, highest, self.cuts, 0)
        self.points = np.concatenate([self.points, points])
        self.heights = np.concatenate([self.heights, heights])
        self.highest = np.concatenate([self.highest, highest])

    def selected(self) -> Indices:
        """The cuts that level one keeps, oldest first."""
        kept = np.unique(np.concatenate([np.arange(self.pinned), self.highest.ravel()]))
        return kept[kept >= 0]

    def state(self) -> dict[str, Any]:
        """Arrays that `restore` goes on from."""
        cuts = self.cuts
        return {
            "outcomes": cuts.outcomes,
            "intercepts": cuts.intercepts,
            "slopes": cuts.slopes,
            "points": self.points,
            "heights": self.heights,
            "highest": self.highest,
            "pinned": self.pinned,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.cuts = Cuts(state["outcomes"], state["intercepts"], state["slopes"])
        self.points, self.heights, self.highest = state["points"], state["heights"], state["highest"]
        self.pinned = int(state["pinned"])

    def _raise(self, points: Vector, heights: Vector, highest: Indices, cuts: Cuts, first: int) -> None:
        """Let cuts (numbered from `first`) take over the points where they are higher."""
        values = points @ cuts.slopes.T + cuts.intercepts
        for outcome in np.unique(cuts.outcomes):
            own = np.flatnonzero(cuts.outcomes == outcome)
            best = values[:, own].argmax(1) if len(points) else np.zeros(0, dtype=np.int64)
            reached = values[np.arange(len(points)), own[best]]
            better = reached > heights[:, outcome] + HIGHER * (1 + np.abs(reached))
            heights[better, outcome] = reached[better]
            highest[better, outcome] = first + own[best[better]]
