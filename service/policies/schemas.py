"""How policies are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.receipts.schemas import ReceiptView, ReproductionView

STATE_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "additionalProperties": {"description": "One of the policy's `files`, or a word for an option."},
            }
        }
    },
}
"""What `POST /v1/policies/{ref}/state` takes."""


class LastRecommendation(BaseModel):
    """When a policy was last asked, and what became of its answer."""

    id: str
    created_at: datetime
    outcome: Literal["pending", "accepted", "overridden", "rejected"]


class PolicySummary(BaseModel):
    """A policy in a list."""

    id: str
    name: str
    version: int = Field(description="Counted from 1 within the name.")
    problem: str
    solver: str
    family: str = Field(description="The policy family of the problem it belongs to.")
    instance_id: str
    job_id: str | None
    artifact_digest: str
    recommended_for_use: bool = Field(
        description="False where a classical rule is surely cheaper, or training was stopped before the comparison."
    )
    created_at: datetime
    mean_cost_per_stage: float | None = Field(default=None, description="As its certificate has it [money/stage].")
    gap: float | None = Field(default=None, description="(cost − bound) / |bound|; null where no bound is known.")
    aliases: list[str] = Field(description="What this version is in use for: the aliases that name it.")
    last_recommendation: LastRecommendation | None = Field(description="The latest one this version answered.")


class InstanceName(BaseModel):
    """The instance a policy was trained on."""

    id: str
    name: str
    digest: str


class PolicyCard(PolicySummary):
    """A policy's card: what it is, where it comes from, and the proof of what it is worth."""

    model_config = ConfigDict(extra="allow")

    instance: InstanceName
    config: dict[str, Any] = Field(description="The solver's configuration in full.")
    seed: int
    training: dict[str, Any] = Field(default={}, description="Seconds, device, iterations and what ended it.")
    curve: list[dict[str, Any]] = Field(description="The learning curve: iteration, seconds, cost, best_cost.")
    description: dict[str, Any] = Field(default={}, description="The policy in the planner's words, for a rule.")
    better_rule: str | None = Field(default=None, description="The classical rule stored beside it that is cheaper.")
    warm_start: str | None = Field(default=None, description="The policy whose weights training started from.")
    receipt: ReceiptView | None = Field(
        default=None,
        description="What its weights are a function of; null for policies made before receipts were kept.",
    )
    reproduction: ReproductionView | None = Field(
        default=None, description="What making it again from its receipt showed, the latest time."
    )
    certificate: dict[str, Any] = Field(
        description="Cost on scenarios training never saw, beside classical rules and a lower bound, on common random "
        "numbers.",
    )


class ColumnView(BaseModel):
    """A column of a decision's lines."""

    key: str
    title: str
    unit: str = Field(description="Empty for words.")
    decided: bool = Field(description="Whether a planner who decides otherwise may change it.")


class StateView(BaseModel):
    """What a policy wants to know before it recommends, and how its decisions are laid out."""

    json_schema: dict[str, Any] = Field(description="JSON Schema 2020-12 of one `state`, with units.")
    today: dict[str, Any] = Field(description="The instance's own initial state: a valid `state`.")
    columns: list[ColumnView] = Field(description="Columns of a decision's lines.")
    lines_key: str = Field(description="Where a decision keeps its lines.")
    files: dict[str, str] = Field(description='Files a state can be made of; a name ending in "?" may be left out.')
    options: dict[str, str] = Field(description="Words that set how the files are read.")


class StateRead(BaseModel):
    """A state made of files, ready for `recommend`."""

    state: dict[str, Any]
