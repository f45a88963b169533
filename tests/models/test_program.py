"""Compiling one stage of Pyomo algebra and chaining stages by state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from scipy import optimize, sparse

from models.program import LinearProgram, ScenarioTree, chain, compile_stage, scenario_tree, two_stage
from tests.models.reservoir import ReservoirProgram, reservoir_stage


def furnished_block() -> Any:
    """A block with every kind of row, variable and column, and a state that appears nowhere."""
    m = pyo.ConcreteModel()
    m.make = pyo.Var(["a", "b"], domain=pyo.NonNegativeIntegers, bounds=(0, 9))
    m.idle = pyo.Var(bounds=(-2, None))  # in no row
    m.stock = pyo.Var(domain=pyo.NonNegativeReals)
    m.incoming = pyo.Var()
    m.forgotten = pyo.Var()
    m.demand = pyo.Var()
    m.balance = pyo.Constraint(expr=m.stock == m.incoming + m.make["a"] + 2 * m.make["b"] - m.demand + 3)
    m.window = pyo.Constraint(expr=(1, m.make["a"] + m.make["b"] + 0.5 * m.incoming + 1, 8))
    m.floor = pyo.Constraint(expr=m.stock - m.demand >= -4)
    m.revenue = pyo.Objective(expr=5 * m.demand - 2 * m.make["a"] - m.stock - 0.25 * m.incoming - 6, sense=pyo.maximize)
    return m


def compiled(m: Any) -> LinearProgram:
    return compile_stage(m, [m.incoming, m.forgotten], [m.demand], [m.stock, m.forgotten])


def test_columns_split_into_decision_state_and_noise() -> None:
    program = compiled(furnished_block())
    assert program.columns == ("make[a]", "make[b]", "idle", "stock")
    assert program.states == ("incoming", "forgotten")
    assert program.noises == ("demand",)
    assert program.rows == ("balance", "window", "floor")
    assert program.integer.tolist() == [True, True, False, False]
    assert program.lower.tolist() == [0, 0, -2, 0]
    assert program.upper.tolist() == [9, 9, np.inf, np.inf]


def test_matrices_say_what_the_algebra_says() -> None:
    m = furnished_block()
    program = compiled(m)
    rng = np.random.default_rng(1)
    for _ in range(10):
        x, s, w = rng.normal(size=4), rng.normal(size=2), rng.normal(size=1)
        for variable, value in zip(
            [*m.make.values(), m.idle, m.stock, m.incoming, m.forgotten, m.demand], [*x, *s, *w], strict=True
        ):
            variable.set_value(float(value), skip_validation=True)
        cost = program.cost @ x + program.offset(s, w)
        assert cost == pytest.approx(-pyo.value(m.revenue))  # maximising is minimising the negative
        body = program.matrix @ x + program.state_matrix @ s + program.noise_matrix @ w
        for row, constraint in enumerate((m.balance, m.window, m.floor)):
            below = pyo.value(constraint.body) - pyo.value(constraint.lower)
            assert body[row] - program.row_lower[row] == pytest.approx(below)
            if constraint.has_ub():
                assert body[row] - program.row_upper[row] == pytest.approx(
                    pyo.value(constraint.body) - pyo.value(constraint.upper)
                )
    assert program.row_upper[2] == np.inf


def test_the_next_state_may_be_a_decision_an_incoming_state_or_noise() -> None:
    program = compiled(furnished_block())
    x, s, w = np.array([[1.0, 2, 3, 4]]), np.array([[5.0, 6]]), np.array([[7.0]])
    assert program.following(x, s, w).tolist() == [[4, 6]]
    assert reservoir_stage(40).following(np.array([9.0, 0, 0, 0, 0]), s[0], w[0]).tolist() == [9, 7]


def test_relaxing_drops_integrality_alone() -> None:
    program = compiled(furnished_block())
    relaxed = program.relaxed()
    assert program.is_mixed_integer
    assert not relaxed.is_mixed_integer
    assert relaxed.matrix is program.matrix
    assert relaxed.column("stock") == program.column("stock") == 3


def test_names_that_do_not_exist_are_key_errors() -> None:
    program = compiled(furnished_block())
    with pytest.raises(KeyError):
        program.column("incoming")
    with pytest.raises(KeyError):
        program.row("nowhere")


@pytest.mark.parametrize("spoil", ["twice", "fixed", "foreign", "two objectives"])
def test_a_stage_that_cannot_be_split_is_refused(spoil: str) -> None:
    m = furnished_block()
    noise, outgoing = [m.demand], [m.stock, m.forgotten]
    if spoil == "twice":
        noise = [m.demand, m.incoming]
    elif spoil == "fixed":
        m.demand.fix(3.0)
    elif spoil == "foreign":
        outgoing = [m.stock, furnished_block().forgotten]
    else:
        m.second = pyo.Objective(expr=m.stock)
    with pytest.raises(ValueError, match=r"twice|fixed|not a variable|one objective"):
        compile_stage(m, [m.incoming, m.forgotten], noise, outgoing)


def test_nonlinear_algebra_is_refused() -> None:
    m = furnished_block()
    m.curved = pyo.Constraint(expr=m.stock * m.demand <= 3)
    with pytest.raises(Exception, match="nonlinear"):
        compiled(m)


def test_a_chain_is_its_stages_one_after_the_other() -> None:
    """Columns taken stage by stage give the chain the stages' rows, at the weighted sum of the stages' costs."""
    program = ReservoirProgram(5, water_left=3.0)
    weights = np.array([1.0, 0.9, 0.0, 0.7, 0.6, 0.5])
    chained = program.horizon(weights)
    rng = np.random.default_rng(2)
    first, inflows = rng.uniform(0, 50, (1, 2)), rng.uniform(0, 30, (1, 5))
    state, parts, cost = first, [], 0.0
    for t in range(5):
        stage = program.stage(t)
        x, w = rng.uniform(0, 20, (1, len(stage.columns))), program.noise_vector(inflows, t)
        cost += weights[t] * float((x @ stage.cost + stage.offset(state, w))[0])
        body = x @ stage.matrix.T + state @ stage.state_matrix.T + w @ stage.noise_matrix.T
        parts.append((x, body))
        state = stage.following(x, state, w)
    final = program.final()
    assert final is not None
    kept = rng.uniform(0, 5, (1, 1))
    cost += weights[5] * float((kept @ final.cost)[0])
    parts.append((kept, kept @ final.matrix.T + state @ final.state_matrix.T))

    whole, path = chained.program, program.noise_path(inflows)
    x = np.concatenate([part for part, _ in parts], axis=1)
    body = x @ whole.matrix.T + first @ whole.state_matrix.T + path @ whole.noise_matrix.T
    np.testing.assert_allclose(body, np.concatenate([rows for _, rows in parts], axis=1))
    assert float((x @ whole.cost + whole.offset(first, path))[0]) == pytest.approx(cost)
    for t, (own, rows) in enumerate(parts):
        np.testing.assert_array_equal(chained.columns_of(x, t), own)
        np.testing.assert_allclose(chained.rows_of(body, t), rows)
    assert whole.rows[chained.row_starts[3]] == "water@3"
    assert whole.columns[whole.column("storage@4")] == "storage@4"


def test_what_only_moves_costs_neither_column_nor_row() -> None:
    """The inflow drawn in stage t is data of stage t+1: the chain has the columns and rows of its stages, no more."""
    chained = ReservoirProgram(4).horizon(np.ones(5)).program
    assert len(chained.columns) == 4 * 5
    assert len(chained.rows) == 4 * 2
    assert chained.noise_matrix[chained.row("water@3"), 2] == -1
    assert chained.noise_matrix[:, [3]].nnz == 0  # the inflow after the last stage matters to no one


def test_chaining_needs_stages_that_fit_and_a_weight_for_each() -> None:
    odd = compiled(furnished_block())
    three = reservoir_stage(40)
    with pytest.raises(ValueError, match="weight"):
        chain([three, three], [1.0])
    with pytest.raises(ValueError, match="weight"):
        chain([], [])
    with pytest.raises(ValueError, match="weights for 4 stages"):
        ReservoirProgram(4).horizon(np.ones(4))
    narrow = replace(odd, outgoing=odd.outgoing[:1])
    with pytest.raises(ValueError, match="stage 1 takes 2 states, the stage before gives 1"):
        chain([narrow, odd], [1.0, 1.0])


# --- scenario trees --------------------------------------------------------------------------------------------------


def kiosk_stage(limit: float = 9.0) -> LinearProgram:
    """Copies ordered at 2 each before demand is known, at most `limit`; kept at 1, short at 10 each."""
    m = pyo.ConcreteModel()
    m.order = pyo.Var(bounds=(0, None))
    m.kept, m.short = pyo.Var(domain=pyo.NonNegativeReals), pyo.Var(domain=pyo.NonNegativeReals)
    m.incoming, m.demand = pyo.Var(), pyo.Var()
    m.shelf = pyo.Constraint(expr=m.order + m.incoming <= limit)  # neither demand nor what answers it enters
    m.balance = pyo.Constraint(expr=m.kept - m.short - m.incoming - m.order + m.demand == 0)
    m.cost = pyo.Objective(expr=2 * m.order + m.kept + 10 * m.short + 0.5 * m.demand + 3)
    return compile_stage(m, [m.incoming], [m.demand], [m.kept])


ORDER = np.array([0])
PATHS = np.array([[1.0, 8.0], [4.0, 2.0], [7.0, 3.0]])
CHANCES = np.array([0.5, 0.3, 0.2])


def least(program: LinearProgram, state: np.ndarray, noise: np.ndarray) -> tuple[float, np.ndarray]:
    """Optimum and columns by another solver library's door than the one under test."""
    shift = program.state_matrix @ state + program.noise_matrix @ noise
    rows = optimize.LinearConstraint(program.matrix, program.row_lower - shift, program.row_upper - shift)
    found = optimize.milp(program.cost, constraints=rows, bounds=optimize.Bounds(program.lower, program.upper))
    assert found.success, found.message
    return float(found.fun + program.offset(state, noise)), found.x


