"""The hydrothermal system as algebra: one stage's dispatch as a linear program (hazard-decision).

This stage's inflow is part of the incoming state; the noise is the next stage's, which touches no row and becomes the
next state's. Storage, inflow and (for thermals with ramp limits) generation are data on the right-hand sides.

    water[h]      v + Σ_k u + s − Σ_up (u + s) = v₀ − e (v₀ − v_min) + a                          [hm³]
    balance[b,k]  Σ g + Σ ρu + renewables + inflowing − outgoing + deficit − surplus = load          [MWh]
    loop[i,k]     Σ ± f (r²+x²)/x = 0, `dc`: angles never appear                                    [MWh]
    tangent       loss ≥ (2 r a f − r a²) / (base · hours), `dc_losses`                              [MWh]

Columns and rows carry the planner's ids; block ids are appended where a stage has several (`thermal[g1,peak]`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from models.hydrothermal.inflow_sampling import InflowSampler, inflow_sampler
from models.hydrothermal.instance import HM3_PER_M3S_HOUR, HydrothermalSystem
from models.hydrothermal.layout import Layout, Season
from models.program import LinearProgram, Outcomes, Program, Vector, compile_stage

if TYPE_CHECKING:
    from models.hydrothermal.simulator import Dispatch, HydroState, InflowPath

YEAR_HOURS = 8_760
LEAST_LOOKAHEAD = 12  # [stages]


class HydroProgram(Program):
    """Stages of one system. State: storage, inflow of this stage, past generation of ramped thermals; noise: next
    stage's inflow."""

    def __init__(self, system: HydrothermalSystem) -> None:
        self.system = system
        self.num_stages = system.stages
        self.layout = Layout(system)
        self._by_season: dict[bytes, LinearProgram] = {}
        self._end: LinearProgram | None = None
        self._parts: dict[str, Any] = {}

    def stage(self, stage: int) -> LinearProgram:
        season = self.layout.seasons[stage % self.layout.num_seasons]
        key = season.key()
        if key not in self._by_season:
            self._by_season[key] = _Stage(self.layout, season).compiled()
        return self._by_season[key]

    @property
    def lookahead(self) -> int:
        """A year, at least a dozen stages."""
        return min(self.num_stages, max(LEAST_LOOKAHEAD, round(YEAR_HOURS / self.system.stage_hours)))

    def outcomes(self, stage: int) -> Outcomes | None:
        """Inflows that may follow a stage, with their probabilities; None where they depend on the past."""
        found = self._sampler().outcomes(stage + 1)
        if found is None:
            return None
        drawn = _outcomes(*found)
        key = drawn.values.tobytes() + drawn.probabilities.tobytes()
        known: Outcomes = self._parts.setdefault("outcomes", {}).setdefault(key, drawn)
        return known

    def starts(self) -> Outcomes:
        """The initial storage with every inflow that stage 0 may have."""
        inflow, chances = self._sampler().starts()
        running = [
            self.system.thermals[g].initial_mw * hours for hours in self.layout.hours for g in self.layout.ramped
        ]
        fixed = [np.tile(values, (len(inflow), 1)) for values in (self.layout.storage_initial, np.array(running))]
        drawn = _outcomes(inflow, chances)
        kept = [part[: len(drawn.values)] for part in fixed]
        return Outcomes(np.concatenate([kept[0], drawn.values, kept[1]], axis=1), drawn.probabilities)

    def _sampler(self) -> InflowSampler:
        if "inflows" not in self._parts:
            system = self.system
            self._parts["inflows"] = inflow_sampler(
                system.inflows, self.layout.hydros, system.stages, system.hm3_per_m3s
            )
        found: InflowSampler = self._parts["inflows"]
        return found

    def final(self) -> LinearProgram | None:
        if self.system.end is None:
            return None
        if self._end is None:
            self._end = _end_of_horizon(self.layout)
        return self._end

    def state_vector(self, state: HydroState) -> Vector:
        parts = (state.storage, state.inflow, state.running.flatten(1))
        joined: Vector = torch.cat([part.detach().cpu().double() for part in parts], dim=1).numpy()
        return joined

    def noise_vector(self, noise: InflowPath, stage: int) -> Vector:
        struck: Vector = noise.inflow[:, stage].detach().cpu().double().numpy()
        return struck

    def decision(self, x: Vector, stage: int) -> Dispatch:
        """The dispatch in a stage's columns; what it costs to have less water is put in by `priced`."""
        from models.hydrothermal.simulator import Dispatch

        columns = self._columns()
        shapes = self._shapes()
        taken = {}
        for kind, shape in shapes.items():
            values = np.zeros((len(x), int(np.prod(shape))))
            where = columns[kind]
            values[:, where >= 0] = x[:, where[where >= 0]]
            taken[kind] = torch.from_numpy(values.reshape(len(x), *shape))
        storage, turbined = taken.pop("storage"), taken["turbined"]
        if "hydro" not in taken:
            taken["hydro"] = turbined * torch.from_numpy(self.layout.production_factor)
        else:
            plain = torch.tensor([k not in self.layout.pieced for k in range(len(self.layout.hydros))])
            rated = turbined * torch.from_numpy(self.layout.production_factor)
            taken["hydro"] = torch.where(plain, rated, taken["hydro"])
        return Dispatch(
            **taken,
            target=storage,
            water_value=torch.zeros_like(storage),
            marginal_cost=torch.zeros((len(x), *shapes["surplus"]), dtype=torch.float64),
            priced=torch.zeros(len(x), dtype=torch.float64),
        )

    def priced(self, decision: Dispatch, duals: Vector, stage: int) -> Dispatch:
        """The dispatch with its prices: duals (batch, r) of the stage's rows as water values and marginal costs."""
        rows = self._rows()
        value = torch.from_numpy(-duals[:, rows["water"]])
        shape = (len(duals), self.layout.num_blocks, len(self.layout.buses))
        marginal = torch.from_numpy(duals[:, rows["balance"]].reshape(shape))
        known = torch.ones(len(duals), dtype=torch.float64)
        return replace(decision, water_value=value, marginal_cost=marginal, priced=known)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        lay, system = self.layout, self.system
        blocks, buses = lay.num_blocks, len(lay.buses)
        shapes: dict[str, tuple[int, ...]] = {
            "turbined": (blocks, len(lay.hydros)),
            "spilled": (len(lay.hydros),),
            "storage": (len(lay.hydros),),
            "thermal": (blocks, len(system.thermals)),
            "renewable": (blocks, len(system.renewables)),
            "flow": (blocks, len(system.lines)),
            "loss": (blocks, len(system.lines)),
            "deficit": (blocks, len(lay.tiers), buses),
            "surplus": (blocks, buses),
        }
        return shapes | ({"hydro": (blocks, len(lay.hydros))} if lay.pieced else {})

    def _columns(self) -> dict[str, Any]:
        """Positions of every kind's columns, −1 where there is none; the same in all seasons."""
        if "columns" not in self._parts:
            place = {name: k for k, name in enumerate(self.stage(0).columns)}
            names = _names(self.layout)
            self._parts["columns"] = {
                kind: np.array([place.get(name, -1) for name in names[kind]], dtype=np.int64) for kind in self._shapes()
            }
            always = ("turbined", "spilled", "storage", "thermal", "renewable", "flow")
            assert all((self._parts["columns"][kind] >= 0).all() for kind in always), "every plant and line has columns"
        found: dict[str, Any] = self._parts["columns"]
        return found

    def _rows(self) -> dict[str, Any]:
        if "rows" not in self._parts:
            names, stage = _names(self.layout), self.stage(0)
            self._parts["rows"] = {
                kind: np.array([stage.row(name) for name in names[kind]]) for kind in ("water", "balance")
            }
        found: dict[str, Any] = self._parts["rows"]
        return found


