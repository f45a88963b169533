"""Every item's demand in every period as exact tables, for sampling, programs and exact methods alike.

Periods repeat after `cycle` of them; equal distributions are kept once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from models.lot_sizing.demand.process import Distribution, Floats, History
from models.lot_sizing.instance import LotSizing

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DemandTables:
    """Distinct distributions, and which of them an item has in a period."""

    distributions: list[Distribution]
    index: Ints  # (cycle, item) which distribution
    together: Ints  # (item,) items of the same number repeat the same period of the past

    @property
    def cycle(self) -> int:
        """Periods after which the distributions repeat; 1 where demand is stationary."""
        return len(self.index)

    @property
    def num_items(self) -> int:
        return len(self.together)

    @property
    def stationary(self) -> bool:
        """Whether demand is alike in every period."""
        return self.cycle == 1

    @property
    def independent(self) -> bool:
        """Whether the items' demands of a period are independent of each other."""
        return len(set(self.together.tolist())) == self.num_items

    @cached_property
    def whole(self) -> bool:
        """Whether demand is always in whole units."""
        return all((own.values == np.round(own.values)).all() for own in self.distributions)

    @cached_property
    def means(self) -> Floats:
        """(cycle, item) E[D] [units/period]."""
        return np.array([own.mean for own in self.distributions])[self.index]

    @cached_property
    def variances(self) -> Floats:
        """(cycle, item) Var[D] [units²/period²]."""
        return np.array([own.variance for own in self.distributions])[self.index]

    @cached_property
    def largest(self) -> float:
        """Largest demand of any item in any period [units/period]."""
        return max(float(own.values.max()) for own in self.distributions)

    @cached_property
    def _mass(self) -> Floats:
        """(distribution, k) P(D = k) of whole demands."""
        if not self.whole:
            raise ValueError("demand is not in whole units")
        table = np.zeros((len(self.distributions), int(self.largest) + 1))
        for row, own in enumerate(self.distributions):
            np.add.at(table[row], own.values.astype(np.int64), own.probabilities)
        return table

    def pmf(self, stage: int) -> Floats:
        """(item, k) P(D = k), k = 0 … largest, of a period. ValueError unless demand is in whole units."""
        found: Floats = self._mass[self.index[stage % self.cycle]]
        return found

    def cdf(self, stage: int) -> Floats:
        """(item, k) P(D ≤ k), k = 0 … largest, of a period. ValueError unless demand is in whole units."""
        return self.pmf(stage).cumsum(1)


def demand_tables(plant: LotSizing) -> DemandTables:
    """The tables of an instance."""
    known: dict[bytes, int] = {}
    kept: list[Distribution] = []
    rows: list[list[int]] = []
    for item in plant.items:
        own = []
        for one in item.demand.distributions(plant.periods):
            key = one.values.tobytes() + b"|" + one.probabilities.tobytes()
            if key not in known:
                known[key] = len(kept)
                kept.append(one)
            own.append(known[key])
        rows.append(own)
    cycle = min(math.lcm(*(len(own) for own in rows)), plant.periods)
    index = np.array([np.resize(own, cycle) for own in rows], dtype=np.int64).T
    return DemandTables(kept, index, _together(plant))


def _together(plant: LotSizing) -> Ints:
    """Which items draw together: histories of the same length and season; every other item alone."""
    groups: dict[object, int] = {}
    keys: list[object] = [
        (len(item.demand.history), item.demand.season_length) if isinstance(item.demand, History) else item.id
        for item in plant.items
    ]
    return np.array([groups.setdefault(key, len(groups)) for key in keys], dtype=np.int64)
