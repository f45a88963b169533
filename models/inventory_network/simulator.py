"""The dynamics of an inventory network, batched and differentiable.

In a period: orders leave the supplying nodes (decide); goods due inside the period join stock; demand strikes; what
has reached the end of its shelf life leaves; costs are counted (realize); the pipeline moves up. `receipt` says whether
what is due joins before or after the decision. What orders are allowed is in `ordering`, how goods age and when they
arrive by chance in `stock`.
Source: Alvo, Russo, Kanoria, Oh, Ma, arXiv 2306.11246, extended to any acyclic network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from models.dynamics import Costs, Simulator, Stage, Tensors
from models.inventory_network.columns import add, column, run_of, take, total
from models.inventory_network.demand.memory import DemandMemory
from models.inventory_network.demand.sampling import DemandSampler
from models.inventory_network.instance import InventoryNetwork
from models.inventory_network.layout import Layout, compile_layout
from models.inventory_network.ordering import Ordering
from models.inventory_network.stock import Ageing, RandomArrivals


@dataclass(frozen=True)
class NetworkState(Tensors):
    """What is known before deciding."""

    net_inventory: Float[Tensor, "batch node"]  # IL [units], stock on hand less backlog, stocking nodes
    pipeline: Float[Tensor, "batch slot"]  # goods under way [units], lane by lane, nearest (latest) arrival first
    aging: Float[Tensor, "batch age_slot"]  # [units] of a perishable store's stock that lasts ≤ 1 … m − 1 periods more
    memory: Float[Tensor, "batch memory"]  # what of the past helps to foresee demand, see `DemandMemory`


@dataclass(frozen=True)
class NetworkPostState(Tensors):
    """After orders have left and what is due inside the period has joined stock; before demand."""

    net_inventory: Float[Tensor, "batch node"]  # [units]
    pipeline: Float[Tensor, "batch post_slot"]  # [units], arrival in 1 … L periods
    aging: Float[Tensor, "batch age_slot"]  # [units], as in the state
    memory: Float[Tensor, "batch memory"]  # as in the state


@dataclass(frozen=True)
class Orders(Tensors):
    """The decision: quantity ordered, and shipped at once, on every lane."""

    quantity: Float[Tensor, "batch lane"]  # a [units]


@dataclass(frozen=True)
class Demand(Tensors):
    """The noise path."""

    demand: Float[Tensor, "batch stage store"]  # D [units/period]
    delay: Float[Tensor, "batch stage random_lane"]  # u in [0, 1): goods of age a land if u < P(L = a | L ≥ a)


class _Charge(NamedTuple):
    """Amounts and what a unit of each costs, and the node each belongs to."""

    amounts: Tensor  # (batch, k)
    price: Tensor  # (k,) [money per unit of the amount]
    nodes: Tensor | None = None  # (k,) stocking node, in internal order; None: the first k of them


class NetworkSimulator(Simulator[NetworkState, NetworkPostState, Orders, Demand]):
    """Batched dynamics of one network.

    `counts=False` leaves out the quantities behind service measures and plots, which training does not need. `places`
    are the stocking nodes; what an order costs is counted at the node that receives it.
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
    post_target: Tensor
    holding_cost: Tensor
    shortage_cost: Tensor
    lost_sales_cost: Tensor
    price: Tensor
    lost: Tensor
    lost_share: Tensor
    promised: Tensor
    fill_rate_target: Tensor
    unit_cost: Tensor
    throughput_cost: Tensor
    initial_stock: Tensor
    initial_pipeline: Tensor
    in_transit_cost: Tensor

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
        self.sampler = DemandSampler(net, self.store_ids)
        self.places = tuple(node.id for node in self.layout.nodes[: self.num_nodes])
        self.ordering = Ordering(net, self.layout)
        self.ageing = Ageing(self.layout)
        self.arrivals = RandomArrivals(self.layout)
        self.memory = DemandMemory(net, self.store_ids)
        self.num_delays = self.arrivals.num_lanes
        self.remembers, self.perishes = bool(self.memory.width), self.ageing.active
        self.relaxes = self.ordering.relaxes
        self._register_indices()
        self._register_costs()
        self._register_unmet()

    def _register_indices(self) -> None:
        lay = self.layout
        for name in ("source", "target", "post_from", "due_from", "next_from", "landing_slots", "landing_nodes"):
            self._keep(name, torch.from_numpy(getattr(lay, name)))
        picked = ("post_from", "due_from", "next_from", "landing_slots")
        self._runs = {name: run_of(getattr(self, name)) for name in picked}
        landing = lay.landing_nodes.tolist()
        self._all_land = landing == list(range(lay.num_stocking))  # one arrival at every node, in their order
        self._keep("due_nodes", torch.from_numpy(lay.target[lay.due_lanes]))
        own = lay.source < lay.num_stocking
        self._keep("own_lanes", torch.from_numpy(own.nonzero()[0]))
        self._keep("own_source", torch.from_numpy(lay.source[own]))
        self._keep("slot_target", torch.from_numpy(lay.target[lay.slot_lane]))
        self._keep("post_target", torch.from_numpy(lay.target[lay.post_lane]))
        self.shifts = self.net.receipt == "before_decision"

    def _register_costs(self) -> None:
        lay, stores = self.layout, self.layout.nodes[: self.num_demand]
        self._keep("holding_cost", column([node.holding_cost for node in lay.nodes[: self.num_nodes]]))
        self._keep("shortage_cost", column([node.shortage_cost for node in stores]))
        self._keep("lost_sales_cost", column([node.lost_sales_cost for node in stores]))
        self._keep("price", column([node.price for node in stores]))
        self._keep("unit_cost", column([lane.unit_cost for lane in lay.lanes]))
        self._keep("throughput_cost", column([lay.nodes[i].throughput_cost for i in lay.source]))
        self._keep("initial_stock", column([node.initial_on_hand for node in lay.nodes[: self.num_nodes]]))
        self._keep("initial_pipeline", column(lay.initial_in_transit()))
        self._keep("in_transit_cost", column([lay.lanes[k].in_transit_cost for k in lay.post_lane]))
        self.charges = {
            name: bool((getattr(self, name) > 0).any())
            for name in ("price", "unit_cost", "throughput_cost", "in_transit_cost")
        }

    def _register_unmet(self) -> None:
        """What becomes of demand not met at once, and how much of it may be."""
        stores = self.layout.nodes[: self.num_demand]
        kinds = [node.unmet_demand for node in stores]
        self.any_lost, self.any_partial = "lost" in kinds, "partial" in kinds
        self.all_lost = set(kinds) == {"lost"}
        # Stock at the end of a period is then never negative: nothing to clip before it is charged.
        self.nothing_waits = self.all_lost and self.num_nodes == self.num_demand and not self.perishes
        self._keep("lost", torch.tensor([kind == "lost" for kind in kinds]))
        waiting = {"lost": 0.0, "backlogged": 1.0}
        shares = [waiting.get(node.unmet_demand, node.backlog_share or 0.0) for node in stores]
        self._keep("lost_share", column([1.0 - share for share in shares]))
        promised = [k for k, node in enumerate(stores) if node.fill_rate_target is not None]
        self._keep("promised", torch.tensor(promised, dtype=torch.long))
        self._keep("fill_rate_target", column([stores[k].fill_rate_target or 0.0 for k in promised]))
        self._slack_names = [f"fill_rate/{stores[k].id}" for k in promised]

    def _keep(self, name: str, tensor: Tensor) -> None:
        self.register_buffer(name, tensor, persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of every quantity; `simulator.double()` gives float64."""
        return self.holding_cost.dtype

    def initial(self, batch: int, generator: torch.Generator) -> NetworkState:
        memory = self.memory.initial().to(self.holding_cost)
        columns = (self.initial_stock, self.initial_pipeline, self.ageing.start, memory)
        return NetworkState(*(values[:, None].expand(-1, batch).t() for values in columns))

    def sample(self, batch: int, generator: torch.Generator) -> Demand:
        paths = self.sampler(batch, self.num_stages, generator, self.dtype)
        shape = (self.num_stages, self.num_delays, batch)
        delay = torch.rand(shape, generator=generator, dtype=self.dtype, device=paths.device)
        return Demand(paths, delay.permute(2, 0, 1))

    def expected(self, batch: int) -> Demand:
        """Mean demand; the middle of every delay's range."""
        mean = self.sampler.expected(self.num_stages, self.holding_cost)
        delay = mean.new_full((batch, self.num_stages, self.num_delays), 0.5)
        return Demand(mean.expand(batch, -1, -1), delay)

    def decide(self, state: NetworkState, decision: Orders, stage: Stage) -> tuple[NetworkPostState, Costs]:
        orders = decision.quantity
        under_way = torch.cat((state.pipeline, orders), dim=1)
        stock = state.net_inventory
        if len(self.own_lanes):
            stock = add(stock, self.own_source, -take(orders, self.own_lanes))
        if len(self.due_from):
            stock = add(stock, self.due_nodes, take(under_way, self.due_from, self._runs["due_from"]))
        post = NetworkPostState(
            stock, take(under_way, self.post_from, self._runs["post_from"]), state.aging, state.memory
        )
        charged: dict[str, _Charge] = {}
        if self.charges["unit_cost"]:
            charged["procurement"] = _Charge(orders, self.unit_cost, self.target)
        if self.ordering.charges_orders:
            charged["fixed_order"] = _Charge(self.ordering.placed(orders), self.ordering.fixed_cost, self.target)
        if self.charges["throughput_cost"]:
            charged["throughput"] = _Charge(orders, self.throughput_cost, self.target)
        if self.charges["in_transit_cost"]:
            charged["in_transit"] = _Charge(post.pipeline, self.in_transit_cost, self.post_target)
        if self.charges["price"]:
            served = self._served(state.net_inventory, stock)
            charged["backlog_revenue"] = _Charge(served, -self.price)
        if not self.counts:
            return post, self._costs(charged)
        counted = {
            "ordered": self._by_node(orders, self.target),
            "under_way": self._by_node(post.pipeline, self.post_target),
        }
        return post, self._costs(charged, counted)

    def realize(self, post: NetworkPostState, noise: Demand, stage: Stage) -> tuple[NetworkState, Costs]:
        demand = noise.demand[:, stage]
        before = post.net_inventory[:, : self.num_demand]
        after, short, lost = self._serve(before, demand)
        held = after if self.nothing_waits else None
        aging, outdated = post.aging, None
        if self.perishes:
            aging, outdated = self.ageing.issue(post.aging, demand, after)
            after = add(after, self.ageing.stores, -outdated)
        ends = after
        if self.num_nodes > self.num_demand:
            ends = torch.cat((after, post.net_inventory[:, self.num_demand :]), dim=1)
        charged = {
            "holding": _Charge(ends.clamp_min(0.0) if held is None else held, self.holding_cost),
            "shortage": _Charge(short, self.shortage_cost),
        }
        if lost is not None:
            charged["lost_sales"] = _Charge(lost, self.lost_sales_cost)
        if outdated is not None:
            charged["outdate"] = _Charge(outdated, self.ageing.cost, self.ageing.stores)
        following = self._next(ends, post, noise, stage, aging)
        if self.charges["price"]:
            sold = torch.minimum(before.clamp_min(0.0), demand) + self._served(ends, following.net_inventory)
            charged["revenue"] = _Charge(sold, -self.price)
        counted = self._count(before, demand, ends, short, lost, outdated) if self.counts else {}
        slacks = self._slacks(before, demand) if self._slack_names else {}
        return following, self._costs(charged, counted, slacks)

    def _serve(self, before: Tensor, demand: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Net inventory after demand, what is short (backlog, or demand lost), and what partial backlogging loses."""
        after = before - demand
        if self.any_partial:
            unmet = (demand - before.clamp_min(0.0)).clamp_min(0.0)
            turned_away = unmet * self.lost_share
            after = after + turned_away
            short = torch.where(self.lost, unmet, (-after).clamp_min(0.0))
            return after, short, torch.where(self.lost, 0.0, turned_away)
        if self.all_lost:
            left = after.clamp_min(0.0)
            return left, left - after, None
        short = (-after).clamp_min(0.0)
        if self.any_lost:
            after = torch.where(self.lost, after.clamp_min(0.0), after)
        return after, short, None

    def _served(self, before: Tensor, after: Tensor) -> Tensor:
        """Backlog served by goods that joined stock [units], demand nodes; it earns the price when it is served."""
        stores = slice(0, self.num_demand)
        return (-before[:, stores]).clamp_min(0.0) - (-after[:, stores]).clamp_min(0.0)

    def _next(self, ends: Tensor, post: NetworkPostState, noise: Demand, stage: Stage, aging: Tensor) -> NetworkState:
        memory, pipeline = post.memory, post.pipeline
        if self.remembers:
            memory = self.memory.update(memory, noise.demand[:, stage], stage)
        if not self.shifts:
            return NetworkState(ends, pipeline, aging, memory)
        if len(self.landing_slots):
            landed = take(pipeline, self.landing_slots, self._runs["landing_slots"])
            ends = ends + landed if self._all_land else add(ends, self.landing_nodes, landed)
        if self.num_delays:
            ends, pipeline = self.arrivals.land(ends, pipeline, noise.delay[:, stage])
        return NetworkState(ends, take(pipeline, self.next_from, self._runs["next_from"]), aging, memory)

    def _costs(
        self,
        charged: Mapping[str, _Charge],
        counted: Mapping[str, Tensor] | None = None,
        slacks: Mapping[str, Tensor] | None = None,
    ) -> Costs:
        """Components are amounts times prices; with counts, both they and the quantities are kept by node as well."""
        components = {name: charge.amounts @ charge.price for name, charge in charged.items()}
        if not self.counts:
            return Costs(components, slacks=slacks or {})
        counted = counted or {}
        spent = {name: self._by_node(charge.amounts * charge.price, charge.nodes) for name, charge in charged.items()}
        quantities = {name: values.sum(1) for name, values in counted.items()}
        return Costs(components, quantities, {**counted, **spent}, slacks or {})

    def _by_node(self, values: Tensor, nodes: Tensor | None = None) -> Tensor:
        """Values (batch, k) at the stocking nodes they belong to, by default the first k."""
        if nodes is not None:
            return total(values, nodes, self.num_nodes)
        return torch.nn.functional.pad(values, (0, self.num_nodes - values.shape[1]))

    def _count(
        self,
        before: Tensor,
        demand: Tensor,
        ends: Tensor,
        short: Tensor,
        lost: Tensor | None,
        outdated: Tensor | None,
    ) -> dict[str, Tensor]:
        """Quantities by node: units, stock-outs, and the periods in which there was demand to meet."""
        unmet = short if lost is None else short + lost
        refused = torch.where(self.lost, short, 0.0) if lost is None else torch.where(self.lost, short, lost)
        counted = {
            "demand": demand,
            "met": torch.minimum(before.clamp_min(0.0), demand),
            "short": short,
            "lost": refused,
            "stock_outs": (unmet > 0).to(demand.dtype),
            "store_periods": torch.ones_like(demand),
        }
        counted = {name: self._by_node(values) for name, values in counted.items()}
        if outdated is not None:
            counted["outdated"] = self._by_node(outdated, self.ageing.stores)
        return counted | {"on_hand": ends.clamp_min(0.0)}

    def _slacks(self, before: Tensor, demand: Tensor) -> dict[str, Tensor]:
        wanted = take(demand, self.promised)
        met = torch.minimum(take(before, self.promised).clamp_min(0.0), wanted)
        slack = self.fill_rate_target * wanted - met
        return dict(zip(self._slack_names, slack.unbind(1), strict=True))

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
        return torch.minimum(on_hand, self.ordering.throughput_capacity[: self.num_nodes])

    def room(self, state: NetworkState) -> Float[Tensor, "batch node"]:
        """What may still be ordered into every stocking node before its storage capacity binds [units]."""
        position = add(state.net_inventory, self.slot_target, state.pipeline)
        return (self.ordering.storage_capacity - position).clamp_min(0.0)

    def supply(self, state: NetworkState) -> Float[Tensor, "batch all_nodes"]:
        """What every node can ship now [units], suppliers within their throughput capacity."""
        suppliers = self.ordering.throughput_capacity[self.num_nodes :]
        return torch.cat((self.available(state), suppliers.expand(state.batch, -1)), dim=1)

    def repair(self, state: NetworkState, decision: Orders, stage: Stage) -> Orders:
        """Nearest allowed sizes, proportional rationing, and sizes that are then not allowed rounded down."""
        supply = self.supply(state) if self.ordering.limits_shipping else None
        room = self.room(state) if self.ordering.limits_storage else None
        return Orders(self.ordering.repair(decision.quantity, supply, room, self.relaxed))

    def violation(self, state: NetworkState, decision: Orders, stage: Stage) -> Float[Tensor, " batch"]:
        room = self.room(state) if self.ordering.limits_storage else None
        return self.ordering.violation(decision.quantity, self.supply(state), room)
