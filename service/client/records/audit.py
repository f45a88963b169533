"""Records of audit.

Made by `python -m tests.client.records` of the OpenAPI document; not written by hand.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from ..record import Record


class AuditEntry(Record):
    """One change, and who made it."""

    id: str
    at: datetime
    """When the change was made (UTC)."""
    actor: str
    """Id of the API key; `local` for embedded mode's only user, `console` for the command line."""
    actor_name: str
    """The key's name then; for `console` the user of the operating system."""
    action: (
        Literal[
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
        | str
    )
    subject: str
    """What was changed: an id, or `name@alias`."""
    detail: dict[str, Any]
    """What else is worth knowing of the change."""
    request_id: str | None
    """The request's `X-Request-Id`, by which logs are searched."""
