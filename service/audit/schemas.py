"""What the audit log says of each change."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

Action = Literal[
    "instance.stored",
    "instance.deleted",
    "scenario_set.stored",
    "scenario_set.deleted",
    "job.submitted",
    "job.retried",
    "job.cancelled",
    "job.deleted",
    "policy.deleted",
    "alias.set",
    "alias.deleted",
    "acceptance_test.made",
    "acceptance_test.deleted",
    "recommendation.judged",
    "key.made",
    "key.rotated",
    "key.revoked",
    "audit.pruned",
    "backup.restored",
]


class AuditEntry(BaseModel):
    """One change, and who made it."""

    id: str
    at: datetime = Field(description="When the change was made (UTC).")
    actor: str = Field(
        description="Id of the API key; `local` for embedded mode's only user, `console` for the command line."
    )
    actor_name: str = Field(description="The key's name then; for `console` the user of the operating system.")
    action: Action
    subject: str = Field(description="What was changed: an id, or `name@alias`.")
    detail: dict[str, Any] = Field(description="What else is worth knowing of the change.")
    request_id: str | None = Field(description="The request's `X-Request-Id`, by which logs are searched.")
