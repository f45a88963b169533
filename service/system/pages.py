"""The pages behind the `type` of every problem document."""

from __future__ import annotations

from html import escape
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from service.errors import not_found
from service.ids import NAME_PATTERN
from service.problem_types import KINDS, Kind
from service.requests import StrictRoute
from service.system.schemas import ProblemType

router = APIRouter(tags=["service"], route_class=StrictRoute)

_HTML: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/html": {"schema": {"type": "string"}}}, "description": "As JSON, or as a page."}
}


@router.get("/problems", response_model=list[ProblemType], responses=_HTML)
def problem_types(request: Request) -> Response:
    """Every type of problem document this service answers."""
    if not _wants_page(request):
        return JSONResponse([_document(kind) for kind in KINDS.values()])
    rows = "".join(
        f'<li><a href="/problems/{kind.slug}">{kind.slug}</a> ({kind.status}): {escape(kind.title)}</li>'
        for kind in KINDS.values()
    )
    return _page("Problem types", f"<ul>{rows}</ul>")


@router.get("/problems/{slug}", response_model=ProblemType, responses=_HTML)
def problem_type(
    request: Request, slug: Annotated[str, Path(pattern=NAME_PATTERN, description="Last part of a document's `type`.")]
) -> Response:
    """What one type of problem document means."""
    kind = KINDS.get(slug)
    if kind is None:
        raise not_found("problem type", slug)
    if not _wants_page(request):
        return JSONResponse(_document(kind))
    return _page(kind.title, f"<p>Status {kind.status}, type <code>/problems/{slug}</code>.</p>{_paragraph(kind)}")


def _document(kind: Kind) -> dict[str, object]:
    return {"type": f"/problems/{kind.slug}", "title": kind.title, "status": kind.status, "meaning": kind.meaning}


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _paragraph(kind: Kind) -> str:
    return f'<p>{escape(kind.meaning)}</p><p><a href="/problems">All types</a></p>'


def _page(title: str, body: str) -> HTMLResponse:
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
    return HTMLResponse(f"{head}<h1>{escape(title)}</h1>{body}</html>")
