"""The dynamics of an inventory network, batched and differentiable.

In a period: orders leave the supplying nodes (decide); goods due inside the period join stock; demand strikes and costs
are counted (realize); the pipeline moves up. `receipt` says whether what is due joins before or after the decision.
Source: Alvo, Russo, Kanoria, Oh, Ma, arXiv 2306.11246, extended to any acyclic network with capacities.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from models.dynamics import Costs, Simulator, Stage, Tensors
from models.inventory_network.demand import sample_demand
from models.inventory_network.instance import InventoryNetwork
from models.inventory_network.layout import Layout, compile_layout

UNLIMITED = 1e12
"""Stands for no limit [units]: finite, because an infinite one turns a zero gradient into NaN."""


@dataclass(frozen=True)
class NetworkState(Tensors):
    """What is known before deciding."""

    net_inventory: Float[Tensor, "batch node"]  # IL [units], stock on hand less backlog, stocking nodes
    pipeline: Float[Tensor, "batch slot"]  # goods under way [units], lane by lane, nearest arrival first


@dataclass(frozen=True)
class NetworkPostState(Tensors):
    """After orders have left and what is due inside the period has joined stock; before demand."""

    net_inventory: Float[Tensor, "batch node"]  # [units]
    pipeline: Float[Tensor, "batch post_slot"]  # [units], arrival in 1 … L periods


@dataclass(frozen=True)
class Orders(Tensors):
    """The decision: quantity ordered, and shipped at once, on every lane."""

    quantity: Float[Tensor, "batch lane"]  # a [units]


@dataclass(frozen=True)
class Demand(Tensors):
    """The noise path."""

    demand: Float[Tensor, "batch stage store"]  # D [units/period]


class NetworkSimulator(Simulator[NetworkState, NetworkPostState, Orders, Demand]):
    """Batched dynamics of one network.

    `counts=False` leaves out the quantities behind service measures and plots, which training does not need.
    """

    source: Tensor
    target: Tensor
    post_from: Tensor
    due_from: Tensor
    next_from: Tensor
    landing_slots: Tensor
    landing_nodes: Tensor
    due_nodes: Tensor
    own_lanes: Tensor
    own_source: Tensor
    slot_target: Tensor
    holding_cost: Tensor
    shortage_cost: Tensor
    price: Tensor
    lost: Tensor
    unit_cost: Tensor
    throughput_cost: Tensor
    initial_stock: Tensor
    initial_pipeline: Tensor
    in_transit_cost: Tensor
    lane_capacity: Tensor
    throughput_capacity: Tensor
    storage_capacity: Tensor

    def __init__(self, net: InventoryNetwork, counts: bool = True) -> None:
        super().__init__()
        self.net = net
        self.counts = counts
        self.layout: Layout = compile_layout(net)
        self.num_stages = net.periods
        self.first_reported_stage = net.warmup_periods
        self.num_demand = self.layout.num_demand
        self.num_nodes = self.layout.num_stocking
        self.store_ids = [node.id for node in self.layout.nodes[: self.num_demand]]
        self._register_indices()
        self._register_costs()
        self._register_limits()

    def _register_indices(self) -> None:
        lay = self.layout
        for name in ("source", "target", "post_from", "due_from", "next_from", "landing_slots", "landing_nodes"):
            self._keep(name, torch.from_numpy(getattr(lay, name)))
        self._keep("due_nodes", torch.from_numpy(lay.target[lay.due_lanes]))
        own = lay.source < lay.num_stocking
        self._keep("own_lanes", torch.from_numpy(own.nonzero()[0]))
        self._keep("own_source", torch.from_numpy(lay.source[own]))
        self._keep("slot_target", torch.from_numpy(lay.target[lay.slot_lane]))
        self.shifts = self.net.receipt == "before_decision"

    def _register_costs(self) -> None:
        lay, stores = self.layout, self.layout.nodes[: self.num_demand]
        self._keep("holding_cost", _column([node.holding_cost for node in lay.nodes[: self.num_nodes]]))
        self._keep("shortage_cost", _column([node.shortage_cost for node in stores]))
        self._keep("price", _column([node.price for node in stores]))
        self._keep("lost", torch.tensor([node.unmet_demand == "lost" for node in stores]))
        self.any_lost, self.any_backlogged = bool(self.lost.any()), not bool(self.lost.all())
        self._keep("unit_cost", _column([lane.unit_cost for lane in lay.lanes]))
        self._keep("throughput_cost", _column([lay.nodes[i].throughput_cost for i in lay.source]))
        self._keep("initial_stock", _column([node.initial_on_hand for node in lay.nodes[: self.num_nodes]]))
        self._keep("initial_pipeline", _column(lay.initial_in_transit()))
        self._keep("in_transit_cost", _column([lay.lanes[k].in_transit_cost for k in lay.post_lane]))
        self.charges = {
            name: bool((getattr(self, name) > 0).any())
            for name in ("price", "unit_cost", "throughput_cost", "in_transit_cost")
        }

    def _register_limits(self) -> None:
        lay = self.layout
        lanes = [_limit(lane.capacity) for lane in lay.lanes]
        ships = [_limit(node.throughput_capacity) for node in lay.nodes]
        holds = [_limit(node.storage_capacity) for node in lay.nodes[: self.num_nodes]]
        self._keep("lane_capacity", _column(lanes))
        self._keep("throughput_capacity", _column(ships))
        self._keep("storage_capacity", _column(holds))
        self.limits_lanes = any(limit < UNLIMITED for limit in lanes)
        self.limits_storage = any(limit < UNLIMITED for limit in holds)
        limits_suppliers = any(limit < UNLIMITED for limit in ships[self.num_nodes :])
        self.limits_shipping = bool(len(self.own_lanes)) or limits_suppliers

    def _keep(self, name: str, tensor: Tensor) -> None:
        self.register_buffer(name, tensor, persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of every quantity; `simulator.double()` gives float64."""
        return self.holding_cost.dtype

    def initial(self, batch: int, generator: torch.Generator) -> NetworkState:
        return NetworkState(
            self.initial_stock[:, None].expand(-1, batch).t(), self.initial_pipeline[:, None].expand(-1, batch).t()
        )

    def sample(self, batch: int, generator: torch.Generator) -> Demand:
        paths = sample_demand(self.net.demand, self.store_ids, batch, self.num_stages, generator, self.dtype)
        return Demand(paths)

    def expected(self, batch: int) -> Demand:
        means = dict(zip(self.net.demand.node_ids, self.net.demand.moments()[0].tolist(), strict=True))
        mean = _column([means[store] for store in self.store_ids]).to(self.holding_cost)
        return Demand(mean.expand(batch, self.num_stages, -1))

    def decide(self, state: NetworkState, decision: Orders, stage: Stage) -> tuple[NetworkPostState, Costs]:
        orders = decision.quantity
        under_way = torch.cat((state.pipeline, orders), dim=1)
        stock = state.net_inventory
        if len(self.own_lanes):
            stock = _add(stock, self.own_source, -_take(orders, self.own_lanes))
        if len(self.due_from):
            stock = _add(stock, self.due_nodes, _take(under_way, self.due_from))
        post = NetworkPostState(stock, _take(under_way, self.post_from))
        components: dict[str, Tensor] = {}
        if self.charges["unit_cost"]:
            components["procurement"] = orders @ self.unit_cost
        if self.charges["throughput_cost"]:
            components["throughput"] = orders @ self.throughput_cost
        if self.charges["in_transit_cost"]:
            components["in_transit"] = post.pipeline @ self.in_transit_cost
        if self.charges["price"]:
            components["backlog_revenue"] = -(self._served(state.net_inventory, stock) @ self.price)
        counts = {"ordered": orders.sum(1), "in_transit": post.pipeline.sum(1)} if self.counts else {}
        return post, Costs(components, counts)

    def realize(self, post: NetworkPostState, noise: Demand, stage: Stage) -> tuple[NetworkState, Costs]:
        demand = noise.demand[:, stage]
        before = post.net_inventory[:, : self.num_demand]
        after = before - demand
        shortage = (-after).clamp_min(0.0)  # backlog, or demand lost
        if self.any_lost:
            after = (
                after.clamp_min(0.0) if not self.any_backlogged else torch.where(self.lost, after.clamp_min(0.0), after)
            )
        ends = after
        if self.num_nodes > self.num_demand:
            ends = torch.cat((after, post.net_inventory[:, self.num_demand :]), dim=1)
        components = {
            "holding": ends.clamp_min(0.0) @ self.holding_cost,
            "shortage": shortage @ self.shortage_cost,
        }
        following = self._next(ends, post.pipeline)
        if self.charges["price"]:
            sold = demand + (-before).clamp_min(0.0) - shortage + self._served(ends, following.net_inventory)
            components["revenue"] = -(sold @ self.price)
        counts = self._count(before, demand, ends, shortage) if self.counts else {}
        return following, Costs(components, counts)

    def _served(self, before: Tensor, after: Tensor) -> Tensor:
        """Backlog served by goods that joined stock [units], demand nodes; it earns the price when it is served."""
        stores = slice(0, self.num_demand)
        return (-before[:, stores]).clamp_min(0.0) - (-after[:, stores]).clamp_min(0.0)

    def _next(self, ends: Tensor, pipeline: Tensor) -> NetworkState:
        if not self.shifts:
            return NetworkState(ends, pipeline)
        if len(self.landing_slots):
            ends = _add(ends, self.landing_nodes, _take(pipeline, self.landing_slots))
        return NetworkState(ends, _take(pipeline, self.next_from))

    def _count(self, before: Tensor, demand: Tensor, ends: Tensor, shortage: Tensor) -> dict[str, Tensor]:
        met = torch.minimum(before.clamp_min(0.0), demand)
        return {
            "demand": demand.sum(1),
            "met": met.sum(1),
            "on_hand": ends.clamp_min(0.0).sum(1),
            "short": shortage.sum(1),
            "stock_outs": (shortage > 0).to(demand.dtype).sum(1),
            "store_periods": torch.full_like(demand[:, 0], self.num_demand),
        }

    def service(self, quantities: Mapping[str, Float[Tensor, " batch"]]) -> dict[str, float]:
        demand = float(quantities["demand"].double().sum())
        met = float(quantities["met"].double().sum())
        outs = float(quantities["stock_outs"].double().sum())
        return {
            "fill_rate": met / demand if demand > 0 else 1.0,
            "cycle_service_level": 1.0 - outs / float(quantities["store_periods"].double().sum()),
        }

    def available(self, state: NetworkState) -> Float[Tensor, "batch node"]:
        """What every stocking node can ship now [units]: stock on hand, within its throughput capacity."""
        on_hand = state.net_inventory.clamp_min(0.0)
        return torch.minimum(on_hand, self.throughput_capacity[: self.num_nodes])

    def room(self, state: NetworkState) -> Float[Tensor, "batch node"]:
        """What may still be ordered into every stocking node before its storage capacity binds [units]."""
        position = _add(state.net_inventory, self.slot_target, state.pipeline)
        return (self.storage_capacity - position).clamp_min(0.0)

    def repair(self, state: NetworkState, decision: Orders, stage: Stage) -> Orders:
        """Proportional rationing: orders are clipped to lane capacities, then each receiving node's storage room and
        each supplying node's stock are shared in proportion to what was asked."""
        ask = decision.quantity
        if self.net.integer_orders:
            ask = _straight_through(ask, ask.round())
        ask = ask.clamp_min(0.0)
        if self.limits_lanes:
            ask = torch.minimum(ask, self.lane_capacity)
        if self.limits_storage:
            ask = ask * _share(ask, self.target, self.room(state))
        if self.limits_shipping:
            ask = ask * _share(ask, self.source, self.supply(state))
        if self.net.integer_orders:
            ask = _straight_through(ask, (ask + 1e-5).floor())
        return Orders(ask)

    def supply(self, state: NetworkState) -> Float[Tensor, "batch all_nodes"]:
        """What every node can ship now [units], suppliers within their throughput capacity."""
        suppliers = self.throughput_capacity[self.num_nodes :]
        return torch.cat((self.available(state), suppliers.expand(state.batch, -1)), dim=1)

    def violation(self, state: NetworkState, decision: Orders, stage: Stage) -> Float[Tensor, " batch"]:
        orders = decision.quantity
        shipped = _total(orders, self.source, len(self.layout.nodes))
        worst = torch.maximum((-orders).amax(1), (orders - self.lane_capacity).amax(1))
        worst = torch.maximum(worst, (shipped - self.supply(state)).amax(1))
        if self.limits_storage:
            received = _total(orders, self.target, self.num_nodes)
            # A node may start above its capacity; then it must merely receive nothing.
            worst = torch.maximum(worst, (received - self.room(state)).amax(1))
        if self.net.integer_orders:
            worst = torch.maximum(worst, (orders - orders.round()).abs().amax(1))
        return worst.clamp_min(0.0)


