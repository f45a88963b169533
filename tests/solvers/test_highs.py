"""HiGHS behind one door: hot starts, duals, outcomes, limits and remedies."""

from __future__ import annotations

import subprocess
import sys
import time

import highspy
import numpy as np
import pyomo.environ as pyo
import pytest
from scipy import sparse

from models.program import LinearProgram, MultistageProgram, compile_stage
from solvers.core import InnerSolveError
from solvers.highs import HotProgram, Optimum
from tests.models.reservoir import ReservoirProgram, reservoir_stage


def year() -> MultistageProgram:
    return ReservoirProgram(12, water_left=2.0).horizon(np.ones(13))


def inflows(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.array([rng.uniform(0, 80), rng.uniform(0, 60)]), rng.uniform(0, 60, 12)


def one_column(lower: float | None, upper: float | None, cost: float = 1.0) -> LinearProgram:
    """min cost·x with x between the bounds and x ≥ the state."""
    m = pyo.ConcreteModel()
    m.x, m.s = pyo.Var(bounds=(lower, upper)), pyo.Var()
    m.above = pyo.Constraint(expr=m.x >= m.s)
    m.cost = pyo.Objective(expr=cost * m.x + 2)
    return compile_stage(m, [m.s], [], [m.x])


def hard_split(items: int = 40, rows: int = 5) -> LinearProgram:
    """A market split problem: tiny, and far beyond branch and bound; its slack makes it feasible."""
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 100, (rows, items))
    m = pyo.ConcreteModel()
    m.take = pyo.Var(range(items), domain=pyo.Binary)
    m.miss = pyo.Var(range(rows), domain=pyo.NonNegativeReals)
    m.need = pyo.Var(range(rows))

    def split(_: object, row: int) -> object:
        taken = sum(int(weights[row, k]) * m.take[k] for k in range(items))
        return (0, taken + m.miss[row] - m.need[row], 0)

    m.split = pyo.Constraint(range(rows), rule=split)
    m.cost = pyo.Objective(expr=sum(m.miss.values()))
    return compile_stage(m, m.need.values(), [], [])


def exactly_one() -> LinearProgram:
    """Take one of two, the first of which is cheaper."""
    m = pyo.ConcreteModel()
    m.take = pyo.Var(range(2), domain=pyo.Binary)
    m.one = pyo.Constraint(expr=m.take[0] + m.take[1] == 1)
    m.cost = pyo.Objective(expr=m.take[0] + 2 * m.take[1])
    return compile_stage(m, [], [], [])


HALVES = np.array([990.0, 991.0, 989.0, 992.0, 988.0])
NOTHING = np.zeros(0)


def test_hot_and_cold_solves_agree() -> None:
    program = year().program
    hot = HotProgram(program)
    for seed in range(40):
        state, noise = inflows(seed)
        hot.set_data(state, noise)
        cold = HotProgram(program)
        cold.set_data(state, noise)
        found, again = hot.solve(), cold.solve()
        assert found.status == again.status == "optimal"
        assert found.value == pytest.approx(again.value, abs=1e-6)
        assert found.bound == found.value
        x = hot.columns()
        assert program.cost @ x + program.offset(state, noise) == pytest.approx(found.value)
    assert hot.tally.solves == 40
    assert not hot.tally.remedies


def test_a_hot_solve_takes_fewer_iterations() -> None:
    program = year().program
    hot = HotProgram(program)
    cold = 0
    for seed in range(20):
        hot.set_data(*inflows(seed))
        hot.solve()
        fresh = HotProgram(program)
        fresh._highs.setOptionValue("presolve", "off")
        fresh.set_data(*inflows(seed))
        fresh.solve()
        cold += fresh.tally.iterations
    assert hot.tally.iterations < 0.7 * cold


