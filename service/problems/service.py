"""Problems and solvers as documents, computed from the registries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from models.core import Example, Importer, Problem
from models.registry import problems
from service.deps import Page
from service.errors import not_found
from service.problems.schemas import (
    ExampleSummary,
    FamilyView,
    ImporterView,
    ProblemSummary,
    ProblemView,
    Served,
    SolverView,
    TraitsView,
)
from solvers.core import Solver
from solvers.registry import solvers

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Value = TypeVar("Value")


def find(name: str) -> Problem:
    """The problem of that name; ApiError 404."""
    problem = problems().get(name)
    if problem is None:
        raise not_found("problem", name)
    return problem


def find_example(problem: Problem, name: str) -> Example:
    """The example of that name; ApiError 404."""
    for example in problem.examples:
        if example.name == name:
            return example
    raise not_found("example", name)


def summary(problem: Problem) -> ProblemSummary:
    """A problem as a list shows it."""
    return ProblemSummary(
        name=problem.name,
        title=problem.title,
        summary=problem.summary,
        traits=TraitsView(**asdict(problem.traits)),
        solvers=[solver.name for solver in solvers().values() if not solver.reasons_against(problem)],
    )


def view(problem: Problem) -> ProblemView:
    """A problem in full."""
    return ProblemView(
        **summary(problem).model_dump(),
        units=dict(problem.units),
        families=[FamilyView(name=f.name, title=f.title, role=f.role) for f in problem.families],
        examples=examples(problem),
        importers=[_importer(importer) for importer in problem.importers],
    )


def _importer(importer: Importer) -> ImporterView:
    optional = {name.removesuffix("?"): text for name, text in importer.files.items() if name.endswith("?")}
    required = {name: text for name, text in importer.files.items() if not name.endswith("?")}
    return ImporterView(
        format=importer.name,
        title=importer.title,
        files=required,
        optional_files=optional,
        options=dict(importer.options),
    )


def examples(problem: Problem) -> list[ExampleSummary]:
    """The problem's ready-made instances."""
    return [ExampleSummary(name=e.name, title=e.title, source=e.source) for e in problem.examples]


def instance_schema(problem: Problem, ref_template: str = "#/$defs/{model}") -> dict[str, Any]:
    """JSON Schema 2020-12 of the problem's instances; `problem` is the name itself, which tells problems apart."""
    schema = problem.instance.model_json_schema(by_alias=True, ref_template=ref_template)
    return {"$schema": DIALECT, **schema}


def solver_view(solver: Solver) -> SolverView:
    """A solver in full, with the problems it serves."""
    return SolverView(
        name=solver.name,
        title=solver.title,
        summary=solver.summary,
        kind=solver.kind,
        source=solver.source,
        config_schema={"$schema": DIALECT, **solver.config.model_json_schema()},
        problems=[_served(solver, problem) for problem in problems().values()],
    )


def _served(solver: Solver, problem: Problem) -> Served:
    reasons = solver.reasons_against(problem)
    return Served(problem=problem.name, serves=not reasons, reasons=reasons)


def page_of(values: Mapping[str, Value], page: Page) -> tuple[list[Value], str | None]:
    """A page of a registry in the order of names, and the cursor of the next."""
    names = sorted(name for name in values if page.cursor is None or name > page.cursor)
    shown = names[: page.limit]
    return [values[name] for name in shown], shown[-1] if len(names) > len(shown) else None
