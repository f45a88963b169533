"""Policies that plan: one program per stage, solved from the state at hand; its first decision is carried out.

See `solvers.rolling_horizon` for the equations; torch is imported here and not there.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from models.core import Instance, Problem
from models.dynamics import Policy, Simulator, Stage
from models.program import NoProgram
from solvers.core import InnerSolveError
from solvers.full_stages import InFull

if TYPE_CHECKING:
    from models.program import LinearProgram, Program, ScenarioTree, Vector
    from solvers.highs import Basis, HotProgram, Optimum
    from solvers.rolling_horizon import RollingConfig

KEPT_PROGRAMS = 4  # held by the solver; a horizon that ends has another one for every stage near its end
KEPT_STAGES = 64
SAMPLED_PATHS = 1024  # from which quantiles are taken
STRATUM = 8  # paths drawn for each one kept
_NONE = np.zeros(0, dtype=np.int64)

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class _Prepared:
    """A stage ready to be planned: the stages it covers, the futures it plans for, and where every solve starts."""

    covered: list[int]
    programs: list[LinearProgram]  # of the stages covered, and what prices the end if it is reached
    noise: Vector  # (all nodes' m,)
    basis: Basis | None  # None for whole numbers, which start afresh or from another plan


@dataclass(frozen=True)
class Plan:
    """A plan's columns, and the programs of the stages it covers."""

    columns: Vector  # (n of the whole program,)
    tree: ScenarioTree
    programs: list[LinearProgram]
    duals: Vector | None  # (r of the first stage,) of its rows; None where whole numbers leave none

    @property
    def first(self) -> Vector:
        """The first stage's columns (n of that stage,)."""
        return self.columns[self.tree.first]


@dataclass
class PlanTally:
    """How plans in whole numbers ended."""

    made: int = 0
    out_of_time: int = 0  # carried out although better ones may exist
    largest_gap: float = 0.0  # of those, relative to the plan's cost

    def count(self, found: Optimum) -> None:
        """One more plan."""
        self.made += 1
        self.out_of_time += found.status != "optimal"
        self.largest_gap = max(self.largest_gap, found.gap)

    def document(self) -> dict[str, Any]:
        """The tally as JSON."""
        gap = round(self.largest_gap, 6) if np.isfinite(self.largest_gap) else None
        return {"made": self.made, "out_of_time": self.out_of_time, "largest_gap": gap}


@dataclass(frozen=True)
class _Passed:
    """A program passed to the solver."""

    programs: list[LinearProgram]  # held, so that no other can take their place in memory: they are told apart by it
    tree: ScenarioTree
    hot: HotProgram


