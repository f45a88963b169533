"""Stages as nodes of a decomposition: one program each, all its outcomes in it, the future as one or more columns θ.

A node is `models.scenario_tree` of a single stage: what is decided before the noise strikes is shared by its outcomes,
what answers it stands once for each. Where noise merely passes into the next state (hazard-decision) a node is the
stage itself. Noise is folded in, so a node's only data are its incoming state, and a solve moves right-hand sides only.

    V_t(s) = min  c·x + γ Σ_k p_k θ_k      s.t. the stage's rows at s,  θ_k ≥ cuts of V_{t+1} at the next state k

The next state k is made of decision columns (`carried`) and of what chance alone sets (`news`). With a single cut per
node there is one θ, the mean over outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from models.lazy import sparse
from models.program import Indices, LinearProgram, NoProgram, Outcomes, Program, Vector, scenario_tree

CERTAIN = Outcomes(np.zeros((1, 0)), np.ones(1))


@dataclass(frozen=True, eq=False)
class Node:
    """A stage with its outcomes, its future as last columns."""

    program: LinearProgram  # data: incoming state; the last `futures` columns are θ
    futures: int  # number of θ: 0 where nothing follows, 1, or one per outcome
    carried: Indices  # (c,) decision columns that next states are made of
    place: Indices  # (K, k') which carried column is that entry of next state k; c where chance alone sets it
    news: Vector  # (K, k') what chance sets, else 0
    chances: Vector  # (K,)
    first: Indices  # (n of the stage,) its columns in the first outcome
    chance_in_stage: bool  # whether outcomes have columns of their own: noise strikes within the stage
    rows_before: int  # rows of the stage itself
    kept: Indices  # entries of the incoming state that pass through: their copies end the columns before θ

    def following(self, carried: Vector) -> Vector:
        """The next states (..., K, k') after carried columns (..., c)."""
        padded = np.concatenate([carried, np.zeros((*carried.shape[:-1], 1))], axis=-1)
        return padded[..., self.place] + self.news

    def lifted(self, slopes: Vector) -> Vector:
        """Slopes (row, K, k') over the next state's entries → (row, K, c) over the carried columns."""
        rows, count, _ = slopes.shape
        lifted = np.zeros((rows, count, len(self.carried) + 1))
        for outcome, place in enumerate(self.place):
            np.add.at(lifted[:, outcome].T, place, slopes[:, outcome].T)
        return lifted[..., :-1]

    def rows(self, outcomes: Indices, slopes: Vector) -> sparse.csr_array:
        """Cuts θ_outcome − slope·carried (≥ intercept) as rows over the node's columns."""
        matrix = np.zeros((len(slopes), len(self.program.columns)))
        matrix[:, self.carried] = -slopes
        matrix[np.arange(len(slopes)), len(self.program.columns) - self.futures + outcomes] = 1.0
        return sparse.csr_array(matrix)


@dataclass(frozen=True, eq=False)
class Nodes:
    """The nodes of an instance, what prices the end included, and where scenarios start."""

    face: Program
    bare: list[Node]  # without a future, in money
    starts: Outcomes
    discount: float
    floors: Vector  # (T,) least cost to go after each node [money]; −inf where nothing bounds it

    def scaled(self, scale: float, multi_cut: bool) -> list[Node]:
        """The nodes with their futures, `scale` programs' units of cost a unit of money."""
        made: dict[tuple[int, float], Node] = {}
        for node, floor in zip(self.bare[:-1], self.floors[:-1], strict=True):
            key = (id(node), float(floor))
            if key not in made:
                made[key] = _with_future(_times(node, scale), floor * scale, self.discount, multi_cut)
        ahead = [made[id(node), float(floor)] for node, floor in zip(self.bare[:-1], self.floors[:-1], strict=True)]
        return [*ahead, _times(self.bare[-1], scale)]


def build_nodes(face: Program, discount: float, counted: Vector | None = None) -> Nodes:
    """The nodes of a program; `counted` (T+1,) multiplies each stage's cost and, last, that of the end.

    Raises:
        NoProgram: what strikes a stage depends on the past or has too many outcomes, or columns are whole numbers.
    """
    starts = face.starts()
    outcomes = [found for stage in range(face.num_stages) if (found := face.outcomes(stage)) is not None]
    if starts is None or len(outcomes) < face.num_stages:
        raise NoProgram("chance has too many outcomes to count, or depends on what came before")
    bare = _bare(face, outcomes, np.ones(face.num_stages + 1) if counted is None else counted)
    return Nodes(face, bare, starts, discount, _floors(bare, starts, discount))


def _bare(face: Program, outcomes: list[Outcomes], counted: Vector) -> list[Node]:
    made: dict[tuple[int, bytes, float], Node] = {}
    nodes = []
    for stage, found in enumerate(outcomes):
        program = face.stage(stage)
        key = (id(program), found.values.tobytes() + found.probabilities.tobytes(), float(counted[stage]))
        if key not in made:
            made[key] = _times(_bare_node(program, face.here_and_now(stage), found), counted[stage])
        nodes.append(made[key])
    final = face.final()
    if final is None:
        return nodes
    return [*nodes, _times(_bare_node(final, np.zeros(0, dtype=np.int64), CERTAIN), counted[-1])]


def _times(node: Node, scale: float) -> Node:
    program = node.program
    cost, state_cost = program.cost * scale, program.state_cost * scale
    scaled = replace(program, cost=cost, state_cost=state_cost, constant=program.constant * scale)
    return replace(node, program=scaled)


def _with_future(node: Node, floor: float, discount: float, multi_cut: bool) -> Node:
    """The node with θ columns, bounded below by the least cost to go."""
    chances = node.chances if multi_cut else np.ones(1)
    program, rows, count = node.program, len(node.program.rows), len(chances)
    grown = replace(
        program,
        cost=np.concatenate([program.cost, discount * chances]),
        matrix=sparse.csc_array(sparse.hstack([program.matrix, sparse.csc_array((rows, count))])),
        lower=np.concatenate([program.lower, np.full(count, floor)]),
        upper=np.concatenate([program.upper, np.full(count, np.inf)]),
        integer=np.concatenate([program.integer, np.zeros(count, dtype=np.bool_)]),
        columns=(*program.columns, *(f"future[{k}]" for k in range(count))),
    )
    return replace(node, program=grown, futures=count)


def _bare_node(stage: LinearProgram, here: Indices, outcomes: Outcomes) -> Node:
    """A stage with its outcomes folded in, nothing after it."""
    if stage.is_mixed_integer:
        raise NoProgram("some columns are whole numbers: the cost to go is not convex, cuts would cut too deep")
    count, entries = len(outcomes.values), len(stage.outgoing)
    tree = scenario_tree([stage], [1.0], [here], [count], outcomes.probabilities)
    program = _folded(tree.program, tree.noise_path([outcomes.values]))
    columns, states = len(program.columns), len(program.states)
    leaving = tree.program.outgoing.reshape(count, entries)
    passing = np.unique(leaving[(leaving >= columns) & (leaving < columns + states)])
    program = _with_copies(program, passing - columns)
    leaving = leaving.copy()
    news = np.zeros((count, entries))
    struck = leaving >= columns + states
    news[struck] = tree.noise_path([outcomes.values])[leaving[struck] - columns - states]
    for position, state in enumerate(passing):
        leaving[~struck & (leaving == state)] = columns + position
    carried = np.unique(leaving[~struck])
    place = np.where(struck, len(carried), np.searchsorted(carried, leaving))
    answers = count > 1 and len(program.columns) > len(stage.columns) + len(passing)
    kept, rows = passing - columns, len(stage.rows)
    return Node(program, 0, carried, place, news, outcomes.probabilities, tree.first, answers, rows, kept)


def _folded(program: LinearProgram, noise: Vector) -> LinearProgram:
    """The program with its noise known: incoming state is its only data. Names lose the depth in their tree, 0."""
    shift = program.noise_matrix @ noise
    return replace(
        program,
        constant=program.constant + float(program.noise_cost @ noise),
        row_lower=program.row_lower - shift,
        row_upper=program.row_upper - shift,
        noise_cost=np.zeros(0),
        noise_matrix=sparse.csc_array((len(program.rows), 0)),
        noises=(),
        columns=tuple(name.replace("@0", "") for name in program.columns),
    )


def _with_copies(program: LinearProgram, states: Indices) -> LinearProgram:
    """Columns that equal some entries of the incoming state, so that cuts may hold what merely passes through."""
    count, rows, columns = len(states), len(program.rows), len(program.columns)
    if not count:
        return program
    picked = sparse.csc_array((-np.ones(count), (np.arange(count), states)), shape=(count, len(program.states)))
    old = sparse.hstack([program.matrix, sparse.csc_array((rows, count))])
    new = sparse.hstack([sparse.csc_array((count, columns)), sparse.identity(count)])
    return replace(
        program,
        cost=np.concatenate([program.cost, np.zeros(count)]),
        matrix=sparse.csc_array(sparse.vstack([old, new])),
        state_matrix=sparse.csc_array(sparse.vstack([program.state_matrix, picked])),
        noise_matrix=sparse.csc_array((rows + count, 0)),
        row_lower=np.concatenate([program.row_lower, np.zeros(count)]),
        row_upper=np.concatenate([program.row_upper, np.zeros(count)]),
        lower=np.concatenate([program.lower, np.full(count, -np.inf)]),
        upper=np.concatenate([program.upper, np.full(count, np.inf)]),
        integer=np.concatenate([program.integer, np.zeros(count, dtype=np.bool_)]),
        columns=(*program.columns, *(f"kept[{program.states[k]}]" for k in states)),
        rows=(*program.rows, *(f"kept[{program.states[k]}]" for k in states)),
    )


def _floors(nodes: list[Node], starts: Outcomes, discount: float) -> Vector:
    """(T,) a lower bound on the cost to go after each node: the sum of the least each later stage can cost at all.

    A stage's least cost is over every state in a box that holds all states it can be in. −inf where there is none.
    """
    low, high = starts.values.min(0), starts.values.max(0)
    least: list[float] = []
    known: dict[tuple[int, bytes], float] = {}
    for node in nodes:
        key = (id(node), low.tobytes() + high.tobytes())
        if key not in known:
            known[key] = _least(node.program, low, high)
        least.append(known[key])
        low, high = _box(node, low, high)
    floors = np.zeros(len(nodes))
    for t in range(len(nodes) - 2, -1, -1):
        floors[t] = least[t + 1] + discount * floors[t + 1]
    return floors


def _box(node: Node, low: Vector, high: Vector) -> tuple[Vector, Vector]:
    """Bounds of the next state's entries, given those of this one's."""
    program = node.program
    ends = []
    for bounds, state, pick in ((program.lower, low, np.min), (program.upper, high, np.max)):
        bounds = np.concatenate([bounds[: len(bounds) - len(node.kept)], state[node.kept]])
        ends.append(pick(node.following(bounds[node.carried]), axis=0))
    return ends[0], ends[1]


def _least(program: LinearProgram, low: Vector, high: Vector) -> float:
    """The least a stage can cost from any state between `low` and `high`; −inf if there is no limit."""
    from solvers.highs import HotProgram

    count = len(program.states)
    free = replace(
        program,
        cost=np.concatenate([program.cost, program.state_cost]),
        state_cost=np.zeros(0),
        matrix=sparse.csc_array(sparse.hstack([program.matrix, program.state_matrix])),
        state_matrix=sparse.csc_array((len(program.rows), 0)),
        lower=np.concatenate([program.lower, low]),
        upper=np.concatenate([program.upper, high]),
        integer=np.zeros(len(program.columns) + count, dtype=np.bool_),
        columns=(*program.columns, *(f"state[{name}]" for name in program.states)),
        states=(),
    )
    return HotProgram(free).solve().value
