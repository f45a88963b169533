"""From every revision that was ever released, with data in every table, up to this one: nothing is lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Boolean, DateTime, Float, Integer, LargeBinary, MetaData, Table, func, select

from service.db import migrate
from service.db.rows import Base
from service.db.session import Database
from tests.faults.report import Recovery, fault

ROWS = 3
MOMENT = datetime(2026, 1, 2, tzinfo=UTC)


def revisions() -> list[str]:
    """Every revision, oldest first."""
    script = ScriptDirectory.from_config(migrate._config(None))
    return [revision.revision for revision in reversed(list(script.walk_revisions()))]


@pytest.mark.parametrize("revision", revisions())
@fault("an upgrade from each released revision, with data, SQLite and PostgreSQL", "every row is there, unchanged")
def test_upgrade(empty_database: Database, revision: str, recovery: Recovery) -> None:
    migrate.upgrade(empty_database, revision)
    kept = fill(empty_database)
    with recovery.within():
        assert migrate.upgrade(empty_database) == migrate.head()
    migrate.require_head(empty_database)
    for name, (columns, rows) in kept.items():
        assert read(empty_database, name, columns) == rows, name
    with empty_database.read() as session:  # and the release's own rows can be read of it
        for mapper in Base.registry.mappers:
            assert session.scalar(select(func.count()).select_from(mapper.class_)) is not None
            list(session.scalars(select(mapper.class_)))


def fill(database: Database) -> dict[str, tuple[list[str], list[tuple[Any, ...]]]]:
    """Put rows into every table there is, references included; table → its columns and rows as they read."""
    found = MetaData()
    found.reflect(database.engine)
    for table in found.sorted_tables:
        if table.name == "alembic_version":
            continue
        with database.write() as session:
            for number in range(ROWS):
                session.execute(table.insert().values(_row(table, number)))
    names = [table.name for table in found.sorted_tables if table.name != "alembic_version"]
    columns = {name: [column.name for column in found.tables[name].columns] for name in names}
    return {name: (columns[name], read(database, name, columns[name])) for name in names}


def read(database: Database, name: str, columns: list[str]) -> list[tuple[Any, ...]]:
    """A table's rows in these columns, in their order."""
    found = MetaData()
    found.reflect(database.engine, only=[name])
    table = found.tables[name]
    with database.read() as session:
        rows = session.execute(select(*(table.c[column] for column in columns)))
        return sorted((tuple(row) for row in rows), key=str)


def _row(table: Table, number: int) -> dict[str, Any]:
    """A row in which each column has a value of its type; references name the row of the same number."""
    return {column.name: _value(table, column, number) for column in table.columns}


def _value(table: Table, column: Any, number: int) -> Any:
    kind = column.type
    if column.foreign_keys:
        (key,) = column.foreign_keys
        return _value(key.column.table, key.column, number)
    if isinstance(kind, JSON):
        return {"a": [number, 2.5, "ü"], "outcome": "accepted"}  # which is what an outcome has
    if isinstance(kind, Boolean):
        return number % 2 == 0
    if isinstance(kind, (Integer, Float)):
        return number + 1
    if isinstance(kind, DateTime):
        return MOMENT
    if isinstance(kind, LargeBinary):
        return bytes([number] * 8)
    limit = getattr(kind, "length", None) or 40
    return f"{table.name[:12]}-{column.name[:8]}-{number}"[-limit:]
