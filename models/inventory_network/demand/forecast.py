"""How fast a forecast should follow demand: smoothing constants fitted to a history by statsmodels.

The library fits once; the recursion itself runs in tensors, see `DemandMemory`. It is an optional dependency (extra
`forecast`), imported only when a network asks for a forecast. Why this one: docs/decisions/0005-forecasting.md.
"""

from __future__ import annotations

import hashlib
import warnings

import numpy as np

from models.inventory_network.demand.timeline import Floats

MOST_ROWS = 2_000  # of the history's end that are fitted; older ones say little of how fast demand moves now
DECIMALS = 4  # kept of a constant: optimisers agree on those whatever the machine
_fitted: dict[str, Floats] = {}


def smoothing_constants(relative: Floats) -> Floats:
    """α (store,) of simple exponential smoothing, ℓ ← ℓ + α·(d − ℓ) from ℓ = 1, with the least squared one-step error.

    `relative` (row, store) is past demand over what was to be expected. Fitted once for the same figures. A store whose
    demand never varied has α = 0. RuntimeError if the library is not installed.
    """
    recent = np.ascontiguousarray(relative[-MOST_ROWS:])
    key = hashlib.sha256(recent.tobytes()).hexdigest() + str(recent.shape)
    if key not in _fitted:
        _fitted[key] = np.array([_constant(recent[:, store]) for store in range(recent.shape[1])])
    return _fitted[key]


def _constant(series: Floats) -> float:
    try:
        from statsmodels.tsa.holtwinters import SimpleExpSmoothing
    except ImportError:
        raise RuntimeError("forecasts need the extra `forecast`: pip install 'herenow[forecast]'") from None
    if np.ptp(series) == 0:
        return 0.0
    with warnings.catch_warnings():
        # It warns where the best constant lies at an end of [0, 1]; such a constant is an answer too.
        warnings.simplefilter("ignore")
        fit = SimpleExpSmoothing(series, initialization_method="known", initial_level=1.0).fit()
    constant = float(fit.params["smoothing_level"])
    if not 0.0 <= constant <= 1.0:
        raise RuntimeError(f"the smoothing constant came out as {constant}")
    return round(constant, DECIMALS)
