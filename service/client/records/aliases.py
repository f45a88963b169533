"""Records of aliases.

Made by `python -m tests.client.records` of the OpenAPI document; not written by hand.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from ..record import Record


class AcceptanceTestView(Record):
    """An acceptance test and the verdicts it has given. It is never changed: delete it and make another."""

    id: str
    policy_name: str
    name: str
    instance_id: str
    scenarios: int
    scenario_set_id: str | None
    seed: int
    policies: list[str]
    rules: list[str]
    largest_cost_increase: float
    least_service: dict[str, float]
    guards: list[str]
    time_limit: str
    created_at: datetime
    created_by: str
    """Id of the API key, or `local`."""
    verdicts: list[VerdictView]
    """The latest of every version tried, newest version first."""


class AliasView(Record):
    """An alias: `policy_name@alias` stands for this version wherever a policy is named."""

    policy_name: str
    alias: str
    policy: Deployed
    note: str | None
    etag: str
    """Send it, in quotes, as `If-Match` to change or delete the alias."""
    updated_at: datetime
    updated_by: str
    """Id of the API key, or `local`."""


class CheckView(Record):
    """One thing the version had to show."""

    rule: Literal["feasible", "target", "cost", "service"] | str
    subject: str | None
    """The rival, the service measure or the target; null for feasibility."""
    passed: bool
    measured: float | None
    """Mean cost difference [money], or the measure's value."""
    ci95: list[float] | None
    limit: float | None
    detail: str


class Deployed(Record):
    """The policy version an alias names."""

    id: str
    name: str
    version: int
    problem: str
    solver: str
    instance_id: str
    digest: str
    """Digest of its artifact."""
    recommended_for_use: bool


class VerdictView(Record):
    """What one version showed, the last time it was tried."""

    policy_id: str
    version: int
    passed: bool
    checks: list[CheckView]
    scenarios: int
    """Scenarios simulated."""
    evaluation_id: str | None
    job_id: str
    created_at: datetime
