"""The JSON document of an inventory network: nodes, lanes, demand. The rules that bind them are in `network_rules`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from models.core import Instance, Issue, Record
from models.inventory_network.demand.process import DemandProcess
from models.inventory_network.demand.timeline import Timeline

Money = Annotated[float, Field(ge=0, le=1e9)]
Quantity = Annotated[float, Field(ge=0, le=1e9)]
NodeId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]

MAX_LEAD_TIME = 200
MAX_SHELF_LIFE = 200


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
        from models.inventory_network.network_rules import network_rules  # which reads this file's records

        yield from network_rules(self)


def lot_of(net: InventoryNetwork, lane: Lane) -> float:
    """What an order on a lane must be a whole multiple of [units]; 0 where any size goes."""
    return lane.lot_multiple or (1.0 if net.integer_orders else 0.0)


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
