"""What the graph network knows of nodes and lanes before anything happens: numbers free of units.

Money counts in the network's mean holding cost, goods in the mean demand of a period that passes a node or a lane.
"""

import math
from statistics import NormalDist

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.inventory_network.demand.memory import DemandCalendar
from models.inventory_network.flows import Floats, cover, from_below, lead_in
from models.inventory_network.instance import Node
from models.inventory_network.policies.graph_features import GraphIndex
from models.inventory_network.simulator import NetworkSimulator

HORIZON = 10.0  # [periods] scale of lead times
NUM_TIME = 5  # share of the horizon left, slack and whether there is any; demand to come soon and later
NUM_NODE = 19 + NUM_TIME
NUM_LANE = 14 + NUM_TIME


class StaticFeatures(nn.Module):
    """What is the same in every scenario about nodes and lanes, free of units: their data, the time left in a finite
    horizon, and how demand to come compares with the usual."""

    node: Tensor
    lane: Tensor
    node_reach: Tensor
    lane_reach: Tensor
    from_stores: Tensor
    target: Tensor

    def __init__(self, simulator: NetworkSimulator, graph: GraphIndex) -> None:
        super().__init__()
        lay = simulator.layout
        self.finite, self.periods = not simulator.net.is_rolling, simulator.net.periods
        self.calendar = DemandCalendar(simulator.net, simulator.store_ids)
        self.changes = self.calendar.width > 0
        dtype = torch.get_default_dtype()
        self.register_buffer("node", torch.tensor(_node_rows(simulator, graph), dtype=dtype).t(), persistent=False)
        self.register_buffer("lane", torch.tensor(_lane_rows(simulator), dtype=dtype).t(), persistent=False)
        reach = torch.from_numpy(lay.lead_time + lay.to_demand[lay.target]).to(dtype)
        self.register_buffer("lane_reach", reach[:, None], persistent=False)
        reach = torch.from_numpy(lay.to_demand[graph.nodes]).to(dtype)
        self.register_buffer("node_reach", reach[:, None], persistent=False)
        shares = np.stack([from_below(lay, row) for row in np.eye(lay.num_demand, len(lay.nodes))])
        self.register_buffer("from_stores", torch.tensor(shares[:, graph.nodes].T, dtype=dtype), persistent=False)
        self.register_buffer("target", torch.from_numpy(lay.target), persistent=False)

    @property
    def varying(self) -> bool:
        """Whether any of it depends on the stage."""
        return self.finite or self.changes

    def forward(self, stages: Float[Tensor, " stage"]) -> tuple[Tensor, Tensor, Tensor]:
        """Features (feature, node, stage) and (feature, lane, stage), and demand to come over the usual (node, stage).

        One stage stands for all if nothing depends on it.
        """
        count = len(stages) if self.varying else 1
        outlook = self._outlook(stages) if self.changes else self.node.new_ones(2, self.node.shape[1], count)
        at_lanes = outlook.index_select(1, self.target)
        nodes = torch.cat((self._at(self.node, count), self._time(self.node_reach, stages, count), outlook - 1.0))
        lanes = torch.cat((self._at(self.lane, count), self._time(self.lane_reach, stages, count), at_lanes - 1.0))
        return nodes, lanes, outlook[1]

    def _at(self, static: Tensor, count: int) -> Tensor:
        return static[..., None].expand(-1, -1, count)

    def _time(self, reach: Tensor, stages: Tensor, count: int) -> Float[Tensor, "3 place stage"]:
        """Share of the horizon left, periods left after an order could meet demand, and whether it could."""
        if not self.finite:
            return reach.new_ones(3, len(reach), count)
        left = self.periods - stages
        slack = ((left - 1 - reach) / HORIZON).clamp(-1.0, 1.0)
        return torch.stack(((left / self.periods).expand_as(slack), slack, (slack >= 0).to(slack)))

    def _outlook(self, stages: Tensor) -> Float[Tensor, "2 node stage"]:
        """Mean demand of this period and over the longest way, over the usual; at a supplier its stores' mean."""
        ahead = self.calendar.outlook(stages, len(stages))[..., [0, -1]]  # (stage, store, 2)
        return torch.einsum("ns,tsk->knt", self.from_stores, ahead)


def starting_level(simulator: NetworkSimulator) -> tuple[Floats, Floats]:
    """An echelon base-stock level of every stocking node and the spread of what it covers, in periods of demand."""
    lay = simulator.layout
    covered = cover(lay)
    flow = np.maximum(lay.flow[: lay.num_stocking], 1e-3)
    spread = np.maximum(lay.flow_std[: lay.num_stocking] / flow, 0.02) * np.sqrt(covered)
    return covered + _safety(simulator)[: lay.num_stocking] * spread, spread


