"""The machines' part of a big bucket whose changeovers depend on the item before: lots in their order.

A machine's lots of a period are places 1, 2, …; `make` says which item is at a place. One unit flows from what the
machine comes with through the places: it changes over to the item of the next one, or rests (`idle`) where the lots of
the period end. Lots and changeovers share the hours, so of an item only the sum over its places matters. The general
lot-sizing and scheduling problem with microperiods: Fleischmann, Meyr, OR Spektrum 19 (1997); the flow: Wolsey, EJOR 99
(1997).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models.linear_program import LinearProgram, plain_name
from models.lot_sizing.algebra.common import Pair, Plant, add_pairs, add_rows
from models.lot_sizing.algebra.machines import NONE
from models.lot_sizing.layout import Floats, Ints


class Sequences:
    """Columns and rows of machines that work `hours` (M,) of a full period, with as many places as a period has lots.

    `at[p]` maps (machine, item) to the column of place p; `rests[p]` maps (machine, setup) to that of ending there.
    """

    def __init__(self, block: Any, common: Plant, hours: Floats) -> None:
        import pyomo.environ as pyo

        self.block, self.of, self.lay, self.sum = block, common, common.lay, pyo.quicksum
        self.hours, self.places = hours, range(common.plant.lots_per_period)
        self.able = [pair for pair in common.able if hours[pair[0]] > 0]
        self.items_of = {m: [i for k, i in self.able if k == m] for m in dict.fromkeys(m for m, _ in self.able)}
        self.before = add_pairs(block, common, "incoming_setup", common.able)
        self.lot = add_pairs(block, common, "lot", self.able, domain=pyo.NonNegativeReals)
        self.setup = add_pairs(block, common, "setup", self.able, bounds=(0, 1))
        self._columns(pyo)
        self._flow()
        self._lots()
        self._set_up()
        self.made = [self.sum(self.lot[m, k] for m, k in self.able if k == i) for i in common.items]

    def _columns(self, pyo: Any) -> None:
        b, of = self.block, self.of
        able = [(*of.pair_ids(pair), place) for place in self.places for pair in self.able]
        ways = {m: [(old, new) for old in self._setups(m) for new in own] for m, own in self.items_of.items()}
        self.ways = [(m, old, new, place) for place in self.places for m in ways for old, new in ways[m]]
        b.make = pyo.Var(able, domain=pyo.Binary)
        b.change = pyo.Var([self.way(*way) for way in self.ways], bounds=(0, 1))
        b.idle = pyo.Var(
            [(of.machine_ids[m], self._id(old), p) for p in self.places for m in ways for old in self._setups(m)],
            bounds=(0, 1),
        )
        b.nothing = pyo.Var(bounds=(0, 0))
        b.incoming_run = pyo.Var([])

    def _setups(self, m: int) -> list[int]:
        """What the machine may be set up for; −1: nothing."""
        return [*(i for k, i in self.of.able if k == m), -1]

    def _id(self, item: int) -> str:
        return NONE if item < 0 else self.of.item_ids[item]

    def way(self, m: int, old: int, new: int, place: int) -> tuple[str, str, str, int]:
        """The label of a changeover."""
        return self.of.machine_ids[m], self._id(old), self._id(new), place

    def _make(self, m: int, i: int, place: int) -> Any:
        return self.block.make[(*self.of.pair_ids((m, i)), place)]

    def _set_up_at(self, m: int, i: int, place: int) -> Any:
        """1 if a place finds the machine set up for an item (−1: nothing)."""
        if place:
            return self._make(m, i, place - 1) if i in self.items_of[m] else 0
        known = {k: self.before[m, k] for own, k in self.of.able if own == m}
        return known[i] if i >= 0 else 1 - self.sum(known.values())

    def _flow(self) -> None:
        """What a place finds either changes over to its item or rests; what is at a place came from somewhere."""
        b, leave, arrive = self.block, {}, {}
        for place in self.places:
            for m, own in self.items_of.items():
                name = self.of.machine_ids[m]
                for old in self._setups(m):
                    away = self.sum(b.change[self.way(m, old, new, place)] for new in own)
                    leave[name, self._id(old), place] = away + b.idle[name, self._id(old), place] == self._set_up_at(
                        m, old, place
                    )
                for new in own:
                    came = self.sum(b.change[self.way(m, old, new, place)] for old in self._setups(m))
                    arrive[name, self.of.item_ids[new], place] = came == self._make(m, new, place)
        add_rows(b, "leave", leave)
        add_rows(b, "arrive", arrive)

    def _lots(self) -> None:
        """Lots are made where there is a place for them; lots and changeovers fit in the hours."""
        rate, b = self.lay.production, self.block
        full = {(m, i): rate[m, i] * self.hours[m] for m, i in self.able}
        given = {(m, i): self.sum(self._make(m, i, place) for place in self.places) for m, i in self.able}
        ids = {pair: self.of.pair_ids(pair) for pair in self.able}
        add_rows(b, "rate", {ids[pair]: self.lot[pair] <= full[pair] * given[pair] for pair in self.able})
        takes: dict[int, list[Any]] = {
            m: [self.lot[m, i] / rate[m, i] for i in own] for m, own in self.items_of.items()
        }
        for m, old, new, place in self.ways:
            takes[m].append(self.loss(m, old, new) / rate[m, new] * b.change[self.way(m, old, new, place)])
        hours = {self.of.machine_ids[m]: self.sum(own) <= float(self.hours[m]) for m, own in takes.items()}
        add_rows(b, "hours", hours)

    def _set_up(self) -> None:
        """The last lot's item stays set up: where the flow rests after a lot, or ends at the last place."""
        b, last = self.block, self.places[-1]
        rows = {}
        for m, i in self.able:
            name, item = self.of.pair_ids((m, i))
            rests = [b.idle[name, item, place] for place in self.places if place or self.of.plant.setup_carry_over]
            rows[name, item] = self.setup[m, i] == self._make(m, i, last) + self.sum(rests)
        add_rows(b, "set_up", rows)

    def loss(self, m: int, old: int, new: int) -> float:
        """Output lost [units of the item changed over to]."""
        table = self.lay.changeover_loss
        if table is None:
            return float(self.lay.setup_loss[m, new]) if old != new else 0.0
        return float(table[m, old, new]) if old != new else 0.0

    def _cost(self, m: int, old: int, new: int) -> float:
        """[money]."""
        table = self.lay.changeover_cost
        if table is None:
            return float(self.lay.setup_cost[m, new]) if old != new else 0.0
        return float(table[m, old, new]) if old != new else 0.0

    def costs(self) -> list[Any]:
        """What changeovers cost [money]."""
        return [
            self._cost(m, old, new) * self.block.change[self.way(m, old, new, place)]
            for m, old, new, place in self.ways
        ]

    def setup_after(self, pair: Pair) -> Any:
        """The column that says whether the machine is then set up for the item."""
        if self.hours[pair[0]] > 0:
            return self.setup[pair]
        return self.before[pair] if self.of.plant.setup_carry_over else self.block.nothing

    def run_after(self, m: int) -> Any:
        """No machine is bound to a run."""
        raise AssertionError("minimum runs need one lot a period")


