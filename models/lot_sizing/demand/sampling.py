"""Sampling demand by inverting its tables: paths (batch, stage, item), a stage of which is one contiguous block."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.lot_sizing.demand.tables import DemandTables


class DemandSampler:
    """Draws the demand of all items; one search in a table per number, without a loop over items.

    Periods with the same distributions are drawn together. Common random numbers: a larger uniform is a larger demand
    (a later row of a history).
    """

    def __init__(self, tables: DemandTables) -> None:
        self.tables = tables
        self._phases = [_Phase(tables, phase) for phase in range(tables.cycle)]
        drivers = np.unique(tables.together, return_inverse=True)[1]
        self.num_drivers = int(drivers.max()) + 1
        self._driver = None if tables.independent else torch.from_numpy(drivers)

    def __call__(
        self, batch: int, stages: int, generator: torch.Generator, dtype: torch.dtype
    ) -> Float[Tensor, "batch stage item"]:
        """Demand [units/period] drawn with `generator` on its device."""
        cycle, device = self.tables.cycle, generator.device
        paths = torch.empty(stages, batch, self.tables.num_items, dtype=dtype, device=device)
        for phase, own in enumerate(self._phases[:stages]):
            count = len(range(phase, stages, cycle))
            uniform = torch.rand((self.num_drivers, count, batch), generator=generator, device=device)
            if self._driver is not None:
                uniform = uniform[self._driver.to(device)]
            paths[phase::cycle] = own.invert(uniform, dtype).permute(1, 2, 0)
        return paths.transpose(0, 1)

    def expected(self, stages: int, like: Tensor) -> Float[Tensor, "stage item"]:
        """Mean demand of each period [units/period], in the precision and on the device of `like`."""
        return torch.from_numpy(self.tables.means[np.arange(stages) % self.tables.cycle]).to(like)


class _Phase:
    """The distributions of one period of the cycle, a row per item; one row where they are all alike."""

    def __init__(self, tables: DemandTables, phase: int) -> None:
        index = tables.index[phase]
        self.alike = bool((index == index[0]).all())
        own = [tables.distributions[k] for k in (index[:1] if self.alike else index)]
        length = max(len(one.values) for one in own)
        values, below = np.empty((len(own), length)), np.ones((len(own), length - 1))
        for row, one in enumerate(own):
            size = len(one.values)
            values[row] = np.pad(one.values, (0, length - size), mode="edge")
            below[row, : size - 1] = one.probabilities.cumsum()[:-1]
        self.below = torch.from_numpy(below).float()  # P(D ≤ value) of all values but the last
        self.values = torch.from_numpy(values)
        # Counts from zero need no second look-up.
        self.counts = bool((values == np.arange(length)).all(where=values < values.max(1, keepdims=True)))
        self.counts &= bool((values.max(1) == [len(one.values) - 1 for one in own]).all())

    def invert(self, uniform: Float[Tensor, "item stage batch"], dtype: torch.dtype) -> Tensor:
        """Demand for uniforms, item by item."""
        below = self.below.to(uniform.device)
        if self.alike:
            place = torch.bucketize(uniform, below[0], out_int32=True, right=True)
        else:
            flat = uniform.reshape(len(below), -1)
            place = torch.searchsorted(below, flat, out_int32=True, right=True).view(uniform.shape)
        if self.counts and self.alike:
            return place
        values = self.values.to(uniform.device, dtype)
        if self.alike:
            return values[0][place]
        if self.counts:
            return place
        return values.gather(1, place.reshape(len(values), -1).long()).view(uniform.shape)
