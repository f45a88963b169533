"""Rules of instances: typed by their problem, stored once per content, kept while anything refers to them."""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.core import Instance, InvalidInput, Issue, Problem
from models.registry import problems
from service.db.rows import InstanceRow
from service.errors import ApiError, not_found
from service.ids import new_id
from service.instances import repository


def parse(document: object) -> Instance:
    """The typed instance of a document; `InvalidInput` names every field at fault."""
    return problem_of(document).parse(document)


def problem_of(document: object) -> Problem:
    """The problem that a document names; `InvalidInput` if it names none that is known."""
    if not isinstance(document, dict):
        raise InvalidInput([Issue("type", "error", "", "An instance is a JSON object.")])
    name, known = document.get("problem"), problems()
    if not isinstance(name, str) or name not in known:
        detail = f"Name one of the problems this service knows: {', '.join(sorted(known))}."
        raise InvalidInput([Issue("unknown_problem", "error", "/problem", detail)])
    return known[name]


def remarks(instance: Instance) -> list[Issue]:
    """What is unusual in a valid instance."""
    return [issue for issue in instance.rules() if issue.severity != "error"]


def issues(document: object) -> list[Issue]:
    """Everything wrong with, or unusual in, a document."""
    try:
        return remarks(parse(document))
    except InvalidInput as error:
        return error.issues


def store(session: Session, instance: Instance) -> tuple[InstanceRow, bool]:
    """The row of this content, and whether it was made now."""
    digest = instance.digest
    found = repository.by_digest(session, digest)
    if found is not None:
        return found, False
    row = InstanceRow(
        id=new_id("ins"), digest=digest, problem=instance.problem, name=instance.name, body=instance.document()
    )
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:  # another request stored the same content between the look and the insert
        found = repository.by_digest(session, digest)
        if found is None:
            raise
        return found, False
    return row, True


def get(session: Session, instance_id: str) -> InstanceRow:
    """The instance; ApiError 404."""
    row = repository.by_id(session, instance_id)
    if row is None:
        raise not_found("instance", instance_id)
    return row


def delete(session: Session, instance_id: str) -> None:
    """Delete an instance nothing refers to; ApiError 404 or 409."""
    row = get(session, instance_id)
    users = repository.used_by(session, instance_id)
    if users:
        raise ApiError("in-use", f"The instance is used by {' and '.join(users)}.", used_by=users)
    session.delete(row)
    session.flush()


def summary(row: InstanceRow) -> dict[str, Any]:
    """What is shown of a row without its document."""
    return {
        "id": row.id,
        "problem": row.problem,
        "name": row.name,
        "digest": row.digest,
        "created_at": row.created_at,
    }
