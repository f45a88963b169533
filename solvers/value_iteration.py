"""Value iteration over post-decision states: the optimum of problems small enough for a table of all states.

Equation → function (Bellman's equation, cut at the post-decision state s^x)
  V^x_t(s^x) = E[c_w + V_{t+1}(s')]                 `Finite.expect`, noise entry by noise entry
  V_t(s)     = min_x c_x(s, x) + V^x_t(s^x)         `Finite.improve`
  V_T        = what is left is worth                `Finite.terminal`
  g          ∈ [min_s, max_s] V_n − V_{n−1}         `average_cost` (Odoni's bounds), with V ← V + τ (TV − V)

Sources: Bellman, Dynamic Programming (1957); Puterman, Markov Decision Processes (1994), sections 4.5, 6.6 and 8.5;
Odoni, "On finding the maximal gain for Markov decision processes", Operations Research 17 (1969); Powell, Approximate
Dynamic Programming (2011), section 4.6, for post-decision states.

Choices and why
  * `horizon` is exact for the instance as posted: one decision table a stage, for as many stages before the end as fit
    in memory (`KEPT`). Where stages are alike and the horizon is longer, earlier stages decide as the first stage kept
    does, and the policy says whether the tables had settled by then.
  * `average` is for plans without an end: the decision of least long-run cost per stage, the same in every stage. The
    damping τ < 1 makes periodic chains converge.

Metrics logged: `states_done`, the share of stages swept; with `average`, `low` and `high`, the bounds of the cost per
stage.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from models.core import BoundValue, Instance, Issue, Problem, Traits
from models.lazy import lazy, torch
from solvers.core import Callbacks, Config, Solver, TrainRequest, TrainResult

if TYPE_CHECKING:
    from torch import Tensor

    from models.dynamics import Policy
    from models.finite import Finite

NAME = "value_iteration"
KEPT = 40_000_000  # decisions of all tables together that a policy keeps
DAMPING = 0.9  # τ

_table_policy = lazy("solvers.table_policy:TablePolicy")


class ValueIterationConfig(Config):
    """Configuration of value iteration."""

    criterion: Literal["horizon", "average"] = Field(
        "horizon",
        description="horizon: least expected cost from now to the end; average: least long-run cost per stage, as if "
        "the process went on for ever (stages must be alike).",
    )
    tolerance: float = Field(
        1e-6, gt=0, le=1, description="With average: distance of its two bounds [money/stage] that is near enough."
    )
    sweeps: int = Field(20_000, ge=1, le=10_000_000, description="With average: most sweeps over the table.")


@dataclass(frozen=True)
class Average:
    """Bounds of the least long-run cost per stage, and a policy whose cost lies between them."""

    low: float  # [money/stage]
    high: float  # [money/stage]
    decision: Tensor  # (state,)
    sweeps: int


def no_stop() -> bool:
    """Asked whether to stop: no."""
    return False


def optimal_cost(face: Finite[Any], should_stop: Callable[[], bool] = no_stop) -> float:
    """Least expected cost of the whole horizon [money].

    Raises:
        ValueError: stopped before it was known.
    """
    values = face.terminal()
    for stage in reversed(range(face.num_stages)):
        if should_stop():
            raise ValueError(f"time was up {stage} stages before the start")
        values, _ = face.improve(face.expect(values, stage), stage)
    return face.at_start(values)


def average_cost(
    face: Finite[Any],
    tolerance: float,
    sweeps: int,
    should_stop: Callable[[], bool] = no_stop,
    tell: Callable[[int, float, float], None] = lambda sweep, low, high: None,
) -> Average:
    """Relative value iteration until the bounds meet, sweeps are used up or a stop is asked for.

    Raises:
        ValueError: stages are not alike, so there is no one average.
    """
    if not face.stationary:
        raise ValueError("stages are not alike: there is no one long-run average")
    values, low, high, sweep = face.terminal(), -math.inf, math.inf, 0
    decision = face.improve(face.expect(values, 0), 0)[1]
    while sweep < sweeps and high - low > tolerance and not should_stop():
        better, decision = face.improve(face.expect(values, 0), 0)
        change = better - values
        low, high = float(change.min()), float(change.max())
        values = values + DAMPING * (change - change[0])
        sweep += 1
        tell(sweep, low, high)
    return Average(low, high, decision, sweep)


def kept_stages(face: Finite[Any], config: ValueIterationConfig) -> int:
    """How many stages have a decision table of their own, counted from the end; the others decide as the first."""
    return 1 if config.criterion == "average" else max(min(face.num_stages, KEPT // face.num_states), 1)


def train(request: TrainRequest, callbacks: Callbacks) -> TrainResult:
    """The optimal policy; one stopped early plans for as many stages as were swept.

    Raises:
        ValueError: the instance has no table.
    """
    started = time.monotonic()
    config: ValueIterationConfig = request.config
    policy = _table_policy(request.problem, request.instance, config)
    limit = math.inf if request.time_limit is None else request.time_limit
    run = _Run(policy, callbacks, started + limit, request.until)
    sweeps = run.average(config) if config.criterion == "average" else run.horizon()
    reason: Literal["finished", "time_limit", "request"] = "finished"
    if run.stopped:
        reason = "request" if callbacks.should_stop() else "time_limit"
    seconds = time.monotonic() - started
    return TrainResult(policy.eval(), NAME, [], sweeps, seconds, reason)


class _Run:
    """One training run: sweeps that fill a policy's tables."""

    def __init__(self, policy: Any, callbacks: Callbacks, deadline: float, until: int | None) -> None:
        self.policy, self.face, self.callbacks, self.deadline = policy, policy.face, callbacks, deadline
        self.until, self.swept, self.stopped = until, 0, False

    def stop(self) -> bool:
        is_over = time.monotonic() > self.deadline or (self.until is not None and self.swept >= self.until)
        self.stopped = self.stopped or self.callbacks.should_stop() or is_over
        return self.stopped

    def horizon(self) -> int:
        """Sweep from the end; a table for every stage kept."""
        face, policy = self.face, self.policy
        values, kept, stages = face.terminal(), len(policy.tables), face.num_stages
        for done, stage in enumerate(reversed(range(stages))):
            values, decision = face.improve(face.expect(values, stage), stage)
            row = max(kept - 1 - done, 0)
            if done < kept:
                policy.tables[row] = decision.to(policy.tables.dtype)
            elif not torch.equal(policy.tables[0], decision.to(policy.tables.dtype)):
                policy.settled.fill_(False)
            self.swept = done + 1
            self.callbacks.on_iteration(done + 1, stages, {"states_done": (done + 1) / stages})
            if done + 1 < stages and self.stop():
                policy.tables[:row] = policy.tables[row]
                policy.settled.fill_(False)
                return done + 1
        policy.cost.fill_(face.at_start(values) / stages)
        return int(stages)

    def average(self, config: ValueIterationConfig) -> int:
        """The one table of least long-run cost."""

        def tell(sweep: int, low: float, high: float) -> None:
            self.swept = sweep
            self.callbacks.on_iteration(sweep, config.sweeps, {"low": low, "high": high})

        found = average_cost(self.face, config.tolerance, config.sweeps, self.stop, tell)
        self.policy.tables[0] = found.decision.to(self.policy.tables.dtype)
        self.policy.cost.fill_((found.low + found.high) / 2)
        self.policy.settled.fill_(found.high - found.low <= config.tolerance)
        return found.sweeps


