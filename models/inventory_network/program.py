"""The inventory network as algebra: one period as a linear program whose incoming state and demand are variables too.

It says line by line what `models.inventory_network.simulator` computes, with minima and maxima written as choices: units
sold are at most the stock and at most the demand, instead of exactly the smaller. Nobody gains by holding sales back:
a unit kept costs holding and shortage now and can at best earn later what it earns now. The plan's cost is therefore
the simulator's, with the exceptions that `relaxes` names; there the program is a relaxation, and its optimum still a
lower bound on the cost of any policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from models.inventory_network.instance import InventoryNetwork
from models.inventory_network.layout import Layout, compile_layout
from models.inventory_network.simulator import Demand, NetworkState, Orders
from models.program import LinearProgram, Program, Vector


class NetworkProgram(Program):
    """Stages of one network, all alike.

    The state is stock on hand of every stocking node, backlog of every node that backlogs, the pipeline, and for every
    node with a storage capacity what it held above it at the start; the noise is every store's demand; the decision's
    columns begin with the orders, lane by lane.
    """

    def __init__(self, net: InventoryNetwork) -> None:
        self.net = net
        self.num_stages = net.periods
        self.layout = compile_layout(net)
        nodes = self.layout.nodes
        self.backlogged = [k for k in range(self.layout.num_demand) if nodes[k].unmet_demand == "backlogged"]
        self.limited = [k for k in range(self.layout.num_stocking) if nodes[k].storage_capacity is not None]
        self._capacity = np.array([nodes[k].storage_capacity or 0.0 for k in self.limited])
        self._stage = _compile(net, self.layout, self.backlogged, self.limited)
        self.relaxes = tuple(_relaxations(net))

    def stage(self, stage: int) -> LinearProgram:
        return self._stage

    def state_vector(self, state: NetworkState) -> Vector:
        net_inventory = state.net_inventory.detach().cpu().double().numpy()
        pipeline = state.pipeline.detach().cpu().double().numpy()
        position = net_inventory.copy()
        np.add.at(position.T, self.layout.target[self.layout.slot_lane], pipeline.T)
        above = np.maximum(position[:, self.limited] - self._capacity, 0.0)
        backlog = np.maximum(-net_inventory[:, self.backlogged], 0.0)
        return np.concatenate([np.maximum(net_inventory, 0.0), backlog, pipeline, above], axis=1)

    def noise_vector(self, noise: Demand, stage: int) -> Vector:
        struck: Vector = noise.demand[:, stage].detach().cpu().double().numpy()
        return struck

    def decision(self, x: Vector, stage: int) -> Orders:
        return Orders(torch.from_numpy(np.ascontiguousarray(x[:, : self.layout.num_lanes])))


def program(net: InventoryNetwork) -> NetworkProgram:
    """The algebraic face of a network."""
    return NetworkProgram(net)


def _relaxations(net: InventoryNetwork) -> list[str]:
    """Where holding sales back could pay, in words."""
    supplying = {lane.source for lane in net.lanes}
    found = []
    if any(node.kind == "store" and node.id in supplying for node in net.nodes):
        found.append("a store that supplies others may keep stock back from its own customers")
    if net.warmup_periods and any(
        node.price or node.unmet_demand == "lost" for node in net.nodes if node.kind == "store"
    ):
        found.append("sales may be held back until the first reported period")
    if any(node.storage_capacity is not None for node in net.nodes):
        found.append("a node that starts above its storage capacity may be refilled to where it started")
    return found


def _compile(net: InventoryNetwork, lay: Layout, backlogged: list[int], limited: list[int]) -> LinearProgram:
    import pyomo.environ as pyo

    nodes, lanes = lay.nodes, lay.lanes
    stocking, stores = range(lay.num_stocking), range(lay.num_demand)
    ids = [node.id for node in nodes]
    whole = pyo.NonNegativeIntegers if net.integer_orders else pyo.NonNegativeReals
    early = net.receipt == "before_decision"

    def named(positions: Sequence[int]) -> list[str]:
        return [ids[k] for k in positions]

    lane_keys = [(lane.source, lane.target) for lane in lanes]
    slot_keys = [(*lane_keys[k], int(due)) for k, due in zip(lay.slot_lane, lay.slot_arrival, strict=True)]
    landing_nodes = {int(k) for k in lay.landing_nodes}
    clearing = [k for k in backlogged if k in landing_nodes]

    m = pyo.ConcreteModel()
    capacity = {key: lane.capacity for key, lane in zip(lane_keys, lanes, strict=True)}
    m.order = pyo.Var(lane_keys, domain=whole, bounds=lambda _, *key: (0, capacity[key]))
    m.incoming_on_hand = pyo.Var(named(stocking))
    m.incoming_backlog = pyo.Var(named(backlogged))
    m.under_way = pyo.Var(slot_keys)  # from, to, periods from now to the arrival
    m.above_capacity = pyo.Var(named(limited))
    m.demand = pyo.Var(named(stores))
    m.on_hand = pyo.Var(named(stocking), domain=pyo.NonNegativeReals)
    m.backlog = pyo.Var(named(backlogged), domain=pyo.NonNegativeReals)
    m.sold = pyo.Var(named(stores), domain=pyo.NonNegativeReals)
    m.cleared = pyo.Var(named(clearing), domain=pyo.NonNegativeReals)  # backlog served by what lands after demand

    order = list(m.order.values())
    moving = [*m.under_way.values(), *order]  # what the layout's `*_from` columns point into
    post = [moving[k] for k in lay.post_from]
    shipped = _by_node(lay.source, order)
    received = _by_node(lay.target, order)
    due = _by_node(lay.target[lay.due_lanes], [moving[k] for k in lay.due_from])
    landing = _by_node(lay.landing_nodes, [post[k] for k in lay.landing_slots])
    approaching = _by_node(lay.target[lay.slot_lane], list(m.under_way.values()))

    def ends(k: int) -> Any:
        """Stock left at the end of the period, before what lands then."""
        stock = m.incoming_on_hand[ids[k]] - pyo.quicksum(shipped[k]) + pyo.quicksum(due[k])
        return stock - m.sold[ids[k]] if k < lay.num_demand else stock

    def short(k: int) -> Any:
        """Demand lost in the period, or backlog at its end before what lands then."""
        unmet = m.demand[ids[k]] - m.sold[ids[k]]
        return unmet + m.incoming_backlog[ids[k]] if k in in_backlog else unmet

    in_backlog = set(backlogged)
    m.balance = pyo.Constraint(
        named(stocking),
        rule=lambda _, i: (
            m.on_hand[i] == ends(at[i]) + pyo.quicksum(landing[at[i]]) - (m.cleared[i] if at[i] in clearing else 0)
        ),
    )
    at = {node_id: k for k, node_id in enumerate(ids)}
    return m