class Planner:
    """Plans for one instance. Not for two threads at a time; `RollingPolicy` sees to that."""

    def __init__(self, problem: Problem, instance: Instance, config: RollingConfig) -> None:
        if problem.program is None:
            raise ValueError(f"{problem.name} has no program")
        try:
            self.face: Program = problem.program(instance)
        except NoProgram as error:
            raise InnerSolveError(f"nothing to plan with: {error}") from error
        self.simulator: Simulator[Any, Any, Any, Any] = problem.simulator(instance, counts=False).double()
        self.config = config
        self.scenarios: int | None = getattr(config, "scenarios", None)
        self.committed: int | None = getattr(config, "committed", None)
        self.quantile: float | None = getattr(config, "quantile", None)
        self.branching: list[int] | None = getattr(config, "branching", None)
        self.look_ahead = config.look_ahead or self.face.lookahead
        self.tally = PlanTally()
        self._relaxed: dict[int, tuple[LinearProgram, LinearProgram]] = {}  # by the program they are relaxed from
        self._passed: OrderedDict[tuple[int, ...], _Passed] = OrderedDict()
        self._prepared: OrderedDict[tuple[int, int], _Prepared] = OrderedDict()

    def plan(self, states: Vector, stage: int, seed: int) -> Vector:
        """The first stage's columns (batch, n) of the plan made in `stage` from each state (batch, k).

        Raises:
            InnerSolveError: a plan does not exist, or was not found in time.
        """
        return np.stack([plan.first for plan in self.plans(states, stage, seed)])

    def plans(self, states: Vector, stage: int, seed: int, before: Sequence[Plan | None] = ()) -> list[Plan]:
        """Whole plans made in `stage` from each state (batch, k).

        Plans made a stage `before`, one for each row, are where the search for whole numbers starts.

        Raises:
            InnerSolveError: a plan does not exist, or was not found in time.
        """
        ready = self._prepare(stage, seed)
        tree, hot = self._pass(ready.covered, ready.programs)
        found = []
        for row, state in enumerate(states):
            last = before[row] if before else None
            start = None if last is None else _moved_up(last, tree, ready.programs)
            self._solve(hot, ready, state, f"stage {stage}, row {row}", start)
            # The first node's rows stand first.
            duals = None if tree.program.is_mixed_integer else hot.row_duals()[: len(ready.programs[0].rows)]
            found.append(Plan(hot.columns(), tree, ready.programs, duals))
        return found

    def prices(self, state: Vector, stage: int, seed: int) -> dict[str, float]:
        """What one more unit of each entry of the state (k,) would add to the plan's cost [money/unit].

        Raises:
            InnerSolveError: no plan, or one in whole numbers, which has no prices.
        """
        ready = self._prepare(stage, seed)
        tree, hot = self._pass(ready.covered, ready.programs)
        self._solve(hot, ready, state, f"stage {stage}")
        return dict(zip(tree.program.states, hot.state_prices().tolist(), strict=True))

    def _solve(self, hot: HotProgram, ready: _Prepared, state: Vector, where: str, start: Vector | None = None) -> None:
        if ready.basis is not None:
            hot.start_from(ready.basis)
        hot.set_data(state, ready.noise)
        if ready.basis is None:
            hot.forget()
            if start is not None:
                hot.start_near(start, self.config.seconds_per_plan)
        found = hot.solve(self.config.seconds_per_plan)
        if hot.program.is_mixed_integer:
            self.tally.count(found)
        enough = found.status == "time_limit" and hot.program.is_mixed_integer and hot.has_columns
        if found.status != "optimal" and not enough:
            ahead = f"no plan ({where}, {len(ready.covered)} stages ahead)"
            raise InnerSolveError(f"{ahead}: the program is {found.status}{hot.at_odds()}")

    def _prepare(self, stage: int, seed: int) -> _Prepared:
        return _kept(self._prepared, (stage, seed), lambda: self._prepared_now(stage, seed), KEPT_STAGES)

    def _prepared_now(self, stage: int, seed: int) -> _Prepared:
        covered, programs = self.face.window(stage, self.look_ahead)
        whole = self.config.whole_stages or len(programs)
        programs = [program if place < whole else self._relax(program) for place, program in enumerate(programs)]
        tree, hot = self._pass(covered, programs)
        futures = self.futures(covered, seed, stage)
        futures += [np.zeros((tree.scenarios, len(program.noises))) for program in programs[len(covered) :]]
        bare = _Prepared(covered, programs, tree.noise_path(futures), None)
        if tree.program.is_mixed_integer:
            return bare
        hot.forget()
        start = self.simulator.initial(1, torch.Generator().manual_seed(seed))
        self._solve(hot, bare, self.face.state_vector(start)[0], f"stage {stage}, from the initial state")
        return replace(bare, basis=hot.basis())

    def _relax(self, program: LinearProgram) -> LinearProgram:
        """The program without integrality, the same object for the same program."""
        if not program.is_mixed_integer:
            return program
        # The original is held too, so that no other can take its place in memory.
        return self._relaxed.setdefault(id(program), (program, program.relaxed()))[1]

    def _pass(self, covered: list[int], programs: list[LinearProgram]) -> tuple[ScenarioTree, HotProgram]:
        """The program of these stages, passed to the solver; stages that are alike share it."""
        alike = tuple(id(program) for program in programs)
        passed = _kept(self._passed, alike, lambda: self._passed_now(covered, programs), KEPT_PROGRAMS)
        return passed.tree, passed.hot

    def _passed_now(self, covered: list[int], programs: list[LinearProgram]) -> _Passed:
        from models.program import scenario_tree, two_stage
        from solvers.highs import HotProgram

        weights = self.simulator.discount ** np.arange(len(programs), dtype=np.float64)
        here = [self.face.here_and_now(s) for s in covered] + [_NONE] * (len(programs) - len(covered))
        if self.branching is not None:
            tree = scenario_tree(programs, weights, here, _branches(self.branching, len(programs)))
        else:
            # Where noise is known before its stage is decided, only the first decision can be common to all futures.
            common = 1 if _noise_is_state(programs[0]) else len(programs)
            tree = two_stage(programs, weights, here, self.scenarios or 1, committed=self.committed or common)
        return _Passed(programs, tree, HotProgram(tree.program, mip_gap=self.config.mip_gap, brief=True))

    def futures(self, covered: list[int], seed: int, stage: int) -> list[Vector]:
        """What plans are made for: per stage covered the noise (K, m), a function of seed and stage."""
        leaves = int(np.prod(_branches(self.branching, len(covered)))) if self.branching is not None else self.scenarios
        if leaves is None and self.quantile is None:
            mean = self.simulator.expected(1)
            return [self.face.noise_vector(mean, s) for s in covered]
        generator = torch.Generator().manual_seed((seed + 0x9E3779B1 * (stage + 1)) % (1 << 53))
        drawn = SAMPLED_PATHS if leaves is None else STRATUM * leaves
        sample = self.simulator.sample(drawn, generator)
        paths = []
        for place, own in enumerate(covered):
            path = self.face.noise_vector(sample, own)
            # A stage that comes again past the horizon brings noise of its own.
            again = own in covered[:place]
            paths.append(path[torch.randperm(drawn, generator=generator).numpy()] if again else path)
        if leaves is None:
            return _running_quantile(paths, self.quantile or 0.5)
        if self.branching is not None:
            return _outcomes(paths, _branches(self.branching, len(paths)), generator)
        running = np.cumsum([path.sum(1) for path in paths], axis=0).sum(0)
        order = np.argsort(running, kind="stable")
        within = torch.randint(STRATUM, (leaves,), generator=generator).numpy()
        chosen = order[np.arange(leaves) * STRATUM + within]
        return [path[chosen] for path in paths]


