"""What hindsight could do, and what a single forecast would do: two programs over the whole horizon.

Perfect information: the noise path is known before the first decision. The mean of the optima over scenarios bounds the
cost of every policy from below (for a profit: from above). On the scenarios on which the policies were evaluated, the
difference is paired.

Only reported cost counts. Where the first stages warm the system up, their cost weighs nothing in the program, so that
what it minimises is just what a policy is charged with; the bound then holds for any policy, however it spends the
warm-up, and is as loose as a free warm-up makes it. Free stages do not make a program unbounded while the costs that do
count are bounded below; if they are not, the outcome is `unbounded`, which is reported and not hidden.

Deterministic: the noise is replaced by its mean, the plan is made once for the whole horizon (every stage counts), and
replayed in the simulator. It is a plan, not a bound.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from models.core import Instance, Problem, Traits
from models.lazy import torch
from solvers.core import Callbacks, Config, InnerSolveError, Solver, SolveResult
from solvers.full_stages import InFull

if TYPE_CHECKING:
    from models.dynamics import Simulator
    from models.program import MultistageProgram, Program, Vector
    from solvers.shadow_prices import ShadowPrices

CHUNK = 1024  # scenarios whose data are held at once
WINDOW_GAP = 1e-3  # relative gap at which a window of a first plan is good enough
Ended = Literal["optimal", "infeasible", "unbounded", "time_limit", "stopped"]


class PerfectInformationConfig(Config):
    """Configuration of the perfect-information bound."""

    scenarios: int = Field(256, ge=2, le=65_536, description="Scenarios over which the optima are averaged.")
    whole_numbers: bool = Field(
        False,
        description="Keep whole-number decisions whole: a tighter bound, but a mixed-integer program per scenario.",
    )
    shadow_prices: bool = Field(
        True,
        description="Report what one more unit of stock, goods under way or capacity would have saved "
        "(not with whole_numbers where there are any: such programs have no duals).",
    )
    time_limit_seconds: float | None = Field(
        None, gt=0, le=86_400, description="Wall clock for all scenarios; the bound is over those solved by then."
    )
    mip_gap: float = Field(
        1e-4,
        ge=0,
        le=1,
        description="With whole_numbers: relative gap at which a scenario is done; its proven bound counts.",
    )
    seconds_per_scenario: float | None = Field(
        None,
        gt=0,
        le=86_400,
        description="With whole_numbers: wall clock of one scenario; what is proven by then counts, a valid bound that "
        "is less tight. null: none.",
    )


class DeterministicConfig(Config):
    """Configuration of the deterministic plan."""

    time_limit_seconds: float = Field(300.0, gt=0, le=86_400, description="Wall clock for the plan.")
    mip_gap: float = Field(1e-4, ge=0, le=1, description="Relative gap at which a mixed-integer plan is good enough.")
    window: int | None = Field(
        8,
        ge=1,
        le=10_000,
        description="Relax and fix: whole numbers are first planned for so many stages at a time, which gives the plan "
        "that the search over the whole horizon starts from. null: no such start.",
    )


@dataclass(frozen=True)
class HindsightValues:
    """Perfect-information optima of the first scenarios of a set."""

    status: Ended  # optimal: every scenario was solved; else why the scenario after the last value was not
    values: Vector  # (scenario,) lower bound on the reported cost of any decisions [money]


def bounds_nothing(approximates: str) -> str:
    """Why programs that know something only roughly give no bound."""
    return f"the stage programs know only roughly {approximates}: their cost bounds no policy's"


class Hindsight:
    """The whole horizon as one hot program, solved for scenario after scenario with its noise known.

    Whole-number decisions are relaxed unless `whole_numbers`: a bound either way. Keep the object to go on with more
    scenarios from the last basis.
    """

    def __init__(
        self,
        problem: Problem,
        instance: Instance,
        simulator: Simulator[Any, Any, Any, Any],
        whole_numbers: bool = False,
        mip_gap: float = 1e-6,
        seconds_per_scenario: float | None = None,
    ) -> None:
        """Raises:
        InnerSolveError: the programs are approximate, so that they bound nothing.
        """
        from solvers.highs import HotProgram

        started = time.perf_counter()
        self.face = _program(problem, instance)
        if self.face.approximates is not None:
            raise InnerSolveError(bounds_nothing(self.face.approximates))
        self.chained = self.face.horizon(reported_weights(simulator))
        program = self.chained.program if whole_numbers else self.chained.program.relaxed()
        self.hot = HotProgram(program, mip_gap=mip_gap)
        self.seconds_per_scenario = seconds_per_scenario if program.is_mixed_integer else None
        self.unproved = 0  # scenarios whose own time was up: their proven bounds are there, and are slack
        self.largest_gap = 0.0  # between the best decisions found in a scenario and its bound, relative
        self.prices: ShadowPrices | None = None  # set it, and the duals of every scenario are added to it
        self.build_seconds = time.perf_counter() - started

    def values(
        self, initial_state: Any, noise: Any, callbacks: Callbacks, time_limit: float | None = None
    ) -> HindsightValues:
        """Least reported cost of every scenario, until all are done or something ends it (`time_limit` in seconds)."""
        deadline = None if time_limit is None else time.perf_counter() + time_limit
        total = initial_state.batch
        values: list[float] = []
        status: Ended = "optimal"
        for first in range(0, total, CHUNK):
            chunk = slice(first, first + CHUNK)
            states = self.face.state_vector(initial_state.rows(chunk))
            paths = self.face.noise_path(noise.rows(chunk))
            status = self._solve_each(states, paths, values, total, deadline, callbacks)
            if status != "optimal":
                break
        callbacks.on_phase("perfect_information", len(values) / total)
        return HindsightValues(status, np.array(values))

    def bounds(self, initial_state: Any, noise: Any, callbacks: Callbacks, time_limit: float | None = None) -> Vector:
        """`values` for callers that need a bound: `InnerSolveError` if a program is infeasible or unbounded."""
        found = self.values(initial_state, noise, callbacks, time_limit)
        if found.status in ("infeasible", "unbounded"):
            raise InnerSolveError(f"perfect information: scenario {len(found.values)} is {found.status}")
        return found.values

    def _solve_each(
        self,
        states: Vector,
        paths: Vector,
        values: list[float],
        total: int,
        deadline: float | None,
        callbacks: Callbacks,
    ) -> Ended:
        """Append the bound of every row to `values`; why it ended."""
        asked = -np.inf
        for state, path in zip(states, paths, strict=True):
            now = time.perf_counter()
            if deadline is not None and now >= deadline:
                return "time_limit"
            if now - asked > 0.1:
                asked = now
                callbacks.on_phase("perfect_information", len(values) / total)
                if callbacks.should_stop():
                    return "stopped"
            self.hot.set_data(state, path)
            left = np.inf if deadline is None else deadline - now
            limit = min(left, self.seconds_per_scenario or np.inf)
            found = self.hot.solve(limit if np.isfinite(limit) else None, callbacks.should_stop)
            own_time_up = found.status == "time_limit" and limit < left and np.isfinite(found.bound)
            # Out of time for all scenarios leaves a proven but slack bound: it is not mixed with the others.
            if found.status != "optimal" and not own_time_up:
                return found.status
            self.unproved += own_time_up
            self.largest_gap = max(self.largest_gap, found.gap)
            values.append(found.bound)
            if self.prices is not None:
                self.prices.add(self.hot)
        return "optimal"


def reported_weights(simulator: Simulator[Any, Any, Any, Any]) -> Vector:
    """What a unit of each stage's cost adds to the reported cost, and last a unit of terminal cost: (T+1,).

    Discounted from stage 0, nothing before the first reported stage or after the last.
    """
    weights = simulator.discount ** np.arange(simulator.num_stages + 1, dtype=np.float64)
    weights[: simulator.first_reported_stage] = 0.0
    if simulator.reported_stages.stop < simulator.num_stages:
        weights[simulator.reported_stages.stop :] = 0.0
    return weights


def perfect_information_values(
    problem: Problem,
    instance: Instance,
    simulator: Simulator[Any, Any, Any, Any],
    initial_state: Any,
    noise: Any,
    callbacks: Callbacks,
    time_limit: float | None = None,
) -> Vector:
    """Least reported cost of every scenario had its noise been known from the start: (scenario,) [money].

    A lower bound for every scenario: whole-number decisions are relaxed. If `callbacks.should_stop` or `time_limit`
    [s] ends it early, the values are those of the first scenarios, in order (maybe none).

    Raises:
        InnerSolveError: a scenario's program is infeasible or unbounded, or HiGHS cannot solve it.
    """
    return Hindsight(problem, instance, simulator).bounds(initial_state, noise, callbacks, time_limit)


def perfect_information(
    problem: Problem, instance: Instance, config: PerfectInformationConfig, seed: int, callbacks: Callbacks
) -> SolveResult:
    """The perfect-information bound on fresh scenarios of the evaluation stream."""
    from solvers.evaluation import estimate, interval, judged
    from solvers.hdpo import scenario_seed
    from solvers.shadow_prices import ShadowPrices

    simulator = problem.simulator(instance)
    drawn = scenario_seed(seed, "evaluation")
    chunk = next(iter(judged(simulator, drawn, config.scenarios)))
    program = Hindsight(problem, instance, simulator, config.whole_numbers, config.mip_gap, config.seconds_per_scenario)
    if config.shadow_prices and not program.hot.program.is_mixed_integer:
        program.prices = ShadowPrices(program.hot.program)
    found = program.values(chunk.state, chunk.noise, callbacks, config.time_limit_seconds)
    stages = len(simulator.reported_stages)
    document: dict[str, Any] = {
        "kind": "perfect_information",
        "scenarios": len(found.values),
        "scenarios_wanted": config.scenarios,
        "seed": seed,
        "whole_numbers": config.whole_numbers,
        "free_warmup_stages": simulator.first_reported_stage,
        "relaxes": list(program.face.relaxes),
        "program": _size(program.chained),
        "build_seconds": round(program.build_seconds, 6),
        "solver": program.hot.tally.document(),
    }
    if program.hot.program.is_mixed_integer:
        gap = round(program.largest_gap, 6) if np.isfinite(program.largest_gap) else None
        document |= {"unproved_scenarios": program.unproved, "largest_gap": gap}
    if found.status in ("infeasible", "unbounded") or len(found.values) < 2:
        document["explanation"] = _EXPLANATIONS[found.status]
        document["conflict"] = program.hot.conflict()  # rows that cannot all hold, where the program is infeasible
        return SolveResult(found.status, document)
    mean, error = estimate(found.values)
    document |= {
        "value": mean,
        "value_per_stage": mean / stages,
        "standard_error": error,
        "ci95": interval(mean, error),
        "milliseconds_per_scenario": round(1e3 * program.hot.tally.seconds / len(found.values), 4),
    }
    if program.prices is not None:
        document["shadow_prices"] = program.prices.document()
    return SolveResult("time_limit" if found.status == "optimal" and program.unproved else found.status, document)


_EXPLANATIONS = {
    "infeasible": "No decisions keep every limit in one of the scenarios: no policy can.",
    "unbounded": "The cost can be made as low as one likes: a price or a cost is missing or has the wrong sign.",
    "time_limit": "Time was up before two scenarios were solved.",
    "stopped": "Stopped on request before two scenarios were solved.",
    "optimal": "",
}


@dataclass(frozen=True)
class Replay:
    """A plan carried out in the simulator."""

    costs: Vector  # (batch, T+1) each stage's cost [money], undiscounted; last what is left at the end costs
    components: list[dict[str, float]]  # per stage, of the first scenario [money]
    states: list[Any]  # before each decision
    decisions: list[Any]  # as carried out
    breach: float  # largest breach of a constraint that had to be repaired: 0 unless the program relaxes something


def replay(
    simulator: Simulator[Any, Any, Any, Any],
    face: Program,
    chained: MultistageProgram,
    x: Vector,
    state: Any,
    noise: Any,
    in_full: InFull | None = None,
) -> Replay:
    """Carry out planned columns (batch, n) of a chained program in the simulator.

    Raises:
        solvers.evaluation.InfeasibleDecision: a planned decision breaks a constraint of the simulator, though the
            program claims to relax none.
    """
    from solvers.evaluation import InfeasibleDecision, check_feasible

    costs = np.zeros((x.shape[0], simulator.num_stages + 1))
    components, states, decisions = [], [], []
    breach = 0.0
    with torch.no_grad():
        for stage in range(simulator.num_stages):
            planned = face.decision(chained.columns_of(x, stage), stage)
            planned = planned if in_full is None else in_full(state, planned, stage)
            try:
                check_feasible(simulator, state, planned, stage)
            except InfeasibleDecision:
                if not face.relaxes:
                    raise
                breach = max(breach, float(simulator.violation(state, planned, stage).max()))
            decision = simulator.repair(state, planned, stage)  # takes the solver's rounding away
            states.append(state)
            decisions.append(decision)
            post, decided = simulator.decide(state, decision, stage)
            state, realized = simulator.realize(post, noise, stage)
            parts = [*decided.components.items(), *realized.components.items()]
            costs[:, stage] = sum(value.double().numpy() for _, value in parts)
            named: dict[str, float] = {}
            for name, value in parts:
                named[name] = named.get(name, 0.0) + float(value[0])
            components.append(named)
        for value in simulator.terminal(state).components.values():
            costs[:, -1] += value.double().numpy()
    return Replay(costs, components, states, decisions, breach)


def deterministic(
    problem: Problem, instance: Instance, config: DeterministicConfig, seed: int, callbacks: Callbacks
) -> SolveResult:
    """The plan for the whole horizon if noise were its mean, in the planner's lines, and its cost when replayed."""
    from solvers.highs import HotProgram

    started = time.perf_counter()
    simulator = problem.simulator(instance).double()
    state = simulator.initial(1, torch.Generator().manual_seed(seed))
    noise = simulator.expected(1)
    face = _program(problem, instance)
    weights = simulator.discount ** np.arange(simulator.num_stages + 1, dtype=np.float64)
    chained = face.horizon(weights)
    hot = HotProgram(chained.program, mip_gap=config.mip_gap)
    hot.set_data(face.state_vector(state)[0], face.noise_path(noise)[0])
    built = time.perf_counter() - started
    callbacks.on_phase("deterministic", 0.0)
    started = time.perf_counter()
    start = _first_plan(chained, face, state, noise, config, callbacks)
    if start is not None:
        hot.start_near(start, config.time_limit_seconds)
    left = config.time_limit_seconds - (time.perf_counter() - started)
    found = hot.solve(max(left, 0.0), callbacks.should_stop)
    callbacks.on_phase("deterministic", 1.0)
    document: dict[str, Any] = {
        "kind": "deterministic",
        "noise": "mean",
        "relaxes": list(face.relaxes),
        "approximates": face.approximates,
        "program": _size(chained),
        "build_seconds": round(built, 6),
        "solver": hot.tally.document(),
    }
    if not hot.has_columns:
        document["explanation"] = _NO_PLAN[found.status]
        document["conflict"] = hot.conflict()
        return SolveResult(found.status, document)
    done = replay(simulator, face, chained, hot.columns()[None], state, noise, InFull(problem, instance))
    document |= {
        # Every stage counts in the plan; only reported ones in the figure that compares with policies.
        "planned_cost": found.value,
        "planned_cost_bound": found.bound if np.isfinite(found.bound) else None,
        "gap": round(found.gap, 6) if np.isfinite(found.gap) else None,
        "replayed_cost": round(float(done.costs[0] @ weights), 6),
        "replayed_reported_cost": round(float(done.costs[0] @ reported_weights(simulator)), 6),
        "largest_repair": round(done.breach, 6),
        "plan": _plan(problem, instance, done),
    }
    return SolveResult(found.status, document)


