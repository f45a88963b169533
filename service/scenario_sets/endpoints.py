"""`/v1/scenario-sets`, and what scenarios of an instance look like."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from models import scenarios
from service.audit.service import note
from service.db.rows import ScenarioSetRow
from service.db.session import Database
from service.deps import (
    Collection,
    InstanceId,
    MayRead,
    MayTrain,
    Reading,
    ScenarioSetId,
    TheDatabase,
    ThePage,
    Writing,
    newest_first,
)
from service.forms import read_form
from service.idempotency import Once, TheOnce
from service.ids import ID_PATTERN, NAME_PATTERN
from service.keys.callers import Caller
from service.negotiation import choose
from service.requests import StrictRoute, check_media_type
from service.scenario_sets import repository, service
from service.scenario_sets.schemas import (
    SET_BODY,
    ScenarioNumbers,
    ScenarioSchema,
    ScenarioSetSummary,
    ScenarioSetView,
)

router = APIRouter(prefix="/v1/scenario-sets", tags=["scenario sets"], route_class=StrictRoute)
schema_router = APIRouter(prefix="/v1/instances", tags=["scenario sets"], route_class=StrictRoute)

JSON, CSV = "application/json", "text/csv"

InstanceFilter = Annotated[str | None, Query(pattern=ID_PATTERN, description="Only sets made for this instance.")]
ProblemFilter = Annotated[str | None, Query(pattern=NAME_PATTERN, description="Only sets for this problem.")]
NameFilter = Annotated[str | None, Query(pattern=NAME_PATTERN, description="Only sets of this name.")]


@schema_router.get("/{instance_id}/scenario-schema", response_model=ScenarioSchema, responses={409: {}})
def get_scenario_schema(instance_id: InstanceId, session: Reading, caller: MayRead) -> ScenarioSchema:
    """What scenarios of an instance look like: places, stages, unit, the JSON Schema and the CSV file's header."""
    return service.schema(session, instance_id)


@router.post("", status_code=201, response_model=ScenarioSetSummary, openapi_extra={"requestBody": SET_BODY})
async def create_scenario_set(request: Request, once: TheOnce, database: TheDatabase, caller: MayTrain) -> Response:
    """Store scenarios of your own, as JSON or as a form with a CSV file; every refusal names the field or the line."""
    if request.headers.get("content-type", "").startswith("multipart/"):
        form = await read_form(request)
        once.content = form.content
        return await run_in_threadpool(_keep, once, caller, database, lambda s: service.read_form(s, form))
    check_media_type(request)
    document = await request.json()
    return await run_in_threadpool(_keep, once, caller, database, lambda s: service.read_document(s, document))


def _keep(once: Once, caller: Caller, database: Database, read: Any) -> Response:
    with database.read() as session:
        row: ScenarioSetRow = read(session)

    def make(session: Session) -> Response:
        session.add(row)
        session.flush()
        note(session, caller, "scenario_set.stored", row.id, name=row.name, instance_id=row.instance_id)
        view = ScenarioSetSummary(**service.summary(row))
        return Response(view.model_dump_json(), 201, {"Location": f"/v1/scenario-sets/{row.id}"}, JSON)

    return once.answer(caller.owner, make)


@router.get("", response_model=Collection[ScenarioSetSummary])
def list_scenario_sets(
    session: Reading,
    page: ThePage,
    caller: MayRead,
    instance_id: InstanceFilter = None,
    problem: ProblemFilter = None,
    name: NameFilter = None,
) -> dict[str, Any]:
    """The scenario sets, newest first."""
    query = repository.matching(instance_id, problem, name)
    rows, cursor = newest_first(session, query, ScenarioSetRow, page)
    return {"items": [service.summary(row) for row in rows], "next_cursor": cursor}


@router.get("/{scenario_set_id}", response_model=ScenarioSetView)
def get_scenario_set(scenario_set_id: ScenarioSetId, session: Reading, caller: MayRead) -> dict[str, Any]:
    """One scenario set, with its quantiles for a plot."""
    row = service.get(session, scenario_set_id, with_numbers=True)
    quantiles = scenarios.quantiles(service.table_of(row), service.values_of(row))
    return {**service.summary(row), "quantiles": quantiles}


@router.get(
    "/{scenario_set_id}/scenarios",
    response_model=ScenarioNumbers,
    responses={200: {"content": {CSV: {"schema": {"type": "string"}}}}, 406: {}},
)
def get_scenarios(scenario_set_id: ScenarioSetId, request: Request, session: Reading, caller: MayRead) -> Response:
    """The numbers of a set, as JSON or as the CSV file that would make it again."""
    chosen = choose(request, (JSON, CSV))
    row = service.get(session, scenario_set_id, with_numbers=True)
    table, values = service.table_of(row), service.values_of(row)
    if chosen == CSV:
        return Response(scenarios.write_csv(table, values), media_type=CSV)
    return Response(
        ScenarioNumbers(scenarios=scenarios.write_document(table, values)).model_dump_json(), media_type=JSON
    )


@router.delete("/{scenario_set_id}", status_code=204)
def delete_scenario_set(scenario_set_id: ScenarioSetId, session: Writing, caller: MayTrain) -> None:
    """Delete a scenario set; 409 while a job needs it. Evaluations made with it stay."""
    service.delete(session, scenario_set_id)
    note(session, caller, "scenario_set.deleted", scenario_set_id)