def _safety(simulator: NetworkSimulator) -> Floats:
    """Safety factor z of every node: the newsvendor's at a store, its customers' mean by flow above."""
    lay = simulator.layout
    z = np.zeros(len(lay.nodes))
    for k, node in enumerate(lay.nodes[: lay.num_demand]):
        short = _shortage(node)
        ratio = max(short / max(short + node.holding_cost, 1e-9), node.fill_rate_target or 0.05)
        z[k] = NormalDist().inv_cdf(min(ratio, 0.999))
    return from_below(lay, z)


def _shortage(node: Node) -> float:
    """What a unit short costs, whether lost or waiting a period [money/unit]."""
    return node.shortage_cost + node.lost_sales_cost + node.price


def _node_rows(simulator: NetworkSimulator, graph: GraphIndex) -> list[list[float]]:
    lay = simulator.layout
    money = _money(simulator)
    held = np.zeros(len(lay.nodes))
    held[: lay.num_demand] = [node.holding_cost / money for node in lay.nodes[: lay.num_demand]]
    short = np.zeros(len(lay.nodes))
    short[: lay.num_demand] = [_shortage(node) / money for node in lay.nodes[: lay.num_demand]]
    held, short, z = from_below(lay, held), from_below(lay, short), _safety(simulator)
    lead, covered = np.zeros(len(lay.nodes)), np.ones(len(lay.nodes))
    lead[: lay.num_stocking], covered[: lay.num_stocking] = lead_in(lay), cover(lay)
    customers = np.bincount(lay.source, minlength=len(lay.nodes))
    after = float(simulator.net.receipt == "after_decision")
    rows = []
    for k in graph.nodes.tolist():
        node, flow = lay.nodes[k], max(lay.flow[k], 1e-3)
        rows.append(
            [
                float(node.kind == "store"),
                float(node.kind == "supplier"),
                float(simulator.lost_share[k]) if k < lay.num_demand else 0.0,
                after,
                min(lay.flow_std[k] / flow, 3.0),
                node.holding_cost / money,
                held[k] - 1.0,
                math.log1p(short[k]) / 3.0,
                z[k] / 2.0,
                lead[k] / HORIZON,
                math.sqrt(lead[k]) / 3.0,
                math.sqrt(covered[k]) / 4.0,
                math.log1p(customers[k]) / 3.0,
                _tightness(flow, node.throughput_capacity),
                _tightness(flow * covered[k], node.storage_capacity),
                float(simulator.net.integer_orders),
                1.0 / node.shelf_life if node.shelf_life else 0.0,
                math.log1p(node.outdate_cost / money) / 3.0,
                node.fill_rate_target or 0.0,
            ]
        )
    return rows


def _lane_rows(simulator: NetworkSimulator) -> list[list[float]]:
    lay, money = simulator.layout, _money(simulator)
    cheapest, fastest = np.full(len(lay.nodes), np.inf), np.full(len(lay.nodes), np.inf)
    cost = np.array([lane.unit_cost for lane in lay.lanes])
    np.minimum.at(cheapest, lay.target, cost)
    np.minimum.at(fastest, lay.target, lay.mean_lead_time)
    into = np.bincount(lay.target, np.maximum(lay.lane_flow, 1e-9), len(lay.nodes))
    rows = []
    for k, lane in enumerate(lay.lanes):
        flow, target = max(lay.lane_flow[k], 1e-3), lay.target[k]
        supplier = lay.nodes[lay.source[k]]
        rows.append(
            [
                lay.mean_lead_time[k] / HORIZON,
                math.sqrt(lay.mean_lead_time[k]) / 3.0,
                (lay.mean_lead_time[k] - fastest[target]) / HORIZON,
                math.log1p(lane.unit_cost / money) / 3.0,
                math.log1p((lane.unit_cost - cheapest[target]) / money) / 3.0,
                lane.in_transit_cost / money,
                max(lay.lane_flow[k], 1e-9) / into[target],
                float(lay.source[k] >= lay.num_stocking),
                _tightness(flow, lane.capacity),
                _tightness(lay.flow[lay.source[k]], supplier.throughput_capacity),
                math.log1p(lane.fixed_order_cost / (money * flow)) / 3.0,
                min(lane.minimum_order / flow, 10.0) / 3.0,
                min((lane.lot_multiple or 0.0) / flow, 10.0) / 3.0,
                (lane.lead_time - lay.least_lead_time[k]) / HORIZON,
            ]
        )
    return rows


def _money(simulator: NetworkSimulator) -> float:
    """The network's own scale of money [money/unit/period]: the mean holding cost of what has demand."""
    lay = simulator.layout
    held = [node.holding_cost for node in lay.nodes[: lay.num_demand]]
    return max(sum(held) / len(held), 1e-2 * max(_shortage(node) for node in lay.nodes), 1e-9)


def _tightness(flow: float, capacity: float | None) -> float:
    """How much of a capacity the mean flow uses; 0 without a limit."""
    return 0.0 if capacity is None else min(flow / max(capacity, 1e-9), 2.0)
