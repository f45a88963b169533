"""The rules that bind a network's fields to each other: every issue names its field."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from models.core import Issue, pointer
from models.inventory_network.instance import InventoryNetwork, Lane, Node, state_slots, topological_order

CERTAIN = 1e-6  # how far probabilities may miss a sum of one


def network_rules(net: InventoryNetwork) -> Iterator[Issue]:
    """Every rule the network breaks or strains."""
    yield from _period_rules(net)
    yield from _node_rules(net)
    yield from _store_rules(net)
    yield from _lane_rules(net)
    yield from _order_size_rules(net)
    known = {node.id for node in net.nodes}
    if all(lane.source in known and lane.target in known for lane in net.lanes):
        yield from _graph_rules(net)
    yield from _demand_rules(net)


def _error(code: str, detail: str, *where: str | int) -> Issue:
    return Issue(code, "error", pointer(*where), detail)


def _period_rules(net: InventoryNetwork) -> Iterator[Issue]:
    if net.warmup_periods >= net.periods:
        yield _error("warmup", f"must be less than periods ({net.periods})", "warmup_periods")
    if net.objective == "profit" and not any(node.price > 0 for node in net.nodes):
        yield _error("objective", "profit needs a node with a price", "objective")
    if net.start_date is not None:
        try:
            date.fromisoformat(net.start_date)
        except ValueError:
            yield _error("date", "the calendar has no such day", "start_date")


def _node_rules(net: InventoryNetwork) -> Iterator[Issue]:
    seen: set[str] = set()
    for index, node in enumerate(net.nodes):
        if node.id in seen:
            yield _error("duplicate", f"node id {node.id!r} is used twice", "nodes", index, "id")
        seen.add(node.id)
        if node.price > 0 and net.objective == "cost":
            yield _error("price", 'a price needs "objective": "profit"', "nodes", index, "price")
        if node.kind == "supplier":
            for name in ("holding_cost", "shortage_cost", "price", "initial_on_hand", "storage_capacity"):
                if getattr(node, name) not in (0.0, None):
                    yield _error("supplier", "a supplier has unlimited stock and no demand", "nodes", index, name)
        if node.storage_capacity is not None and _position(net, node) > node.storage_capacity:
            detail = f"stock on hand and in transit is above the storage capacity ({node.storage_capacity:g})"
            yield _error("storage", detail, "nodes", index, "initial_on_hand")
        if node.initial_on_hand < 0 and (node.unmet_demand == "lost" or node.id not in net.demand.node_ids):
            yield _error(
                "backlog", "only a node with backlogged demand starts negative", "nodes", index, "initial_on_hand"
            )


def _store_rules(net: InventoryNetwork) -> Iterator[Issue]:
    """Rules of partial backlogging, service targets and shelf lives."""
    supplying = {lane.source for lane in net.lanes}
    for index, node in enumerate(net.nodes):
        partial = node.unmet_demand == "partial"
        if partial and node.backlog_share is None:
            yield _error("partial", "partial backlogging needs a share that waits", "nodes", index, "backlog_share")
        for name in ("backlog_share", "lost_sales_cost"):
            if getattr(node, name) and not partial:
                yield _error("partial", 'needs "unmet_demand": "partial"', "nodes", index, name)
        for name in ("fill_rate_target", "shelf_life"):
            if getattr(node, name) is not None and node.kind != "store":
                yield _error("store", "only a store can have it", "nodes", index, name)
        if node.shelf_life is None:
            for name in ("outdate_cost", "initial_expiring"):
                if getattr(node, name):
                    yield _error("shelf_life", "needs a shelf life", "nodes", index, name)
        else:
            if node.id in supplying:
                yield _error("shelf_life", "a node that supplies others cannot", "nodes", index, "shelf_life")
            yield from _expiring_rules(node, node.shelf_life, index)


def _expiring_rules(node: Node, shelf_life: int, index: int) -> Iterator[Issue]:
    where = ("nodes", index, "initial_expiring")
    if len(node.initial_expiring) >= shelf_life and node.initial_expiring:
        yield _error("shelf_life", f"at most {shelf_life - 1} ages are older than fresh", *where)
    if sum(node.initial_expiring) > max(node.initial_on_hand, 0.0) + 1e-9:
        yield _error("shelf_life", f"more than is on hand ({node.initial_on_hand:g})", *where)


def _position(net: InventoryNetwork, node: Node) -> float:
    under_way = sum(sum(lane.initial_in_transit) for lane in net.lanes if lane.target == node.id)
    return node.initial_on_hand + under_way


def _lane_rules(net: InventoryNetwork) -> Iterator[Issue]:
    known = {node.id: node for node in net.nodes}
    seen: set[tuple[str, str]] = set()
    for index, lane in enumerate(net.lanes):
        for end, name in ((lane.source, "from"), (lane.target, "to")):
            if end not in known:
                yield _error("unknown_node", f"no node has the id {end!r}", "lanes", index, name)
        if lane.target in known and known[lane.target].kind == "supplier":
            yield _error("supplier", "a supplier receives nothing", "lanes", index, "to")
        if (lane.source, lane.target) in seen:
            yield _error("duplicate", f"a second lane from {lane.source!r} to {lane.target!r}", "lanes", index)
        seen.add((lane.source, lane.target))
        if lane.lead_time > net.periods:
            yield _error("lead_time", f"longer than the horizon ({net.periods} periods)", "lanes", index, "lead_time")
        slots = state_slots(lane.lead_time, net.receipt)
        if len(lane.initial_in_transit) > slots:
            detail = f"at most {slots} quantities can be under way on this lane"
            yield _error("in_transit", detail, "lanes", index, "initial_in_transit")

        yield from _random_lead_time_rules(net, lane, index)


def _random_lead_time_rules(net: InventoryNetwork, lane: Lane, index: int) -> Iterator[Issue]:
    times, where = lane.random_lead_time, ("lanes", index, "random_lead_time")
    if times is None:
        return
    if net.receipt != "before_decision":
        yield _error("random_lead_time", 'needs "receipt": "before_decision"', *where)
    if len(times.values) != len(times.probabilities):
        yield _error("length", f"needs one for each of the {len(times.values)} values", *where, "probabilities")
        return
    if sorted(set(times.values)) != times.values:
        yield _error("order", "must increase", *where, "values")
    if abs(sum(times.probabilities) - 1.0) > CERTAIN:
        yield _error("probability", f"sum to {sum(times.probabilities):.6g}, not to one", *where, "probabilities")
    if max(times.values) != lane.lead_time:
        detail = f"must be the longest possible lead time ({max(times.values)})"
        yield _error("lead_time", detail, "lanes", index, "lead_time")


def _order_size_rules(net: InventoryNetwork) -> Iterator[Issue]:
    """Rules of minimum orders and lot multiples: they must fit each other, and something must be orderable."""
    known = {node.id: node for node in net.nodes}
    for index, lane in enumerate(net.lanes):
        for name in ("minimum_order", "lot_multiple"):
            size = getattr(lane, name)
            if net.integer_orders and size and not float(size).is_integer():
                yield _error("integer", "orders are whole units: must be a whole number", "lanes", index, name)
        if lane.lot_multiple and not _is_multiple(lane.minimum_order, lane.lot_multiple):
            detail = f"must be a multiple of the lot ({lane.lot_multiple:g})"
            yield _error("minimum_order", detail, "lanes", index, "minimum_order")
        name = "minimum_order" if lane.minimum_order else "lot_multiple"
        least = max(lane.minimum_order, lane.lot_multiple or 0.0)
        ends = known.get(lane.source), known.get(lane.target)
        limits = (
            ("the lane's capacity", lane.capacity),
            ("what the supplying node may ship", ends[0].throughput_capacity if ends[0] else None),
            ("what the receiving node may hold", ends[1].storage_capacity if ends[1] else None),
        )
        for what, limit in limits:
            if limit is not None and least > limit:
                yield _error(name, f"is above {what} ({limit:g}): nothing could be ordered", "lanes", index, name)


def _is_multiple(size: float, lot: float) -> bool:
    return abs(size / lot - round(size / lot)) <= 1e-9 * max(1.0, size / lot)


def _graph_rules(net: InventoryNetwork) -> Iterator[Issue]:
    order = topological_order(net)
    if order is None:
        yield _error("cycle", "the lanes form a cycle; goods must flow one way", "lanes")
    supplied = {node.id for node in net.nodes if node.kind == "supplier"}
    frontier = list(supplied)
    downstream: dict[str, list[str]] = {}
    for lane in net.lanes:
        downstream.setdefault(lane.source, []).append(lane.target)
    while frontier:
        for target in downstream.get(frontier.pop(), []):
            if target not in supplied:
                supplied.add(target)
                frontier.append(target)
    for index, node in enumerate(net.nodes):
        if node.id not in supplied:
            yield _error("unreachable", f"no lane from a supplier reaches {node.id!r}", "nodes", index)


def _demand_rules(net: InventoryNetwork) -> Iterator[Issue]:
    known = {node.id: node for node in net.nodes}
    yield from net.demand.rules(("demand",), net.timeline)
    for node_id in net.demand.node_ids:
        where = ("demand", "nodes", net.demand.place(node_id))
        if node_id not in known:
            yield _error("unknown_node", f"no node has the id {node_id!r}", *where)
        elif known[node_id].kind != "store":
            yield _error("demand", "only a store has demand", *where)
    for index, node in enumerate(net.nodes):
        if node.kind == "store" and node.id not in net.demand.node_ids:
            yield _error("demand", f"store {node.id!r} has no demand", "nodes", index)
