"""The algebraic face of a problem: one stage in Pyomo algebra, compiled once to sparse matrices, chained by state.

A room writes ONE stage as Pyomo algebra in which the decision x, the incoming state s and the noise w are all variables
and hands it to `compile_stage`, which lets Pyomo's standard-form compiler turn it into

    min  cost·x + state_cost·s + noise_cost·w + constant
    s.t. row_lower ≤ A x + B s + C w ≤ row_upper,   lower ≤ x ≤ upper,   x integer where `integer`

Data are never baked into the algebra: a new state or noise moves right-hand sides only, which is what lets a solver
start hot from its last basis. `outgoing` says which column becomes each entry of the next incoming state. It may be a
decision column (end stock), an incoming-state column (goods that move one slot nearer) or a noise column (an inflow
seen now and used next): what merely moves needs neither a variable nor a row.

`chain` joins stages by state. The result is a `LinearProgram` again, with the first state and all stages' noise as its
data. No solver library is known here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

Vector = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LinearProgram:
    """A linear (or mixed-integer) program whose data are an incoming state s (k) and noise w (m); n columns, r rows."""

    cost: Vector  # (n,) [money per unit of the column]
    state_cost: Vector  # (k,)
    noise_cost: Vector  # (m,)
    constant: float  # [money]
    matrix: sparse.csc_array  # A (r, n)
    state_matrix: sparse.csc_array  # B (r, k)
    noise_matrix: sparse.csc_array  # C (r, m)
    row_lower: Vector  # (r,) −inf where open
    row_upper: Vector  # (r,) +inf where open
    lower: Vector  # (n,)
    upper: Vector  # (n,)
    integer: Mask  # (n,)
    outgoing: Indices  # (k of the next stage,) position in [decision, incoming state, noise] columns
    columns: tuple[str, ...]  # names, as in the Pyomo algebra
    rows: tuple[str, ...]
    states: tuple[str, ...]
    noises: tuple[str, ...]

    @property
    def is_mixed_integer(self) -> bool:
        """Whether any column must be whole."""
        return bool(self.integer.any())

    def relaxed(self) -> LinearProgram:
        """The program without integrality; its optimum bounds this one's from below."""
        return replace(self, integer=np.zeros_like(self.integer))

    def column(self, name: str) -> int:
        """Position of a decision column by name; KeyError if there is none."""
        return self._column_positions[name]

    def row(self, name: str) -> int:
        """Position of a row by name, to read its dual; KeyError if there is none."""
        return self._row_positions[name]

    def offset(self, state: Vector, noise: Vector) -> Any:
        """The part of the objective that data alone decide [money]; (batch, k) and (batch, m) give (batch,)."""
        return self.constant + state @ self.state_cost + noise @ self.noise_cost

    def following(self, x: Vector, state: Vector, noise: Vector) -> Vector:
        """The next incoming state (batch, k') of decisions (batch, n), states (batch, k) and noise (batch, m)."""
        return np.concatenate([x, state, noise], axis=-1)[..., self.outgoing]

    @cached_property
    def _column_positions(self) -> Mapping[str, int]:
        return {name: position for position, name in enumerate(self.columns)}

    @cached_property
    def _row_positions(self) -> Mapping[str, int]:
        return {name: position for position, name in enumerate(self.rows)}


@dataclass(frozen=True, eq=False)
class MultistageProgram:
    """Stages joined by state: one program, whose noise is all stages' noise in order, and where each stage lies."""

    program: LinearProgram
    column_starts: Indices  # (stages + 1,)
    row_starts: Indices  # (stages + 1,)

    def columns_of(self, values: Vector, stage: int) -> Vector:
        """The part (..., n of that stage) of the columns' values (..., n) that belongs to a stage."""
        return values[..., self.column_starts[stage] : self.column_starts[stage + 1]]

    def rows_of(self, values: Vector, stage: int) -> Vector:
        """The part (..., r of that stage) of the rows' values or duals (..., r) that belongs to a stage."""
        return values[..., self.row_starts[stage] : self.row_starts[stage + 1]]


