"""Small programs whose noise has few outcomes: what decomposition is checked on, beside their extensive form."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyomo.environ as pyo

from models.program import LinearProgram, Outcomes, Program, Vector, compile_stage, scenario_tree
from solvers.highs import HotProgram
from tests.models.reservoir import ReservoirProgram


class Dam(ReservoirProgram):
    """The reservoir with three inflows a stage, the same in all of them, and two to start with."""

    def __init__(self, stages: int, water_left: float = 0.0) -> None:
        super().__init__(stages, water_left)
        self.inflows = Outcomes(np.array([[5.0], [20.0], [60.0]]), np.array([0.5, 0.3, 0.2]))
        self.first = Outcomes(np.array([[50.0, 5.0], [50.0, 30.0]]), np.array([0.4, 0.6]))

    def outcomes(self, stage: int) -> Outcomes:
        return self.inflows

    def starts(self) -> Outcomes:
        return self.first


class Stall(Program):
    """Copies ordered before demand is known, sold after it: noise strikes within the stage, and last week's order
    passes through the state once before it arrives."""

    num_stages = 3

    def __init__(self) -> None:
        m = pyo.ConcreteModel()
        m.order, m.sold = pyo.Var(bounds=(0, 30)), pyo.Var(bounds=(0, None))
        m.left, m.lost = pyo.Var(bounds=(0, None)), pyo.Var(bounds=(0, None))
        m.stock, m.coming, m.under_way, m.demand = pyo.Var(), pyo.Var(), pyo.Var(), pyo.Var()
        m.goods = pyo.Constraint(expr=m.left == m.stock + m.coming - m.sold)
        m.customers = pyo.Constraint(expr=m.sold + m.lost == m.demand)
        m.cost = pyo.Objective(expr=m.order + 0.5 * m.left + 9 * m.lost)
        self._stage = compile_stage(m, [m.stock, m.coming, m.under_way], [m.demand], [m.left, m.under_way, m.order])
        self.demands = Outcomes(np.array([[4.0], [10.0]]), np.array([0.6, 0.4]))

    def stage(self, stage: int) -> LinearProgram:
        return self._stage

    def here_and_now(self, stage: int) -> Any:
        return np.array([self._stage.column("order")])

    def outcomes(self, stage: int) -> Outcomes:
        return self.demands

    def starts(self) -> Outcomes:
        return Outcomes(np.array([[6.0, 3.0, 1.0]]), np.ones(1))

    def state_vector(self, state: Any) -> Vector:
        return np.asarray(state, dtype=np.float64)

    def noise_vector(self, noise: Any, stage: int) -> Vector:
        return np.asarray(noise, dtype=np.float64)[:, stage : stage + 1]

    def decision(self, x: Vector, stage: int) -> Any:
        return x


def problem_of(face: Program, discount: float = 1.0) -> Any:
    """What a solver asks of a problem, for a program alone."""
    stages = {"first_reported_stage": 0, "reported_stages": range(face.num_stages)}
    simulator = SimpleNamespace(num_stages=face.num_stages, discount=discount, **stages)
    parts = {"program": lambda instance: face, "simulator": lambda instance, counts=True: simulator}
    return SimpleNamespace(name="dam", full_stages=None, **parts)


def extensive_optimum(face: Program, discount: float = 1.0) -> float:
    """The least expected cost, by one program over the whole tree of outcomes."""
    chances = [face.outcomes(stage) for stage in range(face.num_stages)]
    programs = [face.stage(stage) for stage in range(face.num_stages)]
    here = [face.here_and_now(stage) for stage in range(face.num_stages)]
    values = [each.values for each in chances if each is not None]
    if (final := face.final()) is not None:
        programs, here, values = [*programs, final], [*here, np.zeros(0, dtype=np.int64)], [*values, np.zeros((1, 0))]
    likely = np.ones(1)
    for each in chances:
        likely = np.outer(likely, each.probabilities).ravel()
    weights = discount ** np.arange(len(programs), dtype=np.float64)
    tree = scenario_tree(programs, weights, here, [len(each) for each in values], likely, committed=0)
    leaves = np.array(list(itertools.product(*(range(len(each)) for each in values))))
    path = tree.noise_path([each[leaves[:, stage]] for stage, each in enumerate(values)])
    hot = HotProgram(tree.program)
    total = 0.0
    starts = face.starts()
    assert starts is not None
    for state, chance in zip(starts.values, starts.probabilities, strict=True):
        hot.set_data(state, path)
        total += chance * hot.solve().require("the tree").value
    return total
