"""A plant in whole units: what the exact methods need of an instance, as arrays, and why an instance has no tables.

Stock is counted in whole units between a lower limit (the most backlog) and an upper one (storage), so an item has
finitely many levels. Free of torch: whether an instance has tables is answered where nothing is computed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from models.lot_sizing.demand.process import Distribution, Floats
from models.lot_sizing.demand.tables import DemandTables, Ints, demand_tables
from models.lot_sizing.instance import LotSizing
from models.lot_sizing.layout import Layout, compile_layout

CANNOT = -1  # output of a machine that may not be given the item
NEARLY = 1e-6  # how far a quantity may miss a whole number [units]
LARGEST = 4_000_000  # entries of the one table of a plant
LARGEST_PARTS = 10_000_000  # entries of the items' tables together


@dataclass(frozen=True)
class Plant:
    """Items and machines in whole units. `from` runs over the items and, last, none."""

    num_stages: int  # horizon T
    carries_over: bool  # an idle machine keeps its setup
    low: Ints  # (item,) least stock [units]: minus the most backlog
    high: Ints  # (item,) most stock after demand [units]
    holding_cost: Floats  # (item,) h [money/unit/period]
    backlog_cost: Floats  # (item,) b [money/unit/period]
    lost_sales_cost: Floats  # (item,) p [money/unit]
    demand: DemandTables
    changeover_cost: Floats  # (machine, from, item) [money]; 0 where the machine is set up already
    made: Ints  # (pattern, machine, from, item) output [units]; CANNOT where it may not be made then
    pattern: Ints  # (cycle,) which of the patterns of hours a period has
    random: bool  # the first state is random
    stock: Ints  # (item,) first stock if given [units]
    setup: Ints  # (machine,) first setup if given; number of items: none

    @property
    def num_items(self) -> int:
        """Number of items."""
        return len(self.low)

    @property
    def num_machines(self) -> int:
        """Number of machines."""
        return len(self.changeover_cost)

    @property
    def stationary(self) -> bool:
        """Whether all periods are alike."""
        return len(self.pattern) == 1 and self.demand.stationary

    def law(self, item: int, period: int) -> Distribution:
        """Demand of an item in a period."""
        return self.demand.distributions[int(self.demand.index[period % self.demand.cycle, item])]

    def output(self, period: int) -> Ints:
        """(machine, from, item) output in a period [units]; CANNOT where it may not be made."""
        made: Ints = self.made[self.pattern[period % len(self.pattern)]]
        return made

    def makers(self, item: int) -> list[int]:
        """Machines that may make an item in some period."""
        return [int(m) for m in np.flatnonzero((self.made[:, :, item, item] != CANNOT).any(0))]

    def items_of(self, machine: int) -> list[int]:
        """Items that a machine may make in some period."""
        same = np.arange(self.num_items)
        return [int(i) for i in np.flatnonzero((self.made[:, machine, same, same] != CANNOT).any(0))]

    def levels(self, item: int) -> int:
        """Stock levels before the decision."""
        return int(self.high[item] - self.low[item]) + 1

    def post_levels(self, item: int) -> int:
        """Levels after production that differ: what is beyond is scrapped whatever the demand."""
        return self.levels(item) + int(max(law.values.max() for law in _laws(self.demand, item)))

    def after_demand(self, item: int, period: int, post_levels: int) -> tuple[Ints, Floats, Floats]:
        """Level reached (post level, outcome), chance (outcome,) and expected cost (post level,) of a period."""
        law = self.law(item, period)
        post = self.low[item] + np.arange(post_levels)
        left = post[:, None] - np.rint(law.values).astype(np.int64)
        kept = np.clip(left, self.low[item], self.high[item])
        cost = (
            self.holding_cost[item] * np.maximum(kept, 0)
            + self.backlog_cost[item] * np.maximum(-kept, 0)
            + self.lost_sales_cost[item] * np.maximum(self.low[item] - left, 0)
        )
        return kept - self.low[item], law.probabilities, cost @ law.probabilities

    def sources(self, machine: int, item: int) -> list[int]:
        """Setups from which a machine turns to an item, one for every cost and output that differs."""
        found: dict[tuple[float, ...], int] = {}
        for source in [*self.items_of(machine), self.num_items]:
            if source != item:
                key = (self.changeover_cost[machine, source, item], *self.made[:, machine, source, item])
                found.setdefault(tuple(float(value) for value in key), source)
        return list(found.values())

    def first_stock(self, item: int) -> Floats:
        """Chance of every level of an item at the start."""
        chance = np.zeros(self.levels(item))
        if self.random:
            count = max(int(self.high[item]), 1)
            chance[-int(self.low[item]) :][:count] = 1.0 / count
        else:
            chance[self.stock[item] - self.low[item]] = 1.0
        return chance

    def first_setup(self, machine: int) -> Floats:
        """Chance of every setup of a machine at the start (from,)."""
        able = self.items_of(machine)
        chance = np.zeros(self.num_items + 1)
        if self.random and able:
            chance[able] = 1.0 / len(able)
        else:
            chance[self.num_items if self.random else self.setup[machine]] = 1.0
        return chance


def no_units(instance: LotSizing) -> str | None:
    """Why an instance is not made of items that stand alone, in whole units; None if it is."""
    if instance.lot_rule == "up_to_rate":
        return "lots of any size have no table: it counts whole lots"
    if instance.bill_of_materials:
        return "items that consume each other do not stand alone in a table"
    if instance.storages:
        return "items that share a storage do not stand alone in a table"
    layout = compile_layout(instance)
    for item, owed, first, most in zip(
        instance.items, layout.backlog_max, layout.initial_inventory, layout.inventory_max, strict=True
    ):
        if np.isinf(owed):
            return f"{item.id}: without a limit of the backlog (backlog_max) the table would have no end"
        if not -owed <= first <= most:
            return f"{item.id}: the initial inventory lies outside its limits"
    return _fractions(instance, layout, demand_tables(instance))


def worth_keeping(layout: Layout, tables: DemandTables) -> Floats:
    """Stock of every item (item,) beyond which a unit costs more to keep than it can ever save [units].

    The last of X + 1 units is sold after all others, in period (X + 1) / (largest demand) at the earliest, and costs h
    in every period before that; the lost sale that it saves costs p. Infinite where keeping is free or demand may wait.
    """
    largest = np.array([max(law.values.max() for law in _laws(tables, item)) for item in range(tables.num_items)])
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.ceil(largest * (layout.lost_sales_cost / layout.holding_cost + 1))
    level = np.where((layout.holding_cost > 0) & (layout.backlog_max == 0), level, np.inf)
    return np.maximum(level, layout.initial_inventory)


def _laws(tables: DemandTables, item: int) -> list[Distribution]:
    return [tables.distributions[k] for k in np.unique(tables.index[:, item])]


def table_refuses(instance: LotSizing) -> str | None:
    """Why a plant has no one table of all its setups and stocks; None if it has one."""
    if reason := no_units(instance):
        return reason
    for item in instance.items:
        if item.inventory_max is None:
            return f"{item.id}: without a storage limit (inventory_max) the table would have no end"
    if any(machine.minimum_run > 1 for machine in instance.machines):
        return "runs with a minimum length would have to be part of the state"
    own = plant(instance)
    if not own.demand.independent:
        return "items whose demand moves together do not strike one by one"
    setups = math.prod(len(own.items_of(machine)) + 1 for machine in range(own.num_machines))
    size = setups * math.prod(own.post_levels(item) for item in range(own.num_items))
    if size > LARGEST:
        return f"its table of setups and stocks would have {size:.2g} entries, at most {LARGEST:.2g} are computed"
    return None


def items_refuse(instance: LotSizing) -> str | None:
    """Why a plant's items have no tables of their own; None if they have."""
    if reason := no_units(instance):
        return reason
    layout, tables = compile_layout(instance), demand_tables(instance)
    for item, most in zip(instance.items, np.minimum(layout.inventory_max, worth_keeping(layout, tables)), strict=True):
        if np.isinf(most):
            return (
                f"{item.id}: without a storage limit (inventory_max), a table ends only where sales are lost and "
                "keeping costs something"
            )
    own = plant(instance)
    sizes = {item: own.post_levels(item) << len(own.makers(item)) for item in range(own.num_items)}
    if (total := sum(sizes.values())) > LARGEST_PARTS:
        worst = max(sizes, key=lambda item: sizes[item])
        return (
            f"the items' tables would have {total:.2g} entries, at most {LARGEST_PARTS:.2g} are computed: "
            f"{instance.items[worst].id} alone, which {len(own.makers(worst))} machines can make, {sizes[worst]:.2g}"
        )
    return None


