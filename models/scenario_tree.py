"""Stages joined by state: in a chain, or along a tree of outcomes.

What is decided before the noise strikes is shared by the branches of a tree, what answers it is not. `two_stage` is
the tree that branches once, `chain` the one that never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.lazy import sparse
from models.linear_program import Indices, LinearProgram, Vector


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


@dataclass(frozen=True, eq=False)
class ScenarioTree:
    """Stages joined along a tree of outcomes: one program, and where its first decision and its noise lie."""

    program: LinearProgram
    columns: tuple[Indices, ...]  # by depth, (node, n of that stage): where each node's columns lie, shared ones alike
    paths: tuple[Indices, ...]  # by depth, the scenario from which each node takes its noise

    @property
    def first(self) -> Indices:
        """(n of the first stage,) its columns in the first scenario: the shared decisions are among them."""
        columns: Indices = self.columns[0][0]
        return columns

    @property
    def scenarios(self) -> int:
        """Number of leaves K."""
        return len(self.paths[-1])

    def noise_path(self, noise: Sequence[Vector]) -> Vector:
        """Scenarios' noise by depth, each (K, m of that stage), → data (all nodes' m,) of the program.

        Where scenarios still share a node, the noise of the first of them is taken.
        """
        return np.concatenate([rows[taken].ravel() for rows, taken in zip(noise, self.paths, strict=True)])


def chain(stages: Sequence[LinearProgram], weights: Sequence[float] | Vector) -> MultistageProgram:
    """Join stages by state: each stage's incoming state is the outgoing state of the one before.

    Stages may differ (cyclic data, a changing number of states) as long as neighbours fit; a stage's costs are
    multiplied by its weight (a discount factor; 0 for stages whose cost is not to count). Names get `@stage` appended.

    Raises:
        ValueError: no stage, a weight missing, or neighbours whose states differ in number.
    """
    nothing = np.zeros(0, dtype=np.int64)
    program = scenario_tree(stages, weights, [nothing] * len(stages), [1] * len(stages)).program
    column_starts = _starts([len(stage.columns) for stage in stages])
    return MultistageProgram(program, column_starts, _starts([len(stage.rows) for stage in stages]))


def two_stage(
    stages: Sequence[LinearProgram],
    weights: Sequence[float] | Vector,
    here: Sequence[Indices],
    scenarios: int,
    probabilities: Vector | None = None,
    committed: int = 1,
) -> ScenarioTree:
    """The extensive form of a two-stage program: decide now, then learn everything.

    The columns `here` of the first `committed` stages are shared by all scenarios; all else is decided knowing its
    scenario's whole path.

        min  c·x + Σ_k p_k Q(x, ω_k),   Q(x, ω) = the least cost of the other columns of all stages on path ω

    Source: Birge and Louveaux, Introduction to Stochastic Programming, ch. 2. Arguments and errors of `scenario_tree`.
    """
    return scenario_tree(stages, weights, here, [scenarios] + [1] * (len(stages) - 1), probabilities, committed)


def scenario_tree(
    stages: Sequence[LinearProgram],
    weights: Sequence[float] | Vector,
    here: Sequence[Indices],
    branching: Sequence[int],
    probabilities: Vector | None = None,
    committed: int = 1,
) -> ScenarioTree:
    """Join stages along a tree: in stage t every node of the stage before meets `branching[t]` outcomes of the noise.

    The columns `here[t]` are decided before the outcome and shared by its branches; in the first `committed` stages
    they are shared by all nodes, as if nothing had been learned. Rows that neither the noise nor any other column
    enters are the same for all that share and stand once. Leaves are scenarios.

    Args:
        stages: programs in order, as for `chain`.
        weights: one per stage, multiplying its costs (discount).
        here: per stage the positions of columns decided before its noise; of no account where nothing shares them.
        branching: outcomes per node, stage by stage.
        probabilities: of the leaves (K,), which sum to one; equal if None.
        committed: stages whose decisions do not answer what was learned since the first.

    Raises:
        ValueError: no stage, a weight or a branching missing, neighbours whose states differ in number, or
            probabilities that are none.
    """
    if not stages or len({len(stages), len(weights), len(here), len(branching)}) > 1:
        raise ValueError(
            f"{len(stages)} stages and {len(weights)} weights: need one weight (and branching) for each of 1 or more "
            "stages"
        )
    for t in range(1, len(stages)):
        if len(stages[t].states) != len(stages[t - 1].outgoing):
            takes, gives = len(stages[t].states), len(stages[t - 1].outgoing)
            raise ValueError(f"stage {t} takes {takes} states, the stage before gives {gives}")
    counts = np.cumprod(branching)
    chances = np.full(counts[-1], 1.0 / counts[-1]) if probabilities is None else np.asarray(probabilities, np.float64)
    if chances.shape != (counts[-1],) or (chances < 0).any() or abs(chances.sum() - 1) > 1e-9:
        raise ValueError(f"need {counts[-1]} probabilities that sum to one")
    return _Tree(stages, here, branching, counts, committed).joined(weights, chances)


class _Tree:
    """Nodes placed one after the other: columns and rows of a node lie together, shared columns before its branches."""

    def __init__(
        self,
        stages: Sequence[LinearProgram],
        here: Sequence[Indices],
        branching: Sequence[int],
        counts: npt.NDArray[np.int64],
        committed: int,
    ) -> None:
        self.stages, self.branching, self.counts = stages, branching, counts
        self.groups = [1 if t < committed else int(counts[t]) // branching[t] for t in range(len(stages))]
        alone = [int(count) == groups for count, groups in zip(counts, self.groups, strict=True)]
        self.here = [shared[:0] if single else shared for shared, single in zip(here, alone, strict=True)]
        sizes = [
            groups * len(shared) + int(count) * (len(stage.columns) - len(shared))
            for stage, shared, groups, count in zip(stages, self.here, self.groups, counts, strict=True)
        ]
        self.num_columns, self.num_states = sum(sizes), len(stages[0].states)
        self.num_noises = sum(int(count) * len(stage.noises) for stage, count in zip(stages, counts, strict=True))
        self.columns, self.rows, self.noises = 0, 0, 0  # placed so far

    def joined(self, weights: Sequence[float] | Vector, chances: Vector) -> ScenarioTree:
        """The tree as one program."""
        incoming = [self.num_columns + np.arange(self.num_states)]
        parts: list[_Part] = []
        columns: list[Indices] = []
        for depth, stage in enumerate(self.stages):
            chance = weights[depth] * chances.reshape(self.counts[depth], -1).sum(1)
            placed = self._place(depth, stage, incoming, chance)
            incoming = [part.placed[stage.outgoing] for part in placed]
            columns.append(np.stack([part.placed[: len(stage.columns)] for part in placed]))
            parts += placed
        leaves = self.counts[-1]
        paths = tuple(np.arange(0, leaves, leaves // count) for count in self.counts)
        return ScenarioTree(self._program(parts, np.concatenate(incoming)), tuple(columns), paths)

    def _place(self, depth: int, stage: LinearProgram, incoming: Sequence[Indices], chance: Vector) -> list[_Part]:
        shared, groups, nodes = self.here[depth], self.groups[depth], int(self.counts[depth])
        private = np.setdiff1d(np.arange(len(stage.columns)), shared)
        entries = _Entries(stage)
        alike = groups == len(incoming)  # all that share a decision come from the same state
        every, own = np.arange(len(stage.rows)), entries.rows_touched_by(private, states=not alike)
        together = np.setdiff1d(every, own)
        parts = []
        columns = np.zeros(len(stage.columns), dtype=np.int64)
        for node in range(nodes):
            group, branch = divmod(node, nodes // groups)
            if branch == 0:
                columns[shared] = self._take(len(shared))
            columns[private] = self._take(len(private))
            struck = self.num_columns + self.num_states + self.noises + np.arange(len(stage.noises))
            rows = every if branch == 0 else own
            names = _Names(stage, f"@{depth}" + self._number(depth, node), shared, together)
            if groups < nodes:
                names.shared_suffix = f"@{depth}" + (f"#{group}+" if groups > 1 else "")
            placed = np.concatenate([columns, incoming[node // self.branching[depth]], struck])
            parts.append(_Part(entries, chance[node], placed, rows, self.rows, names))
            self.noises += len(stage.noises)
            self.rows += len(rows)
        return parts

    def _take(self, count: int) -> Indices:
        self.columns += count
        return np.arange(self.columns - count, self.columns)

    def _number(self, depth: int, node: int) -> str:
        return "" if self.counts[depth] == 1 else f"#{node}"

    def _program(self, parts: Sequence[_Part], outgoing: Indices) -> LinearProgram:
        n, k = self.num_columns, self.num_states
        cost = np.zeros(n + k + self.num_noises)
        lower, upper, integer = np.zeros(n), np.zeros(n), np.zeros(n, dtype=np.bool_)
        columns, noises = np.empty(n, dtype=object), []
        for part in parts:
            stage, own = part.entries.stage, part.placed[: len(part.entries.stage.columns)]
            np.add.at(cost, part.placed, part.weight * part.entries.cost)
            lower[own], upper[own], integer[own] = stage.lower, stage.upper, stage.integer
            columns[own] = part.names.columns()
            noises += [name + part.names.suffix for name in stage.noises]
        located = [part.located() for part in parts]
        data, rows, positions = (np.concatenate(pieces) for pieces in zip(*located, strict=True))
        matrix = sparse.csc_array((data, (rows, positions)), shape=(self.rows, n + k + self.num_noises))
        matrix.eliminate_zeros()
        return LinearProgram(
            cost=cost[:n],
            state_cost=cost[n : n + k],
            noise_cost=cost[n + k :],
            constant=float(sum(part.weight * part.entries.stage.constant for part in parts)),
            matrix=matrix[:, :n],
            state_matrix=matrix[:, n : n + k],
            noise_matrix=matrix[:, n + k :],
            row_lower=np.concatenate([part.entries.stage.row_lower[part.rows] for part in parts]),
            row_upper=np.concatenate([part.entries.stage.row_upper[part.rows] for part in parts]),
            lower=lower,
            upper=upper,
            integer=integer,
            outgoing=outgoing,
            columns=tuple(columns),
            rows=tuple(name for part in parts for name in part.names.rows(part.rows)),
            states=self.stages[0].states,
            noises=tuple(noises),
        )


class _Entries:
    """A stage's matrices as one list of entries over [decision, incoming state, noise] columns."""

    def __init__(self, stage: LinearProgram) -> None:
        self.stage = stage
        self.cost = np.concatenate([stage.cost, stage.state_cost, stage.noise_cost])
        block = sparse.hstack([stage.matrix, stage.state_matrix, stage.noise_matrix], format="coo")
        self.data, self.row, self.col = block.data, block.row.astype(np.int64), block.col

    def rows_touched_by(self, columns: Indices, states: bool) -> Indices:
        """Rows that one of these columns or the noise enters, or (with `states`) the incoming state."""
        n = len(self.stage.columns)
        enters = np.isin(self.col, columns) | (self.col >= (n if states else n + len(self.stage.states)))
        return np.unique(self.row[enters & (self.data != 0)])