class Program(ABC):
    """A problem's algebraic face for one instance: its stages, and how tensors become their data and back."""

    num_stages: int  # horizon T
    relaxes: Sequence[str] = ()  # what the stages allow that the simulator does not, in words; () if they agree exactly

    @abstractmethod
    def stage(self, stage: int) -> LinearProgram:
        """The compiled stage t; the same object for stages that are alike, so that it is built and passed once."""

    @abstractmethod
    def state_vector(self, state: Any) -> Vector:
        """Simulator states → data (batch, k), in the order of `LinearProgram.states`."""

    @abstractmethod
    def noise_vector(self, noise: Any, stage: int) -> Vector:
        """What strikes in a stage of noise paths → data (batch, m), in the order of `LinearProgram.noises`."""

    @abstractmethod
    def decision(self, x: Vector, stage: int) -> Any:
        """Columns of a stage (batch, n) → decision tensors of the simulator."""

    def final(self) -> LinearProgram | None:
        """A program of the last outgoing state alone that prices what is left at the end; None: it is worth nothing."""
        return None

    def noise_path(self, noise: Any) -> Vector:
        """Noise paths → data (batch, all stages' m) of the chained program."""
        return np.concatenate([self.noise_vector(noise, stage) for stage in range(self.num_stages)], axis=1)

    def horizon(self, weights: Sequence[float] | Vector) -> MultistageProgram:
        """All stages chained; `weights` (T+1,) multiply the stages' costs and, last, what is left at the end."""
        stages = [self.stage(stage) for stage in range(self.num_stages)]
        if len(weights) != len(stages) + 1:
            raise ValueError(f"{len(weights)} weights for {len(stages)} stages and what is left at the end")
        final = self.final()
        return chain(stages, weights[:-1]) if final is None else chain([*stages, final], weights)


def compile_stage(block: Any, incoming: Iterable[Any], noise: Iterable[Any], outgoing: Iterable[Any]) -> LinearProgram:
    """Compile one stage written in Pyomo.

    Args:
        block: a `ConcreteModel` with one linear objective; every variable neither incoming nor noise is a decision.
        incoming: its variables (single `VarData`) that stand for the incoming state, in the state vector's order.
        noise: those that stand for the noise, in the noise vector's order.
        outgoing: the variables that are the next incoming state, entry by entry; any of the block's variables.

    Raises:
        ValueError: a variable is listed twice or fixed, a listed one is not of this block, or there is not exactly one
            objective. Nonlinear algebra raises Pyomo's own error.
    """
    from pyomo.core.base import Var
    from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

    states, noises, leaving = list(incoming), list(noise), list(outgoing)
    data = {id(variable) for variable in (*states, *noises)}
    if len(data) < len(states) + len(noises):
        raise ValueError("a variable is listed twice as incoming state or noise")
    every = list(block.component_data_objects(Var, active=True, descend_into=True))
    decisions = [variable for variable in every if id(variable) not in data]
    position = {id(variable): index for index, variable in enumerate((*decisions, *states, *noises))}
    if len(position) != len(every) or any(id(variable) not in position for variable in leaving):
        raise ValueError("a state, noise or outgoing variable is not a variable of this block")
    if any(variable.fixed for variable in every):
        raise ValueError("a variable is fixed: data enter through incoming state and noise")

    form = LinearStandardFormCompiler().write(block, mixed_form=True)
    if form.c.shape[0] != 1:
        raise ValueError(f"a stage has one objective, this one has {form.c.shape[0]}")
    placed = np.array([position[id(variable)] for variable in form.columns], dtype=np.int64)
    total = len(position)
    cost = np.zeros(total)
    cost[placed] = form.c.toarray()[0]
    matrix, row_lower, row_upper, rows = _merge_rows(form, placed, total)
    n, k = len(decisions), len(states)
    return LinearProgram(
        cost=cost[:n],
        state_cost=cost[n : n + k],
        noise_cost=cost[n + k :],
        constant=float(form.c_offset[0]),
        matrix=matrix[:, :n],
        state_matrix=matrix[:, n : n + k],
        noise_matrix=matrix[:, n + k :],
        row_lower=row_lower,
        row_upper=row_upper,
        lower=np.array([-np.inf if v.lb is None else v.lb for v in decisions], dtype=np.float64),
        upper=np.array([np.inf if v.ub is None else v.ub for v in decisions], dtype=np.float64),
        integer=np.array([not v.is_continuous() for v in decisions], dtype=np.bool_),
        outgoing=np.array([position[id(variable)] for variable in leaving], dtype=np.int64),
        columns=tuple(v.name for v in decisions),
        rows=rows,
        states=tuple(v.name for v in states),
        noises=tuple(v.name for v in noises),
    )