def kiosk_tree(branching: list[int], chances: np.ndarray | None = CHANCES) -> ScenarioTree:
    return scenario_tree([kiosk_stage()] * 2, [1.0, 0.9], [ORDER, ORDER], branching, chances)


def test_the_extensive_form_is_the_two_stage_program_written_by_hand() -> None:
    tree = two_stage([kiosk_stage()] * 2, [1.0, 0.9], [ORDER, ORDER], 3, CHANCES)
    value, x = least(tree.program, np.array([1.0]), tree.noise_path([PATHS[:, :1], PATHS[:, 1:]]))
    # By hand: q, then per scenario kept, short, the second order, kept and short again.
    cost, rows, below, above = [2.0], [], [], []
    for k, p in enumerate(CHANCES):
        first = 1 + 5 * k
        cost += list(p * np.array([1.0, 10.0, 0.9 * 2.0, 0.9 * 1.0, 0.9 * 10.0]))
        for entries, low, high in (
            ({0: 1, first: -1, first + 1: 1}, PATHS[k, 0] - 1, PATHS[k, 0] - 1),
            ({first: 1, first + 2: 1, first + 3: -1, first + 4: 1}, PATHS[k, 1], PATHS[k, 1]),
            ({first: 1, first + 2: 1}, -np.inf, 9),
        ):
            row = np.zeros(16)
            row[list(entries)] = list(entries.values())
            rows.append(row)
            below.append(low)
            above.append(high)
    limits = optimize.LinearConstraint(np.array(rows), below, above)
    hand = optimize.milp(cost, constraints=limits, bounds=optimize.Bounds(0, np.array([8.0] + [np.inf] * 15)))
    fixed = 3 * 1.9 + 0.5 * float(CHANCES @ PATHS @ np.array([1.0, 0.9]))
    assert value == pytest.approx(hand.fun + fixed)
    assert x[tree.first[0]] == pytest.approx(hand.x[0])
    # One order and one shelf now; a balance per scenario; then everything per scenario.
    assert len(tree.program.columns) == 1 + 3 * 2 + 3 * 3
    assert len(tree.program.rows) == 1 + 3 + 3 * 2
    assert tree.program.columns[tree.first[0]] == "order@0"
    assert tree.program.rows[tree.program.row("balance@0#2")] == "balance@0#2"


