"""The coming periods of a network under a policy: what arrives, what will be ordered, how stock goes; and alerts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from models.core import pointer
from models.course import Alert, Course, by_chance, gravest, projected, stacked
from models.figures import Figure, Series, largest, shown
from models.inventory_network.layout import Floats
from models.view import plain

if TYPE_CHECKING:
    from torch import Tensor

    from models.inventory_network.simulator import NetworkState, Orders
    from models.inventory_network.view import NetworkView

STAGES = 14  # coming periods drawn
MOST_STACKED = 8  # nodes with a colour of their own in a stack
FULL = 0.95  # share of a storage capacity from which a node counts as nearly full


def figures(view: NetworkView, course: Course) -> list[Figure]:
    """Arrivals, projected orders and projected stock."""
    return [_arrivals(view, course), _orders(view, course), *_stock(view, course)]


def _axis(view: NetworkView, periods: list[int]) -> tuple[tuple[float | str, ...], str]:
    if view.start is None:
        return tuple(periods), "period"
    return tuple(view.day(period) for period in periods), "first day of the period"


def _arrivals(view: NetworkView, course: Course) -> Figure:
    """What reaches every node in the coming periods: what is under way, and what is ordered now."""
    lay = view.layout
    state, decision, stage = course.expected[0]
    ahead = int(lay.lead_time.max()) + 1
    under_way, ordered = np.zeros((lay.num_stocking, ahead)), np.zeros((lay.num_stocking, ahead))
    np.add.at(under_way, (lay.target[lay.slot_lane], lay.slot_arrival), state.pipeline[0].numpy())
    np.add.at(ordered, (lay.target, lay.lead_time), view.quantities(state, decision, stage)[0])
    names = [node.id for node in lay.nodes[: lay.num_stocking]]
    lines = tuple(
        line
        for word, rows in (("under way", under_way), ("ordered now", ordered))
        for line in stacked(
            [f"{name}, {word}" for name in names],
            rows.tolist(),
            MOST_STACKED,
            f"other nodes, {word}",
            mark="bar",
            stack="arrivals",
            group=word,
        )
    )
    latest = any(lane.random_lead_time is not None for lane in lay.lanes)
    when = "when at the latest" if latest else "when"
    caption = f"What arrives where, and {when}: goods under way, and the orders of today."
    x, title = _axis(view, [int(stage[0]) + k for k in range(ahead)])
    return Series("arrivals", "Arrivals", caption, x=x, x_title=title, unit="units", lines=lines)


def _orders(view: NetworkView, course: Course) -> Figure:
    """What would be ordered into every node, period by period."""
    lay = view.layout
    rows = np.zeros((lay.num_stocking, len(course.expected)))
    for k, (state, decision, stage) in enumerate(course.expected):
        np.add.at(rows[:, k], lay.target, view.quantities(state, decision, stage)[0])
    names = [node.id for node in lay.nodes[: lay.num_stocking]]
    lines = stacked(names, rows.tolist(), MOST_STACKED, "other nodes", mark="bar", stack="orders")
    caption = "What would be ordered into every node if demand were as expected; today's orders come first."
    x, title = _axis(view, course.stages)
    return Series("orders", "Orders to come", caption, x=x, x_title=title, unit="units", lines=lines)


def _stock(view: NetworkView, course: Course) -> Iterator[Figure]:
    lay = view.layout
    nodes = largest(range(lay.num_stocking), lay.flow[: lay.num_stocking].tolist())
    x, title = _axis(view, course.stages)
    caption = "Stock less backlog at the start of every period under this policy."
    if course.sampled is not None:
        caption = "Stock less backlog at the start of every period: half of all scenarios lie in the inner band."
    caption = shown(caption, len(nodes), lay.num_stocking, "nodes with the largest flow")
    for k in nodes:
        node = lay.nodes[k]
        limits = [] if node.storage_capacity is None else [("capacity", node.storage_capacity)]
        yield projected(
            f"stock/{node.id}",
            f"Stock at {node.id}",
            caption,
            *course.states("net_inventory", k),
            x,
            x_title=title,
            unit="units",
            group="stock",
            limits=limits,
        )


def alerts(view: NetworkView, state: NetworkState, decision: Orders, stage: Tensor) -> list[list[Alert]]:
    """Per row: stock-out risk before the next arrival, backlog, goods about to outdate, nodes nearly full."""
    ordered = view.quantities(state, decision, stage)
    return [gravest(list(_row(view, state, ordered[k], k, int(stage[k])))) for k in range(state.batch)]


def _row(view: NetworkView, state: NetworkState, ordered: Floats, row: int, stage: int) -> Iterator[Alert]:
    lay = view.layout
    stock, pipeline = state.net_inventory[row].numpy(), state.pipeline[row].numpy()
    for k, node in enumerate(lay.nodes[: lay.num_demand]):
        if stock[k] < 0:
            detail = f"{plain(-stock[k])} units are owed and will be served first."
            yield Alert("warning", pointer("on_hand", node.id), f"{node.id} owes customers", detail)
        yield from _risk(view, k, float(stock[k]), pipeline, ordered, stage)
        yield from _outdating(view, k, state.aging[row].numpy(), stage)
    coming = np.bincount(lay.target, ordered, lay.num_stocking).astype(np.float64)
    np.add.at(coming, lay.target[lay.slot_lane], pipeline)
    for k, node in enumerate(lay.nodes[: lay.num_stocking]):
        held = float(stock[k] + coming[k])
        if node.storage_capacity is not None and held >= FULL * node.storage_capacity:
            detail = f"{plain(held)} of {plain(node.storage_capacity)} units are in stock or on the way."
            yield Alert("info", pointer("on_hand", node.id), f"{node.id} is nearly full", detail)


def _risk(view: NetworkView, k: int, stock: float, pipeline: Floats, ordered: Floats, stage: int) -> Iterator[Alert]:
    """Chance that a store runs out before an order of today can arrive, by the normal approximation."""
    lay = view.layout
    lanes = np.flatnonzero(lay.target == k)
    wait = int(lay.lead_time[lanes].min())
    own = lay.target[lay.slot_lane] == k
    mean, std = view.moments(np.arange(stage, stage + max(wait, 1)))
    worst, at = 0.0, 0
    for ahead in range(max(wait, 1)):
        there = stock + pipeline[own & (lay.slot_arrival <= ahead)].sum()
        there += ordered[lanes[lay.lead_time[lanes] <= ahead]].sum()
        expected = float(mean[: ahead + 1, k].sum())
        spread = math.sqrt(float((std[: ahead + 1, k] ** 2).sum()))
        short = 0.5 * math.erfc((there - expected) / (spread * math.sqrt(2))) if spread else float(there < expected)
        if short > worst:
            worst, at = short, ahead
    if by_chance(worst) == "info":
        return
    when = "this period" if at == 0 else f"within {at + 1} periods"
    name, detail = lay.nodes[k].id, f"A chance of {worst:.0%} to run out {when}: {plain(stock)} units are in stock."
    if wait:
        periods = "1 period" if wait == 1 else f"{wait} periods"
        detail += f" What is ordered today comes in {periods} at the earliest."
    yield Alert(by_chance(worst), pointer("on_hand", name), f"{name} may run out", detail)


def _outdating(view: NetworkView, k: int, aging: Floats, stage: int) -> Iterator[Alert]:
    name = view.layout.nodes[k].id
    place = view.places.aging.get(name)
    if place is None or place.stop == place.start:
        return
    last = float(aging[place.start])
    expected = float(view.moments(np.arange(stage, stage + 1))[0][0, k])
    if last > expected:
        detail = f"{plain(last)} units can be sold in this period only; {plain(expected)} are expected to be asked for."
        yield Alert("warning", pointer("expiring", name), f"Goods at {name} are about to outdate", detail)
