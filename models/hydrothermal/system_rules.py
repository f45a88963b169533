"""The rules that bind a hydrothermal system's fields to each other, each naming its field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from models.core import Issue, pointer
from models.hydrothermal.instance import Hydro, HydrothermalSystem, Thermal, downstream_order
from models.hydrothermal.seasonal import at, largest, least, length


def system_rules(system: HydrothermalSystem) -> Iterator[Issue]:
    """Every rule the document breaks (error) or strains (warning, info)."""
    yield from _unique_ids(system)
    yield from _buses_known(system)
    yield from _lines(system)
    for k, hydro in enumerate(system.hydros):
        yield from _hydro(hydro, k, system)
    yield from _cascade(system.hydros)
    for k, thermal in enumerate(system.thermals):
        yield from _thermal(thermal, k)
    yield from _fuels(system)
    yield from _isolated(system)
    yield from _alternating(system)
    yield from _islands(system)
    yield from _time(system)
    yield from _end(system)
    yield from system.inflows.rules(("inflows",), [hydro.id for hydro in system.hydros], system.stages)


def _error(code: str, detail: str, *where: str | int) -> Issue:
    return Issue(code, "error", pointer(*where), detail)


def _unique_ids(system: HydrothermalSystem) -> Iterator[Issue]:
    plants = [*_named(system, "thermals"), *_named(system, "hydros"), *_named(system, "renewables")]
    for group in (plants, *(list(_named(system, name)) for name in ("buses", "lines", "fuels", "blocks"))):
        seen: dict[str, str] = {}
        for field, k, identifier in group:
            if identifier in seen:
                yield _error("duplicate_id", f"the id {identifier!r} is taken by {seen[identifier]}", field, k, "id")
            seen.setdefault(identifier, pointer(field, k))


def _named(system: HydrothermalSystem, field: str) -> Iterator[tuple[str, int, str]]:
    for k, record in enumerate(getattr(system, field)):
        yield field, k, record.id


def _buses_known(system: HydrothermalSystem) -> Iterator[Issue]:
    buses = {bus.id for bus in system.buses}
    for field in ("thermals", "hydros", "renewables"):
        for k, plant in enumerate(getattr(system, field)):
            if plant.bus not in buses:
                yield _error("unknown_bus", f"no bus has the id {plant.bus!r}", field, k, "bus")
    for k, line in enumerate(system.lines):
        for end, word in ((line.source, "from"), (line.target, "to")):
            if end not in buses:
                yield _error("unknown_bus", f"no bus has the id {end!r}", "lines", k, word)


def _lines(system: HydrothermalSystem) -> Iterator[Issue]:
    for k, line in enumerate(system.lines):
        if line.source == line.target:
            yield _error("loop", "a line joins two different buses", "lines", k, "to")
        if line.reactance_pu == 0 and system.physics != "transport":
            detail = f"must not be zero with physics {system.physics!r}: Kirchhoff's laws divide by it"
            yield _error("zero_reactance", detail, "lines", k, "reactance_pu")


def _hydro(hydro: Hydro, k: int, system: HydrothermalSystem) -> Iterator[Issue]:
    here = ("hydros", k)
    plants = {other.id for other in system.hydros}
    for word in ("turbine_downstream", "spill_downstream"):
        down = getattr(hydro, word)
        if down is not None and down not in plants:
            yield _error("unknown_hydro", f"no hydro has the id {down!r}", *here, word)
    if hydro.storage_min_hm3 > hydro.storage_max_hm3:
        yield _error("storage", f"above storage_max_hm3 ({hydro.storage_max_hm3:g})", *here, "storage_min_hm3")
    elif not hydro.storage_min_hm3 <= hydro.initial_storage_hm3 <= hydro.storage_max_hm3:
        span = f"between {hydro.storage_min_hm3:g} and {hydro.storage_max_hm3:g}"
        yield _error("storage", f"must lie {span}", *here, "initial_storage_hm3")
    softs = (
        ("min_outflow_m3s", "min_outflow_cost_per_hm3", largest(hydro.min_outflow_m3s) > 0),
        ("reserve_storage_hm3", "reserve_cost_per_hm3", largest(hydro.reserve_storage_hm3) > 0),
        ("flood_storage_hm3", "flood_cost_per_hm3", hydro.flood_storage_hm3 is not None),
    )
    for limit, price, given in softs:
        if given and getattr(hydro, price) == 0:
            yield _error("price", f"must be above zero for {limit} to count: the limit is soft", *here, price)


def _cascade(hydros: Sequence[Hydro]) -> Iterator[Issue]:
    if downstream_order(list(hydros)) is None:
        yield _error("cascade_cycle", "water would run in a circle: follow turbine_ and spill_downstream", "hydros")


def _thermal(thermal: Thermal, k: int) -> Iterator[Issue]:
    on_off = ("thermals", k, "on_off")
    for stage in range(max(length(thermal.min_mw), length(thermal.max_mw))):
        if at(thermal.min_mw, stage) > at(thermal.max_mw, stage):
            yield _error("capacity", f"above max_mw in season {stage}", "thermals", k, "min_mw")
            return
    if thermal.ramp_mw is not None and not (at(thermal.min_mw, 0) <= thermal.initial_mw <= at(thermal.max_mw, 0)):
        yield _error("ramp", "must lie between min_mw and max_mw: ramps start from it", "thermals", k, "initial_mw")
    if thermal.ramp_mw is not None and thermal.on_off:
        yield _error("on_off", "not with ramp_mw: from standing still it may be unable to reach min_mw", *on_off)
    if thermal.running_cost_per_hour and not thermal.on_off:
        yield _error("on_off", "only with on_off", "thermals", k, "running_cost_per_hour")
    if thermal.ramp_mw is None and thermal.initial_mw > 0:
        yield _error("ramp", "only with ramp_mw", "thermals", k, "initial_mw")
    if thermal.ramp_mw is not None and (length(thermal.min_mw) > 1 or length(thermal.max_mw) > 1):
        yield _error("ramp", "a plant with ramp_mw has the same min_mw and max_mw in all seasons", "thermals", k)


def _fuels(system: HydrothermalSystem) -> Iterator[Issue]:
    thermals = {thermal.id: thermal for thermal in system.thermals}
    for k, fuel in enumerate(system.fuels):
        for place, plant in enumerate(fuel.thermals):
            if plant not in thermals:
                yield _error("unknown_thermal", f"no thermal has the id {plant!r}", "fuels", k, "thermals", place)
                continue
            if thermals[plant].ramp_mw is not None:
                detail = f"{plant!r} has ramp_mw: a plant has a fuel limit or a ramp limit, both may have no dispatch"
                yield _error("fuel_ramp", detail, "fuels", k, "thermals", place)
        known = [thermals[plant] for plant in fuel.thermals if plant in thermals]
        needed = sum(largest(plant.min_mw) for plant in known if not plant.on_off) * system.stage_hours
        if needed > least(fuel.max_mwh):
            detail = f"must-run generation of its plants alone takes {needed:g} MWh"
            yield _error("fuel", detail, "fuels", k, "max_mwh")


def unknown_in_ac(system: HydrothermalSystem) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """What a system uses that a stage in alternating current does not know, and where."""
    if system.blocks:
        yield "blocks", ("blocks",)
    for k, thermal in enumerate(system.thermals):
        if thermal.ramp_mw is not None:
            yield "ramps", ("thermals", k, "ramp_mw")
        if thermal.on_off:
            yield "thermals that are on or off", ("thermals", k, "on_off")
    for name, used in (("fuels", system.fuels), ("renewables", system.renewables)):
        if used:
            yield name, (name,)
    if system.deficit_tiers:
        yield "slices of deficit", ("deficit_tiers",)
    for k, hydro in enumerate(system.hydros):
        if hydro.production_pieces:
            yield "head", ("hydros", k, "production_pieces")
    for k, hydro in enumerate(system.hydros):
        if hydro.min_outflow_cost_per_hm3:
            yield "soft outflow", ("hydros", k, "min_outflow_cost_per_hm3")
    for k, line in enumerate(system.lines):
        if line.resistance_pu == line.reactance_pu == 0:
            yield "line without impedance", ("lines", k, "reactance_pu")


def _alternating(system: HydrothermalSystem) -> Iterator[Issue]:
    if system.physics != "ac":
        return
    for name, where in unknown_in_ac(system):
        yield _error("ac", f"alternating current knows no {name}", *where)
    for k, bus in enumerate(system.buses):
        if bus.voltage_min_pu > bus.voltage_max_pu:
            yield _error("voltage", f"above voltage_max_pu ({bus.voltage_max_pu:g})", "buses", k, "voltage_min_pu")
    for field in ("thermals", "hydros"):
        for k, plant in enumerate(getattr(system, field)):
            low, high = plant.reactive_min_mvar, plant.reactive_max_mvar
            if low is not None and high is not None and low > high:
                yield _error("reactive", f"above reactive_max_mvar ({high:g})", field, k, "reactive_min_mvar")
    detail = f"stages are dispatched by Ipopt (the extra `ac`); plans, training and cuts see {system.plan_physics}"
    yield Issue("ac", "info", pointer("physics"), detail)


def _isolated(system: HydrothermalSystem) -> Iterator[Issue]:
    joined = {end for line in system.lines for end in (line.source, line.target)}
    for plants in (system.thermals, system.hydros, system.renewables):
        joined |= {plant.bus for plant in plants}
    for k, bus in enumerate(system.buses):
        if bus.id not in joined and not bus.deficit_allowed:
            yield _error("isolated", "no line and no plant is joined to this bus", "buses", k, "id")


def _islands(system: HydrothermalSystem) -> Iterator[Issue]:
    """Every island with load has a bus where load may go unserved, or no stage is sure to have a dispatch."""
    place = {bus.id: k for k, bus in enumerate(system.buses)}
    root = list(range(len(system.buses)))

    def find(k: int) -> int:
        while root[k] != k:
            root[k] = root[root[k]]
            k = root[k]
        return k

    for line in system.lines:
        if line.source in place and line.target in place:
            root[find(place[line.source])] = find(place[line.target])
    allowed = {find(k) for k, bus in enumerate(system.buses) if bus.deficit_allowed}
    told: set[int] = set()
    for k, bus in enumerate(system.buses):
        if largest(bus.load_mw) > 0 and find(k) not in allowed | told:
            told.add(find(k))
            detail = f"no bus of the island of {bus.id!r} allows deficit: its load may be impossible to meet"
            yield _error("island_without_deficit", detail, "buses", k, "deficit_allowed")
    if any(not bus.deficit_allowed and largest(bus.load_mw) > 0 for bus in system.buses):
        detail = "some loads allow no deficit: a stage without a dispatch ends as infeasible"
        yield Issue("deficit", "warning", pointer("buses"), detail)


def _time(system: HydrothermalSystem) -> Iterator[Issue]:
    if system.report_stages is not None and system.report_stages > system.stages:
        yield _error("report_stages", f"at most the horizon ({system.stages})", "report_stages")
    if system.blocks and abs(sum(block.share for block in system.blocks) - 1.0) > 1e-6:
        total = sum(block.share for block in system.blocks)
        yield _error("blocks", f"shares sum to {total:.6g}, must be 1", "blocks")
    prices = [tier.cost_per_mwh for tier in system.deficit_tiers] + [system.deficit_cost_per_mwh]
    for k in range(len(system.deficit_tiers)):
        if prices[k] > prices[k + 1]:
            yield _error("tiers", "tiers go from cheap to dear, all below deficit_cost_per_mwh", "deficit_tiers", k)
    if sum(tier.share_of_load for tier in system.deficit_tiers) > 1.0:
        yield _error("tiers", "shares of load sum to more than 1", "deficit_tiers")
    dearest = max((thermal.cost_per_mwh for thermal in system.thermals), default=0.0)
    if system.deficit_cost_per_mwh < dearest:
        detail = f"below the dearest thermal ({dearest:g}): load would rather go unserved than run it"
        yield Issue("deficit_cost", "warning", pointer("deficit_cost_per_mwh"), detail)


def _end(system: HydrothermalSystem) -> Iterator[Issue]:
    if system.end is None:
        return
    hydros = {hydro.id: hydro for hydro in system.hydros}
    for k, cut in enumerate(system.end.cuts):
        for plant in cut.slope_per_hm3:
            if plant not in hydros:
                detail = f"no hydro has the id {plant!r}"
                yield _error("unknown_hydro", detail, "end", "cuts", k, "slope_per_hm3", plant)
    for plant, wanted in system.end.storage_hm3.items():
        if plant not in hydros:
            yield _error("unknown_hydro", f"no hydro has the id {plant!r}", "end", "storage_hm3", plant)
        elif wanted > hydros[plant].storage_max_hm3:
            yield _error("storage", f"more than {plant!r} holds", "end", "storage_hm3", plant)
    if system.end.storage_hm3 and system.end.shortage_cost_per_hm3 == 0:
        yield _error("price", "must be above zero for storage_hm3 to count", "end", "shortage_cost_per_hm3")
