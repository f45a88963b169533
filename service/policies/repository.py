"""Queries on policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import Session, defer

from service.db.rows import AliasRow, InstanceRow, JobRow, PolicyRow, RecommendationRow
from service.ids import is_id


@dataclass(frozen=True)
class PolicyKey:
    """What names one policy version, without its card."""

    id: str
    name: str
    version: int
    artifact_digest: str


def _named(query: Any, ref: str) -> Any:
    """The query narrowed to what `ref` (an id, a name, name:version or name@alias) means."""
    if is_id(ref):
        return query.where(PolicyRow.id == ref)
    name, _, alias = ref.partition("@")
    if alias:
        return query.where(PolicyRow.id == _aliased(name, alias))
    name, _, version = ref.partition(":")
    query = query.where(PolicyRow.name == name)
    if version:
        return query.where(PolicyRow.version == int(version))
    return query.order_by(PolicyRow.version.desc()).limit(1)


def _aliased(name: str, alias: str) -> Any:
    """The id of the version an alias names, as a subquery."""
    wanted = (AliasRow.policy_name == name, AliasRow.alias == alias)
    return select(AliasRow.policy_id).where(*wanted).scalar_subquery()


def ids_meant(ref: str) -> Select[Any]:
    """The ids of all versions a reference may mean: a bare name means every version of it."""
    if is_id(ref) or ":" in ref or "@" in ref:
        return select(PolicyRow.id).where(PolicyRow.id == _named(select(PolicyRow.id), ref).scalar_subquery())
    return select(PolicyRow.id).where(PolicyRow.name == ref)


def by_ref(session: Session, ref: str) -> PolicyRow | None:
    """The policy a reference means; a bare name is its newest version."""
    row: PolicyRow | None = session.scalar(_named(select(PolicyRow), ref))
    return row


def key_by_ref(session: Session, ref: str) -> PolicyKey | None:
    """As `by_ref`, reading only the key."""
    columns = select(PolicyRow.id, PolicyRow.name, PolicyRow.version, PolicyRow.artifact_digest)
    found = session.execute(_named(columns, ref)).one_or_none()
    return PolicyKey(*tuple(found)) if found is not None else None


def likely_keys(session: Session, limit: int) -> list[PolicyKey]:
    """The keys of the policies most likely asked: those in use, then the newest."""
    columns = select(PolicyRow.id, PolicyRow.name, PolicyRow.version, PolicyRow.artifact_digest)
    ranked = columns.order_by(_in_use().desc(), PolicyRow.id.desc()).limit(limit)
    return [PolicyKey(*tuple(found)) for found in session.execute(ranked)]


def _in_use() -> Any:
    """Whether some alias names the policy."""
    return exists().where(AliasRow.policy_id == PolicyRow.id)


def matching(
    name: str | None, problem: str | None, instance_id: str | None, solver: str | None, in_use: bool | None = None
) -> Select[Any]:
    """The query for policies of a name, a problem, an instance, a solver, in use or not; cards stay in the database."""
    query = select(PolicyRow).options(defer(PolicyRow.card))
    if in_use is not None:
        query = query.where(_in_use() if in_use else ~_in_use())
    wanted = ((PolicyRow.name, name), (PolicyRow.problem, problem), (PolicyRow.instance_id, instance_id))
    for column, value in (*wanted, (PolicyRow.solver, solver)):
        if value is not None:
            query = query.where(column == value)
    return query


def aliases_of(session: Session, policy_ids: Sequence[str]) -> dict[str, list[str]]:
    """Policy id → the aliases that name it, in their order."""
    found: dict[str, list[str]] = {policy_id: [] for policy_id in policy_ids}
    columns = select(AliasRow.policy_id, AliasRow.alias).where(AliasRow.policy_id.in_(policy_ids))
    for policy_id, alias in session.execute(columns.order_by(AliasRow.alias)):
        found[policy_id].append(alias)
    return found


def proved_of(session: Session, policy_ids: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """What certificates say in a word, per policy, without reading the cards whole."""
    # A card is read from end to end for every path looked up in it, so what holds both numbers is taken out once.
    own = select(PolicyRow.id, PolicyRow.card["certificate"].label("certificate")).where(PolicyRow.id.in_(policy_ids))
    taken = own.cte("certificates").prefix_with("MATERIALIZED")
    cost = taken.c.certificate[("policy", "mean_cost_per_stage")].as_float()
    rows = session.execute(select(taken.c.id, cost, taken.c.certificate["gap"].as_float()))
    return {row[0]: {"mean_cost_per_stage": row[1], "gap": row[2]} for row in rows}


def last_asked(session: Session, policy_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Policy id → its latest recommendation: id, time and outcome."""
    newest = select(func.max(RecommendationRow.id)).where(RecommendationRow.policy_id == PolicyRow.id)
    latest = select(newest.scalar_subquery()).where(PolicyRow.id.in_(policy_ids))
    row = RecommendationRow
    columns = select(row.policy_id, row.id, row.created_at, row.outcome).where(row.id.in_(latest))
    return {
        policy_id: {"id": found, "created_at": at, "outcome": (outcome or {}).get("outcome", "pending")}
        for policy_id, found, at, outcome in session.execute(columns)
    }


def instance_name(session: Session, instance_id: str) -> dict[str, str]:
    """Id, name and digest of an instance that exists."""
    columns = select(InstanceRow.name, InstanceRow.digest).where(InstanceRow.id == instance_id)
    name, digest = session.execute(columns).one()
    return {"id": instance_id, "name": name, "digest": digest}


def used_by(session: Session, policy_id: str) -> list[str]:
    """What kinds of record need the policy."""
    unfinished = JobRow.finished_at.is_(None) & (JobRow.warm_start == policy_id)
    kinds = {
        "recommendations": RecommendationRow.policy_id == policy_id,
        "aliases": AliasRow.policy_id == policy_id,
        "an unfinished job": unfinished,
    }
    return [kind for kind, condition in kinds.items() if session.scalar(select(exists().where(condition)))]
