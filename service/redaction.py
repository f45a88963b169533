"""What must never reach a log: keys, and passwords inside addresses. A line passes here last before it is written."""

from __future__ import annotations

import re

KEY_PREFIX = "hnk_"
_KEY = re.compile(r"hnk_[A-Za-z0-9_-]{6,}")
_PASSWORD = re.compile(r"(?<=://)([^\s:/@]*):[^\s/]+(?=@)")
_BEARER = re.compile(r"(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_HIDDEN = "***"


def redacted(text: str) -> str:
    """The text with API keys, passwords in addresses and credentials of an `Authorization` header hidden."""
    if KEY_PREFIX in text:
        text = _KEY.sub(KEY_PREFIX + _HIDDEN, text)
    if "://" in text:
        text = _PASSWORD.sub(rf"\1:{_HIDDEN}", text)
    return _BEARER.sub(rf"\1{_HIDDEN}", text)
