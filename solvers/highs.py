"""HiGHS behind one door: a compiled program passed once, then solved again and again from its last basis.

The only file that speaks highspy. A `HotProgram` holds one HiGHS object on one thread; `set_data` moves the right-hand
sides that an incoming state and noise touch, `solve` starts from the last basis or from one it is given. Reductions,
sparse products and bound changes are whole-array operations.

Two habits of HiGHS are handled here. It counts the `time_limit` of linear programs over the life of an object: every
solve gets its own limit on top of the time already run. And it may end in "unknown", or without optimal duals, after
many warm starts: then a chain of remedies is tried (a cold start, presolve off with primal simplex, interior point with
crossover), each use is counted, and what none of them solves is an `InnerSolveError`.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Literal

import highspy
import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.program import LinearProgram, Vector
from solvers.core import InnerSolveError

Status = Literal["optimal", "infeasible", "unbounded", "time_limit", "stopped"]
Basis = highspy.HighsBasis  # what a solve can start from; opaque to the other modules

_OUTCOME_NAMES: Mapping[str, Status] = {
    "kOptimal": "optimal",
    "kModelEmpty": "optimal",
    "kInfeasible": "infeasible",
    "kUnbounded": "unbounded",
    "kTimeLimit": "time_limit",
    "kInterrupt": "stopped",
    "kHighsInterrupt": "stopped",  # not in every version
}
_OUTCOMES: Mapping[object, Status] = {
    member: _OUTCOME_NAMES[name]
    for name, member in highspy.HighsModelStatus.__members__.items()
    if name in _OUTCOME_NAMES
}
_NO_VALUE: Mapping[Status, float] = {"infeasible": np.inf, "unbounded": -np.inf}
_OPTIMAL, _ERROR = highspy.HighsModelStatus.kOptimal, highspy.HighsStatus.kError
DENSE_ENTRIES = 50_000  # up to this size a data matrix is kept dense
_IRREDUCIBLE = int(highspy.IisStrategy.kIisStrategyFromLp) | int(highspy.IisStrategy.kIisStrategyIrreducible)
_FEASIBLE = 2  # HiGHS's kSolutionStatusFeasible
_REMEDIES: Mapping[str, Mapping[str, object]] = {
    "cold_start": {},
    "primal_simplex": {"presolve": "off", "solver": "simplex", "simplex_strategy": 4},
    "interior_point": {"presolve": "on", "solver": "ipm", "run_crossover": "on"},
}
_DEFAULTS: Mapping[str, object] = {
    "presolve": "choose",
    "solver": "choose",
    "simplex_strategy": 1,
    "run_crossover": "on",
}
# What a small mixed-integer program spends most of its time on, and seldom needs.
_BRIEF: Mapping[str, object] = {
    "mip_heuristic_effort": 0.0,
    "mip_heuristic_run_feasibility_jump": False,
    "mip_heuristic_run_rins": False,
    "mip_heuristic_run_rens": False,
    "mip_heuristic_run_root_reduced_cost": False,
    "mip_allow_restart": False,
    "mip_detect_symmetry": False,
}


@dataclass(frozen=True)
class Optimum:
    """How one solve ended; the columns and duals behind it are read from the `HotProgram`."""

    status: Status
    value: float  # [money] cost of the best columns found; +inf if infeasible, nan if none were found
    bound: float  # [money] proven lower bound on the least cost; `value` at a linear optimum, −inf if nothing is proven

    @property
    def gap(self) -> float:
        """How far the best columns may be above the least cost, relative to their own: 0 if proven, inf if unknown."""
        if self.status == "optimal" and self.value == self.bound:
            return 0.0
        if not (np.isfinite(self.value) and np.isfinite(self.bound)):
            return np.inf
        return max(self.value - self.bound, 0.0) / max(abs(self.value), 1e-9)

    def require(self, purpose: str) -> Optimum:
        """This, if it is optimal; else `InnerSolveError` naming the purpose."""
        if self.status != "optimal":
            raise InnerSolveError(f"{purpose}: the program is {self.status}, needed an optimum")
        return self


@dataclass
class Tally:
    """What a `HotProgram` has done so far."""

    solves: int = 0
    iterations: int = 0  # simplex and interior-point
    seconds: float = 0.0  # wall clock inside HiGHS
    remedies: Counter[str] = field(default_factory=Counter)  # uses, by remedy

    def document(self) -> dict[str, object]:
        """The tally as JSON."""
        return {
            "solves": self.solves,
            "iterations": self.iterations,
            "seconds": round(self.seconds, 6),
            "remedies": dict(self.remedies),
        }


class HotProgram:
    """One compiled program in one HiGHS object, solved from its last basis whenever its data change.

    `brief` is for small mixed-integer programs that are solved thousands of times: no heuristics, no restarts (a third
    of the time, same optimum). Raises `InnerSolveError` if HiGHS refuses the program. Not for use by two threads at a
    time.
    """

    def __init__(self, program: LinearProgram, mip_gap: float = 1e-6, brief: bool = False) -> None:
        self.program = program
        self._mixed, self._whole = program.is_mixed_integer, program.integer
        self.tally = Tally()
        self._highs = _Quiet()
        for name, option in {"threads": 1, "mip_rel_gap": mip_gap, **_DEFAULTS, **(_BRIEF if brief else {})}.items():
            self._set(name, option)
        self._check(self._highs.passModel(_highs_lp(program)), "pass the program")
        self._optimal = False  # whether the last solve ended so
        self._told: highspy.HighsInfo | None = None  # what HiGHS says of the last solve, once asked
        self._touched = program.touched.astype(np.int32)
        self._pick_touched = _picking(program.touched.tolist())
        data = sparse.csr_array(sparse.hstack([program.state_matrix, program.noise_matrix]))[program.touched]
        # On small programs the product is a matter of call overhead, of which numpy has a tenth of scipy's.
        self._data_matrix = data.toarray() if data.shape[0] * data.shape[1] <= DENSE_ENTRIES else data
        self._priced = self._data_matrix[:, : len(program.states)].T
        self._data_cost = np.concatenate([program.state_cost, program.noise_cost])
        self._lower = program.row_lower[self._touched]
        self._upper = program.row_upper[self._touched]
        self._column_bounds = program.lower.copy(), program.upper.copy()
        self._offset = program.constant

    def set_data(self, state: Vector, noise: Vector) -> None:
        """Take incoming state (k,) and noise (m,) as data; ValueError if they do not fit or are not finite."""
        expected = (len(self.program.states),), (len(self.program.noises),)
        if (state.shape, noise.shape) != expected:
            raise ValueError(f"state and noise have shapes {state.shape}, {noise.shape}; need {expected}")
        data = np.concatenate([state, noise])
        if not math.isfinite(data.sum()):
            raise ValueError("state or noise is not finite")
        shift = self._data_matrix @ data
        self._offset = self.program.constant + float(self._data_cost @ data)
        self._move(shift)

    def set_shift(self, shift: Vector) -> None:
        """Take B s + C w of the rows that data enter (`LinearProgram.touched`) as it is, without what data cost."""
        self._offset = self.program.constant
        self._move(shift)

    def _move(self, shift: Vector) -> None:
        lower, upper = self._lower - shift, self._upper - shift
        if self._highs.changeRowsBounds(len(self._touched), self._touched, lower, upper) == _ERROR:
            raise InnerSolveError("HiGHS could not change row bounds")

    def set_row_bounds(self, rows: npt.NDArray[np.int32], lower: Vector, upper: Vector) -> None:
        """Replace the bounds of some rows (as they stand beside A x: data are on the right-hand side already)."""
        self._check(self._highs.changeRowsBounds(len(rows), rows, lower, upper), "change row bounds")

    def set_column_bounds(self, columns: npt.NDArray[np.int32], lower: Vector, upper: Vector) -> None:
        """Replace the bounds of some columns."""
        self._column_bounds[0][columns], self._column_bounds[1][columns] = lower, upper
        self._check(self._highs.changeColsBounds(len(columns), columns, lower, upper), "change column bounds")

    def set_costs(self, columns: npt.NDArray[np.int32], cost: Vector) -> None:
        """Replace the cost of some columns."""
        self._check(self._highs.changeColsCost(len(columns), columns, cost), "change costs")

    def add_rows(self, matrix: sparse.csr_array, lower: Vector, upper: Vector) -> None:
        """Append rows lower ≤ matrix x ≤ upper (cuts); `matrix` is (rows, n). Data do not move them."""
        entries = (matrix.indptr[:-1].astype(np.int32), matrix.indices.astype(np.int32), matrix.data)
        self._check(self._highs.addRows(matrix.shape[0], lower, upper, matrix.nnz, *entries), "add rows")

    def solve(self, time_limit: float | None = None, should_stop: Callable[[], bool] | None = None) -> Optimum:
        """Solve from the last basis.

        Args:
            time_limit: wall-clock seconds for this solve alone, all remedies included.
            should_stop: asked about ten times a second from inside HiGHS; True ends the solve with status `stopped`.

        Raises:
            InnerSolveError: HiGHS gave no answer, and no remedy helped.
        """
        if time_limit is None and should_stop is None and not self._mixed:
            return self._solve_hot()
        return self._solve_watched(time_limit, should_stop)

    def _solve_hot(self) -> Optimum:
        """A linear program to its end, in as few calls as there can be: around a small solve each one counts."""
        tally, started = self.tally, time.perf_counter()
        answer = self._run(started, None)
        tally.solves += 1
        self._optimal = answer == _OPTIMAL and self._settles(answer)
        try:
            if self._optimal:
                value = self._highs.getObjectiveValue() + self._offset
                return Optimum("optimal", value, value)
            status = self._outcome(answer, started, None)
        finally:
            tally.seconds += time.perf_counter() - started
        self._optimal = status == "optimal"
        return self._optimum(status)

    def _solve_watched(self, time_limit: float | None, should_stop: Callable[[], bool] | None) -> Optimum:
        started = time.perf_counter()
        if should_stop is not None:
            self._listen(should_stop)
        try:
            status = self._outcome(self._run(started, time_limit), started, time_limit)
        finally:
            if should_stop is not None:
                self._deafen()
            self.tally.solves += 1
            self.tally.seconds += time.perf_counter() - started
        self._optimal = status == "optimal"
        return self._optimum(status)

    def _outcome(self, answer: highspy.HighsModelStatus, started: float, time_limit: float | None) -> Status:
        """How a solve ended; remedies where HiGHS does not say."""
        if self._settles(answer):
            return _OUTCOMES[answer]
        seen = [answer.name]
        try:
            for remedy, options in _REMEDIES.items():
                self.tally.remedies[remedy] += 1
                self._highs.clearSolver()
                for name, option in {**_DEFAULTS, **options}.items():
                    self._set(name, option)
                answer = self._run(started, time_limit)
                self.tally.iterations += max(self._highs.getInfoValue("ipm_iteration_count")[1], 0)
                if self._settles(answer):
                    return _OUTCOMES[answer]
                seen.append(answer.name)
        finally:
            for name, option in _DEFAULTS.items():
                self._set(name, option)
        raise InnerSolveError(f"HiGHS gave no answer: {', '.join(seen)}")

    def _settles(self, answer: highspy.HighsModelStatus) -> bool:
        """Whether nothing is left to try: an optimum of a linear program comes with feasible columns and duals."""
        if _OUTCOMES.get(answer) != "optimal" or self._mixed:
            return answer in _OUTCOMES
        ask = self._highs.getInfoValue
        return bool(ask("primal_solution_status")[1] == _FEASIBLE and ask("dual_solution_status")[1] == _FEASIBLE)

    def _run(self, started: float, time_limit: float | None) -> highspy.HighsModelStatus:
        if time_limit is not None:
            left = max(time_limit - (time.perf_counter() - started), 0.0)
            # For linear programs HiGHS counts over the life of the object, for mixed-integer ones over the solve.
            self._set("time_limit", left if self._mixed else self._highs.getRunTime() + left)
        self._highs.run()
        if time_limit is not None:
            self._set("time_limit", float("inf"))
        self._told = None
        self.tally.iterations += max(self._highs.getInfoValue("simplex_iteration_count")[1], 0)
        status: highspy.HighsModelStatus = self._highs.getModelStatus()
        return status

    @property
    def _info(self) -> highspy.HighsInfo:
        """What HiGHS says of the last solve: a copy that costs as much as all else around a small solve."""
        if self._told is None:
            self._told = self._highs.getInfo()
        return self._told

    def _optimum(self, status: Status) -> Optimum:
        if status == "optimal" and not self._mixed:
            value = self._highs.getObjectiveValue() + self._offset
            return Optimum(status, value, value)
        found = self.has_columns
        value = self._info.objective_function_value + self._offset if found else _NO_VALUE.get(status, np.nan)
        if self._mixed and status != "unbounded":
            return Optimum(status, value, self._info.mip_dual_bound + self._offset)
        return Optimum(status, value, value if status in ("optimal", "infeasible") else -np.inf)

    @property
    def has_columns(self) -> bool:
        """Whether the last solve left columns that keep every limit."""
        found = self._highs.getInfoValue("primal_solution_status")[1]
        return bool(found == _FEASIBLE)

    def columns(self) -> Vector:
        """The decision columns (n,) of the last solve; `InnerSolveError` if it found none."""
        if not self.has_columns:
            raise InnerSolveError("the last solve found no feasible columns")
        return np.array(self._highs.getSolution().col_value)

    def row_duals(self) -> Vector:
        """∂value/∂(right-hand side) of every row (r,) at the last optimum, added rows last.

        `InnerSolveError` if it has no duals.
        """
        return np.array(self._duals().row_dual)

    def touched_duals(self) -> Vector:
        """`row_duals` of the rows that data enter."""
        return np.array(self._pick_touched(self._duals().row_dual))

    def reduced_costs(self) -> Vector:
        """∂value/∂(bound) of every column (n,) at the last optimum; `InnerSolveError` if it has no duals."""
        return np.array(self._duals().col_dual)

    def state_prices(self) -> Vector:
        """∂value/∂(incoming state) (k,) at the last optimum: what one unit more of each entry would cost (a shadow
        price; negative: it would save). `InnerSolveError` if there are no duals."""
        prices: Vector = self.program.state_cost - self._priced @ self.touched_duals()
        return prices

    def noise_prices(self) -> Vector:
        """∂value/∂noise (m,) at the last optimum; `InnerSolveError` if there are no duals."""
        program = self.program
        prices: Vector = program.noise_cost - program.noise_matrix.T @ self.row_duals()[: len(program.rows)]
        return prices

    def conflict(self) -> list[str]:
        """Names of rows that cannot all hold within the columns' limits, none of them to spare (an irreducible
        infeasible subset); [] if the last solve was not infeasible, or HiGHS finds none."""
        if self._mixed or self._highs.getModelStatus() != highspy.HighsModelStatus.kInfeasible:
            return []
        self._set("iis_strategy", _IRREDUCIBLE)
        _, found = self._highs.getIis()
        rows = list(found.row_index_) if found.valid_ else []
        return [self.program.rows[row] if row < len(self.program.rows) else f"cut {row}" for row in rows]

    def basis(self) -> Basis:
        """A copy of the last basis, to start other solves from; `InnerSolveError` if there is none."""
        last = self._highs.getBasis()
        if not last.valid:
            raise InnerSolveError("the last solve left no basis")
        kept = Basis()
        kept.col_status, kept.row_status, kept.valid = list(last.col_status), list(last.row_status), True
        return kept

    def at_odds(self, most: int = 8) -> str:
        """The rows of a conflict in words, to end a sentence with; nothing if there are none."""
        rows = self.conflict()
        more = f" and {len(rows) - most} more" if len(rows) > most else ""
        return f"; these cannot all hold: {', '.join(rows[:most])}{more}" if rows else ""

    def forget(self) -> None:
        """Start the next solve afresh, as if nothing had been solved yet."""
        self._check(self._highs.clearSolver(), "forget what was solved")

    def start_from(self, basis: Basis) -> None:
        """Start the next solve from a basis instead of the last one.

        Where optima are many, the one found depends on where the search started: from the same basis it is the same
        one, whatever was solved before.
        """
        self.forget()  # its random numbers and edge weights count too
        self._check(self._highs.setBasis(basis), "start from a basis")

    def start_near(self, columns: Vector, time_limit: float | None = None) -> bool:
        """Offer columns (n,) to the next solve of a mixed-integer program as its first plan; whether they were taken.

        Only the whole-number ones are looked at, rounded: the best of the others beside them are found here, in at most
        `time_limit` seconds. (HiGHS would do that itself, but by a linear program whose time it counts over the life of
        the object.) Where nothing fits beside them, the next solve starts afresh.
        """
        if columns.shape != self._whole.shape:
            raise ValueError(f"columns have shape {columns.shape}, need {self._whole.shape}")
        places = np.flatnonzero(self._whole).astype(np.int32)
        lower, upper = self._column_bounds[0][places], self._column_bounds[1][places]
        fixed = np.clip(np.round(columns[places]), lower, upper)
        self._check(self._highs.changeColsBounds(len(places), places, fixed, fixed), "fix a first plan")
        self.forget()
        self._run(time.perf_counter(), time_limit)
        plan = self._highs.getSolution() if self.has_columns else None
        self._check(self._highs.changeColsBounds(len(places), places, lower, upper), "free a first plan")
        self.forget()
        if plan is not None:
            self._check(self._highs.setSolution(plan), "take a first plan")
        return plan is not None

    def _duals(self) -> highspy.HighsSolution:
        answer: highspy.HighsSolution = self._highs.getSolution()
        if self._mixed or not answer.dual_valid or not self._optimal:
            raise InnerSolveError("the last solve left no optimal duals")
        return answer

    def _listen(self, should_stop: Callable[[], bool]) -> None:
        asked = [time.perf_counter()]

        def answer(event: highspy.HighsCallbackEvent) -> None:
            now = time.perf_counter()
            if now - asked[0] > 0.1:
                asked[0] = now
                if should_stop():
                    event.interrupt()

        for callbacks in self._interrupts():
            callbacks.subscribe(answer)

    def _deafen(self) -> None:
        for callbacks in self._interrupts():
            callbacks.clear()

    def _interrupts(self) -> tuple[highspy.HighsCallback, ...]:
        return (self._highs.cbSimplexInterrupt, self._highs.cbIpmInterrupt, self._highs.cbMipInterrupt)

    def _set(self, name: str, option: object) -> None:
        self._check(self._highs.setOptionValue(name, option), f"set {name}")

    @staticmethod
    def _check(status: highspy.HighsStatus, purpose: str) -> None:
        if status == highspy.HighsStatus.kError:
            raise InnerSolveError(f"HiGHS could not {purpose}")


def _picking(places: list[int]) -> Callable[[list[float]], Sequence[float]]:
    """A function that picks entries of a list: of a few it is quicker than an array of all."""
    if len(places) < 2:
        return lambda values: [values[place] for place in places]
    return itemgetter(*places)


class _Quiet(highspy.Highs):
    """HiGHS that prints nothing: the banner comes while callbacks are enabled in the constructor, before any option
    can be set from outside, and would spoil a machine-readable standard output."""

    def enableCallbacks(self) -> None:
        self.setOptionValue("output_flag", False)
        super().enableCallbacks()


def _highs_lp(program: LinearProgram) -> highspy.HighsLp:
    """The program at zero state and noise; the constant stays outside."""
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(program.columns), len(program.rows)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = program.cost, program.lower, program.upper
    lp.row_lower_, lp.row_upper_ = program.row_lower, program.row_upper
    matrix = sparse.csc_array(program.matrix)
    matrix.sort_indices()
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = matrix.indptr.astype(np.int32)
    lp.a_matrix_.index_ = matrix.indices.astype(np.int32)
    lp.a_matrix_.value_ = matrix.data
    if program.is_mixed_integer:
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        lp.integrality_ = [kinds[whole] for whole in program.integer.astype(int).tolist()]
    return lp
