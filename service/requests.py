"""How a body is read: strictly, within its size, in time, and only when it says it is JSON.

Every router of the service uses `StrictRoute`; the framework's own size limits (`max_body_size`) work below it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.responses import Response

from models.core import pointer
from service.deps import caller_of
from service.errors import ApiError, field_error
from service.strict_json import parse

_JSON_TYPES = ("application/json",)


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

        async def strict(request: Request) -> Response:
            if takes_body:
                await caller_of(request)  # nobody unknown makes the service read and parse a body
                _check_media_type(request)
            return await handle(StrictRequest(request.scope, request.receive))

        return strict


@dataclass(frozen=True)
class Form:
    """A multipart body: words by field, files by part; each name once."""

    words: Mapping[str, str]
    files: Mapping[str, bytes]


async def read_form(request: Request, max_parts: int = 20) -> Form:
    """The multipart body of a request.

    ApiError 415 for another media type, 400 for one that cannot be read, 422 for a part named twice or a word that is
    not UTF-8. Files are read into memory, which the body's limit bounds; nothing of them reaches the disk by name.
    """
    _check_encoding(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        detail = "Send the files as `Content-Type: multipart/form-data`, as `curl -F` does."
        raise ApiError("unsupported-media-type", detail, headers={"Accept": "multipart/form-data"})
    await request.body()
    try:
        parts = await request.form(max_files=max_parts, max_fields=max_parts)
    except (MultiPartException, HTTPException) as error:
        raise ApiError("bad-request", f"The multipart body cannot be read: {error}.") from None
    except (UnicodeDecodeError, LookupError):
        raise ApiError("bad-request", "The multipart body is not UTF-8.") from None
    words: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for name, part in parts.multi_items():
        if name in words or name in files:
            raise field_error(pointer(name), "is given twice")
        if isinstance(part, UploadFile):
            files[name] = await part.read()
        else:
            words[name] = part
    await parts.close()
    return Form(words, files)


def _check_encoding(request: Request) -> None:
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        detail = "Send the body as it is: this service undoes no `Content-Encoding`."
        raise ApiError("unsupported-media-type", detail, headers={"Accept-Encoding": "identity"})


def _check_media_type(request: Request) -> None:
    _check_encoding(request)
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if media_type.strip().lower() not in _JSON_TYPES or charset not in ("", "utf-8", "utf8"):
        detail = "Send the body as `Content-Type: application/json` (UTF-8)."
        raise ApiError("unsupported-media-type", detail, headers={"Accept": "application/json"})