def _merge_rows(form: Any, placed: Indices, total: int) -> tuple[sparse.csc_array, Vector, Vector, tuple[str, ...]]:
    """Rows with both bounds, which the compiler writes twice, as one; columns moved to their places."""
    first: dict[int, int] = {}
    lower: list[float] = []
    upper: list[float] = []
    names: list[str] = []
    keep: list[int] = []
    for index, (entry, rhs) in enumerate(zip(form.rows, form.rhs, strict=True)):
        row = first.setdefault(id(entry.constraint), len(names))
        if row == len(names):
            lower.append(-np.inf)
            upper.append(np.inf)
            names.append(entry.constraint.name)
            keep.append(index)
        if entry.bound_type <= 0:
            lower[row] = float(rhs)
        if entry.bound_type >= 0:
            upper[row] = float(rhs)
    chosen = sparse.csr_array(form.A)[keep].tocoo()
    matrix = sparse.csc_array((chosen.data, (chosen.row, placed[chosen.col])), shape=(len(names), total))
    return matrix, np.array(lower, dtype=np.float64), np.array(upper, dtype=np.float64), tuple(names)


def chain(stages: Sequence[LinearProgram], weights: Sequence[float] | Vector) -> MultistageProgram:
    """Join stages by state: each stage's incoming state is the outgoing state of the one before.

    Stages may differ (cyclic data, a changing number of states) as long as neighbours fit; a stage's costs are
    multiplied by its weight (a discount factor; 0 for stages whose cost is not to count). Names get `@stage` appended.

    Raises:
        ValueError: no stage, a weight missing, or neighbours whose states differ in number.
    """
    if not stages or len(stages) != len(weights):
        raise ValueError(
            f"{len(stages)} stages and {len(weights)} weights: need one weight for each of 1 or more stages"
        )
    column_starts = _starts([len(stage.columns) for stage in stages])
    row_starts = _starts([len(stage.rows) for stage in stages])
    noise_starts = _starts([len(stage.noises) for stage in stages])
    n, k = int(column_starts[-1]), len(stages[0].states)
    total = n + k + int(noise_starts[-1])

    incoming = n + np.arange(k)  # where each entry of the incoming state lies among all columns
    cost = np.zeros(total)
    data, rows, columns = [], [], []
    for t, (stage, weight) in enumerate(zip(stages, weights, strict=True)):
        if len(stage.states) != len(incoming):
            raise ValueError(f"stage {t} takes {len(stage.states)} states, the stage before gives {len(incoming)}")
        own = np.arange(column_starts[t], column_starts[t + 1])
        struck = n + k + np.arange(noise_starts[t], noise_starts[t + 1])
        placed = np.concatenate([own, incoming, struck])
        block = sparse.hstack([stage.matrix, stage.state_matrix, stage.noise_matrix], format="coo")
        data.append(block.data)
        rows.append(row_starts[t] + block.row.astype(np.int64))
        columns.append(placed[block.col])
        np.add.at(cost, placed, weight * np.concatenate([stage.cost, stage.state_cost, stage.noise_cost]))
        incoming = placed[stage.outgoing]
    entries = (np.concatenate(data), (np.concatenate(rows), np.concatenate(columns)))
    matrix = sparse.csc_array(entries, shape=(int(row_starts[-1]), total))
    matrix.eliminate_zeros()
    program = LinearProgram(
        cost=cost[:n],
        state_cost=cost[n : n + k],
        noise_cost=cost[n + k :],
        constant=sum(weight * stage.constant for stage, weight in zip(stages, weights, strict=True)),
        matrix=matrix[:, :n],
        state_matrix=matrix[:, n : n + k],
        noise_matrix=matrix[:, n + k :],
        row_lower=np.concatenate([stage.row_lower for stage in stages]),
        row_upper=np.concatenate([stage.row_upper for stage in stages]),
        lower=np.concatenate([stage.lower for stage in stages]),
        upper=np.concatenate([stage.upper for stage in stages]),
        integer=np.concatenate([stage.integer for stage in stages]),
        outgoing=incoming,
        columns=_named(stage.columns for stage in stages),
        rows=_named(stage.rows for stage in stages),
        states=stages[0].states,
        noises=_named(stage.noises for stage in stages),
    )
    return MultistageProgram(program, column_starts, row_starts)


def _starts(lengths: Sequence[int]) -> Indices:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _named(names: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(f"{name}@{stage}" for stage, group in enumerate(names) for name in group)
