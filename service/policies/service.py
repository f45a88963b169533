"""Rules of policies: found by reference, shown as cards, kept while the audit trail needs them."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from service.db.rows import PolicyRow
from service.errors import ApiError, not_found
from service.policies import repository
from service.policies.repository import PolicyKey
from service.policies.schemas import PolicySummary

_SHOWN = tuple(PolicySummary.model_fields)


def get(session: Session, ref: str) -> PolicyRow:
    """The policy a reference means; ApiError 404."""
    row = repository.by_ref(session, ref)
    if row is None:
        raise not_found("policy", ref)
    return row


def get_key(session: Session, ref: str) -> PolicyKey:
    """The key of the policy a reference means; ApiError 404."""
    key = repository.key_by_ref(session, ref)
    if key is None:
        raise not_found("policy", ref)
    return key


def summary(row: PolicyRow) -> dict[str, Any]:
    """What a list shows of a policy."""
    return {name: getattr(row, name) for name in _SHOWN}


def card(session: Session, row: PolicyRow) -> dict[str, Any]:
    """A policy's card: what training recorded, under what the row says for certain."""
    return {**row.card, **summary(row), "instance": repository.instance_name(session, row.instance_id)}


def delete(session: Session, ref: str) -> str:
    """Delete one policy version and say its id; ApiError 404, or 409 while something needs it."""
    row = get(session, ref)
    users = repository.used_by(session, row.id)
    if users:
        raise ApiError("in-use", f"The policy is needed by {' and '.join(users)}.", used_by=users)
    session.delete(row)
    session.flush()
    return row.id
