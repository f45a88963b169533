"""Queries on scenario sets."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, exists, select
from sqlalchemy.orm import Session, defer

from service.db.rows import AcceptanceTestRow, JobRow, ScenarioSetRow


def by_id(session: Session, set_id: str, with_numbers: bool = False) -> ScenarioSetRow | None:
    """The scenario set with that id; its numbers are left in the database unless asked for."""
    query = select(ScenarioSetRow).where(ScenarioSetRow.id == set_id)
    return session.scalar(query if with_numbers else query.options(defer(ScenarioSetRow.numbers)))


def matching(instance_id: str | None, problem: str | None, name: str | None) -> Select[Any]:
    """The query for scenario sets made for an instance, of a problem or of a name, without their numbers."""
    query = select(ScenarioSetRow).options(defer(ScenarioSetRow.numbers))
    wanted = ((ScenarioSetRow.instance_id, instance_id), (ScenarioSetRow.problem, problem), (ScenarioSetRow.name, name))
    for column, value in wanted:
        if value is not None:
            query = query.where(column == value)
    return query


def used_by(session: Session, set_id: str) -> list[str]:
    """What kinds of record need the scenario set."""
    unfinished = JobRow.finished_at.is_(None) & (JobRow.config["scenario_set_id"].as_string() == set_id)
    kinds = {"acceptance tests": AcceptanceTestRow.scenario_set_id == set_id, "an unfinished job": unfinished}
    return [kind for kind, condition in kinds.items() if session.scalar(select(exists().where(condition)))]
