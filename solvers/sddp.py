"""SDDP: stochastic dual dynamic programming.

Paper: Pereira, Pinto, "Multi-stage stochastic optimization applied to energy planning", Mathematical Programming 52,
1991. The cost to go of every stage is bounded from below by cuts. Forward passes walk along sampled outcomes and decide
by the cuts there are; backward passes solve every outcome of every stage at the states visited, last stage first, and
add the cuts that their duals give.

Equation → function
  V_t(s) = min c·x + γ Σ_k p_k θ_k, θ_k ≥ cuts           `stage_nodes.Node`: a stage with its outcomes
  x_t along ω ~ p                                        `StagePrograms.forward`
  V_{t+1}(s_k), ∂V_{t+1}/∂s at every outcome k           `StagePrograms.backward`
  θ ≥ Σ_k q_k (V_k + ∂V_k·(s − s_k))    (single cut)     `_Run._cuts`: q = p, or the worst case of the risk measure
  θ_k ≥ V_k + ∂V_k·(s − s_k)             (multi-cut)     `_Run._cuts`
  bound = ρ(V_0)                                         `_Run.bound`
  ρ = (1−λ) E + λ CVaR_α: q of its dual                  `risk_weights` (Shapiro, Tekaya, da Costa, Soares, EJOR 2013)
  cuts kept: the highest at a point visited              `cuts.CutPool` (de Matos, Philpott, Finardi 2015)

Deviations and why
  * where noise strikes within a stage, its answers are columns of the same program, one set an outcome: decision-hazard
    needs no other algorithm
  * passes are shared by lanes (`solvers.lanes`): what is found depends on their number, not on the processes they
    run in
  * money is scaled so that the whole horizon costs about 4,096 units: HiGHS otherwise ends in "unknown" after hundreds
    of cuts; where it still does, the remedies of `solvers.highs` are counted and reported
  * θ starts at the sum of the least that later stages can cost at all, found by one program a stage

Stops when the upper end of the simulated cost's 95 % interval is within `gap` of the bound, when the bound stalls, when
time is up, or after `iterations`. With λ > 0 the bound is one of the risk-adjusted cost, not of the mean: it is then no
bound in a certificate, and simulation does not stop the run.

Metrics logged: bound, cost, cost_error (simulated) [money/stage], cuts, solves, remedies.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from models.core import BoundValue, Instance, Issue, Problem, Traits
from models.lazy import lazy, torch
from models.program import NoProgram, Vector
from solvers.core import Callbacks, Config, InnerSolveError, Solver, TrainRequest, TrainResult
from solvers.cuts import CutPool, Cuts
from solvers.draws import scenario_seed

if TYPE_CHECKING:
    from models.dynamics import Policy
    from models.program import Indices
    from solvers.stage_nodes import Nodes
    from solvers.stage_programs import Trials

NAME = "sddp"
Z95 = 1.959963984540054
SIZE = 4096.0  # units of cost that the horizon is scaled to
SLACK_ROWS = 1.5  # rows of cuts, as a multiple of those worth keeping, at which a program is built anew
SPARE_ROWS = 30
Ended = Literal["finished", "time_limit", "request"]

_cut_policy = lazy("solvers.cut_policy:CutPolicy")


class SDDPConfig(Config):
    """Configuration of SDDP. The defaults are meant to work."""

    iterations: int = Field(1000, ge=1, le=1_000_000, description="Forward and backward passes at most.")
    trials: int = Field(1, ge=1, le=10_000, description="Paths of a forward pass: cuts a stage and iteration.")
    multi_cut: bool = Field(False, description="One future a cut supports per outcome instead of their mean.")
    cut_selection: bool = Field(True, description="Keep only cuts that are the highest at a state visited (level one).")
    risk_weight: float = Field(0.0, ge=0, le=1, description="Share λ of CVaR beside the mean, stage by stage; 0: mean.")
    risk_tail: float = Field(0.1, gt=0, le=1, description="Worst share of outcomes that CVaR is the mean of.")
    lanes: int = Field(
        1, ge=1, le=256, description="Groups of programs that share the passes; more of them can use more processes."
    )
    processes: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Processes that the lanes run in; null: one a core. It does not change a result.",
    )
    helpers: int = Field(
        0,
        ge=0,
        le=256,
        description="Free workers that may be asked to take lanes over, for systems whose stages take milliseconds; "
        "each is busy with it until the training ends. Give lanes and trials enough. It does not change a result.",
    )
    check_every: int = Field(25, ge=1, le=100_000, description="Iterations between simulations of the policy.")
    simulation_paths: int = Field(64, ge=2, le=100_000, description="Paths of a simulation, the same every time.")
    gap: float = Field(
        1e-3, ge=0, le=1, description="Stop when the simulated cost's 95 % limit is this near the bound; 0: never."
    )
    stall: float = Field(1e-6, ge=0, le=1, description="Relative rise of the bound that counts as none.")
    stall_iterations: int = Field(100, ge=1, le=1_000_000, description="Iterations without a rise that end the run.")


@dataclass
class State:
    """What changes in a run: what a checkpoint holds beside the generator."""

    scale: float
    iteration: int = 0
    bounds: list[float] = field(default_factory=list)  # by iteration, of the whole horizon [money]
    curve: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0


def train(request: TrainRequest, callbacks: Callbacks) -> TrainResult:
    """Cuts until the bound is tight, and the policy that decides by them.

    Raises:
        InnerSolveError: the instance has no program with finitely many outcomes, or one of its programs no optimum.
    """
    from solvers.cut_policy import pack

    run = _Run(request, callbacks)
    with run.lanes:
        stopped_by = run.improve()
        work = run.lanes.work()
    bound = run.state.bounds[-1] if run.state.bounds else -math.inf
    callbacks.on_log(
        f"bound {bound:.6g} after {run.state.iteration} iterations; {work.solves} programs solved, remedies "
        f"{dict(work.remedies) or 'none'}"
    )
    policy = build(request.problem, request.instance, request.config, NAME)
    facts = (run.fingerprint, bound, work.remedies.total(), run.config.multi_cut)
    policy.load_state_dict(pack(run.kept(), run.state.scale, *facts))
    stages = run.simulator.num_stages
    certain = None
    exact = request.problem.program is not None and request.problem.program(request.instance).approximates is None
    if request.config.risk_weight == 0 and run.reported and exact and math.isfinite(bound):
        certain = BoundValue(bound / stages, 0.0, {"iterations": run.state.iteration, "solver": NAME})
    return TrainResult(
        policy.eval(),
        NAME,
        run.state.curve,
        run.state.iteration,
        run.state.seconds,
        stopped_by,
        bound=certain,
        counted=run.steps,
    )


def cut_bound(problem: Problem, instance: Instance, should_stop: Callable[[], bool]) -> BoundValue:
    """A lower bound on the reported cost of every policy, by cuts made for that cost alone.

    Raises:
        ValueError: there are no cuts, as for `train`.
    """
    config = SDDPConfig(gap=0.0, check_every=1000, simulation_paths=2, stall=1e-5, stall_iterations=50)
    try:
        run = _Run(TrainRequest(problem, instance, config, 0), Callbacks(should_stop=should_stop), reported_only=True)
        with run.lanes:
            run.improve()
    except InnerSolveError as error:
        raise ValueError(str(error)) from error
    stages = len(run.simulator.reported_stages)
    return BoundValue(run.state.bounds[-1] / stages, 0.0, {"iterations": run.state.iteration, "solver": NAME})


def uncountable(problem: Problem, instance: Instance) -> str | None:
    """Why an instance's chance cannot be counted; None if it can."""
    try:
        face = None if problem.program is None else problem.program(instance)
    except NoProgram as error:
        return str(error)
    if face is None or face.starts() is None or face.outcomes(0) is None:
        return "chance has too many outcomes to count, or depends on what came before"
    return None


