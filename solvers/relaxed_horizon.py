"""A long horizon as one linear program that knows all noise, made blunt: what `information_relaxation` minimises.

Three things set it apart from hindsight:

* the initial state is free, so that the optimum bounds every stationary start;
* part of what answers the noise (sales, shortages: the *recourse*) is counted on copies of the stage that share the
  stage's state and decisions but meet noise of their own. A policy cannot tell the copies' noise from the real one, so
  its expected cost stays as it was; the program, which knows the real noise, can no longer aim at it;
* states and decisions bear multipliers, set anew for every scenario.

Nothing here knows a problem: which columns are decided first comes from `Program.here_and_now`, what the tensors of the
simulator are in columns of the program is found by asking `Program` and checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from models.lazy import sparse, torch
from models.program import Indices, LinearProgram, Program, Vector, chain
from solvers.core import InnerSolveError

SAMPLE = 65_536  # noise outcomes behind the copies
FIT = 1e-4  # relative misfit above which tensors do not count as linear in the program's columns


class Flat:
    """A record of tensors laid flat, (batch, width), and back."""

    def __init__(self, record: Any) -> None:
        self.kind = type(record)
        self.names = [f.name for f in fields(record)]
        self.shapes = [getattr(record, name).shape[1:] for name in self.names]
        self.sizes = [int(np.prod(shape)) for shape in self.shapes]

    def record(self, flat: Any) -> Any:
        """The record of flat rows (batch, width)."""
        parts = flat.split(self.sizes, 1)
        shaped = zip(self.names, parts, self.shapes, strict=True)
        return self.kind(**{name: part.reshape(flat.shape[0], *shape) for name, part, shape in shaped})


def flat(record: Any) -> Any:
    """A record's tensors side by side: (batch, width)."""
    return torch.cat([getattr(record, f.name).flatten(1) for f in fields(record)], 1)


@dataclass(frozen=True)
class Reach:
    """How far states and decisions may go, as flat tensors and as entries of the program's state."""

    states: Any  # (sample, width) visited by a policy
    decisions: Any  # (sample, width)
    state_kind: Flat
    decision_kind: Flat
    factor: float  # the program may go this many times as far


