"""`/v1/evaluations`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from service.db.rows import EvaluationRow
from service.deps import (
    Collection,
    EvaluationId,
    MayRead,
    MayTrain,
    Reading,
    TheDatabase,
    ThePage,
    TheSettings,
    newest_first,
)
from service.evaluations import repository, service, tables
from service.evaluations.schemas import EvaluationBody, EvaluationSummary, EvaluationView, PathsView
from service.idempotency import TheOnce
from service.ids import ID_PATTERN
from service.jobs.endpoints import TheBell, submitted
from service.jobs.schemas import JobView
from service.jobs.service import submit
from service.negotiation import choose
from service.requests import StrictRoute
from service.spreadsheet import CSV, XLSX, as_csv, as_workbook

router = APIRouter(prefix="/v1/evaluations", tags=["evaluations"], route_class=StrictRoute)

InstanceFilter = Annotated[str | None, Query(pattern=ID_PATTERN, description="Only evaluations on this instance.")]
JobFilter = Annotated[str | None, Query(pattern=ID_PATTERN, description="Only what this job evaluated.")]


@router.post("", status_code=202, response_model=JobView)
def create_evaluation(
    body: EvaluationBody,
    settings: TheSettings,
    database: TheDatabase,
    once: TheOnce,
    caller: MayTrain,
    bell: TheBell,
) -> Response:
    """Compare policies and rules on one instance: a job of kind `evaluate`, whose `evaluation_id` is the outcome."""

    def make(session: Session) -> Response:
        job = submit(session, settings, body.job(), caller.key_id)
        return submitted(session, database, bell, caller, job)

    return once.answer(caller.owner, make)


@router.get("", response_model=Collection[EvaluationSummary])
def list_evaluations(
    session: Reading, page: ThePage, caller: MayRead, instance_id: InstanceFilter = None, job_id: JobFilter = None
) -> dict[str, Any]:
    """The evaluations, newest first."""
    rows, cursor = newest_first(session, repository.matching(instance_id, job_id), EvaluationRow, page)
    return {"items": [service.summary(row) for row in rows], "next_cursor": cursor}


@router.get(
    "/{evaluation_id}",
    response_model=EvaluationView,
    responses={
        200: {
            "content": {CSV: {"schema": {"type": "string"}}, XLSX: {"schema": {"type": "string", "format": "binary"}}}
        },
        406: {},
    },
)
def get_evaluation(evaluation_id: EvaluationId, request: Request, session: Reading, caller: MayRead) -> Any:
    """One evaluation: as JSON, its table of policies as CSV, or all its tables as an Excel workbook."""
    media_type = choose(request, ("application/json", CSV, XLSX))
    row = service.get(session, evaluation_id)
    if media_type == CSV:
        return Response(as_csv(tables.policies(row.body)), media_type=CSV)
    if media_type == XLSX:
        return Response(as_workbook(tables.everything(row.body, row.paths)), media_type=XLSX)
    return {**service.summary(row), "document": row.body}


@router.get("/{evaluation_id}/paths", response_model=PathsView)
def get_evaluation_paths(evaluation_id: EvaluationId, session: Reading, caller: MayRead) -> dict[str, Any]:
    """Quantile paths of every quantity under every policy, for plots."""
    row = service.get(session, evaluation_id)
    return {"id": row.id, "paths": row.paths}
