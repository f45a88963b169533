"""The JSON document of an inventory network: nodes, lanes, demand, and the rules that bind them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from models.core import Instance, Issue, Record, pointer
from models.inventory_network.demand_process import DemandProcess
from models.inventory_network.timeline import Timeline

Money = Annotated[float, Field(ge=0, le=1e9)]
Quantity = Annotated[float, Field(ge=0, le=1e9)]
NodeId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]

MAX_LEAD_TIME = 200
MAX_SHELF_LIFE = 200
CERTAIN = 1e-6  # how far probabilities may miss a sum of one


class Node(Record):
    """A stocking location, or a supplier with unlimited stock."""

    id: NodeId = Field(description="Identifier, unique in the network.")
    kind: Literal["supplier", "warehouse", "store"] = Field(
        description="supplier: unlimited stock; warehouse: holds stock and ships; store: meets demand."
    )
    holding_cost: Money = Field(0.0, description="h [money/unit/period], on stock at the end of the period.")
    shortage_cost: Money = Field(
        0.0,
        description="p [money/unit] of demand lost, or b [money/unit/period] of backlog, by `unmet_demand`.",
    )
    unmet_demand: Literal["lost", "backlogged", "partial"] = Field(
        "lost",
        description="What becomes of demand not met at once; partial: the share `backlog_share` waits, the rest is "
        "lost, and `shortage_cost` is then for backlog.",
    )
    backlog_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description='β, share of newly unmet demand that waits; only with `"unmet_demand": "partial"`.',
    )
    lost_sales_cost: Money = Field(
        0.0, description='Cost of demand lost [money/unit]; only with `"unmet_demand": "partial"`.'
    )
    fill_rate_target: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Least share of demand to be met from stock, on average over scenarios and reported periods; "
        "only for stores.",
    )
    price: Money = Field(0.0, description='Revenue [money/unit sold]; needs `"objective": "profit"`.')
    initial_on_hand: float = Field(
        0.0, ge=-1e9, le=1e9, description="Net inventory at the start [units]; negative is backlog."
    )
    throughput_capacity: Quantity | None = Field(None, description="Most the node ships in one period [units/period].")
    throughput_cost: Money = Field(0.0, description="Operating cost of what the node ships [money/unit].")
    storage_capacity: Quantity | None = Field(
        None,
        description="Most the node may hold or have on its way to it [units]: orders are limited so that stock on hand "
        "plus in transit never exceeds it, whatever demand does.",
    )
    shelf_life: int | None = Field(
        None,
        ge=1,
        le=MAX_SHELF_LIFE,
        description="m [periods] in which goods can be sold, the one in which they become usable included; the oldest "
        "are issued first, and what is left after the demand of the m-th is outdated: it leaves at once and pays no "
        "holding cost. Only for stores that supply no other node.",
    )
    outdate_cost: Money = Field(0.0, description="Cost of what outdates [money/unit]; needs `shelf_life`.")
    initial_expiring: list[Quantity] = Field(
        default_factory=list,
        max_length=MAX_SHELF_LIFE,
        description="Units of `initial_on_hand` that can be sold for 1, 2, … more periods, the first period included; "
        "the rest is fresh. Needs `shelf_life`.",
    )


class LeadTimes(Record):
    """How long goods may take. Every period, goods of age a arrive with P(L = a | L ≥ a), all of an age together."""

    values: list[Annotated[int, Field(ge=1, le=MAX_LEAD_TIME)]] = Field(
        min_length=1, max_length=MAX_LEAD_TIME, description="Possible lead times [periods], increasing."
    )
    probabilities: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        min_length=1, max_length=MAX_LEAD_TIME, description="Probability of each; they sum to one."
    )

    @property
    def mean(self) -> float:
        """E[L] [periods]."""
        return sum(value * p for value, p in zip(self.values, self.probabilities, strict=True))

    def hazard(self) -> list[float]:
        """P(L = a | L ≥ a) for the ages a = 1 … max L [periods]."""
        chance = dict(zip(self.values, self.probabilities, strict=True))
        left, found = sum(self.probabilities), []
        for age in range(1, self.values[-1] + 1):
            found.append(1.0 if age == self.values[-1] else chance.get(age, 0.0) / left)
            left -= chance.get(age, 0.0)
        return found


class Lane(Record):
    """A supply link: goods ordered on it leave `from` at once and reach `to` after the lead time."""

    source: NodeId = Field(alias="from", description="Supplying node.")
    target: NodeId = Field(alias="to", description="Receiving node.")
    lead_time: int = Field(ge=0, le=MAX_LEAD_TIME, description="L [periods] from order to arrival.")
    unit_cost: Money = Field(0.0, description="Procurement or freight cost [money/unit ordered].")
    in_transit_cost: Money = Field(0.0, description="Cost of goods under way [money/unit/period].")
    capacity: Quantity | None = Field(None, description="Most that can be ordered in one period [units/period].")
    fixed_order_cost: Money = Field(0.0, description="K [money/order], on any order that is not zero.")
    minimum_order: Quantity = Field(0.0, description="Least order [units]: an order is zero or at least this.")
    lot_multiple: Annotated[float, Field(gt=0, le=1e9)] | None = Field(
        None, description="An order is a whole multiple of this [units]."
    )
    random_lead_time: LeadTimes | None = Field(
        None,
        description="The lead time is random; `lead_time` is then the longest. Needs "
        '`"receipt": "before_decision"`. Nobody knows when goods under way will arrive, only how long they have been.',
    )
    initial_in_transit: list[Quantity] = Field(
        default_factory=list,
        max_length=MAX_LEAD_TIME,
        description="Already under way [units], nearest arrival first (nearest latest arrival, if lead times are "
        "random).",
    )

    @property
    def is_lumpy(self) -> bool:
        """Whether the cost or the size of an order jumps: a fixed cost, a minimum order or a lot multiple."""
        return bool(self.fixed_order_cost or self.minimum_order or self.lot_multiple)


class InventoryNetwork(Instance):
    """A supply network to be replenished every period, before demand is known."""

    problem: Literal["inventory_network"] = "inventory_network"
    periods: int = Field(ge=1, le=10_000, description="Horizon T [periods].")
    warmup_periods: int = Field(0, ge=0, description="First periods, not reported: the system settles.")
    objective: Literal["cost", "profit"] = Field("cost", description="profit counts revenue as a negative cost.")
    receipt: Literal["before_decision", "after_decision"] = Field(
        "before_decision",
        description="Whether what is due in a period can be shipped on in that period (before_decision) or joins stock "
        "after shipping and before demand (after_decision).",
    )
    horizon: Literal["finite", "rolling"] | None = Field(
        None,
        description="finite: the policy knows how many periods are left; rolling: the same policy every period. "
        "Default: rolling if there are warm-up periods, else finite.",
    )
    integer_orders: bool = Field(False, description="Orders are whole units.")
    start_date: str | None = Field(
        None, pattern=r"^\d{4}-\d{2}-\d{2}$", description="First day of period 0, YYYY-MM-DD; gives periods a calendar."
    )
    period_days: int = Field(1, ge=1, le=366, description="Length of a period [days].")
    nodes: list[Node] = Field(min_length=1, max_length=2_000)
    lanes: list[Lane] = Field(min_length=1, max_length=10_000)
    demand: DemandProcess

    @property
    def num_stages(self) -> int:
        return self.periods

    @property
    def is_rolling(self) -> bool:
        """Whether the policy is the same in every period."""
        return self.horizon == "rolling" or (self.horizon is None and self.warmup_periods > 0)

    @property
    def timeline(self) -> Timeline:
        """When the periods lie; without dates if the start date is none of the calendar's."""
        try:
            start = date.fromisoformat(self.start_date) if self.start_date else None
        except ValueError:
            start = None
        return Timeline(self.periods, self.is_rolling, start, self.period_days)

    @property
    def stocking_nodes(self) -> list[Node]:
        """Nodes that hold stock (all but suppliers), in document order."""
        return [node for node in self.nodes if node.kind != "supplier"]

    @property
    def demand_nodes(self) -> list[str]:
        """Ids of the nodes with demand, in document order."""
        return [node.id for node in self.nodes if node.id in self.demand.node_ids]

    def rules(self) -> Iterator[Issue]:
        yield from _period_rules(self)
        yield from _node_rules(self)
        yield from _store_rules(self)
        yield from _lane_rules(self)
        yield from _order_size_rules(self)
        known = {node.id: node for node in self.nodes}
        if all(lane.source in known and lane.target in known for lane in self.lanes):
            yield from _graph_rules(self)
        yield from _demand_rules(self)


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
        multiple = lot_of(net, lane)
        for name in ("minimum_order", "lot_multiple"):
            size = getattr(lane, name)
            if net.integer_orders and size and not float(size).is_integer():
                yield _error("integer", "orders are whole units: must be a whole number", "lanes", index, name)
        if multiple and not _is_multiple(lane.minimum_order, multiple):
            detail = f"must be a multiple of the lot ({multiple:g})"
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


