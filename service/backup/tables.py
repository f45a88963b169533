"""Rows as lines of JSON and back, the same for SQLite and PostgreSQL.

A line holds one row: its columns by name. Moments are ISO 8601 in UTC, bytes base64; documents stay JSON.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sqlalchemy import JSON, Connection, DateTime, LargeBinary, MetaData, Table, func, select

from service.db.rows import Base
from service.db.session import Database

LEFT_OUT = frozenset({"workers"})  # who is running now says nothing about where the backup is read back
VERSION_TABLE = "alembic_version"
BATCH = 500  # rows read or written at a time


def kept() -> list[Table]:
    """The tables a backup holds, those that others refer to first."""
    return [table for table in Base.metadata.sorted_tables if table.name not in LEFT_OUT]


def lines(connection: Connection, table: Table) -> Iterator[bytes]:
    """Every row of a table as this transaction sees it, in the order of its primary key."""
    query = select(table).order_by(*table.primary_key.columns).execution_options(yield_per=BATCH)
    for row in connection.execute(query).mappings():
        line = {column.name: _out(row[column.name]) for column in table.columns}
        yield json.dumps(line, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _out(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def present(database: Database) -> MetaData:
    """The tables as they are in the database now, whichever revision it is at."""
    found = MetaData()
    found.reflect(database.engine)
    for table in found.tables.values():
        for column in table.columns:
            if isinstance(column.type, JSON):
                column.type = JSON(none_as_null=True)
    return found


def rows_in(database: Database) -> int:
    """Number of rows of all our tables; 0 for a database without them."""
    with database.engine.connect() as connection:
        tables = [table for table in present(database).sorted_tables if table.name != VERSION_TABLE]
        return sum(connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables)


def write(connection: Connection, table: Table, given: Iterable[bytes]) -> int:
    """Insert lines into a table as it is; how many."""
    readers = {column.name: reader for column in table.columns if (reader := _reader(column.type, connection))}
    rows = (_in(json.loads(line), readers) for line in given)
    count = 0
    while batch := list(islice(rows, BATCH)):
        connection.execute(table.insert(), batch)
        count += len(batch)
    return count


def _in(row: dict[str, Any], readers: dict[str, Callable[[str], Any]]) -> dict[str, Any]:
    return {
        name: readers[name](value) if name in readers and value is not None else value for name, value in row.items()
    }


def _reader(kind: Any, connection: Connection) -> Callable[[str], Any] | None:
    """What turns a column's text into its value, where JSON has no such value."""
    if isinstance(kind, DateTime):
        # SQLite keeps moments without their zone, and ours are UTC.
        zone = None if connection.dialect.name == "sqlite" else UTC
        return lambda text: datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=zone)
    return base64.b64decode if isinstance(kind, LargeBinary) else None
