"""One scenario of an inventory network in plain Python, batch of goods by batch of goods: the dynamics told a second
time, without tensors, to hold the simulator against."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from models.inventory_network.instance import InventoryNetwork, Lane, LeadTimes, Node
from models.inventory_network.ordering import NOTHING

ENDLESS = 10**9  # remaining life of goods that do not perish [periods]
Ends = tuple[str, str]


class PlainNetwork:
    """Goods on hand as batches [remaining life, units], oldest first; backlogs; goods under way by (latest) arrival."""

    def __init__(self, net: InventoryNetwork) -> None:
        self.net = net
        self.nodes: dict[str, Node] = {node.id: node for node in net.nodes}
        self.lanes: dict[Ends, Lane] = {(lane.source, lane.target): lane for lane in net.lanes}
        self.batches: dict[str, list[list[float]]] = {}
        self.backlog: dict[str, float] = {}
        for node in net.stocking_nodes:
            life = node.shelf_life or ENDLESS
            old = [[age + 1, units] for age, units in enumerate(node.initial_expiring)]
            fresh = max(node.initial_on_hand, 0.0) - sum(node.initial_expiring)
            self.batches[node.id] = [*old, [life, fresh]]
            self.backlog[node.id] = max(-node.initial_on_hand, 0.0)
        first = 1 if net.receipt == "before_decision" else 0
        self.under_way: dict[Ends, dict[int, float]] = {
            ends: {first + k: units for k, units in enumerate(lane.initial_in_transit)}
            for ends, lane in self.lanes.items()
        }

    def on_hand(self, node_id: str) -> float:
        return sum(units for _, units in self.batches[node_id])

    def net_inventory(self, node_id: str) -> float:
        return self.on_hand(node_id) - self.backlog[node_id]

    def lasting(self, node_id: str, periods: int) -> float:
        """Units on hand that can be sold for at most so many periods more."""
        return sum(units for life, units in self.batches[node_id] if life <= periods)

    def period(
        self, orders: Mapping[Ends, float], demand: Mapping[str, float], uniforms: Mapping[Ends, float]
    ) -> dict[str, float]:
        """One period; what it costs, by component."""
        self.costs: dict[str, float] = defaultdict(float)
        self._send(orders)
        for node_id, asked in demand.items():
            self._sell(self.nodes[node_id], asked)
        for node in self.net.stocking_nodes:
            self._grow_old(node)
            self.costs["holding"] += node.holding_cost * self.on_hand(node.id)
        self._move_on(uniforms)
        return dict(self.costs)

    def _send(self, orders: Mapping[Ends, float]) -> None:
        for ends, units in orders.items():
            lane = self.lanes[ends]
            if lane.source in self.batches:
                self._take(lane.source, units)
            self.under_way[ends][lane.lead_time] = self.under_way[ends].get(lane.lead_time, 0.0) + units
            self.costs["procurement"] += lane.unit_cost * units
            self.costs["throughput"] += self.nodes[lane.source].throughput_cost * units
            self.costs["fixed_order"] += lane.fixed_order_cost if units > NOTHING else 0.0
        for ends, goods in self.under_way.items():
            self._receive(ends[1], goods.pop(0, 0.0), "backlog_revenue")
            self.costs["in_transit"] += self.lanes[ends].in_transit_cost * sum(goods.values())

    def _take(self, node_id: str, units: float) -> float:
        """Issue up to `units`, oldest first; what was issued."""
        issued = 0.0
        for batch in self.batches[node_id]:
            part = min(batch[1], units - issued)
            batch[1] -= part
            issued += part
        return issued

    def _receive(self, node_id: str, units: float, earning: str) -> None:
        """Goods serve who waits; the rest goes on the shelf, fresh."""
        node = self.nodes[node_id]
        served = min(units, self.backlog[node_id])
        self.backlog[node_id] -= served
        self.costs[earning] -= node.price * served
        self.batches[node_id].append([node.shelf_life or ENDLESS, units - served])

    def _sell(self, node: Node, asked: float) -> None:
        sold = self._take(node.id, asked)
        unmet = asked - sold
        self.costs["revenue"] -= node.price * sold
        if node.unmet_demand == "lost":
            self.costs["shortage"] += node.shortage_cost * unmet
            return
        waiting = 1.0 if node.unmet_demand == "backlogged" else node.backlog_share or 0.0
        self.backlog[node.id] += waiting * unmet
        self.costs["lost_sales"] += node.lost_sales_cost * (1 - waiting) * unmet
        self.costs["shortage"] += node.shortage_cost * self.backlog[node.id]

    def _grow_old(self, node: Node) -> None:
        if node.shelf_life is None:
            return
        aged = [[life - 1, units] for life, units in self.batches[node.id]]
        self.costs["outdate"] += node.outdate_cost * sum(units for life, units in aged if life == 0)
        self.batches[node.id] = [batch for batch in aged if batch[0] > 0]

    def _move_on(self, uniforms: Mapping[Ends, float]) -> None:
        if self.net.receipt == "after_decision":
            self.under_way = {ends: _nearer(goods) for ends, goods in self.under_way.items()}
            return
        for ends, goods in self.under_way.items():
            lane = self.lanes[ends]
            for arrival in sorted(goods):
                by_chance = lane.random_lead_time is not None and uniforms[ends] < _hazard(
                    lane.random_lead_time, lane.lead_time - arrival + 1
                )
                if arrival == 1 or by_chance:
                    self._receive(ends[1], goods.pop(arrival), "revenue")
            self.under_way[ends] = _nearer(goods)


def _nearer(goods: Mapping[int, float]) -> dict[int, float]:
    return {arrival - 1: units for arrival, units in goods.items()}


def _hazard(times: LeadTimes, age: int) -> float:
    """P(L = a | L ≥ a)."""
    pairs: Sequence[tuple[int, float]] = list(zip(times.values, times.probabilities, strict=True))
    left = sum(chance for value, chance in pairs if value >= age)
    return sum(chance for value, chance in pairs if value == age) / left
