"""Queries on recommendations."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, defer

from service.db.rows import RecommendationRow


def by_id(session: Session, recommendation_id: str, lock: bool = False) -> RecommendationRow | None:
    """The recommendation with that id."""
    return session.get(RecommendationRow, recommendation_id, with_for_update=lock or None)


def matching(policy_id: str | None, outcome: str | None) -> Select[Any]:
    """The query for recommendations of a policy or with an outcome; documents are left in the database."""
    row = RecommendationRow
    query = select(row).options(defer(row.request), defer(row.response), defer(row.archive))
    if policy_id is not None:
        query = query.where(row.policy_id == policy_id)
    if outcome == "none":
        query = query.where(row.outcome_at.is_(None))
    elif outcome is not None:
        query = query.where(row.outcome["outcome"].as_string() == outcome)
    return query
