"""A plant simulated the slow way, machine by machine and item by item: what the batched simulator is held against."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from models.lot_sizing.instance import LotSizing


@dataclass
class PlainState:
    """One scenario's stock by item id, setup by machine id, and periods a run still has to last."""

    stock: dict[str, float]
    setup: dict[str, str | None]
    run: dict[str, int]


@dataclass
class PlainPlant:
    """The dynamics of one plant, straight from its document."""

    plant: LotSizing
    costs: dict[str, float] = field(default_factory=dict)

    def start(self) -> PlainState:
        return PlainState(
            {item.id: item.initial_inventory for item in self.plant.items},
            {machine.id: machine.initial_setup for machine in self.plant.machines},
            {machine.id: 0 for machine in self.plant.machines},
        )

    def working(self, machine, period: int) -> float:
        """Share of a full period the machine works."""
        share = 1.0
        if machine.hours_by_period:
            share = machine.hours_by_period[period % len(machine.hours_by_period)] / machine.hours
        for work in self.plant.maintenance:
            if work.machine == machine.id and work.period <= period < work.period + work.periods:
                share -= 1.0 if work.hours is None else work.hours / machine.hours
        return max(share, 0.0)

    def changeover(self, machine, before: str | None, item: str) -> tuple[float, float]:
        """Cost and units lost."""
        if before == item:
            return 0.0, 0.0
        own = next(c for c in self.plant.capabilities if (c.machine, c.item) == (machine.id, item))
        for pair in self.plant.changeovers:
            if (pair.machine, pair.source, pair.target) == (machine.id, before, item):
                hours = own.production * pair.hours / machine.hours if pair.hours is not None else 0.0
                return pair.cost, hours or pair.loss or 0.0
        lost = own.production * own.setup_hours / machine.hours if own.setup_hours is not None else own.setup_loss
        return own.setup_cost, lost

    def full_output(self, machine, before: str | None, item: str, period: int) -> float:
        own = next(c for c in self.plant.capabilities if (c.machine, c.item) == (machine.id, item))
        made = own.production * self.working(machine, period) - self.changeover(machine, before, item)[1]
        made = max(made, 0.0)
        return float(math.floor(made + 1e-4)) if self.plant.whole_units else made

    def may(self, state: PlainState, given: dict[str, str | None], machine, item: str | None, period: int) -> bool:
        """Whether the machine may be given the item when the machines before it were given `given` (full lots)."""
        able = {c.item for c in self.plant.capabilities if c.machine == machine.id}

        def possible(choice: str) -> bool:
            if choice not in able or self.working(machine, period) == 0:
                return False
            if self.plant.lot_rule == "up_to_rate":
                return True
            left = {part: max(amount, 0.0) for part, amount in state.stock.items()}
            for earlier in self.plant.machines:
                if earlier.id == machine.id:
                    break
                if given[earlier.id] is not None:
                    made = self.full_output(earlier, state.setup[earlier.id], given[earlier.id], period)
                    for part, amount in self.parts(given[earlier.id]).items():
                        left[part] -= made * amount
            made = self.full_output(machine, state.setup[machine.id], choice, period)
            return all(made * amount <= left[part] + 1e-6 for part, amount in self.parts(choice).items())

        if state.run[machine.id] > 0:
            own = state.setup[machine.id]
            return item == (own if possible(own) else None)
        return item is None or possible(item)

    def parts(self, item: str) -> dict[str, float]:
        return {line.component: line.quantity for line in self.plant.bill_of_materials if line.item == item}

    def step(
        self,
        state: PlainState,
        given: dict[str, Any],
        share: dict[str, Any],
        demand: dict[str, float],
        period: int,
    ) -> tuple[PlainState, dict[str, float]]:
        """One period: next state and costs by component. Lists of items and shares are lots one after the other."""
        costs = {"setup": 0.0, "lost_sales": 0.0, "holding": 0.0, "backlog": 0.0}
        stock, setup, run = dict(state.stock), dict(state.setup), dict(state.run)
        for machine in self.plant.machines:
            if isinstance(given[machine.id], list):
                lots = zip(given[machine.id], share[machine.id], strict=True)
                costs["setup"] += self.bucket(machine, list(lots), stock, setup, period)
                continue
            item, before = given[machine.id], state.setup[machine.id]
            if item is None:
                if not self.plant.setup_carry_over:
                    setup[machine.id], run[machine.id] = None, 0
                continue
            made = self.full_output(machine, before, item, period) * share[machine.id]
            costs["setup"] += self.changeover(machine, before, item)[0]
            stock[item] += made
            for part, amount in self.parts(item).items():
                stock[part] -= made * amount
            setup[machine.id] = item
            run[machine.id] = max(state.run[machine.id] - 1, 0) if item == before else machine.minimum_run - 1
        for item in self.plant.items:
            left = stock[item.id] - demand[item.id]
            if left < 0:
                waits = 0.0
                if self.plant.is_backlogged(item):
                    waits = min(-left, math.inf if item.backlog_max is None else item.backlog_max)
                costs["lost_sales"] += item.lost_sales_cost * (-left - waits)
                left = -waits
            stock[item.id] = left if item.inventory_max is None else min(left, item.inventory_max)
        for item_id, units in self.kept(stock).items():
            stock[item_id] = min(stock[item_id], units)
        for item in self.plant.items:
            costs["holding"] += item.holding_cost * max(stock[item.id], 0.0)
            costs["backlog"] += item.backlog_cost * max(-stock[item.id], 0.0)
        return PlainState(stock, setup, run), costs

    def bucket(self, machine, lots, stock, setup, period: int) -> float:
        """Several lots in the hours of a period: changes stock and setup, returns what the changeovers cost."""
        left, paid, last, now = self.working(machine, period), 0.0, None, setup[machine.id]
        for item, share in lots:
            if item is None:
                continue
            rate = next(c for c in self.plant.capabilities if (c.machine, c.item) == (machine.id, item)).production
            cost, lost = self.changeover(machine, now, item)
            left -= lost / rate
            assert left >= -1e-6, "the changeover does not fit"
            stock[item] += rate * left * share
            left, paid, last, now = left * (1 - share), paid + cost, item, item
        setup[machine.id] = last if last is not None or not self.plant.setup_carry_over else setup[machine.id]
        return paid

    def kept(self, stock: dict[str, float]) -> dict[str, float]:
        """What shared storages leave of each item's stock."""
        most = dict.fromkeys(stock, math.inf)
        by_worth = sorted(self.plant.items, key=lambda item: -(item.lost_sales_cost + item.backlog_cost))
        for storage in self.plant.storages:
            left = storage.capacity
            for item in by_worth:
                if item.id in storage.items:
                    space = storage.space.get(item.id, 1.0)
                    units = max(left, 0.0) / space
                    units = math.floor(units + 1e-6) if self.plant.whole_units else units
                    most[item.id] = min(most[item.id], units)
                    left -= max(stock[item.id], 0.0) * space
        return most
