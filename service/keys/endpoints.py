"""`/v1/keys`, for administrators."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.responses import Response

from service.db.rows import ApiKeyRow, utcnow
from service.deps import Collection, KeyId, MayAdmin, Reading, ThePage, Writing, newest_first
from service.errors import ApiError, field_error, not_found
from service.jobs.schemas import seconds_of
from service.keys import repository, service
from service.keys.schemas import KeyBody, KeyCreated, KeyView
from service.requests import StrictRoute

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=StrictRoute)

_LONGEST = timedelta(days=365 * 100)


@router.post("", status_code=201, response_model=KeyCreated)
def create_key(body: KeyBody, caller: MayAdmin, session: Writing) -> Response:
    """Make a key. Its secret is in this answer alone, so there is no `Idempotency-Key` that could replay it."""
    made = service.create(session, body.name, body.scopes, _validity(body.expires_in))
    row = repository.by_id(session, made.id)
    assert row is not None
    view = KeyCreated(secret=made.secret, **service.shown(row, utcnow()))
    return Response(view.model_dump_json(), 201, {"Location": f"/v1/keys/{made.id}"}, "application/json")


def _validity(duration: str | None) -> timedelta | None:
    if duration is None:
        return None
    seconds = seconds_of(duration)
    if seconds > _LONGEST.total_seconds():
        raise field_error("/expires_in", f"The longest is P{_LONGEST.days}D; null means until it is revoked.")
    return timedelta(seconds=seconds)


@router.get("", response_model=Collection[KeyView])
def list_keys(caller: MayAdmin, session: Reading, page: ThePage) -> dict[str, Any]:
    """Every key ever made, newest first, without secrets."""
    rows, cursor = newest_first(session, repository.everything(), ApiKeyRow, page)
    now = utcnow()
    return {"items": [service.shown(row, now) for row in rows], "next_cursor": cursor}


@router.get("/{key_id}", response_model=KeyView)
def get_key(key_id: KeyId, caller: MayAdmin, session: Reading) -> dict[str, Any]:
    """One key that is not revoked, without its secret."""
    return service.shown(_standing(session, key_id), utcnow())


@router.delete("/{key_id}", status_code=204)
def revoke_key(key_id: KeyId, caller: MayAdmin, session: Writing) -> None:
    """Revoke a key: it is refused from now on, and stays in the list. A key does not revoke itself."""
    if key_id == caller.key_id:
        raise ApiError("conflict", "This is the key you came with: revoke it with another, or with `herenow keys`.")
    service.revoke(session, _standing(session, key_id).id)


def _standing(session: Session, key_id: str) -> ApiKeyRow:
    """A key that is not revoked; ApiError 404."""
    row = repository.by_id(session, key_id)
    if row is None or row.revoked_at is not None:
        raise not_found("key", key_id)
    return row
