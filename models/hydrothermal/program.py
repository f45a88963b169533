"""The hydrothermal system as algebra: one stage's dispatch as a linear program (hazard-decision).

This stage's inflow is part of the incoming state; the noise is the next stage's, which touches no row and becomes the
next state's. Storage, inflow and (for thermals with ramp limits) generation are data on the right-hand sides.

    water[h]      v + Σ_k u + s − Σ_up (u + s) = v₀ − e (v₀ − v_min) + a                          [hm³]
    balance[b,k]  Σ g + Σ ρu + renewables + inflowing − outgoing + deficit − surplus = load          [MWh]
    loop[i,k]     Σ ± f (r²+x²)/x = 0, `dc`: angles never appear                                    [MWh]
    tangent       loss ≥ (2 r a f − r a²) / (base · hours), `dc_losses`                              [MWh]

The algebra stands in `models.hydrothermal.algebra`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from models.hydrothermal.algebra import end_program, stage_program, tier_name
from models.hydrothermal.inflow_sampling import InflowSampler, inflow_sampler
from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.layout import Layout
from models.program import LinearProgram, Outcomes, Program, Vector

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
        left_out = system.plans_leave_out
        if system.physics == "ac":
            self.approximates = left_out
        elif left_out is not None:
            self.relaxes = (left_out,)
        self._parts: dict[str, Any] = {}

    def stage(self, stage: int) -> LinearProgram:
        season = self.layout.seasons[stage % self.layout.num_seasons]
        key = season.key()
        if key not in self._by_season:
            self._by_season[key] = stage_program(self.layout, season)
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
            self._end = end_program(self.layout)
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
            **self._no_voltages(len(x)),
        )

    def _no_voltages(self, rows: int) -> dict[str, torch.Tensor]:
        """What only alternating current knows, as plans leave it."""
        lay, alternating = self.layout, self.system.physics == "ac"
        sizes = {"voltage": len(lay.buses), "angle": len(lay.buses)}
        sizes["reactive"] = len(self.system.thermals) + len(lay.hydros)
        shape = (rows, lay.num_blocks)
        return {name: torch.zeros(*shape, size * alternating, dtype=torch.float64) for name, size in sizes.items()}

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
    tiers = [tier_name(lay, tier) for tier in range(len(lay.tiers))]
    return {
        "turbined": per_block("turbined", lay.hydros),
        "hydro": per_block("hydro", lay.hydros),
        "thermal": per_block("thermal", [thermal.id for thermal in system.thermals]),
        "renewable": per_block("renewable", [renewable.id for renewable in system.renewables]),
        "flow": per_block("flow", lines),
        "loss": per_block("loss", lines),
        "surplus": per_block("surplus", lay.buses),
        "balance": per_block("balance", lay.buses),
        "deficit": [lay.name(kind, bus, k) for k in blocks for kind in tiers for bus in lay.buses],
        **{kind: [f"{kind}[{h}]" for h in lay.hydros] for kind in ("spilled", "storage", "water")},
    }
