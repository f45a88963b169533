"""Compiling one stage of Pyomo algebra and chaining stages by state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

from models.program import LinearProgram, chain, compile_stage
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
