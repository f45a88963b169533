"""`/v1/jobs`."""

from __future__ import annotations

from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Body, Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse
from sqlalchemy.orm import Session
from starlette.responses import Response

from service.audit.service import note
from service.db.rows import JobRow
from service.db.session import Database
from service.deps import (
    Collection,
    JobId,
    MayRead,
    MayTrain,
    Reading,
    TheDatabase,
    ThePage,
    TheSettings,
    TheStorage,
    Writing,
    newest_first,
)
from service.idempotency import TheOnce
from service.ids import ID_PATTERN
from service.jobs import repository, service, streaming
from service.jobs.bell import Bell, ring_after_commit
from service.jobs.feeds import Feeds
from service.jobs.schemas import JobRequest, JobView, ResultView
from service.jobs.states import QUEUED, Kind, State
from service.keys.callers import Caller
from service.negotiation import choose
from service.requests import StrictRoute
from service.workers.service import slots_alive

MAX_LOG_BYTES = 2**20
MAX_SEQ = 2**31 - 1
JSON, STREAM = "application/json", "text/event-stream"

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=StrictRoute)


def bell_of(request: Request) -> Bell:
    """What this process rings."""
    bell: Bell = request.app.state.bell
    return bell


TheBell = Annotated[Bell, Depends(bell_of)]


@router.post("", status_code=202, response_model=JobView)
def submit_job(
    asked: Annotated[JobRequest, Body(description="What to do: `train`, `evaluate` or `solve`.")],
    once: TheOnce,
    caller: MayTrain,
    settings: TheSettings,
    database: TheDatabase,
    bell: TheBell,
) -> Response:
    """Queue a job. Everything it asks for is checked first: what is queued can be started."""

    def make(session: Session) -> Response:
        job = service.submit(session, settings, asked, caller.key_id)
        return submitted(session, database, bell, caller, job)

    return once.answer(caller.owner, make)


@router.get("", response_model=Collection[JobView])
def list_jobs(
    session: Reading,
    page: ThePage,
    settings: TheSettings,
    caller: MayRead,
    state: Annotated[list[State], Query(description="Only jobs in one of these states.")] = [],  # noqa: B006
    kind: Annotated[list[Kind], Query(description="Only jobs of one of these kinds.")] = [],  # noqa: B006
    instance_id: Annotated[str | None, Query(pattern=ID_PATTERN, description="Only jobs on this instance.")] = None,
) -> dict[str, Any]:
    """The jobs, newest first."""
    rows, cursor = newest_first(session, repository.listing(state, kind, instance_id), JobRow, page)
    served = slots_alive(session, settings.lease_seconds)
    return {"items": [JobView.of(row, served) for row in rows], "next_cursor": cursor}


@router.get("/{job_id}", response_model=JobView)
def get_job(job_id: JobId, session: Reading, settings: TheSettings, caller: MayRead) -> JobView:
    """One job as it stands."""
    job = service.require(session, job_id)
    return JobView.of(job, slots_alive(session, settings.lease_seconds) if job.state == QUEUED else None)


@router.delete("/{job_id}", status_code=204)
def delete_job(job_id: JobId, database: TheDatabase, caller: MayTrain, storage: TheStorage) -> None:
    """Delete a finished job with its events and log; what it produced stays."""
    with database.write() as session:
        service.remove(session, job_id)
        note(session, caller, "job.deleted", job_id)
    storage.remove_job(job_id)  # once its row is surely gone


@router.get("/{job_id}/result", response_model=ResultView, responses={409: {}})
def get_result(
    job_id: JobId,
    session: Reading,
    caller: MayRead,
    partial: Annotated[bool, Query(description="Give the best so far if there is no result yet.")] = False,
) -> dict[str, Any]:
    """What the job produced."""
    return service.result(session, job_id, partial)


