"""The coming stages of a system under a policy: who supplies the load, how storage goes; and alerts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from models.core import pointer
from models.course import Alert, Course, gravest, projected, stacked
from models.figures import Figure, Line, Series, largest, shown
from models.view import plain

if TYPE_CHECKING:
    from torch import Tensor

    from models.hydrothermal.simulator import Dispatch, HydroState
    from models.hydrothermal.view import HydroView

STAGES = 12  # coming stages drawn
MOST_SOURCES = 6  # plants of a kind with a colour of their own in the stack
MOST_BUSES = 30
NEAR, AT = 0.05, 0.01  # shares of a reservoir's span: near its limit, at it
SERVED = 1e-3  # [MW] unserved load that counts as none


def figures(view: HydroView, course: Course) -> list[Figure]:
    """The dispatch stage by stage, today's by bus where there are several, and the projected storage."""
    by_bus = [_by_bus(view, course)] if len(view.layout.buses) > 1 else []
    return [_dispatch(view, course), *by_bus, *_storage(view, course)]


def _dispatch(view: HydroView, course: Course) -> Figure:
    """Generation by source, stacked up to the load [MW]."""
    lay, system = view.layout, view.system
    hours = float(lay.hours.sum())
    lines: list[Line] = []
    for kind, ids in (
        ("hydro", lay.hydros),
        ("renewable", [plant.id for plant in system.renewables]),
        ("thermal", [plant.id for plant in system.thermals]),
    ):
        rows = np.array([getattr(plan, kind)[0].sum(0).double().numpy() for _, plan, _ in course.expected]).T / hours
        own: dict[str, Any] = {"mark": "area", "stack": "dispatch", "group": kind}
        lines += stacked(ids, rows.tolist(), MOST_SOURCES, f"other {kind}", **own)
    unserved = tuple(float(plan.deficit[0].sum()) / hours for _, plan, _ in course.expected)
    if max(unserved) > SERVED:
        lines.append(Line("unserved", unserved, "area", "dispatch", "unserved"))
    load = tuple(float(lay.seasons[stage % lay.num_seasons].load.sum()) / hours for stage in course.stages)
    lines.append(Line("load", load, group="load"))
    caption = "Who would supply the load if inflow were as expected, water first, then wind and sun, then fuel."
    axis = tuple(course.stages)
    return Series("dispatch", "Dispatch to come", caption, x=axis, x_title="stage", unit="MW", lines=tuple(lines))


def _by_bus(view: HydroView, course: Course) -> Figure:
    """Today's generation, unserved load and load by bus [MW]."""
    lay, system = view.layout, view.system
    _, plan, stage = course.expected[0]
    hours, buses = float(lay.hours.sum()), len(lay.buses)
    load = lay.seasons[int(stage) % lay.num_seasons].load.sum(0) / hours

    def at(energy: Tensor, bus: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.bincount(bus, energy[0].sum(0).double().numpy(), buses) / hours

    made = {
        "hydro": at(plan.hydro, lay.hydro_bus),
        "renewable": at(plan.renewable, lay.renewable_bus),
        "thermal": at(plan.thermal, lay.thermal_bus),
        "unserved": plan.deficit[0].sum((0, 1)).double().numpy() / hours,
    }
    kept = largest(range(buses), (load + sum(made.values())).tolist(), MOST_BUSES)
    lines = [
        Line(name, tuple(values[kept].tolist()), "bar", "generation", name)
        for name, values in made.items()
        if values.any()
    ]
    lines.append(Line("load", tuple(load[kept].tolist()), "point", None, "load"))
    caption = "What is generated at every bus now, beside its load; lines carry the difference."
    caption = shown(caption, len(kept), len(system.buses), "buses with most load and generation")
    names = tuple(lay.buses[k] for k in kept)
    return Series("buses", "Dispatch by bus", caption, x=names, x_title="bus", unit="MW", lines=tuple(lines))


def _storage(view: HydroView, course: Course) -> Iterator[Figure]:
    lay = view.layout
    span = lay.storage_max - lay.storage_min
    kept = [k for k in largest(range(len(lay.hydros)), span.tolist()) if span[k] > 0]
    caption = "Storage at the start of every stage under this policy, between dead and full."
    if course.sampled is not None:
        caption = "Storage at the start of every stage: half of all scenarios lie in the inner band."
    caption = shown(caption, len(kept), int((span > 0).sum()), "largest reservoirs")
    for k in kept:
        name = lay.hydros[k]
        yield projected(
            f"storage/{name}",
            f"Storage of {name}",
            caption,
            *course.states("storage", k),
            course.stages,
            x_title="stage",
            unit="hm³",
            group="storage",
            limits=[("full", float(lay.storage_max[k])), ("dead storage", float(lay.storage_min[k]))],
        )


def alerts(view: HydroView, state: HydroState, decision: Dispatch, stage: Tensor) -> list[list[Alert]]:
    """Per row: unserved load, reservoirs near their limits now or after this stage, water spilled."""
    documents = view.encode(state, decision, stage)
    return [gravest(list(_row(view, state.storage[row].tolist(), own))) for row, own in enumerate(documents)]


def _row(view: HydroView, start: list[float], document: Mapping[str, Any]) -> Iterator[Alert]:
    lay = view.layout
    for bus, short in document["deficit_mw"].items():
        if short > SERVED:
            yield Alert("critical", "", f"Load at {bus} goes unserved", f"{plain(short)} MW on the mean of the stage.")
    for k, name in enumerate(lay.hydros):
        low, high = float(lay.storage_min[k]), float(lay.storage_max[k])
        if high <= low:
            continue
        where, span, end = pointer("storage_hm3", name), high - low, document["storage_hm3"][name]
        told = f"{plain(start[k])} hm³ now, {plain(end)} after this stage; dead is {plain(low)}, full is {plain(high)}."
        share = (start[k] - low) / span
        if share <= NEAR:
            severity = "critical" if share <= AT and end <= low + AT * span else "warning"
            yield Alert(severity, where, f"{name} is nearly empty", told)  # type: ignore[arg-type]
        elif end <= low + AT * span:
            yield Alert("warning", where, f"{name} ends empty", told)
        spilled = document["spilled_hm3"][name]
        if spilled > AT * span:
            detail = f"{plain(spilled)} hm³ are spilled this stage. {told}"
            yield Alert("warning", where, f"{name} spills", detail)
        elif share >= 1 - NEAR:
            yield Alert("info", where, f"{name} is nearly full", told)
