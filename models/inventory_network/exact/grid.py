"""Demand as probabilities on a grid, from below and from above, for the exact methods.

A distribution is known by its stop-loss function π(k) = E (X − k)⁺, which is convex. Its straight-line interpolation
between grid points is the stop-loss function of a grid distribution larger in the convex order (a mean-preserving
spread); a convex function below π with its knots on the grid is that of one smaller in it (a contraction). The cost of
a backlogged or lost-sales system with linear costs is convex in demand, so the two give an upper and a lower limit of
its optimum (Jensen), at any step. Demand that lies on the grid is its own contraction and its own spread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
TAIL = 1e-12  # demand above the point where less than this share of it is left is moved down to that point
_COARSE = 100  # grid points up to which the contraction is the largest there is
_FINE = 16  # points inside a grid cell where the contraction is held below π


@dataclass(frozen=True)
class Grid:
    """A distribution on 0, step, 2·step, …"""

    step: float  # [units]
    mass: Floats  # (points,) probabilities

    @property
    def points(self) -> Floats:
        """The grid points [units]."""
        return np.arange(len(self.mass), dtype=np.float64) * self.step

    @property
    def mean(self) -> float:
        """Mean [units]."""
        return float(self.points @ self.mass)

    @property
    def std(self) -> float:
        """Standard deviation [units]."""
        return math.sqrt(max(float(self.points**2 @ self.mass) - self.mean**2, 0.0))

    def quantile(self, probability: float) -> int:
        """The least grid index with at least that probability at or below it."""
        return min(int(np.searchsorted(np.cumsum(self.mass), probability)), len(self.mass) - 1)


@dataclass(frozen=True)
class StopLoss:
    """A nonnegative distribution by its stop-loss function."""

    value: Callable[[Floats], Floats]  # π(k) = E (X − k)⁺ for k ≥ 0 [units]
    top: float  # [units] next to nothing lies above
    spacing: float | None  # [units] all values are multiples of it; None if they are not, or of nothing useful
    kinks: Floats | None = None  # [units] where π bends, if it is a polygon; None if it is smooth

    @property
    def mean(self) -> float:
        """Mean [units]."""
        return float(self.value(np.zeros(1))[0])

    def spread(self, step: float) -> Grid:
        """The grid distribution whose π is this one's at every grid point: larger in the convex order."""
        return _grid(step, self.value(self._points(step)), self.mean)

    def contraction(self, step: float) -> Grid:
        """A grid distribution smaller in the convex order: the largest convex function below π with its knots there.

        Largest on a coarse grid, by a small linear program; on a fine one π lowered by what interpolation would add.
        """
        points = self._points(step)
        exact = self.value(points)
        excess = self._excess(points, exact)
        room = np.maximum(np.append(excess, 0.0), np.insert(excess, 0, 0.0))
        if room.max() <= 1e-13:
            return _grid(step, exact, self.mean)
        floor = np.maximum(self.mean - points, 0.0)
        lowered = np.maximum(exact - room, floor)
        if len(points) <= _COARSE:
            lowered = _largest_below(self, points, lowered)
        held = np.maximum(_held_below(self, points, lowered, 200 if len(points) <= _COARSE else _FINE), floor)
        return _grid(step, _convex_hull(points, held), self.mean)

    def _excess(self, points: Floats, exact: Floats) -> Floats:
        """By how much straight lines between the points pass above π at most, cell by cell."""
        step = float(points[1] - points[0])
        places = self.places(points, _FINE)
        above = np.clip(np.interp(places, points, exact) - self.value(places), 0.0, None)
        excess = np.zeros(len(points) - 1)
        np.maximum.at(excess, np.minimum((places / step).astype(np.int64), len(excess) - 1), above)
        # What evenly spread places miss of a smooth function's largest excess is less than 1 % of it.
        return np.asarray(excess if self.kinks is not None else 1.01 * excess)

    def places(self, points: Floats, fine: int) -> Floats:
        """Where to compare π with straight lines between the points: its kinks, or `fine` places in every cell."""
        if self.kinks is not None:
            return np.asarray(self.kinks[self.kinks < points[-1]])
        # The first is next to the cell's left end: a line from a point on π must fall as steeply as π does there.
        inner = np.append(1e-6, np.linspace(0.0, 1.0, fine + 1)[1:-1])
        return np.asarray((points[:-1, None] + float(points[1] - points[0]) * inner).ravel())

    def _points(self, step: float) -> Floats:
        return np.arange(math.ceil(self.top / step) + 2, dtype=np.float64) * step


