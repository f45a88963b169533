"""Headers of every answer: what a browser may do with it. Pages with scripts state a wider policy of their own.

They are worked out once and as bytes, for they go on every answer of the good path.
"""

from __future__ import annotations

from collections.abc import Iterable

POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
}

_RAW = [(name.lower().encode(), value.encode()) for name, value in ALWAYS.items()]


def complete(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers with those of every answer that they do not state themselves."""
    stated = list(headers)
    names = {name for name, _ in stated}
    return stated + [pair for pair in _RAW if pair[0] not in names]
