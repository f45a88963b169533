"""The rules of scenario sets: they fit an instance's places and stages, and stay while a job needs them."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from models import scenarios
from models.core import Instance, InvalidInput, Issue, Problem, pointer
from models.registry import problems
from models.scenarios import Floats, ScenarioTable
from service.db.rows import InstanceRow, ScenarioSetRow
from service.errors import ApiError, field_error, not_found
from service.forms import Form, check_parts
from service.ids import NAME_PATTERN, is_id, new_id
from service.instances import repository as instances
from service.instances import service as known_instances
from service.scenario_sets import repository
from service.scenario_sets.schemas import ScenarioSchema, ScenarioSetSummary

_FIELDS = ("instance_id", "name", "scenarios")
_SUMMARY = tuple(ScenarioSetSummary.model_fields)
_NAME = re.compile(NAME_PATTERN)


def schema(session: Session, instance_id: str) -> ScenarioSchema:
    """What scenarios of an instance look like; ApiError 404, or 409 if its problem takes none."""
    row = known_instances.get(session, instance_id)
    problem = problems()[row.problem]
    if problem.scenarios is None:
        raise ApiError("conflict", f"{problem.name} takes no scenarios of the planner's own.")
    table = problem.scenarios.table(problem.parse(row.body))
    return ScenarioSchema(
        quantity=table.quantity,
        unit=table.unit,
        places=list(table.places),
        stages=table.stages,
        stage_word=table.stage_word,
        json_schema=scenarios.schema(table),
        csv_columns=["scenario", table.stage_word, *table.places],
    )


def read_document(session: Session, document: object) -> ScenarioSetRow:
    """The scenario set of a JSON body; ApiError 422 or `InvalidInput` with pointers."""
    if not isinstance(document, dict):
        raise field_error("", "A JSON object is needed.")
    unknown = [
        Issue("unknown", "error", pointer(key), "is not a known field") for key in document if key not in _FIELDS
    ]
    if unknown:
        raise InvalidInput(unknown)
    if "scenarios" not in document:
        raise field_error("/scenarios", "is missing")
    instance, table = _place(session, document)
    return _row(instance, table, document, scenarios.read_document(table, document["scenarios"]))


def read_form(session: Session, form: Form) -> ScenarioSetRow:
    """The scenario set of a form with a CSV file; ApiError 422 or `InvalidInput` with part, line and column."""
    files = {"scenarios": "CSV: a line per scenario and stage, a column per place"}
    check_parts("a scenario set", files, {}, form, own=("instance_id", "name"))
    instance, table = _place(session, form.words)
    return _row(instance, table, form.words, scenarios.read_csv(table, form.files["scenarios"]))


def _place(session: Session, words: Mapping[str, Any]) -> tuple[InstanceRow, ScenarioTable]:
    """The instance named, and what its scenarios look like."""
    instance_id = words.get("instance_id")
    if not isinstance(instance_id, str) or not is_id(instance_id, "ins"):
        raise field_error("/instance_id", "The id of an instance is needed.")
    row = instances.by_id(session, instance_id)
    if row is None:
        raise field_error("/instance_id", f"There is no instance {instance_id!r}.")
    problem = problems()[row.problem]
    if problem.scenarios is None:
        raise field_error("/instance_id", f"{problem.name} takes no scenarios of the planner's own.")
    return row, problem.scenarios.table(problem.parse(row.body))


def _row(instance: InstanceRow, table: ScenarioTable, words: Mapping[str, Any], values: Floats) -> ScenarioSetRow:
    name = words.get("name", instance.name)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise field_error("/name", f"A name matches {NAME_PATTERN}.")
    packed = np.ascontiguousarray(values, dtype="<f8").tobytes()
    return ScenarioSetRow(
        id=new_id("scn"),
        name=name,
        instance_id=instance.id,
        problem=instance.problem,
        scenarios=len(values),
        stages=table.stages,
        places=list(table.places),
        quantity=table.quantity,
        unit=table.unit,
        stage_word=table.stage_word,
        digest="sha256:" + hashlib.sha256(packed).hexdigest(),
        numbers=zlib.compress(packed, 1),
    )


def get(session: Session, set_id: str, with_numbers: bool = False) -> ScenarioSetRow:
    """The scenario set; ApiError 404."""
    row = repository.by_id(session, set_id, with_numbers)
    if row is None:
        raise not_found("scenario set", set_id)
    return row


def delete(session: Session, set_id: str) -> None:
    """Delete a scenario set that nothing needs; ApiError 404 or 409."""
    row = get(session, set_id)
    users = repository.used_by(session, set_id)
    if users:
        raise ApiError("in-use", f"The scenario set is needed by {' and '.join(users)}.", used_by=users)
    session.delete(row)
    session.flush()


def check_fits(row: ScenarioSetRow, problem: Problem, instance: Instance, where: str) -> None:
    """ApiError 422 unless the set has the instance's places and stages."""
    if row.problem != problem.name or problem.scenarios is None:
        raise field_error(where, f"That scenario set is of {row.problem}, not {problem.name}.")
    table = problem.scenarios.table(instance)
    if tuple(row.places) != table.places:
        raise field_error(where, f"That scenario set tells of {_some(row.places)}; here are {_some(table.places)}.")
    if row.stages != table.stages:
        raise field_error(where, f"That scenario set has {row.stages} {row.stage_word}s, not {table.stages}.")


def _some(names: Any, most: int = 5) -> str:
    return ", ".join(list(names)[:most]) + (", …" if len(names) > most else "")


def table_of(row: ScenarioSetRow) -> ScenarioTable:
    """What the numbers of a stored set are."""
    return ScenarioTable(row.quantity, row.unit, tuple(row.places), row.stages, row.stage_word)


def values_of(row: ScenarioSetRow) -> Floats:
    """The numbers of a stored set (scenario, stage, place)."""
    flat = np.frombuffer(zlib.decompress(row.numbers), dtype="<f8")
    return flat.reshape(row.scenarios, row.stages, len(row.places)).astype(np.float64)


def summary(row: ScenarioSetRow) -> dict[str, Any]:
    """What a list shows of a scenario set."""
    return {name: getattr(row, name) for name in _SUMMARY}
