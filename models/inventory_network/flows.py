"""How demand draws goods through a network: order of nodes, lead times seen from them, what is whose."""

import numpy as np
import numpy.typing as npt

from models.inventory_network.layout import Layout

Floats = npt.NDArray[np.float64]
LEAST = 1e-9  # flow that stands for none [units/period]


def echelon_shares(lay: Layout) -> list[dict[int, float]]:
    """For every stocking node, what share of each node's inflow passes through it, itself included."""
    into = np.bincount(lay.target, np.maximum(lay.lane_flow, LEAST), len(lay.nodes))
    shares: list[dict[int, float]] = [{k: 1.0} for k in range(lay.num_stocking)]
    customers: list[list[tuple[int, float]]] = [[] for _ in range(lay.num_stocking)]
    for k, (source, target) in enumerate(zip(lay.source.tolist(), lay.target.tolist(), strict=True)):
        if source < lay.num_stocking:
            customers[source].append((target, max(lay.lane_flow[k], LEAST) / into[target]))
    for node in upward(lay):
        for target, share in customers[node]:
            for below, part in shares[target].items():
                shares[node][below] = shares[node].get(below, 0.0) + share * part
    return shares


def upward(lay: Layout) -> list[int]:
    """Stocking nodes, customers before their suppliers."""
    waiting = np.bincount(lay.source, minlength=len(lay.nodes))
    above: list[list[int]] = [[] for _ in lay.nodes]
    for source, target in zip(lay.source.tolist(), lay.target.tolist(), strict=True):
        above[target].append(source)
    ready = [k for k in range(lay.num_stocking) if waiting[k] == 0]
    order: list[int] = []
    while ready:
        node = ready.pop()
        order.append(node)
        for source in above[node]:
            waiting[source] -= 1
            if waiting[source] == 0 and source < lay.num_stocking:
                ready.append(source)
    return order


def lead_in(lay: Layout) -> Floats:
    """Lead time into every stocking node [periods], the mean over its lanes by flow."""
    flow = np.maximum(lay.lane_flow, LEAST)
    weighted = np.bincount(lay.target, flow * lay.mean_lead_time, lay.num_stocking)
    return np.asarray(weighted / np.bincount(lay.target, flow, lay.num_stocking))


def cover(lay: Layout) -> Floats:
    """Periods of demand an echelon's position stands for: lead time in, one period of its own, and the way down."""
    return lead_in(lay) + 1 + way_down(lay)


def way_down(lay: Layout) -> Floats:
    """Periods from a stocking node to the customer, the mean over ways by flow; 0 for one with demand of its own."""
    way = np.zeros(len(lay.nodes))
    weight = np.zeros(len(lay.nodes))
    order = upward(lay)
    for node in order:
        if node >= lay.num_demand and weight[node] > 0:
            way[node] /= weight[node]
        for k in np.flatnonzero(lay.target == node):
            flow = max(lay.lane_flow[k], LEAST)
            way[lay.source[k]] += flow * (lay.mean_lead_time[k] + way[node])
            weight[lay.source[k]] += flow
    way[: lay.num_demand] = 0.0
    return way[: lay.num_stocking]


def from_below(lay: Layout, values: Floats) -> Floats:
    """Values of the demand nodes, and above them the mean of the customers' by flow."""
    found, weight = values.copy(), np.zeros(len(lay.nodes))
    for node in upward(lay):
        if node >= lay.num_demand and weight[node] > 0:
            found[node] /= weight[node]
        for k in np.flatnonzero(lay.target == node):
            flow = max(lay.lane_flow[k], LEAST)
            found[lay.source[k]] += flow * found[node]
            weight[lay.source[k]] += flow
    for node in range(lay.num_stocking, len(lay.nodes)):
        found[node] /= max(weight[node], LEAST)
    return found