def optimum(problem: Problem, instance: Instance, should_stop: Callable[[], bool]) -> BoundValue:
    """The least cost that any policy can have, as a bound.

    Raises:
        ValueError: the instance has no table, or time was up.
    """
    if problem.finite is None:
        raise ValueError(f"{problem.name} has no table of its states")
    all_stages_count(problem, instance)
    face: Finite[Any] = problem.finite.of(instance)
    cost = optimal_cost(face, should_stop)
    return BoundValue(cost / face.num_stages, 0.0, {"method": "value iteration", "states": face.num_states})


def all_stages_count(problem: Problem, instance: Instance) -> None:
    """ValueError if reported cost is not the plain sum over all stages, which is what tables sum up."""
    simulator = problem.simulator(instance, counts=False)
    if simulator.discount != 1.0 or len(simulator.reported_stages) != simulator.num_stages:
        raise ValueError("tables add up the cost of all stages alike: no warm-up, no discount")


def build(problem: Problem, instance: Instance, config: Any, family: str) -> Policy[Any, Any]:
    """The policy, ready to take its tables."""
    policy: Policy[Any, Any] = _table_policy(problem, instance, config)
    return policy


def _needs(traits: Traits) -> list[str]:
    return [] if traits.finite_states else ["its states are too many for a table"]


def _refuses(problem: Problem, instance: Instance, config: ValueIterationConfig) -> list[Issue]:
    reason = problem.finite.refuses(instance) if problem.finite is not None else "its states have no table"
    return [] if reason is None else [Issue("table", "error", "", reason)]


VALUE_ITERATION = Solver(
    name=NAME,
    title="Value iteration",
    summary="The optimal policy of problems small enough to tabulate: every state, every stage, demand exactly.",
    kind="train",
    config=ValueIterationConfig,
    needs=_needs,
    train=train,
    build=build,
    refuses=_refuses,
    quick={},
    source="Bellman, Dynamic Programming, 1957",
)
