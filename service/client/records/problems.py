"""Records of problems.

Made by `python -m tests.client.records` of the OpenAPI document; not written by hand.
"""

from __future__ import annotations

from typing import Any, Literal

from ..record import Record


class ExampleSummary(Record):
    """A ready-made instance in a list."""

    name: str
    title: str
    source: str


class FamilyView(Record):
    """A family of policies: a learned one, or a classical rule."""

    name: str
    title: str
    role: Literal["learned", "rule"] | str


class ImporterView(Record):
    """A file format that becomes an instance at `POST /v1/instances/import`."""

    format: str
    title: str
    files: dict[str, str]
    """Form parts to send as files, and what each holds."""
    optional_files: dict[str, str]
    options: dict[str, str]
    """Form fields that set how the files are read."""


class ProblemSummary(Record):
    """A problem in a list."""

    name: str
    title: str
    summary: str
    traits: TraitsView
    solvers: list[str]
    """Solvers that serve it."""


class ProblemView(Record):
    """A problem."""

    name: str
    title: str
    summary: str
    traits: TraitsView
    solvers: list[str]
    """Solvers that serve it."""
    units: dict[str, str]
    """Unit of each quantity."""
    families: list[FamilyView]
    examples: list[ExampleSummary]
    importers: list[ImporterView]
    """File formats that become an instance."""


class Served(Record):
    """Whether a solver serves a problem, and why not."""

    problem: str
    serves: bool
    reasons: list[str]
    """What stands against it; empty when it serves the problem."""


class SolverView(Record):
    """A solver: what it is and how it is configured."""

    name: str
    title: str
    summary: str
    kind: Literal["train", "solve"] | str
    """Gives a policy, or a plan or bound of a program."""
    source: str
    """The paper."""
    config_schema: dict[str, Any]
    """JSON Schema 2020-12 of `config`, with bounds and defaults."""
    problems: list[Served]


class TraitsView(Record):
    """What an algorithm may rely on."""

    differentiable: bool
    discrete_decisions: bool
    has_program: bool
    convex: bool
    finite_noise: bool
    finite_states: bool
    weakly_coupled: bool