@pytest.mark.parametrize("stage", [0, 3, 11])
def test_the_dual_of_a_water_row_is_what_more_water_saves(stage: int) -> None:
    chained = year()
    hot = HotProgram(chained.program)
    state, noise = inflows(5)
    hot.set_data(state, noise)
    value = hot.solve().value
    dual = hot.row_duals()[chained.program.row(f"water@{stage}")]
    more = noise.copy()
    if stage == 0:
        state = state + np.array([1e-4, 0.0])
    else:
        more[stage - 1] += 1e-4
    hot.set_data(state, more)
    assert (hot.solve().value - value) / 1e-4 == pytest.approx(dual, abs=1e-6)


def test_reduced_costs_are_what_a_bound_costs() -> None:
    hot = HotProgram(reservoir_stage(60.0))
    hot.set_data(np.array([20.0, 10.0]), np.array([0.0]))
    value = hot.solve().value
    spilled = hot.program.column("spilled")
    dual = hot.reduced_costs()[spilled]
    assert dual > 1
    hot.set_column_bounds(np.array([spilled], dtype=np.int32), np.array([0.5]), np.array([np.inf]))
    assert hot.solve().value - value == pytest.approx(0.5 * dual)


def test_rows_added_later_and_costs_changed_take_effect_and_survive_new_data() -> None:
    hot = HotProgram(reservoir_stage(60.0))
    hot.set_data(np.array([50.0, 10.0]), np.array([0.0]))
    free = hot.solve().value
    storage, thermal = hot.program.column("storage"), hot.program.column("thermal")
    target = sparse.csr_array(([1.0], ([0], [storage])), shape=(1, 5))
    hot.add_rows(target, np.array([30.0]), np.array([np.inf]))
    kept = hot.solve()
    assert hot.columns()[storage] == pytest.approx(30.0)
    # 20 units less water: 20 MWh more from the thermal plant.
    assert kept.value - free == pytest.approx(20 * 7)
    hot.set_data(np.array([40.0, 10.0]), np.array([0.0]))
    assert hot.solve().value - kept.value == pytest.approx(10 * 100)
    hot.set_costs(np.array([thermal], dtype=np.int32), np.array([8.0]))
    assert hot.solve().value - kept.value == pytest.approx(10 * 100 + 30)


def test_infeasible_and_unbounded_programs_are_outcomes() -> None:
    hot = HotProgram(one_column(0.0, 5.0))
    hot.set_data(np.array([9.0]), NOTHING)
    found = hot.solve()
    assert (found.status, found.value, found.bound) == ("infeasible", np.inf, np.inf)
    assert not hot.has_columns
    with pytest.raises(InnerSolveError, match="no feasible columns"):
        hot.columns()
    with pytest.raises(InnerSolveError, match="planning: the program is infeasible"):
        found.require("planning")
    hot.set_data(np.array([3.0]), NOTHING)
    assert hot.solve().value == pytest.approx(5.0)  # feasible again, from the same object

    free = HotProgram(one_column(None, None, cost=-1.0))
    free.set_data(np.array([0.0]), NOTHING)
    found = free.solve()
    assert (found.status, found.bound) == ("unbounded", -np.inf)


@pytest.mark.parametrize("spoiled", [[np.nan, 1.0], [np.inf, 1.0], [1.0], [1.0, 2.0, 3.0]])
def test_data_that_do_not_fit_or_are_not_finite_are_refused(spoiled: list[float]) -> None:
    hot = HotProgram(reservoir_stage(40.0))
    with pytest.raises(ValueError, match=r"finite|shapes"):
        hot.set_data(np.array(spoiled), np.zeros(1))


def test_the_time_limit_of_a_linear_program_is_each_solves_own() -> None:
    """HiGHS itself counts over the life of the object, so that a late solve would end at once."""
    chained = ReservoirProgram(600, water_left=1.0).horizon(np.ones(601))
    hot = HotProgram(chained.program)
    rng = np.random.default_rng(3)
    while hot._highs.getRunTime() < 0.6:
        hot.set_data(np.array([10.0, 10.0]), rng.uniform(0, 60, 600))
        hot._highs.clearSolver()
        hot.solve()
    hot.set_data(np.array([10.0, 10.0]), rng.uniform(0, 60, 600))
    assert hot.solve(time_limit=0.5).status == "optimal"
    hot._highs.clearSolver()
    assert hot.solve(time_limit=1e-4).status == "time_limit"
    assert hot.solve().status == "optimal"  # no limit stays behind


