"""How policies are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


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
    recommended_for_use: bool = Field(description="Whether it beats the best classical rule on its certificate.")
    created_at: datetime


class PolicyCard(PolicySummary):
    """A policy's card: what it is, where it comes from, and the proof of what it is worth."""

    model_config = ConfigDict(extra="allow")

    instance_digest: str
    certificate: dict[str, Any] | None = Field(
        default=None,
        description="Cost on scenarios training never saw, beside classical rules and a lower bound, on common random "
        "numbers.",
    )


class StateView(BaseModel):
    """What a policy wants to know before it recommends, and how its decisions are laid out."""

    json_schema: dict[str, Any] = Field(description="JSON Schema 2020-12 of one `state`, with units.")
    today: dict[str, Any] = Field(description="The instance's own initial state: a valid `state`.")
    columns: list[dict[str, str]] = Field(description="Columns of a decision's lines: key, title, unit.")
    lines_key: str = Field(description="Where a decision keeps its lines.")
