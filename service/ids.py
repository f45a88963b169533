"""Identifiers: ULIDs with a three-letter prefix, checked before they touch a query or a path."""

from __future__ import annotations

import re
import secrets
import threading
import time
from typing import Literal

Prefix = Literal[
    "ins", "job", "pol", "evl", "rec", "scn", "acc", "vdt", "als", "key", "aud", "out", "idm", "wrk", "req"
]

ID_PATTERN = r"^[a-z]{3}_[0-9A-HJKMNP-TV-Z]{26}$"
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
REF_PATTERN = (
    r"^([a-z]{3}_[0-9A-HJKMNP-TV-Z]{26}|[a-z0-9][a-z0-9_-]{0,62}(:[1-9][0-9]{0,8}|@[a-z0-9][a-z0-9_-]{0,62})?)$"
)
"""A policy: its id, its name (the newest version), `name:3` or `name@alias`."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_RANDOM_BITS = 80
_ID = re.compile(r"[a-z]{3}_[0-9A-HJKMNP-TV-Z]{26}")
_lock = threading.Lock()
_last = 0


def new_id(prefix: Prefix) -> str:
    """A fresh identifier. Those made by one process sort in the order they were made."""
    global _last
    with _lock:
        value = (time.time_ns() // 1_000_000 << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
        # Within one millisecond (or when the clock steps back) count up from the last one, as the ULID text asks.
        _last = value if value >> _RANDOM_BITS > _last >> _RANDOM_BITS else _last + 1
        value = _last
    return prefix + "_" + "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])


def is_id(text: str, prefix: Prefix | None = None) -> bool:
    """Whether `text` is an identifier (of that prefix)."""
    return _ID.fullmatch(text) is not None and (prefix is None or text.startswith(prefix + "_"))
