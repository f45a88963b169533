"""`/v1/instances`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from models.core import Instance
from service.audit.service import note
from service.db.rows import InstanceRow
from service.deps import (
    Collection,
    InstanceId,
    MayRead,
    MayTrain,
    Reading,
    TheDatabase,
    ThePage,
    Writing,
    newest_first,
)
from service.errors import ApiError
from service.figures import Figures
from service.forms import read_form
from service.idempotency import Once, TheOnce
from service.ids import NAME_PATTERN
from service.instances import fit, importing, repository, service
from service.instances.drawing import Drawings
from service.instances.schemas import IMPORT_BODY, FitView, InstanceCreated, InstanceSummary, InstanceView, Issues
from service.keys.callers import Caller
from service.requests import StrictRoute

router = APIRouter(prefix="/v1/instances", tags=["instances"], route_class=StrictRoute)

Document = Annotated[Any, Body(description="The instance: see `GET /v1/problems/{problem}/schema`.")]
ProblemFilter = Annotated[str | None, Query(pattern=NAME_PATTERN, description="Only instances of this problem.")]
Search = Annotated[str | None, Query(min_length=1, max_length=63, description="Only instances whose name holds this.")]
NameFilter = Annotated[str | None, Query(pattern=NAME_PATTERN, description="Only instances of this name.")]


@router.post(
    "",
    status_code=201,
    response_model=InstanceCreated,
    responses={200: {"model": InstanceCreated, "description": "The same content is stored already."}},
)
def create_instance(document: Document, once: TheOnce, caller: MayTrain) -> Response:
    """Store an instance. The same content again answers 200 with the same id."""
    return _keep(service.parse(document), once, caller)


def _keep(instance: Instance, once: Once, caller: Caller) -> Response:
    """Store an instance and answer with its place."""

    def make(session: Session) -> Response:
        row, is_new = service.store(session, instance)
        if is_new:
            note(session, caller, "instance.stored", row.id, name=row.name, problem=row.problem, digest=row.digest)
        view = InstanceCreated(**service.summary(row), issues=[asdict(issue) for issue in service.remarks(instance)])
        headers = {"Location": f"/v1/instances/{row.id}"}
        return Response(view.model_dump_json(), 201 if is_new else 200, headers, "application/json")

    return once.answer(caller.owner, make)


@router.post(
    "/import",
    status_code=201,
    response_model=InstanceCreated,
    responses={200: {"model": InstanceCreated, "description": "The same content is stored already."}},
    openapi_extra={"requestBody": IMPORT_BODY},
)
async def import_instance(request: Request, once: TheOnce, caller: MayTrain) -> Response:
    """Make an instance of files (a published format, or CSV): `GET /v1/problems/{problem}` lists the formats."""
    form = await read_form(request)
    once.content = form.content
    return await run_in_threadpool(lambda: _keep(importing.read(form), once, caller))


@router.post("/validate", response_model=Issues)
def validate_instance(document: Document, caller: MayRead) -> dict[str, Any]:
    """Say everything that is wrong with, or unusual in, an instance; store nothing."""
    return {"issues": [asdict(issue) for issue in service.issues(document)]}


@router.api_route("/validate", methods=["GET", "DELETE"], include_in_schema=False)
@router.api_route("/import", methods=["GET", "DELETE"], include_in_schema=False)
def refuse_other_methods() -> None:
    """Without this, `validate` and `import` would be taken for an instance's id."""
    raise ApiError("method-not-allowed", "Send the instance with POST.", headers={"Allow": "POST"})


@router.get("", response_model=Collection[InstanceSummary])
def list_instances(
    session: Reading,
    page: ThePage,
    caller: MayRead,
    problem: ProblemFilter = None,
    name: NameFilter = None,
    search: Search = None,
) -> dict[str, Any]:
    """The stored instances, newest first."""
    rows, cursor = newest_first(session, repository.matching(problem, name, search), InstanceRow, page)
    return {"items": [service.summary(row) for row in rows], "next_cursor": cursor}


@router.get("/{instance_id}", response_model=InstanceView)
def get_instance(instance_id: InstanceId, session: Reading, caller: MayRead) -> dict[str, Any]:
    """One instance with its document."""
    row = service.get(session, instance_id)
    return {**service.summary(row), "document": row.body}


@router.get("/{instance_id}/figures", response_model=Figures)
def get_instance_figures(instance_id: InstanceId, request: Request, database: TheDatabase, caller: MayRead) -> Response:
    """The instance drawn: networks, matrices, and what was and may come with quantile bands."""
    with database.read() as session:
        row = service.get(session, instance_id)
        digest, document = row.digest, row.body
    drawings: Drawings = request.app.state.drawings
    return Response(drawings.of(digest, document), media_type="application/json")


@router.get("/{instance_id}/fit", response_model=FitView)
def get_instance_fit(instance_id: InstanceId, session: Reading, caller: MayRead) -> dict[str, Any]:
    """Which solvers serve this instance with their defaults, why not the others, and which classical rules fit it."""
    document = service.get(session, instance_id).body
    return fit.fit(service.problem_of(document), service.parse(document))


@router.delete("/{instance_id}", status_code=204)
def delete_instance(instance_id: InstanceId, session: Writing, caller: MayTrain) -> None:
    """Delete an instance; 409 while a job, a policy or an evaluation refers to it."""
    service.delete(session, instance_id)
    note(session, caller, "instance.deleted", instance_id)