def test_one_scenario_is_the_chain() -> None:
    stages, weights = [kiosk_stage(), kiosk_stage(7.0)], [1.0, 0.9]
    tree = two_stage(stages, weights, [ORDER, ORDER], 1)
    whole = chain(stages, weights).program
    for name in ("cost", "lower", "upper", "row_lower", "row_upper", "outgoing"):
        np.testing.assert_array_equal(getattr(tree.program, name), getattr(whole, name))
    assert (tree.program.columns, tree.program.rows) == (whole.columns, whole.rows)
    assert abs(tree.program.matrix - whole.matrix).max() == 0
    assert tree.scenarios == 1


def test_deciding_later_costs_no_more_and_deciding_at_once_no_less() -> None:
    """Hindsight ≤ two stages ≤ a tree that branches twice ≤ all orders now: information is never harmful."""
    state = np.array([1.0])
    paths = np.array([[1.0, 8.0], [1.0, 0.0], [7.0, 3.0], [7.0, 9.0]])  # the first period says little of the second
    noise = [paths[:, :1], paths[:, 1:]]
    hindsight = np.mean([least(chain([kiosk_stage()] * 2, [1.0, 0.9]).program, state, path)[0] for path in paths])
    trees = [kiosk_tree([4, 1], None), kiosk_tree([2, 2], None)]
    blind = two_stage([kiosk_stage()] * 2, [1.0, 0.9], [ORDER, ORDER], 4, committed=2)
    two, many, static = (least(tree.program, state, tree.noise_path(noise))[0] for tree in (*trees, blind))
    assert hindsight < two - 0.1 < many - 0.2 < static - 0.3
    assert trees[1].paths[0].tolist() == [0, 2]
    # The second order is shared by both ends of a branch: by hand, one program for every first outcome.
    second = [scenario_tree([kiosk_stage()], [0.9], [ORDER], [2]) for _ in range(2)]
    first_order = least(trees[1].program, state, trees[1].noise_path(noise))[1][trees[1].first[0]]
    cost = 2 * first_order + 3
    for k, demand in enumerate((1.0, 7.0)):
        left = state[0] + first_order - demand
        later = second[k].noise_path([paths[2 * k : 2 * k + 2, 1:]])
        cost += (max(left, 0) + 10 * max(-left, 0) + 0.5 * demand) / 2
        cost += least(second[k].program, np.array([max(left, 0.0)]), later)[0] / 2
    assert many == pytest.approx(cost)


