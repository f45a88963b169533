"""Every answer that is not a success: RFC 9457 problem documents, one registry of their types.

Raise `ApiError(slug, detail)` anywhere below an endpoint; the handlers installed by `install` turn it, and everything
the framework, the validators and the database may raise, into `application/problem+json`. No document ever repeats a
value that came in, so a non-finite number cannot be echoed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, IntegrityError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from models.core import InvalidInput, Issue, place_in, pointer
from service import storage
from service.db.patience import AWAY, is_full
from service.headers import ALWAYS
from service.problem_types import KINDS, STATUS_KINDS
from service.redaction import redacted

log = logging.getLogger(__name__)

MAX_ERRORS = 50  # entries of `errors` in one document
MAX_DETAIL = 400  # characters of one detail


@dataclass(frozen=True)
class FieldError:
    """One field that is wrong: JSON Pointer below `where` (body, query, path or header), and what is wrong with it."""

    pointer: str
    detail: str
    where: str = "body"

    def document(self) -> dict[str, str]:
        """The entry of a problem document's `errors`."""
        return {"pointer": redacted(self.pointer), "in": self.where, "detail": _short(self.detail)}


class ApiError(HTTPException):
    """A refusal of a known type (`service.problem_types.KINDS`), with the fields at fault and extra members."""

    def __init__(
        self,
        slug: str,
        detail: str,
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        self.slug = slug
        self.errors = list(errors)
        self.members = members
        super().__init__(KINDS[slug].status, detail, dict(headers) if headers else None)


class ProblemResponse(JSONResponse):
    """A problem document on the wire."""

    media_type = "application/problem+json"


def problem(slug: str, detail: str, errors: Sequence[FieldError] = (), **members: Any) -> dict[str, Any]:
    """A problem document of a known type; also what a job keeps as its `error`."""
    kind = KINDS[slug]
    document: dict[str, Any] = {
        "type": f"/problems/{slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": _short(detail),
    }
    if errors:
        document["errors"] = [error.document() for error in errors[:MAX_ERRORS]]
    return document | members


def respond(
    request: Request,
    slug: str,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> ProblemResponse:
    """The response for one request: the document with `instance` (the path asked for) and `request_id`."""
    where = request.scope.get("raw_path", b"").decode("ascii", "replace") or request.url.path
    request_id = request.scope.get("herenow.request_id")
    request.scope["herenow.problem"] = slug  # for the measures
    members = {"instance": redacted(where), **({"request_id": request_id} if request_id else {}), **members}
    if where.startswith("/v2"):
        members["error"] = _short(detail)  # where clients of the Open Inference Protocol look
    body = problem(slug, detail, errors, **members)
    return ProblemResponse(body, body["status"], headers=dict(headers) if headers else None)


def not_found(what: str, name: str) -> ApiError:
    """404 for one resource of a kind."""
    return ApiError("not-found", f"There is no {what} {name!r}.")


def invalid(issues: Iterable[Issue], prefix: str = "") -> ApiError:
    """422 from a document's broken rules; pointers are moved below `prefix`."""
    errors = [FieldError(prefix + issue.pointer, issue.detail) for issue in issues]
    return ApiError("invalid-input", _summary(errors), errors)


def field_error(where: str, detail: str, inside: str = "body") -> ApiError:
    """422 for one field, by its JSON Pointer."""
    return ApiError("invalid-input", f"{where or inside}: {detail}", [FieldError(where, detail, inside)])


def install(app: FastAPI) -> None:
    """Install the handlers; nothing the application raises leaves as anything but a problem document."""
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.add_exception_handler(Exception, _on_crash)


def response_to(request: Request, error: Exception) -> Response:
    """The problem document that tells of `error`, for what answers outside the framework's routes."""
    handler = next((handler for kind, handler in _HANDLERS.items() if isinstance(error, kind)), _on_crash)
    return handler(request, error)


def _on_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return respond(request, error.slug, error.detail, error.errors, error.headers, **error.members)


def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    slug = STATUS_KINDS.get(error.status_code, "bad-request" if error.status_code < 500 else "internal")
    detail = KINDS[slug].meaning if error.detail in (None, KINDS[slug].title) else str(error.detail)
    headers = dict(error.headers or {})
    if error.status_code == 404:
        detail = "Nothing is at this path."
    elif error.status_code == 405:
        detail = f"{request.method} is not offered here."
        headers["Allow"] = ", ".join(request.app.state.methods(request.url.path)) or headers.get("Allow", "")
    return respond(request, slug, detail, headers=headers)


def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = field_errors(error.errors(), error.body)
    return respond(request, "invalid-input", _summary(errors), errors)


def _on_invalid_input(request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidInput)
    refusal = invalid(error.issues)
    return respond(request, refusal.slug, refusal.detail, refusal.errors)


def _on_integrity(request: Request, error: Exception) -> Response:
    log.info("a concurrent change won: %s", type(error.__cause__).__name__)
    return respond(request, "conflict", "Another request changed what this one needs; look again and repeat.")


def _on_database(request: Request, error: Exception) -> Response:
    if isinstance(error, DBAPIError) and is_full(error):
        return _no_room(request)
    log.warning("database not available: %s", error.__class__.__name__)
    return respond(request, "busy", "The database did not answer in time.", headers={"Retry-After": "1"})


def _on_disk(request: Request, error: Exception) -> Response:
    if not storage.is_full(error):
        raise error  # a crash like any other
    return _no_room(request)


def _no_room(request: Request) -> Response:
    log.error("the disk is full")
    return respond(request, "storage-full", storage.NO_ROOM, headers={"Retry-After": "30"})


def _on_crash(request: Request, error: Exception) -> Response:
    log.error("unhandled error", exc_info=error, extra={"request_id": request.scope.get("herenow.request_id")})
    # The server's outermost layer sends this one, outside the layer that adds these headers to all others.
    request_id = request.scope.get("herenow.request_id")
    headers = {**ALWAYS, **({"X-Request-Id": request_id} if request_id else {})}
    return respond(request, "internal", "The request could not be served; the fault is ours.", headers=headers)


_HANDLERS: dict[type[Exception], Callable[[Request, Exception], Response]] = {
    ApiError: _on_api_error,
    HTTPException: _on_http,
    RequestValidationError: _on_validation,
    InvalidInput: _on_invalid_input,
    IntegrityError: _on_integrity,
    **dict.fromkeys(AWAY, _on_database),
    OSError: _on_disk,
}


def field_errors(entries: Iterable[Mapping[str, Any]], body: Any = None) -> list[FieldError]:
    """Field errors from a validator's entries: locations become JSON Pointers into the body, or parameter names."""
    found: list[FieldError] = []
    for entry in entries:
        where, *rest = entry["loc"] or ("body",)
        if entry["type"] in ("union_tag_invalid", "union_tag_not_found"):
            rest.append(entry["ctx"]["discriminator"].strip("'"))
        if entry["type"] == "rules":
            prefix = pointer(*rest)
            found += [FieldError(prefix + i.pointer, i.detail) for i in entry["ctx"]["issues"]]
        elif where == "body":
            is_missing = entry["type"] in ("missing", "union_tag_invalid", "union_tag_not_found")
            found.append(FieldError(pointer(*place_in(body, rest, is_missing)), entry["msg"]))
        else:
            found.append(FieldError(pointer(*rest), entry["msg"], "header" if where == "cookie" else str(where)))
    return found


def _summary(errors: Sequence[FieldError]) -> str:
    if not errors:
        return "The request is not valid."
    first = f"{errors[0].pointer or errors[0].where}: {errors[0].detail}"
    return first if len(errors) == 1 else f"{first} (and {len(errors) - 1} more)"


def _short(text: str) -> str:
    text = redacted(text)
    return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 1] + "…"
