"""Relax and fix: a good plan in whole numbers for a long horizon, window by window.

A program over many stages is solved with whole numbers in a few stages only; those before are fixed to what was found,
those after are relaxed. Then the window moves on. Every program has few whole numbers that are free, so the work grows
with the number of windows and not exponentially with the horizon. What comes out is a plan, not a bound; offered to the
whole program as its first plan, it leaves the search to prove or improve it.

Equation → function
  min c·x,  x whole in the window, x fixed before it, x free to be broken after it     `relax_and_fix`

Sources: Stadtler, "Multilevel lot sizing with setup times and multiple constrained resources: internally rolling
schedules with lot-sizing windows", Operations Research 51(3), 2003; Pochet and Wolsey, Production Planning by Mixed
Integer Programming, 2006, ch. 3.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from models.program import MultistageProgram, Vector

KEPT = 0.5  # share of a window that is fixed before it moves on: the rest is decided again


def relax_and_fix(
    chained: MultistageProgram,
    state: Vector,
    noise: Vector,
    window: int,
    mip_gap: float,
    seconds: float,
    should_stop: Callable[[], bool] = lambda: False,
) -> Vector | None:
    """Columns (n,) of a plan from one state (k,) on one noise path (m,), whole where they must be; None if none came.

    Args:
        chained: the program, stage by stage.
        window: stages in whole numbers at a time.
        mip_gap: relative gap at which a window's plan is good enough.
        seconds: wall clock for all windows; shared equally.
    """
    from solvers.highs import HotProgram

    program, starts = chained.program, chained.column_starts
    stages, step = len(starts) - 1, max(int(window * KEPT), 1)
    firsts = range(0, max(stages - window, 0) + step, step)
    lower, upper = program.lower.copy(), program.upper.copy()
    place, deadline = np.arange(len(program.columns)), time.monotonic() + seconds
    columns: Vector | None = None
    for turn, first in enumerate(firsts):
        if columns is not None:
            fixed = program.integer & (place < starts[min(first, stages)])
            lower[fixed] = upper[fixed] = np.round(columns[fixed])
        end = starts[min(first + window, stages)] if turn + 1 < len(firsts) else starts[stages]
        part = replace(program, integer=program.integer & (place < end), lower=lower.copy(), upper=upper.copy())
        hot = HotProgram(part, mip_gap=mip_gap, brief=True)
        hot.set_data(state, noise)
        hot.solve((deadline - time.monotonic()) / (len(firsts) - turn), should_stop)
        if not hot.has_columns or should_stop():
            return None
        columns = hot.columns()
    return columns
