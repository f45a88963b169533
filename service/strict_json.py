"""JSON bodies as this service takes them: RFC 8259 in UTF-8, and no more.

`parse` refuses NaN and ±Infinity, numbers beyond a double's range (1e999), lone surrogates, NUL characters, duplicate
keys and deep nesting, and names the place. The good path costs a few passes at C speed over the bytes plus the standard
library's C scanner: what can only be wrong where a rare byte pattern occurs (an exponent of three digits, a `\\u`
escape) is looked at only there. Places are searched for in a second, slow pass that only bad input pays.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from models.core import pointer
from service.collector import collector_paused
from service.errors import ApiError, FieldError

MAX_DEPTH = 64
MAX_DIGITS = 300  # of one integer: a double ends at 309
MAX_NAMED = 20  # places named in one refusal
LARGE = 2**18  # bytes from which the garbage collector is paused

_DELTA = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
# Digits and the point become 0, E becomes e: then an exponent of three digits reads e000 or e+000 whatever it says.
_SHAPE = bytes.maketrans(b"123456789.E", b"0000000000e")
_LONG = b"0" * 200
_DOUBTFUL_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


class _Refused(ValueError):
    """The good path met something this service does not take; the slow path finds where."""


class _Bad:
    """Stands in the slow path's document where something is not taken."""

    def __init__(self, detail: str) -> None:
        self.detail = detail


def parse(body: bytes) -> Any:
    """The document, or `ApiError`: 400 for what is not JSON, 422 with pointers for what is not taken."""
    text = _decode(body)
    if _depth(body) > MAX_DEPTH:
        raise ApiError("invalid-json", f"The body is nested deeper than {MAX_DEPTH} levels.")
    decoder = _careful if _has_long_numbers(body) else _quick
    try:
        with collector_paused(len(body) > LARGE):
            document = decoder.decode(text)
        if _DOUBTFUL_ESCAPE.search(body) and next(_bad_strings(document), None):
            raise _Refused
    except json.JSONDecodeError as error:
        if "control character" in error.msg and "\0" in text:
            raise _located(text) from None
        place = f"line {error.lineno}, column {error.colno}"
        raise ApiError("invalid-json", f"{error.msg} at {place}.") from None
    except RecursionError:
        raise ApiError("invalid-json", f"The body is nested deeper than {MAX_DEPTH} levels.") from None
    except _Refused:
        raise _located(text) from None
    return document


def _decode(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ApiError("invalid-json", f"The body is not UTF-8: byte {error.start} cannot be read.") from None


def _depth(body: bytes) -> int:
    """Deepest nesting of brackets outside strings; exact for JSON text, without parsing it."""
    brackets = body.translate(None, _NOT_BRACKETS)
    if brackets.count(b"[") + brackets.count(b"{") <= MAX_DEPTH:
        return 0
    if b"\\" in body:  # an escaped backslash first, then an escaped quote: what is left of either ends no string
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(body.translate(None, _NOT_STRUCTURE).split(b'"')[::2])
    return max(accumulate(map(_DELTA.__getitem__, outside)), default=0)


def _has_long_numbers(body: bytes) -> bool:
    """Whether a number might leave a double's range: a three-digit positive exponent, or hundreds of digits."""
    shape = body.translate(_SHAPE)
    return b"0e000" in shape or b"0e+000" in shape or _LONG in shape


def _refuse(literal: str) -> Any:
    raise _Refused


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Refused
    return members


def _finite(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise _Refused
    return value


def _bounded(literal: str) -> int:
    if len(literal) > MAX_DIGITS:
        raise _Refused
    return int(literal)


_quick = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)
_careful = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite, parse_int=_bounded)


def _is_bad(text: str) -> bool:
    return "\0" in text or (not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text))


def _bad_strings(document: Any) -> Iterator[str]:
    stack = [document]
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            if _is_bad(value):
                yield value
        elif isinstance(value, dict):
            stack += value.keys()
            stack += value.values()
        elif isinstance(value, list):
            stack += value


def _mark_float(literal: str) -> Any:
    value = float(literal)
    return value if math.isfinite(value) else _Bad("is beyond the range of a double")


def _mark_int(literal: str) -> Any:
    return int(literal) if len(literal) <= MAX_DIGITS else _Bad(f"has more than {MAX_DIGITS} digits")


def _mark_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        members[key] = _Bad("is given more than once") if key in members else value
    return members


_marking = json.JSONDecoder(
    object_pairs_hook=_mark_duplicates,
    parse_constant=lambda literal: _Bad("is not a finite number"),
    parse_float=_mark_float,
    parse_int=_mark_int,
    strict=False,  # a raw NUL in a string is then met, and named, like an escaped one
)


def _located(text: str) -> ApiError:
    """The refusal that names every place (up to `MAX_NAMED`) with something not taken."""
    try:
        document = _marking.decode(text)
    except (ValueError, RecursionError):
        return ApiError("invalid-json", "The body is not JSON, and holds values that are not taken.")
    found: list[FieldError] = []
    stack: list[tuple[tuple[str | int, ...], Any]] = [((), document)]
    while stack and len(found) < MAX_NAMED:
        path, value = stack.pop()
        if isinstance(value, _Bad):
            found.append(FieldError(pointer(*path), value.detail))
        elif isinstance(value, str) and _is_bad(value):
            found.append(FieldError(pointer(*path), "holds a NUL character or a lone surrogate"))
        elif isinstance(value, dict):
            for key, member in reversed(value.items()):
                if _is_bad(key):
                    found.append(FieldError(pointer(*path), "has a key with a NUL character or a lone surrogate"))
                else:
                    stack.append(((*path, key), member))
        elif isinstance(value, list):
            stack += [((*path, place), member) for place, member in reversed(list(enumerate(value)))]
    first = found[0]
    return ApiError("invalid-input", f"{first.pointer or 'the body'} {first.detail}.", found)