def _outcomes(inflow: torch.Tensor, chances: torch.Tensor) -> Outcomes:
    """Outcomes that can happen."""
    possible = chances > 0
    return Outcomes(inflow[possible].double().numpy(), chances[possible].double().numpy())


def hydro_program(system: HydrothermalSystem) -> HydroProgram:
    """The algebraic face of a system."""
    return HydroProgram(system)


def _names(lay: Layout) -> dict[str, list[str]]:
    """Names of columns and rows by kind, in the order of the dispatch's tensors."""
    system, blocks = lay.system, range(lay.num_blocks)

    def per_block(kind: str, ids: list[str]) -> list[str]:
        return [lay.name(kind, identifier, k) for k in blocks for identifier in ids]

    lines = [line.id for line in system.lines]
    return {
        "turbined": per_block("turbined", lay.hydros),
        "hydro": per_block("hydro", lay.hydros),
        "thermal": per_block("thermal", [thermal.id for thermal in system.thermals]),
        "renewable": per_block("renewable", [renewable.id for renewable in system.renewables]),
        "flow": per_block("flow", lines),
        "loss": per_block("loss", lines),
        "surplus": per_block("surplus", lay.buses),
        "balance": per_block("balance", lay.buses),
        "deficit": [
            lay.name(_tier(lay, tier), bus, k) for k in blocks for tier in range(len(lay.tiers)) for bus in lay.buses
        ],
        **{kind: [f"{kind}[{h}]" for h in lay.hydros] for kind in ("spilled", "storage", "water")},
    }


def _tier(lay: Layout, tier: int) -> str:
    return "deficit" if tier == len(lay.tiers) - 1 else f"deficit{tier + 1}"


def _unquoted(program: LinearProgram) -> LinearProgram:
    """The program with plain names: Pyomo quotes ids that look like numbers or hold a dot."""

    def plain(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name.replace("'", "") for name in names)

    return replace(
        program,
        columns=plain(program.columns),
        rows=plain(program.rows),
        states=plain(program.states),
        noises=plain(program.noises),
    )


def _parsed(name: str) -> tuple[str, Any]:
    """Kind and index of a name: `thermal[g1,peak]` is thermal at (g1, peak)."""
    kind, _, inside = name.rstrip("]").partition("[")
    parts = tuple(inside.split(","))
    return kind, parts if len(parts) > 1 else parts[0]


class _Stage:
    """One season's stage in Pyomo algebra."""

    def __init__(self, lay: Layout, season: Season) -> None:
        import pyomo.environ as pyo

        self.pyo, self.lay, self.season, self.system = pyo, lay, season, lay.system
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
        incoming = [*self.incoming, *self.inflow, *self.previous]
        outgoing = [*self.storage, *self.noise, *(self.thermal[k][g] for k in self.blocks for g in self.lay.ramped)]
        return _unquoted(compile_stage(self.block, incoming, self.noise, outgoing))

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
            if system.physics != "transport":
                for i, loop in enumerate(lay.loops):
                    around = sum(value * flows[line] for line, value in enumerate(loop) if value)
                    self._row(lay.name("loop", str(i), k), around == 0)

    def _loss(self, k: int, line: int, flow: Any) -> Any:
        """What a line loses on its way [MWh]: at least every tangent of r f² / (base · hours)."""
        lay = self.lay
        if self.system.physics != "dc_losses" or lay.losses[line] == 0:
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
                    short = self._variable(lay.name(_tier(lay, tier), bus.id, k), 0.0, most)
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


def _end_of_horizon(lay: Layout) -> LinearProgram:
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
