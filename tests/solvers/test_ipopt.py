"""Stages in alternating current: what they cost, and that they agree with direct current where they must."""

import numpy as np
import pytest

pytest.importorskip("casadi")

from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.power_flow import AlternatingCurrent
from models.hydrothermal.program import HydroProgram
from solvers.core import InnerSolveError
from solvers.highs import HotProgram
from solvers.ipopt import Ipopt
from tests.models.hydro_systems import bolivia, changed, every_option, two_buses


def direct(system, storage, inflow, end):
    """Least cost of a stage that ends at given storage, in the system's own physics."""
    program = HydroProgram(system).stage(0)
    hot = HotProgram(program)
    names = [f"storage[{hydro.id}]" for hydro in system.hydros]
    hot.set_column_bounds(np.array([program.column(name) for name in names], dtype=np.int32), end, end)
    hot.set_data(np.concatenate([storage, inflow]), np.zeros(len(inflow)))
    return hot.solve().require("a test").value


def alternating(system, storage, inflow, end):
    stage = AlternatingCurrent(system)
    return Ipopt(stage.program()).solve(stage.water_leaving(storage, inflow, end), "a test")


SCARCE = np.array([150.0]), np.array([60.0]), np.array([100.0])


def test_a_line_without_resistance_loses_nothing():
    system = HydrothermalSystem.model_validate(changed(two_buses(), lines__0__resistance_pu=0.0))
    assert alternating(system, *SCARCE).value == pytest.approx(direct(system, *SCARCE), rel=1e-6)


def test_losses_cost_about_what_direct_current_with_losses_says():
    system = HydrothermalSystem.model_validate(changed(two_buses("dc_losses"), loss_tangents=60))
    lossless = direct(system.model_copy(update={"physics": "dc"}), *SCARCE)
    found = alternating(system, *SCARCE).value
    assert found > lossless
    # Voltages up to 1.1 lower the current, and with it the losses, by up to a fifth.
    losses = direct(system, *SCARCE) - lossless
    assert 0.75 * losses < found - lossless < 1.02 * losses


def test_the_price_of_water_is_the_slope_of_the_cost():
    system = HydrothermalSystem.model_validate(two_buses())
    stage = AlternatingCurrent(system)
    solver = Ipopt(stage.program(), tolerance=1e-9)
    water = stage.water_leaving(*SCARCE)
    slope = (solver.solve(water + 0.01, "up").value - solver.solve(water - 0.01, "down").value) / 0.02
    assert solver.solve(water, "here").row_duals[-1] == pytest.approx(slope, rel=1e-4)


def test_water_that_cannot_leave_is_said():
    system = HydrothermalSystem.model_validate(two_buses())
    with pytest.raises(InnerSolveError, match="too dry"):
        Ipopt(AlternatingCurrent(system).program()).solve(np.array([-10.0]), "too dry")


def test_what_it_does_not_know_is_named():
    with pytest.raises(ValueError, match="blocks, ramps, fuels, renewables, slices of deficit, head, soft outflow"):
        AlternatingCurrent(every_option(0))


def test_bolivia_costs_a_little_more_than_with_direct_current():
    system = bolivia(1)
    table = system.inflows.table([hydro.id for hydro in system.hydros]) * system.hm3_per_m3s
    empty = np.zeros(len(system.hydros))
    found = alternating(system, empty, table[0, 0], empty).value
    lossless = direct(system, empty, table[0, 0], empty)
    assert 1.005 < found / lossless < 1.08
