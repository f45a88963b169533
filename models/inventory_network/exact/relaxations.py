"""Lower bounds for networks with warehouses: stock shared anew in every period, and warehouses that never run out."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.core import BoundValue
from models.inventory_network.exact import stationary
from models.inventory_network.exact.grid import StopLoss, total
from models.inventory_network.exact.network import Branch, Echelon, balance_relaxation
from models.inventory_network.exact.optimal import optimal_refuses
from models.inventory_network.exact.reading import (
    FINE,
    ShouldStop,
    bound_value,
    by_id,
    deviation,
    flow_cost,
    ignored,
    into,
    long_run_refuses,
    mean_demand,
    never,
    out_of,
    quick_step,
    star_refuses,
    store_refuses,
    stores_of,
    upstream,
)
from models.inventory_network.exact.store import WORK_LIMIT, Optimum, OrderRule, lost_sales, lost_sales_size, newsvendor
from models.inventory_network.instance import InventoryNetwork, Lane, Node, topological_order

FEW = 200  # stores whose figures are listed one by one
COARSE = 0.002  # share of the work that the first, quick bound for a store with lost sales may take

# --- one warehouse with backlogged stores ----------------------------------------------------------------------------


def balance_refuses(net: InventoryNetwork) -> str | None:
    """Why the balance relaxation does not fit; None if it does."""
    if reason := star_refuses(net):
        return reason
    for store in stores_of(net):
        if store.unmet_demand != "backlogged":
            return f"{store.id}: demand must be backlogged; where it is lost, stores do not decide by position alone"
        if reason := store_refuses(store):
            return reason
    return long_run_refuses(net) or stationary.joint_refuses(net.demand)


def balance(net: InventoryNetwork, should_stop: ShouldStop) -> BoundValue:
    """Stock may be moved between the stores at will, and orders may be negative: the cost of that network."""
    stores = stores_of(net)
    inbound = into(net, into(net, stores[0].id)[0].source)[0]
    warehouse = by_id(net)[inbound.target]
    length, wait = upstream(net, warehouse, inbound)
    length = min(inbound.random_lead_time.values) if inbound.random_lead_time else length
    ids = [store.id for store in stores]
    step = _joint_step(net, ids)
    joint = stationary.of_all(net.demand, ids, step)
    branches, constant = [], 0.0
    for store in stores:
        lane = into(net, store.id)[0]
        single = stationary.of_store(net.demand, store.id).contraction(step)
        branches.append(Branch(total(single, _shortest(lane) + 1), store.holding_cost, store.shortage_cost))
        constant += (flow_cost(net, inbound) + wait + flow_cost(net, lane) - store.price) * mean_demand(net, store.id)
    found = balance_relaxation(joint, Echelon(length, warehouse.holding_cost), branches)
    return bound_value(found, constant, "the stores' stock may be shared anew in every period", ignores=ignored(net))


def _shortest(lane: Lane) -> int:
    """The least lead time a lane can have [periods]."""
    return min(lane.random_lead_time.values) if lane.random_lead_time else lane.lead_time


def _joint_step(net: InventoryNetwork, ids: list[str]) -> float:
    demands = [stationary.of_store(net.demand, node_id) for node_id in ids]
    spacings = [demand.spacing for demand in demands]
    if all(spacing is not None for spacing in spacings):
        return min(spacing for spacing in spacings if spacing is not None)
    least = min(deviation(demand) for demand in demands if demand.spacing is None)
    return least / (FINE / 4)


# --- a warehouse that never runs out ---------------------------------------------------------------------------------


def free_refuses(net: InventoryNetwork) -> str | None:
    """Why the bound by free warehouses does not fit; None if it does."""
    if optimal_refuses(net) is None:
        return "the optimum itself is known (optimal)"
    for store in stores_of(net):
        if out_of(net, store.id):
            return f"{store.id} supplies other nodes: what it holds is not for its own customers alone"
        if reason := store_refuses(store):
            return reason
    return long_run_refuses(net)


def free_warehouse(net: InventoryNetwork, should_stop: ShouldStop) -> BoundValue:
    """Every store alone, as if what supplies it never ran out and held its stock for nothing.

    A quick, coarse bound for every store comes first; it is sharpened store by store while there is time.
    """
    cheapest = _cheapest_paths(net)
    alone = {store.id: _alone(net, store, cheapest[store.id]) for store in stores_of(net)}
    limit = min(WORK_LIMIT / 4, 2 * WORK_LIMIT / len(alone))
    found: dict[_Alone, _StoreBound] = {}
    for key in alone.values():
        if key not in found:
            found[key] = _StoreBound(key.least, "no time") if should_stop() else key.bound(limit * COARSE, never)
    for key in found:
        if found[key].notes and not should_stop():
            found[key] = max(found[key], key.bound(limit, should_stop), key=lambda bound: bound.value)
    values = {name: found[key].value for name, key in alone.items()}
    notes = {name: found[key].notes for name, key in alone.items() if found[key].notes}
    more: dict[str, object] = {}
    if len(alone) <= FEW:
        more["stores"] = {name: round(value, 6) for name, value in values.items()}
        more |= {"approximations": notes} if notes else {}
    elif notes:
        more["approximations"] = f"{len(notes)} of {len(alone)} stores on a coarse grid, or for a shorter lead time"
    method = "every store alone, its supply unlimited and free"
    return bound_value(Optimum(sum(values.values()), float("inf")), 0.0, method, ignores=ignored(net), **more)


def _cheapest_paths(net: InventoryNetwork) -> dict[str, float]:
    """Least flow cost from any supplier to every node [money/unit]."""
    cheapest = {node.id: 0.0 if node.kind == "supplier" else float("inf") for node in net.nodes}
    for node_id in topological_order(net) or []:
        for lane in out_of(net, node_id):
            cheapest[lane.target] = min(cheapest[lane.target], cheapest[node_id] + flow_cost(net, lane))
    return cheapest


@dataclass(frozen=True)
class _StoreBound:
    """A lower bound for one store, and what was approximated on the way."""

    value: float  # [money/period]
    notes: str = ""


@dataclass(frozen=True)
class _Alone:
    """A store with unlimited supply; stores that are alike are equal."""

    process: str  # its demand as a document
    demand: StopLoss = field(compare=False)
    unmet_demand: str
    lead_time: int  # the least of its lanes [periods]
    flow_cost: float  # the least of its paths, less its price [money/unit]
    holding_cost: float
    shortage_cost: float

    @property
    def least(self) -> float:
        """What is sure without any computation: stock and shortage cost nothing at least [money/period]."""
        gain = min(self.shortage_cost - self.flow_cost, 0.0) if self.unmet_demand == "lost" else 0.0
        return (self.flow_cost + gain) * self.demand.mean

    def bound(self, limit: float, should_stop: ShouldStop) -> _StoreBound:
        """Least average cost, or a bound on it with at most `limit` products an iteration."""
        constant = self.least
        if self.unmet_demand == "backlogged":
            if self.holding_cost == 0 or self.shortage_cost == 0:
                return _StoreBound(constant)
            single = self.demand.contraction(self.demand.spacing or deviation(self.demand) / FINE)
            covered = total(single, self.lead_time + 1)
            return _StoreBound(constant + newsvendor(covered, self.holding_cost, self.shortage_cost).low)
        loss = self.shortage_cost - self.flow_cost
        if loss <= 0 or self.holding_cost == 0:
            return _StoreBound(constant)
        return self._lost(loss, limit, constant, should_stop)

    def _lost(self, loss: float, limit: float, constant: float, should_stop: ShouldStop) -> _StoreBound:
        """Value iteration on the finest grid, and for the longest lead time, that the limit of work allows."""
        demand, holding = self.demand, self.holding_cost
        for length in range(self.lead_time, -1, -1):
            step = demand.spacing
            if step is None or lost_sales_size(demand.spread(step), length, holding, loss, OrderRule()).work > limit:
                step = quick_step(demand, length, holding, loss, limit)
            if step is not None:
                found = lost_sales(demand.contraction(step), length, holding, loss, should_stop)
                notes = [f"lead time {length} for {self.lead_time}"] if length < self.lead_time else []
                notes += [] if step == demand.spacing else [f"demand in steps of {step:.3g}"]
                return _StoreBound(constant + found.low, ", ".join(notes))
        raise AssertionError("a lead time of zero is always quick")


def _alone(net: InventoryNetwork, store: Node, path_cost: float) -> _Alone:
    nodes = net.demand.nodes
    return _Alone(
        str(nodes[store.id]) if isinstance(nodes, dict) else store.id,
        stationary.of_store(net.demand, store.id),
        store.unmet_demand,
        min(_shortest(lane) for lane in into(net, store.id)),
        path_cost - store.price,
        store.holding_cost,
        store.shortage_cost,
    )
