"""`POST /v1/policies/{ref}/recommend` and `/v1/recommendations`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from service.db.rows import RecommendationRow
from service.decisions import asked, render, repository, service
from service.decisions.schemas import (
    RECOMMEND_BODY,
    RECOMMEND_EXAMPLES,
    OutcomeBody,
    RecommendationSummary,
    RecommendationView,
    RecommendColumns,
    RecommendMany,
    RecommendOne,
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
    Writing,
    newest_first,
)
from service.idempotency import TheOnce
from service.ids import ID_PATTERN, REF_PATTERN
from service.negotiation import choose
from service.policies import service as policies
from service.requests import StrictRoute

recommend_router = APIRouter(prefix="/v1/policies", tags=["recommendations"], route_class=StrictRoute)
router = APIRouter(prefix="/v1/recommendations", tags=["recommendations"], route_class=StrictRoute)

_TEXT = {"schema": {"type": "string"}}


@recommend_router.post(
    "/{ref}/recommend",
    response_model=RecommendOne | RecommendMany | RecommendColumns,
    responses={200: {"content": {"text/plain": _TEXT, "text/csv": _TEXT}}, 406: {}},
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
    """Recommended decisions for one state or many: JSON, an aligned table (text/plain) or a spreadsheet (text/csv)."""
    replayed = once.replay(caller.owner)
    if replayed is not None:
        return replayed
    wanted = asked.read(document, settings.max_states)
    media_type = choose(request, render.COLUMN_FORMS if wanted.form == "columns" else render.FORMS)
    with once.claimed(caller.owner):
        with database.read() as session:
            key = policies.get_key(session, ref)
        policy = request.app.state.served.get(key.id, key.artifact_digest)
        body: bytes = getattr(request, "_body", b"")
        found = service.recommend(policy, key, wanted, document, body)
        _measure(request, found)
        content = _rendered(found, policy.view, media_type)

        def make(session: Session) -> Response:
            session.add(found.row)
            session.flush()
            return Response(content, media_type=media_type)

        return once.answer(caller.owner, make)


def _rendered(found: service.Recommendation, view: Any, media_type: str) -> bytes:
    if media_type == "text/csv":
        return render.as_csv(found.answer, view)
    return render.as_text(found.answer, view) if media_type == "text/plain" else found.encoded


def _measure(request: Request, found: service.Recommendation) -> None:
    metrics = request.app.state.metrics
    metrics.recommend_seconds.observe(found.answer["elapsed_ms"] / 1000)
    metrics.recommended_states.inc(found.row.states)


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
    query = repository.matching(policy_id, policy, outcome)
    rows, cursor = newest_first(session, query, RecommendationRow, page)
    return {"items": service.summaries(session, rows), "next_cursor": cursor}


@router.get("/{recommendation_id}", response_model=RecommendationView)
def get_recommendation(recommendation_id: RecommendationId, session: Reading, caller: MayRead) -> Response:
    """One recommendation: what was asked, what was answered, what the planner did."""
    return Response(service.full(session, service.get(session, recommendation_id)), media_type="application/json")


@router.put("/{recommendation_id}/outcome", response_model=RecommendationSummary)
def put_outcome(
    recommendation_id: RecommendationId, body: OutcomeBody, session: Writing, caller: MayPlan
) -> dict[str, Any]:
    """Say what the planner did: accepted, overridden (with their own numbers) or rejected."""
    return service.summary(session, service.record_outcome(session, recommendation_id, body, caller.owner))
