"""The machines' part of a period: who makes what, changeovers, runs and lots.

`make` is a 0/1 column for every machine and item. Beside whole `make` columns and a setup of noughts and ones, the
columns that say what starts, what changes over to what and what a machine stays set up for have one value left each:
they need not be whole themselves. Where a changeover depends on what was made before it is a flow of one unit from the
old setup to the new one (Wolsey, "MIP modelling of changeovers in production planning", EJOR 99, 1997), which is
tighter than a row for every pair.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from models.lot_sizing.algebra.common import Pair, Plant, add_pairs, add_rows
from models.lot_sizing.layout import Floats

ROUNDING = 1e-4  # as the simulator rounds outputs down to whole units
NONE = "-"  # what a machine without a setup is set up for, in the names of columns; no item may be called that

BEFORE_DEMAND = ("make[", "start[", "change[", "idle[", "lot[", "setup[", "run[", "nothing")
"""Columns decided before demand is known."""


class Machines:
    """Columns and rows of the machines in a period in which they work `hours` (M,) of a full period."""

    def __init__(self, block: Any, common: Plant, hours: Floats) -> None:
        import pyomo.environ as pyo

        self.block, self.of, self.lay, self.sum = block, common, common.lay, pyo.quicksum
        self.hours = hours
        self.able = [pair for pair in common.able if hours[pair[0]] > 0]
        self.items_of = {m: [i for k, i in self.able if k == m] for m in common.machines}
        self.plain = [pair for pair in self.able if pair[0] not in common.by_pair]
        self.paired = [m for m in sorted(common.by_pair) if self.items_of[m]]
        self.bound = [m for m in common.bound if hours[m] > 0]
        self._columns(pyo)
        self._starts()
        self._flows()
        if common.plant.setup_carry_over:
            self._carry_over()
        self._runs()
        self._lots()

    def _columns(self, pyo: Any) -> None:
        b, of = self.block, self.of
        named = partial(add_pairs, b, of)
        self.make = named("make", self.able, domain=pyo.Binary)
        self.start = named("start", self.plain, bounds=(0, 1))
        b.change = pyo.Var([(of.machine_ids[m], *way) for m in self.paired for way in self._ways(m)], bounds=(0, 1))
        b.idle = pyo.Var([(of.machine_ids[m], old) for m in self.paired for old in self._setups(m)], bounds=(0, 1))
        self.lot = named("lot", self.able if of.divisible else [], domain=pyo.NonNegativeReals)
        self.setup = named("setup", self.able if of.plant.setup_carry_over else [], bounds=(0, 1))
        longest = {of.machine_ids[m]: int(self.lay.minimum_run[m]) - 1 for m in self.bound}
        b.run = pyo.Var(list(longest), bounds=lambda _, name: (0, longest[name]))
        b.nothing = pyo.Var(bounds=(0, 0))
        self.before = named("incoming_setup", of.able)
        b.incoming_run = pyo.Var([of.machine_ids[m] for m in of.bound])

    def _rows(self, name: str, rows: dict[Pair, Any]) -> None:
        add_rows(self.block, name, {self.of.pair_ids(pair): row for pair, row in rows.items()})

    def _machine_rows(self, name: str, rows: dict[int, Any]) -> None:
        add_rows(self.block, name, {self.of.machine_ids[m]: row for m, row in rows.items()})

    def _given(self, m: int) -> Any:
        """1 if the machine makes something, 0 if it idles."""
        return self.sum(self.make[m, i] for i in self.items_of[m])

    # --- changeovers

    def _starts(self) -> None:
        """Where what a changeover takes depends on the item alone: start = make · (1 − set up before)."""
        make, start, before = self.make, self.start, self.before
        self._machine_rows("one_item", {m: self._given(m) <= 1 for m in dict.fromkeys(m for m, _ in self.plain)})
        self._rows("started", {p: start[p] - make[p] + before[p] >= 0 for p in self.plain})
        self._rows("started_if_made", {p: start[p] <= make[p] for p in self.plain})
        self._rows("not_started_again", {p: start[p] + before[p] <= 1 for p in self.plain})

    def _setups(self, m: int) -> list[str]:
        """What the machine may be set up for."""
        return [*(self.of.item_ids[i] for k, i in self.of.able if k == m), NONE]

    def _ways(self, m: int) -> list[tuple[str, str]]:
        return [(old, self.of.item_ids[i]) for old in self._setups(m) for i in self.items_of[m]]

    def _flows(self) -> None:
        """One unit leaves what a machine is set up for and arrives at what it makes, or stays idle."""
        b, leaving, arriving = self.block, {}, {}
        for m in self.paired:
            name = self.of.machine_ids[m]
            before = {self.of.item_ids[i]: self.before[m, i] for k, i in self.of.able if k == m}
            before[NONE] = 1 - self.sum(before.values())
            made = {self.of.item_ids[i]: self.make[m, i] for i in self.items_of[m]}
            for old, set_up in before.items():
                leaving[name, old] = self.sum(b.change[name, old, new] for new in made) + b.idle[name, old] == set_up
            for new, given in made.items():
                arriving[name, new] = self.sum(b.change[name, old, new] for old in before) == given
        add_rows(b, "leave", leaving)
        add_rows(b, "arrive", arriving)

    def _carry_over(self) -> None:
        """A machine that idles stays set up for what it was."""
        make, before, setup = self.make, self.before, self.setup
        others = {(m, i): self._given(m) - make[m, i] for m, i in self.plain}
        self._rows("set_up_for_made", {p: setup[p] >= make[p] for p in self.plain})
        self._rows("set_up_before", {p: setup[p] <= make[p] + before[p] for p in self.plain})
        self._rows("still_set_up", {p: setup[p] >= before[p] - others[p] for p in self.plain})
        self._rows("not_set_up_for_both", {p: setup[p] + others[p] <= 1 for p in self.plain})
        paired = [pair for pair in self.able if pair[0] in self.of.by_pair]
        self._rows("set_up", {p: setup[p] == make[p] + self.block.idle[self.of.pair_ids(p)] for p in paired})

    # --- runs

    def _goes_on(self, m: int) -> Any:
        """1 if the machine makes what it is set up for."""
        if m not in self.of.by_pair:
            return self._given(m) - self.sum(self.start[m, i] for i in self.items_of[m])
        name, ids = self.of.machine_ids[m], self.of.item_ids
        return self.sum(self.block.change[name, ids[i], ids[i]] for i in self.items_of[m])

    def _runs(self) -> None:
        """A run goes on for its least number of periods while the machine works (and components may be there)."""
        ids, longest = self.of.machine_ids, {m: int(self.lay.minimum_run[m]) - 1 for m in self.bound}
        going, given = {m: self._goes_on(m) for m in self.bound}, {m: self._given(m) for m in self.bound}
        left, run = ({m: own[ids[m]] for m in self.bound} for own in (self.block.incoming_run, self.block.run))
        may_lack = bool(self.of.components) and not self.of.divisible
        rests = {m: 1 - given[m] if may_lack else 0 for m in self.bound}
        ended = {m: 0 if self.of.plant.setup_carry_over else longest[m] * (1 - given[m]) for m in self.bound}
        self._machine_rows("bound_to_run", {m: left[m] <= longest[m] * (going[m] + rests[m]) for m in self.bound})
        self._machine_rows("run_begins", {m: run[m] >= longest[m] * (given[m] - going[m]) for m in self.bound})
        self._machine_rows("run_left", {m: run[m] >= left[m] - going[m] - ended[m] for m in self.bound})

    # --- lots

    def _lots(self) -> None:
        """What is made: the full output, or up to it."""
        output = {pair: self._output(*pair) for pair in self.able}
        if self.of.divisible:
            self._rows("rate", {pair: self.lot[pair] - output[pair] <= 0 for pair in self.able})
        lots = self.lot if self.of.divisible else output
        self.made = [self.sum(lots[m, k] for m, k in self.able if k == i) for i in self.of.items]

    def _output(self, m: int, i: int) -> Any:
        """Full output of the machine's lot [units]: 0 if it does not make the item."""
        full = self.lay.production[m, i] * self.hours[m]
        if m not in self.of.by_pair:
            went_on, started = self._rounded(full), self._rounded(full - self.of.setup_loss(m, i))
            return went_on * self.make[m, i] - (went_on - started) * self.start[m, i]
        assert self.lay.changeover_loss is not None, "it depends on what was made before"
        name, ids = self.of.machine_ids[m], [*self.of.item_ids, NONE]
        sources = [*(k for own, k in self.of.able if own == m), -1]
        lost = self.lay.changeover_loss[m, :, i]
        return self.sum(self._rounded(full - lost[k]) * self.block.change[name, ids[k], ids[i]] for k in sources)

    def _rounded(self, made: float) -> float:
        kept = max(float(made), 0.0)
        return float(np.floor(kept + ROUNDING)) if self.of.plant.whole_units else kept

    # --- what the stage costs, and what is left of it

    def costs(self) -> list[Any]:
        """What changeovers cost [money]."""
        terms = [self.of.setup_cost(*pair) * start for pair, start in self.start.items()]
        place = {name: i for i, name in enumerate(self.of.item_ids)} | {NONE: -1}
        for m in self.paired:
            assert self.lay.changeover_cost is not None, "it depends on what was made before"
            table, name = self.lay.changeover_cost[m], self.of.machine_ids[m]
            terms += [float(table[place[o], place[n]]) * self.block.change[name, o, n] for o, n in self._ways(m)]
        return terms

    def setup_after(self, pair: Pair) -> Any:
        """The column that says whether the machine is then set up for the item."""
        carries = self.of.plant.setup_carry_over
        if self.hours[pair[0]] > 0:
            return self.setup[pair] if carries else self.make[pair]
        return self.before[pair] if carries else self.block.nothing

    def run_after(self, m: int) -> Any:
        """The column that says how many periods it is then bound for."""
        name = self.of.machine_ids[m]
        if self.hours[m] > 0:
            return self.block.run[name]
        return self.block.incoming_run[name] if self.of.plant.setup_carry_over else self.block.nothing