def test_committed_decisions_are_the_same_in_every_scenario() -> None:
    stages, weights = [kiosk_stage()] * 3, [1.0, 0.9, 0.8]
    tree = two_stage(stages, weights, [ORDER] * 3, 3, CHANCES, committed=2)
    free = two_stage(stages, weights, [ORDER] * 3, 3, CHANCES).program
    # By hand: the free program with the second orders bound together.
    seconds = [free.column(f"order@1#{k}") for k in range(3)]
    tie = sparse.lil_array((2, len(free.columns)))
    for row in range(2):
        tie[row, seconds[row]], tie[row, seconds[row + 1]] = 1.0, -1.0
    tied = replace(
        free,
        matrix=sparse.csc_array(sparse.vstack([free.matrix, tie])),
        state_matrix=sparse.csc_array(sparse.vstack([free.state_matrix, sparse.csc_array((2, 1))])),
        noise_matrix=sparse.csc_array(sparse.vstack([free.noise_matrix, sparse.csc_array((2, len(free.noises)))])),
        row_lower=np.append(free.row_lower, [0.0, 0.0]),
        row_upper=np.append(free.row_upper, [0.0, 0.0]),
        rows=(*free.rows, "tie@0", "tie@1"),
    )
    noise = tree.noise_path([PATHS[:, :1], PATHS[:, 1:], PATHS[:, :1] + 1])
    value, x = least(tree.program, np.array([1.0]), noise)
    assert value == pytest.approx(least(tied, np.array([1.0]), noise)[0])
    assert value > least(free, np.array([1.0]), noise)[0] + 0.01
    assert x[tree.program.column("order@1")] > 0
    assert len(tree.program.columns) == len(free.columns) - 2
    # What is on the shelf differs from scenario to scenario: its limit stands for each.
    assert tree.program.rows[tree.program.row("shelf@1#2")] == "shelf@1#2"


def test_equal_chances_are_the_default_and_others_must_sum_to_one() -> None:
    equal = kiosk_tree([3, 1], None).program
    assert sparse.linalg.norm(equal.matrix - kiosk_tree([3, 1], np.full(3, 1 / 3)).program.matrix) == 0
    np.testing.assert_allclose(equal.cost, kiosk_tree([3, 1], np.full(3, 1 / 3)).program.cost)
    for wrong in (np.array([0.5, 0.5]), np.array([0.5, 0.2, 0.2]), np.array([1.5, -0.5, 0.0])):
        with pytest.raises(ValueError, match="3 probabilities that sum to one"):
            kiosk_tree([3, 1], wrong)


def test_a_window_ends_at_the_horizon_or_goes_on_if_the_process_does() -> None:
    program = ReservoirProgram(5, water_left=3.0)
    covered, stages = program.window(1, 3)
    assert covered == [1, 2, 3]
    assert stages == [program.stage(1), program.stage(0), program.stage(1)]
    covered, stages = program.window(3, 3)
    assert covered == [3, 4]
    assert len(stages) == 3  # the last is what water left is worth
    assert stages[2].columns == ("kept",)
    with pytest.raises(ValueError, match="stage 5 lies past the horizon of 5 stages"):
        program.window(5, 3)
    program.cycle = 2
    assert program.window(3, 5)[0] == [3, 4, 3, 4, 3]
    assert len(program.window(3, 5)[1]) == 5
    assert program.window(10, 2)[0] == [4, 3]
    assert program.lookahead == 5


def test_where_noise_strikes_within_a_stage_the_room_must_say_what_comes_first() -> None:
    class Kiosk(ReservoirProgram):
        def stage(self, stage: int) -> LinearProgram:
            return kiosk_stage()

    assert ReservoirProgram(3).here_and_now(0).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(NotImplementedError, match="Kiosk does not say"):
        Kiosk(3).here_and_now(0)
