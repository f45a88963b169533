"""The items' part of a period: components, demand, what waits, is lost or scrapped, and what is left.

Minima and maxima are choices where nobody gains by choosing badly (what is lost is at least what is short), and 0/1
columns where somebody would: stock is scrapped only where its storage is full (`full`, `cut`), for scrapping saves
holding; demand waits or is lost only where there is no stock (`out`), for a component kept back may be worth more; it
is turned away only where as much waits as may (`turned_away`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from models.lot_sizing.algebra.big_bucket import Buckets
from models.lot_sizing.algebra.common import Plant, add_rows
from models.lot_sizing.algebra.machines import Machines
from models.lot_sizing.algebra.sequences import Sequences


class Stock:
    """Columns and rows of the items, given what the machines make."""

    def __init__(self, block: Any, common: Plant, machines: Machines | Buckets | Sequences) -> None:
        import pyomo.environ as pyo

        self.block, self.of, self.lay, self.sum = block, common, common.lay, pyo.quicksum
        self.made = machines.made
        self.home = {i: s for s in common.simple for i in common.storages[s]}
        self._columns(pyo)
        self._balances()
        self._backlog()
        self._own_limits()
        self._shared_limits()

    def _columns(self, pyo: Any) -> None:
        of, limit = self.of, self.lay.inventory_max
        every, real = of.items, pyo.NonNegativeReals
        most = {of.item_ids[i]: float(limit[i]) if np.isfinite(limit[i]) else None for i in every}
        self.on_hand = self._named("on_hand", every, bounds=lambda _, name: (0, most[name]))
        self.waiting = self._named("waiting", of.waiting, domain=real)
        self.lost = self._named("lost", of.losing, domain=real)
        self.scrapped = self._named("scrapped", of.limited, domain=real)
        self.crowded_out = self._named("crowded_out", of.shared, domain=real)
        self.full = self._named("full", self.of.filling, domain=pyo.Binary)
        self.cut = self._named("cut", self.home, domain=pyo.Binary)
        self.out = self._named("out", of.strict, domain=pyo.Binary)
        self.away = self._named("turned_away", of.turning_away, domain=pyo.Binary)
        self.incoming = self._named("incoming_on_hand", every)
        self.incoming_waiting = self._named("incoming_waiting", of.waiting)
        self.demand = self._named("demand", every)

    def _named(self, name: str, items: Iterable[int], **kind: Any) -> dict[int, Any]:
        """A variable for every item, by its place."""
        from pyomo.environ import Var

        places = list(items)
        family = Var([self.of.item_ids[i] for i in places], **kind)
        self.block.add_component(name, family)
        return {i: family[self.of.item_ids[i]] for i in places}

    def _rows(self, name: str, rows: dict[int, Any]) -> None:
        add_rows(self.block, name, {self.of.item_ids[i]: row for i, row in rows.items()})

    def _used(self, i: int) -> Any:
        """What all lots consume of an item [units]."""
        if self.lay.consumption is None:
            return 0
        consumed = self.lay.consumption[:, i]
        return self.sum(float(consumed[k]) * self.made[k] for k in np.flatnonzero(consumed).tolist())

    def _own_kept(self, i: int) -> Any:
        """What its own storage limit lets keep."""
        return self.on_hand[i] + self.crowded_out.get(i, 0)

    def _left(self, i: int) -> Any:
        """Stock after demand, before anything is scrapped."""
        return self._own_kept(i) + self.scrapped.get(i, 0)

    def _balances(self) -> None:
        """Lots take components from what was there before; demand takes what is there after."""
        of, used = self.of, {i: self._used(i) for i in self.of.items}
        self._rows("components", {i: used[i] <= self.incoming[i] for i in of.components})
        before = {i: self.incoming[i] - self.incoming_waiting.get(i, 0) for i in of.items}
        after = {i: self._left(i) - self.waiting.get(i, 0) - self.lost.get(i, 0) for i in of.items}
        moved = {i: self.made[i] - used[i] - self.demand[i] for i in of.items}
        self._rows("balance", {i: after[i] == before[i] + moved[i] for i in of.items})

    def _backlog(self) -> None:
        of, lay = self.of, self.lay
        short = {i: self.waiting[i] if i in self.waiting else self.lost[i] for i in of.strict}
        most_left, most_short = of.most_left.tolist(), of.most_short.tolist()
        self._rows("left_unless_out", {i: self._left(i) <= most_left[i] * (1 - self.out[i]) for i in of.strict})
        self._rows("short_when_out", {i: short[i] <= most_short[i] * self.out[i] for i in of.strict})
        limit, most = lay.backlog_max.tolist(), of.most_demand.tolist()
        self._rows("waiting_limit", {i: self.waiting[i] <= limit[i] for i in of.turning_away})
        self._rows("all_wait", {i: self.waiting[i] >= limit[i] * self.away[i] for i in of.turning_away})
        self._rows("lost_when_all_wait", {i: self.lost[i] <= most[i] * self.away[i] for i in of.turning_away})

    def _own_limits(self) -> None:
        limit, most = self.lay.inventory_max.tolist(), self.of.most_made.tolist()
        both = [i for i in self.of.limited if i in self.of.shared]  # the others have their limit as a bound
        self._rows("own_limit", {i: self._own_kept(i) <= limit[i] for i in both})
        self._rows("scrapped_when_full", {i: self.scrapped[i] <= most[i] * self.full[i] for i in self.of.filling})
        self._rows("kept_when_full", {i: self._own_kept(i) >= limit[i] * self.full[i] for i in self.of.filling})

    def _shared_limits(self) -> None:
        """Of what is kept in a storage, the dearest lost sale comes first; from where it is full on, the rest goes."""
        of, capacity = self.of, self.lay.space_capacity.tolist()
        space = {(s, i): float(self.lay.space[s, i]) for s, row in enumerate(of.storages) for i in row}
        taken = {s: self.sum(space[s, i] * self.on_hand[i] for i in row) for s, row in enumerate(of.storages)}
        names = {s: storage.id for s, storage in enumerate(of.plant.storages)}
        add_rows(self.block, "space", {names[s]: taken[s] <= capacity[s] for s in taken})
        most = of.most_left.tolist()
        order = {i: place for place, i in enumerate(self.lay.keeping.tolist())}
        filled = {}
        for i, s in self.home.items():
            first = self.sum(space[s, k] * self.on_hand[k] for k in of.storages[s] if order[k] <= order[i])
            broken = space[s, i] if of.plant.whole_units else 0.0
            filled[i] = first >= (capacity[s] - broken) * self.cut[i]
        self._rows("crowded_out_when_cut", {i: self.crowded_out[i] <= most[i] * self.cut[i] for i in self.home})
        self._rows("filled_when_cut", filled)

    def costs(self) -> list[Any]:
        """Holding, what waits and what is lost [money]."""
        prices = (
            (self.lay.holding_cost, self.on_hand),
            (self.lay.backlog_cost, self.waiting),
            (self.lay.lost_sales_cost, self.lost),
        )
        return [float(price[i]) * amount for price, amounts in prices for i, amount in amounts.items()]
