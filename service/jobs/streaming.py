"""A job's events as they come: a page of the past, a long poll, and an endless stream that resumes without a gap."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import anyio.to_thread
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from sqlalchemy.orm import Session

from service.db.session import Database
from service.jobs import repository
from service.jobs.feeds import Feed, Feeds, Head, encode
from service.jobs.schemas import EventPage, EventView
from service.jobs.states import FINISHED

KEEPALIVE_SECONDS = 15.0
RETRY_MILLISECONDS = 1000  # after which an EventSource that lost the line comes back
BATCH = 500
BLOCK = 32  # events that stay together when a long past is thinned, so that every metric of an iteration is among them


def read_page(database: Database, job_id: str, after: int, limit: int) -> EventPage:
    """The events after a number that are there now. A job that is gone has ended."""
    with database.read() as session:
        rows = repository.events_after(session, job_id, after, limit)
        ended = rows[-1].type == "end" if rows else _nothing_follows(session, job_id, after)
    items = [EventView.of(row) for row in rows]
    return EventPage(items=items, next_after=items[-1].seq if items else after, ended=ended)


def read_head(database: Database, job_id: str) -> Head:
    """Where the job's events stand. One that is gone has ended."""
    with database.read() as session:
        state, last = repository.state_and_seq(session, job_id) or (FINISHED[0], 0)
    return Head(last, state in FINISHED)


def read_thinned(database: Database, job_id: str, about: int) -> EventPage:
    """The whole past in about so many events: changes of state, the latest, and blocks spread evenly over the rest."""
    with database.read() as session:
        state, last = repository.state_and_seq(session, job_id) or ("", 0)
        if last <= about:
            rows = repository.events_after(session, job_id, 0, about)
        else:
            rows = repository.events_among(session, job_id, _spread(last, about))
        items = [EventView.of(row) for row in rows]
        return EventPage(items=items, next_after=last, ended=state in FINISHED)


def _spread(last: int, about: int) -> set[int]:
    """Numbers from 1 to `last`: the latest half of `about`, and whole blocks before them."""
    latest = about // 2
    blocks = max((about - latest) // BLOCK, 1)
    starts = {1 + (last - latest) * block // blocks for block in range(blocks)}
    return {first + k for first in starts for k in range(BLOCK)} | set(range(last - latest + 1, last + 1))


def _nothing_follows(session: Session, job_id: str, after: int) -> bool:
    """Whether the job is gone, or has ended with this event or an earlier one."""
    head = repository.state_and_seq(session, job_id)
    return head is None or (head[0] in FINISHED and head[1] <= after)


async def wait_page(database: Database, feeds: Feeds, job_id: str, after: int, limit: int, wait: float) -> EventPage:
    """The next events, waiting up to `wait` seconds for the first of them; ApiError 503 if too many wait."""
    page = await anyio.to_thread.run_sync(read_page, database, job_id, after, limit)
    if page.items or page.ended or wait <= 0:
        return page
    feeds.check_room()
    deadline = time.monotonic() + wait
    with feeds.follow(job_id, Head(after, False)) as feed:
        while feed.last <= after and not (feed.has_ended or feeds.is_closing):
            if not await _told(feed, deadline - time.monotonic()):
                break
    return await anyio.to_thread.run_sync(read_page, database, job_id, after, limit)


async def stream(database: Database, feeds: Feeds, job_id: str, after: int, head: Head) -> AsyncIterator[bytes]:
    """Server-sent events from a number on, until `end` or until this process is to stop; each event's id is its number.

    `head` was read just now.
    """
    with feeds.follow(job_id, head) as feed:
        yield format_sse_event(retry=RETRY_MILLISECONDS)
        while not feeds.is_closing:
            told = feed.after(after)
            if told is None:  # it is behind what the feed holds
                page = await anyio.to_thread.run_sync(read_page, database, job_id, after, BATCH)
                yield b"".join(map(encode, page.items))
                after = page.next_after
                if page.ended:
                    return
            elif told:
                yield b"".join(one.encoded for one in told)
                after = told[-1].seq
                if told[-1].is_last:
                    return
            elif feed.has_ended:
                return
            elif not await _told(feed, KEEPALIVE_SECONDS):
                yield KEEPALIVE_COMMENT


async def _told(feed: Feed, seconds: float) -> bool:
    """Wait for news of a job; False if there was none in time."""
    try:
        async with asyncio.timeout(max(seconds, 0)):
            await feed.news.wait()
    except TimeoutError:
        return False
    return True
