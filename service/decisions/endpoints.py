"""`POST /v1/policies/{ref}/recommend` and `/v1/recommendations`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from service.audit.service import note
from service.decisions import asked, render, replaying, repository, service
from service.decisions.schemas import (
    RECOMMEND_BODY,
    RECOMMEND_EXAMPLES,
    OutcomeBody,
    RecommendationSummary,
    RecommendationView,
    RecommendColumns,
    RecommendMany,
    RecommendOne,
    ReplayBody,
)
from service.deps import (
    Collection,
    MayPlan,
    MayRead,
    PolicyRef,
    Reading,
    RecommendationId,
    TheDatabase,
    ThePage,
    TheSettings,
)
from service.idempotency import TheOnce
from service.ids import ID_PATTERN, REF_PATTERN
from service.jobs.endpoints import TheBell, submitted
from service.jobs.schemas import JobView
from service.negotiation import choose
from service.policies import service as policies
from service.requests import StrictRoute
from service.spreadsheet import CSV, XLSX

recommend_router = APIRouter(prefix="/v1/policies", tags=["recommendations"], route_class=StrictRoute)
router = APIRouter(prefix="/v1/recommendations", tags=["recommendations"], route_class=StrictRoute)

JSON = "application/json"
_TEXT = {"schema": {"type": "string"}}
_WORKBOOK = {"schema": {"type": "string", "format": "binary"}}
_RENDERED = {"text/plain": render.as_text, CSV: render.as_csv, XLSX: render.as_workbook}


@recommend_router.post(
    "/{ref}/recommend",
    response_model=RecommendOne | RecommendMany | RecommendColumns,
    responses={200: {"content": {"text/plain": _TEXT, CSV: _TEXT, XLSX: _WORKBOOK}}, 406: {}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": RECOMMEND_BODY, "examples": RECOMMEND_EXAMPLES}},
        }
    },
)
def recommend(
    ref: PolicyRef,
    document: Annotated[Any, Body()],
    request: Request,
    database: TheDatabase,
    settings: TheSettings,
    once: TheOnce,
    caller: MayPlan,
) -> Response:
    """Recommended decisions for one state or many: JSON, an aligned table, CSV or an Excel workbook."""
    replayed = once.replay(caller.owner)
    if replayed is not None:
        return replayed
    wanted = asked.read(document, settings.max_states)
    media_type = choose(request, render.COLUMN_FORMS if wanted.form == "columns" else render.FORMS)
    with once.claimed(caller.owner):
        with database.read() as session:
            key = policies.get_key(session, ref)
        policy = request.app.state.served.get(key.artifact_digest)
        body: bytes = getattr(request, "_body", b"")
        found = service.recommend(policy, key, wanted, body, caller.owner)
        _measure(request, key.artifact_digest, wanted, found)
        content = _rendered(found, policy.view, media_type)

        def make(session: Session) -> Response:
            repository.add(session, [found.row])
            return Response(content, media_type=media_type)

        return once.answer(caller.owner, make)


def _rendered(found: service.Recommendation, view: Any, media_type: str) -> bytes:
    return found.encoded if media_type == JSON else _RENDERED[media_type](found.answer, view)


def _measure(request: Request, digest: str, wanted: asked.Asked, found: service.Recommendation) -> None:
    request.app.state.metrics.recommended(found.answer, found.states)
    if not (wanted.explain or wanted.figures):
        request.app.state.served.note(digest, found.seconds)


@router.get("", response_model=Collection[RecommendationSummary])
def list_recommendations(
    session: Reading,
    page: ThePage,
    caller: MayRead,
    policy_id: Annotated[str | None, Query(pattern=ID_PATTERN, description="Only by this policy version.")] = None,
    policy: Annotated[
        str | None,
        Query(pattern=REF_PATTERN, description="Only by this policy: a bare name means every version of it."),
    ] = None,
    outcome: Annotated[
        Literal["pending", "accepted", "overridden", "rejected", "none"] | None,
        Query(description="`pending` (or `none`): those the planner has not judged yet."),
    ] = None,
) -> dict[str, Any]:
    """The audit trail, newest first."""
    rows, cursor = repository.page(session, policy_id, policy, outcome, page)
    return {"items": service.summaries(session, rows), "next_cursor": cursor}


@router.get(
    "/{recommendation_id}",
    response_model=RecommendationView,
    responses={200: {"content": {CSV: _TEXT, XLSX: _WORKBOOK}}, 406: {}},
)
def get_recommendation(
    recommendation_id: RecommendationId, request: Request, database: TheDatabase, caller: MayRead
) -> Response:
    """One recommendation: what was asked, what was answered, what the planner did; its decision also as a file."""
    with database.read() as session:
        row = service.get(session, recommendation_id)
        answer = service.answer_of(row)
        media_type = choose(request, render.COLUMN_FORMS if "decisions" in answer else render.KEPT_FORMS)
        if media_type == JSON:
            return Response(service.full(session, row), media_type=media_type)
        key = policies.get_key(session, row.policy_id)
    view = request.app.state.served.get(key.artifact_digest).view
    return Response(_RENDERED[media_type](answer, view), media_type=media_type)


@router.put("/{recommendation_id}/outcome", response_model=RecommendationSummary)
def put_outcome(
    recommendation_id: RecommendationId, body: OutcomeBody, request: Request, database: TheDatabase, caller: MayPlan
) -> dict[str, Any]:
    """Say what the planner did: accepted, overridden (with their own numbers) or rejected."""
    if body.outcome == "overridden":
        with database.read() as session:
            found = replaying.situation(session, recommendation_id)
        replaying.check_decision(request.app.state.served.get(found.digest), found, body.decision)
    with database.write() as session:
        row = service.record_outcome(session, recommendation_id, body, caller.owner)
        note(session, caller, "recommendation.judged", recommendation_id, outcome=body.outcome, policy_id=row.policy_id)
        return service.summary(session, row)


@router.post("/{recommendation_id}/replay", status_code=202, response_model=JobView)
def replay(
    recommendation_id: RecommendationId,
    body: ReplayBody,
    request: Request,
    settings: TheSettings,
    database: TheDatabase,
    once: TheOnce,
    caller: MayPlan,
    bell: TheBell,
) -> Response:
    """Play the planner's own decision and the recommended one: a job of kind `replay`, kept with the recommendation."""
    with database.read() as session:
        found = replaying.situation(session, recommendation_id)
    served = request.app.state.served.get(found.digest)

    def make(session: Session) -> Response:
        job = replaying.submit(session, settings, served, recommendation_id, body, caller.key_id)
        return submitted(session, database, bell, caller, job)

    return once.answer(caller.owner, make)