def test_the_time_limit_of_a_mixed_integer_program_is_each_solves_own() -> None:
    hot = HotProgram(hard_split())
    hot.set_data(HALVES, NOTHING)
    for _ in range(3):
        started = time.perf_counter()
        found = hot.solve(time_limit=0.4)
        took = time.perf_counter() - started
        assert found.status == "time_limit"
        assert 0.3 < took < 1.0
        assert found.bound <= found.value
    hot.set_data(np.zeros(5), NOTHING)
    assert hot.solve().value == pytest.approx(0.0)  # no limit stays behind


def test_a_mixed_integer_optimum_has_columns_and_a_bound_but_no_duals() -> None:
    hot = HotProgram(hard_split(items=8, rows=2))
    hot.set_data(np.array([150.0, 130.0]), NOTHING)
    found = hot.solve()
    assert found.status == "optimal"
    assert found.bound == pytest.approx(found.value, abs=1e-4)
    take = hot.columns()[:8]
    np.testing.assert_allclose(take, take.round(), atol=1e-6)
    with pytest.raises(InnerSolveError, match="no optimal duals"):
        hot.row_duals()
    relaxed = HotProgram(hot.program.relaxed())
    relaxed.set_data(np.array([150.0, 130.0]), NOTHING)
    assert relaxed.solve().value <= found.value + 1e-9


def test_the_gap_is_what_is_not_proven() -> None:
    hot = HotProgram(hard_split())
    hot.set_data(HALVES, NOTHING)
    found = hot.solve(time_limit=0.3)
    assert found.gap == pytest.approx((found.value - found.bound) / found.value)
    assert found.gap > 0
    small = HotProgram(hard_split(items=6, rows=1))
    small.set_data(np.array([100.0]), NOTHING)
    assert small.solve().gap == pytest.approx(0.0, abs=1e-6)
    assert Optimum("time_limit", np.nan, 3.0).gap == np.inf


def test_a_first_plan_is_at_least_kept() -> None:
    hot = HotProgram(hard_split())
    hot.set_data(HALVES, NOTHING)
    known = hot.solve(time_limit=0.5)
    columns = hot.columns()
    columns[~hot.program.integer] = -1.0  # only whole-number columns are taken
    assert hot.start_near(columns)
    assert hot.solve(time_limit=0.2).value <= known.value + 1e-9
    hot.set_data(np.zeros(5), NOTHING)  # the columns are free again
    assert hot.solve().value == pytest.approx(0.0)


def test_a_first_plan_that_does_not_fit_is_passed_over() -> None:
    hot = HotProgram(hard_split(items=8, rows=2))
    hot.set_data(np.array([150.0, 130.0]), NOTHING)
    expected = hot.solve().value
    assert not hot.start_near(np.full(len(hot.program.columns), 7.0))  # to take all is too much
    assert hot.solve().value == pytest.approx(expected)
    either = HotProgram(exactly_one())
    either.set_data(NOTHING, NOTHING)
    assert not either.start_near(np.ones(2))
    assert either.solve().value == pytest.approx(1.0)
    with pytest.raises(ValueError, match="shape"):
        hot.start_near(np.zeros(3))


def test_a_long_solve_stops_when_asked() -> None:
    hot = HotProgram(hard_split())
    hot.set_data(HALVES, NOTHING)
    started = time.perf_counter()
    found = hot.solve(time_limit=60.0, should_stop=lambda: time.perf_counter() - started > 0.3)
    assert found.status == "stopped"
    assert time.perf_counter() - started < 3.0
    assert hot.solve(time_limit=0.3).status == "time_limit"  # the next solve is not stopped


class Answers:
    """Makes a `HotProgram` see HiGHS answer "unknown" the first few times."""

    def __init__(self, hot: HotProgram, unknowns: int) -> None:
        self.run, self.left = hot._run, unknowns
        hot._run = self  # type: ignore[method-assign,assignment]

    def __call__(self, started: float, time_limit: float | None) -> object:
        answer = self.run(started, time_limit)
        self.left -= 1
        return highspy.HighsModelStatus.kUnknown if self.left >= 0 else answer


