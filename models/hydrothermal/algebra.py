"""One stage of a hydrothermal system in Pyomo algebra, and what its storage is worth at the end.

Columns and rows carry the planner's ids; block ids are appended where a stage has several (`thermal[g1,peak]`). What
the rows say is at the head of `models.hydrothermal.program`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.hydrothermal.instance import HM3_PER_M3S_HOUR
from models.hydrothermal.layout import Layout, Season
from models.program import LinearProgram, compile_stage


def stage_program(lay: Layout, season: Season) -> LinearProgram:
    """The stage of a season as matrices."""
    return _Stage(lay, season).compiled()


def switched_program(lay: Layout, season: Season) -> LinearProgram:
    """The stage with thermals on or off, and with storage to end with as data, after the stage's other states."""
    return _Stage(lay, season, switched=True).compiled()


def end_program(lay: Layout) -> LinearProgram:
    """What the last storage costs: the highest cut, and storage missing to what was to be left."""
    import pyomo.environ as pyo

    end = lay.system.end
    assert end is not None
    block = pyo.ConcreteModel()
    block.state = pyo.Var(range(len(lay.hydros) * 2 + len(lay.ramped) * lay.num_blocks))
    storage = {name: block.state[k] for k, name in enumerate(lay.hydros)}
    cost: list[Any] = []
    if end.cuts:
        block.cost_to_go = pyo.Var()
        cost.append(block.cost_to_go)
    block.cut = pyo.Constraint(pyo.Any)
    for i, cut in enumerate(end.cuts):
        line = cut.intercept + sum(slope * storage[plant] for plant, slope in cut.slope_per_hm3.items())
        block.cut[i] = block.cost_to_go >= line
    block.end_short = pyo.Var(list(end.storage_hm3), bounds=(0, None))
    block.end_storage = pyo.Constraint(pyo.Any)
    for plant, wanted in end.storage_hm3.items():
        block.end_storage[plant] = block.end_short[plant] + storage[plant] >= wanted
        cost.append(end.shortage_cost_per_hm3 * block.end_short[plant])
    block.cost = pyo.Objective(expr=sum(cost))
    return compile_stage(block, block.state.values(), [], [])


def tier_name(lay: Layout, tier: int) -> str:
    """Kind of the columns of a slice of deficit: the last is `deficit`."""
    return "deficit" if tier == len(lay.tiers) - 1 else f"deficit{tier + 1}"


def _parsed(name: str) -> tuple[str, Any]:
    """Kind and index of a name: `thermal[g1,peak]` is thermal at (g1, peak)."""
    kind, _, inside = name.rstrip("]").partition("[")
    parts = tuple(inside.split(","))
    return kind, parts if len(parts) > 1 else parts[0]


