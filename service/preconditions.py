"""Conditional changes (RFC 9110, section 13): whoever changes a shared thing says which state of it they have seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header

from service.errors import ApiError

_ANY = "*"


@dataclass(frozen=True)
class Precondition:
    """What must be true of the resource before it is changed: the tags named by `If-Match` and `If-None-Match`."""

    match: tuple[str, ...] | None
    none_match: tuple[str, ...] | None

    def check(self, current: str | None) -> None:
        """ApiError 412 unless the state `current` (a tag without quotes; None: it does not exist) is the one meant."""
        if self.match is not None and (current is None or not {current, _ANY} & set(self.match)):
            detail = "It was changed since you looked." if current else "It does not exist (any more)."
            raise ApiError("precondition-failed", f"{detail} Read it again and decide anew.")
        if self.none_match is not None and current is not None and {current, _ANY} & set(self.none_match):
            raise ApiError("precondition-failed", "It exists already. Read it and send its ETag as `If-Match`.")


def tag(value: str) -> str:
    """The value of an `ETag` header."""
    return f'"{value}"'


async def _required(
    if_match: Annotated[
        str | None, Header(description="The `ETag` of the state you have seen; `*` for whatever stands there.")
    ] = None,
    if_none_match: Annotated[str | None, Header(description="`*`: only if there is none yet.")] = None,
) -> Precondition:
    if if_match is None and if_none_match is None:
        detail = "Send `If-Match` with the ETag you have seen, or `If-None-Match: *` for something new."
        raise ApiError("precondition-required", detail)
    return Precondition(_tags(if_match), _tags(if_none_match))


def _tags(header: str | None) -> tuple[str, ...] | None:
    """The tags of a header without their quotes; one that is not quoted as a tag is, matches nothing."""
    if header is None:
        return None
    parts = (part.strip() for part in header.split(","))
    return tuple(
        part if part == _ANY else part[1:-1] if len(part) > 1 and part[0] == part[-1] == '"' else "" for part in parts
    )


Required = Annotated[Precondition, Depends(_required)]
"""The request's precondition; ApiError 428 for a request without one."""
