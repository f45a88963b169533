"""Rolling horizon: plan the stages ahead as a mathematical program, carry out the first decision, plan again.

Three policies, one machine (`solvers.planning`). `rolling_deterministic` plans for one future: the mean of the noise,
or a path whose running totals are a quantile of the noise's running totals. `rolling_two_stage` plans for K sampled
futures at once: what is decided now is common to all of them, what comes later is decided knowing its future.
`rolling_scenario_tree` plans along a tree: what is decided in a stage is common to all futures that are still alike.

Equation → function
  x_t = argmin_x c·x + Σ_k p_k Q_t(x, S_t, ω_k)      `Planner.plan`: the first stage's columns of one hot program
  Q_t(x, S, ω): least cost of stages t … t+H−1       `Program.window`, `models.scenario_tree.two_stage`
  ω_k ~ the noise, alike for all states of a stage   `Planner.futures`: a function of seed and stage
  x_t = argmin_x c·x + Σ_b p_b Q_{t+1}(S_b), Q the same again at every branch b   `models.scenario_tree.scenario_tree`
  ω = E[W], or Q_α(Σ_{s≤u} W_s) − Q_α(Σ_{s<u} W_s)    `Planner.futures`, `_running_quantile`

Sources: Birge and Louveaux, Introduction to Stochastic Programming (two-stage programs); Chand, Hsu, Sethi, "Forecast,
solution, and rolling horizons in operations management problems", M&SOM 2002 (how far to look ahead).

Choices and why
  * Only data move: a program is passed to HiGHS once and serves every state. Each solve starts from the basis of one
    reference state, not from the last basis, so that a decision never depends on what was asked before.
  * Nothing is worth anything at the end of the look-ahead (but for the horizon's own `final` program, once reached):
    the look-ahead must be long enough for that not to be felt now. `Program.lookahead` says how long.
  * A stage's scenarios are stratified by the sum of their running totals, which early noise enters most: of a larger
    sample in K strata, one path of each.

  * Whole numbers: branch and bound with a gap and a time limit, from a clean start or from the plan of the stage before
    (`start_from_previous`); `whole_stages` keeps them whole in the first stages only (relax and fix: Stadtler,
    "Multilevel lot sizing with setup times", Operations Research 51(3), 2003). How plans ended is counted, and told by
    `RollingPolicy.describe`.

A plan that does not exist is an `InnerSolveError` that says why. There is nothing to train: the seed is all that is
kept in the artifact. No metrics are logged.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from models.core import Instance, Problem, Traits
from models.lazy import lazy, torch
from solvers.core import Callbacks, Config, Solver, TrainRequest, TrainResult
from solvers.hdpo import scenario_seed

if TYPE_CHECKING:
    from models.dynamics import Policy

MOST_LEAVES = 4_096

_rolling_policy = lazy("solvers.planning:RollingPolicy")


class RollingConfig(Config):
    """What both rolling policies share."""

    look_ahead: int | None = Field(
        None, ge=1, le=10_000, description="Stages a plan covers, its own included; null lets the problem choose."
    )
    seconds_per_plan: float = Field(
        10.0, gt=0, le=3_600, description="Wall clock for one plan; whole numbers end with the best plan found by then."
    )
    mip_gap: float = Field(1e-3, ge=0, le=1, description="Relative gap at which a whole-number plan is good enough.")
    whole_stages: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Relax and fix: leading stages of a plan whose whole numbers stay whole; those of later stages may "
        "be broken. A far quicker search, but a broken setup looks cheap: where setups are dear, too little is made. "
        "null: all.",
    )
    start_from_previous: bool = Field(
        False,
        description="Start the search for whole numbers from the plan made a stage before, moved up by a stage. Among "
        "plans within `mip_gap` of each other, the one carried out then depends on it.",
    )
    scenario_seed: int | None = Field(
        None, ge=0, lt=1 << 53, description="Seed of the noise that plans are made for; null derives it from the job's."
    )

    @property
    def policy_name(self) -> str:
        """Name of the policy family that is planned with."""
        raise NotImplementedError


class DeterministicConfig(RollingConfig):
    """Configuration of the deterministic rolling horizon."""

    @property
    def policy_name(self) -> str:
        return "rolling_deterministic"

    quantile: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Plan for this quantile of the running totals of demand (or whatever the noise is), so that stock "
        "covers every lead time with that chance; null plans for the mean.",
    )


class TwoStageConfig(RollingConfig):
    """Configuration of the two-stage rolling horizon."""

    @property
    def policy_name(self) -> str:
        return "rolling_two_stage"

    scenarios: int = Field(32, ge=1, le=4_096, description="Futures K that a plan is made for at once.")
    committed: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Leading stages whose decisions are the same in all futures; the plan knows its future from then "
        "on, which makes it careless. null: all of them, or one where noise is known before its stage is decided.",
    )


class ScenarioTreeConfig(RollingConfig):
    """Configuration of the rolling horizon on a scenario tree."""

    branching: list[Annotated[int, Field(ge=1, le=64)]] = Field(
        [4, 2, 2],
        min_length=1,
        max_length=20,
        description="Outcomes that every node meets in the first, second, … stage of a plan; one in the stages after.",
    )

    @property
    def policy_name(self) -> str:
        return "rolling_scenario_tree"

    @model_validator(mode="after")
    def _few_leaves(self) -> Self:
        if math.prod(self.branching) > MOST_LEAVES:
            raise ValueError(f"branching gives more than {MOST_LEAVES} scenarios")
        return self


def train(request: TrainRequest, callbacks: Callbacks) -> TrainResult:
    """The policy, with its seed settled and one plan made to show that there is one.

    Raises:
        InnerSolveError: the first plan is infeasible or unbounded.
    """
    started = time.monotonic()
    config: RollingConfig = request.config
    policy = _rolling_policy(request.problem, request.instance, config)
    policy.seed.fill_(_seed(request, config))
    simulator = request.problem.simulator(request.instance, counts=False)
    callbacks.on_phase("planning", 0.0)
    policy(simulator.initial(1, torch.Generator().manual_seed(request.seed)), 0)
    callbacks.on_phase("planning", 1.0)
    return TrainResult(policy.eval(), policy.name, [], 0, time.monotonic() - started, "finished")


def _seed(request: TrainRequest, config: RollingConfig) -> int:
    """Of the noise planned for: the configured one, that of the policy to start from, or one of the job's own."""
    if config.scenario_seed is not None:
        return config.scenario_seed
    if request.warm_start is not None:
        return int(request.warm_start["seed"])
    return scenario_seed(request.seed, "training")


