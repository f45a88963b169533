"""The inventory network as algebra: one period as a linear program with incoming state and demand as variables too.

It says line by line what `models.inventory_network.simulator` computes, with minima and maxima written as choices:
units sold are at most the stock and at most the demand, instead of exactly the smaller. Nobody gains by holding sales
back: a unit kept costs holding and shortage now and can at best earn later what it earns now. The plan's cost is
therefore the simulator's, with the exceptions that `relaxes` names; there the program is a relaxation, and its optimum
still a lower bound on the cost of any policy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from models.inventory_network.instance import InventoryNetwork
from models.inventory_network.layout import Ints, Layout, compile_layout
from models.inventory_network.simulator import Demand, NetworkState, Orders
from models.program import LinearProgram, Program, Vector, compile_stage


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
        self._stage = _Period(net, self.layout, self.backlogged, self.limited).compiled()
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
        orders = np.maximum(x[:, : self.layout.num_lanes], 0.0) + 0.0  # neither −1e-12 nor −0 reaches a planner
        return Orders(torch.from_numpy(orders))


def network_program(net: InventoryNetwork) -> NetworkProgram:
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
        found.append("where the warm-up is free, sales may be held back until the first reported period")
    if any(node.storage_capacity is not None for node in net.nodes):
        found.append("a node that starts above its storage capacity may be refilled to where it started")
    return found


class _Period:
    """One period in Pyomo algebra; expressions by node position, variables and rows named by the planner's ids."""

    def __init__(self, net: InventoryNetwork, lay: Layout, backlogged: list[int], limited: list[int]) -> None:
        import pyomo.environ as pyo

        self.pyo, self.net, self.lay = pyo, net, lay
        self.backlogged, self.limited = backlogged, limited
        self.ids = [node.id for node in lay.nodes]
        self.position = {node_id: k for k, node_id in enumerate(self.ids)}
        self.stores, self.stocking = range(lay.num_demand), range(lay.num_stocking)
        landing_nodes = {int(k) for k in lay.landing_nodes}
        self.clearing = [k for k in backlogged if k in landing_nodes]
        self.block = pyo.ConcreteModel()
        self._variables()
        self._goods()
        self._balances()
        self._limits()
        self.block.cost = pyo.Objective(expr=self._cost())

    def _names(self, positions: Iterable[int]) -> list[str]:
        return [self.ids[k] for k in positions]

    def _variables(self) -> None:
        pyo, m, lay = self.pyo, self.block, self.lay
        keys = [(lane.source, lane.target) for lane in lay.lanes]
        slots = [(*keys[k], int(due)) for k, due in zip(lay.slot_lane, lay.slot_arrival, strict=True)]
        capacity = dict(zip(keys, (lane.capacity for lane in lay.lanes), strict=True))
        whole = pyo.NonNegativeIntegers if self.net.integer_orders else pyo.NonNegativeReals
        real = pyo.NonNegativeReals
        m.order = pyo.Var(keys, domain=whole, bounds=lambda _, *key: (0, capacity[key]))  # first: see `decision`
        m.on_hand = pyo.Var(self._names(self.stocking), domain=real)  # after what lands at the end of the period
        m.backlog = pyo.Var(self._names(self.backlogged), domain=real)  # likewise
        m.sold = pyo.Var(self._names(self.stores), domain=real)  # before it
        m.cleared = pyo.Var(self._names(self.clearing), domain=real)  # backlog served by what lands
        m.incoming_on_hand = pyo.Var(self._names(self.stocking))
        m.incoming_backlog = pyo.Var(self._names(self.backlogged))
        m.under_way = pyo.Var(slots)  # from, to, periods to the arrival
        m.above_capacity = pyo.Var(self._names(self.limited))
        m.demand = pyo.Var(self._names(self.stores))

    def _goods(self) -> None:
        """What moves where: by node position, the terms that leave, are ordered, join, land or are under way."""
        lay, slots, orders = self.lay, list(self.block.under_way.values()), list(self.block.order.values())
        moving = [*slots, *orders]  # what the layout's `*_from` columns point into
        self.post = [moving[k] for k in lay.post_from]
        self.leaving = _by_node(lay.source, orders)
        self.ordered = _by_node(lay.target, orders)
        self.due = _by_node(lay.target[lay.due_lanes], [moving[k] for k in lay.due_from])
        self.landing = _by_node(lay.landing_nodes, [self.post[k] for k in lay.landing_slots])
        self.approaching = _by_node(lay.target[lay.slot_lane], slots)

    def _left(self, k: int) -> Any:
        """Stock at the end of the period, before what lands then."""
        left = self.block.incoming_on_hand[self.ids[k]] - self._sum(self.leaving[k]) + self._sum(self.due[k])
        return left - self.block.sold[self.ids[k]] if k in self.stores else left

    def _short(self, k: int) -> Any:
        """Demand lost in the period, or backlog at its end before what lands then."""
        short = self.block.demand[self.ids[k]] - self.block.sold[self.ids[k]]
        return short + self.block.incoming_backlog[self.ids[k]] if k in self.backlogged else short

    def _cleared(self, k: int) -> Any:
        return self.block.cleared[self.ids[k]] if k in self.clearing else 0.0

    def _sum(self, terms: Iterable[Any]) -> Any:
        return self.pyo.quicksum(terms)

    def _balances(self) -> None:
        m = self.block
        self._rows(
            "balance",
            self.stocking,
            lambda k, i: m.on_hand[i] == self._left(k) + self._sum(self.landing[k]) - self._cleared(k),
        )
        self._rows("backlog_balance", self.backlogged, lambda k, i: m.backlog[i] == self._short(k) - self._cleared(k))

    def _limits(self) -> None:
        m, nodes, lost = self.block, self.lay.nodes, [k for k in self.stores if k not in self.backlogged]
        shipping = [k for k in self.stocking if self.leaving[k]]
        throttled = [k for k, node in enumerate(nodes) if self.leaving[k] and node.throughput_capacity is not None]
        # Without landings `on_hand >= 0` says the same as "stock", without customers "shipping" does. Nothing says that
        # backlog is cleared by what lands alone: stock left over had better been sold before.
        crowded = [k for k in self.stores if self.landing[k]]
        self._rows("shipping", shipping, lambda k, i: self._sum(self.leaving[k]) <= m.incoming_on_hand[i])
        self._rows("throughput", throttled, lambda k, i: self._sum(self.leaving[k]) <= nodes[k].throughput_capacity)
        self._rows("stock", crowded, lambda k, i: self._left(k) >= 0)
        self._rows("demand_limit", lost, lambda k, i: m.sold[i] <= m.demand[i])
        self._rows(
            "storage",
            self.limited,
            lambda k, i: (
                self._sum(self.ordered[k]) + self._position(k) <= nodes[k].storage_capacity + m.above_capacity[i]
            ),
        )

    def _position(self, k: int) -> Any:
        position = self.block.incoming_on_hand[self.ids[k]] + self._sum(self.approaching[k])
        return position - self.block.incoming_backlog[self.ids[k]] if k in self.backlogged else position

    def _cost(self) -> Any:
        lay, nodes = self.lay, self.lay.nodes
        orders = list(self.block.order.values())
        terms = [nodes[k].holding_cost * self._left(k) for k in self.stocking]
        terms += [nodes[k].shortage_cost * self._short(k) for k in self.stores]
        terms += [-nodes[k].price * (self.block.sold[self.ids[k]] + self._cleared(k)) for k in self.stores]
        terms += [lane.unit_cost * order for lane, order in zip(lay.lanes, orders, strict=True)]
        terms += [nodes[k].throughput_cost * order for k, order in zip(lay.source, orders, strict=True)]
        terms += [lay.lanes[k].in_transit_cost * goods for k, goods in zip(lay.post_lane, self.post, strict=True)]
        return self.pyo.quicksum(terms)

    def _rows(self, name: str, positions: Iterable[int], rule: Callable[[int, str], Any]) -> None:
        """A family of rows, one per node, named `name[id]`."""
        names = self._names(positions)
        constraint = self.pyo.Constraint(names, rule=lambda _, i: rule(self.position[i], i))
        self.block.add_component(name, constraint)

    def compiled(self) -> LinearProgram:
        m = self.block
        incoming = [m.incoming_on_hand, m.incoming_backlog, m.under_way, m.above_capacity]
        # Goods under way only move up a slot, and capacity exceeded stays as it was: no row is spent on them.
        moved = [self.post[k] for k in self.lay.next_from]
        return compile_stage(
            m,
            incoming=[variable for family in incoming for variable in family.values()],
            noise=m.demand.values(),
            outgoing=[*m.on_hand.values(), *m.backlog.values(), *moved, *m.above_capacity.values()],
        )


def _by_node(positions: Sequence[int] | Ints, terms: Sequence[Any]) -> defaultdict[int, list[Any]]:
    """Terms collected by the node position each belongs to."""
    found: defaultdict[int, list[Any]] = defaultdict(list)
    for k, term in zip(positions, terms, strict=True):
        found[int(k)].append(term)
    return found
