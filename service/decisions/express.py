"""The short way for the request that comes most: one small, plain `recommend`.

It does what the route in `endpoints` does, with the same parts, and answers the same. What it leaves out is the
framework's search for the route and its dependencies, which cost several times what deciding costs, and a thread for
each request: requests go through `Batches`. Every request that is in any way unusual (another media type, options, a
large body, a policy that is not ready) takes the ordinary way, and so is refused there, in one place.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import dataclass
from types import SimpleNamespace

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.decisions import asked
from service.decisions.asked import Asked
from service.decisions.batches import Batches, TakeOrdinaryWay, busy
from service.decisions.service import LARGE, Recommendation
from service.deps import allow, caller_of
from service.errors import ApiError, response_to
from service.idempotency import KEY_PATTERN, Once
from service.ids import REF_PATTERN
from service.requests import StrictRequest
from service.settings import Settings
from service.strict_json import parse

MOST_STATES = 64  # in one request; more are a batch by themselves
ROUTE = SimpleNamespace(path="/v1/policies/{ref}/recommend")  # what metrics call it

_PATH = re.compile(r"/v1/policies/([^/]+)/recommend")
_REF = re.compile(REF_PATTERN)
_KEY = re.compile(KEY_PATTERN)
_MAY_PLAN = allow("plan")
_USUAL = {
    b"content-type": (b"application/json", b"application/json; charset=utf-8"),
    b"accept": (b"*/*", b"application/json", b"application/json, */*", b"application/json, text/plain, */*"),
    b"content-encoding": (),
    b"transfer-encoding": (),
    b"expect": (),
}


@dataclass(frozen=True)
class _Plain:
    """What the head of a plain request says."""

    ref: str
    key: str | None


class Express:
    """The middleware, inside the gate: plain requests are answered here, all others passed on."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._max_states = min(settings.max_states, MOST_STATES)
        self._max_length = min(settings.max_batch_bytes, LARGE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a plain request, or pass it on."""
        plain = self._plain(scope)
        if plain is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = ROUTE
        request = StrictRequest(scope, receive)
        body: bytes | None = None
        try:
            batches: Batches = scope["app"].state.batches
            if batches.is_full:  # refused before any work is spent on it
                raise busy()
            caller = await _MAY_PLAN(await caller_of(request))
            body = await request.body()
            wanted = self._wanted(body)
            once = Once(request, plain.key) if plain.key is not None else None
            with once.claimed(caller.owner) if once is not None else nullcontext():
                found = await batches.recommend(plain.ref, wanted, body, caller.owner, once)
        except TakeOrdinaryWay:
            await self.app(scope, receive if body is None else _again(body, receive), send)
        except ClientDisconnect:
            return
        except Exception as error:
            await response_to(request, error)(scope, receive, send)
        else:
            answer = found if isinstance(found, Response) else _response(found)
            await answer(scope, receive, send)

    def _plain(self, scope: Scope) -> _Plain | None:
        """The request's head, if there is nothing unusual about it."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["query_string"] or scope["root_path"]:
            return None
        path = _PATH.fullmatch(scope["path"])
        if path is None or not _REF.fullmatch(path[1]):
            return None
        given: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in given or (name in _USUAL and value.lower() not in _USUAL[name]):
                return None
            given[name] = value
        length, key = given.get(b"content-length", b""), given.get(b"idempotency-key")
        if b"content-type" not in given or not length.isdigit() or not 0 < int(length) <= self._max_length:
            return None
        if key is not None and not _KEY.fullmatch(key.decode("latin-1")):
            return None
        return _Plain(path[1], None if key is None else key.decode("latin-1"))

    def _wanted(self, body: bytes) -> Asked:
        """What is asked; what needs more than a decision takes the ordinary way, and so does what is wrong."""
        document = parse(body)
        try:
            wanted = asked.read(document, self._max_states)
        except ApiError:
            raise TakeOrdinaryWay from None
        if wanted.explain or wanted.figures or wanted.form == "columns":
            raise TakeOrdinaryWay
        return wanted


def _again(body: bytes, receive: Receive) -> Receive:
    """The request's messages again, its body in one."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _response(found: Recommendation) -> Response:
    return Response(found.encoded, media_type="application/json")
