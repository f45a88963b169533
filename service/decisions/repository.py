"""Queries on recommendations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, insert, select
from sqlalchemy.orm import Session, defer

from service.db.rows import PolicyRow, RecommendationRow
from service.policies.repository import ids_meant


def add(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Insert records, each the columns of one, in one statement."""
    if rows:
        session.execute(insert(RecommendationRow.__table__), rows)  # type: ignore[arg-type]


def by_id(session: Session, recommendation_id: str, lock: bool = False) -> RecommendationRow | None:
    """The recommendation with that id."""
    return session.get(RecommendationRow, recommendation_id, with_for_update=lock or None)


def matching(policy_id: str | None, policy: str | None, outcome: str | None) -> Select[Any]:
    """The query for recommendations of a version, of what a reference means, or with an outcome.

    Documents are left in the database.
    """
    row = RecommendationRow
    query = select(row).options(defer(row.request), defer(row.response), defer(row.archive))
    if policy_id is not None:
        query = query.where(row.policy_id == policy_id)
    if policy is not None:
        query = query.where(row.policy_id.in_(ids_meant(policy)))
    if outcome in ("pending", "none"):
        query = query.where(row.outcome_at.is_(None))
    elif outcome is not None:
        query = query.where(row.outcome["outcome"].as_string() == outcome)
    return query


def policies_of(session: Session, rows: Sequence[RecommendationRow]) -> dict[str, dict[str, Any]]:
    """Policy id → the name, version and problem of the policies that answered."""
    row = PolicyRow
    columns = select(row.id, row.name, row.version, row.problem)
    found = session.execute(columns.where(row.id.in_({asked.policy_id for asked in rows})))
    return {
        id_: {"id": id_, "name": name, "version": version, "problem": problem} for id_, name, version, problem in found
    }
