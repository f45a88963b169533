"""A supply network drawn: its map, what its stores sold, and what they may sell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from models.fans import Paths, drawn_stages, fan
from models.figures import MOST_STAGES, Fact, Figure, Link, Network, Node, Number, fan_scenarios, largest, shown
from models.inventory_network import instance as documents
from models.inventory_network.demand.process import Empirical
from models.inventory_network.demand.sampling import DemandSampler
from models.inventory_network.instance import InventoryNetwork, Lane, topological_order
from models.inventory_network.layout import Floats, mean_flows

MOST_NODES = 1_200  # on a map
MOST_LANES = 2_000
FACTS_OF_LANES = 500  # lanes up to which each says all of itself
SEED = 20_240_502


def draw(net: InventoryNetwork) -> list[Figure]:
    """The map, then the demand of all stores together and of the largest ones."""
    return [_map(net), *_demand(net)]


def _map(net: InventoryNetwork) -> Network:
    place = {node.id: k for k, node in enumerate(net.nodes)}
    flow, lane_flow, _ = mean_flows(net, net.nodes, place)
    kept = set(largest([node.id for node in net.nodes], flow.tolist(), MOST_NODES))
    inside = [k for k, lane in enumerate(net.lanes) if lane.source in kept and lane.target in kept]
    lanes = largest(inside, [lane_flow[k] for k in inside], MOST_LANES)
    tiers = _tiers(net)
    caption = "Goods flow from left to right: suppliers, warehouses, stores; every lane says how long it takes."
    caption = shown(caption, len(kept), len(net.nodes), "nodes with the largest flow")
    caption = shown(caption, len(lanes), len(net.lanes), "lanes with the largest flow")
    nodes = tuple(
        Node(node.id, node.id, node.kind, tiers[node.id], tuple(_node_facts(net, node, float(flow[k]))))
        for k, node in enumerate(net.nodes)
        if node.id in kept
    )
    links = tuple(_link(net.lanes[k], len(lanes) <= FACTS_OF_LANES) for k in lanes)
    return Network("network", "Supply network", caption, nodes=nodes, links=links)


def _tiers(net: InventoryNetwork) -> dict[str, int]:
    """Column of every node: the most lanes between it and where its goods come from."""
    tiers = dict.fromkeys((node.id for node in net.nodes), 0)
    below: dict[str, list[str]] = {}
    for lane in net.lanes:
        below.setdefault(lane.source, []).append(lane.target)
    for source in topological_order(net) or []:
        for target in below.get(source, []):
            tiers[target] = max(tiers[target], tiers[source] + 1)
    return tiers


def _node_facts(net: InventoryNetwork, node: documents.Node, flow: float) -> Iterator[Fact]:
    sells = node.id in net.demand.node_ids
    yield Fact("Mean demand" if sells else "Mean flow", flow, "units/period")
    if node.kind != "supplier":
        yield Fact("Stock at the start", node.initial_on_hand, "units")
        yield Fact("Holding cost", node.holding_cost, "money/unit/period")
    if sells:
        unit = "money/unit" if node.unmet_demand == "lost" else "money/unit/period"
        yield Fact("Unmet demand", node.unmet_demand)
        yield Fact("Shortage cost", node.shortage_cost, unit)
    known = (
        ("Lost sale", node.lost_sales_cost, "money/unit"),
        ("Price", node.price, "money/unit"),
        ("Fill-rate target", node.fill_rate_target, ""),
        ("Ships at most", node.throughput_capacity, "units/period"),
        ("Operating cost", node.throughput_cost, "money/unit"),
        ("Holds at most", node.storage_capacity, "units"),
        ("Shelf life", node.shelf_life, "periods"),
    )
    yield from (Fact(label, value, unit) for label, value, unit in known if value)


def _link(lane: Lane, with_facts: bool) -> Link:
    times = lane.random_lead_time
    group = "fixed lead time" if times is None else "random lead time"
    facts = tuple(_lane_facts(lane)) if with_facts else ()
    return Link(lane.source, lane.target, _time(lane), group, facts)


def _time(lane: Lane) -> str:
    if lane.random_lead_time is not None:
        return f"{lane.random_lead_time.values[0]}–{lane.random_lead_time.values[-1]} periods"
    return {0: "at once", 1: "1 period"}.get(lane.lead_time, f"{lane.lead_time} periods")


def _lane_facts(lane: Lane) -> Iterator[Fact]:
    yield Fact("Lead time", lane.lead_time, "periods")
    known = (
        ("Mean lead time", None if lane.random_lead_time is None else lane.random_lead_time.mean, "periods"),
        ("Unit cost", lane.unit_cost, "money/unit"),
        ("Cost under way", lane.in_transit_cost, "money/unit/period"),
        ("Capacity", lane.capacity, "units/period"),
        ("Fixed order cost", lane.fixed_order_cost, "money/order"),
        ("Least order", lane.minimum_order, "units"),
        ("Lot", lane.lot_multiple, "units"),
        ("Under way at the start", sum(lane.initial_in_transit), "units"),
    )
    yield from (Fact(label, value, unit) for label, value, unit in known if value)


def _demand(net: InventoryNetwork) -> Iterator[Figure]:
    stores = net.demand.node_ids
    stages = drawn_stages(net.periods)
    paths = _sampled(net, stores, stages)
    past = _past(net)
    if len(stores) > 1:
        together = [None if row is None else float(row.sum()) for row in past]
        yield _fan(net, "demand", "Demand of all stores", paths.sum(2), together)
    mean = net.demand.moments(net.timeline)[0]
    kept = largest(stores, mean.tolist())
    for store in kept:
        k = stores.index(store)
        own = [None if row is None else float(row[k]) for row in past]
        yield _fan(net, f"demand/{store}", f"Demand of {store}", paths[:, :, k], own, len(kept), len(stores))


def _sampled(net: InventoryNetwork, stores: Sequence[str], stages: int) -> Paths:
    """Scenarios (scenario, stage, store) of demand [units/period]."""
    generator = torch.Generator().manual_seed(SEED)
    batch = fan_scenarios(stages * len(stores))
    return DemandSampler(net, list(stores))(batch, stages, generator, torch.float32).numpy()


def _past(net: InventoryNetwork) -> list[Floats | None]:
    """Demand of the periods right before the start (store,), oldest first; None where the history has a gap."""
    if not isinstance(net.demand, Empirical):
        return []
    table, shift = net.demand.table, net.demand.shift(net.timeline)
    first = max(shift - MOST_STAGES, 0)
    return [table[row] if row < len(table) else None for row in range(first, shift)]


def _fan(
    net: InventoryNetwork,
    key: str,
    title: str,
    paths: Paths,
    past: Sequence[Number],
    kept: int = 1,
    total: int = 1,
) -> Figure:
    caption = "What was sold before the start, and what may be asked for: half of all scenarios lie in the inner band."
    if not past:
        caption = "What may be asked for: half of all scenarios lie in the inner band, nine in ten in the outer one."
    caption = shown(caption, kept, total, "stores with the largest demand")

    def label(period: int) -> float | str:
        day = net.timeline.day(period)
        return period if day is None else day.isoformat()

    axis = "period" if net.timeline.start is None else "first day of the period"
    return fan(key, title, caption, paths, unit="units", x_title=axis, label=label, past=past, group="demand")
