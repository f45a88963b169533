"""One reservoir and a thermal plant as a program: hazard-decision, with cyclic data and a price for what is left.

Exercises what the inventory network does not: an inflow that is noise in one stage and state in the next, stages that
differ by season, a final program, and a water row whose dual is the value of water.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.program import LinearProgram, Program, Vector, compile_stage


def reservoir_stage(load: float) -> LinearProgram:
    """A stage with this load [MWh]: storage 0–100, turbined at most 50, thermal at 7 a unit, deficit at 100."""
    m = pyo.ConcreteModel()
    m.storage = pyo.Var(bounds=(0, 100))
    m.turbined = pyo.Var(bounds=(0, 50))
    m.spilled = pyo.Var(bounds=(0, None))
    m.thermal = pyo.Var(bounds=(0, 30))
    m.deficit = pyo.Var(bounds=(0, None))
    m.incoming_storage = pyo.Var()
    m.inflow = pyo.Var()
    m.next_inflow = pyo.Var()
    m.water = pyo.Constraint(expr=m.storage + m.turbined + m.spilled - m.incoming_storage - m.inflow == 0)
    m.power = pyo.Constraint(expr=m.turbined + m.thermal + m.deficit == load)
    m.cost = pyo.Objective(expr=7 * m.thermal + 100 * m.deficit + 0.01 * m.spilled)
    return compile_stage(m, [m.incoming_storage, m.inflow], [m.next_inflow], [m.storage, m.next_inflow])


class ReservoirProgram(Program):
    """`stages` stages with loads of 40 and 60 in turn; water left at the end is worth `water_left` a unit.

    States are arrays (batch, 2) of storage and this stage's inflow, noise (batch, stages) the next stages' inflows.
    """

    def __init__(self, stages: int, water_left: float = 0.0) -> None:
        self.num_stages = stages
        self._seasons = [reservoir_stage(40.0), reservoir_stage(60.0)]
        self._water_left = water_left

    def stage(self, stage: int) -> LinearProgram:
        return self._seasons[stage % 2]

    def state_vector(self, state: Any) -> Vector:
        return np.asarray(state, dtype=np.float64)

    def noise_vector(self, noise: Any, stage: int) -> Vector:
        return np.asarray(noise, dtype=np.float64)[:, stage : stage + 1]

    def decision(self, x: Vector, stage: int) -> Any:
        return x

    def final(self) -> LinearProgram | None:
        if not self._water_left:
            return None
        m = pyo.ConcreteModel()
        m.storage, m.inflow, m.kept = pyo.Var(), pyo.Var(), pyo.Var(bounds=(0, None))
        m.worth = pyo.Constraint(expr=m.kept <= m.storage)
        m.cost = pyo.Objective(expr=-self._water_left * m.kept)
        return compile_stage(m, [m.storage, m.inflow], [], [])
