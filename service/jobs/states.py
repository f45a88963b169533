"""A job's states and the types of its events."""

from __future__ import annotations

from typing import Literal

Kind = Literal["train", "evaluate", "solve", "accept", "replay", "reproduce"]
State = Literal["queued", "starting", "running", "finalizing", "cancelling", "succeeded", "failed", "cancelled"]
EventType = Literal["state", "progress", "metric", "incumbent", "checkpoint", "log", "end"]
Milestone = Literal["state", "incumbent", "end"]

QUEUED: State = "queued"
HELD: tuple[State, ...] = ("starting", "running", "finalizing", "cancelling")
"""A worker holds the job under a lease."""
FINISHED: tuple[State, ...] = ("succeeded", "failed", "cancelled")
"""The job will not change any more."""
