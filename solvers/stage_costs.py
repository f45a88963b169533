"""What it costs to end a stage at a target, and the target's price: one hot program, and an oracle of its duals.

With target columns v̂ moved from the decision to the data, a stage's least cost depends on z = B s + A_v̂ v̂ alone:

    C(s, v̂) = c_s·s + c_v̂·v̂ + f(z),   f(z) = min { c·x : row_lower ≤ A x + z ≤ row_upper }

f is a maximum of linear functions, one for each vertex of the dual: f(z) = max_k f_k − y_k·z. A thousand vertices, kept
from solves, answer almost every later query exactly by one matrix product, and never more than the truth.

`StageCosts` is what a lane holds: the programs of all kinds of stages. `Oracle` is one kind's vertices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.lazy import sparse
from models.program import Indices, LinearProgram, Vector
from solvers.highs import HotProgram
from solvers.work import Work

DIGITS = 6  # decimals to which two slopes are the same, in programs' units
LARGEST = 64.0  # cost of a column, in programs' units
CHUNK = 2048  # queries answered together
SINGLE = 500  # vertices from which the highest is sought in single precision, in a fifth of the time


def with_targets(stage: LinearProgram, columns: Indices) -> LinearProgram:
    """The stage with target columns as data: its states are the stage's own, then the targets; nothing goes out."""
    free = np.setdiff1d(np.arange(len(stage.columns)), columns)
    matrix = sparse.csc_array(stage.matrix)
    return replace(
        stage,
        cost=stage.cost[free],
        state_cost=np.concatenate([stage.state_cost, stage.cost[columns]]),
        matrix=matrix[:, free],
        state_matrix=sparse.csc_array(sparse.hstack([stage.state_matrix, matrix[:, columns]])),
        lower=stage.lower[free],
        upper=stage.upper[free],
        integer=stage.integer[free],
        outgoing=np.zeros(0, dtype=np.int64),
        columns=tuple(stage.columns[k] for k in free),
        states=(*stage.states, *(stage.columns[k] for k in columns)),
    )


def elastic(program: LinearProgram, price: float) -> LinearProgram:
    """A program of `with_targets` whose rows with data may be missed at a price: it has an optimum at any z."""
    rows, count = program.touched, len(program.touched)
    miss = sparse.csc_array((np.ones(count), (rows, np.arange(count))), shape=(len(program.rows), count))
    return replace(
        program,
        cost=np.concatenate([program.cost, np.full(2 * count, price)]),
        matrix=sparse.csc_array(sparse.hstack([program.matrix, miss, -miss])),
        lower=np.concatenate([program.lower, np.zeros(2 * count)]),
        upper=np.concatenate([program.upper, np.full(2 * count, np.inf)]),
        integer=np.concatenate([program.integer, np.zeros(2 * count, dtype=np.bool_)]),
        columns=(*program.columns, *(f"{end}[{program.rows[k]}]" for end in ("short", "over") for k in rows)),
    )


def aiming(stage: LinearProgram, columns: Indices, penalty: float) -> LinearProgram:
    """The stage with targets that may be missed at a price [money/unit]: v + short − over = target.

    Targets are noise of the new program, after the stage's own.
    """
    count, rows, own = len(columns), len(stage.rows), len(stage.columns)
    aim = sparse.csc_array((np.ones(count), (np.arange(count), columns)), shape=(count, own))
    identity = sparse.identity(count, format="csc")
    left = sparse.vstack([stage.matrix, aim])
    missed = sparse.vstack([sparse.csc_array((rows, 2 * count)), sparse.hstack([identity, -identity])])
    struck = sparse.block_diag([stage.noise_matrix, -identity])
    names = [stage.columns[k] for k in columns]
    return replace(
        stage,
        cost=np.concatenate([stage.cost, np.full(2 * count, penalty)]),
        noise_cost=np.concatenate([stage.noise_cost, np.zeros(count)]),
        matrix=sparse.csc_array(sparse.hstack([left, missed])),
        state_matrix=sparse.csc_array(
            sparse.vstack([stage.state_matrix, sparse.csc_array((count, len(stage.states)))])
        ),
        noise_matrix=sparse.csc_array(struck),
        row_lower=np.concatenate([stage.row_lower, np.zeros(count)]),
        row_upper=np.concatenate([stage.row_upper, np.zeros(count)]),
        lower=np.concatenate([stage.lower, np.zeros(2 * count)]),
        upper=np.concatenate([stage.upper, np.full(2 * count, np.inf)]),
        integer=np.concatenate([stage.integer, np.zeros(2 * count, dtype=np.bool_)]),
        outgoing=stage.outgoing + 2 * count * (stage.outgoing >= own),
        columns=(*stage.columns, *(f"{end}[{name}]" for end in ("short", "over") for name in names)),
        rows=(*stage.rows, *(f"target[{name}]" for name in names)),
        noises=(*stage.noises, *(f"target[{name}]" for name in names)),
    )


def unit_of(programs: Sequence[LinearProgram]) -> float:
    """Programs' units a unit of money: a power of two that brings the largest cost near `LARGEST`."""
    largest = max(float(np.abs(program.cost).max(initial=0.0)) for program in programs)
    return 2.0 ** round(math.log2(LARGEST / largest)) if largest > 0 else 1.0


def scaled(program: LinearProgram, scale: float) -> LinearProgram:
    """The program with its money in other units."""
    cost, state_cost = program.cost * scale, program.state_cost * scale
    return replace(program, cost=cost, state_cost=state_cost, constant=program.constant * scale)