def _first_plan(
    chained: MultistageProgram,
    face: Program,
    state: Any,
    noise: Any,
    config: DeterministicConfig,
    callbacks: Callbacks,
) -> Vector | None:
    """A plan for the search to start from, found in at most half of the time; None where there is no need of one."""
    from solvers.relax_and_fix import relax_and_fix

    stages = len(chained.column_starts) - 1
    if config.window is None or stages <= config.window or not chained.program.is_mixed_integer:
        return None
    data = face.state_vector(state)[0], face.noise_path(noise)[0]
    gap = max(config.mip_gap, WINDOW_GAP)
    return relax_and_fix(chained, *data, config.window, gap, config.time_limit_seconds / 2, callbacks.should_stop)


_NO_PLAN = {
    "infeasible": "No plan keeps every limit.",
    "unbounded": _EXPLANATIONS["unbounded"],
    "time_limit": "Time was up before a plan was found.",
    "stopped": "Stopped on request before a plan was found.",
}


def _plan(problem: Problem, instance: Instance, done: Replay) -> list[dict[str, Any]]:
    """The replayed decisions as the planner's lines, stage by stage, with what each stage costs."""
    view = problem.view(instance)
    word = "period" if "period" in view.today() else "stage"
    rows = []
    for stage, (state, decision) in enumerate(zip(done.states, done.decisions, strict=True)):
        lines = view.encode(state, decision, torch.tensor([stage]))[0]
        components = {name: round(value, 6) for name, value in done.components[stage].items()}
        rows.append({word: stage, "cost": round(float(done.costs[0, stage]), 6), "components": components, **lines})
    return rows


def _program(problem: Problem, instance: Instance) -> Program:
    if problem.program is None:
        raise ValueError(f"{problem.name} has no program")
    return problem.program(instance)


def _size(chained: MultistageProgram) -> dict[str, int]:
    program = chained.program
    return {
        "stages": len(chained.column_starts) - 1,
        "rows": len(program.rows),
        "columns": len(program.columns),
        "whole_number_columns": int(program.integer.sum()),
        "nonzeros": int(program.matrix.nnz),
    }


def _needs_program(traits: Traits) -> list[str]:
    return [] if traits.has_program else ["the problem has no algebraic program"]


PERFECT_INFORMATION = Solver(
    name="perfect_information",
    title="Perfect-information bound",
    summary="What the best decisions would have cost had every scenario been known: no policy can do better.",
    kind="solve",
    config=PerfectInformationConfig,
    needs=_needs_program,
    solve=perfect_information,
    quick={"scenarios": 8},
)

DETERMINISTIC = Solver(
    name="deterministic",
    title="Deterministic plan",
    summary="The plan for the whole horizon that would be best if the future were its mean, and what it costs.",
    kind="solve",
    config=DeterministicConfig,
    needs=_needs_program,
    solve=deterministic,
    quick={"mip_gap": 1.0},
)
