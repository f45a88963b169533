"""The distribution of a period's demand where periods are independent and alike, for the exact methods."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from models.inventory_network.demand.process import (
    DemandProcess,
    Empirical,
    Intermittent,
    NegativeBinomial,
    Normal,
    Poisson,
    Seasonal,
)
from models.inventory_network.exact.grid import (
    Floats,
    Grid,
    StopLoss,
    clipped_normal,
    discrete,
    joint_demand,
    lattice,
    mixture,
)

TAIL = 1e-13  # chance of demand beyond the last whole number considered
_FACTORS = 48  # points over which a common factor of correlated demand is averaged (Gauss and Hermite)


def refuses(process: DemandProcess) -> str | None:
    """Why demand is not independent and alike from period to period; None if it is."""
    if isinstance(process, Seasonal):
        seasons = [process.season, *(node.season for node in process.nodes.values() if node.season)]
        if any(len(set(season)) > 1 for season in seasons):
            return "demand has a season"
        if process.shock is not None:
            return "demand has shocks that last"
        if any(node.trend for node in process.nodes.values()):
            return "demand has a trend"
    if isinstance(process, Empirical):
        if process.block > 1:
            return "the history is drawn in blocks: one period says something of the next"
        if process.season_length or process.covariates or process.prices:
            return "demand depends on the calendar or on prices"
    return None


def of_store(process: DemandProcess, node_id: str) -> StopLoss:
    """Demand of one store in one period."""
    if isinstance(process, Empirical):
        column = process.table[:, process.nodes.index(node_id)]
        return discrete(column, np.ones(len(column)))
    if isinstance(process, Poisson):
        return lattice(_poisson(process.nodes[node_id].mean))
    if isinstance(process, NegativeBinomial):
        entry = process.nodes[node_id]
        return lattice(_negative_binomial(entry.mean, entry.variance))
    if isinstance(process, Intermittent):
        part = process.nodes[node_id]
        chance = part.probability
        if part.variance == 0:
            return discrete(np.array([0.0, part.size_mean]), np.array([1 - chance, chance]))
        sizes = _negative_binomial(part.size_mean - 1, part.variance)
        return lattice(np.concatenate([[1 - chance], chance * sizes]))
    mean, std = normal(process, node_id)
    return clipped_normal(mean, std)


def joint_refuses(process: DemandProcess) -> str | None:
    """Why the stores' demand together has no computable distribution; None if it has."""
    if isinstance(process, Normal | Seasonal) and process.correlation < 0:
        return "demand is negatively correlated: no common factor says how the stores' demands add up"
    return None


def of_all(process: DemandProcess, node_ids: Sequence[str], step: float) -> Grid:
    """Demand of these stores together in one period, from below in the convex order.

    Correlated normal demand has one common factor; given it, the stores are independent.
    """
    if isinstance(process, Empirical):
        together = process.table[:, [process.nodes.index(node_id) for node_id in node_ids]].sum(1)
        return discrete(together, np.ones(len(together))).contraction(step)
    if not isinstance(process, Normal | Seasonal) or process.correlation == 0 or len(node_ids) == 1:
        return joint_demand([of_store(process, node_id).contraction(step) for node_id in node_ids])
    own = np.sqrt(1 - process.correlation)
    points, weights = np.polynomial.hermite_e.hermegauss(_FACTORS)
    nodes = [normal(process, node_id) for node_id in node_ids]
    common = np.sqrt(process.correlation)
    parts = []
    for point, weight in zip(points, weights / weights.sum(), strict=True):
        if weight < 1e-14:
            continue
        singles = [clipped_normal(mean + std * common * point, std * own) for mean, std in nodes]
        parts.append((float(weight), joint_demand([_contracted(single, step) for single in singles])))
    mixed = mixture(parts)
    return Grid(step, mixed.mass / mixed.mass.sum())


def _contracted(single: StopLoss, step: float) -> Grid:
    # A factor far below makes demand vanish.
    return single.contraction(step) if single.mean > 1e-9 else Grid(step, np.ones(1))


def normal(process: Normal | Seasonal, node_id: str) -> tuple[float, float]:
    """Mean and standard deviation before clipping [units/period]."""
    entry = process.nodes[node_id]
    factor = 1.0
    if isinstance(process, Seasonal):
        factor = (process.nodes[node_id].season or process.season)[0]
    return entry.mean * factor, entry.std * factor


def _counted(log_chance: partial[Floats], mean: float, std: float) -> Floats:
    """Probabilities of 0, 1, 2, … up to where next to nothing is left."""
    most = int(mean + 10 * std) + 20
    while True:
        chances = np.exp(log_chance(np.arange(most + 1, dtype=np.float64)))
        if chances.sum() > 1 - TAIL or most > 1e6:
            return np.asarray(chances / chances.sum())
        most *= 2


def _poisson(mean: float) -> Floats:
    if mean == 0:
        return np.ones(1)
    return _counted(partial(_log_poisson, mean), mean, np.sqrt(mean))


def _log_poisson(mean: float, counts: Floats) -> Floats:
    from scipy.special import gammaln

    return np.asarray(counts * np.log(mean) - mean - gammaln(counts + 1))


def _negative_binomial(mean: float, variance: float) -> Floats:
    return _counted(partial(_log_negative_binomial, mean, variance), mean, np.sqrt(variance))


def _log_negative_binomial(mean: float, variance: float, counts: Floats) -> Floats:
    from scipy.special import gammaln

    failures, chance = mean**2 / (variance - mean), mean / variance
    choose = gammaln(counts + failures) - gammaln(failures) - gammaln(counts + 1)
    return np.asarray(choose + failures * np.log(chance) + counts * np.log1p(-chance))
