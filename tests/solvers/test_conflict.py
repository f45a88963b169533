"""A stage without a dispatch is an outcome that names the rows at odds, not a crash."""

import numpy as np
import pytest
import torch

from models.hydrothermal import PROBLEM
from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.program import HydroProgram
from solvers.bounds import DeterministicConfig, PerfectInformationConfig, deterministic, perfect_information
from solvers.core import Callbacks, InnerSolveError
from solvers.families import policy_of
from solvers.highs import HotProgram
from tests.models.hydro_systems import changed, two_buses

# 200 MW where at most 60 MW are made and 80 MW arrive, and nobody may go without.
IMPOSSIBLE = changed(two_buses(), buses__1__load_mw=200, buses__1__deficit_allowed=False)
IMPOSSIBLE["buses"][0]["deficit_allowed"] = True
SYSTEM = HydrothermalSystem.model_validate(IMPOSSIBLE)


def test_the_rows_at_odds_are_named_and_the_program_lives_on():
    program = HydroProgram(SYSTEM).stage(0)
    hot = HotProgram(program)
    hot.set_data(np.array([150.0, 100.0]), np.zeros(1))
    assert hot.solve().status == "infeasible"
    assert hot.conflict() == ["balance[b2]"]
    assert hot.solve().status == "infeasible"


def test_a_feasible_program_has_no_conflict():
    hot = HotProgram(HydroProgram(HydrothermalSystem.model_validate(two_buses())).stage(0))
    hot.set_data(np.array([150.0, 100.0]), np.zeros(1))
    hot.solve()
    assert hot.conflict() == []


@pytest.mark.parametrize(
    ("solve", "config"),
    [(deterministic, DeterministicConfig()), (perfect_information, PerfectInformationConfig(scenarios=2))],
)
def test_plans_and_bounds_say_which_rows(solve, config):
    result = solve(PROBLEM, SYSTEM, config, 0, Callbacks())
    assert result.status == "infeasible"
    assert [row.split("@")[0] for row in result.document["conflict"]] == ["balance[b2]"]


def test_a_policy_that_plans_says_which_rows():
    simulator = PROBLEM.simulator(SYSTEM)
    policy = policy_of(PROBLEM, SYSTEM, PROBLEM.family("myopic"))
    with pytest.raises(InnerSolveError, match=r"cannot all hold: balance\[b2\]@0"):
        policy(simulator.initial(1, torch.Generator().manual_seed(0)), 0)