@router.get(
    "/{job_id}/events",
    response_model=None,
    responses={
        200: {
            "description": "Server-sent events; as JSON a page of them.",
            "content": {
                STREAM: {"schema": {"type": "object", "description": "`id` is the event's number, `data` the event."}},
                JSON: {"schema": {"$ref": "#/components/schemas/EventPage"}},
            },
        },
        204: {"description": "The stream ended with the event named by `Last-Event-ID`; do not reconnect."},
    },
)
async def get_events(
    request: Request,
    job_id: JobId,
    database: TheDatabase,
    settings: TheSettings,
    caller: MayRead,
    after: Annotated[int, Query(ge=0, le=MAX_SEQ, description="Only events numbered above this.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most events of a page (JSON).")] = 200,
    wait: Annotated[float, Query(ge=0, le=300, description="Seconds to wait for the first event (JSON).")] = 0,
    about: Annotated[
        int | None,
        Query(ge=100, le=5000, description="The whole past in about so many events, the latest among them (JSON)."),
    ] = None,
    last_event_id: Annotated[str | None, Header(description="As `after`; sent by an EventSource.")] = None,
) -> Response:
    """What happens, as it happens: a stream, or with `Accept: application/json` a page (long poll)."""
    chosen = choose(request, (STREAM, JSON))
    if last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit():
        after = min(int(last_event_id[:12]), MAX_SEQ)
    await anyio.to_thread.run_sync(_require, database, job_id)
    feeds: Feeds = request.app.state.feeds
    if chosen == JSON:
        wait = min(wait, settings.max_wait_seconds)
        if about is None:
            page = await streaming.wait_page(database, feeds, job_id, after, limit, wait)
        else:
            page = await anyio.to_thread.run_sync(streaming.read_thinned, database, job_id, about)
        return Response(page.model_dump_json(), media_type=JSON)
    feeds.check_room()
    head = await anyio.to_thread.run_sync(streaming.read_head, database, job_id)
    if head.has_ended and 0 < after >= head.last:
        return Response(status_code=204)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return EventSourceResponse(streaming.stream(database, feeds, job_id, after, head), headers=headers)


@router.get(
    "/{job_id}/log",
    response_model=None,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Text from `offset`."}},
)
def get_log(
    job_id: JobId,
    session: Reading,
    caller: MayRead,
    storage: TheStorage,
    offset: Annotated[int, Query(ge=0, le=2**53, description="First byte wanted.")] = 0,
) -> Response:
    """The job's log, at most 1 MiB of it; `X-Next-Offset` is where to go on."""
    service.require(session, job_id)
    text, _ = storage.read_log(job_id, offset, MAX_LOG_BYTES)
    text = whole_characters(text)
    headers = {"X-Next-Offset": str(offset + len(text))}
    return Response(text, media_type="text/plain; charset=utf-8", headers=headers)


@router.post(
    "/{job_id}/cancel",
    status_code=202,
    response_model=JobView,
    responses={200: {"model": JobView, "description": "The job had finished already."}},
)
def cancel_job(job_id: JobId, session: Writing, caller: MayTrain) -> Response:
    """Ask a job to stop; it keeps the best policy so far."""
    job, had_finished = service.cancel(session, job_id)
    if not had_finished:
        note(session, caller, "job.cancelled", job_id)
    return Response(JobView.of(job).model_dump_json(), media_type=JSON) if had_finished else accepted(job)


@router.post("/{job_id}/retry", status_code=202, response_model=JobView)
def retry_job(
    job_id: JobId, once: TheOnce, caller: MayTrain, settings: TheSettings, database: TheDatabase, bell: TheBell
) -> Response:
    """Queue the work of a failed or cancelled job again, as a new job with the same seed."""

    def make(session: Session) -> Response:
        job = service.retry(session, settings, job_id, caller.key_id)
        note(session, caller, "job.retried", job.id, kind=job.kind, retry_of=job_id)
        ring_after_commit(session, database, bell, job.id)
        return accepted(job)

    return once.answer(caller.owner, make)


def submitted(session: Session, database: Database, bell: Bell, caller: Caller, job: JobRow) -> Response:
    """Say in the audit log who submitted the job and for what, ring once it is committed, and answer 202."""
    note(session, caller, "job.submitted", job.id, kind=job.kind, instance_id=job.instance_id, solver=job.solver)
    ring_after_commit(session, database, bell, job.id)
    return accepted(job)


def accepted(job: JobRow) -> Response:
    """202 with where to look and when."""
    headers = {"Location": f"/v1/jobs/{job.id}", "Retry-After": "1"}
    return Response(JobView.of(job).model_dump_json(), 202, headers, JSON)


def whole_characters(text: bytes) -> bytes:
    """The bytes without a character that is cut at their end."""
    for cut in range(1, min(4, len(text)) + 1):
        byte = text[-cut]
        if byte < 0x80:
            return text
        if byte >= 0xC0:  # where a character begins: does it end too?
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return text if length <= cut else text[:-cut]
    return text


def _require(database: Any, job_id: str) -> None:
    with database.read() as session:
        service.require(session, job_id)
