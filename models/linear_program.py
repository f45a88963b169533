"""Linear programs whose data are an incoming state and noise, and how one stage written in Pyomo becomes one.

No solver library is known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from models.lazy import sparse

Vector = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LinearProgram:
    """A linear (or mixed-integer) program whose data are an incoming state s (k) and noise w (m); n columns, r rows.

    Raises:
        ValueError: the shapes do not fit.
    """

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
    columns: tuple[str, ...]  # names, as in the Pyomo algebra but for its quotes
    rows: tuple[str, ...]
    states: tuple[str, ...]
    noises: tuple[str, ...]

    def __post_init__(self) -> None:
        n, k, m, r = map(len, (self.columns, self.states, self.noises, self.rows))
        of_columns = {own.shape for own in (self.cost, self.lower, self.upper, self.integer)}
        of_data = (self.state_cost.shape, self.noise_cost.shape, self.outgoing.ndim)
        of_rows = {own.shape for own in (self.row_lower, self.row_upper)}
        matrices = (self.matrix.shape, self.state_matrix.shape, self.noise_matrix.shape)
        found = of_columns, of_data, of_rows, matrices
        if found != ({(n,)}, ((k,), (m,), 1), {(r,)}, ((r, n), (r, k), (r, m))):
            raise ValueError(f"a program of {n} columns, {k} states, {m} noises and {r} rows has parts of other shapes")

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
    def touched(self) -> Indices:
        """The rows that incoming state or noise enter: where data move right-hand sides."""
        data = sparse.csr_array(sparse.hstack([self.state_matrix, self.noise_matrix]))
        return np.flatnonzero(np.diff(data.indptr) > 0)

    @cached_property
    def _column_positions(self) -> Mapping[str, int]:
        return {name: position for position, name in enumerate(self.columns)}

    @cached_property
    def _row_positions(self) -> Mapping[str, int]:
        return {name: position for position, name in enumerate(self.rows)}


def plain_name(component: Any) -> str:
    """Name of a Pyomo variable or constraint, `family[id,…]`, without the quotes it puts around some ids.

    Pyomo quotes ids that hold a dot or look like numbers; a planner's ids may do either.
    """
    return str(component.name).replace("'", "")


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
        columns=tuple(map(plain_name, decisions)),
        rows=rows,
        states=tuple(map(plain_name, states)),
        noises=tuple(map(plain_name, noises)),
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
            names.append(plain_name(entry.constraint))
            keep.append(index)
        if entry.bound_type <= 0:
            lower[row] = float(rhs)
        if entry.bound_type >= 0:
            upper[row] = float(rhs)
    chosen = sparse.csr_array(form.A)[keep].tocoo()
    matrix = sparse.csc_array((chosen.data, (chosen.row, placed[chosen.col])), shape=(len(names), total))
    return matrix, np.array(lower, dtype=np.float64), np.array(upper, dtype=np.float64), tuple(names)
