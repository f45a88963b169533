"""Rules of policies: found by reference, shown as cards, kept while the audit trail needs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from service.db.rows import PolicyRow
from service.errors import ApiError, not_found
from service.policies import repository
from service.policies.repository import PolicyKey
from service.policies.schemas import PolicySummary

_OF_OTHERS = ("aliases", "last_recommendation", "mean_cost_per_stage", "gap")
_SHOWN = tuple(name for name in PolicySummary.model_fields if name not in _OF_OTHERS)


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


def summaries(session: Session, rows: Sequence[PolicyRow]) -> list[dict[str, Any]]:
    """What a list shows of policies."""
    ids = [row.id for row in rows]
    aliases, asked = repository.aliases_of(session, ids), repository.last_asked(session, ids)
    proved = repository.proved_of(session, ids)
    return [
        {name: getattr(row, name) for name in _SHOWN}
        | {"aliases": aliases[row.id], "last_recommendation": asked.get(row.id), **proved[row.id]}
        for row in rows
    ]


def card(session: Session, row: PolicyRow) -> dict[str, Any]:
    """A policy's card: what training recorded, under what the row says for certain."""
    (summary,) = summaries(session, [row])
    return {**row.card, **summary, "instance": repository.instance_name(session, row.instance_id)}


def delete(session: Session, ref: str) -> PolicyKey:
    """Delete one policy version and say which; ApiError 404, or 409 while something needs it."""
    row = get(session, ref)
    users = repository.used_by(session, row.id)
    if users:
        raise ApiError("in-use", f"The policy is needed by {' and '.join(users)}.", used_by=users)
    session.delete(row)
    session.flush()
    return PolicyKey(row.id, row.name, row.version, row.artifact_digest)
