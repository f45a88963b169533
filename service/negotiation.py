"""Which of the forms a resource is offered in the client asked for (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request

from service.errors import ApiError


def choose(request: Request, offered: Sequence[str]) -> str:
    """The offered media type that `Accept` ranks highest, the first of equals; ApiError 406 if it takes none."""
    accept = ",".join(request.headers.getlist("accept")) or "*/*"
    ranges = [_range(part) for part in accept.split(",") if part.strip()]
    best = max(offered, key=lambda media_type: _quality(media_type, ranges))
    if _quality(best, ranges) <= 0:
        raise ApiError("not-acceptable", f"This is offered as {', '.join(offered)}.")
    return best


def _range(part: str) -> tuple[str, float]:
    media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                quality = float(parameter.removeprefix("q="))
            except ValueError:
                quality = 0.0
    return media_range, quality


def _quality(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The quality of the most specific range that covers the type; 0 if none does."""
    kind = media_type.partition("/")[0]
    found = dict(reversed(ranges))
    for candidate in (media_type, f"{kind}/*", "*/*"):
        if candidate in found:
            return found[candidate]
    return 0.0
