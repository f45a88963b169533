"""Queries on aliases."""

from __future__ import annotations

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, defer

from service.db.rows import AliasRow, PolicyRow


def of_name(session: Session, name: str) -> list[tuple[AliasRow, PolicyRow]]:
    """The aliases of a policy's name with the versions they name, by alias."""
    joined = select(AliasRow, PolicyRow).join(PolicyRow, PolicyRow.id == AliasRow.policy_id)
    joined = joined.options(defer(PolicyRow.card))
    rows = session.execute(joined.where(AliasRow.policy_name == name).order_by(AliasRow.alias))
    return [(alias, policy) for alias, policy in rows]


def get(session: Session, name: str, alias: str, lock: bool = False) -> AliasRow | None:
    """The alias as the database has it now; with `lock`, nobody else changes it before this transaction ends."""
    return session.get(AliasRow, (name, alias), populate_existing=True, with_for_update=lock or None)


def is_name(session: Session, name: str) -> bool:
    """Whether a policy has that name."""
    return session.scalar(select(exists().where(PolicyRow.name == name))) or False


def version(session: Session, name: str, number: int) -> PolicyRow | None:
    """One version of a name."""
    return session.scalar(select(PolicyRow).where(PolicyRow.name == name, PolicyRow.version == number))


def policy(session: Session, policy_id: str) -> PolicyRow:
    """The policy an alias names."""
    return session.get_one(PolicyRow, policy_id)