@pytest.fixture
def hot() -> HotProgram:
    program = HotProgram(year().program)
    program.set_data(*inflows(1))
    return program


@pytest.mark.parametrize("unknowns", [1, 2, 3])
def test_remedies_are_tried_in_turn_and_counted(hot: HotProgram, unknowns: int) -> None:
    expected = hot.solve().value
    Answers(hot, unknowns)
    assert hot.solve().value == pytest.approx(expected)
    assert list(hot.tally.remedies) == ["cold_start", "primal_simplex", "interior_point"][:unknowns]
    assert hot.tally.document()["remedies"] == dict.fromkeys(hot.tally.remedies, 1)
    assert hot._highs.getOptionValue("solver")[1] == "choose"  # the next solve is an ordinary one
    assert hot._highs.getOptionValue("presolve")[1] == "choose"


def test_what_no_remedy_solves_is_a_named_error_and_the_object_lives_on(hot: HotProgram) -> None:
    expected = hot.solve().value
    Answers(hot, 4)
    with pytest.raises(InnerSolveError, match="gave no answer: kUnknown, kUnknown, kUnknown, kUnknown"):
        hot.solve()
    assert hot.solve().value == pytest.approx(expected)
    assert hot.tally.solves == 3


def test_nothing_is_printed() -> None:
    code = "from tests.solvers.test_highs import HotProgram, year; HotProgram(year().program).solve()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_shadow_prices_are_what_a_little_more_of_state_or_noise_costs() -> None:
    hot = HotProgram(year().program)
    state, noise = inflows(4)
    hot.set_data(state, noise)
    value = hot.solve().value
    prices = np.concatenate([hot.state_prices(), hot.noise_prices()])
    assert prices[:2].max() < -1  # water saves fuel
    for k, price in enumerate(prices):
        more = np.concatenate([state, noise])
        more[k] += 1e-4
        hot.set_data(more[:2], more[2:])
        assert (hot.solve().value - value) / 1e-4 == pytest.approx(price, abs=1e-6)


def test_whole_numbers_have_no_shadow_prices() -> None:
    hot = HotProgram(hard_split(items=6, rows=1))
    hot.set_data(np.array([100.0]), NOTHING)
    hot.solve().require("a small split")
    with pytest.raises(InnerSolveError, match="no optimal duals"):
        hot.state_prices()


def tied(ways: int = 6) -> LinearProgram:
    """Σx ≥ the state in as many equally cheap ways as there are columns."""
    m = pyo.ConcreteModel()
    m.x, m.s = pyo.Var(range(ways), bounds=(0, 4)), pyo.Var()
    m.enough = pyo.Constraint(expr=sum(m.x.values()) - m.s >= 0)
    m.cost = pyo.Objective(expr=sum(m.x.values()))
    return compile_stage(m, [m.s], [], [])


def test_from_the_same_basis_the_same_one_of_many_optima_is_found_whatever_was_solved_before() -> None:
    hot = HotProgram(tied())
    hot.set_data(np.array([5.0]), NOTHING)
    hot.solve()
    basis = hot.basis()
    targets = np.random.default_rng(3).uniform(0, 24, 40)

    def solved(target: float, fresh: bool) -> tuple[float, ...]:
        if fresh:
            hot.start_from(basis)
        hot.set_data(np.array([target]), NOTHING)
        hot.solve()
        return tuple(hot.columns())

    first = [solved(target, fresh=True) for target in targets]
    again = [solved(target, fresh=True) for target in targets[::-1]][::-1]
    assert first == again
    assert [solved(target, fresh=False) for target in targets] != [
        solved(target, fresh=False) for target in targets[::-1]
    ][::-1]


def test_there_is_no_basis_before_the_first_solve() -> None:
    with pytest.raises(InnerSolveError, match="no basis"):
        HotProgram(tied()).basis()
