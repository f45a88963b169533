"""The lot-sizing plant as algebra: periods that differ only in the machines' working time, chained by state.

The state is stock on hand of every item, what waits of every item with backlogged demand, what every machine is set up
for (0 or 1 for each item it can make) and, where runs have a minimum, how many periods of one are left; the noise is
every item's demand. The period itself is in `models.lot_sizing.algebra`.
"""

from __future__ import annotations

import numpy as np
import torch

from models.lot_sizing.algebra.big_bucket import BigPeriod
from models.lot_sizing.algebra.common import Plant
from models.lot_sizing.algebra.machines import BEFORE_DEMAND
from models.lot_sizing.algebra.period import Period, compile_period
from models.lot_sizing.algebra.sequences import SequencedPeriod
from models.lot_sizing.demand.tables import demand_tables
from models.lot_sizing.instance import LotSizing
from models.lot_sizing.layout import Layout, compile_layout
from models.lot_sizing.lots import Lots, LotState
from models.lot_sizing.simulator import Demand
from models.program import Indices, LinearProgram, Program, Vector

SETTLING = 5  # [periods]


class LotProgram(Program):
    """Periods of one plant; those with the same working time are one object."""

    def __init__(self, plant: LotSizing) -> None:
        self.plant = plant
        self.num_stages = plant.periods
        self.layout: Layout = compile_layout(plant)
        tables = demand_tables(plant)
        largest = np.array([own.values.max() for own in tables.distributions])[tables.index].max(0)
        self.common = Plant(plant, self.layout, largest)
        self.relaxes = tuple(self.common.relaxations())
        self._compiled: dict[bytes, Period | BigPeriod | SequencedPeriod] = {}

    def stage(self, stage: int) -> LinearProgram:
        return self._period(stage).program

    def _period(self, stage: int) -> Period | BigPeriod | SequencedPeriod:
        hours = self.layout.share[stage % len(self.layout.share)]
        if hours.tobytes() not in self._compiled:
            self._compiled[hours.tobytes()] = compile_period(self.common, hours)
        return self._compiled[hours.tobytes()]

    @property
    def lookahead(self) -> int:
        """As long as the longest run must be, the way through the bill of materials, and a few periods to sell it."""
        longest = SETTLING + int(self.layout.minimum_run.max()) - 1 + _levels(self.layout)
        return min(longest, self.num_stages)

    def here_and_now(self, stage: int) -> Indices:
        """Who makes what and how much: the rest answers demand."""
        names = self.stage(stage).columns
        return np.array([k for k, name in enumerate(names) if name.startswith(BEFORE_DEMAND)], dtype=np.int64)

    def state_vector(self, state: LotState) -> Vector:
        stock = state.stock.detach().cpu().double().numpy()
        setup, run = state.setup.cpu().numpy(), state.run.cpu().numpy()
        able = np.array(self.common.able, dtype=np.int64).reshape(-1, 2)
        set_up = setup[:, able[:, 0]] == able[:, 1]
        left = run[:, self.common.bound] if self.common.bound else np.zeros((len(stock), 0))
        waiting = np.maximum(-stock[:, self.common.waiting], 0.0)
        return np.concatenate([np.maximum(stock, 0.0), waiting, set_up, left], axis=1)

    def noise_vector(self, noise: Demand, stage: int) -> Vector:
        struck: Vector = noise.demand[:, stage].detach().cpu().double().numpy()
        return struck

    def decision(self, x: Vector, stage: int) -> Lots:
        """What every machine makes; a solver's 0.9999 is taken for 1."""
        item, share = self._period(stage).lots(x)
        return Lots(torch.from_numpy(item), torch.from_numpy(share))


def lot_program(plant: LotSizing) -> LotProgram:
    """The algebraic face of a plant."""
    return LotProgram(plant)


def _levels(layout: Layout) -> int:
    """Longest way of a component through the bill of materials [periods]."""
    if layout.consumption is None:
        return 0
    reached = uses = (layout.consumption > 0).astype(np.int64)
    levels = 0
    while reached.any():
        reached, levels = np.minimum(reached @ uses, 1), levels + 1
    return levels
