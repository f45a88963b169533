"""Queries on recommendations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, insert, select, union_all
from sqlalchemy.orm import Session, defer

from service.db.rows import PolicyRow, RecommendationRow
from service.deps import Page, newest_first
from service.policies.repository import ids_meant

MOST_MERGED = 200  # policies of one name whose newest recommendations are looked up one by one


def add(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Insert records, each the columns of one, in one statement."""
    if rows:
        session.execute(insert(RecommendationRow.__table__), rows)  # type: ignore[arg-type]


def by_id(session: Session, recommendation_id: str, lock: bool = False) -> RecommendationRow | None:
    """The recommendation with that id."""
    return session.get(RecommendationRow, recommendation_id, with_for_update=lock or None)


def page(
    session: Session, policy_id: str | None, policy: str | None, outcome: str | None, wanted: Page
) -> tuple[list[RecommendationRow], str | None]:
    """A page of the recommendations of a version, of what a reference means, or with an outcome, and the next cursor.

    Documents are left in the database.
    """
    row = RecommendationRow
    conditions: list[ColumnElement[bool]] = []
    if policy_id is not None:
        conditions.append(row.policy_id == policy_id)
    if outcome is not None:
        conditions.append(row.judgement == ("pending" if outcome == "none" else outcome))
    if policy is not None:
        conditions.append(_by_any(list(session.scalars(ids_meant(policy))), conditions, wanted))
    documents = (defer(row.request), defer(row.response), defer(row.archive))
    return newest_first(session, select(row).options(*documents).where(*conditions), row, wanted)


def _by_any(policy_ids: Sequence[str], others: Sequence[ColumnElement[bool]], wanted: Page) -> ColumnElement[bool]:
    """That one of these policies answered, for a page: the newest of each are found by the index, then merged."""
    row = RecommendationRow
    if len(policy_ids) == 1:
        return row.policy_id == policy_ids[0]
    if not 0 < len(policy_ids) <= MOST_MERGED:
        return row.policy_id.in_(policy_ids)
    before = [*others, row.id < wanted.cursor] if wanted.cursor is not None else others
    newest = [
        select(row.id).where(row.policy_id == policy_id, *before).order_by(row.id.desc()).limit(wanted.limit + 1)
        for policy_id in policy_ids
    ]
    return row.id.in_(union_all(*(select(query.subquery()) for query in newest)))


def policies_of(session: Session, rows: Sequence[RecommendationRow]) -> dict[str, dict[str, Any]]:
    """Policy id → the name, version and problem of the policies that answered."""
    row = PolicyRow
    columns = select(row.id, row.name, row.version, row.problem)
    found = session.execute(columns.where(row.id.in_({asked.policy_id for asked in rows})))
    return {
        id_: {"id": id_, "name": name, "version": version, "problem": problem} for id_, name, version, problem in found
    }
