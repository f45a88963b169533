"""The inventory network as algebra: one period as a linear program with incoming state and demand as variables too.

It says line by line what `models.inventory_network.simulator` computes, with minima and maxima written as choices:
units sold are at most the stock and at most the demand, instead of exactly the smaller. Nobody gains by holding sales
back: a unit kept costs holding and shortage now and can at best earn later what it earns now. The plan's cost is
therefore the simulator's, with the exceptions that `relaxes` names; there the program is a relaxation, and its optimum
still a lower bound on the cost of any policy.

Fixed order costs, minimum orders and lots need whole-number columns. A lane's order is switched on by a 0/1 column with
the least finite limit that holds for it: a capacity, or more than its customers can ask for over the whole horizon.
Random lead times have no program: chance would multiply decisions.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from models.inventory_network.instance import InventoryNetwork, Lane, topological_order
from models.inventory_network.layout import Floats, Ints, Layout, compile_layout
from models.inventory_network.simulator import Demand, NetworkState, Orders
from models.program import Indices, LinearProgram, NoProgram, Program, Vector, compile_stage

SETTLING = 5  # [periods]
ROUNDING = 1e-4  # how far from whole a switch or a number of lots may be that a solver calls whole


class NetworkProgram(Program):
    """Stages of one network, all alike.

    The state is stock on hand of every stocking node, backlog of every node that backlogs, the pipeline, for every node
    with a storage capacity what it held above it at the start, and the ages of perishable stock; the noise is every
    store's demand; the decision's columns begin with the orders, lane by lane.
    """

    def __init__(self, net: InventoryNetwork) -> None:
        self.net = net
        self.num_stages = net.periods
        self.cycle = _cycle(net) if net.is_rolling else 0
        self.layout = compile_layout(net)
        nodes, lanes = self.layout.nodes, self.layout.lanes
        self.backlogged = [k for k in range(self.layout.num_demand) if nodes[k].unmet_demand != "lost"]
        self.limited = [k for k in range(self.layout.num_stocking) if nodes[k].storage_capacity is not None]
        self._capacity = np.array([nodes[k].storage_capacity or 0.0 for k in self.limited])
        self._stage = _Period(net, self.layout, self.backlogged, self.limited).compiled()
        self.relaxes = tuple(_relaxations(net))
        self._switched = np.array([k for k, lane in enumerate(lanes) if _is_switched(lane)], dtype=np.int64)
        self._switches = np.array([k for k, name in enumerate(self._stage.columns) if name.startswith("placed[")])
        self._lot = np.array([lane.lot_multiple or 0.0 for lane in lanes])
        self._first = [k for k, name in enumerate(self._stage.columns) if name.startswith(_BEFORE_DEMAND)]

    def stage(self, stage: int) -> LinearProgram:
        return self._stage

    @property
    def lookahead(self) -> int:
        """The longest way of goods to a customer and the longest time an order may have to last [periods].

        A few periods at least are planned beyond the first sale of what is ordered now: what is left over then is worth
        the later orders it saves.
        """
        beyond = max(SETTLING, _longest_cover(self.net, self.layout))
        periods = _longest_way(self.net) + 1 + beyond
        return periods if self.cycle else min(periods, self.num_stages)

    def here_and_now(self, stage: int) -> Indices:
        """The orders, and the columns that say whether and how many lots: the rest answers demand."""
        return np.array(self._first, dtype=np.int64)

    def state_vector(self, state: NetworkState) -> Vector:
        net_inventory = state.net_inventory.detach().cpu().double().numpy()
        pipeline = state.pipeline.detach().cpu().double().numpy()
        aging = state.aging.detach().cpu().double().numpy()
        position = net_inventory.copy()
        np.add.at(position.T, self.layout.target[self.layout.slot_lane], pipeline.T)
        above = np.maximum(position[:, self.limited] - self._capacity, 0.0)
        backlog = np.maximum(-net_inventory[:, self.backlogged], 0.0)
        return np.concatenate([np.maximum(net_inventory, 0.0), backlog, pipeline, above, aging], axis=1)

    def noise_vector(self, noise: Demand, stage: int) -> Vector:
        struck: Vector = noise.demand[:, stage].detach().cpu().double().numpy()
        return struck

    def decision(self, x: Vector, stage: int) -> Orders:
        """The orders; what a solver left next to zero or next to a whole number of lots is put there."""
        orders = np.maximum(x[:, : self.layout.num_lanes], 0.0) + 0.0  # neither −1e-12 nor −0 reaches a planner
        if len(self._switched):
            orders[:, self._switched] *= x[:, self._switches] > ROUNDING
        lots = np.divide(orders, self._lot, out=np.zeros_like(orders), where=self._lot > 0)
        whole = (self._lot > 0) & (np.abs(lots - np.round(lots)) <= ROUNDING)
        return Orders(torch.from_numpy(np.where(whole, np.round(lots) * self._lot, np.round(orders, 10))))


def network_program(net: InventoryNetwork) -> NetworkProgram:
    """The algebraic face of a network.

    Raises:
        NoProgram: lead times are random.
    """
    if any(lane.random_lead_time is not None for lane in net.lanes):
        raise NoProgram("with random lead times chance decides how much arrives, which no linear program can say")
    return NetworkProgram(net)


def _cycle(net: InventoryNetwork) -> int:
    """Periods after which the mean demand of a network that goes on for ever repeats, within its horizon."""
    profile = net.demand.profile(net.timeline)
    lengths = [len(p.index) for p in (profile.mean, profile.std, *profile.multipliers) if p.changes and p.repeats]
    return min(math.lcm(*lengths), net.periods)


def _relaxations(net: InventoryNetwork) -> list[str]:
    """Where the program allows what the simulator does not, in words."""
    supplying = {lane.source for lane in net.lanes}
    stores = [node for node in net.nodes if node.kind == "store"]
    found = []
    if any(node.id in supplying for node in stores):
        found.append("a store that supplies others may keep stock back from its own customers")
    if net.warmup_periods and any(node.price or node.unmet_demand != "backlogged" for node in stores):
        found.append("where the warm-up is free, sales may be held back until the first reported period")
    if any(node.storage_capacity is not None for node in net.nodes):
        found.append("a node that starts above its storage capacity may be refilled to where it started")
    if any(
        node.unmet_demand == "partial"
        and node.lost_sales_cost + node.price > node.shortage_cost
        and (node.backlog_share or 0.0) < 1
        for node in stores
    ):
        found.append("customers who wait may be kept waiting to serve new ones who would not wait")
    if any((node.shelf_life or 1) > 1 for node in stores):
        found.append("perishable stock in its last period may be thrown away while younger stock is sold")
    if any(node.fill_rate_target is not None for node in stores):
        found.append("fill-rate targets are left out")
    return found


def _is_switched(lane: Lane) -> bool:
    """Whether an order on the lane is either zero or something else: a 0/1 column says which."""
    return bool(lane.fixed_order_cost or lane.minimum_order)


def _longest_way(net: InventoryNetwork) -> int:
    """Most periods from an order to a customer."""
    wait = 1 if net.receipt == "after_decision" else 0
    longest: dict[str, int] = {node.id: 0 for node in net.nodes}
    for node_id in reversed(topological_order(net) or []):
        for lane in net.lanes:
            if lane.source == node_id:
                onward = longest[lane.target]
                longest[node_id] = max(longest[node_id], lane.lead_time + onward + (wait if onward else 0))
    return max(longest.values())


def _longest_cover(net: InventoryNetwork, lay: Layout) -> int:
    """Most periods that one order may have to last: a lot, a minimum, or what balances a fixed cost against holding."""
    cover = 0.0
    for k, lane in enumerate(lay.lanes):
        flow, holding = max(lay.lane_flow[k], 1e-9), max(lay.nodes[lay.target[k]].holding_cost, 1e-9)
        economic = (2 * lane.fixed_order_cost * flow / holding) ** 0.5
        cover = max(cover, max(lane.minimum_order, lane.lot_multiple or 0.0, economic) / flow)
    return int(min(np.ceil(cover), net.periods))


def _most(net: InventoryNetwork, lay: Layout) -> Floats:
    """More than any plan orders on each lane in one period [units].

    A capacity where there is one; else what the customers beyond the lane may ask for over the horizon, twenty standard
    deviations above the mean in every period, and the lot or minimum that has to be taken with it.
    """
    mean, std = net.demand.profile(net.timeline).at(np.arange(net.periods))
    asked = dict(zip(net.demand.node_ids, (mean + 20 * std).sum(0).tolist(), strict=True))
    place = {node.id: k for k, node in enumerate(lay.nodes)}
    needed = {node.id: asked.get(node.id, 0.0) + max(-node.initial_on_hand, 0.0) for node in net.nodes}
    most = np.zeros(lay.num_lanes)
    for node_id in reversed(topological_order(net) or []):
        node, into = lay.nodes[place[node_id]], [k for k, lane in enumerate(lay.lanes) if lane.target == node_id]
        for k in into:
            lane, source = lay.lanes[k], lay.nodes[lay.source[k]]
            limits = [lane.capacity, source.throughput_capacity]
            limits += [node.storage_capacity] if node.kind == "warehouse" or node.unmet_demand == "lost" else []
            most[k] = max(needed[node_id] + (lane.lot_multiple or float(net.integer_orders)), lane.minimum_order)
            most[k] = min([most[k], *(limit for limit in limits if limit is not None)])
            # What outdates is ordered again: the lane may have to bring as much every period.
            through = most[k] * net.periods if node.shelf_life else needed[node_id] + most[k]
            needed[lane.source] += through
    return most


_BEFORE_DEMAND = ("order[", "placed[", "lots[")  # columns decided before demand is known


class _Period:
    """One period in Pyomo algebra; expressions by node position, variables and rows named by the planner's ids."""

    def __init__(self, net: InventoryNetwork, lay: Layout, backlogged: list[int], limited: list[int]) -> None:
        import pyomo.environ as pyo

        self.pyo, self.net, self.lay = pyo, net, lay
        self.backlogged, self.limited = backlogged, limited
        self.ids = [node.id for node in lay.nodes]
        self.position = {node_id: k for k, node_id in enumerate(self.ids)}
        self.stores, self.stocking = range(lay.num_demand), range(lay.num_stocking)
        self.partial = [k for k in backlogged if lay.nodes[k].unmet_demand == "partial"]
        self.perishable = [k for k in self.stores if lay.nodes[k].shelf_life is not None]
        landing_nodes = {int(k) for k in lay.landing_nodes}
        self.clearing = [k for k in backlogged if k in landing_nodes]
        self.block = pyo.ConcreteModel()
        self._variables()
        self._goods()
        self._balances()
        self._ageing()
        self._limits()
        self._order_sizes()
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
        self.keys = keys
        switched = [key for key, lane in zip(keys, lay.lanes, strict=True) if _is_switched(lane)]
        m.placed = pyo.Var(switched, domain=pyo.Binary)
        in_lots = [key for key, lane in zip(keys, lay.lanes, strict=True) if lane.lot_multiple is not None]
        m.lots = pyo.Var(in_lots, domain=pyo.NonNegativeIntegers)
        m.on_hand = pyo.Var(self._names(self.stocking), domain=real)  # after what lands at the end of the period
        m.backlog = pyo.Var(self._names(self.backlogged), domain=real)  # likewise
        m.sold = pyo.Var(self._names(self.stores), domain=real)  # before it
        m.served = pyo.Var(self._names(self.partial), domain=real)  # of the backlog, before it
        ages = [(self.ids[k], age) for k in self.perishable for age in range(1, lay.nodes[k].shelf_life or 1)]
        m.aged = pyo.Var(ages, domain=real)  # of the stock that lasts so long, what is left after demand
        m.aging = pyo.Var(ages, domain=real)  # what lasts at most so many periods more
        m.cleared = pyo.Var(self._names(self.clearing), domain=real)  # backlog served by what lands
        m.incoming_on_hand = pyo.Var(self._names(self.stocking))
        m.incoming_backlog = pyo.Var(self._names(self.backlogged))
        m.under_way = pyo.Var(slots)  # from, to, periods to the arrival
        m.above_capacity = pyo.Var(self._names(self.limited))
        m.incoming_aging = pyo.Var(ages)
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
        """Stock once demand is met, before what outdates leaves and what lands then joins."""
        left = self.block.incoming_on_hand[self.ids[k]] - self._sum(self.leaving[k]) + self._sum(self.due[k])
        return left - self._issued(k) if k in self.stores else left

    def _issued(self, k: int) -> Any:
        issued = self.block.sold[self.ids[k]]
        return issued + self.block.served[self.ids[k]] if k in self.partial else issued

    def _outdated(self, k: int) -> Any:
        if k not in self.perishable:
            return 0.0
        return self.block.aged[self.ids[k], 1] if (self.lay.nodes[k].shelf_life or 1) > 1 else self._left(k)

    def _kept(self, k: int) -> Any:
        """Stock at the end of the period, before what lands then."""
        return self._left(k) - self._outdated(k)

    def _short(self, k: int) -> Any:
        """Demand lost in the period, or backlog at its end before what lands then."""
        unmet = self.block.demand[self.ids[k]] - self.block.sold[self.ids[k]]
        if k in self.partial:
            waiting = (self.lay.nodes[k].backlog_share or 0.0) * unmet
            return waiting + self.block.incoming_backlog[self.ids[k]] - self.block.served[self.ids[k]]
        return unmet + self.block.incoming_backlog[self.ids[k]] if k in self.backlogged else unmet

    def _turned_away(self, k: int) -> Any:
        """Demand that partial backlogging loses."""
        share = 1.0 - (self.lay.nodes[k].backlog_share or 0.0)
        return share * (self.block.demand[self.ids[k]] - self.block.sold[self.ids[k]])

    def _cleared(self, k: int) -> Any:
        return self.block.cleared[self.ids[k]] if k in self.clearing else 0.0

    def _sum(self, terms: Iterable[Any]) -> Any:
        return self.pyo.quicksum(terms)

    def _balances(self) -> None:
        m = self.block
        self._rows(
            "balance",
            self.stocking,
            lambda k, i: m.on_hand[i] == self._kept(k) + self._sum(self.landing[k]) - self._cleared(k),
        )
        self._rows("backlog_balance", self.backlogged, lambda k, i: m.backlog[i] == self._short(k) - self._cleared(k))

    def _ageing(self) -> None:
        """Oldest first: of C_k, the stock that lasts at most k periods more, (C_k − issued)⁺ is left after demand."""
        pyo, m, lives = self.pyo, self.block, {self.ids[k]: self.lay.nodes[k].shelf_life or 1 for k in self.perishable}
        ages = list(m.aged.keys())

        def moved(i: str, age: int) -> Any:
            """What lasts so long in the next period lasted one longer in this one; what outdates is gone."""
            k = self.position[i]
            return self._kept(k) if age + 1 == lives[i] else m.aged[i, age + 1] - m.aged[i, 1]

        m.oldest_first = pyo.Constraint(
            ages, rule=lambda _, i, age: m.aged[i, age] >= m.incoming_aging[i, age] - self._issued(self.position[i])
        )
        m.none_gets_older = pyo.Constraint(ages, rule=lambda _, i, age: m.aged[i, age] <= m.incoming_aging[i, age])
        m.age_balance = pyo.Constraint(ages, rule=lambda _, i, age: m.aging[i, age] == moved(i, age))

    def _order_sizes(self) -> None:
        pyo, m = self.pyo, self.block
        lanes = dict(zip(self.keys, self.lay.lanes, strict=True))
        most = dict(zip(self.keys, _most(self.net, self.lay).tolist(), strict=True))
        least = [key for key in m.placed if lanes[key].minimum_order]
        m.switch = pyo.Constraint(list(m.placed), rule=lambda _, *key: m.order[key] <= most[key] * m.placed[key])
        m.least = pyo.Constraint(least, rule=lambda _, *key: m.order[key] >= lanes[key].minimum_order * m.placed[key])
        m.in_lots = pyo.Constraint(
            list(m.lots), rule=lambda _, *key: m.order[key] == lanes[key].lot_multiple * m.lots[key]
        )

    def _limits(self) -> None:
        m, nodes = self.block, self.lay.nodes
        at_once = [k for k in self.stores if k not in self.backlogged or k in self.partial]
        shipping = [k for k in self.stocking if self.leaving[k]]
        throttled = [k for k, node in enumerate(nodes) if self.leaving[k] and node.throughput_capacity is not None]
        # Without landings `on_hand >= 0` says the same as "stock", without customers "shipping" does. Nothing says that
        # backlog is cleared by what lands alone: stock left over had better been sold before.
        # Stock that lasts one period only is gone by then; what lasts longer has no negative ages.
        crowded = [k for k in self.stores if nodes[k].shelf_life == 1 or (self.landing[k] and k not in self.perishable)]
        self._rows("shipping", shipping, lambda k, i: self._sum(self.leaving[k]) <= m.incoming_on_hand[i])
        self._rows("throughput", throttled, lambda k, i: self._sum(self.leaving[k]) <= nodes[k].throughput_capacity)
        self._rows("stock", crowded, lambda k, i: self._left(k) >= 0)
        self._rows("waiting", self.partial, lambda k, i: m.served[i] <= m.incoming_backlog[i])
        self._rows("demand_limit", at_once, lambda k, i: m.sold[i] <= m.demand[i])
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
        terms = [nodes[k].holding_cost * self._kept(k) for k in self.stocking]
        terms += [nodes[k].shortage_cost * self._short(k) for k in self.stores]
        terms += [-nodes[k].price * (self._issued(k) + self._cleared(k)) for k in self.stores]
        terms += [nodes[k].lost_sales_cost * self._turned_away(k) for k in self.partial]
        terms += [nodes[k].outdate_cost * self._outdated(k) for k in self.perishable]
        terms += [
            lane.fixed_order_cost * self.block.placed[key]
            for key, lane in zip(self.keys, lay.lanes, strict=True)
            if _is_switched(lane)
        ]
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
        incoming = [m.incoming_on_hand, m.incoming_backlog, m.under_way, m.above_capacity, m.incoming_aging]
        # Goods under way only move up a slot, and capacity exceeded stays as it was: no row is spent on them.
        moved = [self.post[k] for k in self.lay.next_from]
        return compile_stage(
            m,
            incoming=[variable for family in incoming for variable in family.values()],
            noise=m.demand.values(),
            outgoing=[
                *m.on_hand.values(),
                *m.backlog.values(),
                *moved,
                *m.above_capacity.values(),
                *m.aging.values(),
            ],
        )


def _by_node(positions: Sequence[int] | Ints, terms: Sequence[Any]) -> defaultdict[int, list[Any]]:
    """Terms collected by the node position each belongs to."""
    found: defaultdict[int, list[Any]] = defaultdict(list)
    for k, term in zip(positions, terms, strict=True):
        found[int(k)].append(term)
    return found