class RelaxedHorizon:
    """`periods` alike stages as one hot program with a free initial state."""

    def __init__(self, face: Program, stage: int, periods: int, share: float, copies: int, reach: Reach) -> None:
        from solvers.highs import HotProgram

        plain = face.stage(stage).relaxed()
        self.face, self.periods, self.noises = face, periods, len(plain.noises)
        self.first = face.here_and_now(stage)
        self.from_columns = _decision_map(face, stage, len(plain.columns), self.first)
        self.from_states = _state_map(face, reach)
        self.cuts = _cuts(copies)
        blunt, self.groups = blunted(plain, self.first, share, np.diff(self.cuts) / SAMPLE) if share else (plain, [])
        chained = chain([blunt] * periods, np.ones(periods))
        self.starts = chained.column_starts[:-1]
        self.places = _state_places(blunt, periods)
        self.program = self._free_start(chained.program, reach)
        self.hot = HotProgram(self.program)
        self.columns = np.arange(len(self.program.columns), dtype=np.int32)
        self.extra = np.zeros(len(blunt.noises) - self.noises)
        self.at_reach = 0  # solves whose optimum touches a bound that only `Reach` gives

    def _free_start(self, program: LinearProgram, reach: Reach) -> LinearProgram:
        """The initial state as columns; nothing goes further than `reach`."""
        n, k = len(program.columns), len(program.states)
        seen = self.face.state_vector(reach.state_kind.record(reach.states))
        lowest, highest = np.minimum(seen.min(0), 0.0) * reach.factor, np.maximum(seen.max(0), 0.0) * reach.factor
        lower, upper = np.concatenate([program.lower, lowest]), np.concatenate([program.upper, highest])
        self.bounded = np.zeros(n + k, dtype=bool)
        self.bounded[n:] = highest > 0
        most = reach.decisions.abs().max(0).values.double().numpy() * reach.factor
        weight = np.abs(self.from_columns[self.first])
        for j, row in zip(self.first, weight, strict=True):
            if not row.any():
                continue
            columns = self.starts + j
            limit = float((most[row > 0] / row[row > 0]).max())
            self.bounded[columns] = upper[columns] > limit
            upper[columns] = np.minimum(upper[columns], limit)
        return replace(
            program,
            cost=np.concatenate([program.cost, program.state_cost]),
            state_cost=np.zeros(0),
            matrix=sparse.csc_array(sparse.hstack([program.matrix, program.state_matrix])),
            state_matrix=sparse.csc_array((len(program.rows), 0)),
            lower=lower,
            upper=upper,
            integer=np.zeros(n + k, dtype=np.bool_),
            columns=program.columns + tuple(f"start.{name}" for name in program.states),
            states=(),
        )

    def draw(self, noise: Any) -> None:
        """New noise for the copies, from `SAMPLE` rows (sample, 1, …) independent of everything else.

        Within a component the sample is sorted and averaged group by group: as recourse costs are convex in the noise,
        an average costs no more than its members do (Jensen), so the bound stays one.
        """
        rows = self.face.noise_vector(noise, 0)
        parts = [np.zeros(0)]
        for group in self.groups:
            chosen = rows[:, group]
            ordered = chosen[np.argsort(chosen.sum(1), kind="stable")]
            sums = np.add.reduceat(ordered, self.cuts[:-1], axis=0)
            parts.append((sums / np.diff(self.cuts)[:, None]).ravel())
        self.extra = np.concatenate(parts)

    def solve(
        self, path: Vector, state_multipliers: Vector, decision_multipliers: Vector, slope: Vector
    ) -> tuple[float, Vector, Vector]:
        """Least cost with multipliers, and the flat states (T+1, width) and decisions (T, width) that attain it.

        Args:
            path: (T, m) noise.
            state_multipliers: (T, state width) price of every flat state before the decision.
            decision_multipliers: (T, decision width) price of every flat decision.
            slope: (state width,) price of what the last state exceeds the first by.
        """
        cost = self.program.cost.copy()
        np.add.at(cost, self.places[:-1], state_multipliers @ self.from_states.T)
        np.add.at(cost, self.places[-1], self.from_states @ slope)
        np.add.at(cost, self.places[0], -(self.from_states @ slope))
        decided = self.starts[:, None] + self.first
        cost[decided] += decision_multipliers @ self.from_columns[self.first].T
        self.hot.set_costs(self.columns, cost)
        known = np.concatenate([path, np.tile(self.extra, (self.periods, 1))], axis=1)
        self.hot.set_data(np.zeros(0), known.ravel())
        value = self.hot.solve().require("information relaxation").value
        x = self.hot.columns()
        self.at_reach += bool((x >= self.program.upper - 1e-6)[self.bounded].any())
        return value, x[self.places] @ self.from_states, x[decided] @ self.from_columns[self.first]


def _state_places(stage: LinearProgram, periods: int) -> Indices:
    """(T+1, k): where every entry of every incoming state lies among [columns, initial state]."""
    n, k = len(stage.columns), len(stage.states)
    incoming = n * periods + np.arange(k)
    places = [incoming]
    for t in range(periods):
        noise = np.full(len(stage.noises), -1)
        incoming = np.concatenate([n * t + np.arange(n), incoming, noise])[stage.outgoing]
        places.append(incoming)
    found: Indices = np.array(places, dtype=np.int64).reshape(periods + 1, k)
    if (found < 0).any():
        raise InnerSolveError("information relaxation: a state that is a stage's noise is not served")
    return found