def _fractions(instance: LotSizing, layout: Layout, tables: DemandTables) -> str | None:
    """The first quantity that is not in whole units."""
    if not tables.whole:
        return "demand is not in whole units"
    limits = (layout.inventory_max, layout.backlog_max, layout.initial_inventory)
    if not all(_whole(values[np.isfinite(values)]) for values in limits):
        return "stock limits or initial stock are not in whole units"
    if not all(_whole(_made(instance, layout, share)) for share in np.unique(layout.share, axis=0)):
        return "output is not in whole units (see whole_units)"
    return None


def _whole(values: Floats | Ints) -> bool:
    return bool((np.abs(values - np.rint(values)) <= NEARLY).all())


def plant(instance: LotSizing) -> Plant:
    """The instance in whole units. Unlimited storage ends where keeping more is not worth while (`worth_keeping`).

    Raises:
        ValueError: it is not made of items that stand alone, in whole units.
    """
    if reason := no_units(instance):
        raise ValueError(reason)
    layout, tables = compile_layout(instance), demand_tables(instance)
    most = np.where(np.isinf(layout.inventory_max), worth_keeping(layout, tables), layout.inventory_max)
    shares, pattern = np.unique(layout.share, axis=0, return_inverse=True)
    return Plant(
        num_stages=instance.periods,
        carries_over=instance.setup_carry_over,
        low=-np.rint(layout.backlog_max).astype(np.int64),
        high=np.rint(most).astype(np.int64),
        holding_cost=layout.holding_cost,
        backlog_cost=layout.backlog_cost,
        lost_sales_cost=layout.lost_sales_cost,
        demand=tables,
        changeover_cost=_changeover_cost(layout),
        made=np.stack([np.rint(_made(instance, layout, share)).astype(np.int64) for share in shares]),
        pattern=pattern.reshape(-1),
        random=instance.initial_state == "random",
        stock=np.rint(layout.initial_inventory).astype(np.int64),
        setup=layout.initial_setup,
    )


def _changeover_cost(layout: Layout) -> Floats:
    if layout.changeover_cost is not None:
        return layout.changeover_cost
    cost = np.repeat(layout.setup_cost[:, None, :], layout.num_items + 1, axis=1)
    same = np.arange(layout.num_items)
    cost[:, same, same] = 0.0
    return cost


def _made(instance: LotSizing, layout: Layout, share: Floats) -> Floats:
    """Output (machine, from, item) in a period of such hours; CANNOT where the item may not be made."""
    loss = layout.changeover_loss
    if loss is None:
        loss = np.repeat(layout.setup_loss[:, None, :], layout.num_items + 1, axis=1)
        same = np.arange(layout.num_items)
        loss[:, same, same] = 0.0
    full = (layout.production * share[:, None])[:, None, :]
    made: Floats = np.maximum(full - loss, 0.0)
    if instance.whole_units:
        made = np.floor(made + 1e-4)  # as the simulator rounds
    may = (layout.production > 0) & (share > 0)[:, None]
    return np.where(may[:, None, :], made, float(CANNOT))
