"""The optimum of one store, or of locations in series: does the network fit, and what does the best policy cost."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.core import BoundValue
from models.inventory_network.exact import stationary
from models.inventory_network.exact.grid import Floats, Grid, StopLoss, linear_cost
from models.inventory_network.exact.network import Echelon, serial_line
from models.inventory_network.exact.reading import (
    FINE,
    ShouldStop,
    bound_value,
    by_id,
    deviation,
    flow_cost,
    into,
    lane_limits,
    long_run_refuses,
    out_of,
    quick_step,
    store_refuses,
    stores_of,
    upstream,
)
from models.inventory_network.exact.store import (
    WORK_LIMIT,
    Ints,
    Optimum,
    OrderRule,
    backlogged,
    lead_time_demand,
    lost_sales,
    lost_sales_size,
    newsvendor,
    reorder_policy,
)
from models.inventory_network.instance import InventoryNetwork, Lane, Node

MOST_STEPS = 600  # grid steps up to the largest demand for iterations over positions
LUMPY = 20  # grid steps in a standard deviation of demand for iterations over positions


@dataclass(frozen=True)
class _Single:
    """A store fed by one supplier: what its exact methods need."""

    node: Node
    lane: Lane
    demand: StopLoss
    flow_cost: float  # path cost less price [money/unit sold]
    most: float | None  # [units] largest order

    @property
    def is_lumpy(self) -> bool:
        return self.lane.is_lumpy or self.most is not None

    @property
    def loss(self) -> float:
        """What a unit lost costs beyond one sold [money]."""
        return self.node.shortage_cost - self.flow_cost

    @property
    def lead_times(self) -> list[tuple[int, float]]:
        random = self.lane.random_lead_time
        pairs = zip(random.values, random.probabilities, strict=True) if random else [(self.lane.lead_time, 1.0)]
        return list(pairs)

    def step(self) -> float:
        """The grid's step [units]."""
        if self.demand.spacing is not None:
            return self.demand.spacing
        if not self.is_lumpy:
            return deviation(self.demand) / FINE
        lots = self.lane.lot_multiple or self.lane.minimum_order or self.most
        fine = deviation(self.demand) / LUMPY
        return fine if lots is None else lots / max(round(lots / fine), 1)

    def rule(self, step: float) -> OrderRule:
        """What orders may be, in grid steps."""
        lane, limit = self.lane, self.node.storage_capacity
        return OrderRule(
            lane.fixed_order_cost,
            int(np.ceil(lane.minimum_order / step - 1e-9)),
            round(lane.lot_multiple / step) if lane.lot_multiple else 1,
            None if self.most is None else int(np.floor(self.most / step + 1e-9)),
            np.inf if limit is None else limit / step,
        )


def _single(net: InventoryNetwork) -> _Single:
    store = stores_of(net)[0]
    lane = into(net, store.id)[0]
    demand = stationary.of_store(net.demand, store.id)
    return _Single(store, lane, demand, flow_cost(net, lane) - store.price, lane_limits(net, lane))


def _is_single(net: InventoryNetwork) -> bool:
    return len(net.stocking_nodes) == 1 and len(net.lanes) == 1


def optimal_refuses(net: InventoryNetwork) -> str | None:
    """Why the optimum is not computed; None if it is."""
    if _is_single(net):
        return long_run_refuses(net) or _single_refuses(_single(net), net)
    if not _is_line(net):
        return "the optimum is known for one store with one supplier and for locations in series only"
    return long_run_refuses(net) or _line_refuses(net)


def _single_refuses(one: _Single, net: InventoryNetwork) -> str | None:
    node, lane = one.node, one.lane
    if reason := store_refuses(node):
        return reason
    if node.fill_rate_target is not None:
        return f"{node.id}: the optimum without its fill-rate target is not the optimum with it"
    if lane.random_lead_time is not None:
        if node.unmet_demand == "lost":
            return "random lead times have no exact method with lost sales"
        if np.any(np.diff(lane.random_lead_time.hazard()) < -1e-9):
            return "orders may overtake each other: the chance to arrive falls with age"
    return _grid_refuses(one, net)


