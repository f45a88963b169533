"""What can be decided, and by which algorithms."""

from __future__ import annotations

from typing import Any

from .. import calls
from ..calls import Call
from ..operations import Room, W, listing, operation
from ..record import Page
from ..records import ExampleSummary, ProblemSummary, ProblemView, SolverView


class Problems(Room[W]):
    """Families of decisions, their schemas and examples."""

    @listing
    def list(self, *, page_size: int | None = None, cursor: str | None = None) -> Call[Page[ProblemSummary]]:
        """The problems this service knows."""
        return calls.get("/v1/problems", Page[ProblemSummary], {"limit": page_size, "cursor": cursor})

    @operation
    def get(self, problem: str) -> Call[ProblemView]:
        """One problem: traits, families of policies, formats of files."""
        return calls.get("/v1/problems/{problem}", ProblemView, problem=problem)

    @operation
    def schema(self, problem: str) -> Call[dict[str, Any]]:
        """The JSON Schema (2020-12) of the problem's instances, with units."""
        return calls.document("/v1/problems/{problem}/schema", problem=problem)

    @listing
    def examples(
        self, problem: str, *, page_size: int | None = None, cursor: str | None = None
    ) -> Call[Page[ExampleSummary]]:
        """The problem's ready-made instances."""
        query = {"limit": page_size, "cursor": cursor}
        return calls.get("/v1/problems/{problem}/examples", Page[ExampleSummary], query, problem=problem)

    @operation
    def example(self, problem: str, name: str) -> Call[dict[str, Any]]:
        """One example as a document that can be posted as it is."""
        return calls.document("/v1/problems/{problem}/examples/{name}", problem=problem, name=name)


class Solvers(Room[W]):
    """The algorithms."""

    @listing
    def list(self, *, page_size: int | None = None, cursor: str | None = None) -> Call[Page[SolverView]]:
        """The algorithms, what they serve, and why not the rest."""
        return calls.get("/v1/solvers", Page[SolverView], {"limit": page_size, "cursor": cursor})

    @operation
    def get(self, solver: str) -> Call[SolverView]:
        """One algorithm with the schema of its configuration."""
        return calls.get("/v1/solvers/{solver}", SolverView, solver=solver)