def _decision_map(face: Program, stage: int, columns: int, first: Indices) -> Vector:
    """(n, decision width): the flat decision is columns @ this; checked to take nothing from the recourse."""
    rows = np.concatenate([np.zeros((1, columns)), np.eye(columns)])
    answers: Vector = flat(face.decision(rows, stage)).double().numpy()
    found: Vector = answers[1:] - answers[0]
    later = np.setdiff1d(np.arange(columns), first)
    if np.abs(answers[0]).max(initial=0.0) > FIT or np.abs(found[later]).max(initial=0.0) > FIT:
        raise InnerSolveError("information relaxation: decisions are not linear in the columns decided first")
    return found


def _state_map(face: Program, reach: Reach) -> Vector:
    """(k, state width): the flat state is the program's state @ this; found by least squares and checked."""
    entries = face.state_vector(reach.state_kind.record(reach.states))
    tensors = reach.states.double().numpy()
    found: Vector = np.linalg.lstsq(entries, tensors, rcond=None)[0]
    found[np.abs(found) < 1e-9] = 0.0
    if np.abs(entries @ found - tensors).max() > FIT * (1.0 + np.abs(tensors).max()):
        raise InnerSolveError("information relaxation: the state remembers more than its program does")
    return found


def _cuts(copies: int) -> Indices:
    """Where the groups of a sorted sample begin and end: finer towards both ends, where shortages begin."""
    found: Indices = np.round(SAMPLE * np.sin(0.5 * np.pi * np.arange(copies + 1) / copies) ** 2).astype(np.int64)
    return found


@dataclass(frozen=True)
class _Copied:
    """One component of the recourse, ready to be repeated: columns J, rows R that bind them, noise W that strikes."""

    columns: Indices
    noise: Indices
    own: Vector  # (R, J) coefficients
    shared: Vector  # (R, n) coefficients of the stage's columns decided first
    state: Vector  # (R, k)
    struck: Vector  # (R, W)
    lower: Vector
    upper: Vector


def blunted(stage: LinearProgram, first: Indices, share: float, weights: Vector) -> tuple[LinearProgram, list[Indices]]:
    """A stage whose recourse is counted for `share` on copies with noise of their own.

    Returns the stage and, component by component, which noise entries its copies repeat. Recourse falls into components
    that share no row (a store each, say); those that no noise strikes are left alone.
    """
    components = [c for c in _components(stage, first) if len(c.noise)]
    cost, noise_cost = stage.cost.copy(), stage.noise_cost.copy()
    for c in components:
        cost[c.columns] *= 1.0 - share
        noise_cost[c.noise] *= 1.0 - share
    repeated = [(c, share * w) for c in components for w in weights]
    n, m = len(stage.columns), len(stage.noises)
    more = sum(len(c.columns) for c, _ in repeated)
    shared = np.vstack([stage.matrix.toarray(), *(c.shared for c, _ in repeated)])
    own = sparse.block_diag([sparse.csr_array((len(stage.rows), 0)), *(c.own for c, _ in repeated)])
    struck = sparse.block_diag([stage.noise_matrix.toarray(), *(c.struck for c, _ in repeated)])
    every = np.concatenate
    to_state = stage.outgoing + more * (stage.outgoing >= n)
    copied = replace(
        stage,
        cost=every([cost, *(w * stage.cost[c.columns] for c, w in repeated)]),
        noise_cost=every([noise_cost, *(w * stage.noise_cost[c.noise] for c, w in repeated)]),
        matrix=sparse.csc_array(sparse.hstack([sparse.csc_array(shared), own])),
        state_matrix=sparse.csc_array(np.vstack([stage.state_matrix.toarray(), *(c.state for c, _ in repeated)])),
        noise_matrix=sparse.csc_array(struck),
        row_lower=every([stage.row_lower, *(c.lower for c, _ in repeated)]),
        row_upper=every([stage.row_upper, *(c.upper for c, _ in repeated)]),
        lower=every([stage.lower, *(stage.lower[c.columns] for c, _ in repeated)]),
        upper=every([stage.upper, *(stage.upper[c.columns] for c, _ in repeated)]),
        integer=np.zeros(n + more, dtype=np.bool_),
        outgoing=to_state,
        columns=stage.columns + _copied_names("columns", stage.columns, [c.columns for c, _ in repeated]),
        rows=stage.rows + tuple(f"copy.{k}" for k in range(shared.shape[0] - len(stage.rows))),
        noises=stage.noises + _copied_names("noise", stage.noises, [c.noise for c, _ in repeated]),
    )
    if copied.noise_matrix.shape[1] != m + sum(len(c.noise) for c, _ in repeated):
        raise AssertionError("the copies' noise does not fit")
    return copied, [c.noise for c in components]


