"""Who sends a request, and what their scopes allow."""

from __future__ import annotations

from dataclasses import dataclass

SCOPES = ("read", "plan", "train", "admin")
_IMPLIED = {"read": {"read"}, "plan": {"read", "plan"}, "train": {"read", "train"}, "admin": set(SCOPES)}


@dataclass(frozen=True)
class Caller:
    """Who sent a request: the key's id, or `local` for embedded mode's only user, or `console` for the command line."""

    owner: str
    key_id: str | None
    scopes: frozenset[str]
    name: str = "local"  # the key's name
    request_id: str | None = None  # of the request they come with
    requests_per_minute: int | None = None  # the key's own limit

    def may(self, scope: str) -> bool:
        """Whether the scopes include this one, directly or through a wider one."""
        return any(scope in _IMPLIED[own] for own in self.scopes)


LOCAL = Caller("local", None, frozenset(SCOPES))
