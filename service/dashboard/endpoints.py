"""`/` and `/docs` for a browser, and the files their pages load.

Files live under an address that holds the digest of them all: a browser keeps them for good, and a new release is a new
address. The pages themselves are never kept.
"""

from __future__ import annotations

import functools
import secrets
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from service.dashboard.files import File, Site, read_site
from service.errors import not_found
from service.requests import StrictRoute
from service.version import VERSION

router = APIRouter(tags=["service"], route_class=StrictRoute)

# The charting library writes `style` attributes into its tooltips, as the reference does, hence style-src-attr; scripts
# and style sheets come from this server alone and nothing is evaluated.
_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; "
    "style-src-elem 'self' 'nonce-{nonce}'; style-src-attr 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FOR_GOOD = "public, max-age=31536000, immutable"

_site = functools.cache(read_site)


@router.get("/", include_in_schema=False)
async def root(request: Request) -> Response:
    """The dashboard for a browser; for anything else, where to go from here."""
    if "text/html" not in request.headers.get("accept", ""):
        places = {"openapi": "/openapi.json", "documentation": "/docs", "problems": "/v1/problems"}
        return JSONResponse({"name": "herenow", "version": VERSION, **places})
    return _page("index.html")


@router.get("/docs", include_in_schema=False)
async def docs() -> Response:
    """The API's reference: the OpenAPI document in a viewer of our own files."""
    return _page("docs.html")


def _page(name: str) -> Response:
    """A page whose scripts and styles are this server's, or carry this answer's nonce."""
    nonce = secrets.token_urlsafe(16)
    headers = {"Content-Security-Policy": _POLICY.format(nonce=nonce)}
    return Response(_site().page(name, nonce), media_type="text/html", headers=headers)


@router.get("/favicon.ico", include_in_schema=False)
async def icon() -> Response:
    """The icon, for browsers that ask without reading the page."""
    return RedirectResponse(f"/dashboard/{_site().digest}/icon.svg")


@router.get("/dashboard/{digest}/{name:path}", include_in_schema=False)
async def file(request: Request, digest: str, name: Annotated[str, Path(max_length=200)]) -> Response:
    """One of the page's files."""
    site: Site = _site()
    found = site.files.get(name)
    if found is None or digest != site.digest:
        raise not_found("file of the dashboard", name)
    return _answer(found, "gzip" in request.headers.get("accept-encoding", ""))


def _answer(found: File, may_pack: bool) -> Response:
    headers = {"Cache-Control": _FOR_GOOD, "Vary": "Accept-Encoding"}
    packed = found.packed if may_pack else None
    if packed is not None:
        headers["Content-Encoding"] = "gzip"
    return Response(packed or found.content, media_type=found.media_type, headers=headers)
