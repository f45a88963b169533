"""What exact methods read of a network: whether it settles, who supplies whom, and what a unit costs on its way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models.core import BoundValue
from models.inventory_network.exact import stationary
from models.inventory_network.exact.grid import StopLoss
from models.inventory_network.exact.store import Optimum, OrderRule, lost_sales_size
from models.inventory_network.instance import InventoryNetwork, Lane, Node, topological_order

ShouldStop = Callable[[], bool]
FINE = 200  # grid steps in a standard deviation of demand where nothing but convolutions is done
STEPS = (20.0, 12.0, 8.0, 6.0, 5.0, 4.0, 3.0, 2.5, 2.0, 1.75, 1.5, 1.25, 1.0)  # the same for lost sales, finest first
LONG_RUN = "the average per period in the long run, for policies that are the same every period"


def long_run_refuses(net: InventoryNetwork) -> str | None:
    """Why the reported cost is no long-run average of a stationary system; None if it is."""
    if not net.is_rolling:
        return "the horizon is finite: at its end stock is worth nothing, so a period costs less than in the long run"
    longest = longest_path(net)
    if net.warmup_periods < longest:
        return (
            f"the first reported period comes before an order can go all the way ({longest} periods): "
            "the initial stock is part of the reported cost"
        )
    return stationary.refuses(net.demand)


def longest_path(net: InventoryNetwork) -> int:
    """Most periods that goods take from a supplier to a store."""
    reach = {node.id: 0 for node in net.nodes}
    for node_id in topological_order(net) or []:
        for lane in net.lanes:
            if lane.source == node_id:
                reach[lane.target] = max(reach[lane.target], reach[node_id] + max(lane.lead_time, 1))
    return max(reach.values())


def by_id(net: InventoryNetwork) -> dict[str, Node]:
    """Nodes by id."""
    return {node.id: node for node in net.nodes}


def into(net: InventoryNetwork, node_id: str) -> list[Lane]:
    """Lanes into a node."""
    return [lane for lane in net.lanes if lane.target == node_id]


def out_of(net: InventoryNetwork, node_id: str) -> list[Lane]:
    """Lanes out of a node."""
    return [lane for lane in net.lanes if lane.source == node_id]


def stores_of(net: InventoryNetwork) -> list[Node]:
    """The stores, in document order."""
    return [node for node in net.nodes if node.kind == "store"]


def flow_cost(net: InventoryNetwork, lane: Lane) -> float:
    """What a unit costs on its way over a lane [money/unit]: ordered, handled, in transit."""
    length = lane.random_lead_time.mean if lane.random_lead_time else lane.lead_time
    return lane.unit_cost + by_id(net)[lane.source].throughput_cost + length * lane.in_transit_cost


def upstream(net: InventoryNetwork, node: Node, lane: Lane) -> tuple[int, float]:
    """A warehouse's lead time as if receipts could be shipped on at once, and what the wait costs [money/unit].

    Goods that join stock after shipping wait a period, and pay for it, before they can go on.
    """
    waits = net.receipt == "after_decision" or lane.lead_time == 0
    return lane.lead_time + waits, node.holding_cost * waits


def store_refuses(node: Node) -> str | None:
    """Why a store's own dynamics have no method; None if they have."""
    if node.unmet_demand == "partial":
        return f"{node.id}: demand that waits only in part has no method here"
    if node.shelf_life is not None:
        return f"{node.id}: stock that outdates has no method here"
    return None


def lane_limits(net: InventoryNetwork, lane: Lane) -> float | None:
    """Most that can be ordered on a lane in a period if it is the only one of its source [units]."""
    limits = [limit for limit in (lane.capacity, by_id(net)[lane.source].throughput_capacity) if limit is not None]
    return min(limits, default=None)


def mean_demand(net: InventoryNetwork, node_id: str) -> float:
    """Mean demand of a store [units/period]."""
    return stationary.of_store(net.demand, node_id).mean


def deviation(demand: StopLoss) -> float:
    """Standard deviation of demand [units/period]; of demand that never varies, a hundredth of it."""
    return max(demand.spread(max(demand.top, 1e-9) / 1000).std, demand.top / 100, 1e-9)


def quick_step(demand: StopLoss, lead_time: int, holding: float, loss: float, limit: float) -> float | None:
    """The finest grid step [units] on which an iteration for lost sales keeps within `limit` products; None if none."""
    std = deviation(demand)
    for steps in STEPS:
        step = std / steps
        if lost_sales_size(demand.spread(step), lead_time, holding, loss, OrderRule()).work <= limit:
            return step
    return None


def bound_value(found: Optimum, constant: float, method: str, **details: object) -> BoundValue:
    """A bound with what it rests on."""
    words: dict[str, object] = {"method": method, "meaning": LONG_RUN, **details}
    if np.isfinite(found.high):
        words["optimum_at_most"] = round(found.high + constant, 6)
    if found.levels:
        words["levels"] = {name: round(level, 4) for name, level in found.levels.items()}
    if constant:
        words["flow_cost"] = round(constant, 6)
    return BoundValue(found.low + constant, 0.0, words)


def ignored(net: InventoryNetwork) -> list[str]:
    """Restrictions that relaxations do not see; they can only make the network dearer."""
    found = []
    if any(lane.is_lumpy for lane in net.lanes):
        found.append("fixed order costs, minimum orders and lots")
    if any(lane.capacity is not None for lane in net.lanes) or any(
        limit is not None for node in net.nodes for limit in (node.throughput_capacity, node.storage_capacity)
    ):
        found.append("capacities")
    if any(node.fill_rate_target for node in net.nodes):
        found.append("fill-rate targets")
    if any(lane.random_lead_time for lane in net.lanes):
        found.append("that lead times may be longer than the shortest")
    return found


def never() -> bool:
    """Asked whether to stop: no."""
    return False


def star_refuses(net: InventoryNetwork) -> str | None:
    """Why the network is not one warehouse with stores of its own; None if it is."""
    reason = "needs one warehouse that alone supplies two or more stores, and has one supplier"
    stores, stocking = stores_of(net), net.stocking_nodes
    if len(stocking) != len(stores) + 1 or len(stores) < 2 or any(len(into(net, n.id)) != 1 for n in stocking):
        return reason
    warehouse = next(node for node in stocking if node.kind != "store")
    return reason if any(into(net, store.id)[0].source != warehouse.id for store in stores) else None