@dataclass(frozen=True)
class SequencedPeriod:
    """A compiled big bucket whose lots have their order; a way is a machine's changeover at a place."""

    program: LinearProgram
    shape: tuple[int, int, int]  # machines, items, lots a machine
    ways: Ints  # (way, 3) machine, item changed over to (or gone on with), place; places ascend
    change: Ints  # (way,) its column
    takes: Floats  # (way,) share of a full period that it takes
    lot: Ints  # (M, I) column of what is made of an item; −1: nothing can be
    rates: Floats  # (M, I) full output of a whole period [units]
    hours: Floats  # (M,) share of a full period that the machines work

    def lots(self, x: Floats) -> tuple[Ints, Floats]:
        """Items and shares (batch, lot), machine by machine in the order in which a machine makes them."""
        found = np.full((len(x), *self.shape[::2]), self.shape[1])
        shares = np.zeros(found.shape)
        for row in range(len(x)):
            left, amounts = self.hours.copy(), np.where(self.lot < 0, 0.0, x[row, self.lot])
            for way in np.flatnonzero(x[row, self.change] > 0.5):
                m, item, place = self.ways[way]
                left[m] = max(left[m] - self.takes[way], 0.0)
                used, amounts[m, item] = amounts[m, item] / self.rates[m, item], 0.0  # the first of its lots makes all
                share = min(max(used / left[m], 0.0), 1.0) if left[m] > 1e-9 else 0.0
                found[row, m, place], shares[row, m, place] = item, share
                left[m] *= 1.0 - share
        return found.reshape(len(x), -1), shares.reshape(len(x), -1)


def sequenced_period(own: Sequences, program: LinearProgram) -> SequencedPeriod:
    """Where a compiled period says what is made."""
    b, of, rates = own.block, own.of, own.lay.production
    lot = np.full(rates.shape, -1, dtype=np.int64)
    for pair, column in own.lot.items():
        lot[pair] = program.column(plain_name(column))
    change = [program.column(plain_name(b.change[own.way(*way)])) for way in own.ways]
    return SequencedPeriod(
        program,
        (len(of.machines), len(of.items), of.plant.lots_per_period),
        np.array([(m, new, place) for m, _, new, place in own.ways], dtype=np.int64).reshape(-1, 3),
        np.array(change, dtype=np.int64),
        np.array([own.loss(m, old, new) / rates[m, new] for m, old, new, _ in own.ways]),
        lot,
        rates,
        own.hours,
    )