class _Stage:
    """One season's stage in Pyomo algebra."""

    def __init__(self, lay: Layout, season: Season, switched: bool = False) -> None:
        import pyomo.environ as pyo

        self.pyo, self.lay, self.season, self.system = pyo, lay, season, lay.system
        self.switched = switched
        self.block = pyo.ConcreteModel()
        self.cost: list[Any] = []
        self.fed: dict[tuple[int, int], list[Any]] = {}  # (block, bus) → what reaches the bus
        self.blocks = range(lay.num_blocks)
        self.plants = range(len(lay.hydros))

    def compiled(self) -> LinearProgram:
        """The stage as matrices."""
        self._state()
        self._water()
        self._hydro_power()
        self._thermal_power()
        self._grid()
        self._unserved()
        self._balances()
        self._soft_limits()
        self.block.cost = self.pyo.Objective(expr=sum(self.cost))
        incoming = [*self.incoming, *self.inflow, *self.previous, *(self._ends() if self.switched else [])]
        outgoing = [*self.storage, *self.noise, *(self.thermal[k][g] for k in self.blocks for g in self.lay.ramped)]
        return compile_stage(self.block, incoming, self.noise, outgoing)

    def _variable(self, name: str, lower: float = 0.0, upper: float = np.inf) -> Any:
        kind, index = _parsed(name)
        if self.block.component(kind) is None:
            self.block.add_component(kind, self.pyo.Var(self.pyo.Any, dense=False))
        variable = self.block.component(kind).add(index)
        variable.setlb(None if np.isinf(lower) else float(lower))
        variable.setub(None if np.isinf(upper) else float(upper))
        return variable

    def _row(self, name: str, expression: Any) -> None:
        kind, index = _parsed(name)
        if self.block.component(kind) is None:
            self.block.add_component(kind, self.pyo.Constraint(self.pyo.Any))
        self.block.component(kind)[index] = expression

    def _state(self) -> None:
        lay = self.lay
        self.incoming = [self._variable(f"incoming_storage[{h}]") for h in lay.hydros]
        self.inflow = [self._variable(f"inflow[{h}]") for h in lay.hydros]
        ids = [self.system.thermals[g].id for g in lay.ramped]
        self.previous = [self._variable(lay.name("previous", identifier, k)) for k in self.blocks for identifier in ids]
        self.noise = [self._variable(f"next_inflow[{h}]") for h in lay.hydros]

    def _ends(self) -> list[Any]:
        """Storage to end with, as data that storage is held to."""
        ends = [self._variable(f"end[{h}]") for h in self.lay.hydros]
        for h, (storage, end) in enumerate(zip(self.storage, ends, strict=True)):
            self._row(f"held[{self.lay.hydros[h]}]", storage - end == 0)
        return ends

    def _water(self) -> None:
        lay, season = self.lay, self.season
        self.turbined = [
            [self._variable(lay.name("turbined", lay.hydros[h], k), 0.0, season.turbine_max[k, h]) for h in self.plants]
            for k in self.blocks
        ]
        self.spilled = [self._variable(f"spilled[{h}]") for h in lay.hydros]
        self.storage = [
            self._variable(f"storage[{lay.hydros[h]}]", lay.storage_min[h], lay.storage_max[h]) for h in self.plants
        ]
        through = [sum(self.turbined[k][h] for k in self.blocks) for h in self.plants]
        for h in self.plants:
            arriving = [through[up] for up in self.plants if lay.turbine_down[up] == h]
            arriving += [self.spilled[up] for up in self.plants if lay.spill_down[up] == h]
            left = self.storage[h] + through[h] + self.spilled[h] - sum(arriving)
            share = season.evaporation[h]
            there = (1 - share) * self.incoming[h] + self.inflow[h]
            self._row(f"water[{lay.hydros[h]}]", left - there == share * lay.storage_min[h])
            self.cost.append(self.system.hydros[h].spill_cost_per_hm3 * self.spilled[h])
        self.through = through

    def _hydro_power(self) -> None:
        for k in self.blocks:
            for h in self.plants:
                own = self.system.hydros[h]
                if own.production_pieces:
                    power = self._pieces(k, h)
                else:
                    power = self.lay.production_factor[h] * self.turbined[k][h]
                self._feed(k, self.lay.hydro_bus[h], power)
                self.cost.append(own.cost_per_mwh * power)

    def _pieces(self, k: int, h: int) -> Any:
        """Generation [MWh] at most every piece of the production function, storage being the stage's mean."""
        own, hours = self.system.hydros[h], self.lay.hours[k]
        power = self._variable(self.lay.name("hydro", own.id, k))
        mean = 0.5 * (self.incoming[h] + self.storage[h])
        for p, piece in enumerate(own.production_pieces):
            turned = piece.per_m3s / HM3_PER_M3S_HOUR * self.turbined[k][h]
            limit = hours * piece.constant_mw + turned + hours * piece.per_hm3 * mean
            self._row(self.lay.name(f"production{p + 1}", own.id, k), power <= limit)
        return power

    def _thermal_power(self) -> None:
        system, season = self.system, self.season
        self.thermal: list[list[Any]] = []
        for k in self.blocks:
            row = []
            for g, own in enumerate(system.thermals):
                name = self.lay.name("thermal", own.id, k)
                row.append(self._variable(name, season.thermal_min[k, g], season.thermal_max[k, g]))
                self._feed(k, self.lay.thermal_bus[g], row[g])
                self.cost.append(own.cost_per_mwh * row[g])
                if own.on_off:
                    self._running(k, g, row[g])
            self.thermal.append(row)
            for r, renewable in enumerate(system.renewables):
                name = self.lay.name("renewable", renewable.id, k)
                wind = self._variable(name, 0.0, season.renewable_max[k, r])
                self._feed(k, self.lay.renewable_bus[r], wind)
        self._ramps()
        place = {own.id: g for g, own in enumerate(system.thermals)}
        for f, fuel in enumerate(system.fuels):
            burnt = sum(self.thermal[k][place[plant]] for k in self.blocks for plant in fuel.thermals)
            self._row(f"fuel[{fuel.id}]", burnt <= season.fuel_max[f])

    def _running(self, k: int, g: int, power: Any) -> None:
        """On or off; in plans, the share of capacity used stands for the share of time it runs: never dearer."""
        identifier, most = self.system.thermals[g].id, self.season.thermal_max[k, g]
        price = self.lay.running_cost[g] * self.lay.hours[k]
        if not self.switched:
            if most > 0:
                self.cost.append(price / most * power)
            return
        running = self._variable(self.lay.name("running", identifier, k), 0.0, 1.0)
        running.domain = self.pyo.Binary
        self._row(self.lay.name("most", identifier, k), power - most * running <= 0)
        self._row(self.lay.name("least", identifier, k), power - self.season.thermal_least[k, g] * running >= 0)
        self.cost.append(price * running)

    def _ramps(self) -> None:
        for k in self.blocks:
            for place, g in enumerate(self.lay.ramped):
                own = self.system.thermals[g]
                step = self.lay.hours[k] * (own.ramp_mw or 0.0)
                change = self.thermal[k][g] - self.previous[k * len(self.lay.ramped) + place]
                self._row(self.lay.name("ramp", own.id, k), (-step, change, step))

    def _grid(self) -> None:
        lay, system = self.lay, self.system
        for k in self.blocks:
            flows = []
            for line, own in enumerate(system.lines):
                most = lay.limit[line] * lay.hours[k]
                flow = self._variable(lay.name("flow", own.id, k), -most, most)
                flows.append(flow)
                self._feed(k, lay.line_from[line], -flow)
                self._feed(k, lay.line_to[line], flow - self._loss(k, line, flow))
            if system.planned_physics != "transport":
                for i, loop in enumerate(lay.loops):
                    around = sum(value * flows[line] for line, value in enumerate(loop) if value)
                    self._row(lay.name("loop", str(i), k), around == 0)

    def _loss(self, k: int, line: int, flow: Any) -> Any:
        """What a line loses on its way [MWh]: at least every tangent of r f² / (base · hours)."""
        lay = self.lay
        if self.system.planned_physics != "dc_losses" or lay.losses[line] == 0:
            return 0.0
        identifier = self.system.lines[line].id
        loss = self._variable(lay.name("loss", identifier, k))
        for i, point in enumerate(lay.tangents[line]):
            slope, height = 2 * lay.losses[line] * point, lay.losses[line] * point**2 * lay.hours[k]
            self._row(lay.name(f"tangent{i + 1}", identifier, k), loss - slope * flow >= -height)
        return loss

    def _unserved(self) -> None:
        lay, system = self.lay, self.system
        for k in self.blocks:
            for tier, (share, price) in enumerate(lay.tiers):
                for b, bus in enumerate(system.buses):
                    load = self.season.load[k, b]
                    if not bus.deficit_allowed:
                        continue
                    most = np.inf if np.isinf(share) else share * load
                    short = self._variable(lay.name(tier_name(lay, tier), bus.id, k), 0.0, most)
                    self._feed(k, b, short)
                    self.cost.append(price * short)
            if system.can_have_surplus:
                for b, bus in enumerate(system.buses):
                    over = self._variable(lay.name("surplus", bus.id, k))
                    self._feed(k, b, -over)
                    self.cost.append(system.surplus_cost_per_mwh * over)

    def _balances(self) -> None:
        for k in self.blocks:
            for b, bus in enumerate(self.lay.buses):
                reached = sum(self.fed.get((k, b), []))
                self._row(self.lay.name("balance", bus, k), reached == self.season.load[k, b])

    def _soft_limits(self) -> None:
        season = self.season
        for h, own in enumerate(self.system.hydros):
            if own.min_outflow_cost_per_hm3:
                short = self._variable(f"outflow_short[{own.id}]")
                out = self.through[h] + self.spilled[h] + short
                self._row(f"outflow[{own.id}]", out >= season.min_outflow[h])
                self.cost.append(own.min_outflow_cost_per_hm3 * short)
            if own.reserve_cost_per_hm3:
                short = self._variable(f"reserve_short[{own.id}]")
                self._row(f"reserve[{own.id}]", self.storage[h] + short >= season.reserve[h])
                self.cost.append(own.reserve_cost_per_hm3 * short)
            if own.flood_storage_hm3 is not None:
                over = self._variable(f"flood_over[{own.id}]")
                self._row(f"flood[{own.id}]", self.storage[h] - over <= season.flood[h])
                self.cost.append(own.flood_cost_per_hm3 * over)

    def _feed(self, block: int, bus: Any, power: Any) -> None:
        self.fed.setdefault((block, int(bus)), []).append(power)
