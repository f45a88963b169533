"""PAR(p): a periodic autoregression fitted to past inflows, season by season and jointly over plants.

y = log inflow, or inflow itself; z = (y − mean) / deviation of its season. Then

    z_t = Σ_i φ_i z_{t−i} + ε_t,      φ by the periodic Yule-Walker equations, ε joint over plants

The order of each plant and season is the last lag whose partial correlation is significant (Box and Jenkins: beyond
1.96/√years), at most `MOST_LAGS`, and lower where the fit would not be stationary over a year. With `shift`, ε is a
lognormal shifted to end where inflow would be zero (Pereira, Oliveira, Costa, Kelman, "Stochastic streamflow models for
hydroelectric systems", Water Resources Research 20(3), 1984); with `log`, a normal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.hydrothermal.inflow import Autoregressive

Floats = npt.NDArray[np.float64]

MOST_LAGS = 4  # where the history chooses the order
SIGNIFICANT = 1.96  # over √years: partial correlations beyond it count
LEAST_DEVIATION = 1e-9  # of a season whose past inflows are all alike, relative to its mean


@dataclass(frozen=True)
class FittedPar:
    """Parameters by season (first axis)."""

    mean: Floats  # (season, plant) of y
    deviation: Floats  # (season, plant) of y
    weights: Floats  # φ (season, lag, plant), nearest lag first; zero beyond a plant's order
    residual: Floats  # (season, plant) standard deviation of ε
    mixing: Floats  # (season, plant, plant): ε = residual · (mixing @ independent normals)

    @property
    def lags(self) -> int:
        """Past stages that count."""
        return int(self.weights.shape[1])


def fit_par(process: Autoregressive, plants: list[str]) -> FittedPar:
    """Fit the process's history."""
    inflow = np.stack([np.array(process.history_m3s[plant], dtype=np.float64) for plant in plants], axis=1)
    values = np.log(inflow) if process.transform == "log" else inflow
    years = len(values) // process.seasons
    kept = values[len(values) - years * process.seasons :]
    first = (process.first_season - len(kept)) % process.seasons  # season of the oldest value kept
    order = np.roll(np.arange(process.seasons), -first)  # season of every column below
    by_year = kept.reshape(years, process.seasons, len(plants))
    mean, deviation = by_year.mean(0), by_year.std(0, ddof=1)
    deviation = np.maximum(deviation, LEAST_DEVIATION * np.maximum(np.abs(mean), 1.0))
    z = ((by_year - mean) / deviation).reshape(len(kept), len(plants))
    lags = MOST_LAGS if process.order is None else process.order
    lags = min(lags, years - 2)
    weights = np.zeros((process.seasons, lags, len(plants)))
    for plant in range(len(plants)):
        weights[:, :, plant] = _plant_weights(z[:, plant], process.seasons, lags, years, process.order is None)
    residual, mixing = _residuals(z, weights, process.seasons)
    back = np.argsort(order)
    return FittedPar(mean[back], deviation[back], weights[back], residual[back], mixing[back])


def _plant_weights(z: Floats, seasons: int, lags: int, years: int, choose: bool) -> Floats:
    """φ (season, lag) of one plant; lower orders until the fit is stationary."""
    found = np.zeros((seasons, lags))
    for season in range(seasons):
        for order in range(1, lags + 1):
            phi = _yule_walker(z, seasons, season, order)
            if not choose or abs(phi[-1]) > SIGNIFICANT / np.sqrt(years):
                found[season] = 0.0
                found[season, :order] = phi
    most = lags
    while most and _growth(found) >= 1.0:
        most -= 1
        for season in range(seasons):
            if most == 0 or found[season, most:].any():
                found[season] = 0.0
                if most:
                    found[season, :most] = _yule_walker(z, seasons, season, most)
    return found


def _yule_walker(z: Floats, seasons: int, season: int, order: int) -> Floats:
    """φ (order,) of a season from the periodic correlations of z."""

    def correlation(a: int, b: int) -> float:
        """Of the values a and b stages before the season's."""
        ends = np.arange(season, len(z), seasons)
        ends = ends[ends >= max(a, b)]
        return float(np.mean(z[ends - a] * z[ends - b])) if len(ends) else 0.0

    matrix = np.array([[correlation(i, j) for j in range(1, order + 1)] for i in range(1, order + 1)])
    right = np.array([correlation(0, i) for i in range(1, order + 1)])
    solved: Floats = np.linalg.lstsq(matrix, right, rcond=1e-8)[0]
    return solved


def _growth(weights: Floats) -> float:
    """Spectral radius of a year's steps: below one, what happened long ago is forgotten."""
    lags = weights.shape[1]
    if lags == 0:
        return 0.0
    year = np.eye(lags)
    for phi in weights:
        step = np.vstack([phi, np.eye(lags)[:-1]])
        year = step @ year
    return float(np.abs(np.linalg.eigvals(year)).max())


def _residuals(z: Floats, weights: Floats, seasons: int) -> tuple[Floats, Floats]:
    """Standard deviation of ε by season and plant, and a root of its correlation matrix."""
    lags, plants = weights.shape[1], z.shape[1]
    stages = np.arange(lags, len(z))
    past = np.stack([z[stages - 1 - i] for i in range(lags)], axis=1) if lags else np.zeros((len(stages), 0, plants))
    left = z[stages] - (weights[stages % seasons] * past).sum(1)
    deviation = np.zeros((seasons, plants))
    mixing = np.zeros((seasons, plants, plants))
    for season in range(seasons):
        own = left[stages % seasons == season]
        deviation[season] = np.sqrt((own**2).mean(0))
        unit = own / np.maximum(deviation[season], 1e-12)
        correlation = unit.T @ unit / len(own)
        values, vectors = np.linalg.eigh(correlation)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        mixing[season] = root / np.maximum(np.sqrt((root**2).sum(1, keepdims=True)), 1e-12)
    return deviation, mixing
