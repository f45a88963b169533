"""The plant compiled once to dense tables; items and machines keep document order, index I stands for no item.

M machines, I items. What a changeover takes is in units of the item set up for, hours included: a changeover of c
hours on a machine with H loses c / H of a full period's production.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.lot_sizing.instance import LotSizing, Machine

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Layout:
    """Tables of one plant."""

    production: Floats  # (M, I) ρ, full output of a full period [units]; 0: cannot make it
    setup_cost: Floats  # (M, I) s [money], unless `changeover_cost` is there
    setup_loss: Floats  # (M, I) τ [units], unless `changeover_loss` is there
    changeover_cost: Floats | None  # (M, I + 1, I) from item (I: none) to item [money]; None: as `setup_cost`
    changeover_loss: Floats | None  # (M, I + 1, I) [units]; None: as `setup_loss`
    share: Floats  # (cycle, M) hours at work over those of a full period, 0 … 1
    minimum_run: Ints  # (M,) [periods]
    initial_setup: Ints  # (M,) item, I: none
    holding_cost: Floats  # (I,) h [money/unit/period]
    lost_sales_cost: Floats  # (I,) p [money/unit]
    backlog_cost: Floats  # (I,) b [money/unit/period]
    backlog_max: Floats  # (I,) [units]; 0 where unmet demand is lost, may be infinite
    inventory_max: Floats  # (I,) [units]; may be infinite
    initial_inventory: Floats  # (I,) [units]
    consumption: Floats | None  # (I, I) units of column per unit of row made; None: no bill of materials
    space: Floats  # (storage, I) space of a unit; 0 where it is kept elsewhere
    space_capacity: Floats  # (storage,)
    keeping: Ints  # (I,) items in the order in which a shared storage keeps them: dearest lost sale first

    @property
    def num_machines(self) -> int:
        return len(self.production)

    @property
    def num_items(self) -> int:
        return len(self.holding_cost)

    @property
    def can_make(self) -> Bools:
        """(M, I) which items a machine can make."""
        return self.production > 0

    def output(self, whole_units: bool, stage: int) -> tuple[Floats, Floats]:
        """Full output (M, I) of a period without and with a changeover [units]; sequence-dependent losses apart."""
        full = self.production * self.share[stage % len(self.share)][:, None]
        lots = np.maximum(full, 0.0), np.maximum(full - self.setup_loss, 0.0)
        return (np.floor(lots[0] + 1e-9), np.floor(lots[1] + 1e-9)) if whole_units else lots


def compile_layout(plant: LotSizing) -> Layout:
    """The tables of a plant."""
    num_machines, num_items = len(plant.machines), len(plant.items)
    production, cost, loss = (np.zeros((num_machines, num_items)) for _ in range(3))
    for own in plant.capabilities:
        place = plant.machine_place[own.machine], plant.item_place[own.item]
        production[place], cost[place] = own.production, own.setup_cost
        loss[place] = own.setup_loss
        if own.setup_hours is not None:
            loss[place] = own.production * own.setup_hours / _hours(plant.machines[place[0]])
    changeover_cost, changeover_loss = _changeovers(plant, production, cost, loss)
    items = plant.items
    worth = np.array([item.lost_sales_cost + item.backlog_cost for item in items])
    space = np.zeros((len(plant.storages), num_items))
    for row, storage in enumerate(plant.storages):
        for item in storage.items:
            space[row, plant.item_place[item]] = storage.space.get(item, 1.0)
    return Layout(
        production,
        cost,
        loss,
        changeover_cost,
        changeover_loss,
        _shares(plant),
        np.array([machine.minimum_run for machine in plant.machines]),
        np.array([num_items if m.initial_setup is None else plant.item_place[m.initial_setup] for m in plant.machines]),
        np.array([item.holding_cost for item in items]),
        np.array([item.lost_sales_cost for item in items]),
        np.array([item.backlog_cost for item in items]),
        np.array([_or_infinite(item.backlog_max) if plant.is_backlogged(item) else 0.0 for item in items]),
        np.array([_or_infinite(item.inventory_max) for item in items]),
        np.array([item.initial_inventory for item in items]),
        _consumption(plant),
        space,
        np.array([storage.capacity for storage in plant.storages]),
        np.argsort(-worth, kind="stable"),
    )


def _or_infinite(limit: float | None) -> float:
    return math.inf if limit is None else limit


def _hours(machine: Machine) -> float:
    assert machine.hours is not None, "checked by the rules"
    return machine.hours


def _changeovers(
    plant: LotSizing, production: Floats, cost: Floats, loss: Floats
) -> tuple[Floats | None, Floats | None]:
    """Cost and loss by pair, the capability's where no changeover says otherwise; nothing from an item to itself."""
    if not plant.changeovers:
        return None, None
    num_items = cost.shape[1]
    costs, losses = (np.repeat(own[:, None, :], num_items + 1, axis=1) for own in (cost, loss))
    same = np.arange(num_items)
    costs[:, same, same] = losses[:, same, same] = 0.0
    for own in plant.changeovers:
        machine, target = plant.machine_place[own.machine], plant.item_place[own.target]
        place = machine, num_items if own.source is None else plant.item_place[own.source], target
        costs[place], losses[place] = own.cost, own.loss or 0.0
        if own.hours is not None:
            losses[place] = production[machine, target] * own.hours / _hours(plant.machines[machine])
    return costs, losses


def _shares(plant: LotSizing) -> Floats:
    """Hours at work over those of a full period (cycle, machine): one row where every period is alike."""
    patterns = [
        np.array(m.hours_by_period) / _hours(m) if m.hours_by_period is not None else np.ones(1) for m in plant.machines
    ]
    cycle = plant.periods if plant.maintenance else min(math.lcm(*(len(own) for own in patterns)), plant.periods)
    share = np.array([np.resize(own, cycle) for own in patterns]).T.copy()
    for work in plant.maintenance:
        place = plant.machine_place[work.machine]
        lost = 1.0 if work.hours is None else work.hours / _hours(plant.machines[place])
        share[work.period : work.period + work.periods, place] -= lost
    open_share: Floats = np.maximum(share, 0.0)
    return open_share


def _consumption(plant: LotSizing) -> Floats | None:
    if not plant.bill_of_materials:
        return None
    table = np.zeros((len(plant.items), len(plant.items)))
    for line in plant.bill_of_materials:
        table[plant.item_place[line.item], plant.item_place[line.component]] = line.quantity
    return table
