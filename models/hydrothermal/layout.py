"""A hydrothermal system as arrays: who feeds which bus, where water and power run, what holds in which season.

Inside, water is hm³ per stage and energy MWh per stage and block; m³/s and MW are left at the door.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import numpy.typing as npt

from models.hydrothermal.instance import HM3_PER_M3S_HOUR, HydrothermalSystem, downstream_order
from models.hydrothermal.seasonal import at, length

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Season:
    """What changes with the season. Energies are per block."""

    load: Floats  # (block, bus) [MWh]
    thermal_min: Floats  # (block, thermal) [MWh]
    thermal_max: Floats  # (block, thermal) [MWh]
    thermal_least: Floats  # (block, thermal) of those that are on or off, while they run; 0 for others [MWh]
    renewable_max: Floats  # (block, renewable) [MWh]
    turbine_max: Floats  # (block, hydro) [hm³]
    evaporation: Floats  # (hydro,) share of the storage above the dead one
    min_outflow: Floats  # (hydro,) [hm³]
    reserve: Floats  # (hydro,) [hm³]
    flood: Floats  # (hydro,) [hm³], infinite where there is none
    fuel_max: Floats  # (fuel,) [MWh]

    def key(self) -> bytes:
        """Equal for seasons that are alike."""
        return b"".join(getattr(self, field.name).tobytes() for field in fields(self))


class Layout:
    """One system compiled to arrays; positions follow the document's order."""

    def __init__(self, system: HydrothermalSystem) -> None:
        self.system = system
        parts = system.parts
        self.hours: Floats = np.array([part.share for part in parts]) * system.stage_hours  # (block,) [h]
        self.blocks = [part.id for part in parts]
        self.buses = [bus.id for bus in system.buses]
        self.hydros = [hydro.id for hydro in system.hydros]
        bus = {name: k for k, name in enumerate(self.buses)}
        plant = {name: k for k, name in enumerate(self.hydros)}
        self.thermal_bus = _positions(bus, [thermal.bus for thermal in system.thermals])
        self.hydro_bus = _positions(bus, [hydro.bus for hydro in system.hydros])
        self.renewable_bus = _positions(bus, [renewable.bus for renewable in system.renewables])
        self.line_from = _positions(bus, [line.source for line in system.lines])
        self.line_to = _positions(bus, [line.target for line in system.lines])
        self.turbine_down = [plant.get(h.turbine_downstream) if h.turbine_downstream else None for h in system.hydros]
        self.spill_down = [plant.get(h.spill_downstream) if h.spill_downstream else None for h in system.hydros]
        order = downstream_order(system.hydros)
        assert order is not None, "the rules refuse a cascade that runs in a circle"
        self.order = order  # upstream first
        self._rates(system)
        self.ramped = [k for k, thermal in enumerate(system.thermals) if thermal.ramp_mw is not None]
        self.limit = self._line_limits()  # (line,) [MW], infinite where there is none

    def _rates(self, system: HydrothermalSystem) -> None:
        hydros = system.hydros
        per_hm3 = [h.production_factor_mw_per_m3s / HM3_PER_M3S_HOUR for h in hydros]
        self.production_factor: Floats = np.array(per_hm3)  # ρ (hydro,) [MWh/hm³]
        self.storage_min: Floats = np.array([h.storage_min_hm3 for h in hydros])
        self.storage_max: Floats = np.array([h.storage_max_hm3 for h in hydros])
        self.storage_initial: Floats = np.array([h.initial_storage_hm3 for h in hydros])
        self.pieced = [k for k, h in enumerate(hydros) if h.production_pieces]
        resistance = np.array([line.resistance_pu for line in system.lines])
        self.losses: Floats = system.loss_factor * resistance / system.base_mva  # r/base [1/MW]
        self.switched = [k for k, thermal in enumerate(system.thermals) if thermal.on_off]
        self.running_cost: Floats = np.array([t.running_cost_per_hour for t in system.thermals])  # [money/h]

    def _line_limits(self) -> Floats:
        system = self.system
        found: list[float] = []
        for line in system.lines:
            limit = math.inf if line.limit_mw is None else line.limit_mw
            if system.planned_physics != "transport" and line.angle_max_rad is not None:
                limit = min(limit, system.base_mva * line.angle_max_rad / abs(self.angle_per_flow(len(found))))
            found.append(limit)
        return np.array(found)

    def angle_per_flow(self, line: int) -> float:
        """Angle between a line's ends per flow [rad per unit]: one over the susceptance x/(r²+x²)."""
        own = self.system.lines[line]
        return (own.resistance_pu**2 + own.reactance_pu**2) / own.reactance_pu

    @property
    def num_blocks(self) -> int:
        """Blocks of a stage."""
        return len(self.blocks)

    @cached_property
    def num_seasons(self) -> int:
        """Stages after which everything comes again; at most the horizon."""
        system = self.system
        values = [bus.load_mw for bus in system.buses]
        values += [value for t in system.thermals for value in (t.min_mw, t.max_mw)]
        values += [renewable.available_mw for renewable in system.renewables]
        values += [fuel.max_mwh for fuel in system.fuels]
        if system.physics == "ac":
            values += [bus.load_mvar for bus in system.buses]
        lengths = [length(value) for value in values]
        for h in system.hydros:
            own = (h.turbine_max_m3s, h.evaporation_share, h.min_outflow_m3s, h.reserve_storage_hm3)
            lengths += [*(length(value) for value in own), length(h.flood_storage_hm3)]
        return min(math.lcm(*lengths), system.stages)

    @cached_property
    def seasons(self) -> list[Season]:
        """Every season's arrays."""
        return [self._season(stage) for stage in range(self.num_seasons)]

    def _season(self, stage: int) -> Season:
        system, hours = self.system, self.hours[:, None]
        parts, hydros = system.parts, system.hydros
        load_factor = np.array([part.load_factor for part in parts])[:, None]
        renewable_factor = np.array([part.renewable_factor for part in parts])[:, None]

        def row(values: Sequence[float | list[float]]) -> Floats:
            return np.array([at(value, stage) for value in values], dtype=np.float64)

        flood = [np.inf if h.flood_storage_hm3 is None else at(h.flood_storage_hm3, stage) for h in hydros]
        return Season(
            load=hours * load_factor * row([bus.load_mw for bus in system.buses]),
            thermal_min=hours * row([0.0 if thermal.on_off else thermal.min_mw for thermal in system.thermals]),
            thermal_max=hours * row([thermal.max_mw for thermal in system.thermals]),
            thermal_least=hours * row([thermal.min_mw if thermal.on_off else 0.0 for thermal in system.thermals]),
            renewable_max=hours * renewable_factor * row([r.available_mw for r in system.renewables]),
            turbine_max=HM3_PER_M3S_HOUR * hours * row([h.turbine_max_m3s for h in hydros]),
            evaporation=row([h.evaporation_share for h in hydros]),
            min_outflow=system.hm3_per_m3s * row([h.min_outflow_m3s for h in hydros]),
            reserve=row([h.reserve_storage_hm3 for h in hydros]),
            flood=np.array(flood, dtype=np.float64),
            fuel_max=row([fuel.max_mwh for fuel in system.fuels]),
        )

    @cached_property
    def loops(self) -> Floats:
        """Kirchhoff's voltage law (loop, line): Σ coefficient · flow = 0 around every independent loop, angle-free."""
        lines = range(len(self.system.lines))
        parent: dict[int, tuple[int, int] | None] = {}
        tree: set[int] = set()
        for root in range(len(self.buses)):
            if root in parent:
                continue
            parent[root] = None
            queue = [root]
            for bus in queue:
                for line in lines:
                    ends = (int(self.line_from[line]), int(self.line_to[line]))
                    if bus in ends and (other := ends[ends[0] == bus]) not in parent:
                        parent[other] = (bus, line)
                        tree.add(line)
                        queue.append(other)
        found = [self._loop(line, parent) for line in lines if line not in tree]
        return np.array(found, dtype=np.float64).reshape(-1, len(lines))

    def _loop(self, closing: int, parent: dict[int, tuple[int, int] | None]) -> Floats:
        """The loop that a line outside the tree closes; its largest coefficient is one."""
        row = np.zeros(len(self.system.lines))
        row[closing] = 1.0
        for bus, sense in ((int(self.line_from[closing]), 1.0), (int(self.line_to[closing]), -1.0)):
            at_bus = bus
            while (step := parent[at_bus]) is not None:
                up, line = step
                row[line] += sense if int(self.line_from[line]) == up else -sense
                at_bus = up
        row *= np.array([self.angle_per_flow(line) for line in range(len(row))])
        scaled: Floats = row / np.abs(row).max()
        return scaled

    @cached_property
    def tangents(self) -> Floats:
        """Flows [MW] at which r·f² has a tangent (line, tangent): spread over what the line can carry."""
        peak = max(float((season.load.sum(1) / self.hours).max()) for season in self.seasons)
        most = np.minimum(self.limit, peak)
        count = self.system.loss_tangents
        spread: Floats = most[:, None] * ((2 * np.arange(count) + 1) / count - 1.0)
        return spread

    @cached_property
    def tiers(self) -> list[tuple[float, float]]:
        """Slices of deficit, cheapest first: share of load (infinite for the last) and price [money/MWh]."""
        given = [(tier.share_of_load, tier.cost_per_mwh) for tier in self.system.deficit_tiers]
        return [*given, (math.inf, self.system.deficit_cost_per_mwh)]

    def name(self, kind: str, identifier: str, block: int) -> str:
        """Name of a column or row of a block: `thermal[g1]`, with blocks `thermal[g1,peak]`."""
        return f"{kind}[{identifier}]" if self.num_blocks == 1 else f"{kind}[{identifier},{self.blocks[block]}]"


def _positions(place: dict[str, int], names: Sequence[str]) -> Ints:
    return np.array([place[name] for name in names], dtype=np.int64)
