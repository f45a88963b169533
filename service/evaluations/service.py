"""Rules of evaluations: asked for as jobs, kept as documents."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from service.db.rows import EvaluationRow
from service.errors import not_found
from service.evaluations import repository


def get(session: Session, evaluation_id: str) -> EvaluationRow:
    """The evaluation; ApiError 404."""
    row = repository.by_id(session, evaluation_id)
    if row is None:
        raise not_found("evaluation", evaluation_id)
    return row


def summary(row: EvaluationRow) -> dict[str, Any]:
    """What a list shows of an evaluation."""
    return {"id": row.id, "instance_id": row.instance_id, "job_id": row.job_id, "created_at": row.created_at}
