"""One stage in full alternating current, as casadi algebra: voltages, angles and reactive power count.

Storage at the end is given, so that the water leaving every reservoir is a parameter b = v + a − v_end [hm³] (hazard-
decision: inflow is known), and stages fall apart. Polar coordinates; per unit on `base_mva`; turbined flow in m³/s:

    active     Σ p_g + Σ ρq − load + δ = Σ flows leaving;      reactive   the same, without deficit
    flows      p = g V_f² − V_f V_t (g cos θ + b sin θ),       q = −(b + b_c) V_f² − V_f V_t (g sin θ − b cos θ)
    limits     p² + q² ≤ rating² at both ends,    |θ| ≤ angle limit;        water   K q + s − what arrives = b

with y = 1/(r + jx) = g + jb. Who solves it is none of this file's business (`solvers.ipopt`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.full_stages import NonlinearProgram
from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.layout import Floats, Layout
from models.hydrothermal.seasonal import at
from models.hydrothermal.system_rules import unknown_in_ac
from models.program import NoProgram

FREE = 1e19  # no limit


class AlternatingCurrent:
    """A system's stage in alternating current. Parameters: water leaving every reservoir [hm³].

    Raises:
        ValueError: the system uses what this stage does not know (blocks, ramps, fuels, renewables, slices of deficit,
            head, soft limits of outflow), or a line without impedance.
    """

    def __init__(self, system: HydrothermalSystem, stage: int = 0) -> None:
        unknown = dict.fromkeys(name for name, _ in unknown_in_ac(system))
        if unknown:
            raise ValueError(f"alternating current knows no {', '.join(unknown)}")
        self.system, self.layout, self.stage = system, Layout(system), stage

    def water_leaving(self, storage: Floats, inflow: Floats, end: Floats) -> Floats:
        """b of stages (…, hydro) [hm³] by their storage at the start, inflow and storage at the end."""
        lay = self.layout
        share = lay.seasons[self.stage % lay.num_seasons].evaporation
        left = storage - share * (storage - lay.storage_min) + inflow - end
        return np.where(np.abs(left) < 1e-6, 0.0, left)

    def program(self) -> NonlinearProgram:
        """The stage; its cost is money per stage. `NoProgram` if casadi is not installed."""
        return _Algebra(self.layout, self.stage).program()


class _Algebra:
    """Variables and rows, gathered one after the other."""

    def __init__(self, lay: Layout, stage: int) -> None:
        try:
            import casadi
        except ImportError:
            raise NoProgram("alternating current needs casadi, which is not installed: install herenow[ac]") from None

        self.casadi, self.lay, self.system, self.stage = casadi, lay, lay.system, stage
        self.unit = lay.system.stage_hours
        self.columns: dict[str, Any] = {}
        self.spans: list[tuple[Any, Any, Any]] = []  # lower, upper, start
        self.rows: list[tuple[str, Any]] = []
        self.limits: list[tuple[Any, Any]] = []

    def program(self) -> NonlinearProgram:
        lay, system, ca = self.lay, self.system, self.casadi
        base, season = system.base_mva, lay.seasons[self.stage % lay.num_seasons]
        hours, buses, plants = system.stage_hours, len(lay.buses), len(lay.hydros)
        low, high = season.thermal_min[0] / hours / base, season.thermal_max[0] / hours / base
        most = season.turbine_max[0] / system.hm3_per_m3s
        water = ca.SX.sym("water", plants)
        self._grid_variables()
        thermal = self._variable("thermal", len(system.thermals), low, high, 0.5 * high)
        thermal_q = self._reactive("reactive_thermal", system.thermals)
        hydro_q = self._reactive("reactive_hydro", system.hydros)
        flow = self._variable("turbined", plants, 0.0, most, 0.5 * most)
        spilled = self._variable("spilled", plants, 0.0, FREE, 1.0)
        allowed = np.array([FREE if bus.deficit_allowed else 0.0 for bus in system.buses])
        deficit = self._variable("deficit", buses, 0.0, allowed, 0.1)
        surplus = self._variable("surplus", buses, 0.0, FREE if system.can_have_surplus else 0.0, 0.0)
        per_flow = np.array([h.production_factor_mw_per_m3s for h in system.hydros]) / base
        active = [-season.load[0, b] / hours / base + deficit[b] - surplus[b] for b in range(buses)]
        reactive = [ca.SX(-at(bus.load_mvar, self.stage) / base) for bus in system.buses]
        for g, bus in enumerate(lay.thermal_bus):
            active[bus], reactive[bus] = active[bus] + thermal[g], reactive[bus] + thermal_q[g]
        for h, bus in enumerate(lay.hydro_bus):
            active[bus], reactive[bus] = active[bus] + per_flow[h] * flow[h], reactive[bus] + hydro_q[h]
        self._lines(active, reactive)
        self._row("active", ca.vertcat(*active), 0.0, 0.0)
        self._row("reactive", ca.vertcat(*reactive), 0.0, 0.0)
        self._water(water, flow, spilled)
        price = base * np.array([t.cost_per_mwh for t in system.thermals])
        hydro_price = base * per_flow * np.array([h.cost_per_mwh for h in system.hydros])
        cost = ca.dot(price, thermal) if len(price) else 0.0
        cost += ca.dot(hydro_price, flow) + base * system.deficit_cost_per_mwh * ca.sum1(deficit)
        cost += base * system.surplus_cost_per_mwh * ca.sum1(surplus)
        spill_price = np.array([h.spill_cost_per_hm3 for h in system.hydros])
        total = hours * cost + ca.dot(spill_price, spilled)
        return self._joined(total, water)

    def _grid_variables(self) -> None:
        buses, count = self.system.buses, len(self.lay.buses)
        low = np.array([bus.voltage_min_pu for bus in buses])
        high = np.array([bus.voltage_max_pu for bus in buses])
        self.voltage = self._variable("voltage", count, low, high, np.clip(1.0, low, high))
        free = np.full(count, FREE)
        free[0] = 0.0  # angles count from the first bus
        self.angle = self._variable("angle", count, -free, free, 0.0)

    def _lines(self, active: list[Any], reactive: list[Any]) -> None:
        """What leaves buses over lines, and the limits of lines."""
        lay, lines, ca = self.lay, self.system.lines, self.casadi
        if not lines:
            return
        r = np.array([line.resistance_pu for line in lines])
        x = np.array([line.reactance_pu for line in lines])
        g, b = r / (r**2 + x**2), -x / (r**2 + x**2)
        ends = [lay.line_from.tolist(), lay.line_to.tolist()]
        charging = [np.array([line.charging_from_pu for line in lines])]
        charging.append(np.array([line.charging_to_pu for line in lines]))
        limits = [FREE if line.limit_mw is None else (line.limit_mw / self.system.base_mva) ** 2 for line in lines]
        for side in (0, 1):
            here, there = self.voltage[ends[side]], self.voltage[ends[1 - side]]
            apart = self.angle[ends[side]] - self.angle[ends[1 - side]]
            cos, sin = ca.cos(apart), ca.sin(apart)
            p = g * here**2 - here * there * (g * cos + b * sin)
            q = -(b + charging[side]) * here**2 - here * there * (g * sin - b * cos)
            for line, bus in enumerate(ends[side]):
                active[bus], reactive[bus] = active[bus] - p[line], reactive[bus] - q[line]
            self._row(f"rating{side}", p**2 + q**2, -FREE, np.array(limits))
            if side == 0:
                widest = np.array([line.angle_max_rad or np.pi / 2 for line in lines])
                self._row("apart", apart, -widest, widest)

    def _water(self, water: Any, flow: Any, spilled: Any) -> None:
        lay, k, rows = self.lay, self.system.hm3_per_m3s, []
        for h in range(len(lay.hydros)):
            left = k * flow[h] + spilled[h] - water[h]
            for up in range(len(lay.hydros)):
                if lay.turbine_down[up] == h:
                    left -= k * flow[up]
                if lay.spill_down[up] == h:
                    left -= spilled[up]
            rows.append(left)
        self._row("water", self.casadi.vertcat(*rows), 0.0, 0.0)

    def _reactive(self, name: str, plants: Any) -> Any:
        base = self.system.base_mva
        low = [-FREE if p.reactive_min_mvar is None else p.reactive_min_mvar / base for p in plants]
        high = [FREE if p.reactive_max_mvar is None else p.reactive_max_mvar / base for p in plants]
        return self._variable(name, len(low), np.array(low), np.array(high), 0.0)

    def _variable(self, name: str, count: int, lower: Any, upper: Any, start: Any) -> Any:
        variable = self.casadi.SX.sym(name, count)
        self.columns[name] = variable
        self.spans.append(tuple(np.broadcast_to(values, count) for values in (lower, upper, start)))  # type: ignore[arg-type]
        return variable

    def _row(self, name: str, expression: Any, lower: Any, upper: Any) -> None:
        self.rows.append((name, expression))
        count = expression.shape[0]
        self.limits.append((np.broadcast_to(lower, count), np.broadcast_to(upper, count)))

    def _joined(self, cost: Any, parameters: Any) -> NonlinearProgram:
        lower, upper, start = (np.concatenate(parts).astype(float) for parts in zip(*self.spans, strict=True))
        row_lower, row_upper = (np.concatenate(parts).astype(float) for parts in zip(*self.limits, strict=True))
        columns = self.casadi.vertcat(*self.columns.values())
        rows = self.casadi.vertcat(*(expression for _, expression in self.rows))
        limits = (lower, upper, start, row_lower, row_upper)
        places = _places([(name, variable.shape[0]) for name, variable in self.columns.items()])
        kinds = _places([(name, expression.shape[0]) for name, expression in self.rows])
        return NonlinearProgram(columns, parameters, cost, rows, *limits, self.unit, places, kinds)


def _places(sizes: list[tuple[str, int]]) -> dict[str, slice]:
    """Where each name's entries are, one after the other."""
    ends = np.cumsum([size for _, size in sizes]).tolist()
    return {name: slice(end - size, end) for (name, size), end in zip(sizes, ends, strict=True)}
