"""The rules of aliases: they name a version that exists, and nobody changes one on stale knowledge."""

from __future__ import annotations

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.acceptance import service as acceptance
from service.db.rows import AliasRow, PolicyRow, utcnow
from service.deployments import repository
from service.deployments.schemas import AliasBody, AliasView, Deployed
from service.errors import field_error, not_found
from service.ids import new_id
from service.preconditions import Precondition


def listed(session: Session, name: str) -> list[AliasView]:
    """The aliases of a policy's name; ApiError 404 if no policy has it."""
    require_name(session, name)
    return [view(alias, policy) for alias, policy in repository.of_name(session, name)]


def get(session: Session, name: str, alias: str) -> AliasView:
    """One alias; ApiError 404."""
    row = repository.get(session, name, alias)
    if row is None:
        raise not_found("alias", f"{name}@{alias}")
    return view(row, repository.policy(session, row.policy_id))


def put(
    session: Session, name: str, alias: str, body: AliasBody, precondition: Precondition, owner: str
) -> tuple[AliasView, bool]:
    """Let an alias name a version; the alias, and whether it is new.

    ApiError 404 for an unknown name, 412 if the alias is not in the state the caller has seen, 422 for a version that
    does not exist, 409 for one that has not passed the acceptance tests that guard the alias.
    """
    require_name(session, name)
    row = repository.get(session, name, alias, lock=True)
    precondition.check(row.etag if row is not None else None)
    policy = repository.version(session, name, body.version)
    if policy is None:
        raise field_error("/version", f"{name!r} has no version {body.version}.")
    if row is None or row.policy_id != policy.id:
        acceptance.require_passed(session, name, alias, policy)
    changes = {"policy_id": policy.id, "note": body.note, "updated_by": owner}
    is_new = row is None
    row = _insert(session, name, alias, precondition, changes) if row is None else _update(session, row, changes)
    return view(row, policy), is_new


def _insert(
    session: Session, name: str, alias: str, precondition: Precondition, changes: dict[str, str | None]
) -> AliasRow:
    row = AliasRow(policy_name=name, alias=alias, etag=new_id("als"), updated_at=utcnow(), **changes)
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:  # another request set the alias, or deleted the policy, since we looked
        found = repository.get(session, name, alias)
        precondition.check(found.etag if found is not None else None)
        raise
    return row


def _update(session: Session, row: AliasRow, changes: dict[str, str | None]) -> AliasRow:
    for column, value in changes.items():
        setattr(row, column, value)
    row.etag, row.updated_at = new_id("als"), utcnow()
    session.flush()
    return row


def delete(session: Session, name: str, alias: str, precondition: Precondition) -> None:
    """Delete an alias; ApiError 404, or 412 if it is not in the state the caller has seen."""
    row = repository.get(session, name, alias, lock=True)
    if row is None:
        raise not_found("alias", f"{name}@{alias}")
    precondition.check(row.etag)
    session.delete(row)
    session.flush()


def require_name(session: Session, name: str) -> None:
    """ApiError 404 unless some policy has the name."""
    if not repository.is_name(session, name):
        raise not_found("policy", name)


def view(row: AliasRow, policy: PolicyRow) -> AliasView:
    """What is shown of an alias."""
    shown = {name: getattr(policy, name) for name in Deployed.model_fields if name != "digest"}
    return AliasView(
        policy_name=row.policy_name,
        alias=row.alias,
        policy=Deployed(digest=policy.artifact_digest, **shown),
        note=row.note,
        etag=row.etag,
        updated_at=row.updated_at,
        updated_by=row.updated_by,
    )