def _grid_refuses(one: _Single, net: InventoryNetwork) -> str | None:
    """Why the demand grid and the allowed orders do not fit together, or the states are too many."""
    spacing = one.demand.spacing
    whole = spacing is not None and abs(spacing - round(spacing)) < 1e-9
    if net.integer_orders and not whole:
        return "orders are whole, demand is not"
    step = one.step()
    sizes = [one.lane.lot_multiple, one.lane.minimum_order or None, one.most]
    if any(size is not None and abs(size / step - round(size / step)) > 1e-6 for size in sizes):
        return f"lots, minimum orders and capacities must be multiples of {step:g} units, the grid of demand"
    if one.is_lumpy and one.demand.top / step > MOST_STEPS:
        return f"demand of up to {one.demand.top:g} units in steps of {step:g} gives too many inventory positions"
    if one.node.unmet_demand == "backlogged" or one.node.holding_cost == 0 or one.loss <= 0:
        return None
    return _lost_refuses(one, step)


def _lost_refuses(one: _Single, step: float) -> str | None:
    if one.demand.spacing is None and one.is_lumpy:
        return "with lost sales and restricted orders demand must lie on a grid"
    single = one.demand.spread(_lost_step(one) or step)
    rule = one.rule(single.step)
    size = lost_sales_size(single, one.lane.lead_time, one.node.holding_cost, one.loss, rule)
    if size.work > WORK_LIMIT:
        return (
            f"lead time {one.lane.lead_time}: {size.most + 1} stock levels and {size.largest + 1} order sizes give "
            f"{(size.most + 1) * (size.largest + 1.0) ** max(one.lane.lead_time - 1, 0):.2g} states, too many"
        )
    if rule.position_limit < size.most:
        return f"{one.node.id}: the storage capacity binds, which has no exact method with lost sales"
    return None


def _lost_step(one: _Single) -> float | None:
    """The grid's step for a store with lost sales: the demand's own, or the finest that is quick."""
    if one.demand.spacing is not None:
        return one.demand.spacing
    return quick_step(one.demand, one.lane.lead_time, one.node.holding_cost, one.loss, WORK_LIMIT / 10)


def optimal(net: InventoryNetwork, should_stop: ShouldStop) -> BoundValue:
    """The least long-run average cost of one store or of a line."""
    return _optimal_single(_single(net), should_stop) if _is_single(net) else _optimal_line(net)


def _optimal_single(one: _Single, should_stop: ShouldStop) -> BoundValue:
    constant = one.flow_cost * one.demand.mean
    if one.node.unmet_demand == "backlogged":
        found, method = _backlogged_single(one, should_stop)
        return bound_value(found, constant, method)
    lost, method = _lost_single(one, should_stop)
    return bound_value(lost, constant, method)


def _backlogged_single(one: _Single, should_stop: ShouldStop) -> tuple[Optimum, str]:
    node, step = one.node, one.step()
    if node.holding_cost == 0 or node.shortage_cost == 0:
        return Optimum(0.0, 0.0), "stock, or backlog, costs nothing"
    low, high = one.demand.contraction(step), one.demand.spread(step)
    limit = np.inf if node.storage_capacity is None else node.storage_capacity
    if not one.is_lumpy:
        ends = [
            newsvendor(lead_time_demand(single, one.lead_times), node.holding_cost, node.shortage_cost, limit)
            for single in (low, high)
        ]
        return Optimum(ends[0].low, ends[1].low, ends[1].levels), "newsvendor over lead time and review period"
    covered = lead_time_demand(high, one.lead_times)

    def period_cost(positions: Ints) -> Floats:
        return linear_cost(covered, step * positions.astype(np.float64), node.holding_cost, node.shortage_cost)

    start = covered.quantile(node.shortage_cost / (node.holding_cost + node.shortage_cost))
    rule = one.rule(step)
    if rule.fixed_cost and rule.least <= 1 and rule.multiple == 1 and rule.most is None and np.isinf(limit):
        found = reorder_policy(high, period_cost, start, rule.fixed_cost)
        return found, "the best (s, S) policy, by Zheng and Federgruen"
    return backlogged(high, period_cost, start, rule, should_stop), "value iteration over the inventory position"