def _noise_is_state(program: LinearProgram) -> bool:
    """Whether noise passes straight into the next state (hazard-decision)."""
    return bool((program.outgoing >= len(program.columns) + len(program.states)).any())


def _kept(held: OrderedDict[K, V], key: K, make: Callable[[], V], most: int) -> V:
    """What is held under a key, made if it is not; those asked for longest ago are let go of."""
    if key not in held:
        held[key] = make()
        if len(held) > most:
            held.popitem(last=False)
    held.move_to_end(key)
    return held[key]


def _running_quantile(paths: list[Vector], level: float) -> list[Vector]:
    """The path (1, m) per stage whose running totals are the quantile of the paths' running totals."""
    totals = np.quantile(np.cumsum(paths, axis=0), level, axis=1)
    return list(np.diff(totals, axis=0, prepend=0.0)[:, None])


def _branches(branching: Sequence[int], stages: int) -> list[int]:
    """Outcomes per node in every stage of a plan: as configured, then one."""
    return [*branching, *[1] * stages][:stages]


def _outcomes(paths: list[Vector], branches: Sequence[int], generator: torch.Generator) -> list[Vector]:
    """Sampled paths (drawn, m) per stage → what each leaf meets there (leaf, m), alike for leaves that share a node.

    Where a node branches, the paths that pass through it are sorted by the sum of the stage's noise and cut into equal
    parts; one path of each part, drawn by chance, gives the branch its outcome.
    """
    groups = [np.arange(len(paths[0]))]
    leaves = int(np.prod(branches))
    found = []
    for path, branch in zip(paths, branches, strict=True):
        groups = [
            part
            for group in groups
            for part in np.array_split(group[np.argsort(path[group].sum(1), kind="stable")], branch)
        ]
        within = torch.rand(len(groups), generator=generator).numpy()
        chosen = [group[int(share * len(group))] for group, share in zip(groups, within, strict=True)]
        found.append(np.repeat(path[chosen], leaves // len(groups), axis=0))
    return found


def _moved_up(plan: Plan, tree: ScenarioTree, programs: list[LinearProgram]) -> Vector | None:
    """Where a plan made a stage before stands now: its later stages, the last one twice; None if stages differ."""
    start = np.zeros(len(tree.program.columns))
    for depth, places in enumerate(tree.columns):
        old = min(depth + 1, len(plan.tree.columns) - 1)
        from_nodes = plan.tree.columns[old]
        if programs[depth].columns != plan.programs[old].columns:
            return None
        nodes = np.arange(len(places)) * len(from_nodes) // len(places)
        start[places] = plan.columns[from_nodes[nodes]]
    return start


class RollingPolicy(Policy[Any, Any]):
    """Decides by a plan made for the state at hand.

    Thread-safe: plans are made one at a time. A decision is a function of state, stage and seed alone (in whole
    numbers only while `seconds_per_plan` is not reached). With `start_from_previous` it also depends, within `mip_gap`,
    on the plan that was made for the same row a stage before.
    """

    precision = torch.float64
    seed: torch.Tensor

    def __init__(self, problem: Problem, instance: Instance, config: RollingConfig) -> None:
        super().__init__()
        self.register_buffer("seed", torch.zeros((), dtype=torch.int64))
        self.problem, self.instance, self.config = problem, instance, config
        self.name = config.policy_name
        self._lock = threading.Lock()
        self._planner: Planner | None = None
        self._in_full = InFull(problem, instance)
        self._last: tuple[int, list[Plan]] | None = None  # the stage of the last plans, if all rows were at one
        # Kept out of the module tree: the dynamics are not weights.
        self._simulators: dict[torch.dtype, Simulator[Any, Any, Any, Any]] = {}

    def propose(self, state: Any, stage: Stage) -> Any:
        stages = np.broadcast_to(np.asarray(stage), (state.batch,))
        seed = int(self.seed)
        with self._lock:
            planner = self._ready()
            vectors = planner.face.state_vector(state)
            rows = [np.flatnonzero(stages == own) for own in np.unique(stages)]
            if len(rows) == 1 and self.config.start_from_previous:
                found = [self._go_on(planner, vectors, int(stages[0]), seed)]
            else:
                found = [planner.plans(vectors[own], int(stages[own[0]]), seed) for own in rows]
        order = np.argsort(np.concatenate(rows))
        plans = [plan for part in found for plan in part]
        decision = planner.face.decision(np.stack([plan.first for plan in plans])[order], int(stages[0]))
        duals = [plan.duals for plan in plans if plan.duals is not None]
        if len(duals) == len(plans):
            decision = planner.face.priced(decision, np.stack(duals)[order], int(stages[0]))
        like = next(iter(vars(state).values()))
        return self._in_full(state, decision, stage).to(like.device).to(like.dtype)

    def forward(self, state: Any, stage: Stage) -> Any:
        like = next(iter(vars(state).values()))
        return self._dynamics(like.dtype).repair(state, self.propose(state, stage), stage)

    def _go_on(self, planner: Planner, states: Vector, stage: int, seed: int) -> list[Plan]:
        """A plan for each row, the search for each started from the plan of the same row a stage before."""
        last = self._last
        goes_on = last is not None and last[0] + 1 == stage and len(last[1]) == len(states)
        plans = planner.plans(states, stage, seed, last[1] if last is not None and goes_on else ())
        self._last = stage, plans
        return plans

    def prices(self, state: Any, stage: int) -> list[dict[str, float]]:
        """Shadow prices of each row's state: what one more unit of each entry adds to the plan's cost [money/unit]."""
        with self._lock:
            planner = self._ready()
            return [planner.prices(row, stage, int(self.seed)) for row in planner.face.state_vector(state)]

    def describe(self) -> dict[str, Any]:
        with self._lock:
            planner = self._ready()
        futures: dict[str, Any] = {"scenarios": planner.scenarios} if planner.scenarios else {"demand": "mean"}
        if planner.quantile is not None:
            futures = {"demand": f"quantile {planner.quantile:g} of running totals"}
        if planner.branching is not None:
            futures = {"branching": planner.branching}
        whole = {"plans": planner.tally.document()} if planner.tally.made else {}
        return {"look_ahead": planner.look_ahead, **futures, "relaxes": list(planner.face.relaxes), **whole}

    def _ready(self) -> Planner:
        if self._planner is None:
            self._planner = Planner(self.problem, self.instance, self.config)
        return self._planner

    def _dynamics(self, dtype: torch.dtype) -> Simulator[Any, Any, Any, Any]:
        """The dynamics in the state's precision."""
        if dtype not in self._simulators:
            self._simulators[dtype] = self.problem.simulator(self.instance, counts=False).to(dtype)
        return self._simulators[dtype]
