"""Queries on policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, exists, select
from sqlalchemy.orm import Session, defer

from service.db.rows import InstanceRow, JobRow, PolicyRow, RecommendationRow
from service.ids import is_id


@dataclass(frozen=True)
class PolicyKey:
    """What names one policy version, without its card."""

    id: str
    name: str
    version: int
    artifact_digest: str


def _named(query: Any, ref: str) -> Any:
    """The query narrowed to what `ref` (an id, a name, or name:version) means."""
    if is_id(ref):
        return query.where(PolicyRow.id == ref)
    name, _, version = ref.partition(":")
    query = query.where(PolicyRow.name == name)
    if version:
        return query.where(PolicyRow.version == int(version))
    return query.order_by(PolicyRow.version.desc()).limit(1)


def by_ref(session: Session, ref: str) -> PolicyRow | None:
    """The policy a reference means; a bare name is its newest version."""
    row: PolicyRow | None = session.scalar(_named(select(PolicyRow), ref))
    return row


def key_by_ref(session: Session, ref: str) -> PolicyKey | None:
    """As `by_ref`, reading only the key."""
    columns = select(PolicyRow.id, PolicyRow.name, PolicyRow.version, PolicyRow.artifact_digest)
    found = session.execute(_named(columns, ref)).one_or_none()
    return PolicyKey(*tuple(found)) if found is not None else None


def newest_keys(session: Session, limit: int) -> list[PolicyKey]:
    """The keys of the newest policies."""
    columns = select(PolicyRow.id, PolicyRow.name, PolicyRow.version, PolicyRow.artifact_digest)
    return [PolicyKey(*tuple(found)) for found in session.execute(columns.order_by(PolicyRow.id.desc()).limit(limit))]


def matching(name: str | None, problem: str | None, instance_id: str | None, solver: str | None) -> Select[Any]:
    """The query for policies of a name, a problem, an instance or a solver; cards are left in the database."""
    query = select(PolicyRow).options(defer(PolicyRow.card))
    wanted = ((PolicyRow.name, name), (PolicyRow.problem, problem), (PolicyRow.instance_id, instance_id))
    for column, value in (*wanted, (PolicyRow.solver, solver)):
        if value is not None:
            query = query.where(column == value)
    return query


def instance_name(session: Session, instance_id: str) -> dict[str, str]:
    """Id, name and digest of an instance that exists."""
    columns = select(InstanceRow.name, InstanceRow.digest).where(InstanceRow.id == instance_id)
    name, digest = session.execute(columns).one()
    return {"id": instance_id, "name": name, "digest": digest}


def used_by(session: Session, policy_id: str) -> list[str]:
    """What kinds of record need the policy."""
    unfinished = JobRow.finished_at.is_(None) & (JobRow.warm_start == policy_id)
    kinds = {"recommendations": RecommendationRow.policy_id == policy_id, "an unfinished job": unfinished}
    return [kind for kind, condition in kinds.items() if session.scalar(select(exists().where(condition)))]
