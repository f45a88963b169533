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


class SolverFit(BaseModel):
    """Whether a solver serves an instance."""

    name: str
    title: str
    kind: Literal["train", "solve"] = Field(description="Gives a policy, or a plan or bound of a program.")
    serves: bool = Field(description="Whether it does with its default configuration.")
    reasons: list[str] = Field(description="What stands against it; empty when it serves the instance.")
    configurable: bool = Field(description="False where the problem's structure rules it out, whatever its config.")


class RuleFit(BaseModel):
    """A classical rule that fits an instance."""

    name: str
    title: str


class FitView(BaseModel):
    """What an instance can be given to."""

    solvers: list[SolverFit]
    rules: list[RuleFit] = Field(description="Classical rules an evaluation on this instance may name.")
