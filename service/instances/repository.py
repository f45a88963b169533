"""Queries on instances."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, defer

from service.db.rows import (
    AcceptanceTestRow,
    EvaluationRow,
    InstanceRow,
    JobInstanceRow,
    JobRow,
    PolicyRow,
    ScenarioSetRow,
)


def by_id(session: Session, instance_id: str) -> InstanceRow | None:
    """The instance with that id."""
    return session.get(InstanceRow, instance_id)


def by_digest(session: Session, digest: str) -> InstanceRow | None:
    """The instance with that content."""
    return session.scalar(select(InstanceRow).where(InstanceRow.digest == digest))


def matching(problem: str | None, name: str | None, part: str | None = None) -> Select[Any]:
    """The query for instances of a problem, of a name, with a part in their name, or all; bodies stay behind."""
    query = select(InstanceRow).options(defer(InstanceRow.body))
    if problem is not None:
        query = query.where(InstanceRow.problem == problem)
    if name is not None:
        query = query.where(InstanceRow.name == name)
    if part is not None:
        query = query.where(InstanceRow.name.contains(part, autoescape=True))
    return query


def used_by(session: Session, instance_id: str) -> list[str]:
    """What kinds of record refer to the instance."""
    columns = {
        "jobs": (JobRow.instance_id, JobInstanceRow.instance_id),
        "policies": (PolicyRow.instance_id,),
        "evaluations": (EvaluationRow.instance_id,),
        "scenario sets": (ScenarioSetRow.instance_id,),
        "acceptance tests": (AcceptanceTestRow.instance_id,),
    }

    def refers(column: Any) -> bool:
        return session.scalar(select(column).where(column == instance_id).limit(1)) is not None

    return [kind for kind, places in columns.items() if any(refers(column) for column in places)]
