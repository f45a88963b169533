"""A hydrothermal system drawn: the river, the grid, who supplies at what cost, inflow and load."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from models.fans import Paths, drawn_stages, fan
from models.figures import (
    MOST_PLACES,
    MOST_STAGES,
    Fact,
    Figure,
    Line,
    Link,
    Network,
    Node,
    Series,
    fan_scenarios,
    shown,
)
from models.figures import largest as largest_of
from models.hydrothermal.inflow import Autoregressive
from models.hydrothermal.inflow_sampling import inflow_sampler
from models.hydrothermal.instance import Hydro, HydrothermalSystem, Thermal, downstream_order
from models.hydrothermal.layout import Floats
from models.hydrothermal.seasonal import at, largest

MOST_RESERVOIRS = 300  # on the map of the river
MOST_BUSES, MOST_LINES, MOST_PLANTS = 400, 800, 400  # on the map of the grid
MOST_OFFERS = 60  # thermals in the order of their cost
SEED = 20_240_504
OUT = "out of the system"
ALL_WATER = "turbined and spilled"


def draw(system: HydrothermalSystem) -> list[Figure]:
    """River, grid, thermals by cost, load, and the inflow of all reservoirs and of the largest ones."""
    offers = [_offers(system)] if system.thermals else []
    return [_river(system), _grid(system), *offers, _load(system), *_inflows(system)]


def _river(system: HydrothermalSystem) -> Figure:
    kept = set(largest_of([h.id for h in system.hydros], [h.storage_max_hm3 for h in system.hydros], MOST_RESERVOIRS))
    tiers = _distances(system)
    nodes = [Node(h.id, h.id, _group(h), tiers[h.id], tuple(_hydro_facts(h))) for h in system.hydros if h.id in kept]
    links, leaving = [], []
    for hydro in system.hydros:
        if hydro.id not in kept:
            continue
        for target, label in _ways(hydro):
            if target is None:
                leaving.append(Link(hydro.id, OUT, _told(label), label))
            elif target in kept:
                links.append(Link(hydro.id, target, _told(label), label))
    if leaving:
        nodes.append(Node(OUT, OUT, "out", max(tiers.values()) + 1))
    caption = "Water runs from left to right; turbined and spilled water may take different ways."
    caption = shown(caption, len(kept), len(system.hydros), "largest reservoirs")
    return Network("cascade", "River", caption, nodes=tuple(nodes), links=(*links, *leaving))


def _group(hydro: Hydro) -> str:
    return "reservoir" if hydro.storage_max_hm3 > hydro.storage_min_hm3 else "run of river"


def _told(way: str) -> str:
    """A link says what runs on it only where turbined and spilled water part."""
    return "" if way == ALL_WATER else way


def _ways(hydro: Hydro) -> Iterator[tuple[str | None, str]]:
    if hydro.turbine_downstream == hydro.spill_downstream:
        yield hydro.turbine_downstream, ALL_WATER
    else:
        yield hydro.turbine_downstream, "turbined"
        yield hydro.spill_downstream, "spilled"


def _distances(system: HydrothermalSystem) -> dict[str, int]:
    """The most reservoirs above each, along the water."""
    tiers = dict.fromkeys((hydro.id for hydro in system.hydros), 0)
    for k in downstream_order(system.hydros) or []:
        hydro = system.hydros[k]
        for target, _ in _ways(hydro):
            if target is not None:
                tiers[target] = max(tiers[target], tiers[hydro.id] + 1)
    return tiers


def _hydro_facts(hydro: Hydro) -> Iterator[Fact]:
    yield Fact("Bus", hydro.bus)
    yield Fact("Storage at the start", hydro.initial_storage_hm3, "hm³")
    yield Fact("Full", hydro.storage_max_hm3, "hm³")
    yield Fact("Dead storage", hydro.storage_min_hm3, "hm³")
    yield Fact("Turbines at most", largest(hydro.turbine_max_m3s), "m³/s")
    if not hydro.production_pieces:
        yield Fact("Production factor", hydro.production_factor_mw_per_m3s, "MW/(m³/s)")
    if hydro.cost_per_mwh:
        yield Fact("Cost", hydro.cost_per_mwh, "money/MWh")
    if largest(hydro.min_outflow_m3s) > 0:
        yield Fact("Least outflow", largest(hydro.min_outflow_m3s), "m³/s")


def _grid(system: HydrothermalSystem) -> Figure:
    """Buses joined by lines, and the plants that feed them."""
    load = {bus.id: largest(bus.load_mw) for bus in system.buses}
    kept = set(largest_of(list(load), list(load.values()), MOST_BUSES))
    plants = [plant for plant in _plants(system) if plant[0].target in kept]
    chosen = largest_of(plants, [size for _, _, size in plants], MOST_PLANTS)
    lines = [line for line in system.lines if line.source in kept and line.target in kept][:MOST_LINES]
    rings = _rings(system, max(load, key=lambda bus: load[bus]))
    buses = [
        Node(bus.id, bus.id, "bus", rings[bus.id], (Fact("Largest load", load[bus.id], "MW"),))
        for bus in system.buses
        if bus.id in kept
    ]
    tied = tuple(
        Link(
            line.source,
            line.target,
            "" if line.limit_mw is None else f"{line.limit_mw:.6g} MW",
            "line",
            (Fact("Line", line.id), Fact("Reactance", line.reactance_pu, "per unit")),
        )
        for line in lines
    )
    caption = "Plants feed buses, lines join them; a line says how much it can carry."
    caption = shown(caption, len(kept), len(system.buses), "buses with the largest load")
    caption = shown(caption, len(chosen), len(list(_plants(system))), "largest plants")
    caption = shown(caption, len(lines), len(system.lines), "lines")
    nodes = [*buses, *(Node(n.id, n.label, n.group, rings[k.target] + 1, n.facts) for k, n, _ in chosen)]
    feeds = tuple(link for link, _, _ in chosen)
    return Network("grid", "Grid", caption, nodes=tuple(nodes), links=(*tied, *feeds), layout="free")


def _plants(system: HydrothermalSystem) -> Iterator[tuple[Link, Node, float]]:
    """Every plant: what ties it to its bus, itself, and its size [MW]."""
    for hydro in system.hydros:
        size = largest(hydro.turbine_max_m3s) * hydro.production_factor_mw_per_m3s
        yield _plant(hydro.id, hydro.bus, "hydro", size, [Fact("Capacity", size, "MW")])
    for thermal in system.thermals:
        size = largest(thermal.max_mw)
        yield _plant(thermal.id, thermal.bus, "thermal", size, list(_thermal_facts(thermal)))
    for plant in system.renewables:
        size = largest(plant.available_mw)
        yield _plant(plant.id, plant.bus, "renewable", size, [Fact("Gives at most", size, "MW")])


def _plant(name: str, bus: str, group: str, size: float, facts: list[Fact]) -> tuple[Link, Node, float]:
    node = f"{group}:{name}"  # a plant and a bus may have the same id
    return Link(node, bus, "", "feeds"), Node(node, name, group, 0, tuple(facts)), size


def _thermal_facts(thermal: Thermal) -> Iterator[Fact]:
    yield Fact("Capacity", largest(thermal.max_mw), "MW")
    yield Fact("Cost", thermal.cost_per_mwh, "money/MWh")
    if largest(thermal.min_mw) > 0:
        yield Fact("Must run", largest(thermal.min_mw), "MW")
    if thermal.ramp_mw is not None:
        yield Fact("Ramp", thermal.ramp_mw, "MW/stage")


def _rings(system: HydrothermalSystem, centre: str) -> dict[str, int]:
    """Lines between every bus and the one with the largest load; unreached ones lie with it."""
    near: dict[str, list[str]] = {bus.id: [] for bus in system.buses}
    for line in system.lines:
        near[line.source].append(line.target)
        near[line.target].append(line.source)
    rings = dict.fromkeys(near, 0)
    seen, queue = {centre}, deque([centre])
    while queue:
        bus = queue.popleft()
        for other in near[bus]:
            if other not in seen:
                seen.add(other)
                rings[other] = rings[bus] + 1
                queue.append(other)
    return rings


def _offers(system: HydrothermalSystem) -> Figure:
    """Thermals by cost: who is called first."""
    ranked = sorted(system.thermals, key=lambda thermal: thermal.cost_per_mwh)[:MOST_OFFERS]
    names = tuple(f"{thermal.id} ({largest(thermal.max_mw):.4g} MW)" for thermal in ranked)
    caption = "Thermals in the order of their cost: who is called first when water is kept."
    caption = shown(caption, len(ranked), len(system.thermals), "cheapest thermals")
    costs = tuple(thermal.cost_per_mwh for thermal in ranked)
    line = Line("cost", costs, "bar")
    return Series("offers", "Thermals by cost", caption, x=names, x_title="thermal", unit="money/MWh", lines=(line,))


def _load(system: HydrothermalSystem) -> Figure:
    """Load by bus over the stages, the mean of the blocks."""
    stages = drawn_stages(system.stages)
    factor = sum(part.share * part.load_factor for part in system.parts)
    rows = np.array([[factor * at(bus.load_mw, t) for t in range(stages)] for bus in system.buses])
    kept = largest_of(range(len(rows)), rows.mean(1).tolist())
    lines = [Line(system.buses[k].id, tuple(rows[k].tolist()), "area", "load") for k in kept if rows[k].any()]
    if len(kept) < len(rows):
        rest = rows.sum(0) - rows[kept].sum(0)
        lines.append(Line("other buses", tuple(rest.tolist()), "area", "load"))
    caption = "Load to be met in every stage, bus on bus, the mean of its blocks."
    caption = shown(caption, len(kept), len(rows), "buses with the largest load")
    axis = tuple(range(stages))
    return Series("load", "Load", caption, x=axis, x_title="stage", unit="MW", lines=tuple(lines))


def _inflows(system: HydrothermalSystem) -> Iterator[Figure]:
    plants = [hydro.id for hydro in system.hydros]
    paths = _sampled(system, plants)
    past = _past(system, plants)
    if len(plants) > 1:
        title = "Inflow of all reservoirs"
        yield _fan("inflow", title, paths.sum(2), past.sum(1).tolist(), len(plants), len(plants))
    kept = largest_of(range(len(plants)), paths.mean((0, 1)).tolist(), MOST_PLACES)
    for k in kept:
        own = past[:, k].tolist()
        yield _fan(f"inflow/{plants[k]}", f"Inflow of {plants[k]}", paths[:, :, k], own, len(kept), len(plants))


def _sampled(system: HydrothermalSystem, plants: Sequence[str]) -> Paths:
    """Scenarios (scenario, stage, plant) of inflow [m³/s], stage 0 first."""
    stages = drawn_stages(system.stages)
    sampler = inflow_sampler(system.inflows, plants, stages, 1.0)
    generator = torch.Generator().manual_seed(SEED)
    batch = fan_scenarios(stages * len(plants))
    first = sampler.first(batch, generator)
    paths = torch.cat((first[:, None], sampler.paths(batch, generator)), dim=1)[:, :stages]
    return paths.numpy()


def _past(system: HydrothermalSystem, plants: Sequence[str]) -> Floats:
    """Inflow of the stages right before the start (stage, plant), oldest first [m³/s]; none without a history."""
    if not isinstance(system.inflows, Autoregressive):
        return np.zeros((0, len(plants)))
    return np.array([system.inflows.history_m3s[plant][-MOST_STAGES:] for plant in plants]).T


def _fan(key: str, title: str, paths: Paths, past: Sequence[float], kept: int, total: int) -> Figure:
    caption = "What flowed before the start, and what may come: half of all scenarios lie in the inner band."
    if not past:
        caption = "What may flow: half of all scenarios lie in the inner band, nine in ten in the outer one."
    caption = shown(caption, kept, total, "reservoirs with the largest inflow")
    return fan(key, title, caption, paths, unit="m³/s", x_title="stage", past=past, group="inflow")