class StageCosts:
    """A hot program for every kind of stage: f and its slopes at many z.

    Where nothing is feasible at z, rows may be missed at a price, so that f and its slopes lead back.
    """

    def __init__(self, programs: Sequence[LinearProgram], price: float) -> None:
        """`programs` are of `with_targets`; noise strikes none of them."""
        self._hot = [HotProgram(program) for program in programs]
        self._price = price
        self._elastic: dict[int, HotProgram] = {}

    def solve(self, kind: int, shifts: Vector) -> tuple[Vector, Vector, int]:
        """f (n,) and y = −∂f/∂z (n, touched) at z (n, touched), and at how many of them rows had to be missed.

        ValueError if z has another shape.
        """
        hot, missed = self._hot[kind], 0
        if shifts.shape[1:] != hot.program.touched.shape:
            raise ValueError(f"z has shape {shifts.shape}, need (n, {len(hot.program.touched)})")
        values, duals = np.empty(len(shifts)), np.empty(shifts.shape)
        for row, shift in enumerate(shifts):
            hot.set_shift(shift)
            found = hot.solve()
            if found.status == "optimal":
                values[row], duals[row] = found.value, hot.touched_duals()
            else:
                missed += 1
                values[row], duals[row] = self._leading_back(kind, shift)
        return values, duals, missed

    def _leading_back(self, kind: int, shift: Vector) -> tuple[float, Vector]:
        if kind not in self._elastic:
            self._elastic[kind] = HotProgram(elastic(self._hot[kind].program, self._price))
        hot = self._elastic[kind]
        hot.set_shift(shift)
        return hot.solve().require("a stage near a target").value, hot.touched_duals()

    def restart(self) -> None:
        """Forget what was solved."""
        for hot in (*self._hot, *self._elastic.values()):
            hot.forget()

    def work(self) -> Work:
        """What was done so far."""
        total = Work()
        for hot in (*self._hot, *self._elastic.values()):
            total.count(hot.tally)
        return total


class Oracle:
    """Dual vertices of one kind of stage."""

    def __init__(self, size: int) -> None:
        self.slopes = np.zeros((0, size))  # y_k (vertex, touched)
        self.heights = np.zeros(0)  # f_k (vertex,)
        self._seen: set[bytes] = set()

    def __len__(self) -> int:
        return len(self.heights)

    def learn(self, shifts: Vector, values: Vector, duals: Vector) -> None:
        """Keep the vertices behind solves that are not known yet."""
        fresh = []
        for row, key in enumerate(np.round(duals, DIGITS) + 0.0):
            name = key.tobytes()
            if name not in self._seen:
                self._seen.add(name)
                fresh.append(row)
        self.slopes = np.concatenate([self.slopes, duals[fresh]])
        self.heights = np.concatenate([self.heights, values[fresh] + (duals[fresh] * shifts[fresh]).sum(1)])

    def restore(self, slopes: Vector, heights: Vector) -> None:
        """Take kept vertices."""
        self.slopes, self.heights = slopes, heights
        self._seen = {key.tobytes() for key in np.round(slopes, DIGITS) + 0.0}

    def answer(self, shifts: Vector) -> tuple[Vector, Vector]:
        """f (n,), at most the truth, and y (n, touched) of the vertex it comes from."""
        if len(self) >= SINGLE:
            return self._answer_quickly(shifts)
        values, best = np.empty(len(shifts)), np.empty(len(shifts), dtype=np.int64)
        for first in range(0, len(shifts), CHUNK):
            rows = slice(first, first + CHUNK)
            reached = self.heights - shifts[rows] @ self.slopes.T
            best[rows] = reached.argmax(1)
            values[rows] = reached[np.arange(len(reached)), best[rows]]
        return values, self.slopes[best]

    def _answer_quickly(self, shifts: Vector) -> tuple[Vector, Vector]:
        """The same, the highest found in single precision: of two that nearly tie it may be the other one."""
        slopes, heights = self.slopes.T.astype(np.float32), self.heights.astype(np.float32)
        single, best = shifts.astype(np.float32), np.empty(len(shifts), dtype=np.int64)
        reached = np.empty((min(CHUNK, len(shifts)), len(heights)), dtype=np.float32)
        for first in range(0, len(shifts), CHUNK):
            rows = single[first : first + CHUNK]
            own = reached[: len(rows)]
            np.matmul(rows, slopes, out=own)
            np.subtract(heights, own, out=own)
            best[first : first + len(rows)] = own.argmax(1)
        chosen = self.slopes[best]
        return self.heights[best] - (shifts * chosen).sum(1), chosen


class PathCosts:
    """One hot program over all stages, in which targets are aimed at: cost and the targets' prices along paths."""

    def __init__(self, program: LinearProgram, targets: Indices) -> None:
        """`targets` are the positions of all stages' targets among the program's noise."""
        self._hot, self._targets = HotProgram(program), targets

    def solve(self, states: Vector, noise: Vector) -> tuple[Vector, Vector]:
        """Least costs (n,) from states (n, k) along noise (n, m), and their slopes (n, all targets)."""
        values, slopes = np.empty(len(states)), np.empty((len(states), len(self._targets)))
        for row, (state, path) in enumerate(zip(states, noise, strict=True)):
            self._hot.set_data(state, path)
            values[row] = self._hot.solve().require("a path that aims at its targets").value
            slopes[row] = self._hot.noise_prices()[self._targets]
        return values, slopes

    def restart(self) -> None:
        """Forget what was solved."""
        self._hot.forget()

    def work(self) -> Work:
        """What was done so far."""
        total = Work()
        total.count(self._hot.tally)
        return total