def _grid(step: float, loss: Floats, mean: float) -> Grid:
    """The distribution of a convex, decreasing π given at the grid points, its rest above the last one moved there."""
    slopes = np.diff(loss, append=0.0) / step
    slopes[-1] = 0.0
    mass = np.clip(np.diff(slopes, prepend=-1.0), 0.0, None)
    used = np.flatnonzero(mass > 0)
    mass = mass[: used[-1] + 1]
    return Grid(step, mass / mass.sum())


def _convex_hull(points: Floats, values: Floats) -> Floats:
    """The largest convex function below the values, at the points (Andrew's monotone chain)."""
    hull: list[int] = []
    for k in range(len(points)):
        while len(hull) > 1:
            i, j = hull[-2], hull[-1]
            if (values[j] - values[i]) * (points[k] - points[i]) < (values[k] - values[i]) * (points[j] - points[i]):
                break
            hull.pop()
        hull.append(k)
    return np.asarray(np.interp(points, points[hull], values[hull]))


def _largest_below(loss: StopLoss, points: Floats, otherwise: Floats) -> Floats:
    """Values at the points of the convex polygon below π with the largest sum; `otherwise` if none is found."""
    from scipy.optimize import linprog

    count, step = len(points), float(points[1] - points[0])
    places = loss.places(points, 4 * _FINE)
    cell = np.minimum((places / step).astype(np.int64), count - 2)
    weight = places / step - cell
    below = np.zeros((len(places), count))
    below[np.arange(len(places)), cell] = 1 - weight
    below[np.arange(len(places)), cell + 1] += weight
    convex = np.zeros((count - 2, count))
    rows = np.arange(count - 2)
    convex[rows, rows], convex[rows, rows + 1], convex[rows, rows + 2] = -1.0, 2.0, -1.0
    exact = loss.value(points)
    floor = np.maximum(loss.mean - points, 0.0)
    found = linprog(
        -np.ones(count),
        A_ub=np.vstack([below, convex]),
        b_ub=np.concatenate([loss.value(places), np.full(count - 2, 1e-10)]),
        bounds=list(zip(np.minimum(floor, exact) - 1e-10, exact, strict=True)),
    )
    return np.asarray(found.x) if found.status == 0 else otherwise


def _held_below(loss: StopLoss, points: Floats, values: Floats, fine: int) -> Floats:
    """The values, lowered from left to right where a straight line between them passes above π."""
    step = float(points[1] - points[0])
    places = loss.places(points, fine)
    cell = np.minimum((places / step).astype(np.int64), len(points) - 2)
    weight, exact = places / step - cell, loss.value(places)
    starts = np.searchsorted(cell, np.arange(len(points)))
    held = values.copy()
    above = np.interp(places, points, values) > exact
    for k in np.unique(cell[above]).tolist():  # lowering the right end of a cell only lowers the line in the next
        w = weight[starts[k] : starts[k + 1]]
        within = (exact[starts[k] : starts[k + 1]][w > 0] - (1 - w[w > 0]) * held[k]) / w[w > 0]
        held[k + 1] = min(held[k + 1], float(within.min(initial=np.inf)))
    return held


