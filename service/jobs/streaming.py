"""A job's events as they come: a long poll, and an endless stream that resumes without a gap."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import anyio
import anyio.to_thread
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from sqlalchemy.orm import Session

from service.db.session import Database
from service.jobs import repository
from service.jobs.schemas import EventPage, EventView

POLL_SECONDS = 0.25
KEEPALIVE_SECONDS = 15.0
RETRY_MILLISECONDS = 1000  # after which an EventSource that lost the line comes back
BATCH = 500


def read_page(database: Database, job_id: str, after: int, limit: int) -> EventPage:
    """The events after a number that are there now. A job that is gone has ended."""
    with database.read() as session:
        rows = repository.events_after(session, job_id, after, limit)
        ended = rows[-1].type == "end" if rows else _nothing_follows(session, job_id, after)
    items = [EventView.of(row) for row in rows]
    return EventPage(items=items, next_after=items[-1].seq if items else after, ended=ended)


def _nothing_follows(session: Session, job_id: str, after: int) -> bool:
    """Whether the job is gone, or its `end` is not after this number."""
    if repository.state_and_seq(session, job_id) is None:
        return True
    end = repository.last_event(session, job_id, "end")
    return end is not None and end.seq <= after


def is_over(database: Database, job_id: str, after: int) -> bool:
    """Whether a reader who has had this number has had them all."""
    with database.read() as session:
        return after > 0 and _nothing_follows(session, job_id, after)


async def wait_page(database: Database, job_id: str, after: int, limit: int, wait: float) -> EventPage:
    """The next events, waiting up to `wait` seconds for the first of them."""
    deadline = time.monotonic() + wait
    while True:
        page = await anyio.to_thread.run_sync(read_page, database, job_id, after, limit)
        left = deadline - time.monotonic()
        if page.items or page.ended or left <= 0:
            return page
        await anyio.sleep(min(POLL_SECONDS, left))


async def stream(database: Database, job_id: str, after: int) -> AsyncIterator[bytes]:
    """Server-sent events from a number on, until `end`; each event's id is its number."""
    yield format_sse_event(retry=RETRY_MILLISECONDS)
    spoke = time.monotonic()
    while True:
        page = await anyio.to_thread.run_sync(read_page, database, job_id, after, BATCH)
        for event in page.items:
            yield format_sse_event(data_str=event.model_dump_json(), event=event.type, id=str(event.seq))
        if page.ended:
            return
        after, now = page.next_after, time.monotonic()
        if page.items:
            spoke = now
        elif now - spoke >= KEEPALIVE_SECONDS:
            spoke = now
            yield KEEPALIVE_COMMENT
        await anyio.sleep(0 if len(page.items) == BATCH else POLL_SECONDS)
