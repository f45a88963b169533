"""The network compiled once to index tensors: no Python per node or lane remains in the simulation.

Nodes are ordered demand nodes first (0 … D−1), then the other stocking nodes (… N−1), then suppliers (… M−1); lanes
keep document order. A lane with lead time L owns L consecutive pipeline slots after a decision (arrival in 1 … L
periods) and `state_slots` before one; slots of all lanes lie flat one after the other: memory is ΣL, not lanes × max L.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.inventory_network.instance import InventoryNetwork, Lane, Node, state_slots, topological_order

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Layout:
    """Index arrays and parameters of one network; D demand nodes, N stocking nodes, M nodes, E lanes."""

    nodes: list[Node]  # in internal order
    lanes: list[Lane]
    num_demand: int  # D
    num_stocking: int  # N
    source: Ints  # (E,) internal index of the supplying node
    target: Ints  # (E,) internal index of the receiving node, < N
    lead_time: Ints  # (E,) L [periods]; the longest where it is random
    least_lead_time: Ints  # (E,) the shortest [periods]
    mean_lead_time: Floats  # (E,) E[L] [periods]
    slot_lane: Ints  # (P,) lane of each pipeline slot of a state
    slot_arrival: Ints  # (P,) periods from the decision to the arrival, of each pipeline slot of a state
    post_lane: Ints  # (Q,) lane of each pipeline slot of a post-decision state
    post_arrival: Ints  # (Q,) periods from this one to the arrival, 1 … L
    post_from: Ints  # (Q,) where a post slot comes from: column of [state slots | orders]
    due_lanes: Ints  # lanes with something joining stock inside the decision half
    due_from: Ints  # its column of [state slots | orders]
    next_from: Ints  # (P,) post slot that becomes each state slot
    landing_slots: Ints  # post slots that join stock at the end of the period (receipt before_decision)
    landing_nodes: Ints  # the nodes they join
    flow: Floats  # (M,) mean units a period that pass through a node
    flow_std: Floats  # (M,) standard deviation of the demand behind that flow, as if independent
    lane_flow: Floats  # (E,) mean units a period on a lane if suppliers share equally
    downstream: npt.NDArray[np.bool_]  # (N, N) whether column j is row i or is reached from it
    to_demand: Ints  # (M,) fewest periods from joining a node's stock to reaching a demand node

    @property
    def num_lanes(self) -> int:
        return len(self.lanes)

    def index(self, node_id: str) -> int:
        """Internal index of a node."""
        return next(k for k, node in enumerate(self.nodes) if node.id == node_id)

    def initial_in_transit(self) -> list[float]:
        """The instance's goods under way, slot by slot [units]."""
        first = int(self.slot_arrival.min()) if len(self.slot_arrival) else 0
        under_way = [lane.initial_in_transit for lane in self.lanes]
        places = zip(self.slot_lane.tolist(), (self.slot_arrival - first).tolist(), strict=True)
        return [under_way[lane][k] if k < len(under_way[lane]) else 0.0 for lane, k in places]


def compile_layout(net: InventoryNetwork) -> Layout:
    """The index arrays of a network."""
    nodes = _ordered_nodes(net)
    place = {node.id: k for k, node in enumerate(nodes)}
    source = np.array([place[lane.source] for lane in net.lanes], dtype=np.int64)
    target = np.array([place[lane.target] for lane in net.lanes], dtype=np.int64)
    lead = np.array([lane.lead_time for lane in net.lanes], dtype=np.int64)
    num_stocking = sum(node.kind != "supplier" for node in nodes)
    early = net.receipt == "before_decision"

    slots = np.array([state_slots(int(length), net.receipt) for length in lead], dtype=np.int64)
    slot_lane = np.repeat(np.arange(len(lead)), slots)
    slot_start = np.concatenate([[0], np.cumsum(slots)[:-1]]).astype(np.int64)
    slot_arrival = _ramp(slots) + (1 if early else 0)
    post_lane = np.repeat(np.arange(len(lead)), lead)
    post_start = np.concatenate([[0], np.cumsum(lead)[:-1]]).astype(np.int64)
    post_arrival = _ramp(lead) + 1

    num_slots = int(slots.sum())
    is_order = post_arrival == lead[post_lane]
    carried = slot_start[post_lane] + post_arrival - (1 if early else 0)
    post_from = np.where(is_order, num_slots + post_lane, carried)

    instant = np.flatnonzero(lead == 0)
    due_lanes, due_from = instant, num_slots + instant
    if not early:
        delayed = np.flatnonzero(lead > 0)
        due_lanes = np.concatenate([instant, delayed])
        due_from = np.concatenate([num_slots + instant, slot_start[delayed]])
    landing = post_start[lead > 0] if early else np.zeros(0, dtype=np.int64)
    flow, lane_flow, flow_std = mean_flows(net, nodes, place)
    return Layout(
        nodes=nodes,
        lanes=list(net.lanes),
        num_demand=len(net.demand_nodes),
        num_stocking=num_stocking,
        source=source,
        target=target,
        lead_time=lead,
        least_lead_time=np.array([shortest_time(lane) for lane in net.lanes], dtype=np.int64),
        mean_lead_time=np.array([_mean_time(lane) for lane in net.lanes], dtype=np.float64),
        slot_lane=slot_lane,
        slot_arrival=slot_arrival,
        post_lane=post_lane,
        post_arrival=post_arrival,
        post_from=post_from,
        due_lanes=due_lanes,
        due_from=due_from,
        next_from=post_start[slot_lane] + slot_arrival if early else np.arange(num_slots, dtype=np.int64),
        landing_slots=landing,
        landing_nodes=target[lead > 0] if early else np.zeros(0, dtype=np.int64),
        flow=flow,
        flow_std=flow_std,
        lane_flow=lane_flow,
        downstream=_reach(net, place, num_stocking),
        to_demand=_time_to_demand(net, place, len(net.demand_nodes)),
    )


