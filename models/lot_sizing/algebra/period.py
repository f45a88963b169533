"""A period compiled: machines and stock in one block, and where its columns say what is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models.lazy import sparse
from models.linear_program import LinearProgram, compile_stage, plain_name
from models.lot_sizing.algebra.big_bucket import BigPeriod, Buckets, big_period
from models.lot_sizing.algebra.common import Plant
from models.lot_sizing.algebra.machines import Machines
from models.lot_sizing.algebra.sequences import SequencedPeriod, Sequences, sequenced_period
from models.lot_sizing.algebra.stock import Stock
from models.lot_sizing.layout import Floats, Ints


@dataclass(frozen=True)
class Period:
    """A compiled period; a pair is the machine and the item of a 0/1 column."""

    program: LinearProgram
    shape: tuple[int, int]  # machines, items
    pairs: Ints  # (pair, 2)
    make: Ints  # (pair,) column of every pair
    lot: Ints | None  # (pair,) column of what it makes, where lots are divisible
    rates: Any  # (pair, n) rows "lot − full output ≤ 0", where lots are divisible

    def lots(self, x: Floats) -> tuple[Ints, Floats]:
        """Items (batch, machine), number of items: none; shares of the full output (batch, machine or 0)."""
        machines, items = self.shape
        chosen = np.zeros((len(x), machines, items + 1))
        chosen[..., items] = 0.5  # idle unless something is nearer to 1
        machine, item = self.pairs.T
        chosen[:, machine, item] = x[:, self.make]
        given = chosen.argmax(2)
        if self.lot is None:
            return given, np.zeros((len(x), 0))
        lot = x[:, self.lot]
        full = lot - (self.rates @ x.T).T
        shares = np.zeros_like(chosen)
        shares[:, machine, item] = np.clip(np.divide(lot, full, out=np.zeros_like(lot), where=full > 1e-9), 0.0, 1.0)
        return given, np.take_along_axis(shares, given[..., None], 2)[..., 0]


def compile_period(common: Plant, hours: Floats) -> Period | BigPeriod | SequencedPeriod:
    """A period in which the machines work `hours` (M,) of a full one."""
    import pyomo.environ as pyo

    block = pyo.ConcreteModel()
    machines: Machines | Buckets | Sequences
    if common.plant.lots_per_period == 1:
        machines = Machines(block, common, hours)
    elif common.by_pair:
        machines = Sequences(block, common, hours)
    else:
        machines = Buckets(block, common, hours)
    stock = Stock(block, common, machines)
    block.cost = pyo.Objective(expr=pyo.quicksum([*machines.costs(), *stock.costs()]))
    incoming = [stock.incoming, stock.incoming_waiting, machines.before, block.incoming_run]
    program = compile_stage(
        block,
        incoming=[variable for family in incoming for variable in family.values()],
        noise=stock.demand.values(),
        outgoing=[
            *stock.on_hand.values(),
            *stock.waiting.values(),
            *(machines.setup_after(pair) for pair in common.able),
            *(machines.run_after(m) for m in common.bound),
        ],
    )
    if isinstance(machines, Buckets):
        return big_period(common, machines, program)
    if isinstance(machines, Sequences):
        return sequenced_period(machines, program)
    return _located(common, machines, program)


def _located(common: Plant, machines: Machines, program: LinearProgram) -> Period:
    pairs = np.array(machines.able, dtype=np.int64).reshape(-1, 2)
    make = np.array([program.column(plain_name(machines.make[pair])) for pair in machines.able], dtype=np.int64)
    shape = len(common.machines), len(common.items)
    if not common.divisible:
        return Period(program, shape, pairs, make, None, None)
    lot = np.array([program.column(plain_name(machines.lot[pair])) for pair in machines.able], dtype=np.int64)
    rows = [program.row(plain_name(machines.block.rate[common.pair_ids(pair)])) for pair in machines.able]
    rates = sparse.csr_array(program.matrix)[rows]
    return Period(program, shape, pairs, make, lot, rates)
