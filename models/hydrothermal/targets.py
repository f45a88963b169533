"""Storage targets of a hydrothermal system, and what can be reached in a stage.

Between dead storage and what is there anything can be reached, for water may be spilled freely. What is there depends
on
what plants upstream let go: the plan behind the limits turbines all it can and spills the rest, plant by plant down the
cascade. Dispatch may do otherwise, but it can always do this, so targets within the limits can be met at every plant at
once, as long as load may go unserved at every bus.

Most shares stand for what turbines can do: from nothing turbined to all of it. Then a rule of thumb, so much water
however much there is, is a share that hardly changes, and a large reservoir needs no finer network than a small one.
"""

import math
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from models.dynamics import Stage
from models.hydrothermal.inflow import Autoregressive
from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.program import hydro_program
from models.hydrothermal.simulator import HydroSimulator, HydroState, InflowPath
from models.program import Indices
from models.targets import Targets

BEYOND = 0.1  # shares below which more leaves than can be turbined
HORIZON = 48.0  # [stages] over which the end of the horizon is felt to draw near


class HydroTargets(Targets):
    """Every reservoir's storage at the end of the stage [hm³]."""

    def __init__(self, system: HydrothermalSystem, simulator: HydroSimulator) -> None:
        self.system, self.rules = system, simulator.rules
        lay = simulator.layout
        self.names = lay.hydros
        self.strict = _why_not_strict(system)
        self._depth = _depth(lay.order, [lay.turbine_down, lay.spill_down])
        self._rather_turbined = self.rules.turbine_to - self.rules.spill_to
        flows = simulator.inflows.means().to(simulator.storage_initial)
        self._mean, self._spread = flows.mean(0), flows.mean(0).clamp_min(1e-6)
        self._full = self.rules.storage_max.clamp_min(1e-9)
        self._most = self.rules.storage_max + self._spread
        self._calendar = torch.tensor([self._day(stage) for stage in range(system.stages)], dtype=torch.float64)

    def columns(self, stage: int) -> Indices:
        return self._columns  # the same in all stages

    @cached_property
    def _columns(self) -> Indices:
        first = hydro_program(self.system).stage(0)
        return np.array([first.column(f"storage[{name}]") for name in self.names], dtype=np.int64)

    def vector(self, state: HydroState) -> Tensor:
        return torch.cat((state.storage, state.inflow, state.running.flatten(1)), dim=1)

    def reach(self, state: HydroState, share: Tensor, stage: Stage) -> Tensor:
        rules, low = self.rules, self.rules.storage_min
        most_turbined = rules.turbine_max[rules.season(stage)].sum(-2)
        drained, kept = (share / BEYOND).clamp_max(1.0), ((share - BEYOND) / (1 - BEYOND)).clamp_min(0.0)
        own = there = rules.kept_water(state.storage, state.inflow, stage)
        for level in range(self._depth + 1):  # each pass is right for plants one further down
            most = torch.minimum(there, rules.storage_max)
            turning = torch.minimum(torch.maximum(there - most_turbined, low), most)
            target = low + drained * (turning - low) + kept * (most - turning)
            if level < self._depth:
                left = there - target
                turbined = torch.minimum(left, most_turbined)
                there = own + left @ rules.spill_to + turbined @ self._rather_turbined
        return target

    def following(self, state: HydroState, target: Tensor, noise: InflowPath, stage: int) -> HydroState:
        past = torch.cat((state.inflow[:, None], state.past), dim=1)[:, : state.past.shape[1]]
        return HydroState(target, noise.inflow[:, min(stage, noise.inflow.shape[1] - 1)], past, state.running)

    def signals(self, state: HydroState) -> Tensor:
        flows = torch.cat((state.past.flip(1), state.inflow[:, None]), dim=1)
        return (flows - self._mean) / self._spread

    def levels(self, state: HydroState) -> Tensor:
        return torch.cat((state.storage / self._full, (state.storage + state.inflow) / self._most), dim=1)

    def calendar(self, stage: Stage) -> Tensor:
        places = torch.as_tensor(stage).reshape(-1).clamp(max=len(self._calendar) - 1)
        return self._calendar[places]

    def _day(self, stage: int) -> list[float]:
        """The season as a point on a circle, and the stages left."""
        season = 2 * math.pi * stage / _seasons(self.system)
        return [math.sin(season), math.cos(season), (self.system.stages - stage) / min(HORIZON, self.system.stages)]


def _seasons(system: HydrothermalSystem) -> float:
    """Stages after which what flows in comes again."""
    if isinstance(system.inflows, Autoregressive):
        return float(system.inflows.seasons)
    return float(system.inflows.num_table_stages)


def hydro_targets(system: HydrothermalSystem, simulator: HydroSimulator) -> HydroTargets:
    """The targets of a system; the simulator's precision is theirs."""
    return HydroTargets(system, simulator)


def _why_not_strict(system: HydrothermalSystem) -> str | None:
    hard = [bus.id for bus in system.buses if not bus.deficit_allowed]
    if hard:
        return f"load at bus {hard[0]} may not go unserved, which may take more water than a target leaves"
    return None


def _depth(order: list[int], downs: list[list[int | None]]) -> int:
    """Most plants that water passes on its way before it reaches one."""
    depth = dict.fromkeys(order, 0)
    for plant in order:
        for down in downs:
            below = down[plant]
            if below is not None:
                depth[below] = max(depth[below], depth[plant] + 1)
    return max(depth.values())
