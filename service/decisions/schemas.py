"""How recommendations are asked for and shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.figures import FigureView
from service.jobs.schemas import MAX_SCENARIOS, MAX_SEED, Duration

RECOMMEND_BODY: dict[str, Any] = {
    "type": "object",
    "description": "One `state`, many `states` (a list, or an object of arrays with one entry per state), or neither: "
    "then the instance's own initial state. `GET /v1/policies/{ref}/state` has the state's schema.",
    "additionalProperties": False,
    "properties": {
        "state": {"type": "object", "description": "One state."},
        "states": {
            "description": "Many states.",
            "oneOf": [{"type": "array", "minItems": 1, "items": {"type": "object"}}, {"type": "object"}],
        },
        "options": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "explain": {"type": "boolean", "default": False, "description": "Say why, and what to look at first."},
                "figures": {
                    "type": "boolean",
                    "default": False,
                    "description": "Draw the coming stages under the policy; at most 20 states.",
                },
            },
        },
    },
    "not": {"required": ["state", "states"]},
}

RECOMMEND_EXAMPLES: dict[str, Any] = {
    "today": {"summary": "The instance's own initial state", "value": {}},
    "why": {"summary": "The same, with reasons", "value": {"options": {"explain": True}}},
    "drawn": {"summary": "The same, with figures", "value": {"options": {"explain": True, "figures": True}}},
}


class PolicyName(BaseModel):
    """The policy version that answered."""

    id: str
    name: str
    version: int
    digest: str = Field(description="Digest of its artifact.")


class RepairView(BaseModel):
    """A place where the policy's proposal had to be moved to be feasible."""

    field: str
    proposed: float
    feasible: float
    rule: str


class AlertView(BaseModel):
    """What a planner should look at."""

    severity: Literal["info", "warning", "critical"]
    pointer: str = Field(description="JSON Pointer into the state; empty for all of it.")
    title: str
    detail: str


class Recommended(BaseModel):
    """The recommended decision for one state."""

    decision: dict[str, Any] = Field(description="Lines in the planner's identifiers and units; always feasible.")
    repairs: list[RepairView]
    why: list[str]
    in_training_range: bool = Field(description="Whether training has seen states like this one.")
    warnings: list[str]
    schedule: list[dict[str, Any]] = Field(
        default_factory=list,
        description="With `explain`, for problems that have one: what the policy would do in the coming periods if all "
        "went as expected, as bars to draw.",
    )
    alerts: list[AlertView] = Field(default_factory=list, description="With `explain`: the gravest first.")
    figures: list[FigureView] = Field(default_factory=list, description="With `figures`.")


class _Answer(BaseModel):
    recommendation_id: str
    policy: PolicyName
    elapsed_ms: float = Field(description="Time to compute the decisions [ms].")


class RecommendOne(_Answer, Recommended):
    """The answer for one state."""

    state: dict[str, Any] | None = Field(default=None, description="The state decided for, when none was given.")


class RecommendMany(_Answer):
    """The answer for a list of states, in their order."""

    recommendations: list[Recommended]


class RecommendColumns(_Answer):
    """The answer for columnar states: arrays with one entry per state, in their order."""

    decisions: dict[str, Any]
    in_training_range: list[bool]
    repaired: list[bool] = Field(description="Where the policy's proposal had to be moved to be feasible.")


OUTCOME_EXAMPLES: list[Any] = [
    {"outcome": "accepted"},
    {"outcome": "rejected", "note": "Supplier on holiday."},
]


class OutcomeBody(BaseModel):
    """What the planner did with a recommendation."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": OUTCOME_EXAMPLES})

    outcome: Literal["accepted", "overridden", "rejected"]
    decision: dict[str, Any] | None = Field(
        default=None,
        description="The planner's own numbers, laid out as the decision was; needed for `overridden`. A decision for "
        "one state is checked: 422 names each number the rules do not allow in that state.",
    )
    note: str | None = Field(default=None, max_length=4000, description="Why, in the planner's words.")

    @model_validator(mode="after")
    def _has_numbers(self) -> OutcomeBody:
        if self.outcome == "overridden" and not self.decision:
            raise ValueError("an overridden recommendation needs the planner's own numbers in `decision`")
        return self


class Outcome(BaseModel):
    """What the planner did, when, and with whose key."""

    outcome: Literal["accepted", "overridden", "rejected"]
    decision: dict[str, Any] | None
    note: str | None
    by: str = Field(description="Id of the API key, or `local`.")
    at: datetime


REPLAY_EXAMPLES: list[Any] = [{"scenarios": 512, "seed": 7}]


class ReplayBody(BaseModel):
    """On how many scenarios to play both decisions."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": REPLAY_EXAMPLES})

    scenarios: int = Field(default=1024, ge=2, le=MAX_SCENARIOS, description="Number of scenarios.")
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED, description="Left out, a random one is recorded.")
    time_limit: Duration | None = Field(default=None, description="Wall clock; left out, the server's default.")


class PlayedCost(BaseModel):
    """What a decision and what followed it cost, per scenario [money]."""

    mean_cost: float
    standard_error: float
    ci95: list[float]


class Difference(BaseModel):
    """What the planner's decision costs more than the recommended one on the same scenarios [money]."""

    mean: float = Field(description="The regret; negative where the planner did better.")
    ci95: list[float]
    wins: float = Field(description="Share of scenarios in which the recommended decision is cheaper.")


class Replay(BaseModel):
    """Both decisions played from that state on common random numbers, the policy deciding afterwards."""

    job_id: str
    scenarios: int
    seed: int
    from_stage: int
    to_stage: int = Field(description="The first stage that is not played.")
    recommended: PlayedCost
    own: PlayedCost
    difference: Difference


class Answerer(BaseModel):
    """The policy version that answered, in a list."""

    id: str
    name: str
    version: int
    problem: str


class RecommendationSummary(BaseModel):
    """A recommendation in a list."""

    id: str
    policy_id: str
    policy: Answerer
    states: int = Field(description="Number of states decided for.")
    created_at: datetime
    asked_by: str | None = Field(description="Id of the API key, or `local`; null for those of earlier releases.")
    outcome: Outcome | None
    replay: Replay | None = Field(description="What the planner's own decision cost beside it, once that was replayed.")


class RecommendationView(RecommendationSummary):
    """A recommendation in full: the request as it came and the answer as it left."""

    request: dict[str, Any]
    response: dict[str, Any]
