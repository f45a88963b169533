"""The machines' part of a big bucket: several lots a machine in one period, which share its hours.

The lot of the item a machine comes with goes first and needs no changeover; every other lot starts with one, and an
item is started at most once (twice would never pay). The item of the last lot stays set up. Capacitated lot sizing
with setup carry-over: Sox and Gao, IIE Transactions 31 (1999); Karimi, Fatemi Ghomi, Wilson, Omega 31 (2003).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models.linear_program import LinearProgram, plain_name
from models.lot_sizing.algebra.common import Pair, Plant, add_pairs, add_rows
from models.lot_sizing.layout import Floats, Ints


class Buckets:
    """Columns and rows of machines that work `hours` (M,) of a full period and make several lots in them.

    What a changeover takes must not depend on the item before it.
    """

    def __init__(self, block: Any, common: Plant, hours: Floats) -> None:
        import pyomo.environ as pyo

        self.block, self.of, self.lay, self.sum = block, common, common.lay, pyo.quicksum
        self.hours = hours
        self.able = [pair for pair in common.able if hours[pair[0]] > 0]
        self.items_of = {m: [i for k, i in self.able if k == m] for m in dict.fromkeys(m for m, _ in self.able)}
        self.start = add_pairs(block, common, "start", self.able, domain=pyo.Binary)
        self.go_on = add_pairs(block, common, "make", self.able, domain=pyo.Binary)
        self.setup = add_pairs(block, common, "setup", self.able, domain=pyo.Binary)
        self.lot = add_pairs(block, common, "lot", self.able, domain=pyo.NonNegativeReals)
        self.before = add_pairs(block, common, "incoming_setup", common.able)
        block.nothing = pyo.Var(bounds=(0, 0))
        block.incoming_run = pyo.Var([])
        self._lots()
        self._setups()
        self.made = [self.sum(self.lot[m, k] for m, k in self.able if k == i) for i in common.items]

    def _rows(self, name: str, rows: dict[Pair, Any]) -> None:
        add_rows(self.block, name, {self.of.pair_ids(pair): row for pair, row in rows.items()})

    def _machine_rows(self, name: str, rows: dict[int, Any]) -> None:
        add_rows(self.block, name, {self.of.machine_ids[m]: row for m, row in rows.items()})

    def _lots(self) -> None:
        """What is made was set up before or is started; lots and changeovers fit in the hours."""
        rate, lots, several = self.lay.production, self.lot, self.of.plant.lots_per_period
        begun = {pair: self.start[pair] + self.go_on[pair] for pair in self.able}
        self._rows("goes_on", {pair: self.go_on[pair] <= self.before[pair] for pair in self.able})
        full = {(m, i): rate[m, i] * self.hours[m] for m, i in self.able}
        self._rows("rate", {pair: lots[pair] <= full[pair] * begun[pair] for pair in self.able})
        self._machine_rows(
            "lots", {m: self.sum(begun[m, i] for i in own) <= several for m, own in self.items_of.items()}
        )
        takes = {(m, i): (lots[m, i] + self.of.setup_loss(m, i) * self.start[m, i]) / rate[m, i] for m, i in self.able}
        self._machine_rows(
            "hours", {m: self.sum(takes[m, i] for i in own) <= float(self.hours[m]) for m, own in self.items_of.items()}
        )

    def _setups(self) -> None:
        """The last lot's item stays set up: a started one, or the first where none is started."""
        start, setup, carries = self.start, self.setup, self.of.plant.setup_carry_over
        kept = self.before if carries else self.go_on
        self._rows("set_up", {pair: setup[pair] <= start[pair] + kept[pair] for pair in self.able})
        self._machine_rows(
            "set_up_once", {m: self.sum(setup[m, i] for i in own) <= 1 for m, own in self.items_of.items()}
        )
        pairs = [(m, i, j) for m, own in self.items_of.items() for i in own for j in own]
        ids = {(m, i, j): (*self.of.pair_ids((m, i)), self.of.item_ids[j]) for m, i, j in pairs}
        after = {
            ids[m, i, j]: setup[m, i] + start[m, j] <= 1 + start[m, i] if i != j else self._some(m) >= start[m, j]
            for m, i, j in pairs
        }
        add_rows(self.block, "set_up_after", after)
        # What the machine comes with needs a changeover only if it comes back to it, last of all.
        others = {(m, i): self.sum(start[m, j] for j in self.items_of[m] if j != i) for m, i in self.able}
        again = {pair: start[pair] + self.before[pair] - 1 for pair in self.able}
        self._rows("back_last", {pair: again[pair] <= setup[pair] for pair in self.able})
        self._rows("back_from_another", {pair: again[pair] <= others[pair] for pair in self.able})
        self._rows("still_set_up", {(m, i): self._some(m) >= kept[m, i] for m, i in self.able})

    def _some(self, m: int) -> Any:
        """1 if the machine is set up for something afterwards."""
        return self.sum(self.setup[m, i] for i in self.items_of[m])

    def costs(self) -> list[Any]:
        """What changeovers cost [money]."""
        return [self.of.setup_cost(*pair) * start for pair, start in self.start.items()]

    def setup_after(self, pair: Pair) -> Any:
        """The column that says whether the machine is then set up for the item."""
        if self.hours[pair[0]] > 0:
            return self.setup[pair]
        return self.before[pair] if self.of.plant.setup_carry_over else self.block.nothing

    def run_after(self, m: int) -> Any:
        """No machine is bound to a run."""
        raise AssertionError("minimum runs need one lot a period")


