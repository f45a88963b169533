"""`/v1/keys`, for administrators."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import event
from sqlalchemy.orm import Session
from starlette.responses import Response

from service.audit.service import note
from service.db.rows import ApiKeyRow, utcnow
from service.deps import Collection, KeyId, MayAdmin, Reading, ThePage, Writing, newest_first
from service.errors import ApiError, field_error, not_found
from service.jobs.schemas import seconds_of
from service.keys import repository, service
from service.keys.memory import KnownKeys
from service.keys.schemas import KeyBody, KeyCreated, KeyView, RotateBody
from service.requests import StrictRoute

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=StrictRoute)

_LONGEST = timedelta(days=365 * 100)


@router.post("", status_code=201, response_model=KeyCreated)
def create_key(body: KeyBody, caller: MayAdmin, session: Writing) -> Response:
    """Make a key. Its secret is in this answer alone, so there is no `Idempotency-Key` that could replay it."""
    expires_in = _duration("/expires_in", body.expires_in)
    made = service.create(session, body.name, body.scopes, expires_in, body.requests_per_minute)
    note(session, caller, "key.made", made.id, name=made.name, scopes=list(made.scopes))
    return _answer(session, made, 201, {"Location": f"/v1/keys/{made.id}"})


@router.post("/{key_id}/rotate", response_model=KeyCreated)
def rotate_key(key_id: KeyId, body: RotateBody, request: Request, caller: MayAdmin, session: Writing) -> Response:
    """Give a key another secret, shown in this answer alone; the old one works for the overlap. 409 during another."""
    overlap, expires_in = _duration("/overlap", body.overlap), _duration("/expires_in", body.expires_in)
    try:
        made = service.rotate(session, key_id, overlap, expires_in)
    except service.TwoSecrets as error:
        detail = f"The key was rotated already: {error}. An `overlap` of null ends that one now."
        raise ApiError("conflict", detail) from None
    if made is None:
        raise not_found("valid key", key_id)
    note(session, caller, "key.rotated", made.id, name=made.name, overlap=body.overlap)
    forget_after_commit(session, request.app.state.known_keys, key_id)
    return _answer(session, made, 200)


def _answer(session: Session, made: service.NewKey, status: int, headers: dict[str, str] | None = None) -> Response:
    row = repository.by_id(session, made.id)
    assert row is not None
    view = KeyCreated(secret=made.secret, **service.shown(row, utcnow()))
    return Response(view.model_dump_json(), status, headers, "application/json")


def _duration(pointer: str, duration: str | None) -> timedelta | None:
    if duration is None:
        return None
    seconds = seconds_of(duration)
    if seconds > _LONGEST.total_seconds():
        raise field_error(pointer, f"The longest is P{_LONGEST.days}D.")
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
def revoke_key(key_id: KeyId, request: Request, caller: MayAdmin, session: Writing) -> None:
    """Revoke a key: it is refused from now on, and stays in the list. A key does not revoke itself."""
    if key_id == caller.key_id:
        raise ApiError("conflict", "This is the key you came with: revoke it with another, or with `herenow keys`.")
    row = _standing(session, key_id)
    service.revoke(session, row.id)
    note(session, caller, "key.revoked", row.id, name=row.name)
    forget_after_commit(session, request.app.state.known_keys, key_id)


def forget_after_commit(session: Session, known: KnownKeys, key_id: str) -> None:
    """Let a key be looked up anew once what changed of it is committed."""
    event.listen(session, "after_commit", lambda _: known.forget(key_id), once=True)


def _standing(session: Session, key_id: str) -> ApiKeyRow:
    """A key that is not revoked; ApiError 404."""
    row = repository.by_id(session, key_id)
    if row is None or row.revoked_at is not None:
        raise not_found("key", key_id)
    return row
