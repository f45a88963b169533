"""The coming periods of a plant under a policy: who makes what when, how stock goes; and alerts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from models.core import pointer
from models.course import LIKELY, Alert, Course, by_chance, gravest, projected
from models.figures import Bar, Figure, Schedule, largest, shown
from models.view import plain

if TYPE_CHECKING:
    from torch import Tensor

    from models.lot_sizing.lots import Lots, LotState
    from models.lot_sizing.view import LotView

MOST_MACHINES = 60  # rows of the schedule
SCRAPPED = 0.01  # share of the stock after production that scrapping must exceed to be told


def figures(view: LotView, course: Course) -> list[Figure]:
    """The schedule and the projected stock."""
    return [_schedule(view, course), *_stock(view, course)]


def _schedule(view: LotView, course: Course) -> Figure:
    rows = tuple(machine.id for machine in view.plant.machines)[:MOST_MACHINES]
    bars = tuple(
        Bar(
            bar["machine"],
            bar["item"] + (" (changeover)" if bar["changeover"] else ""),
            bar["start"],
            bar["end"],
            bar["quantity"],
            "units",
            bar["item"],
        )
        for bar in view.schedule(course.expected)
        if bar["machine"] in rows
    )
    caption = "What every machine would make if demand were as expected; a bar is a run, gaps are idle time."
    caption = shown(caption, len(rows), len(view.plant.machines), "first machines")
    return Schedule("production", "Production to come", caption, rows=rows, bars=bars, x_title="period")


def _stock(view: LotView, course: Course) -> Iterator[Figure]:
    lay = view.simulator.layout
    mean = view.simulator.tables.means.mean(0)
    items = largest(range(lay.num_items), mean.tolist())
    caption = "Stock less backlog at the start of every period under this policy."
    if course.sampled is not None:
        caption = "Stock less backlog at the start of every period: half of all scenarios lie in the inner band."
    caption = shown(caption, len(items), lay.num_items, "items with the largest demand")
    for k in items:
        item = view.plant.items[k]
        limit = float(lay.inventory_max[k])
        yield projected(
            f"stock/{item.id}",
            f"Stock of {item.id}",
            caption,
            *course.states("stock", k),
            course.stages,
            x_title="period",
            unit="units",
            group="stock",
            limits=[("limit", limit)] if math.isfinite(limit) else [],
        )


def alerts(view: LotView, state: LotState, decision: Lots, stage: Tensor) -> list[list[Alert]]:
    """Per row: items that may run short this period, demand owed, stock over its limit."""
    post, _ = view.simulator.decide(state, decision, stage)
    now = view.forecaster.outlook(post.stock.numpy(), stage.numpy())
    found = []
    for row in range(state.batch):
        own: list[Alert] = []
        for k, item in enumerate(view.plant.items):
            where, stock = pointer("inventory", item.id), float(state.stock[row, k])
            risk, short = 1.0 - float(now.in_stock[row, k]), float(now.short[row, k])
            if stock < 0:
                own.append(Alert("warning", where, f"{item.id} is owed", f"{plain(-stock)} units wait to be served."))
            if risk >= LIKELY:
                what = "wait" if view.plant.is_backlogged(item) else "are lost"
                detail = f"A chance of {risk:.0%} that demand is not met in full this period: "
                detail += f"{plain(short)} units {what} on average."
                own.append(Alert(by_chance(risk), where, f"{item.id} may run short", detail))
            scrapped = float(now.scrapped[row, k])
            if scrapped > SCRAPPED * max(float(post.stock[row, k]), 1.0):
                detail = f"{plain(scrapped)} units over its limit are expected to be scrapped."
                own.append(Alert("warning", where, f"{item.id} is over its storage limit", detail))
        found.append(gravest(own))
    return found
