"""Average-cost decision problems on small finite tables, solved exactly: what the oracles of constraints stand on.

A period is decide ∘ realize: state s and choice a give a post-state y(s, a) at a cost, then chance k gives the next
state at an expected cost. Two methods that share nothing but the table find the least average cost: relative value
iteration (Puterman 1994, §8.5) and the linear program over how often each state and choice occur (§8.8).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array, vstack

from tests.oracles.demand import Floats

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """The whole points of a box, numbered row by row: `axes` holds the values of every coordinate, in even steps."""

    axes: tuple[Floats, ...]

    @classmethod
    def box(cls, *ranges: tuple[float, float], step: float = 1.0) -> Grid:
        """All points from the first to the last number of every range, both included."""
        return cls(tuple(low + step * np.arange(round((high - low) / step) + 1) for low, high in ranges))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(axis) for axis in self.axes)

    @property
    def points(self) -> tuple[Floats, ...]:
        """Every coordinate of every point: arrays (point,)."""
        return tuple(axis.ravel() for axis in np.meshgrid(*self.axes, indexing="ij"))

    def index(self, coordinates: Sequence[Floats]) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """Number of the nearest point, and whether the point lies in the box."""
        places = [np.rint((c - axis[0]) / _step(axis)) for c, axis in zip(coordinates, self.axes, strict=True)]
        inside = [(place >= 0) & (place < n) for place, n in zip(places, self.shape, strict=True)]
        clipped = [np.clip(place, 0, n - 1).astype(np.int64) for place, n in zip(places, self.shape, strict=True)]
        number = np.ravel_multi_index(tuple(np.broadcast_arrays(*clipped)), self.shape)
        return np.asarray(number), np.asarray(np.logical_and.reduce(np.broadcast_arrays(*inside)))


def _step(axis: Floats) -> float:
    return float(axis[1] - axis[0]) if len(axis) > 1 else 1.0


Decide = Callable[[Sequence[Floats], Sequence[Floats]], tuple[Sequence[Floats], Floats]]
Realize = Callable[[Sequence[Floats], Sequence[Floats]], tuple[Sequence[Floats], Floats]]


@dataclass(frozen=True)
class Table:
    """One decision problem: S states, A choices, Y post-states, K outcomes."""

    states: Grid
    choices: Grid
    post: Ints  # (S, A) post-state
    cost: Floats  # (S, A) [money], infinite where the choice is not allowed
    moves: csr_array  # (Y, S) chance of each next state
    expected: Floats  # (Y,) expected cost of the stochastic half [money]
    leaving: Floats  # (Y,) chance of leaving the grid of states, which then counts as its edge


def tabulate(
    states: Grid,
    choices: Grid,
    decide: Decide,
    posts: Grid,
    realize: Realize,
    outcomes: Sequence[Floats],
    chance: Floats,
) -> Table:
    """The table of a problem given by its two halves.

    `decide(states, choices)` and `realize(posts, outcomes)` take coordinates (n, 1) and (1, m), and give the
    coordinates reached and the cost, (n, m); a cost of infinity forbids a choice, and so does leaving the grid of
    post-states. `chance` is (K,), or (Y, K) where chances depend on the post-state.
    """
    reached, cost = decide(_column(states.points), _row(choices.points))
    post, inside = posts.index(reached)
    shape = (len(states.points[0]), len(choices.points[0]))
    cost = np.where(np.broadcast_to(inside, shape), np.broadcast_to(cost, shape), np.inf)
    following, paid = realize(_column(posts.points), _row(outcomes))
    target, kept = states.index(following)
    size = (len(posts.points[0]), len(outcomes[0]))
    chances = np.broadcast_to(chance, size)
    rows = np.broadcast_to(np.arange(size[0])[:, None], size)
    entries = (chances.ravel(), (rows.ravel(), np.broadcast_to(target, size).ravel()))
    moves = csr_array(coo_array(entries, shape=(size[0], shape[0])))
    leaving = (chances * ~np.broadcast_to(kept, size)).sum(1)
    expected = (chances * np.broadcast_to(paid, size)).sum(1)
    return Table(states, choices, np.broadcast_to(post, shape), cost, moves, expected, leaving)


def _column(coordinates: Sequence[Floats]) -> list[Floats]:
    return [np.asarray(c)[:, None] for c in coordinates]


def _row(coordinates: Sequence[Floats]) -> list[Floats]:
    return [np.asarray(c)[None, :] for c in coordinates]


@dataclass(frozen=True)
class Optimum:
    """The least average cost of a table and a policy that attains it."""

    cost: float  # [money/period]
    table: Table
    choice: Ints  # (S,) number of the best choice
    decisions: tuple[Floats, ...] = field(default=())  # its coordinates, each shaped like the grid of states


def solve(table: Table, tolerance: float = 1e-8, max_iterations: int = 100_000) -> Optimum:
    """Relative value iteration.

    Raises:
        ValueError: the best policy leaves the grid of states with a chance above 1e-7: the grid is too small.
        RuntimeError: no convergence.
    """
    value = np.zeros(len(table.cost))
    for _ in range(max_iterations):
        after = table.expected + table.moves @ value
        total = table.cost + after[table.post]
        new = total.min(1)
        change = new - value
        if change.max() - change.min() < tolerance:
            choice = np.asarray(total.argmin(1))
            check_edges(table, choice)
            decisions = tuple(c[choice].reshape(table.states.shape) for c in table.choices.points)
            return Optimum(float(0.5 * (change.max() + change.min())), table, choice, decisions)
        value = new - new[0]
    raise RuntimeError(f"value iteration did not converge in {max_iterations} iterations")


def discounted_decisions(table: Table, discount: float, tolerance: float = 1e-9) -> tuple[Floats, ...]:
    """The best decisions where next period's money counts `discount` times as much, shaped like the grid of states."""
    value = np.zeros(len(table.cost))
    while True:
        total = table.cost + (table.expected + discount * (table.moves @ value))[table.post]
        new = total.min(1)
        if float(np.abs(new - value).max()) < tolerance:
            choice = total.argmin(1)
            return tuple(c[choice].reshape(table.states.shape) for c in table.choices.points)
        value = new


