"""`/v1/workers`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from service.db.rows import WorkerRow
from service.deps import Collection, MayRead, Reading, ThePage, TheSettings, newest_first
from service.requests import StrictRoute
from service.workers import repository, service
from service.workers.schemas import WorkerView

router = APIRouter(prefix="/v1/workers", tags=["service"], route_class=StrictRoute)


@router.get("", response_model=Collection[WorkerView])
def list_workers(session: Reading, page: ThePage, settings: TheSettings, caller: MayRead) -> dict[str, Any]:
    """The worker processes, youngest first, and what each is doing; one that is lost is shown for an hour."""
    rows, cursor = newest_first(session, repository.everyone(), WorkerRow, page)
    return {"items": service.views(session, rows, settings.lease_seconds), "next_cursor": cursor}
