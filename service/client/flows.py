"""What to do when: repeating, paging, following jobs. Written once, without any input or output of its own.

A flow is a generator. It yields what it wants done (a `Step`) and is sent what came of it, or has the exception thrown
in; `wires` does the steps, sync or async.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import httpx

from .calls import Call, get
from .errors import JobFailed, NoAnswer, Refused, StillRunning, refusal, retry_after
from .record import Page, adapter
from .records import EventPage, EventView, JobView

T = TypeVar("T")

LONG_POLL = 20.0  # [s] a request waits for the next event
STREAM = "text/event-stream"
FINISHED = ("succeeded", "failed", "cancelled")
BUSY = (429, 502, 503, 504)
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
HOPELESS = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)
EVENTS = "/v1/jobs/{job_id}/events"


@dataclass(frozen=True)
class Retry:
    """How often a request is tried, and how long between: doubling pauses, of which a random part is waited."""

    tries: int = 5
    first_pause: float = 0.25  # [s]
    longest_pause: float = 8.0  # [s]
    patience: float = 60.0  # [s] longest `Retry-After` that is waited for

    def pause(self, failures: int, asked: float | None = None) -> float:
        """Seconds to wait after so many failures: what the service asked for, and a random share of the doubled pause.

        The randomness keeps clients that failed together from coming back together.
        """
        most = min(self.first_pause * 2 ** (failures - 1), self.longest_pause)
        return (asked or 0.0) + random.uniform(0.0, most)


@dataclass(frozen=True)
class Send:
    """Send a request; sent back: the answer, read in full (its lines unread if `streamed`)."""

    call: Call[Any]
    streamed: bool = False


@dataclass(frozen=True)
class Line:
    """Sent back: the next line of the streamed answer, or None at its end."""


@dataclass(frozen=True)
class Sleep:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Tell:
    """Call back with a value."""

    callback: Callable[[Any], Any]
    value: Any


@dataclass(frozen=True)
class Item(Generic[T]):
    """Hand a value to whoever iterates."""

    value: T


Step = Send | Line | Sleep | Tell | Item[Any]
Flow = Generator[Step, Any, T]


def carry_out(call: Call[T], retry: Retry) -> Flow[T]:
    """Send a request until it is answered, as often as is safe and sensible.

    What may be repeated is tried again after a broken connection and after 429, 502, 503 and 504, when the service
    says so (`Retry-After`). What may not is tried again only where it was surely not carried out.

    Raises:
        Refused: the service said no. NoAnswer: it said nothing. UnexpectedAnswer: it said something else.
    """
    if call.keyed:
        call = replace(call, key=call.key or uuid.uuid4().hex)
    answer = yield from _answered(Send(call), retry)
    return call.read(answer)


def _answered(send: Send, retry: Retry) -> Flow[httpx.Response]:
    """The successful answer to a request; a DELETE whose answer was lost has succeeded if nothing is there now."""
    call, failures, is_lost = send.call, 0, False
    while True:
        try:
            answer: httpx.Response = yield send
        except httpx.RequestError as error:
            failures += 1
            may_repeat = call.repeats or isinstance(error, NEVER_SENT)
            if failures >= retry.tries or not may_repeat or isinstance(error, HOPELESS):
                raise NoAnswer(_told(error, failures)) from error
            is_lost = is_lost or not isinstance(error, NEVER_SENT)
            yield Sleep(retry.pause(failures))
            continue
        if answer.is_success or (is_lost and call.method == "DELETE" and answer.status_code == 404):
            return answer
        refused, after = refusal(answer), retry_after(answer)
        failures += 1
        again = failures < retry.tries and (after or 0.0) <= retry.patience and _may_change(call, refused)
        if not again:
            raise refused
        yield Sleep(retry.pause(failures, after))


def _may_change(call: Call[Any], refused: Exception) -> bool:
    """Whether the same request may be answered otherwise in a moment."""
    if not isinstance(refused, Refused) or refused.slug == "artifact-unavailable":
        return False
    if refused.status == 429 or refused.slug == "request-in-progress":  # the latter is our own first try
        return True
    return call.repeats and refused.status in BUSY


def _told(error: httpx.RequestError, failures: int) -> str:
    said = str(error) or type(error).__name__
    return said if failures == 1 else f"{said} (tried {failures} times)"


def items(call: Call[Page[T]], retry: Retry) -> Flow[None]:
    """Every item of a collection, page after page."""
    while True:
        page = yield from carry_out(call, retry)
        for item in page.items:
            yield Item(item)
        if page.next_cursor is None:
            return
        call = replace(call, query={**call.query, "cursor": page.next_cursor})


def finished(
    job_id: str, timeout: float | None, on_progress: Callable[[dict[str, Any]], Any] | None, retry: Retry
) -> Flow[JobView]:
    """A job once it has succeeded, its progress told as it comes.

    Raises:
        JobFailed: it failed or was cancelled. StillRunning: `timeout` seconds are over.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    after = 0
    while True:
        left = LONG_POLL if deadline is None else min(LONG_POLL, max(deadline - time.monotonic(), 0.0))
        call = get(EVENTS, EventPage, {"after": after, "wait": left}, job_id=job_id)
        page: EventPage = yield from carry_out(replace(call, holds=left), retry)
        for event in page.items:
            if on_progress is not None and event.type == "progress":
                yield Tell(on_progress, event.data)
        after = page.next_after
        if page.ended:
            break
        if not page.items and deadline is not None and time.monotonic() >= deadline:
            raise StillRunning(f"job {job_id} has not finished within {timeout:g} s")
    job: JobView = yield from carry_out(get("/v1/jobs/{job_id}", JobView, job_id=job_id), retry)
    if job.state != "succeeded":
        raise JobFailed(job)
    return job


def followed(job_id: str, after: int, retry: Retry) -> Flow[None]:
    """A job's events as they come, to its `end`; a stream that breaks is taken up after the last event that came.

    Raises:
        NoAnswer: the stream broke as often as may be tried without an event between.
    """
    failures = 0
    while True:
        headers = {"Accept": STREAM, "Last-Event-ID": str(after)}
        call: Call[None] = Call("GET", EVENTS, lambda answer: None, {"job_id": job_id}, headers=headers)
        answer = yield from _answered(Send(call, streamed=True), retry)
        if answer.status_code == 204:  # whoever has had this event has had them all
            return
        try:
            stream = _events()
            while True:
                line: str | None = yield Line()
                if line is None:
                    break
                event = stream.send(line)
                if event is None or event.seq <= after:
                    continue
                after, failures = event.seq, 0
                yield Item(event)
                if event.type == "end":
                    return
        except httpx.RequestError as error:
            failures += 1
            if failures >= retry.tries:
                raise NoAnswer(_told(error, failures)) from error
        else:
            failures += 1  # it ended before its `end`: a proxy's doing, or a service that was stopped
            if failures >= retry.tries:
                raise NoAnswer(f"the stream of events ended {failures} times before the job did")
        yield Sleep(retry.pause(failures))


def _events() -> Generator[EventView | None, str, None]:
    """Sent lines of an event stream, it yields an event when one is complete, else None."""

    def read() -> Generator[EventView | None, str, None]:
        data: list[str] = []
        found: EventView | None = None
        while True:
            line = yield found
            found = None
            name, _, value = line.partition(":")
            if name == "data":
                data.append(value.removeprefix(" "))
            elif not line and data:
                found = adapter(EventView).validate_python(json.loads("\n".join(data)))
                data = []

    reader = read()
    next(reader)
    return reader
