"""How a body is read: strictly, within its size, in time, and only when it says it is JSON.

Every router of the service uses `StrictRoute`; the framework's own size limits (`max_body_size`) work below it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from service.deps import caller_of
from service.errors import ApiError
from service.strict_json import parse

_JSON_TYPES = ("application/json",)
_UNTYPED = "/v2/"  # clients of the Open Inference Protocol send their JSON without saying so


class StrictRequest(Request):
    """A request whose JSON is read by `service.strict_json`."""

    async def body(self) -> bytes:
        """The body; `ApiError` 408 if it stays incomplete, as it does when Content-Length promises too much."""
        limit = self.app.state.settings.body_seconds
        try:
            async with asyncio.timeout(limit):
                return await super().body()
        except TimeoutError:
            detail = f"The body was not complete after {limit:g} s; does Content-Length tell its true size?"
            raise ApiError("request-timeout", detail, headers={"Connection": "close"}) from None

    async def json(self) -> Any:
        """The body as a document, parsed once."""
        if not hasattr(self, "_json"):
            self._json = parse(await self.body())
        return self._json


class StrictRoute(APIRoute):
    """A route that reads bodies through `StrictRequest` and refuses other media types with 415."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler behind the strict request."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None
        may_be_untyped = self.path.startswith(_UNTYPED)

        async def strict(request: Request) -> Response:
            if takes_body:
                await caller_of(request)  # nobody unknown makes the service read and parse a body
                check_media_type(request, may_be_untyped)
            return await handle(StrictRequest(request.scope, request.receive))

        return strict


def check_encoding(request: Request) -> None:
    """ApiError 415 for a body that is compressed or otherwise encoded."""
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        detail = "Send the body as it is: this service undoes no `Content-Encoding`."
        raise ApiError("unsupported-media-type", detail, headers={"Accept-Encoding": "identity"})


def check_media_type(request: Request, may_be_untyped: bool = False) -> None:
    """ApiError 415 for a body that does not say it is JSON in UTF-8, as it is."""
    check_encoding(request)
    if may_be_untyped and "content-type" not in request.headers:
        request.scope["headers"] = [*request.scope["headers"], (b"content-type", b"application/json")]
        return
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if media_type.strip().lower() not in _JSON_TYPES or charset not in ("", "utf-8", "utf8"):
        detail = "Send the body as `Content-Type: application/json` (UTF-8)."
        raise ApiError("unsupported-media-type", detail, headers={"Accept": "application/json"})