def build(problem: Problem, instance: Instance, config: Any, family: str) -> Policy[Any, Any]:
    """The policy, ready to take its seed."""
    policy: Policy[Any, Any] = _rolling_policy(problem, instance, config)
    return policy


def _needs(traits: Traits) -> list[str]:
    return [] if traits.has_program else ["the problem has no algebraic program to plan with"]


ROLLING_DETERMINISTIC = Solver(
    name="rolling_deterministic",
    title="Rolling horizon, deterministic",
    summary="Plans ahead every stage as if the future were its mean (or a cautious quantile), and decides by the plan.",
    kind="train",
    config=DeterministicConfig,
    needs=_needs,
    train=train,
    build=build,
    quick={"look_ahead": 4},
    source="Chand, Hsu, Sethi, M&SOM 4(1), 2002",
)

ROLLING_TWO_STAGE = Solver(
    name="rolling_two_stage",
    title="Rolling horizon, two-stage stochastic program",
    summary="Plans ahead every stage for many sampled futures at once, and decides what is best for all of them.",
    kind="train",
    config=TwoStageConfig,
    needs=_needs,
    train=train,
    build=build,
    quick={"look_ahead": 4, "scenarios": 2},
    source="Birge and Louveaux, Introduction to Stochastic Programming",
)

ROLLING_SCENARIO_TREE = Solver(
    name="rolling_scenario_tree",
    title="Rolling horizon, scenario tree",
    summary="Plans ahead every stage along a tree of outcomes, in which later decisions answer what was learned.",
    kind="train",
    config=ScenarioTreeConfig,
    needs=_needs,
    train=train,
    build=build,
    quick={"look_ahead": 4, "branching": [2, 2]},
    source="Birge and Louveaux, Introduction to Stochastic Programming",
)