def no_bound(problem: Problem, instance: Instance) -> str | None:
    """Why cuts would bound nothing; None where they do."""
    from solvers.bounds import bounds_nothing

    reason = uncountable(problem, instance)
    if reason is None and problem.program is not None:
        approximates = problem.program(instance).approximates
        return None if approximates is None else bounds_nothing(approximates)
    return reason


class _Run:
    """Cuts, lanes and generator of one run."""

    def __init__(self, request: TrainRequest, callbacks: Callbacks, reported_only: bool = False) -> None:
        from solvers.bounds import reported_weights
        from solvers.cut_policy import fingerprint

        self.request, self.callbacks = request, callbacks
        self.config: SDDPConfig = request.config
        self.simulator = request.problem.simulator(request.instance, counts=False)
        every = self.simulator.discount ** np.arange(self.simulator.num_stages + 1, dtype=np.float64)
        counted = reported_weights(self.simulator) / every
        self.reported = bool((counted == 1).all())
        self.started = time.monotonic()
        whole = nodes_of(request.problem, request.instance, self.simulator.discount, counted if reported_only else None)
        self.whole = whole
        self.fingerprint = fingerprint(self.whole)
        if self.config.risk_weight and any(node.chance_in_stage for node in self.whole.bare):
            raise InnerSolveError("risk_weight: outcomes strike within a stage here, of which only the mean is priced")
        self.generator = torch.Generator().manual_seed(scenario_seed(request.seed, "training"))
        held_out = torch.Generator().manual_seed(scenario_seed(request.seed, "validation"))
        self.judged = draw(self.whole, self.config.simulation_paths, held_out)
        self._begin()

    def _begin(self) -> None:
        """Start anew, from another run's cuts, or go on from a checkpoint."""
        from solvers.cut_policy import unpack
        from solvers.holdings import held
        from solvers.lanes import Lanes, processes_for
        from solvers.stage_programs import StagePrograms

        checkpoint, config = self.request.checkpoint, self.config
        scale = self._scale() if checkpoint is None else float(checkpoint["scale"])
        self.state = State(scale)
        self.nodes = self.whole.scaled(scale, config.multi_cut)
        processes = processes_for(config.lanes, config.processes)
        helpers = self.callbacks.helpers(min(config.helpers, config.lanes - 1)) if config.helpers else ()
        if config.helpers:
            self.callbacks.on_log(f"{len(helpers)} of {config.helpers} workers lend a hand")
        self.lanes = Lanes(held(StagePrograms, self.nodes), config.lanes, processes, helpers, self._told)
        self.pools = [CutPool(len(node.carried), node.futures) for node in self.nodes]
        self.held: list[Indices] = [np.zeros(0, dtype=np.int64) for _ in self.nodes]  # cuts in the programs, in order
        if checkpoint is not None:
            self._restore(checkpoint)
        elif self.request.warm_start is not None:
            given = unpack(self.request.warm_start, self.nodes, scale, self.fingerprint)
            self.pools = [
                CutPool(len(node.carried), node.futures, cuts) for node, cuts in zip(self.nodes, given, strict=True)
            ]
            for stage in range(len(self.nodes)):
                self._hold(stage)
        self.elapsed = self.state.seconds
        self.steps = self.state.iteration * (len(self.nodes) - 1)  # stages that cuts were made from

    def improve(self) -> Ended:
        """Iterate until something ends it; why it ended."""
        config, state = self.config, self.state
        while state.iteration < config.iterations:
            cut_short = self._iterate()
            state.seconds = self.elapsed + time.monotonic() - self.started
            if cut_short is None:
                state.iteration += 1
            state.bounds.append(self.bound())
            metrics = {"bound": state.bounds[-1] / self.simulator.num_stages, "cuts": float(sum(map(len, self.held)))}
            last = cut_short is not None or state.iteration == config.iterations or self._stalled()
            close = False
            if last or state.iteration % config.check_every == 0:
                metrics |= self.simulate()
                close = self._close(metrics)
                self._checkpoint()
            self.callbacks.on_iteration(state.iteration, config.iterations, metrics)
            if cut_short is not None or last or close:
                return cut_short or "finished"
        return "finished"

    def bound(self) -> float:
        """Risk-adjusted least cost of the whole horizon by the cuts there are [money]."""
        starts = self.whole.starts
        ((values, _),) = self.lanes.ask("backward", [(0, starts.values)])
        weights = self._weights(values[None], starts.probabilities)[0]
        return float(weights @ values) / self.state.scale

    def simulate(self) -> dict[str, float]:
        """What the policy costs on the paths set aside, as a row of the curve [money/stage]."""
        stages = self.simulator.num_stages
        totals = self._discounted(self._forward(*self.judged)) / self.state.scale / stages
        error = float(totals.std(ddof=1)) / math.sqrt(len(totals))
        row = {"cost": float(totals.mean()), "cost_error": error, "bound": self.state.bounds[-1] / stages}
        best = min([row["cost"], *(past["best_cost"] for past in self.state.curve)])
        place = {"iteration": float(self.state.iteration), "seconds": self.state.seconds, "best_cost": best}
        self.state.curve.append(place | row)
        work = self.lanes.work()
        return row | {"solves": float(work.solves), "remedies": float(work.remedies.total())}

    def kept(self) -> list[Cuts]:
        """The cuts that the policy decides by, stage by stage."""
        return [pool.cuts.take(self._worth_keeping(pool)) for pool in self.pools]

    def _iterate(self) -> Literal["request", "time_limit"] | None:
        """One forward and one backward pass; what cut it short, if anything."""
        states, outcomes = draw(self.whole, self.config.trials, self.generator)
        carried = self._forward(states, outcomes).carried
        for stage in range(len(self.nodes) - 1, 0, -1):
            if self.callbacks.should_stop():
                return "request"
            if self._late():
                return "time_limit"
            self.steps += 1
            points = carried[stage - 1]
            self.pools[stage - 1].add(self._cuts(stage, points), points)
            self._hold(stage - 1)
        return None

    def _forward(self, states: Vector, outcomes: Indices) -> Trials:
        """Paths dealt to the lanes in turn."""
        from solvers.stage_programs import Trials

        lanes = min(self.config.lanes, len(states))
        parts = [(states[lane::lanes], outcomes[lane::lanes]) for lane in range(lanes)]
        found: list[Trials] = self.lanes.ask("forward", parts)
        order = np.argsort(np.concatenate([np.arange(len(states))[lane::lanes] for lane in range(lanes)]))
        carried = [np.concatenate(columns)[order] for columns in zip(*(part.carried for part in found), strict=True)]
        return Trials(carried, np.concatenate([part.costs for part in found])[order])

    def _cuts(self, stage: int, points: Vector) -> Cuts:
        """Cuts of the stage before, from every outcome's least cost after each point (trial, c)."""
        before = self.nodes[stage - 1]
        states = before.following(points)  # (trial, K, k)
        trials, count, entries = states.shape
        rows = np.array_split(states.reshape(-1, entries), min(self.config.lanes, trials * count))
        found = self.lanes.ask("backward", [(stage, part) for part in rows])
        values = np.concatenate([part[0] for part in found]).reshape(trials, count)
        slopes = before.lifted(np.concatenate([part[1] for part in found]).reshape(states.shape))
        intercepts = values - np.einsum("tkc,tc->tk", slopes, points)
        if self.config.multi_cut:
            outcomes = np.tile(np.arange(count), trials)
            return Cuts(outcomes, intercepts.ravel(), slopes.reshape(trials * count, -1))
        weights = self._weights(values, before.chances)
        mean = np.einsum("tk,tkc->tc", weights, slopes)
        return Cuts(np.zeros(trials, dtype=np.int64), (weights * intercepts).sum(1), mean)

    def _hold(self, stage: int) -> None:
        """Let a stage's programs hold the cuts worth keeping; build them anew where too many others are in them."""
        pool, held = self.pools[stage], self.held[stage]
        worth = self._worth_keeping(pool)
        missing = np.setdiff1d(worth, held)
        if len(held) + len(missing) > SLACK_ROWS * len(worth) + SPARE_ROWS:
            self.lanes.tell("set_cuts", stage, pool.cuts.take(worth))
            self.held[stage] = worth  # afterwards: who takes over a lane meanwhile is told of those before
        elif len(missing):
            self.lanes.tell("add_cuts", stage, pool.cuts.take(missing))
            self.held[stage] = np.concatenate([held, missing])

    def _told(self) -> list[tuple[str, tuple[Any, ...]]]:
        """What the programs of every lane hold: whoever takes over a lane starts from it."""
        pairs = enumerate(zip(self.pools, self.held, strict=True))
        return [("set_cuts", (stage, pool.cuts.take(held))) for stage, (pool, held) in pairs if len(held)]

    def _worth_keeping(self, pool: CutPool) -> Indices:
        return pool.selected() if self.config.cut_selection else np.arange(len(pool.cuts))

    def _weights(self, values: Vector, chances: Vector) -> Vector:
        return risk_weights(values, chances, self.config.risk_weight, self.config.risk_tail)

    def _discounted(self, trials: Trials) -> Vector:
        """(trial,) cost of whole paths, in programs' units."""
        factors = self.simulator.discount ** np.arange(trials.costs.shape[1], dtype=np.float64)
        total: Vector = trials.costs @ factors
        return total

    def _stalled(self) -> bool:
        bounds, back = self.state.bounds, self.config.stall_iterations
        return len(bounds) > back and bounds[-1] - bounds[-1 - back] <= self.config.stall * abs(bounds[-1])

    def _close(self, metrics: Mapping[str, float]) -> bool:
        """Whether the simulated cost is surely near the bound. The mean says nothing where risk is priced."""
        upper = metrics["cost"] + Z95 * metrics["cost_error"]
        near = upper - metrics["bound"] <= self.config.gap * abs(metrics["bound"])
        return near and self.config.gap > 0 and self.config.risk_weight == 0

    def _late(self) -> bool:
        return self.request.is_over(self.steps, self.elapsed + time.monotonic() - self.started)

    def _scale(self) -> float:
        """Programs' units of cost a unit of money: a power of two near which a path without cuts costs `SIZE`."""
        from solvers.stage_programs import StagePrograms

        if not np.isfinite(self.whole.floors).all():
            raise InnerSolveError("a stage can cost as little as one likes: nothing bounds the cost to go from below")
        states, outcomes = self.judged
        walked = StagePrograms(self.whole.scaled(1.0, self.config.multi_cut)).forward(states[:1], outcomes[:1])
        cost = abs(float(self._discounted(walked)[0]))
        return 2.0 ** round(math.log2(SIZE / cost)) if cost > 0 else 1.0

    def _checkpoint(self) -> None:
        """Hand over everything needed to go on. Programs start afresh, as they do when a run goes on from here."""
        self.lanes.tell("restart")
        tensors = [
            {name: torch.as_tensor(value) for name, value in {**pool.state(), "held": held}.items()}
            for pool, held in zip(self.pools, self.held, strict=True)
        ]
        state = self.state
        self.callbacks.on_checkpoint(
            {
                "scale": state.scale,
                "iteration": state.iteration,
                "bounds": list(state.bounds),
                "curve": [dict(row) for row in state.curve],
                "seconds": state.seconds,
                "generator": self.generator.get_state(),
                "stages": tensors,
            }
        )

    def _restore(self, checkpoint: Mapping[str, Any]) -> None:
        self.state.iteration = int(checkpoint["iteration"])
        self.state.bounds = [float(bound) for bound in checkpoint["bounds"]]
        self.state.curve = [dict(row) for row in checkpoint["curve"]]
        self.state.seconds = float(checkpoint["seconds"])
        self.generator.set_state(checkpoint["generator"].cpu())
        for stage, tensors in enumerate(checkpoint["stages"]):
            arrays = {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
            self.held[stage] = arrays.pop("held")
            self.pools[stage].restore(arrays)
            self.lanes.tell("set_cuts", stage, self.pools[stage].cuts.take(self.held[stage]))


def nodes_of(problem: Problem, instance: Instance, discount: float, counted: Vector | None = None) -> Nodes:
    """The nodes of an instance (see `stage_nodes.build_nodes`); `InnerSolveError` says why it has none."""
    from solvers.stage_nodes import build_nodes

    if problem.program is None:
        raise InnerSolveError(f"{problem.name} has no program")
    try:
        return build_nodes(problem.program(instance), discount, counted)
    except NoProgram as error:
        raise InnerSolveError(f"no cuts without a program: {error}") from error


def draw(nodes: Nodes, count: int, generator: torch.Generator) -> tuple[Vector, Indices]:
    """Paths: states to start from (path, k) and which outcome strikes in every stage (path, T)."""

    def pick(chances: Vector) -> Indices:
        chosen: Indices = torch.multinomial(torch.from_numpy(chances), count, True, generator=generator).numpy()
        return chosen

    states = nodes.starts.values[pick(nodes.starts.probabilities)]
    return states, np.stack([pick(node.chances) for node in nodes.bare], axis=1)


def risk_weights(values: Vector, chances: Vector, weight: float, tail: float) -> Vector:
    """Weights (row, K) whose mean of `values` (row, K) is (1 − weight)·E + weight·CVaR of the worst share `tail`."""
    if weight == 0:
        return np.broadcast_to(chances, values.shape)
    order = np.argsort(-values, axis=1, kind="stable")
    ranked = chances[order] / tail
    before = np.cumsum(ranked, axis=1) - ranked
    worst = np.empty_like(ranked)
    np.put_along_axis(worst, order, np.clip(1.0 - before, 0.0, ranked), axis=1)
    return (1 - weight) * chances + weight * worst


def build(problem: Problem, instance: Instance, config: Any, family: str) -> Policy[Any, Any]:
    """The policy, ready to take its cuts."""
    policy: Policy[Any, Any] = _cut_policy(problem, instance)
    return policy


def _needs(traits: Traits) -> list[str]:
    reasons = []
    if not traits.has_program:
        reasons.append("the problem has no algebraic program to make cuts of")
    if not traits.convex or traits.discrete_decisions:
        reasons.append("cuts need a convex cost to go: some decisions are whole numbers")
    if not traits.finite_noise:
        reasons.append("cuts need chance with finitely many outcomes, independent of the past")
    return reasons


def _refuses(problem: Problem, instance: Instance, config: SDDPConfig) -> list[Issue]:
    reason = uncountable(problem, instance)
    if reason is not None:
        return [Issue("noise", "error", "", reason)]
    if config.multi_cut and config.risk_weight:
        return [Issue("risk", "error", "/risk_weight", "risk is priced with a single cut: leave multi_cut out")]
    return []


SDDP = Solver(
    name=NAME,
    title="SDDP: stochastic dual dynamic programming",
    summary="Bounds the cost to go of every stage from below by cuts, and decides by them; proves how good that is.",
    kind="train",
    config=SDDPConfig,
    needs=_needs,
    train=train,
    build=build,
    refuses=_refuses,
    quick={"iterations": 10, "check_every": 5, "simulation_paths": 8},
    source="Pereira, Pinto, Mathematical Programming 52, 1991",
)
