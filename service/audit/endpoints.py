"""`/v1/audit`, for administrators."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BeforeValidator

from service.audit import repository, service
from service.audit.schemas import Action, AuditEntry
from service.db.rows import AuditRow
from service.deps import Collection, MayAdmin, Reading, ThePage, newest_first
from service.requests import StrictRoute

router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=StrictRoute)

ACTOR_PATTERN = r"^(key_[0-9A-HJKMNP-TV-Z]{26}|local|console)$"
SUBJECT_PATTERN = r"^[A-Za-z0-9_@:-]{1,200}$"

ActorFilter = Annotated[str | None, Query(pattern=ACTOR_PATTERN, description="Only by this key, `local` or `console`.")]
ActionFilter = Annotated[list[Action], Query(description="Only these actions.")]
SubjectFilter = Annotated[str | None, Query(pattern=SUBJECT_PATTERN, description="Only what was done to this.")]


def _moment(text: object) -> object:
    """The text of a moment, not a number of seconds, which the validator behind would take too."""
    if isinstance(text, str) and not re.match(r"\d{4}-\d{2}-\d{2}[T ]", text, re.ASCII):
        raise ValueError("give a moment as RFC 3339 does, such as 2026-11-26T06:00:00Z")
    return text


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
Since = Annotated[Moment | None, Query(description="Only from this moment on (RFC 3339).")]
Until = Annotated[Moment | None, Query(description="Only before this moment (RFC 3339).")]


@router.get("", response_model=Collection[AuditEntry])
def list_audit(
    session: Reading,
    page: ThePage,
    caller: MayAdmin,
    actor: ActorFilter = None,
    action: ActionFilter = [],  # noqa: B006
    subject: SubjectFilter = None,
    since: Since = None,
    until: Until = None,
) -> dict[str, Any]:
    """Who changed what, newest first: submitted, promoted, judged, deleted, and keys made, rotated and revoked."""
    query = repository.matching(actor, action, subject, since, until)
    rows, cursor = newest_first(session, query, AuditRow, page)
    return {"items": [service.shown(row) for row in rows], "next_cursor": cursor}
