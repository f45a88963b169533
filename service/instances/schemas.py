"""How instances are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

IMPORT_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["problem", "format"],
                "properties": {
                    "problem": {"type": "string", "description": "The problem the files are of."},
                    "format": {"type": "string", "description": "One of the problem's `importers`."},
                },
                "additionalProperties": {
                    "description": "A file the format takes, or a word for one of its options.",
                },
            },
            "encoding": {},
        }
    },
}
"""What `POST /v1/instances/import` takes."""


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
