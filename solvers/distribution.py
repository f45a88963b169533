"""How costs spread over scenarios: quantiles, histograms on common edges, and every pair of policies set off.

All policies were judged on the same scenarios, so differences are taken scenario by scenario: what is luck for one is
luck for the other, and falls out.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from solvers.evaluation import Floats, paired_difference, short

LEVELS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
BINS = 40
TAIL = 0.005  # share of scenarios on either side that falls into the outermost bins, so that one cannot stretch all
MOST_PAIRED = 20  # policies up to which every pair is set off; beyond, only pairs with the first


def distributions(totals: Mapping[str, Floats]) -> dict[str, dict[str, Any]]:
    """Per policy the quantiles of its cost per scenario [money] and a histogram, on the same edges for all policies.

    The first and the last bin also hold what lies beyond them: `least` and `greatest` say how far that goes.
    """
    edges = _edges(totals)
    return {name: _distribution(values, edges) for name, values in totals.items()}


def _distribution(values: Floats, edges: Floats) -> dict[str, Any]:
    levels = np.quantile(values, LEVELS)
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return {
        "quantiles": {f"q{round(100 * q):02d}": short(float(v)) for q, v in zip(LEVELS, levels, strict=True)},
        "least": short(float(values.min())),
        "greatest": short(float(values.max())),
        "histogram": {"edges": [float(edge) for edge in edges], "counts": counts.tolist()},
    }


def _edges(totals: Mapping[str, Floats]) -> Floats:
    low = min(float(np.quantile(values, TAIL)) for values in totals.values())
    high = max(float(np.quantile(values, 1 - TAIL)) for values in totals.values())
    margin = 0.0 if high > low else 0.5 * max(abs(low), 1.0)  # costs that never vary fall into the middle
    return np.array([float(f"{edge:.8g}") for edge in np.linspace(low - margin, high + margin, BINS + 1)])


def pairs(totals: Mapping[str, Floats]) -> list[dict[str, Any]]:
    """For every pair: what `other` costs more than `policy` on the same scenarios, and how often `policy` wins."""
    names = list(totals)
    chosen = combinations(names, 2) if len(names) <= MOST_PAIRED else ((names[0], other) for other in names[1:])
    return [{"policy": one, "other": other} | paired_difference(totals[other], totals[one]) for one, other in chosen]
