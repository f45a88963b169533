"""How instances are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field


class IssueView(BaseModel):
    """One remark on a document."""

    code: str = Field(description="The rule.")
    severity: Literal["error", "warning", "info"]
    pointer: str = Field(description="JSON Pointer into the document; empty for the whole of it.")
    detail: str


class Issues(BaseModel):
    """What is wrong with, or unusual in, a document; without an error it can be posted."""

    issues: list[IssueView]


class InstanceSummary(BaseModel):
    """An instance in a list."""

    id: str
    problem: str
    name: str
    digest: str = Field(description="SHA-256 of the canonical document: same content, same instance.")
    created_at: datetime


class InstanceCreated(InstanceSummary):
    """An instance as stored, with what is unusual in it."""

    issues: list[IssueView]


class InstanceView(InstanceSummary):
    """An instance with its document, defaults filled in."""

    document: dict[str, Any]
