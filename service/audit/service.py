"""Writing the audit log, and what is kept of it.

An entry is written in the transaction of the change it tells of: there is neither a change without one nor an entry
without its change. The database refuses to change an entry, and to delete one younger than `KEPT_AT_LEAST`.
"""

from __future__ import annotations

import getpass
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from service.audit import repository
from service.audit.schemas import Action
from service.db.rows import AuditRow, utcnow
from service.ids import new_id
from service.keys.callers import SCOPES, Caller

KEPT_AT_LEAST = timedelta(days=30)  # the triggers of migration 0008 say the same


def note(session: Session, caller: Caller, action: Action, subject: str, **detail: Any) -> None:
    """Say in this transaction that `caller` did `action` to `subject`."""
    row = AuditRow(
        id=new_id("aud"),
        actor=caller.owner,
        actor_name=caller.name,
        action=action,
        subject=subject,
        detail=detail,
        request_id=caller.request_id,
    )
    repository.add(session, row)


def console() -> Caller:
    """Who works on the database by the command line: the user of the operating system."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        name = "unknown"
    return Caller("console", None, frozenset(SCOPES), name[:63])


def shown(row: AuditRow) -> dict[str, Any]:
    """An entry as the API shows it."""
    names = ("id", "actor", "actor_name", "action", "subject", "detail", "request_id")
    return {"at": row.created_at, **{name: getattr(row, name) for name in names}}


def prunable(session: Session, older_than: timedelta) -> int:
    """Number of entries older than that; ValueError below `KEPT_AT_LEAST`."""
    return repository.count_before(session, utcnow() - _kept(older_than))


def prune(session: Session, older_than: timedelta) -> int:
    """Delete entries older than that, and say so in the log; how many. ValueError below `KEPT_AT_LEAST`."""
    gone = repository.delete_before(session, utcnow() - _kept(older_than))
    if gone:
        note(session, console(), "audit.pruned", "audit", entries=gone, older_than_days=older_than.days)
    return gone


def _kept(older_than: timedelta) -> timedelta:
    if older_than < KEPT_AT_LEAST:
        raise ValueError(f"the audit log is kept for at least {KEPT_AT_LEAST.days} days")
    return older_than
