"""`/v1/solvers`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from service.deps import Collection, MayRead, ThePage
from service.errors import not_found
from service.ids import NAME_PATTERN
from service.problems import service
from service.problems.schemas import SolverView
from service.requests import StrictRoute
from solvers.registry import solvers

router = APIRouter(prefix="/v1/solvers", tags=["solvers"], route_class=StrictRoute)


@router.get("", response_model=Collection[SolverView])
def list_solvers(page: ThePage, caller: MayRead) -> dict[str, Any]:
    """The algorithms: configuration, and which problems each serves and why not the others."""
    found, cursor = service.page_of(solvers(), page)
    return {"items": [service.solver_view(solver) for solver in found], "next_cursor": cursor}


@router.get("/{solver}", response_model=SolverView)
def get_solver(
    solver: Annotated[str, Path(pattern=NAME_PATTERN, description="Name of the solver.")], caller: MayRead
) -> SolverView:
    """One algorithm."""
    known = solvers().get(solver)
    if known is None:
        raise not_found("solver", solver)
    return service.solver_view(known)
