"""A hydrothermal system as solvers see it, and short runs on it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.program import hydro_program
from models.hydrothermal.simulator import HydroSimulator
from models.hydrothermal.targets import hydro_targets
from tests.models.hydro_systems import changed, every_option, two_buses

PROBLEM: Any = SimpleNamespace(
    full_stages=None,
    name="hydrothermal",
    program=hydro_program,
    simulator=lambda system, counts=True: HydroSimulator(system, counts),
    targets=hydro_targets,
)


def small(**changes: Any) -> HydrothermalSystem:
    """One reservoir and one thermal."""
    return HydrothermalSystem.model_validate(changed(two_buses(), **changes))


def cascade(seed: int = 1, **changes: Any) -> HydrothermalSystem:
    """Three plants down a river and every option but ramps."""
    return every_option(seed, thermals__0__ramp_mw=None, thermals__0__initial_mw=0.0, **changes)
