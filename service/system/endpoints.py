"""Health, version, limits, queue, storage and metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from service.deps import MayRead, Reading, TheDatabase, TheSettings, TheStorage
from service.jobs.schemas import duration_of
from service.requests import StrictRoute
from service.strict_json import MAX_DEPTH
from service.system import service
from service.system.schemas import Limits, Live, Queue, Ready, StorageUsed, Version
from service.version import VERSION

health = APIRouter(tags=["service"], route_class=StrictRoute)
status = APIRouter(tags=["service"], route_class=StrictRoute)


@health.get("/healthz/live", response_model=Live)
def live() -> dict[str, str]:
    """Whether the process answers at all; restart it when this does not."""
    return {"status": "ok"}


@health.get("/healthz/ready", response_model=Ready)
def ready(database: TheDatabase, storage: TheStorage, settings: TheSettings) -> dict[str, object]:
    """Whether database, migrations, storage, disk and broker are in order; 503 `not-ready` names what is not."""
    return {"status": "ok", "checks": service.check_parts(database, storage, settings)}


@status.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Exposition text."}},
)
def metrics(request: Request, caller: MayRead) -> Response:
    """Measures for Prometheus."""
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)


@status.get("/v1/version", response_model=Version)
def version(caller: MayRead) -> dict[str, str]:
    """The release of the service and the version of its interface."""
    return {"name": "herenow", "version": VERSION, "api": "v1"}


@status.get("/v1/limits", response_model=Limits)
def limits(settings: TheSettings, caller: MayRead) -> Limits:
    """The bounds a client meets: sizes, times, rates."""
    return Limits(
        max_body_bytes=settings.max_body_bytes,
        max_recommend_body_bytes=settings.max_batch_bytes,
        max_states=settings.max_states,
        max_json_depth=MAX_DEPTH,
        max_page=settings.max_page,
        max_wait_seconds=settings.max_wait_seconds,
        body_seconds=settings.body_seconds,
        requests_per_minute=settings.rate_per_minute or None,
        idempotency_hours=settings.idempotency_hours,
        default_time_limit=duration_of(min(settings.default_time_limit, settings.max_time_limit)),
        max_time_limit=duration_of(settings.max_time_limit),
        max_queued_jobs=settings.max_queued_jobs,
    )


@status.get("/v1/queue", response_model=Queue)
def queue(session: Reading, settings: TheSettings, caller: MayRead) -> Queue:
    """How many jobs wait and run, on each of the two queues."""
    return service.queue(session, settings.lease_seconds)


@status.get("/v1/storage", response_model=StorageUsed)
def storage(session: Reading, kept: TheStorage, caller: MayRead) -> StorageUsed:
    """What the service keeps on disk, by kind, and how much room is left; `herenow gc` frees what nobody needs."""
    return service.storage_used(session, kept)