def _lost_single(one: _Single, should_stop: ShouldStop) -> tuple[Optimum, str]:
    node = one.node
    if one.loss <= 0:
        never = one.loss * one.demand.mean
        return Optimum(never, never), "a sale earns less than it costs: nothing is ordered"
    if node.holding_cost == 0:
        return Optimum(0.0, 0.0), "stock costs nothing"
    step = _lost_step(one)
    assert step is not None  # refused otherwise
    rule = one.rule(step)
    ends = [
        lost_sales(single, one.lane.lead_time, node.holding_cost, one.loss, should_stop, rule)
        for single in _ends(one.demand, step)
    ]
    found = Optimum(ends[0].low, ends[-1].high, {}, ends[0].iterations)
    return found, "value iteration over the stock and every order under way"


def _ends(demand: StopLoss, step: float) -> list[Grid]:
    """Demand on the grid from below and from above in the convex order; one grid if it lies there."""
    both = [demand.contraction(step), demand.spread(step)]
    return both[:1] if demand.spacing is not None else both


# --- locations in series ---------------------------------------------------------------------------------------------


def _is_line(net: InventoryNetwork) -> bool:
    stocking = net.stocking_nodes
    one_in = all(len(into(net, node.id)) == 1 for node in stocking)
    return one_in and len(stores_of(net)) == 1 and all(len(out_of(net, n.id)) == (n.kind != "store") for n in stocking)


def _line_of(net: InventoryNetwork) -> list[tuple[Node, Lane]]:
    """Locations with the lane into each, store first."""
    found, node = [], stores_of(net)[0]
    while node.kind != "supplier":
        lane = into(net, node.id)[0]
        found.append((node, lane))
        node = by_id(net)[lane.source]
    return found


def _line_refuses(net: InventoryNetwork) -> str | None:
    line = _line_of(net)
    store = line[0][0]
    if store.unmet_demand != "backlogged":
        return "a line's optimum is known for backlogged demand only"
    if reason := store_refuses(store):
        return reason
    if store.fill_rate_target is not None:
        return f"{store.id}: the optimum without its fill-rate target is not the optimum with it"
    if net.integer_orders and stationary.of_store(net.demand, store.id).spacing != 1.0:
        return "orders are whole, demand is not"
    for node, lane in line:
        if lane.is_lumpy or lane.random_lead_time or lane_limits(net, lane) is not None or node.storage_capacity:
            return f"the lane into {node.id} is restricted or random: a line's optimum is known without that only"
    holding = [node.holding_cost for node, _ in line]
    if any(above > below for below, above in pairwise(holding)):
        return "stock costs more to hold upstream than downstream"
    return None


def _optimal_line(net: InventoryNetwork) -> BoundValue:
    (store, first), *above = _line_of(net)
    demand = stationary.of_store(net.demand, store.id)
    constant = sum(flow_cost(net, lane) for _, lane in _line_of(net)) - store.price
    echelons = [Echelon(first.lead_time, store.holding_cost)]
    for node, lane in above:
        length, wait = upstream(net, node, lane)
        echelons.append(Echelon(length, node.holding_cost))
        constant += wait
    step = demand.spacing or deviation(demand) / FINE
    low, high = (serial_line(single, echelons, store.shortage_cost) for single in _both(demand, step))
    names = [store.id, *(node.id for node, _ in above)]
    levels = dict(zip(names, high.levels.values(), strict=True))
    found = Optimum(low.low, high.low)
    return bound_value(
        found, constant * demand.mean, "Clark and Scarf's echelon base stocks", echelon_base_stock=levels
    )


def _both(demand: StopLoss, step: float) -> tuple[Grid, Grid]:
    return demand.contraction(step), demand.spread(step)
