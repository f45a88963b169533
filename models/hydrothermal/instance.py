"""The JSON document of a hydrothermal system: buses, lines, thermals, hydros, inflows. Its rules are in `system_rules`.

A value "by season" is one number, or a list of which stage t takes entry t mod length.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from models.core import Instance, Issue, Record
from models.hydrothermal.inflow import InflowProcess
from models.hydrothermal.seasonal import Seasonal, SeasonalShare, SeasonalSigned, largest

Money = Annotated[float, Field(ge=0, le=1e12)]
Size = Annotated[float, Field(ge=0, le=1e9)]
Reactive = Annotated[float, Field(ge=-1e9, le=1e9)] | None
Positive = Annotated[float, Field(gt=0, le=1e9)]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]

HM3_PER_M3S_HOUR = 0.0036
"""hm³ that one m³/s brings in an hour."""

MOST_STAGES, MOST_UNITS = 5_000, 2_000
Physics = Literal["transport", "dc", "dc_losses", "ac"]
PlanPhysics = Literal["transport", "dc", "dc_losses"]


class Bus(Record):
    """A node of the grid with its load."""

    id: Id = Field(description="Identifier, unique among buses.")
    load_mw: Seasonal = Field(0.0, description="Load [MW], one value or by season.")
    deficit_allowed: bool = Field(True, description="Whether load here may go unserved, at the price of deficit.")
    load_mvar: SeasonalSigned = Field(0.0, description="Reactive load [Mvar], one value or by season; only in AC.")
    voltage_min_pu: float = Field(0.9, gt=0, le=2, description="Least voltage [per unit]; only in AC.")
    voltage_max_pu: float = Field(1.1, gt=0, le=2, description="Greatest voltage [per unit]; only in AC.")


class Line(Record):
    """A line or transformer between two buses."""

    id: Id = Field(description="Identifier, unique among lines.")
    source: Id = Field(alias="from", description="Bus where flow is counted positive going out.")
    target: Id = Field(alias="to", description="The other bus.")
    resistance_pu: float = Field(0.0, ge=0, le=1e3, description="Series resistance r [per unit on base_mva].")
    reactance_pu: float = Field(0.0, ge=-1e3, le=1e3, description="Series reactance x [per unit on base_mva].")
    charging_from_pu: float = Field(0.0, ge=-1e3, le=1e3, description="Charging at `from` [per unit]; only in AC.")
    charging_to_pu: float = Field(0.0, ge=-1e3, le=1e3, description="Charging at `to` [per unit]; only in AC.")
    limit_mw: Size | None = Field(None, description="Thermal rating [MW; MVA in AC], both directions; null: none.")
    angle_max_rad: Annotated[float, Field(gt=0, le=1.6)] | None = Field(
        None,
        description="Largest angle between its ends [rad]; with the susceptance a limit of flow. Not in transport.",
    )


class Thermal(Record):
    """A thermal plant."""

    id: Id = Field(description="Identifier, unique among plants.")
    bus: Id = Field(description="Bus it feeds.")
    min_mw: Seasonal = Field(
        0.0, description="Must-run generation [MW], one value or by season; with on_off only while it runs."
    )
    max_mw: Seasonal = Field(description="Capacity [MW], one value or by season (maintenance).")
    cost_per_mwh: float = Field(ge=-1e6, le=1e6, description="Variable cost [money/MWh].")
    on_off: bool = Field(
        False,
        description="It stands still or generates min_mw at least, block by block; plans let it run in between.",
    )
    running_cost_per_hour: Money = Field(
        0.0, description="Cost of an hour in which it runs at all [money/h]; only with on_off."
    )
    ramp_mw: Size | None = Field(
        None, description="Largest change of its generation from stage to stage [MW], block by block; null: any."
    )
    initial_mw: Size = Field(0.0, description="Generation before stage 0 [MW]; only with ramp_mw.")
    reactive_min_mvar: Reactive = Field(None, description="Least reactive power [Mvar]; null: any. Only in AC.")
    reactive_max_mvar: Reactive = Field(None, description="Most reactive power [Mvar]; null: any. Only in AC.")


class Fuel(Record):
    """Fuel that some thermals share, as the energy it gives in a stage."""

    id: Id = Field(description="Identifier of the fuel contract.")
    thermals: list[Id] = Field(min_length=1, max_length=MOST_UNITS, description="Plants that burn it.")
    max_mwh: Seasonal = Field(description="Most energy from it in a stage [MWh/stage], one value or by season.")


class Renewable(Record):
    """Wind, sun or run-of-river without storage: a profile that may be curtailed at no cost."""

    id: Id = Field(description="Identifier, unique among plants.")
    bus: Id = Field(description="Bus it feeds.")
    available_mw: Seasonal = Field(description="What it can give [MW], one value or by season.")


class ProductionPiece(Record):
    """One piece of a production function that depends on head: generation ≤ constant + per_m3s·q + per_hm3·v.

    q is turbined flow, v the mean of storage at the stage's start and end. Together the pieces are concave.
    """

    constant_mw: float = Field(0.0, ge=-1e6, le=1e6, description="Constant [MW].")
    per_m3s: float = Field(ge=0, le=1e6, description="Per turbined flow [MW/(m³/s)].")
    per_hm3: float = Field(0.0, ge=0, le=1e6, description="Per storage [MW/hm³].")


class Hydro(Record):
    """A reservoir with its plant."""

    id: Id = Field(description="Identifier, unique among plants.")
    bus: Id = Field(description="Bus it feeds.")
    production_factor_mw_per_m3s: float = Field(ge=0, le=1e6, description="ρ [MW/(m³/s)].")
    turbine_max_m3s: Seasonal = Field(description="Most turbined flow [m³/s], one value or by season.")
    storage_min_hm3: Size = Field(0.0, description="Dead storage [hm³], never gone below.")
    storage_max_hm3: Size = Field(description="Full reservoir [hm³].")
    initial_storage_hm3: Size = Field(description="Storage before stage 0 [hm³].")
    turbine_downstream: Id | None = Field(None, description="Plant that turbined water reaches; null: it leaves.")
    spill_downstream: Id | None = Field(None, description="Plant that spilled water reaches; null: it leaves.")
    cost_per_mwh: float = Field(0.0, ge=-1e6, le=1e6, description="Variable cost of its generation [money/MWh].")
    reactive_min_mvar: Reactive = Field(None, description="Least reactive power [Mvar]; null: any. Only in AC.")
    reactive_max_mvar: Reactive = Field(None, description="Most reactive power [Mvar]; null: any. Only in AC.")
    spill_cost_per_hm3: Money = Field(0.0, description="Price of spilling [money/hm³].")
    production_pieces: list[ProductionPiece] = Field(
        default_factory=list,
        max_length=50,
        description="Generation as a concave function of flow and storage, instead of ρ·q: at most every piece.",
    )
    evaporation_share: SeasonalShare = Field(
        0.0, description="Share of the storage above the dead one that evaporates in a stage, one value or by season."
    )
    min_outflow_m3s: Seasonal = Field(
        0.0, description="Least turbined plus spilled flow [m³/s], one value or by season; soft, priced."
    )
    min_outflow_cost_per_hm3: Money = Field(0.0, description="Price of water missing to it [money/hm³].")
    reserve_storage_hm3: Seasonal = Field(
        0.0, description="Storage that should not be gone below [hm³], one value or by season; soft, priced."
    )
    reserve_cost_per_hm3: Money = Field(0.0, description="Price of storage missing to it [money/hm³ and stage].")
    flood_storage_hm3: Seasonal | None = Field(
        None, description="Storage that should be kept free above [hm³], one value or by season; soft, priced."
    )
    flood_cost_per_hm3: Money = Field(0.0, description="Price of storage above it [money/hm³ and stage].")


class Block(Record):
    """A part of every stage with a load of its own (peak, night)."""

    id: Id = Field(description="Identifier of the block.")
    share: Annotated[float, Field(gt=0, le=1)] = Field(description="Share of the stage's hours; all sum to one.")
    load_factor: Size = Field(1.0, description="Load in the block over the bus's load.")
    renewable_factor: Size = Field(1.0, description="Renewable output in the block over its profile.")


class DeficitTier(Record):
    """A slice of unserved load with a price of its own."""

    share_of_load: Annotated[float, Field(gt=0, le=1)] = Field(description="Size of the slice as a share of load.")
    cost_per_mwh: Money = Field(description="Price of load unserved in it [money/MWh].")


class EndCut(Record):
    """A line below the cost after the horizon: cost ≥ intercept + Σ slope·storage."""

    intercept: float = Field(ge=-1e15, le=1e15, description="Intercept [money].")
    slope_per_hm3: dict[Id, Annotated[float, Field(ge=-1e12, le=0)]] = Field(
        description="Slope by plant [money/hm³], not positive: minus the water value."
    )


class EndOfHorizon(Record):
    """What storage is worth after the last stage: cuts, a storage to end with, or both."""

    cuts: list[EndCut] = Field(default_factory=list, max_length=10_000, description="Cost to go as cuts.")
    storage_hm3: dict[Id, Size] = Field(default_factory=dict, description="Storage to end with [hm³], by plant.")
    shortage_cost_per_hm3: Money = Field(0.0, description="Price of storage missing to it [money/hm³].")


class HydrothermalSystem(Instance):
    """Reservoirs, plants and a grid to be dispatched stage by stage, before future rain is known."""

    problem: Literal["hydrothermal"] = "hydrothermal"
    stages: int = Field(ge=1, le=MOST_STAGES, description="Horizon T [stages].")
    report_stages: int | None = Field(
        None, ge=1, description="First stages whose cost is reported; those after keep the end from bending decisions."
    )
    stage_hours: float = Field(gt=0, le=100_000, description="Length of a stage [h].")
    physics: Physics = Field(
        "transport",
        description="transport: flow limits only; dc: Kirchhoff's laws too; dc_losses: and convex line losses r·f²; "
        "ac: full power flow, dispatched stage by stage, while plans are made in plan_physics.",
    )
    plan_physics: PlanPhysics = Field(
        "dc_losses", description="What plans, training and cuts see of the grid where physics is ac; unused elsewhere."
    )
    loss_factor: float = Field(
        1.0, gt=0, le=10, description="Factor on r in the losses of dc_losses: voltages above one lower them."
    )
    base_mva: Positive = Field(100.0, description="Base of per-unit values [MVA].")
    deficit_cost_per_mwh: Money = Field(description="Price of unserved load [money/MWh].")
    deficit_tiers: list[DeficitTier] = Field(
        default_factory=list,
        max_length=10,
        description="First slices of deficit, cheapest first; the rest costs above.",
    )
    surplus_cost_per_mwh: Money = Field(
        1.0, description="Price of generation that nobody takes [money/MWh]; only where plants cannot stop."
    )
    discount: float = Field(1.0, gt=0, le=1, description="Weight of a stage's cost over that of the one before.")
    loss_tangents: int = Field(8, ge=2, le=100, description="Tangents of r·f² per line; only in dc_losses.")
    blocks: list[Block] = Field(default_factory=list, max_length=24, description="Parts of a stage; none: one block.")
    buses: list[Bus] = Field(min_length=1, max_length=MOST_UNITS)
    lines: list[Line] = Field(default_factory=list, max_length=10_000)
    thermals: list[Thermal] = Field(default_factory=list, max_length=MOST_UNITS)
    hydros: list[Hydro] = Field(min_length=1, max_length=MOST_UNITS)
    renewables: list[Renewable] = Field(default_factory=list, max_length=MOST_UNITS)
    fuels: list[Fuel] = Field(default_factory=list, max_length=MOST_UNITS)
    inflows: InflowProcess
    end: EndOfHorizon | None = Field(None, description="What storage is worth after the last stage; null: nothing.")

    @property
    def num_stages(self) -> int:
        return self.stages

    @property
    def hm3_per_m3s(self) -> float:
        """K [hm³ per m³/s]: what a flow of one m³/s brings in a stage."""
        return HM3_PER_M3S_HOUR * self.stage_hours

    @property
    def parts(self) -> list[Block]:
        """The blocks of a stage; one that fills it where none are given."""
        return self.blocks or [Block(id="all", share=1.0)]

    @property
    def planned_physics(self) -> PlanPhysics:
        """The physics of stage programs: `physics`, but for alternating current."""
        return self.plan_physics if self.physics == "ac" else self.physics

    @property
    def plans_leave_out(self) -> str | None:
        """What the stage programs know only in part, in words; None where they are exact."""
        if self.physics == "ac":
            return f"voltages and reactive power (plans are made in {self.plan_physics})"
        if any(thermal.on_off for thermal in self.thermals):
            return "that some thermals are on or off (plans let them run in between)"
        return None

    @property
    def can_have_surplus(self) -> bool:
        """Whether some plant may have to generate what nobody takes."""
        held = (thermal for thermal in self.thermals if not thermal.on_off)
        return any(thermal.ramp_mw is not None or largest(thermal.min_mw) > 0 for thermal in held)

    def rules(self) -> Iterator[Issue]:
        from models.hydrothermal.system_rules import system_rules  # which reads this file's records

        yield from system_rules(self)


def downstream_order(hydros: list[Hydro]) -> list[int] | None:
    """Positions of the plants, upstream ones first; None if water would run in a circle (Kahn)."""
    place = {hydro.id: k for k, hydro in enumerate(hydros)}
    below = [{place[d] for d in (hydro.turbine_downstream, hydro.spill_downstream) if d in place} for hydro in hydros]
    waiting = [sum(k in down for down in below) for k in range(len(hydros))]
    ready = [k for k, count in enumerate(waiting) if count == 0]
    order: list[int] = []
    while ready:
        current = ready.pop(0)
        order.append(current)
        for down in sorted(below[current]):
            waiting[down] -= 1
            if waiting[down] == 0:
                ready.append(down)
    return order if len(order) == len(hydros) else None