def _column(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.get_default_dtype())


def _limit(limit: float | None) -> float:
    return UNLIMITED if limit is None else limit


def _take(values: Tensor, index: Tensor) -> Tensor:
    """Columns of (batch, column), kept in column-major memory so that each is one contiguous copy."""
    return values.t().index_select(0, index).t()


def _add(values: Tensor, index: Tensor, increments: Tensor) -> Tensor:
    """`values` (batch, column) with `increments` (batch, k) added to the columns named by `index`, repeats included."""
    return values.t().index_add(0, index, increments.t()).t()


def _total(values: Tensor, index: Tensor, columns: int) -> Tensor:
    """Sums of `values` (batch, k) by the column each belongs to."""
    return _add(values.new_zeros(columns, values.shape[0]).t(), index, values)


def _share(asked: Tensor, index: Tensor, limit: Tensor) -> Tensor:
    """The share of every entry that its column's limit allows when all are cut alike: min(1, limit / Σ asked)."""
    total = _total(asked, index, limit.shape[1])
    return _take((limit / total.clamp_min(1e-9)).clamp_max(1.0), index)


def _straight_through(smooth: Tensor, exact: Tensor) -> Tensor:
    """The exact value with the smooth one's gradient."""
    return smooth + (exact - smooth).detach()
