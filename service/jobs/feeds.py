"""One look at the database for everyone who follows jobs: each process asks once, however many listen to it.

A `Feed` is what is known of one job that somebody follows: the number of its last event and its latest events, encoded
once. A process asks for all feeds together every `POLL_SECONDS` and wakes those whose job has news; a listener who is
behind what a feed holds reads the database by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

import anyio.to_thread
from fastapi.sse import format_sse_event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from service.db.session import Database
from service.errors import ApiError
from service.jobs import repository
from service.jobs.schemas import EventView
from service.jobs.states import FINISHED

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
KEPT = 500  # latest events of a feed


@dataclass(frozen=True)
class Told:
    """An event and its form on the wire."""

    seq: int
    encoded: bytes
    is_last: bool  # nothing follows it


@dataclass(frozen=True)
class Head:
    """Where a job's events stand: the number of the last, and whether none will follow it."""

    last: int
    has_ended: bool


@dataclass(eq=False)
class Feed:
    """What is known of a job that somebody follows."""

    last: int  # number of the last event
    has_ended: bool  # nothing comes after it
    recent: deque[Told] = field(default_factory=lambda: deque(maxlen=KEPT))
    listeners: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)  # set once, then another takes its place

    def after(self, seq: int) -> list[Told] | None:
        """The events after a number, if the feed holds them all."""
        if seq >= self.last:
            return []
        if not self.recent or self.recent[0].seq > seq + 1:
            return None
        return [told for told in self.recent if told.seq > seq]

    def take(self, events: Sequence[Told], last: int, has_ended: bool) -> None:
        """Note news and wake everyone."""
        if events and self.recent and events[0].seq != self.recent[-1].seq + 1:
            self.recent.clear()
        self.recent.extend(events)
        self.last, self.has_ended = last, has_ended
        self.wake()

    def wake(self) -> None:
        """Have every listener look."""
        self.news.set()
        self.news = asyncio.Event()


@dataclass(frozen=True)
class _News:
    events: list[Told]
    last: int
    has_ended: bool


class Feeds:
    """The feeds of a process; all of this belongs to the event loop's thread but the look at the database."""

    def __init__(self, database: Database, most: int) -> None:
        self._database = database
        self._most = most
        self._feeds: dict[str, Feed] = {}
        self._someone = asyncio.Event()
        self.listeners = 0
        self.is_closing = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look for news until left."""
        task = asyncio.create_task(self._look(), name="watch jobs")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def close(self) -> None:
        """Let every listener go: they come back, to another process if there is one, and miss nothing."""
        self.is_closing = True
        for feed in self._feeds.values():
            feed.wake()

    def check_room(self) -> None:
        """ApiError 503 if no more may listen."""
        if self.listeners >= self._most:
            raise ApiError("busy", "Too many clients follow jobs here.", headers={"Retry-After": "5"})

    @contextmanager
    def follow(self, job_id: str, head: Head) -> Iterator[Feed]:
        """The feed of a job for one listener, who has seen where it stands."""
        feed = self._feeds.setdefault(job_id, Feed(head.last, head.has_ended))
        feed.listeners += 1
        self.listeners += 1
        self._someone.set()
        try:
            yield feed
        finally:
            self.listeners -= 1
            feed.listeners -= 1
            if feed.listeners == 0:
                del self._feeds[job_id]

    async def _look(self) -> None:
        while True:
            if not self._feeds:
                self._someone.clear()
                await self._someone.wait()
            known = {job_id: feed.last for job_id, feed in self._feeds.items() if not feed.has_ended}
            try:
                found = await anyio.to_thread.run_sync(read_news, self._database, known) if known else {}
            except SQLAlchemyError as error:  # listeners wait until it is back
                log.warning("no look at jobs' events: %s", type(error).__name__)
                found = {}
            for job_id, news in found.items():
                feed = self._feeds.get(job_id)
                if feed is not None and news.last >= feed.last:
                    feed.take([told for told in news.events if told.seq > feed.last], news.last, news.has_ended)
            await asyncio.sleep(POLL_SECONDS)


def read_news(database: Database, known: dict[str, int]) -> dict[str, _News]:
    """What has happened since, for the jobs whose last known event this is."""
    with database.read() as session:
        heads = repository.heads(session, list(known))
        return {
            job_id: _news(session, job_id, last, heads.get(job_id))
            for job_id, last in known.items()
            if heads.get(job_id) is None or heads[job_id][1] > last or heads[job_id][0] in FINISHED
        }


def _news(session: Session, job_id: str, last: int, head: tuple[str, int] | None) -> _News:
    if head is None:  # it was deleted
        return _News([], last, True)
    rows = repository.events_after(session, job_id, last, KEPT) if head[1] > last else []
    end = rows[-1].seq if rows else last
    told = [Told(row.seq, encode(EventView.of(row)), row.type == "end") for row in rows]
    return _News(told, end, head[0] in FINISHED and end >= head[1])


def encode(event: EventView) -> bytes:
    """An event as a server sends it; its id is its number."""
    return format_sse_event(data_str=event.model_dump_json(), event=event.type, id=str(event.seq))