@dataclass(eq=False)
class _Names:
    """Names at a node: `balance@3`, in a tree `balance@3#12`; what branches share has theirs, `order@3#5+`."""

    stage: LinearProgram
    suffix: str
    shared: Indices  # columns
    together: Indices  # rows
    shared_suffix: str = ""

    def columns(self) -> list[str]:
        ends = [self.suffix] * len(self.stage.columns)
        for column in self.shared:
            ends[column] = self.shared_suffix
        return [name + end for name, end in zip(self.stage.columns, ends, strict=True)]

    def rows(self, kept: Indices) -> list[str]:
        common = set(self.together.tolist()) if self.shared_suffix else set()
        return [self.stage.rows[row] + (self.shared_suffix if row in common else self.suffix) for row in kept]


@dataclass(frozen=True, eq=False)
class _Part:
    """A stage at a node: where its columns lie, and which of its rows stand there."""

    entries: _Entries
    weight: float  # of its costs: discount times probability
    placed: Indices  # position of every [decision, incoming state, noise] column among all columns
    rows: Indices  # the rows kept
    first_row: int
    names: _Names

    def located(self) -> tuple[Vector, Indices, Indices]:
        """Values, rows and columns of its matrix entries among all."""
        where = np.full(len(self.entries.stage.rows), -1)
        where[self.rows] = self.first_row + np.arange(len(self.rows))
        rows = where[self.entries.row]
        kept = rows >= 0
        return self.entries.data[kept], rows[kept], self.placed[self.entries.col[kept]]


def _starts(lengths: Sequence[int]) -> Indices:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