def _ordered_nodes(net: InventoryNetwork) -> list[Node]:
    demanded = set(net.demand.node_ids)

    def rank(node: Node) -> int:
        return 2 if node.kind == "supplier" else 0 if node.id in demanded else 1

    return sorted(net.nodes, key=rank)


def shortest_time(lane: Lane) -> int:
    """The shortest time goods may take on a lane [periods]."""
    return lane.lead_time if lane.random_lead_time is None else lane.random_lead_time.values[0]


def _mean_time(lane: Lane) -> float:
    return float(lane.lead_time) if lane.random_lead_time is None else lane.random_lead_time.mean


def _ramp(lengths: Ints) -> Ints:
    """0, 1, …, n−1 for each length n, one after the other."""
    return np.concatenate([np.arange(n) for n in lengths]) if len(lengths) else np.zeros(0, dtype=np.int64)


def mean_flows(net: InventoryNetwork, nodes: list[Node], place: dict[str, int]) -> tuple[Floats, Floats, Floats]:
    """Mean flow through nodes and lanes and the spread of the demand behind it, suppliers sharing equally."""
    mean, std = net.demand.moments(net.timeline)
    flow = np.zeros(len(nodes))
    variance = np.zeros(len(nodes))
    for node_id, mu, sigma in zip(net.demand.node_ids, mean, std, strict=True):
        flow[place[node_id]] = mu
        variance[place[node_id]] = sigma**2
    lane_flow = np.zeros(len(net.lanes))
    into: dict[str, list[int]] = {}
    for k, lane in enumerate(net.lanes):
        into.setdefault(lane.target, []).append(k)
    for node_id in reversed(topological_order(net) or []):
        for k in into.get(node_id, []):
            share = 1.0 / len(into[node_id])
            lane_flow[k] = flow[place[node_id]] * share
            flow[place[net.lanes[k].source]] += lane_flow[k]
            variance[place[net.lanes[k].source]] += variance[place[node_id]] * share**2
    return flow, lane_flow, np.sqrt(variance)


def _reach(net: InventoryNetwork, place: dict[str, int], num_stocking: int) -> npt.NDArray[np.bool_]:
    reach = np.eye(num_stocking, dtype=bool)
    for node_id in reversed(topological_order(net) or []):
        for lane in net.lanes:
            if lane.source == node_id and place[node_id] < num_stocking:
                reach[place[node_id]] |= reach[place[lane.target]]
    return reach


def _time_to_demand(net: InventoryNetwork, place: dict[str, int], num_demand: int) -> Ints:
    # Goods received after the decision wait one period before they can be shipped on.
    wait = 1 if net.receipt == "after_decision" else 0
    shortest = np.full(len(place), net.periods + 1, dtype=np.int64)
    shortest[:num_demand] = 0
    for node_id in reversed(topological_order(net) or []):
        for lane in net.lanes:
            if lane.source == node_id:
                here, there = place[node_id], place[lane.target]
                shortest[here] = min(shortest[here], wait + shortest_time(lane) + shortest[there])
    return shortest
