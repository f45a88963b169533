"""Dynamics of a hydrothermal system, batched: dispatch, pay, then the next stage's inflow becomes known.

Hazard-decision: the state holds this stage's inflow already; `realize` draws the next. A dispatch is complete (water,
generation, flows, deficit), so that what it costs needs no optimisation; the program in `models.hydrothermal.program`
says the same line by line. Water is hm³ per stage, energy MWh per stage and block, everything in double precision.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.dynamics import Costs, Simulator, Stage, Tensors
from models.hydrothermal.dispatching import Repairer
from models.hydrothermal.inflow_sampling import inflow_sampler
from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.layout import Floats, Layout, Season


@dataclass(frozen=True)
class HydroState(Tensors):
    """What is known before the dispatch of a stage."""

    storage: Float[Tensor, "batch hydro"]  # v at the start [hm³]
    inflow: Float[Tensor, "batch hydro"]  # a of this stage [hm³/stage]
    past: Float[Tensor, "batch lag hydro"]  # inflow of the stages before, the nearest first [hm³/stage]
    running: Float[Tensor, "batch block ramped"]  # last generation of thermals with ramp limits [MWh/stage]


@dataclass(frozen=True)
class HydroPost(Tensors):
    """After the dispatch, before the next inflow is known."""

    storage: Float[Tensor, "batch hydro"]  # v at the end [hm³]
    past: Float[Tensor, "batch lag hydro"]  # inflow of this stage and those before [hm³/stage]
    running: Float[Tensor, "batch block ramped"]  # this stage's generation [MWh/stage]


@dataclass(frozen=True)
class InflowPath(Tensors):
    """Inflows that are still to come: place t holds that of stage t + 1, which `realize` of stage t reveals."""

    inflow: Float[Tensor, "batch stage hydro"]  # [hm³/stage]


@dataclass(frozen=True)
class Dispatch(Tensors):
    """All that is decided in a stage, and what one more unit of water or load would have been worth."""

    turbined: Float[Tensor, "batch block hydro"]  # u [hm³]
    spilled: Float[Tensor, "batch hydro"]  # s [hm³]
    hydro: Float[Tensor, "batch block hydro"]  # generation of hydros [MWh]
    thermal: Float[Tensor, "batch block thermal"]  # g [MWh]
    renewable: Float[Tensor, "batch block renewable"]  # [MWh]
    flow: Float[Tensor, "batch block line"]  # f, positive from `from` to `to` [MWh]
    loss: Float[Tensor, "batch block line"]  # lost on the way to `to` [MWh]
    deficit: Float[Tensor, "batch block tier bus"]  # δ [MWh]
    surplus: Float[Tensor, "batch block bus"]  # must-run generation that nobody takes [MWh]
    target: Float[Tensor, "batch hydro"]  # storage that was aimed at [hm³]
    water_value: Float[Tensor, "batch hydro"]  # [money/hm³]; 0 unless priced
    marginal_cost: Float[Tensor, "batch block bus"]  # of load [money/MWh]; 0 unless priced
    priced: Float[Tensor, " batch"]  # 1 where water_value and marginal_cost are known, else 0
    voltage: Float[Tensor, "batch block node"]  # V [per unit], every bus in `ac`; all 0: not known. Else no columns
    angle: Float[Tensor, "batch block node"]  # θ [rad]
    reactive: Float[Tensor, "batch block machine"]  # of thermals, then hydros [Mvar]


class HydroSimulator(Simulator[HydroState, HydroPost, Dispatch, InflowPath]):
    """One system's dynamics. With `counts` the costs carry physical quantities and figures by reservoir."""

    storage_initial: Tensor
    thermal_cost: Tensor
    hydro_cost: Tensor
    spill_cost: Tensor
    outflow_cost: Tensor
    reserve_cost: Tensor
    flood_cost: Tensor
    tier_cost: Tensor
    running_cost: Tensor
    initial_running: Tensor  # (block, ramped) [MWh]
    load: Tensor  # (season, block, bus) [MWh]
    min_outflow: Tensor  # (season, hydro) [hm³]
    reserve: Tensor
    flood: Tensor
    cut_intercept: Tensor  # (cut,) [money]
    cut_slope: Tensor  # (cut, hydro) [money/hm³]
    end_storage: Tensor

    def __init__(self, system: HydrothermalSystem, counts: bool = True) -> None:
        super().__init__()
        self.system, self.counts = system, counts
        self.layout = Layout(system)
        self.num_stages = system.stages
        self.reported_until = system.report_stages
        self.discount = system.discount
        self.places = tuple(self.layout.hydros)
        self.inflows = inflow_sampler(system.inflows, self.layout.hydros, system.stages, system.hm3_per_m3s)
        self.rules = Repairer(self.layout)
        self._register(system)

    def _register(self, system: HydrothermalSystem) -> None:
        lay, hydros = self.layout, system.hydros
        self._keep("storage_initial", lay.storage_initial)
        self._keep("thermal_cost", [thermal.cost_per_mwh for thermal in system.thermals])
        self._keep("hydro_cost", [hydro.cost_per_mwh for hydro in hydros])
        self._keep("spill_cost", [hydro.spill_cost_per_hm3 for hydro in hydros])
        self._keep("outflow_cost", [hydro.min_outflow_cost_per_hm3 for hydro in hydros])
        self._keep("reserve_cost", [hydro.reserve_cost_per_hm3 for hydro in hydros])
        self._keep("flood_cost", [hydro.flood_cost_per_hm3 for hydro in hydros])
        self._keep("tier_cost", [price for _, price in lay.tiers])
        self._keep("running_cost", lay.running_cost)
        self._keep("initial_running", np.outer(lay.hours, [system.thermals[g].initial_mw for g in lay.ramped]))
        for name in ("load", "min_outflow", "reserve", "flood"):
            self._keep(name, np.stack([_of(season, name) for season in lay.seasons]))
        end = system.end
        cuts = [] if end is None else end.cuts
        wanted = {} if end is None else end.storage_hm3
        self._keep("cut_intercept", [cut.intercept for cut in cuts])
        self._keep("cut_slope", [[cut.slope_per_hm3.get(plant, 0.0) for plant in lay.hydros] for cut in cuts])
        self._keep("end_storage", [wanted.get(plant, 0.0) for plant in lay.hydros])
        self.charges = {
            "hydro": bool(self.hydro_cost.any()),
            "spill": bool(self.spill_cost.any()),
            "min_outflow": bool(self.outflow_cost.any()),
            "reserve": bool(self.reserve_cost.any()),
            "flood": bool(self.flood_cost.any()),
            "running": bool(self.running_cost.any()),
        }

    def _keep(self, name: str, values: object) -> None:
        self.register_buffer(name, torch.as_tensor(np.asarray(values, dtype=np.float64)), persistent=False)

    def initial(self, batch: int, generator: torch.Generator) -> HydroState:
        return HydroState(
            self.storage_initial.expand(batch, -1),
            self.inflows.first(batch, generator).to(self.storage_initial),
            self.inflows.past().to(self.storage_initial).expand(batch, -1, -1),
            self.initial_running.expand(batch, -1, -1),
        )

    def sample(self, batch: int, generator: torch.Generator) -> InflowPath:
        return InflowPath(self.inflows.paths(batch, generator).to(self.storage_initial))

    def onward(self, state: HydroState, stage: int, batch: int, generator: torch.Generator) -> InflowPath:
        paths = self.inflows.onward(state.inflow[0].cpu(), state.past[0].cpu(), stage, batch, generator)
        return InflowPath(paths.to(self.storage_initial))

    def panel(self) -> tuple[HydroState, InflowPath] | None:
        paths = self.inflows.panel()
        if paths is None:
            return None
        return self.on_paths(paths)

    def on_paths(self, inflow: Tensor) -> tuple[HydroState, InflowPath]:
        """Initial states and noise of paths that are given: inflow of stages 0 … T−1 (path, T, plant) [hm³]."""
        inflow = inflow.to(self.storage_initial)
        start = self.initial(len(inflow), torch.Generator(inflow.device).manual_seed(0))
        # Nothing asks what follows the last stage.
        later = torch.cat((inflow[:, 1:], torch.zeros_like(inflow[:, :1])), dim=1)
        return replace(start, inflow=inflow[:, 0]), InflowPath(later)

    def expected(self, batch: int) -> InflowPath:
        """Mean inflow of every stage."""
        mean = self.inflows.means()[1:].to(self.storage_initial)
        return InflowPath(mean.expand(batch, -1, -1))

    def decide(self, state: HydroState, decision: Dispatch, stage: Stage) -> tuple[HydroPost, Costs]:
        balance = self.rules.end_storage(state.storage, state.inflow, decision.turbined, decision.spilled, stage)
        storage = torch.minimum(balance.clamp_min(self.rules.storage_min), self.rules.storage_max)  # rounding
        running = decision.thermal[:, :, self.layout.ramped]
        past = torch.cat((state.inflow[:, None], state.past), dim=1)[:, : state.past.shape[1]]
        charged = self._charged(decision, storage, stage)
        return HydroPost(storage, past, running), self._costs(charged, state, decision, storage, stage)

    def _charged(self, decision: Dispatch, storage: Tensor, stage: Stage) -> dict[str, Tensor]:
        """Components of cost by reservoir or as a total [money]."""
        season = self.rules.season(stage)
        charged = {
            "thermal": decision.thermal.sum(1) @ self.thermal_cost,
            "deficit": decision.deficit.sum((1, 3)) @ self.tier_cost,
        }
        if self.charges["running"]:
            on = self.rules.runs(decision.thermal, stage).to(decision.thermal)
            charged["running"] = (on * self.rules.hours[:, None]).sum(1) @ self.running_cost
        if self.charges["hydro"]:
            charged["hydro"] = decision.hydro.sum(1) * self.hydro_cost
        if self.charges["spill"]:
            charged["spill"] = decision.spilled * self.spill_cost
        if self.charges["min_outflow"]:
            out = decision.turbined.sum(1) + decision.spilled
            charged["min_outflow"] = (self.min_outflow[season] - out).clamp_min(0.0) * self.outflow_cost
        if self.charges["reserve"]:
            charged["reserve"] = (self.reserve[season] - storage).clamp_min(0.0) * self.reserve_cost
        if self.charges["flood"]:
            charged["flood"] = (storage - self.flood[season]).clamp_min(0.0) * self.flood_cost
        if self.system.can_have_surplus:
            charged["surplus"] = self.system.surplus_cost_per_mwh * decision.surplus.sum((1, 2))
        return charged

    def _costs(
        self, charged: Mapping[str, Tensor], state: HydroState, decision: Dispatch, storage: Tensor, stage: Stage
    ) -> Costs:
        components = {name: value if value.ndim == 1 else value.sum(1) for name, value in charged.items()}
        if not self.counts:
            return Costs(components)
        by_plant = {
            "storage": storage,
            "inflow": state.inflow,
            "turbined": decision.turbined.sum(1),
            "spilled": decision.spilled,
            "hydro_generation": decision.hydro.sum(1),
        }
        season = self.rules.season(stage)
        quantities = {name: value.sum(1) for name, value in by_plant.items()}
        quantities |= {
            "load": self.load[season].sum((-2, -1)).expand(state.batch),
            "unserved": decision.deficit.sum((1, 2, 3)),
            "thermal_generation": decision.thermal.sum((1, 2)),
            "renewable_generation": decision.renewable.sum((1, 2)),
            "losses": decision.loss.sum((1, 2)),
        }
        spent = {name: value for name, value in charged.items() if value.ndim == 2}
        return Costs(components, quantities, {**by_plant, **spent})

    def realize(self, post: HydroPost, noise: InflowPath, stage: Stage) -> tuple[HydroState, Costs]:
        if isinstance(stage, Tensor):
            inflow = noise.inflow[torch.arange(len(stage), device=stage.device), stage]
        else:
            inflow = noise.inflow[:, stage]
        return HydroState(post.storage, inflow, post.past, post.running), Costs({})

    def repair(self, state: HydroState, decision: Dispatch, stage: Stage) -> Dispatch:
        """Itself where feasible; else water is kept within its bounds, and generation, flows and deficit follow."""
        return self.rules.repair(state, decision, stage)

    def violation(self, state: HydroState, decision: Dispatch, stage: Stage) -> Float[Tensor, " batch"]:
        return self.rules.violation(state, decision, stage)

    def terminal(self, state: HydroState) -> Costs:
        end = self.system.end
        if end is None:
            return Costs({})
        components = {}
        if end.cuts:
            lines = self.cut_intercept + state.storage @ self.cut_slope.T
            components["end_cost_to_go"] = lines.amax(1)
        if end.storage_hm3:
            short = (self.end_storage - state.storage).clamp_min(0.0).sum(1)
            components["end_shortage"] = end.shortage_cost_per_hm3 * short
        return Costs(components)

    def service(self, quantities: Mapping[str, Float[Tensor, " batch"]]) -> dict[str, float]:
        total = {name: float(value.double().sum()) for name, value in quantities.items()}
        generated = sum(total.get(f"{kind}_generation", 0.0) for kind in ("hydro", "thermal", "renewable"))
        load, inflow = total.get("load", 0.0), total.get("inflow", 0.0)
        return {
            "load_served": 1.0 - total.get("unserved", 0.0) / load if load > 0 else 1.0,
            "hydro_share": total["hydro_generation"] / generated if generated > 0 else 0.0,
            "spilled_share": total["spilled"] / inflow if inflow > 0 else 0.0,
        }


def _of(season: Season, name: str) -> Floats:
    found: Floats = getattr(season, name)
    return found
