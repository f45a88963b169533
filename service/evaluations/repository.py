"""Queries on evaluations."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, defer

from service.db.rows import EvaluationRow


def by_id(session: Session, evaluation_id: str) -> EvaluationRow | None:
    """The evaluation with that id, its paths left in the database until asked for."""
    return session.scalar(
        select(EvaluationRow).where(EvaluationRow.id == evaluation_id).options(defer(EvaluationRow.paths))
    )


def matching(instance_id: str | None, job_id: str | None) -> Select[Any]:
    """The query for evaluations on an instance or by a job; documents are left in the database."""
    query = select(EvaluationRow).options(defer(EvaluationRow.body), defer(EvaluationRow.paths))
    if instance_id is not None:
        query = query.where(EvaluationRow.instance_id == instance_id)
    if job_id is not None:
        query = query.where(EvaluationRow.job_id == job_id)
    return query
