"""Records of instances.

Made by `python -m tests.client.records` of the OpenAPI document; not written by hand.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from ..record import Record
from .shared import MatrixFigure, NetworkFigure, ScheduleFigure, SeriesFigure


class Figures(Record):
    """What there is to look at."""

    figures: list[NetworkFigure | MatrixFigure | SeriesFigure | ScheduleFigure]


class FitView(Record):
    """What an instance can be given to."""

    solvers: list[SolverFit]
    rules: list[RuleFit]
    """Classical rules an evaluation on this instance may name."""


class InstanceCreated(Record):
    """An instance as stored, with what is unusual in it."""

    id: str
    problem: str
    name: str
    digest: str
    """SHA-256 of the canonical document: same content, same instance."""
    created_at: datetime
    issues: list[IssueView]


class InstanceSummary(Record):
    """An instance in a list."""

    id: str
    problem: str
    name: str
    digest: str
    """SHA-256 of the canonical document: same content, same instance."""
    created_at: datetime


class InstanceView(Record):
    """An instance with its document, defaults filled in."""

    id: str
    problem: str
    name: str
    digest: str
    """SHA-256 of the canonical document: same content, same instance."""
    created_at: datetime
    document: dict[str, Any]


class IssueView(Record):
    """One remark on a document."""

    code: str
    """The rule."""
    severity: Literal["error", "warning", "info"] | str
    pointer: str
    """JSON Pointer into the document; empty for the whole of it."""
    detail: str


class Issues(Record):
    """What is wrong with, or unusual in, a document; without an error it can be posted."""

    issues: list[IssueView]


class RuleFit(Record):
    """A classical rule that fits an instance."""

    name: str
    title: str


class SolverFit(Record):
    """Whether a solver serves an instance."""

    name: str
    title: str
    kind: Literal["train", "solve"] | str
    """Gives a policy, or a plan or bound of a program."""
    serves: bool
    """Whether it does with its default configuration."""
    reasons: list[str]
    """What stands against it; empty when it serves the instance."""
    configurable: bool
    """False where the problem's structure rules it out, whatever its config."""
