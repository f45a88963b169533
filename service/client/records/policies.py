"""Records of policies.

Made by `python -m tests.client.records` of the OpenAPI document; not written by hand.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from ..record import Record


class ColumnView(Record):
    """A column of a decision's lines."""

    key: str
    title: str
    unit: str
    """Empty for words."""
    decided: bool
    """Whether a planner who decides otherwise may change it."""


class InstanceName(Record):
    """The instance a policy was trained on."""

    id: str
    name: str
    digest: str


class LastRecommendation(Record):
    """When a policy was last asked, and what became of its answer."""

    id: str
    created_at: datetime
    outcome: Literal["pending", "accepted", "overridden", "rejected"] | str


class PolicyCard(Record):
    """A policy's card: what it is, where it comes from, and the proof of what it is worth."""

    id: str
    name: str
    version: int
    """Counted from 1 within the name."""
    problem: str
    solver: str
    family: str
    """The policy family of the problem it belongs to."""
    instance_id: str
    job_id: str | None
    artifact_digest: str
    recommended_for_use: bool
    """False where a classical rule is surely cheaper, or training was stopped before the comparison."""
    created_at: datetime
    mean_cost_per_stage: float | None = None
    """As its certificate has it [money/stage]."""
    gap: float | None = None
    """(cost − bound) / |bound|; null where no bound is known."""
    aliases: list[str]
    """What this version is in use for: the aliases that name it."""
    last_recommendation: LastRecommendation | None
    """The latest one this version answered."""
    instance: InstanceName
    config: dict[str, Any]
    """The solver's configuration in full."""
    seed: int
    training: dict[str, Any] = Field(default_factory=dict)
    """Seconds, device, iterations and what ended it."""
    curve: list[dict[str, Any]]
    """The learning curve: iteration, seconds, cost, best_cost."""
    description: dict[str, Any] = Field(default_factory=dict)
    """The policy in the planner's words, for a rule."""
    better_rule: str | None = None
    """The classical rule stored beside it that is cheaper."""
    warm_start: str | None = None
    """The policy whose weights training started from."""
    certificate: dict[str, Any]
    """Cost on scenarios training never saw, beside classical rules and a lower bound, on common random numbers."""


class PolicySummary(Record):
    """A policy in a list."""

    id: str
    name: str
    version: int
    """Counted from 1 within the name."""
    problem: str
    solver: str
    family: str
    """The policy family of the problem it belongs to."""
    instance_id: str
    job_id: str | None
    artifact_digest: str
    recommended_for_use: bool
    """False where a classical rule is surely cheaper, or training was stopped before the comparison."""
    created_at: datetime
    mean_cost_per_stage: float | None = None
    """As its certificate has it [money/stage]."""
    gap: float | None = None
    """(cost − bound) / |bound|; null where no bound is known."""
    aliases: list[str]
    """What this version is in use for: the aliases that name it."""
    last_recommendation: LastRecommendation | None
    """The latest one this version answered."""


class StateRead(Record):
    """A state made of files, ready for `recommend`."""

    state: dict[str, Any]


class StateView(Record):
    """What a policy wants to know before it recommends, and how its decisions are laid out."""

    json_schema: dict[str, Any]
    """JSON Schema 2020-12 of one `state`, with units."""
    today: dict[str, Any]
    """The instance's own initial state: a valid `state`."""
    columns: list[ColumnView]
    """Columns of a decision's lines."""
    lines_key: str
    """Where a decision keeps its lines."""
    files: dict[str, str]
    """Files a state can be made of; a name ending in "?" may be left out."""
    options: dict[str, str]
    """Words that set how the files are read."""
