"""Why an order is what it is, in sentences a planner can check: position, cover, risk, limits, sensitivity."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.inventory_network.instance import InventoryNetwork, Lane, Node
from models.inventory_network.layout import Ints, Layout
from models.view import plain

Floats = npt.NDArray[np.float64]
Moments = Callable[[Ints], tuple[Floats, Floats]]
"""Mean and standard deviation (stage, store) of demand in the stages asked for, stores in internal order."""


@dataclass(frozen=True)
class Situation:
    """One state with its decision; N stocking nodes, E lanes."""

    stage: int
    stock: Floats  # (N,) net inventory [units]
    under_way: Floats  # (N,) on its way to each node [units]
    expiring: dict[str, float]  # perishable store → units that can be sold in this period only
    orders: Floats  # (E,) [units]
    sensitivity: Floats | None = None  # (N,) change of what is ordered into a node for one unit more in its stock


def levels(lay: Layout, stock: Floats, under_way: Floats, orders: Floats) -> list[dict[str, str | float]]:
    """Position of every stocking node before ordering, and the level it is ordered up to now [units]."""
    ordered = np.zeros(lay.num_stocking)
    np.add.at(ordered, lay.target, orders)
    position = stock + under_way
    rows = zip(lay.nodes[: lay.num_stocking], position.tolist(), (position + ordered).tolist(), strict=True)
    return [{"node": n.id, "position": round(p, 4), "order_up_to": round(s, 4)} for n, p, s in rows]


class Explainer:
    """Sentences for one network."""

    def __init__(self, net: InventoryNetwork, lay: Layout, moments: Moments) -> None:
        self.net, self.lay, self.moments = net, lay, moments
        self.into = [np.flatnonzero(lay.target == k) for k in range(lay.num_stocking)]

    def sentences(self, now: Situation) -> list[str]:
        """First every node's position and what it faces, then what shapes orders on lanes with rules of their own."""
        found = [self._node(k, node, now) for k, node in enumerate(self.lay.nodes[: self.lay.num_stocking])]
        found += [self._lane(lane, float(now.orders[k])) for k, lane in enumerate(self.lay.lanes) if _has_rules(lane)]
        return found

    def _node(self, k: int, node: Node, now: Situation) -> str:
        stock, coming = float(now.stock[k]), float(now.under_way[k])
        ordered, lead = float(now.orders[self.into[k]].sum()), int(self.lay.lead_time[self.into[k]].max())
        position = stock + coming + ordered
        held = f"holds {plain(stock)}" if stock >= 0 else f"owes {plain(-stock)}"
        parts = [
            f"{node.id} {held} and has {plain(coming)} on the way; with {plain(ordered)} ordered now its position "
        ]
        flow = float(self.lay.flow[k])
        cover = position / flow if flow > 0 else 0.0
        parts.append(f"is {plain(position)} and covers {cover:.1f} periods of mean demand ({plain(flow)} a period)")
        parts.append(f"; an order takes up to {_periods(lead)} to arrive" if lead else "; an order arrives at once")
        if k < self.lay.num_demand:
            parts.append(self._until_arrival(k, lead, position, now.stage))
        if now.expiring.get(node.id, 0.0) > 0:
            parts.append(f"; {plain(now.expiring[node.id])} of its stock can be sold in this period only")
        if now.sensitivity is not None:
            parts.append(f"; with one unit more in stock, {_change(float(now.sensitivity[k]))} would be ordered")
        return "".join(parts) + "."

    def _until_arrival(self, k: int, lead: int, position: float, stage: int) -> str:
        """Demand until an order placed next period can have arrived, against the position."""
        mean, std = self.moments(np.arange(stage, stage + lead + 1))
        expected, spread = float(mean[:, k].sum()), math.sqrt(float((std[:, k] ** 2).sum()))
        words = f", and demand until the one after it can arrive is {plain(expected)} ± {plain(spread)}"
        if spread == 0:
            return words
        # The normal approximation of demand over the lead time: what planners' safety stocks rest on.
        short = 0.5 * math.erfc((position - expected) / (spread * math.sqrt(2)))
        return f"{words}: a shortage by then has a chance of about {_percent(short)}"

    def _lane(self, lane: Lane, ordered: float) -> str:
        rules = []
        if lane.fixed_order_cost:
            rules.append(f"an order costs {plain(lane.fixed_order_cost)} whatever its size")
        if lane.minimum_order:
            rules.append(f"an order is at least {plain(lane.minimum_order)}")
        if lane.lot_multiple:
            rules.append(f"an order is a multiple of {plain(lane.lot_multiple)}")
        if lane.random_lead_time is not None:
            times = lane.random_lead_time
            rules.append(f"goods take {times.values[0]} to {times.values[-1]} periods, {plain(times.mean)} on average")
        what = f"{plain(ordered)} ordered now" if ordered > 0 else "nothing ordered now"
        return f"{lane.source} to {lane.target}, {what}: {', '.join(rules)}."


def _has_rules(lane: Lane) -> bool:
    return lane.is_lumpy or lane.random_lead_time is not None


def _periods(count: int) -> str:
    return "1 period" if count == 1 else f"{count} periods"


def _change(units: float) -> str:
    if abs(units) < 0.005:
        return "as much"
    return f"{abs(units):.2f} {'less' if units < 0 else 'more'}"


def _percent(share: float) -> str:
    return "under 0.1 %" if share < 1e-3 else "over 99.9 %" if share > 0.999 else f"{100 * share:.2g} %"
