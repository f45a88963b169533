"""What all periods of a plant share in algebra: who can make what, which items need 0/1 columns, largest amounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from models.lot_sizing.instance import LotSizing
from models.lot_sizing.layout import Floats, Layout

Pair = tuple[int, int]  # machine, item


class Plant:
    """Sets and bounds. Items, machines and storages are named by their place in the document."""

    def __init__(self, plant: LotSizing, layout: Layout, largest_demand: Floats) -> None:
        self.plant, self.lay, self.most_demand = plant, layout, largest_demand
        self.item_ids = [item.id for item in plant.items]
        self.machine_ids = [machine.id for machine in plant.machines]
        self.items, self.machines = range(layout.num_items), range(layout.num_machines)
        self.able: list[Pair] = [(m, i) for m in self.machines for i in self.items if layout.can_make[m, i]]
        self.bound = [m for m in self.machines if layout.minimum_run[m] > 1]
        self.by_pair = {m for m in self.machines if self._depends_on_source(m)}
        self.divisible = plant.lot_rule == "up_to_rate"
        self.waiting = [i for i in self.items if layout.backlog_max[i] > 0]
        self.turning_away = [i for i in self.waiting if np.isfinite(layout.backlog_max[i])]
        self.losing = [i for i in self.items if i not in self.waiting or i in self.turning_away]
        self.storages = [np.flatnonzero(row).tolist() for row in layout.space]
        kept_in = (layout.space > 0).sum(0) if len(layout.space) else np.zeros(layout.num_items)
        self.shared = [i for i in self.items if kept_in[i] > 0]
        # Storages whose items are in no other: what they scrap can be said exactly.
        self.simple = [s for s, row in enumerate(self.storages) if all(kept_in[i] == 1 for i in row)]
        self.limited = [i for i in self.items if np.isfinite(layout.inventory_max[i]) and self.most_made[i] > 0]
        self.components = [] if layout.consumption is None else np.flatnonzero(layout.consumption.any(0)).tolist()

    def _depends_on_source(self, m: int) -> bool:
        """Whether what a changeover takes depends on what was made before."""
        tables = [table for table in (self.lay.changeover_cost, self.lay.changeover_loss) if table is not None]
        able = np.flatnonzero(self.lay.can_make[m]).tolist()
        return any(np.ptp(np.delete(table[m, :, i], i)) > 0 for table in tables for i in able)

    def pair_ids(self, pair: Pair) -> tuple[str, str]:
        """The planner's ids of a machine and an item."""
        return self.machine_ids[pair[0]], self.item_ids[pair[1]]

    def setup_cost(self, m: int, i: int) -> float:
        """Cost of a changeover that does not depend on what was made before [money]."""
        table = self.lay.changeover_cost
        return float(self.lay.setup_cost[m, i] if table is None else table[m, -1, i])

    def setup_loss(self, m: int, i: int) -> float:
        """Output it loses [units]."""
        table = self.lay.changeover_loss
        return float(self.lay.setup_loss[m, i] if table is None else table[m, -1, i])

    @cached_property
    def most_made(self) -> Floats:
        """(I,) what all machines together make of an item in a full period [units]."""
        made: Floats = self.lay.production.sum(0)
        return made

    @cached_property
    def most_kept(self) -> Floats:
        """(I,) the most there ever is of an item at the end of a period [units]."""
        lay = self.lay
        most = np.minimum(lay.inventory_max, np.maximum(lay.initial_inventory, 0) + self.most_made * self.plant.periods)
        for capacity, space in zip(lay.space_capacity, lay.space, strict=True):
            inside = space > 0
            most[inside] = np.minimum(most[inside], capacity / space[inside])
        kept: Floats = most
        return kept

    @cached_property
    def most_left(self) -> Floats:
        """(I,) the same before anything is scrapped [units]."""
        left: Floats = self.most_kept + self.most_made
        return left

    @cached_property
    def most_short(self) -> Floats:
        """(I,) the most that ever waits of an item, or that a period loses where nothing waits [units]."""
        owed = np.maximum(-self.lay.initial_inventory, 0) + self.most_demand * self.plant.periods
        waits = self.lay.backlog_max > 0
        short: Floats = np.where(waits, np.minimum(self.lay.backlog_max, owed), self.most_demand)
        return short

    @cached_property
    def filling(self) -> list[int]:
        """Items with a storage limit that somebody might gain by scrapping too much of."""
        return [i for i in self.limited if self.lay.holding_cost[i] > 0 or i in self.shared]

    @cached_property
    def strict(self) -> list[int]:
        """Items that somebody might gain by keeping back from their customers.

        For a lot that needs them, to crowd others out of a storage, to be allowed to scrap them, or to have customers
        turned away.
        """
        costs = self.lay.holding_cost
        crowding = {i for row in self.storages for i in row if any(costs[j] > 0 for j in row if j != i)}
        scrapping = set(self.waiting) & set(self.filling)
        asked = {i for i in self.items if self.most_demand[i] > 0 or i in self.waiting}
        return sorted((set(self.components) | crowding | scrapping | set(self.turning_away)) & asked)

    def relaxations(self) -> list[str]:
        """Where the algebra allows what the simulator does not, in words."""
        found = []
        if self.bound and self.components and not self.divisible:
            found.append("a machine bound to a run may idle although the components of its lot are there")
        if len(self.simple) < len(self.storages):
            found.append("of items that are kept in several shared storages, any may be scrapped")
        if self.shared and self.plant.whole_units:
            found.append("where a shared storage is full, up to a unit more of the item that fills it may be scrapped")
        return found


def add_pairs(block: Any, plant: Plant, name: str, pairs: Sequence[Pair], **kind: Any) -> dict[Pair, Any]:
    """A variable for every machine and item, by their places; named by their ids."""
    from pyomo.environ import Var

    family = Var([plant.pair_ids(pair) for pair in pairs], **kind)
    block.add_component(name, family)
    return {pair: family[plant.pair_ids(pair)] for pair in pairs}


def add_rows(block: Any, name: str, rows: Mapping[Any, Any]) -> None:
    """A family of rows `name[label]`, given as algebra by label."""
    from pyomo.environ import Constraint

    block.add_component(
        name, Constraint(list(rows), rule=lambda _, *label: rows[label if len(label) > 1 else label[0]])
    )
