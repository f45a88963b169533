"""The dynamics of a lot-sizing plant, batched: thousands of scenarios in one call, no loop over items or machines.

In a period: every machine is given an item, or idles; where the item differs from its setup it pays the changeover and
loses output; it makes its lot out of the components in stock (decide). Then demand strikes: what is short waits or is
lost, stock over the storage limits is scrapped, holding is paid on what is left (realize). What a machine may be given
is in `choices`.
Source: Felizardo et al., arXiv 2504.05150, extended to what planners have beyond it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.dynamics import Costs, Simulator, Stage, Tensors
from models.lot_sizing.choices import LotChoices
from models.lot_sizing.demand.sampling import DemandSampler
from models.lot_sizing.demand.tables import DemandTables, demand_tables
from models.lot_sizing.instance import LotSizing
from models.lot_sizing.layout import Layout, compile_layout
from models.lot_sizing.lots import Lots, LotState, Output


@dataclass(frozen=True)
class LotPostState(Tensors):
    """After production, before demand."""

    stock: Float[Tensor, "batch item"]  # [units], net of backlog
    setup: Int[Tensor, "batch machine"]  # item each machine is set up for, I: none
    run: Int[Tensor, "batch bound"]  # as in the state, for the next period


@dataclass(frozen=True)
class Demand(Tensors):
    """The noise path."""

    demand: Float[Tensor, "batch stage item"]  # D [units/period]


class LotSimulator(Simulator[LotState, LotPostState, Lots, Demand]):
    """Batched dynamics of one plant.

    `counts=False` leaves out the quantities behind service measures and plots, which training does not need. `places`
    are the items; what a changeover costs is counted at the item set up for.
    """

    setup_cost: Tensor
    changeover_cost: Tensor
    consumption: Tensor
    holding_cost: Tensor
    lost_sales_cost: Tensor
    backlog_cost: Tensor
    backlog_max: Tensor
    inventory_max: Tensor
    initial_inventory: Tensor
    initial_setup: Tensor
    makeable: Tensor
    num_makeable: Tensor
    minimum_run: Tensor
    lot_machine: Tensor
    space: Tensor
    space_capacity: Tensor
    keeping: Tensor

    def __init__(self, plant: LotSizing, counts: bool = True) -> None:
        super().__init__()
        self.plant, self.counts = plant, counts
        self.layout: Layout = compile_layout(plant)
        self.tables: DemandTables = demand_tables(plant)
        self.sampler = DemandSampler(self.tables)
        self.num_stages = plant.periods
        self.num_items, self.num_machines = self.layout.num_items, self.layout.num_machines
        self.places = tuple(item.id for item in plant.items)
        self.output = Output(plant, self.layout)
        self.lot_choices = LotChoices(plant, self.layout, self.output)
        self.choices = self.lot_choices
        self._register_tables()
        self._register_start()

    def _register_tables(self) -> None:
        lay = self.layout
        idle = np.zeros((self.num_machines, 1))
        self._keep("setup_cost", np.concatenate((lay.setup_cost, idle), axis=1))
        pairs = np.zeros((0, 0, 0)) if lay.changeover_cost is None else lay.changeover_cost
        self._keep("changeover_cost", np.pad(pairs, ((0, 0), (0, 0), (0, 1))))
        for name in ("holding_cost", "lost_sales_cost", "backlog_cost", "backlog_max", "inventory_max"):
            self._keep(name, getattr(lay, name))
        consumption = np.zeros((0, 0)) if lay.consumption is None else lay.consumption
        self._keep("consumption", consumption)
        self._keep("space", lay.space[:, lay.keeping])
        self._keep("space_capacity", lay.space_capacity)
        self._keep("keeping", lay.keeping)
        self._keep("minimum_run", lay.minimum_run)
        self._keep("lot_machine", np.arange(self.num_machines).repeat(self.plant.lots_per_period))
        self.by_pair, self.consumes = lay.changeover_cost is not None, lay.consumption is not None
        self.waits, self.shares_space = bool(lay.backlog_max.any()), bool(len(lay.space))
        self.stores_without_limit = bool(np.isinf(lay.inventory_max).all())
        self.carries_over, self.binds_runs = self.plant.setup_carry_over, bool((lay.minimum_run > 1).any())

    def _register_start(self) -> None:
        lay = self.layout
        self._keep("initial_inventory", lay.initial_inventory)
        self._keep("initial_setup", lay.initial_setup)
        able = [np.flatnonzero(row) for row in lay.can_make]
        self._keep("num_makeable", np.array([len(own) for own in able]))
        padded = [np.pad(own, (0, self.num_items + 1 - len(own)), constant_values=self.num_items) for own in able]
        self._keep("makeable", np.array(padded))

    def _keep(self, name: str, values: np.ndarray) -> None:
        tensor = torch.from_numpy(np.ascontiguousarray(values))
        floating = tensor.is_floating_point()
        self.register_buffer(name, tensor.to(torch.get_default_dtype()) if floating else tensor, persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of every quantity; `simulator.double()` gives float64."""
        return self.holding_cost.dtype

    def initial(self, batch: int, generator: torch.Generator) -> LotState:
        bound = self.num_machines if self.binds_runs else 0
        run = self.initial_setup.new_zeros((batch, bound))
        if self.plant.initial_state == "given":
            stock, setup = (own.expand(batch, -1).clone() for own in (self.initial_inventory, self.initial_setup))
            return LotState(stock, setup, run)
        like: dict[str, Any] = {"generator": generator, "dtype": self.dtype, "device": self.holding_cost.device}
        stock = (torch.rand(batch, self.num_items, **like) * self.inventory_max).floor()
        drawn = torch.rand(batch, self.num_machines, **like) * self.num_makeable
        machine = torch.arange(self.num_machines, device=stock.device)
        return LotState(stock, self.makeable[machine, drawn.long()], run)

    def sample(self, batch: int, generator: torch.Generator) -> Demand:
        return Demand(self.sampler(batch, self.num_stages, generator, self.dtype))

    def expected(self, batch: int) -> Demand:
        return Demand(self.sampler.expected(self.num_stages, self.holding_cost).expand(batch, -1, -1))

    def decide(self, state: LotState, decision: Lots, stage: Stage) -> tuple[LotPostState, Costs]:
        item, course = decision.item, self.output.course(state, decision, stage)
        changed, paid = item != course.before, self.changeover_costs(course.before, item)
        idle = course.last == self.num_items if self.carries_over or self.binds_runs else None
        setup = torch.where(idle, state.setup, course.last) if self.carries_over and idle is not None else course.last
        produced = torch.zeros_like(state.stock[:, :1]).expand(-1, self.num_items + 1)
        produced = produced.scatter_add(1, item, course.made)
        stock = state.stock + produced[:, :-1]
        if self.consumes:
            stock = stock - produced[:, :-1] @ self.consumption
        run = state.run if idle is None else self._run(state, changed, idle)
        post = LotPostState(stock, setup, run)
        components = {"setup": paid.sum(1)}
        if not self.counts:
            return post, Costs(components)
        return post, self._counted(components, paid, produced, item, changed & (item < self.num_items))

    def changeover_costs(self, before: Tensor, item: Tensor) -> Float[Tensor, "batch lot"]:
        """What every lot pays to make `item` after `before` [money]; nothing to idle or go on."""
        if self.by_pair:
            # From an item to itself the table holds nothing.
            return self.changeover_cost[self.lot_machine, before, item]
        return self.setup_cost[self.lot_machine, item] * (item != before)

    def _run(self, state: LotState, changed: Tensor, idle: Tensor) -> Int[Tensor, "batch bound"]:
        """Periods that every machine still has to make its item, seen from the next period."""
        if not self.binds_runs:
            return state.run
        going_on = torch.where(changed, self.minimum_run - 1, (state.run - 1).clamp_min(0))
        return torch.where(idle, state.run if self.carries_over else 0, going_on)

    def _counted(
        self, components: dict[str, Tensor], paid: Tensor, produced: Tensor, item: Tensor, changed: Tensor
    ) -> Costs:
        none = torch.zeros_like(produced)
        by_item = {
            "setup": none.scatter_add(1, item, paid)[:, :-1],
            "produced": produced[:, :-1],
            "changeovers": none.scatter_add(1, item, changed.to(paid))[:, :-1],
        }
        quantities = {name: by_item[name].sum(1) for name in ("produced", "changeovers")}
        return Costs(components, quantities, by_item)

    def realize(self, post: LotPostState, noise: Demand, stage: Stage) -> tuple[LotState, Costs]:
        demand = self._demand_at(noise, stage)
        net = post.stock - demand
        after = torch.maximum(net, -self.backlog_max) if self.waits else net.clamp_min(0.0)
        lost = after - net
        kept = self._stored(after)
        on_hand = kept.clamp_min(0.0) if self.waits else kept
        amounts = {"lost_sales": (lost, self.lost_sales_cost), "holding": (on_hand, self.holding_cost)}
        if self.waits:
            amounts["backlog"] = ((-kept).clamp_min(0.0), self.backlog_cost)
        components = {name: amount @ price for name, (amount, price) in amounts.items()}
        state = LotState(kept, post.setup, post.run)
        if not self.counts:
            return state, Costs(components)
        counted = self._service_counts(post.stock, demand, lost, on_hand, after - kept)
        spent = {name: amount * price for name, (amount, price) in amounts.items()}
        quantities = {name: values.sum(1) for name, values in counted.items()}
        return state, Costs(components, quantities, {**counted, **spent})

    def _demand_at(self, noise: Demand, stage: Stage) -> Float[Tensor, "batch item"]:
        if isinstance(stage, Tensor):
            return noise.demand[torch.arange(noise.batch, device=stage.device), stage]
        return noise.demand[:, stage]

    def _stored(self, stock: Float[Tensor, "batch item"]) -> Float[Tensor, "batch item"]:
        """What the storage limits let keep; own limits first, then shared ones, dearest lost sale kept first."""
        if not self.stores_without_limit:
            stock = torch.minimum(stock, self.inventory_max)
        if not self.shares_space:
            return stock
        ordered = stock[:, self.keeping]
        taken = ordered.clamp_min(0.0)[:, None] * self.space  # (batch, storage, item)
        left = self.space_capacity[:, None] - (taken.cumsum(2) - taken)
        units = torch.where(self.space > 0, left.clamp_min(0.0) / self.space.clamp_min(1e-12), torch.inf).amin(1)
        units = (units + 1e-6).floor() if self.plant.whole_units else units
        kept = torch.minimum(ordered, units)
        return torch.zeros_like(kept).scatter(1, self.keeping.expand_as(kept), kept)

    def _service_counts(
        self, before: Tensor, demand: Tensor, lost: Tensor, on_hand: Tensor, scrapped: Tensor
    ) -> dict[str, Tensor]:
        met = torch.minimum(before.clamp_min(0.0), demand)
        return {
            "demand": demand,
            "met": met,
            "lost": lost,
            "on_hand": on_hand,
            "scrapped": scrapped,
            "stock_outs": (met < demand).to(demand),
            "item_periods": torch.ones_like(demand),
        }

    def service(self, quantities: Mapping[str, Float[Tensor, " batch"]]) -> dict[str, float]:
        total = {name: float(values.double().sum()) for name, values in quantities.items()}
        return {
            "fill_rate": total["met"] / total["demand"] if total["demand"] > 0 else 1.0,
            "cycle_service_level": 1.0 - total["stock_outs"] / total["item_periods"],
        }

    def repair(self, state: LotState, decision: Lots, stage: Stage) -> Lots:
        """What a machine may not be given becomes what it is bound to, or nothing; lots shrink to the components."""
        return self.lot_choices.repair(state, decision, stage)

    def violation(self, state: LotState, decision: Lots, stage: Stage) -> Float[Tensor, " batch"]:
        """Machines given what they may not be (1 each such), shares outside 0 … 1, or components short [units]."""
        return self.lot_choices.violation(state, decision, stage)
