"""How heavy a period was for all stores together, in classes, and each store's own demand given the class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.inventory_network.demand.process import DemandProcess, Empirical, Normal, Seasonal
from models.inventory_network.exact import stationary
from models.inventory_network.exact.grid import Floats, StopLoss, clipped_normal, discrete, joint_demand

_POINTS = 48  # of Gauss and Legendre in a class of a normal total
_END = 8.0  # standard deviations from the mean beyond which a normal total is not looked at


@dataclass(frozen=True)
class Loads:
    """Classes of a period's total demand, the lightest first."""

    chances: Floats  # (class,) about alike
    demand: Mapping[str, tuple[StopLoss, ...]]  # store → its demand given each class


def refuses(process: DemandProcess, node_ids: Sequence[str]) -> str | None:
    """Why a store's demand has no computable distribution given the total's class; None if it has."""
    if reason := stationary.joint_refuses(process):
        return reason
    if isinstance(process, Normal | Seasonal | Empirical):
        return None
    spacings = {name: stationary.of_store(process, name).spacing for name in node_ids}
    odd = [name for name, spacing in spacings.items() if spacing != 1.0]
    return f"{odd[0]}: demand does not come in whole units, so that totals have no table" if odd else None


def loads(process: DemandProcess, node_ids: Sequence[str], classes: int) -> Loads:
    """The total demand of these stores in `classes` classes of about the same chance, fewer if it rarely varies."""
    if isinstance(process, Normal | Seasonal):
        return _normal(process, node_ids, classes)
    if isinstance(process, Empirical):
        return _history(process, node_ids, classes)
    return _whole_units(process, node_ids, classes)


def _normal(process: Normal | Seasonal, node_ids: Sequence[str], classes: int) -> Loads:
    """By the total before clipping at zero: with each store's demand it is jointly normal.

    A policy does not see it where a store's demand was clipped; telling it more can only lower a bound.
    """
    from scipy.special import ndtri

    mean, std = np.array([stationary.normal(process, name) for name in node_ids]).T
    rho = process.correlation if len(node_ids) > 1 else 0.0
    total = math.sqrt(max((1.0 - rho) * float(std @ std) + rho * float(std.sum()) ** 2, 1e-300))
    with_total = ((1.0 - rho) * std + rho * std.sum()) / total  # each store's correlation with the total
    edges = np.concatenate([[-_END], ndtri(np.arange(1, classes) / classes), [_END]])
    points, weights = np.polynomial.legendre.leggauss(_POINTS)
    chances, given = np.zeros(classes), list[tuple[Floats, Floats]]()
    for k, (low, high) in enumerate(pairwise(edges)):
        z = 0.5 * (low + high) + 0.5 * (high - low) * points
        density = weights * np.exp(-0.5 * z * z)
        chances[k] = (high - low) * density.sum()
        given.append((z, density / density.sum()))
    demand = {
        name: tuple(_mixed(mean[i], std[i], min(float(with_total[i]), 1.0), z, chance) for z, chance in given)
        for i, name in enumerate(node_ids)
    }
    return Loads(chances / chances.sum(), demand)


def _mixed(mean: float, std: float, correlation: float, z: Floats, chance: Floats) -> StopLoss:
    """Clipped normal demand, given that the standardised total is one of `z` with these chances."""
    own = std * math.sqrt(1.0 - correlation**2)
    parts = [clipped_normal(mean + std * correlation * float(point), own) for point in z]

    def value(k: Floats) -> Floats:
        return np.asarray(sum(p * part.value(k) for p, part in zip(chance, parts, strict=True)))

    return StopLoss(value, max(part.top for part in parts), None)


def _history(process: Empirical, node_ids: Sequence[str], classes: int) -> Loads:
    """Rows of the history, lightest first, in parts of about the same length."""
    table = process.table[:, [process.nodes.index(name) for name in node_ids]]
    parts = [rows for rows in np.array_split(np.argsort(table.sum(1), kind="stable"), classes) if len(rows)]
    demand = {
        name: tuple(discrete(table[rows, i], np.ones(len(rows))) for rows in parts) for i, name in enumerate(node_ids)
    }
    return Loads(np.array([len(rows) / len(table) for rows in parts]), demand)


def _whole_units(process: DemandProcess, node_ids: Sequence[str], classes: int) -> Loads:
    """Independent stores with demand in whole units: own demand and the sum of all others'."""
    grids = [stationary.of_store(process, name).contraction(1.0) for name in node_ids]
    whole = np.cumsum(joint_demand(grids).mass)
    tops = np.unique(np.append(np.searchsorted(whole, np.arange(1, classes) / classes), len(whole) - 1))
    chances, demand = np.zeros(len(tops)), dict[str, tuple[StopLoss, ...]]()
    for i, name in enumerate(node_ids):
        others = [grid for j, grid in enumerate(grids) if j != i]
        rest = np.cumsum(joint_demand(others).mass) if others else np.ones(1)
        own = grids[i].points.astype(np.int64)
        below = np.stack([_at_most(rest, top - own) for top in tops])
        joint = np.diff(below, axis=0, prepend=0.0) * grids[i].mass  # (class, own demand)
        chances = joint.sum(1)
        demand[name] = tuple(discrete(grids[i].points, row) for row in joint)
    return Loads(chances / chances.sum(), demand)


def _at_most(cumulative: Floats, top: np.ndarray) -> Floats:
    """P(rest ≤ top), for every entry of `top`."""
    return np.asarray(np.where(top < 0, 0.0, cumulative[np.clip(top, 0, len(cumulative) - 1)]))
