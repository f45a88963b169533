"""The service itself: who may use it, how it is, who works for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from .. import calls
from ..calls import Call, Duration, duration, given
from ..operations import Room, W, listing, operation
from ..record import Page
from ..records import (
    AuditEntry,
    KeyCreated,
    KeyView,
    Limits,
    Live,
    ProblemType,
    Queue,
    Ready,
    StorageUsed,
    Version,
    WorkerView,
)


class Keys(Room[W]):
    """API keys; for administrators."""

    @operation
    def create(
        self,
        name: str,
        scopes: Sequence[Literal["read", "plan", "train", "admin"]],
        *,
        expires_in: Duration | Literal["never"] | None = None,
        requests_per_minute: int | None = None,
    ) -> Call[KeyCreated]:
        """Make a key, valid for a year if nothing else is said.

        Its secret is in this answer alone, so a lost answer is not asked for again: make another.
        """
        body = given({"name": name, "scopes": [*scopes], "requests_per_minute": requests_per_minute})
        return calls.once("/v1/keys", KeyCreated, body | _span("expires_in", expires_in))

    @operation
    def rotate(
        self, key_id: str, *, overlap: Duration | Literal["never"] | None = None, expires_in: Duration | None = None
    ) -> Call[KeyCreated]:
        """Give a key another secret, in this answer alone. The old one works for the overlap: a day, or `never`."""
        body = given({"expires_in": duration(expires_in)}) | _span("overlap", overlap)
        return calls.once("/v1/keys/{key_id}/rotate", KeyCreated, body, key_id=key_id)

    @listing
    def list(self, *, page_size: int | None = None, cursor: str | None = None) -> Call[Page[KeyView]]:
        """Every key, without its secret."""
        return calls.get("/v1/keys", Page[KeyView], {"limit": page_size, "cursor": cursor})

    @operation
    def get(self, key_id: str) -> Call[KeyView]:
        """One key."""
        return calls.get("/v1/keys/{key_id}", KeyView, key_id=key_id)

    @operation
    def revoke(self, key_id: str) -> Call[None]:
        """End a key now."""
        return calls.delete("/v1/keys/{key_id}", key_id=key_id)


def _span(name: str, value: Duration | None) -> dict[str, str | None]:
    """A time span that may be left out, or said to be none."""
    return given({name: duration(value)}) if value != "never" else {name: None}


class Audit(Room[W]):
    """Who changed what; for administrators."""

    @listing
    def list(
        self,
        *,
        actor: str | None = None,
        action: Sequence[str] | None = None,
        subject: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> Call[Page[AuditEntry]]:
        """The changes, newest first; times are timezone-aware."""
        moments = {name: at and at.isoformat() for name, at in (("since", since), ("until", until))}
        query = {"actor": actor, "action": action, "subject": subject, **moments}
        return calls.get("/v1/audit", Page[AuditEntry], query | {"limit": page_size, "cursor": cursor})


class System(Room[W]):
    """Health, limits, queue, workers, storage, metrics, types of problem documents."""

    @operation
    def live(self) -> Call[Live]:
        """Whether the process answers."""
        return calls.get("/healthz/live", Live)

    @operation
    def ready(self) -> Call[Ready]:
        """Whether it can do its work."""
        return calls.get("/healthz/ready", Ready)

    @operation
    def version(self) -> Call[Version]:
        """Which release answers."""
        return calls.get("/v1/version", Version)

    @operation
    def limits(self) -> Call[Limits]:
        """What the service bounds."""
        return calls.get("/v1/limits", Limits)

    @operation
    def queue(self) -> Call[Queue]:
        """How many jobs wait and run."""
        return calls.get("/v1/queue", Queue)

    @operation
    def storage(self) -> Call[StorageUsed]:
        """What the service's files take."""
        return calls.get("/v1/storage", StorageUsed)

    @operation
    def metrics(self) -> Call[str]:
        """Figures for Prometheus."""
        return Call("GET", "/metrics", calls.text)

    @listing
    def workers(self, *, page_size: int | None = None, cursor: str | None = None) -> Call[Page[WorkerView]]:
        """The workers that told of themselves lately."""
        return calls.get("/v1/workers", Page[WorkerView], {"limit": page_size, "cursor": cursor})

    @operation
    def problem_types(self) -> Call["list[ProblemType]"]:
        """The types of problem documents: what `Refused.slug` may be."""
        return calls.get("/problems", list[ProblemType])

    @operation
    def problem_type(self, slug: str) -> Call[ProblemType]:
        """One type."""
        return calls.get("/problems/{slug}", ProblemType, slug=slug)