def _copied_names(kind: str, names: Sequence[str], groups: Sequence[Indices]) -> tuple[str, ...]:
    return tuple(f"copy.{k}.{kind}.{names[j]}" for k, group in enumerate(groups) for j in group)


def _components(stage: LinearProgram, first: Indices) -> list[_Copied]:
    n = len(stage.columns)
    later = np.setdiff1d(np.arange(n), first)
    touches = sparse.csr_array((np.abs(stage.matrix.toarray()[:, later]) > 0).astype(np.int64))
    number, label = sparse.csgraph.connected_components(touches.T @ touches, directed=False)
    return [_component(stage, first, later[label == c]) for c in range(number)]


def _component(stage: LinearProgram, first: Indices, columns: Indices) -> _Copied:
    matrix, states, noises = (m.toarray() for m in (stage.matrix, stage.state_matrix, stage.noise_matrix))
    rows = np.flatnonzero(np.abs(matrix[:, columns]).any(1))
    matrix, states, noises = matrix[rows], states[rows], noises[rows]
    lower, upper = stage.row_lower[rows].copy(), stage.row_upper[rows].copy()
    kept = [j for j in columns if not _drop_slack(stage, j, matrix, lower, upper)]
    turned = np.isneginf(lower)
    for block in (matrix, states, noises):
        block[turned] *= -1.0
    lower[turned], upper[turned] = -upper[turned], np.inf
    needed = _undominated(stage, matrix, states, noises, lower, upper)
    struck = np.flatnonzero(np.abs(noises).any(0))
    shared = np.zeros_like(matrix)
    shared[:, first] = matrix[:, first]
    return _Copied(
        columns=np.array(kept, dtype=np.int64),
        noise=struck,
        own=matrix[needed][:, kept],
        shared=shared[needed],
        state=states[needed],
        struck=noises[needed][:, struck],
        lower=lower[needed],
        upper=upper[needed],
    )


def _drop_slack(stage: LinearProgram, j: int, matrix: Vector, lower: Vector, upper: Vector) -> bool:
    """Turn the one equality in which a free-of-charge column ≥ 0 stands into an inequality without it."""
    found = np.flatnonzero(matrix[:, j])
    if stage.cost[j] or len(found) != 1 or lower[found[0]] != upper[found[0]]:
        return False
    if stage.lower[j] != 0.0 or np.isfinite(stage.upper[j]):
        return False
    row = found[0]
    if matrix[row, j] > 0:
        lower[row] = -np.inf
    else:
        upper[row] = np.inf
    matrix[row, j] = 0.0
    return True


def _undominated(
    stage: LinearProgram, matrix: Vector, states: Vector, noises: Vector, lower: Vector, upper: Vector
) -> list[int]:
    """Rows ≥ that no other row implies. A row less another, all of it on what is never negative, is implied by it.

    Which states are never negative is not known here; those that are make the copies looser, which a bound may be.
    """
    count = len(lower)

    def implies(q: int, r: int) -> bool:
        if q == r or np.isfinite(upper[[q, r]]).any() or lower[q] < lower[r] or (noises[q] != noises[r]).any():
            return False
        excess, more = matrix[r] - matrix[q], states[r] - states[q]
        if (excess < 0).any() or (more < 0).any() or (stage.lower[excess > 0] < 0).any():
            return False
        return bool(excess.any() or more.any() or lower[q] > lower[r] or q < r)

    return [r for r in range(count) if not any(implies(q, r) for q in range(count))]
