"""`/v1/policies/{name}/acceptance-tests`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.responses import Response

from service.acceptance import repository, service
from service.acceptance.schemas import AcceptanceTestBody, AcceptanceTestView, RunBody
from service.audit.service import note
from service.db.rows import AcceptanceTestRow
from service.deps import (
    AcceptanceTestId,
    Collection,
    MayRead,
    MayTrain,
    PolicyName,
    Reading,
    TheDatabase,
    ThePage,
    TheSettings,
    Writing,
    newest_first,
)
from service.idempotency import TheOnce
from service.jobs.endpoints import TheBell, submitted
from service.jobs.schemas import JobView
from service.requests import StrictRoute

router = APIRouter(prefix="/v1/policies/{name}/acceptance-tests", tags=["aliases"], route_class=StrictRoute)


@router.post("", status_code=201, response_model=AcceptanceTestView)
def create_acceptance_test(
    name: PolicyName, body: AcceptanceTestBody, settings: TheSettings, once: TheOnce, caller: MayTrain
) -> Response:
    """Say what a version of a policy has to show, and which aliases are closed to those that have not."""

    def make(session: Session) -> Response:
        row = service.create(session, settings, name, body, caller.owner)
        note(session, caller, "acceptance_test.made", row.id, policy=name, name=row.name, guards=row.guards)
        (view,) = service.views(session, [row])
        place = f"/v1/policies/{name}/acceptance-tests/{row.id}"
        return Response(view.model_dump_json(), 201, {"Location": place}, "application/json")

    return once.answer(caller.owner, make)


@router.get("", response_model=Collection[AcceptanceTestView])
def list_acceptance_tests(name: PolicyName, session: Reading, page: ThePage, caller: MayRead) -> dict[str, Any]:
    """The acceptance tests of a policy, newest first, with the verdicts they have given."""
    service.require_name(session, name)
    rows, cursor = newest_first(session, repository.of_name(name), AcceptanceTestRow, page)
    return {"items": service.views(session, rows), "next_cursor": cursor}


@router.get("/{test_id}", response_model=AcceptanceTestView)
def get_acceptance_test(
    name: PolicyName, test_id: AcceptanceTestId, session: Reading, caller: MayRead
) -> AcceptanceTestView:
    """One acceptance test with its verdicts."""
    return service.views(session, [service.get(session, name, test_id)])[0]


@router.delete("/{test_id}", status_code=204)
def delete_acceptance_test(name: PolicyName, test_id: AcceptanceTestId, session: Writing, caller: MayTrain) -> None:
    """Delete an acceptance test with its verdicts; it guards no alias any more."""
    service.delete(session, name, test_id)
    note(session, caller, "acceptance_test.deleted", test_id, policy=name)


@router.post("/{test_id}/runs", status_code=202, response_model=JobView)
def run_acceptance_test(
    name: PolicyName,
    test_id: AcceptanceTestId,
    body: RunBody,
    settings: TheSettings,
    database: TheDatabase,
    once: TheOnce,
    caller: MayTrain,
    bell: TheBell,
) -> Response:
    """Try a version: a job of kind `accept`, whose verdict is kept with the test."""

    def make(session: Session) -> Response:
        job = service.run(session, settings, name, test_id, body.version, caller.key_id)
        return submitted(session, database, bell, caller, job)

    return once.answer(caller.owner, make)
