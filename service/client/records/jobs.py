"""Records of jobs.

Made by `python -m tests.client.records` of the OpenAPI document; not written by hand.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from ..record import Record


class EventPage(Record):
    """Events after a number; `ended` says that none will follow them."""

    items: list[EventView]
    next_after: int
    """Pass it as `after` to go on."""
    ended: bool


class EventView(Record):
    """One event of a job."""

    seq: int
    """Its number, counted from 1 without a gap."""
    type: Literal["state", "progress", "metric", "incumbent", "checkpoint", "log", "end"] | str
    data: dict[str, Any]
    created_at: datetime


class ResultView(Record):
    """A job's result, or the best so far (`partial`)."""

    job_id: str
    kind: Literal["train", "evaluate", "solve", "accept", "replay", "reproduce"] | str
    state: (
        Literal["queued", "starting", "running", "finalizing", "cancelling", "succeeded", "failed", "cancelled"] | str
    )
    partial: bool
    stopped_by: str | None = None
    policy_id: str | None = None
    evaluation_id: str | None = None
