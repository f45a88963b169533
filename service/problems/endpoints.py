"""`/v1/problems`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import JSONResponse, Response

from models.registry import problems
from service.deps import Collection, MayRead, ThePage
from service.ids import NAME_PATTERN
from service.problems import service
from service.problems.schemas import ExampleSummary, ProblemSummary, ProblemView
from service.requests import StrictRoute

router = APIRouter(prefix="/v1/problems", tags=["problems"], route_class=StrictRoute)

ProblemName = Annotated[str, Path(pattern=NAME_PATTERN, description="Name of the problem.")]
ExampleName = Annotated[str, Path(pattern=NAME_PATTERN, description="Name of the example.")]


@router.get("", response_model=Collection[ProblemSummary])
def list_problems(page: ThePage, caller: MayRead) -> dict[str, Any]:
    """The problems this service knows."""
    found, cursor = service.page_of(problems(), page)
    return {"items": [service.summary(problem) for problem in found], "next_cursor": cursor}


@router.get("/{problem}", response_model=ProblemView)
def get_problem(problem: ProblemName, caller: MayRead) -> ProblemView:
    """One problem: what it decides, its units, policies and examples."""
    return service.view(service.find(problem))


class SchemaResponse(JSONResponse):
    """A JSON Schema on the wire."""

    media_type = "application/schema+json"


@router.get("/{problem}/schema", response_model=dict[str, Any], response_class=SchemaResponse)
def get_problem_schema(problem: ProblemName, caller: MayRead) -> Response:
    """JSON Schema 2020-12 of the problem's instances, with units and bounds."""
    return SchemaResponse(service.instance_schema(service.find(problem)))


@router.get("/{problem}/examples", response_model=Collection[ExampleSummary])
def list_examples(problem: ProblemName, page: ThePage, caller: MayRead) -> dict[str, Any]:
    """The problem's ready-made instances."""
    shown = {example.name: example for example in service.examples(service.find(problem))}
    found, cursor = service.page_of(shown, page)
    return {"items": found, "next_cursor": cursor}


@router.get("/{problem}/examples/{name}", response_model=dict[str, Any])
def get_example(problem: ProblemName, name: ExampleName, caller: MayRead) -> Response:
    """One example, exactly as `POST /v1/instances` takes it."""
    return JSONResponse(service.find_example(service.find(problem), name).document())
