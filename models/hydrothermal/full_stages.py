"""A hydrothermal system's stages in full: in alternating current, or with thermals on or off.

The storage that a stage ends with is planned; thermals, turbines, spill, flows and deficit are dispatched anew. Water
values stay those of the plan, which alone knows the future; what load costs at a bus is told anew where there are
prices (there are none where plants are on or off).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from models.full_stages import FullStages, NonlinearProgram
from models.hydrothermal.algebra import switched_program
from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.power_flow import AlternatingCurrent
from models.hydrothermal.program import HydroProgram
from models.hydrothermal.simulator import Dispatch, HydroSimulator, HydroState
from models.linear_program import LinearProgram, Vector


class AlternatingStages(FullStages):
    """Every stage as a power flow in alternating current; data: water leaving every reservoir [hm³]."""

    def __init__(self, system: HydrothermalSystem) -> None:
        self.system = system
        self.rules = HydroSimulator(system, counts=False).double().rules
        self._programs: dict[int, NonlinearProgram] = {}

    def program(self, stage: int) -> NonlinearProgram:
        season = stage % self.rules.layout.num_seasons
        if season not in self._programs:
            self._programs[season] = AlternatingCurrent(self.system, season).program()
        return self._programs[season]

    def data(self, state: HydroState, planned: Dispatch, stage: int) -> Vector:
        through = planned.turbined.sum(1)
        arriving = through @ self.rules.turbine_to + planned.spilled @ self.rules.spill_to
        leaving: Vector = (through + planned.spilled - arriving).numpy()
        return np.where(np.abs(leaving) < 1e-6, 0.0, leaving)  # rounding would ask for water that is not there

    def decision(self, planned: Dispatch, columns: Vector, duals: Vector, stage: int) -> Dispatch:
        system, place = self.system, self.program(stage).columns
        column = {name: torch.from_numpy(columns[:, None, own]) for name, own in place.items()}
        energy = system.base_mva * system.stage_hours
        turbined = (column["turbined"] * system.hm3_per_m3s).clamp_min(0.0)
        prices = duals[:, None, self.program(stage).kinds["active"]] / energy
        assert self.rules.power is not None
        return self.rules.power.with_flows(
            replace(
                planned,
                turbined=turbined,
                spilled=column["spilled"][:, 0].clamp_min(0.0),
                hydro=turbined * self.rules.production_factor,
                thermal=energy * column["thermal"],
                deficit=energy * column["deficit"][:, :, None].clamp_min(0.0),
                surplus=energy * column["surplus"].clamp_min(0.0),
                marginal_cost=torch.from_numpy(prices),
                voltage=column["voltage"],
                angle=column["angle"],
                reactive=system.base_mva * torch.cat((column["reactive_thermal"], column["reactive_hydro"]), -1),
            )
        )


class SwitchedStages(FullStages):
    """Every stage with thermals on or off; data: the stage's own state, then the storage it is to end with."""

    def __init__(self, system: HydrothermalSystem) -> None:
        self.face = HydroProgram(system)
        self.rules = HydroSimulator(system, counts=False).double().rules
        self._programs: dict[bytes, LinearProgram] = {}
        self._places = np.array([self.program(0).column(name) for name in self.face.stage(0).columns], dtype=np.int64)

    def program(self, stage: int) -> LinearProgram:
        lay = self.rules.layout
        season = lay.seasons[stage % lay.num_seasons]
        if season.key() not in self._programs:
            self._programs[season.key()] = switched_program(lay, season)
        return self._programs[season.key()]

    def data(self, state: HydroState, planned: Dispatch, stage: int) -> Vector:
        rules = self.rules
        end = rules.end_storage(state.storage, state.inflow, planned.turbined, planned.spilled, stage)
        end = torch.minimum(end.maximum(rules.storage_min), rules.storage_max)  # rounding
        joined: Vector = np.concatenate([self.face.state_vector(state), end.numpy()], axis=1)
        return joined

    def decision(self, planned: Dispatch, columns: Vector, duals: Vector, stage: int) -> Dispatch:
        found = self.face.decision(columns[:, self._places], stage)
        stands = ~self.rules.runs(found.thermal, stage) & (self.rules.switched > 0)
        thermal = torch.where(stands, 0.0, found.thermal)  # rounding
        kept = {name: getattr(planned, name) for name in ("target", "water_value", "marginal_cost", "priced")}
        return replace(found, thermal=thermal, **kept)


def full_stages(system: HydrothermalSystem) -> FullStages:
    """The stages of a system whose plans leave something out.

    Raises:
        ValueError: they leave nothing out.
    """
    if system.plans_leave_out is None:
        raise ValueError("the stage programs are exact")
    return AlternatingStages(system) if system.physics == "ac" else SwitchedStages(system)
