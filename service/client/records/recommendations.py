"""Records of recommendations.

Made by `python -m tests.client.records` of the OpenAPI document; not written by hand.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from ..record import Record
from .shared import MatrixFigure, NetworkFigure, ScheduleFigure, SeriesFigure


class AlertView(Record):
    """What a planner should look at."""

    severity: Literal["info", "warning", "critical"] | str
    pointer: str
    """JSON Pointer into the state; empty for all of it."""
    title: str
    detail: str


class Answerer(Record):
    """The policy version that answered, in a list."""

    id: str
    name: str
    version: int
    problem: str


class Difference(Record):
    """What the planner's decision costs more than the recommended one on the same scenarios [money]."""

    mean: float
    """The regret; negative where the planner did better."""
    ci95: list[float]
    wins: float
    """Share of scenarios in which the recommended decision is cheaper."""


class Outcome(Record):
    """What the planner did, when, and with whose key."""

    outcome: Literal["accepted", "overridden", "rejected"] | str
    decision: dict[str, Any] | None
    note: str | None
    by: str
    """Id of the API key, or `local`."""
    at: datetime


class PlayedCost(Record):
    """What a decision and what followed it cost, per scenario [money]."""

    mean_cost: float
    standard_error: float
    ci95: list[float]


class PolicyName(Record):
    """The policy version that answered."""

    id: str
    name: str
    version: int
    digest: str
    """Digest of its artifact."""


class RecommendColumns(Record):
    """The answer for columnar states: arrays with one entry per state, in their order."""

    recommendation_id: str
    policy: PolicyName
    elapsed_ms: float
    """Time to compute the decisions [ms]."""
    decisions: dict[str, Any]
    in_training_range: list[bool]
    repaired: list[bool]
    """Where the policy's proposal had to be moved to be feasible."""


class RecommendMany(Record):
    """The answer for a list of states, in their order."""

    recommendation_id: str
    policy: PolicyName
    elapsed_ms: float
    """Time to compute the decisions [ms]."""
    recommendations: list[Recommended]


class RecommendOne(Record):
    """The answer for one state."""

    decision: dict[str, Any]
    """Lines in the planner's identifiers and units; always feasible."""
    repairs: list[RepairView]
    why: list[str]
    in_training_range: bool
    """Whether training has seen states like this one."""
    warnings: list[str]
    schedule: list[dict[str, Any]] | None = None
    """With `explain`, for problems that have one: what the policy would do in the coming periods if all went as
    expected, as bars to draw.
    """
    alerts: list[AlertView] | None = None
    """With `explain`: the gravest first."""
    figures: list[NetworkFigure | MatrixFigure | SeriesFigure | ScheduleFigure] | None = None
    """With `figures`."""
    recommendation_id: str
    policy: PolicyName
    elapsed_ms: float
    """Time to compute the decisions [ms]."""
    state: dict[str, Any] | None = None
    """The state decided for, when none was given."""


class RecommendationSummary(Record):
    """A recommendation in a list."""

    id: str
    policy_id: str
    policy: Answerer
    states: int
    """Number of states decided for."""
    created_at: datetime
    asked_by: str | None
    """Id of the API key, or `local`; null for those of earlier releases."""
    outcome: Outcome | None
    replay: Replay | None
    """What the planner's own decision cost beside it, once that was replayed."""


class RecommendationView(Record):
    """A recommendation in full: the request as it came and the answer as it left."""

    id: str
    policy_id: str
    policy: Answerer
    states: int
    """Number of states decided for."""
    created_at: datetime
    asked_by: str | None
    """Id of the API key, or `local`; null for those of earlier releases."""
    outcome: Outcome | None
    replay: Replay | None
    """What the planner's own decision cost beside it, once that was replayed."""
    request: dict[str, Any]
    response: dict[str, Any]


class Recommended(Record):
    """The recommended decision for one state."""

    decision: dict[str, Any]
    """Lines in the planner's identifiers and units; always feasible."""
    repairs: list[RepairView]
    why: list[str]
    in_training_range: bool
    """Whether training has seen states like this one."""
    warnings: list[str]
    schedule: list[dict[str, Any]] | None = None
    """With `explain`, for problems that have one: what the policy would do in the coming periods if all went as
    expected, as bars to draw.
    """
    alerts: list[AlertView] | None = None
    """With `explain`: the gravest first."""
    figures: list[NetworkFigure | MatrixFigure | SeriesFigure | ScheduleFigure] | None = None
    """With `figures`."""


class RepairView(Record):
    """A place where the policy's proposal had to be moved to be feasible."""

    field: str
    proposed: float
    feasible: float
    rule: str


class Replay(Record):
    """Both decisions played from that state on common random numbers, the policy deciding afterwards."""

    job_id: str
    scenarios: int
    seed: int
    from_stage: int
    to_stage: int
    """The first stage that is not played."""
    recommended: PlayedCost
    own: PlayedCost
    difference: Difference
