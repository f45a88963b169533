"""How problems and solvers are shown."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class TraitsView(BaseModel):
    """What an algorithm may rely on."""

    differentiable: bool
    discrete_decisions: bool
    has_program: bool
    convex: bool
    finite_noise: bool
    finite_states: bool
    weakly_coupled: bool


class FamilyView(BaseModel):
    """A family of policies: a learned one, or a classical rule."""

    name: str
    title: str
    role: Literal["learned", "rule"]


class ProblemSummary(BaseModel):
    """A problem in a list."""

    name: str
    title: str
    summary: str
    traits: TraitsView
    solvers: list[str] = Field(description="Solvers that serve it.")


class ExampleSummary(BaseModel):
    """A ready-made instance in a list."""

    name: str
    title: str
    source: str


class ImporterView(BaseModel):
    """A file format that becomes an instance at `POST /v1/instances/import`."""

    format: str
    title: str
    files: dict[str, str] = Field(description="Form parts to send as files, and what each holds.")
    optional_files: dict[str, str]
    options: dict[str, str] = Field(description="Form fields that set how the files are read.")


class ProblemView(ProblemSummary):
    """A problem."""

    units: dict[str, str] = Field(description="Unit of each quantity.")
    families: list[FamilyView]
    examples: list[ExampleSummary]
    importers: list[ImporterView] = Field(description="File formats that become an instance.")


class Served(BaseModel):
    """Whether a solver serves a problem, and why not."""

    problem: str
    serves: bool
    reasons: list[str] = Field(description="What stands against it; empty when it serves the problem.")


class SolverView(BaseModel):
    """A solver: what it is and how it is configured."""

    name: str
    title: str
    summary: str
    kind: Literal["train", "solve"] = Field(description="Gives a policy, or a plan or bound of a program.")
    source: str = Field(description="The paper.")
    config_schema: dict[str, Any] = Field(description="JSON Schema 2020-12 of `config`, with bounds and defaults.")
    problems: list[Served]
