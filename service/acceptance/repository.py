"""Queries on acceptance tests and their verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, defer

from service.db.rows import AcceptanceTestRow, AcceptanceVerdictRow, PolicyRow


def by_id(session: Session, test_id: str) -> AcceptanceTestRow | None:
    """The acceptance test with that id."""
    return session.get(AcceptanceTestRow, test_id)


def of_name(name: str) -> Select[Any]:
    """The query for the acceptance tests of a policy's name."""
    return select(AcceptanceTestRow).where(AcceptanceTestRow.policy_name == name)


def add(session: Session, row: AcceptanceTestRow | AcceptanceVerdictRow) -> None:
    """Insert a test or a verdict."""
    session.add(row)
    session.flush()


def newest_version(session: Session, name: str) -> PolicyRow | None:
    """The newest version of a policy's name."""
    return session.scalar(select(PolicyRow).where(PolicyRow.name == name).order_by(PolicyRow.version.desc()).limit(1))


def latest_verdicts(
    session: Session, test_ids: Sequence[str]
) -> dict[str, list[tuple[AcceptanceVerdictRow, PolicyRow]]]:
    """Test id → the latest verdict on every version, newest version first."""
    row = AcceptanceVerdictRow
    latest = select(func.max(row.id)).where(row.test_id.in_(test_ids)).group_by(row.test_id, row.policy_id)
    joined = select(row, PolicyRow).join(PolicyRow, PolicyRow.id == row.policy_id).options(defer(PolicyRow.card))
    found: dict[str, list[tuple[AcceptanceVerdictRow, PolicyRow]]] = {test_id: [] for test_id in test_ids}
    for verdict, policy in session.execute(joined.where(row.id.in_(latest)).order_by(PolicyRow.version.desc())):
        found[verdict.test_id].append((verdict, policy))
    return found


def last_verdict(session: Session, test_id: str, policy_id: str) -> AcceptanceVerdictRow | None:
    """The latest verdict of a test on one version."""
    row = AcceptanceVerdictRow
    query = select(row).where(row.test_id == test_id, row.policy_id == policy_id)
    return session.scalar(query.order_by(row.id.desc()).limit(1))