def stationary(table: Table, choice: Ints) -> Floats:
    """How often each state occurs in the long run under a policy (S,), by letting time pass."""
    moves = table.moves[table.post[np.arange(len(choice)), choice]]
    share = np.full(len(choice), 1.0 / len(choice))
    for _ in range(100_000):
        new = moves.T @ share
        if float(np.abs(new - share).sum()) < 1e-13:
            return np.asarray(new / new.sum())
        share = 0.5 * (new + share)  # halfway, so that no cycle of states keeps it from settling
    raise RuntimeError("the long-run shares did not settle")


def average_cost(table: Table, choice: Ints) -> float:
    """Long-run cost of a policy [money/period], from how often each state occurs."""
    return float(stationary(table, choice) @ _cost_of(table, choice))


def _cost_of(table: Table, choice: Ints) -> Floats:
    rows = np.arange(len(choice))
    return np.asarray(table.cost[rows, choice] + table.expected[table.post[rows, choice]])


def check_edges(table: Table, choice: Ints) -> None:
    """Raise ValueError if a policy leaves the grid of states with a chance above 1e-7 a period."""
    leaving = float(stationary(table, choice) @ table.leaving[table.post[np.arange(len(choice)), choice]])
    if leaving > 1e-7:
        raise ValueError(f"the grid is too small: left with a chance of {leaving:.1e} a period")


def least_cost_by_program(table: Table, burden: Floats | None = None, limit: float = 0.0) -> float:
    """Least average cost [money/period] as a linear program over how often each state and choice occur.

    With `burden` (S, A), its long-run average is held to at most `limit`: a constraint in expectation, for which the
    best policy may have to draw lots.
    """
    rows, columns = np.nonzero(np.isfinite(table.cost))
    post = table.post[rows, columns]
    arrivals = table.moves[post].T  # (S, pairs)
    departures = coo_array((np.ones(len(rows)), (rows, np.arange(len(rows)))), shape=(len(table.cost), len(rows)))
    balance = vstack([csr_array(departures) - arrivals, csr_array(np.ones((1, len(rows))))])
    right = np.append(np.zeros(len(table.cost)), 1.0)
    costs = table.cost[rows, columns] + table.expected[post]
    bound = {} if burden is None else {"A_ub": burden[rows, columns][None], "b_ub": np.array([limit])}
    result = linprog(costs, A_eq=balance, b_eq=right, bounds=(0, None), method="highs", **bound)
    if result.status != 0:
        raise RuntimeError(result.message)
    return float(result.fun)
