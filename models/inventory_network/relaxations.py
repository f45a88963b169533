"""Lower bounds for networks with warehouses: stock shared anew in every period, and warehouses that never run out."""

from __future__ import annotations

from models.core import BoundValue
from models.inventory_network import stationary_demand
from models.inventory_network.demand_grid import StopLoss, total
from models.inventory_network.exact_network import Branch, Echelon, balance_relaxation
from models.inventory_network.exact_store import WORK_LIMIT, Optimum, OrderRule, lost_sales, lost_sales_size, newsvendor
from models.inventory_network.instance import InventoryNetwork, Lane, Node, topological_order
from models.inventory_network.network_reading import (
    FINE,
    ShouldStop,
    bound_value,
    by_id,
    deviation,
    flow_cost,
    into,
    long_run_refuses,
    mean_demand,
    out_of,
    quick_step,
    store_refuses,
    stores_of,
    upstream,
)
from models.inventory_network.optimal import optimal_refuses

# --- one warehouse with backlogged stores ----------------------------------------------------------------------------


def balance_refuses(net: InventoryNetwork) -> str | None:
    """Why the balance relaxation does not fit; None if it does."""
    stores, stocking = stores_of(net), net.stocking_nodes
    if len(stocking) != len(stores) + 1 or len(stores) < 2 or any(len(into(net, n.id)) != 1 for n in stocking):
        return "needs one warehouse that alone supplies two or more stores, and has one supplier"
    warehouse = next(node for node in stocking if node.kind != "store")
    if any(into(net, store.id)[0].source != warehouse.id for store in stores):
        return "needs one warehouse that alone supplies two or more stores, and has one supplier"
    for store in stores:
        if store.unmet_demand != "backlogged":
            return f"{store.id}: demand must be backlogged; where it is lost, stores do not decide by position alone"
        if reason := store_refuses(store):
            return reason
    return long_run_refuses(net) or stationary_demand.joint_refuses(net.demand)


def balance(net: InventoryNetwork, should_stop: ShouldStop) -> BoundValue:
    """Stock may be moved between the stores at will, and orders may be negative: the cost of that network."""
    stores = stores_of(net)
    inbound = into(net, into(net, stores[0].id)[0].source)[0]
    warehouse = by_id(net)[inbound.target]
    length, wait = upstream(net, warehouse, inbound)
    length = min(inbound.random_lead_time.values) if inbound.random_lead_time else length
    ids = [store.id for store in stores]
    step = _joint_step(net, ids)
    joint = stationary_demand.of_all(net.demand, ids, step)
    branches, constant = [], 0.0
    for store in stores:
        lane = into(net, store.id)[0]
        single = stationary_demand.of_store(net.demand, store.id).contraction(step)
        branches.append(Branch(total(single, _shortest(lane) + 1), store.holding_cost, store.shortage_cost))
        constant += (flow_cost(net, inbound) + wait + flow_cost(net, lane) - store.price) * mean_demand(net, store.id)
    found = balance_relaxation(joint, Echelon(length, warehouse.holding_cost), branches)
    return bound_value(found, constant, "the stores' stock may be shared anew in every period", ignores=_ignored(net))


def _shortest(lane: Lane) -> int:
    """The least lead time a lane can have [periods]."""
    return min(lane.random_lead_time.values) if lane.random_lead_time else lane.lead_time


def _joint_step(net: InventoryNetwork, ids: list[str]) -> float:
    demands = [stationary_demand.of_store(net.demand, node_id) for node_id in ids]
    spacings = [demand.spacing for demand in demands]
    if all(spacing is not None for spacing in spacings):
        return min(spacing for spacing in spacings if spacing is not None)
    least = min(deviation(demand) for demand in demands if demand.spacing is None)
    return least / (FINE / 4)


def _ignored(net: InventoryNetwork) -> list[str]:
    """Restrictions the relaxation does not see; they can only make the network dearer."""
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
    """Every store alone, as if what supplies it never ran out and held its stock for nothing."""
    stores = stores_of(net)
    cheapest = _cheapest_paths(net)
    low, by_store, notes = 0.0, {}, {}
    known: dict[tuple[object, ...], tuple[float, str]] = {}
    for store in stores:
        lanes = into(net, store.id)
        shortest = min(_shortest(lane) for lane in lanes)
        flow = cheapest[store.id] - store.price
        process = net.demand.nodes
        same = process[store.id] if isinstance(process, dict) else store.id
        key = (str(same), shortest, flow, store.holding_cost, store.shortage_cost, store.unmet_demand)
        if key not in known:
            limit = min(WORK_LIMIT / 4, 2 * WORK_LIMIT / len(stores))
            known[key] = _store_alone(net, store, shortest, flow, limit, should_stop)
        by_store[store.id], notes[store.id] = known[key]
        low += by_store[store.id]
    rounded = {name: round(value, 6) for name, value in by_store.items()}
    words = {name: note for name, note in notes.items() if note}
    more = {"approximations": words} if words else {}
    found = Optimum(low, float("inf"))
    return bound_value(
        found, 0.0, "every store alone, its supply unlimited and free", stores=rounded, ignores=_ignored(net), **more
    )


def _cheapest_paths(net: InventoryNetwork) -> dict[str, float]:
    """Least flow cost from any supplier to every node [money/unit]."""
    cheapest = {node.id: 0.0 if node.kind == "supplier" else float("inf") for node in net.nodes}
    for node_id in topological_order(net) or []:
        for lane in out_of(net, node_id):
            cheapest[lane.target] = min(cheapest[lane.target], cheapest[node_id] + flow_cost(net, lane))
    return cheapest


def _store_alone(
    net: InventoryNetwork, store: Node, lead_time: int, flow: float, limit: float, should_stop: ShouldStop
) -> tuple[float, str]:
    """A lower bound for one store with unlimited supply, flow cost included, and what was approximated."""
    demand = stationary_demand.of_store(net.demand, store.id)
    constant, holding = flow * demand.mean, store.holding_cost
    if store.unmet_demand == "backlogged":
        if holding == 0 or store.shortage_cost == 0:
            return constant, ""
        single = demand.contraction(demand.spacing or deviation(demand) / FINE)
        return constant + newsvendor(total(single, lead_time + 1), holding, store.shortage_cost).low, ""
    loss = store.shortage_cost - flow
    if loss <= 0:
        return constant + loss * demand.mean, ""
    if holding == 0:
        return constant, ""
    return _lost_alone(demand, lead_time, holding, loss, limit, constant, should_stop)


def _lost_alone(
    demand: StopLoss,
    lead_time: int,
    holding: float,
    loss: float,
    limit: float,
    constant: float,
    should_stop: ShouldStop,
) -> tuple[float, str]:
    """Value iteration on the finest grid, and for the longest lead time, that the limit of work allows."""
    for length in range(lead_time, -1, -1):
        step = demand.spacing
        if step is None or lost_sales_size(demand.spread(step), length, holding, loss, OrderRule()).work > limit:
            step = quick_step(demand, length, holding, loss, limit)
        if step is not None:
            found = lost_sales(demand.contraction(step), length, holding, loss, should_stop)
            notes = [f"lead time {length} for {lead_time}"] if length < lead_time else []
            notes += [] if step == demand.spacing else [f"demand in steps of {step:.3g}"]
            return constant + found.low, ", ".join(notes)
    raise AssertionError("a lead time of zero is always quick")
