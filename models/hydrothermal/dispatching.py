"""The rules a dispatch keeps, and how one that breaks them is put right without an optimiser.

A dispatch that keeps all rules stays as it is. Any other is repaired: water first, plant by plant down the cascade
(spill less, then turbine less, where the reservoir would run dry; spill more where it would overflow); then plants
within their limits; then flows that keep Kirchhoff's laws and their limits; then generation that nobody can take is
cut; a plant that is on or off and would run below its least stands still; what load is left goes unserved. Where the
grid runs in alternating current, active power alone is put right: voltages are forgotten, for no rule of thumb finds
them (`solvers.full_stages` does). It is meant for rounding and for proposals of people; it is not optimal.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from models.dynamics import Stage
from models.hydrothermal.alternating import PowerFlow
from models.hydrothermal.instance import HM3_PER_M3S_HOUR
from models.hydrothermal.layout import Layout

if TYPE_CHECKING:
    from models.hydrothermal.simulator import Dispatch, HydroState

OFF = 1e-6  # generation relative to one plus capacity up to which a plant stands still
KEPT_IN_AC = 1e-5  # the same in alternating current: Ipopt leaves a little, and putting it right costs the voltages
KEPT = 1e-7  # breach relative to one plus the dispatch's size that counts as rounding: such a dispatch stays as it is


class Repairer(nn.Module):
    """Limits of one system as tensors; `season(stage)` picks those of a stage, or of a stage per row."""

    load: Tensor
    thermal_min: Tensor
    thermal_max: Tensor
    renewable_max: Tensor
    turbine_max: Tensor
    evaporation: Tensor
    fuel_max: Tensor
    storage_min: Tensor
    storage_max: Tensor
    production_factor: Tensor
    turbine_to: Tensor  # (hydro, hydro) 1 where the first's turbined water reaches the second
    spill_to: Tensor
    thermal_at: Tensor  # (thermal, bus) 1 at its bus
    hydro_at: Tensor
    renewable_at: Tensor
    line_from: Tensor  # (line, bus)
    line_to: Tensor
    limit: Tensor  # (block, line) [MWh]
    hours: Tensor  # (block,)
    ramp: Tensor  # (block, ramped) [MWh]
    tier_share: Tensor
    deficit_allowed: Tensor  # (bus,)
    burns: Tensor  # (fuel, thermal)
    loops: Tensor  # (loop, line)
    onto_loops: Tensor
    loss_slope: Tensor  # (line, tangent)
    loss_height: Tensor  # (line, tangent) [MW]
    constant_mw: Tensor  # (pieced, piece)
    per_m3s: Tensor
    per_hm3: Tensor
    plain: Tensor  # (hydro,) 1 where generation is ρu
    thermal_least: Tensor
    switched: Tensor  # (thermal,) 1 where it is on or off

    def __init__(self, lay: Layout) -> None:
        super().__init__()
        self.layout, self.system = lay, lay.system
        names = ("load", "thermal_min", "thermal_max", "renewable_max", "turbine_max", "evaporation", "fuel_max")
        for name in (*names, "thermal_least"):
            self._keep(name, np.stack([getattr(season, name) for season in lay.seasons]))
        self._keep("storage_min", lay.storage_min)
        self._keep("storage_max", lay.storage_max)
        self._keep("production_factor", lay.production_factor)
        plants, buses = range(len(lay.hydros)), len(lay.buses)
        self._keep("turbine_to", [[float(lay.turbine_down[up] == h) for h in plants] for up in plants])
        self._keep("spill_to", [[float(lay.spill_down[up] == h) for h in plants] for up in plants])
        for kind in ("thermal", "hydro", "renewable"):
            self._keep(f"{kind}_at", np.eye(buses)[getattr(lay, f"{kind}_bus")])
        self._keep("line_from", np.eye(buses)[lay.line_from])
        self._keep("line_to", np.eye(buses)[lay.line_to])
        alternating = self.system.physics == "ac"
        self.power = PowerFlow(lay) if alternating else None
        # The angle's limit is one of flow in direct current alone.
        limits = [line.limit_mw for line in self.system.lines]
        ratings = np.array([np.inf if limit is None else limit for limit in limits], dtype=np.float64)
        self._keep("limit", lay.hours[:, None] * np.minimum(ratings if alternating else lay.limit, 1e15))
        self._keep("switched", [float(thermal.on_off) for thermal in self.system.thermals])
        self._keep("hours", lay.hours)
        steps = [self.system.thermals[g].ramp_mw or 0.0 for g in lay.ramped]
        self._keep("ramp", np.outer(lay.hours, steps))
        self._keep("tier_share", [share for share, _ in lay.tiers])
        self._keep("deficit_allowed", [float(bus.deficit_allowed) for bus in self.system.buses])
        place = {thermal.id: g for g, thermal in enumerate(self.system.thermals)}
        burns = np.zeros((len(self.system.fuels), len(place)))
        for f, fuel in enumerate(self.system.fuels):
            burns[f, [place[plant] for plant in fuel.thermals]] = 1.0
        self._keep("burns", burns)
        straight = self.system.physics in ("dc", "dc_losses")
        loops = lay.loops if straight else np.zeros((0, len(self.system.lines)))
        self._keep("loops", loops)
        self._keep("onto_loops", loops.T @ np.linalg.pinv(loops @ loops.T) if len(loops) else loops.T)
        lossy = self.system.planned_physics == "dc_losses"
        points = lay.tangents if lossy else np.zeros((len(self.system.lines), 0))
        self._keep("loss_slope", 2 * lay.losses[:, None] * points)
        self._keep("loss_height", lay.losses[:, None] * points**2)
        self._pieces()

    def _pieces(self) -> None:
        """Production pieces of plants that have them, padded to as many with the last."""
        own = [self.system.hydros[h].production_pieces for h in self.layout.pieced]
        most = max((len(pieces) for pieces in own), default=0)
        padded = [[*pieces, *([pieces[-1]] * (most - len(pieces)))] for pieces in own]
        for name in ("constant_mw", "per_m3s", "per_hm3"):
            self._keep(name, np.array([[getattr(p, name) for p in row] for row in padded]).reshape(len(own), most))
        self._keep("plain", [float(h not in self.layout.pieced) for h in range(len(self.layout.hydros))])

    def _keep(self, name: str, values: object) -> None:
        self.register_buffer(name, torch.as_tensor(np.asarray(values, dtype=np.float64)), persistent=False)

    def season(self, stage: Stage) -> Stage:
        """Index of a stage's limits."""
        return stage % self.layout.num_seasons

    def kept_water(self, storage: Tensor, inflow: Tensor, stage: Stage) -> Tensor:
        """What a reservoir holds before anything is released or arrives (batch, hydro) [hm³]."""
        share = self.evaporation[self.season(stage)]
        return storage - share * (storage - self.storage_min) + inflow

    def end_storage(self, storage: Tensor, inflow: Tensor, turbined: Tensor, spilled: Tensor, stage: Stage) -> Tensor:
        """Storage after a stage by the water balance (batch, hydro) [hm³]."""
        through = turbined.sum(1)
        arriving = through @ self.turbine_to + spilled @ self.spill_to
        return self.kept_water(storage, inflow, stage) - through - spilled + arriving

    def runs(self, thermal: Tensor, stage: Stage) -> Tensor:
        """Which thermals that are on or off are on (batch, block, thermal), rounding apart."""
        return (thermal > OFF * (1.0 + self.thermal_max[self.season(stage)])) & (self.switched > 0)

    def generation_limit(self, turbined: Tensor, mean_storage: Tensor) -> Tensor:
        """Most that hydros generate (batch, block, hydro) [MWh]: ρu, or the least of the pieces."""
        limit = turbined * self.production_factor
        if not self.layout.pieced:
            return limit
        pieced = self.layout.pieced
        flow = turbined[:, :, pieced, None] * self.per_m3s / HM3_PER_M3S_HOUR
        fixed = self.constant_mw + self.per_hm3 * mean_storage[:, pieced, None]  # (batch, pieced, piece)
        most = (flow + self.hours[:, None, None] * fixed[:, None]).amin(-1).clamp_min(0.0)
        limit = limit.clone()
        limit[:, :, pieced] = most
        return limit

    def losses(self, flow: Tensor) -> Tensor:
        """Least loss of flows (batch, block, line) by the tangents [MWh]."""
        if self.loss_slope.shape[1] == 0:
            return torch.zeros_like(flow)
        lines = flow[..., None] * self.loss_slope - self.hours[:, None, None] * self.loss_height
        return lines.amax(-1).clamp_min(0.0)

    def reached(self, d: Dispatch) -> Tensor:
        """Net energy that reaches every bus without deficit and surplus (batch, block, bus) [MWh]."""
        made = d.thermal @ self.thermal_at + d.hydro @ self.hydro_at + d.renewable @ self.renewable_at
        return made + (d.flow - d.loss) @ self.line_to - d.flow @ self.line_from

    def violation(self, state: HydroState, d: Dispatch, stage: Stage) -> Tensor:
        """Largest breach of any rule (batch,), in hm³ for water and MWh for energy."""
        season = self.season(stage)
        end = self.end_storage(state.storage, state.inflow, d.turbined, d.spilled, stage)
        most = self.generation_limit(d.turbined, 0.5 * (state.storage + end))
        load = self.load[season]
        served = self.reached(d) + d.deficit.sum(2) - d.surplus
        tiers = self.tier_share[:, None] * load[..., None, :] * self.deficit_allowed
        tiers = torch.where(self.deficit_allowed > 0, tiers.nan_to_num(nan=torch.inf), 0.0)
        running = d.thermal[:, :, self.layout.ramped] - state.running
        short_of_rated = (most - d.hydro) * self.plain
        breaches = [
            -d.turbined, d.turbined - self.turbine_max[season], -d.spilled,
            self.storage_min - end, end - self.storage_max,
            -d.hydro, d.hydro - most, short_of_rated,
            self.thermal_min[season] - d.thermal, d.thermal - self.thermal_max[season], running.abs() - self.ramp,
            (d.thermal.sum(1) @ self.burns.T) - self.fuel_max[season],
            -d.renewable, d.renewable - self.renewable_max[season],
            d.flow.abs() - self.limit, (d.flow @ self.loops.T).abs(),
            -d.loss if self.power is not None else self.losses(d.flow) - d.loss,
            -d.deficit, d.deficit - tiers, -d.surplus, (served - load).abs(),
            torch.minimum(d.thermal, self.thermal_least[season] - d.thermal) * self.runs(d.thermal, stage),
        ]  # fmt: skip
        if not self.system.can_have_surplus:
            breaches.append(d.surplus)
        if self.system.physics in ("transport", "dc"):
            breaches.append(d.loss.abs())
        if self.power is not None:
            breaches.append(self.power.breach(d, season)[:, None])
        largest = [breach.flatten(1).amax(1) for breach in breaches if breach.shape[1:].numel()]
        return torch.stack(largest).amax(0).clamp_min(0.0)

    def repair(self, state: HydroState, d: Dispatch, stage: Stage) -> Dispatch:
        """The dispatch itself where it keeps all rules but for rounding, else one near it that does."""
        size = torch.stack([value.flatten(1).abs().amax(1) for value in self._physical(d)]).amax(0)
        rounding = KEPT if self.power is None else KEPT_IN_AC
        fine = self.violation(state, d, stage) <= rounding * (1.0 + size)
        if bool(fine.all()):
            return d
        mended = self._mended(state, d, stage)
        kept = {
            name: torch.where(fine.reshape(-1, *([1] * (value.ndim - 1))), value, getattr(mended, name))
            for name, value in vars(d).items()
        }
        return type(d)(**kept)

    def _physical(self, d: Dispatch) -> list[Tensor]:
        every = (d.turbined, d.spilled, d.hydro, d.thermal, d.renewable, d.flow, d.deficit)
        return [value for value in every if value.shape[1:].numel()]

    def _mended(self, state: HydroState, d: Dispatch, stage: Stage) -> Dispatch:
        season = self.season(stage)
        d = d.map(lambda value: value.nan_to_num())
        turbined, spilled = self._water(state, d.turbined, d.spilled, stage)
        thermal = self._thermal(state, d.thermal, season)
        renewable = d.renewable.clamp_min(0.0).minimum(self.renewable_max[season])
        flow = self._flow(d.flow)
        d = replace(d, turbined=turbined, spilled=spilled, thermal=thermal, renewable=renewable, flow=flow)
        d = replace(d, voltage=torch.zeros_like(d.voltage))  # voltages of another flow say nothing of this one
        d = self._with_generation(state, d, stage)
        loss = self.losses(flow).maximum(d.loss) if self.loss_slope.shape[1] else torch.zeros_like(flow)
        d = self._cut(state, replace(d, loss=loss), season)
        # Turbining less means spilling more, which may reach another plant below: water is settled once more.
        turbined, spilled = self._water(state, d.turbined, d.spilled, stage)
        settled = self._with_generation(state, replace(d, turbined=turbined, spilled=spilled), stage)
        d = replace(settled, hydro=torch.where(self.plain > 0, settled.hydro, settled.hydro.minimum(d.hydro)))
        stands = (self.switched > 0) & (d.thermal < self.thermal_least[season])
        return self.unserved(replace(d, thermal=torch.where(stands, 0.0, d.thermal)), season)

    def _water(self, state: HydroState, turbined: Tensor, spilled: Tensor, stage: Stage) -> tuple[Tensor, Tensor]:
        """Turbined and spilled water that leave every reservoir within its bounds, plant by plant downstream."""
        lay = self.layout
        season = self.season(stage)
        asked = turbined.clamp_min(0.0).minimum(self.turbine_max[season])
        kept = self.kept_water(state.storage, state.inflow, stage)
        through: dict[int, Tensor] = {}
        spills: dict[int, Tensor] = {}
        blocks: dict[int, Tensor] = {}
        for h in lay.order:
            there = kept[:, h]
            for up in through:
                if lay.turbine_down[up] == h:
                    there = there + through[up]
                if lay.spill_down[up] == h:
                    there = there + spills[up]
            free = (there - self.storage_min[h]).clamp_min(0.0)
            total = asked[:, :, h].sum(1)
            used = torch.minimum(total, free)
            blocks[h] = asked[:, :, h] * (used / total.clamp_min(1e-30))[:, None]
            spill = torch.minimum(spilled[:, h].clamp_min(0.0), free - used)
            spills[h] = spill.maximum(there - used - self.storage_max[h])
            through[h] = used
        plants = range(len(lay.hydros))
        return torch.stack([blocks[h] for h in plants], dim=2), torch.stack([spills[h] for h in plants], dim=1)

    def _thermal(self, state: HydroState, thermal: Tensor, season: Stage) -> Tensor:
        low, high = self._thermal_span(state, season, thermal)
        thermal = torch.minimum(thermal.maximum(low), high)
        for burns, most in zip(self.burns, self.fuel_max[season].movedim(-1, 0), strict=True):
            least = (low * burns).sum((1, 2))
            above = (thermal * burns).sum((1, 2)) - least
            share = ((most - least) / above.clamp_min(1e-30)).clamp(0.0, 1.0)
            thermal = torch.where(burns > 0, low + (thermal - low) * share[:, None, None], thermal)
        return thermal

    def _thermal_span(self, state: HydroState, season: Stage, like: Tensor) -> tuple[Tensor, Tensor]:
        """Least and most generation of thermals (batch, block, thermal) [MWh], ramps included."""
        low = self.thermal_min[season].expand_as(like).clone()
        high = self.thermal_max[season].expand_as(like).clone()
        ramped = self.layout.ramped
        low[:, :, ramped] = low[:, :, ramped].maximum(state.running - self.ramp)
        high[:, :, ramped] = high[:, :, ramped].minimum(state.running + self.ramp)
        return low, high

    def _flow(self, flow: Tensor) -> Tensor:
        """Flows that keep Kirchhoff's laws and, all shrunk alike in a block, their limits."""
        if not len(self.loops):
            return torch.minimum(flow.maximum(-self.limit), self.limit)
        flow = flow - (flow @ self.loops.T) @ self.onto_loops.T
        share = (self.limit / flow.abs().clamp_min(1e-30)).amin(-1, keepdim=True).clamp_max(1.0)
        return flow * share

    def _with_generation(self, state: HydroState, d: Dispatch, stage: Stage) -> Dispatch:
        """Generation that the turbined water can give."""
        end = self.end_storage(state.storage, state.inflow, d.turbined, d.spilled, stage)
        most = self.generation_limit(d.turbined, 0.5 * (state.storage + end))
        return replace(d, hydro=torch.where(self.plain > 0, most, d.hydro.clamp_min(0.0).minimum(most)))

    def _cut(self, state: HydroState, d: Dispatch, season: Stage) -> Dispatch:
        """Less flow, then less generation, where a bus would get more than its load.

        Renewables are cut first, thermals down to what they must run, then hydros, whose water is spilled instead.
        """
        load = self.load[season]
        low, _ = self._thermal_span(state, season, d.thermal)
        if len(self.burns):
            low = low.minimum(d.thermal)
        arriving = (d.flow - d.loss) @ self.line_to - d.flow @ self.line_from
        forced = low @ self.thermal_at
        room = (load - forced).clamp_min(0.0)  # what may arrive if plants at the bus make way
        share = torch.where(arriving > room, room / arriving.clamp_min(1e-30), 1.0).amin(-1, keepdim=True)
        d = replace(d, flow=d.flow * share, loss=d.loss * share)
        over = (self.reached(d) - load).clamp_min(0.0)
        renewable, over = _cut_at(d.renewable, torch.zeros_like(d.renewable), self.renewable_at, over)
        thermal, over = _cut_at(d.thermal, low, self.thermal_at, over)
        hydro, over = _cut_at(d.hydro, torch.zeros_like(d.hydro), self.hydro_at, over)
        less = (d.turbined * (1.0 - hydro / d.hydro.clamp_min(1e-30))) * self.plain * (d.hydro > 0)
        turbined, spilled = d.turbined - less, d.spilled + less.sum(1)
        return replace(d, renewable=renewable, thermal=thermal, hydro=hydro, turbined=turbined, spilled=spilled)

    def unserved(self, d: Dispatch, season: Stage) -> Dispatch:
        """What load is left, in the cheapest slices of deficit; what nobody takes as surplus."""
        load = self.load[season]
        missing = load - self.reached(d)
        left = missing.clamp_min(0.0) * (self.deficit_allowed > 0)
        slices = []
        for share in self.tier_share:
            most = torch.where(torch.isinf(share), torch.inf, share.clamp_max(1e30) * load)
            taken = torch.minimum(left, most)
            slices.append(taken)
            left = left - taken
        return replace(d, deficit=torch.stack(slices, dim=2), surplus=(-missing).clamp_min(0.0))


def _cut_at(made: Tensor, low: Tensor, at: Tensor, over: Tensor) -> tuple[Tensor, Tensor]:
    """Generation (batch, block, plant) cut in proportion to what can be cut, and what is still over at every bus."""
    spare = (made - low).clamp_min(0.0)
    at_bus = spare @ at
    share = torch.minimum(over / at_bus.clamp_min(1e-30), torch.ones_like(over))
    return made - spare * (share @ at.T), over - at_bus * share
