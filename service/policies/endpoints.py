"""`/v1/policies`, all but `recommend` (see `service.decisions`)."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from models.core import InvalidInput
from service.audit.service import note
from service.db.rows import PolicyRow
from service.db.session import Database
from service.deps import Collection, MayRead, MayTrain, PolicyRef, Reading, TheDatabase, ThePage, newest_first
from service.forms import Form, check_parts, read_form
from service.ids import ID_PATTERN, NAME_PATTERN
from service.policies import repository, service
from service.policies.schemas import STATE_BODY, PolicyCard, PolicySummary, StateRead, StateView
from service.requests import StrictRoute

router = APIRouter(prefix="/v1/policies", tags=["policies"], route_class=StrictRoute)

NameFilter = Annotated[str | None, Query(pattern=NAME_PATTERN, description="Only versions of this name.")]
ProblemFilter = Annotated[str | None, Query(pattern=NAME_PATTERN, description="Only policies for this problem.")]
SolverFilter = Annotated[str | None, Query(pattern=NAME_PATTERN, description="Only policies by this solver.")]
InstanceFilter = Annotated[str | None, Query(pattern=ID_PATTERN, description="Only policies for this instance.")]
InUseFilter = Annotated[bool | None, Query(description="Only versions that an alias names, or only the others.")]


@router.get("", response_model=Collection[PolicySummary])
def list_policies(
    session: Reading,
    page: ThePage,
    caller: MayRead,
    name: NameFilter = None,
    problem: ProblemFilter = None,
    solver: SolverFilter = None,
    instance_id: InstanceFilter = None,
    in_use: InUseFilter = None,
) -> dict[str, Any]:
    """The policies, newest first; every version of a name is one."""
    query = repository.matching(name, problem, instance_id, solver, in_use)
    rows, cursor = newest_first(session, query, PolicyRow, page)
    return {"items": service.summaries(session, rows), "next_cursor": cursor}


@router.get("/{ref}", response_model=PolicyCard)
def get_policy(ref: PolicyRef, session: Reading, caller: MayRead) -> dict[str, Any]:
    """A policy's card: origin, training, learning curve and certificate."""
    return service.card(session, service.get(session, ref))


@router.get("/{ref}/state", response_model=StateView)
def get_policy_state(ref: PolicyRef, request: Request, database: TheDatabase, caller: MayRead) -> dict[str, Any]:
    """What the policy wants to know of a state: its schema, and the instance's own initial state to start from."""
    with database.read() as session:
        key = service.get_key(session, ref)
    view = request.app.state.served.get(key.artifact_digest).view
    return {
        "json_schema": view.state_schema(),
        "today": view.today(),
        "columns": [asdict(column) for column in view.columns],
        "lines_key": view.lines_key,
        "files": dict(view.state_files),
        "options": dict(view.state_options),
    }


@router.post("/{ref}/state", response_model=StateRead, openapi_extra={"requestBody": STATE_BODY})
async def read_policy_state(ref: PolicyRef, request: Request, database: TheDatabase, caller: MayRead) -> dict[str, Any]:
    """Make a state of files, such as CSV exports of stock and goods in transit; nothing is stored."""
    form = await read_form(request)
    return await run_in_threadpool(_state_of, ref, form, request, database)


def _state_of(ref: str, form: Form, request: Request, database: Database) -> dict[str, Any]:
    with database.read() as session:
        key = service.get_key(session, ref)
    view = request.app.state.served.get(key.artifact_digest).view
    state = view.read_files(form.files, check_parts("a state", view.state_files, view.state_options, form))
    try:
        view.decode([state])  # what no single file can know is wrong
    except InvalidInput as error:  # pointers say /row/…, and here is one row
        raise InvalidInput(
            [replace(issue, pointer=issue.pointer.removeprefix("/0")) for issue in error.issues]
        ) from None
    return {"state": state}


@router.delete("/{ref}", status_code=204)
def delete_policy(ref: PolicyRef, request: Request, database: TheDatabase, caller: MayTrain) -> None:
    """Delete one version; 409 while recommendations refer to it. Its artifact goes with `herenow gc`."""
    with database.write() as session:
        key = service.delete(session, ref)
        note(session, caller, "policy.deleted", key.id, asked_as=ref)
    request.app.state.served.forget(key.artifact_digest)