def discrete(values: Floats, chances: Floats) -> StopLoss:
    """Finitely many values with their probabilities."""
    order = np.argsort(values)
    points, mass = values[order], chances[order] / chances.sum()
    # Suffix sums: π(k) = Σ_{x > k} x p − k Σ_{x > k} p
    above = np.append(np.cumsum((points * mass)[::-1])[::-1], 0.0)
    weight = np.append(np.cumsum(mass[::-1])[::-1], 0.0)

    def value(k: Floats) -> Floats:
        first = np.searchsorted(points, k, side="right")
        return np.asarray(np.maximum(above[first] - k * weight[first], 0.0))

    return StopLoss(value, float(points[-1]), _spacing(points), points)


def _spacing(points: Floats) -> float | None:
    """The largest of a few handy steps of which all points are multiples."""
    for step in (1.0, 0.5, 0.25, 0.1, 0.05):
        if np.abs(points / step - np.round(points / step)).max() < 1e-9:
            return step
    return None


def lattice(mass: Sequence[float] | Floats) -> StopLoss:
    """Whole units 0, 1, 2, … with these probabilities."""
    chances = np.asarray(mass, dtype=np.float64)
    return discrete(np.arange(len(chances), dtype=np.float64), chances)


def clipped_normal(mean: float, std: float) -> StopLoss:
    """max(X, 0) with X normal."""
    if std == 0:
        return discrete(np.array([max(mean, 0.0)]), np.ones(1))

    def value(k: Floats) -> Floats:
        from scipy.special import ndtr

        z = (k - mean) / std
        return np.asarray(std * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi) - (k - mean) * ndtr(-z))

    return StopLoss(value, max(mean + 7.5 * std, 0.0), None)


def convolve(first: Floats, second: Floats) -> Floats:
    """The distribution of a sum of two independent ones, by the fast Fourier transform."""
    length = len(first) + len(second) - 1
    size = 1 << (length - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(first, size) * np.fft.rfft(second, size), size)[:length]
    return np.asarray(np.clip(product, 0.0, None))


def total(single: Grid, periods: int) -> Grid:
    """Demand of so many independent periods: repeated squaring."""
    sums, power = np.ones(1), single.mass
    while periods:
        if periods & 1:
            sums = convolve(sums, power)
        periods >>= 1
        if periods:
            power = convolve(power, power)
    return Grid(single.step, trimmed(sums))


def trimmed(mass: Floats) -> Floats:
    """Without the upper end that holds next to nothing, and summing to one."""
    last = int(np.searchsorted(np.cumsum(mass), mass.sum() * (1.0 - 1e-14))) + 1
    kept = mass[:last]
    return np.asarray(kept / kept.sum())


def mixture(parts: Sequence[tuple[float, Grid]]) -> Grid:
    """One of several distributions on the same grid, with these chances."""
    longest = max(len(grid.mass) for _, grid in parts)
    mass = np.zeros(longest)
    for chance, grid in parts:
        mass[: len(grid.mass)] += chance * grid.mass
    return Grid(parts[0][1].step, mass)


def joint_demand(singles: Sequence[Grid]) -> Grid:
    """Demand of independent stores together: one product of spectra."""
    length = sum(len(single.mass) - 1 for single in singles) + 1
    size = 1 << (length - 1).bit_length() if length > 1 else 1
    spectrum = np.ones(size // 2 + 1, dtype=np.complex128)
    for single in singles:
        spectrum = spectrum * np.fft.rfft(single.mass, size)
    mass = np.clip(np.fft.irfft(spectrum, size)[:length], 0.0, None)
    return Grid(singles[0].step, trimmed(mass))


def linear_cost(demand: Grid, levels: Floats, holding_cost: float, shortage_cost: float) -> Floats:
    """h E (y − X)⁺ + b E (X − y)⁺ at every level y [money], levels on or off the grid, negative ones included."""
    points = demand.points
    weight = np.append(np.cumsum(demand.mass[::-1])[::-1], 0.0)
    above = np.append(np.cumsum((points * demand.mass)[::-1])[::-1], 0.0)
    first = np.searchsorted(points, levels + 1e-9 * demand.step, side="right")
    short = np.maximum(above[first] - levels * weight[first], 0.0)
    return np.asarray(holding_cost * (levels - demand.mean + short) + shortage_cost * short)