def lot_of(net: InventoryNetwork, lane: Lane) -> float:
    """What an order on a lane must be a whole multiple of [units]; 0 where any size goes."""
    return lane.lot_multiple or (1.0 if net.integer_orders else 0.0)


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


def state_slots(lead_time: int, receipt: str) -> int:
    """How many different arrival periods goods on a lane can have when a decision is taken.

    Goods due now have joined stock already if `receipt` is before_decision, else they are still under way.
    """
    return max(lead_time - 1, 0) if receipt == "before_decision" else lead_time


def topological_order(net: InventoryNetwork) -> list[str] | None:
    """Node ids, suppliers first, every lane pointing forward; None if the lanes form a cycle (Kahn)."""
    incoming = {node.id: 0 for node in net.nodes}
    downstream: dict[str, list[str]] = {node.id: [] for node in net.nodes}
    for lane in net.lanes:
        incoming[lane.target] += 1
        downstream[lane.source].append(lane.target)
    ready = [node.id for node in net.nodes if incoming[node.id] == 0]
    order: list[str] = []
    while ready:
        current = ready.pop(0)
        order.append(current)
        for target in downstream[current]:
            incoming[target] -= 1
            if incoming[target] == 0:
                ready.append(target)
    return order if len(order) == len(net.nodes) else None