@dataclass(frozen=True)
class BigPeriod:
    """A compiled big bucket; a pair is a machine and an item it can make."""

    program: LinearProgram
    shape: tuple[int, int, int]  # machines, items, lots a machine
    pairs: Ints  # (pair, 2)
    columns: dict[str, Ints]  # (pair,) columns by name: make, start, setup, lot
    rates: Floats  # (pair,) full output of a whole period [units]
    losses: Floats  # (pair,) output a changeover loses [units]
    hours: Floats  # (M,) share of a full period that the machines work

    def lots(self, x: Floats) -> tuple[Ints, Floats]:
        """Items and shares (batch, lot), machine by machine in the order in which a machine makes them."""
        machines, items, several = self.shape
        found = np.full((len(x), machines, several), items)
        shares = np.zeros((len(x), machines, several))
        for row in range(len(x)):
            left, place = self.hours.copy(), np.zeros(machines, dtype=np.int64)
            amounts = x[row, self.columns["lot"]]
            for pair, started in self._order(x[row]):
                m, i = self.pairs[pair]
                if place[m] == several:
                    continue
                left[m] = max(left[m] - started * self.losses[pair] / self.rates[pair], 0.0)
                used, amounts[pair] = amounts[pair] / self.rates[pair], 0.0  # of two lots the first makes it all
                share = min(max(used / left[m], 0.0), 1.0) if left[m] > 1e-9 else 0.0
                found[row, m, place[m]], shares[row, m, place[m]] = i, share
                left[m], place[m] = left[m] * (1.0 - share), place[m] + 1
        return found.reshape(len(x), -1), shares.reshape(len(x), -1)

    def _order(self, x: Floats) -> list[tuple[int, bool]]:
        """Lots as (pair, whether it begins with a changeover): what goes on first, what stays set up last."""
        made, started, last = (x[self.columns[name]] > 0.5 for name in ("make", "start", "setup"))
        begun = np.flatnonzero(started)
        first = [(pair, False) for pair in np.flatnonzero(made).tolist()]
        return [*first, *((pair, True) for pair in sorted(begun.tolist(), key=lambda pair: bool(last[pair])))]


def big_period(common: Plant, buckets: Buckets, program: LinearProgram) -> BigPeriod:
    """Where a compiled big bucket says what is made."""
    ids = [common.pair_ids(pair) for pair in buckets.able]
    columns = {  # by the names that Pyomo gives: it quotes ids with a dot in them
        family: np.array(
            [program.column(plain_name(buckets.block.component(family)[own])) for own in ids], dtype=np.int64
        )
        for family in ("make", "start", "setup", "lot")
    }
    pairs = np.array(buckets.able, dtype=np.int64).reshape(-1, 2)
    losses = np.array([common.setup_loss(m, i) for m, i in buckets.able])
    shape = len(common.machines), len(common.items), common.plant.lots_per_period
    rates = common.lay.production[pairs[:, 0], pairs[:, 1]]
    return BigPeriod(program, shape, pairs, columns, rates, losses, buckets.hours)
