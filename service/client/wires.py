"""Doing what flows want done: `Wire` at once, `AsyncWire` in an event loop. The only files that send anything."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from .calls import Call
from .flows import Flow, Item, Line, Retry, Send, Sleep, Step, Tell

T = TypeVar("T")

STREAM_SILENCE = 45.0  # [s] without a line, after which a stream is lost; the service speaks every 15 s


@dataclass(frozen=True)
class Way:
    """Where requests go, with what patience [s], and how often."""

    url: str
    headers: dict[str, str]
    timeout: float
    retry: Retry


def request_of(http: httpx.Client | httpx.AsyncClient, way: Way, send: Send) -> httpx.Request:
    """The HTTP request of a call."""
    call: Call[Any] = send.call
    headers = dict(call.headers)
    if call.keyed and call.key is not None:
        headers["Idempotency-Key"] = call.key
    wait = STREAM_SILENCE if send.streamed else way.timeout + call.holds
    timeout = httpx.Timeout(way.timeout, read=wait)
    body: dict[str, Any] = {}
    if call.files is not None:
        parts = [(name, (name, content)) for name, content in call.files.items()]
        # Words are parts too, so that a form of words alone is multipart as well.
        body = {"files": [*parts, *((name, (None, word)) for name, word in call.words.items())]}
    elif call.body is not None:
        body = {"json": call.body}
    return http.build_request(call.method, call.url, params=dict(call.query), headers=headers, timeout=timeout, **body)


class Wire:
    """Does steps one after the other in the calling thread."""

    def __init__(self, way: Way, transport: httpx.BaseTransport | None) -> None:
        self.way = way
        self.http = httpx.Client(base_url=way.url, headers=way.headers, transport=transport)

    def run(self, flow: Flow[T]) -> T:
        """What the flow returns."""
        steps = _Steps(self)
        try:
            step = next(flow)
            while True:
                step = _on(flow, *steps.tried(step))
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            steps.close()

    def iterate(self, flow: Flow[None]) -> Iterator[Any]:
        """What the flow hands out."""
        steps = _Steps(self)
        try:
            step = next(flow)
            while True:
                if isinstance(step, Item):
                    yield step.value
                    step = flow.send(None)
                else:
                    step = _on(flow, *steps.tried(step))
        except StopIteration:
            return
        finally:
            steps.close()
            flow.close()


class _Steps:
    """Steps of one flow, with the stream it has open."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.answer: httpx.Response | None = None
        self.lines: Iterator[str] = iter(())

    def tried(self, step: Step) -> tuple[Any, Exception | None]:
        try:
            return self.done(step), None
        except httpx.RequestError as error:
            return None, error

    def done(self, step: Step) -> Any:
        match step:
            case Send():
                self.close()
                answer = self.wire.http.send(request_of(self.wire.http, self.wire.way, step), stream=step.streamed)
                if step.streamed and answer.is_success:
                    self.answer, self.lines = answer, answer.iter_lines()
                elif step.streamed:
                    answer.read()
                return answer
            case Line():
                return next(self.lines, None)
            case Sleep():
                time.sleep(step.seconds)
            case Tell():
                step.callback(step.value)
        return None

    def close(self) -> None:
        if self.answer is not None:
            with suppress(httpx.RequestError):
                self.answer.close()
            self.answer = None


class AsyncWire:
    """Does steps in the running event loop; a callback may be a coroutine function."""

    def __init__(self, way: Way, transport: httpx.AsyncBaseTransport | None) -> None:
        self.way = way
        self.http = httpx.AsyncClient(base_url=way.url, headers=way.headers, transport=transport)

    async def run(self, flow: Flow[T]) -> T:
        """What the flow returns."""
        steps = _AsyncSteps(self)
        try:
            step = next(flow)
            while True:
                step = _on(flow, *await steps.tried(step))
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            await steps.close()

    async def iterate(self, flow: Flow[None]) -> AsyncIterator[Any]:
        """What the flow hands out."""
        steps = _AsyncSteps(self)
        try:
            step = next(flow)
            while True:
                if isinstance(step, Item):
                    yield step.value
                    step = flow.send(None)
                else:
                    step = _on(flow, *await steps.tried(step))
        except StopIteration:
            return
        finally:
            await steps.close()
            flow.close()


class _AsyncSteps:
    """As `_Steps`."""

    def __init__(self, wire: AsyncWire) -> None:
        self.wire = wire
        self.answer: httpx.Response | None = None
        self.lines: AsyncIterator[str] | None = None

    async def tried(self, step: Step) -> tuple[Any, Exception | None]:
        try:
            return await self.done(step), None
        except httpx.RequestError as error:
            return None, error

    async def done(self, step: Step) -> Any:
        match step:
            case Send():
                await self.close()
                request = request_of(self.wire.http, self.wire.way, step)
                answer = await self.wire.http.send(request, stream=step.streamed)
                if step.streamed and answer.is_success:
                    self.answer, self.lines = answer, answer.aiter_lines()
                elif step.streamed:
                    await answer.aread()
                return answer
            case Line():
                return await anext(self.lines, None) if self.lines is not None else None
            case Sleep():
                await asyncio.sleep(step.seconds)
            case Tell():
                told = step.callback(step.value)
                if inspect.isawaitable(told):
                    await told
        return None

    async def close(self) -> None:
        if self.answer is not None:
            with suppress(httpx.RequestError):
                await self.answer.aclose()
            self.answer = None


def _on(flow: Flow[Any], value: Any, error: Exception | None) -> Step:
    """The flow's next step after what came of the last."""
    return flow.send(value) if error is None else flow.throw(error)
