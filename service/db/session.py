"""Engines and transactions: one transaction per request or task, committed at its edge."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import Session

BUSY_TIMEOUT_MS = 15_000
FRESH_SECONDS = 0.1  # a connection in use so short a time ago is not asked whether it works: no server restarts sooner
_NOTICE = {  # libpq's: a server that vanished without a word is noticed within half a minute, not in hours
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}

_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class Encoded:
    """A document that is JSON text already: a document column keeps the text as it is."""

    text: str


def _dumps(document: Any) -> str:
    return document.text if isinstance(document, Encoded) else _encode(document)


class Database:
    """A database and its two kinds of transaction.

    `write()` takes SQLite's write lock at once (BEGIN IMMEDIATE): a transaction that reads first and writes later would
    otherwise fail when another writer came between. `read()` sees one snapshot and blocks nobody.
    """

    def __init__(self, url: str, pool_size: int = 10) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _sqlite(self.url, pool_size) if self.is_sqlite else _server(self.url, pool_size)
        self._writer = self.engine.execution_options(immediate=True)
        self._reader = self.engine.execution_options(immediate=False, postgresql_readonly=True)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that may write; commits on leaving, rolls back on an exception."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads."""
        with Session(self._reader, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def _server(url: Any, pool_size: int) -> Engine:
    notice = {name: value for name, value in _NOTICE.items() if name not in url.query}
    engine = create_engine(url, pool_size=pool_size, max_overflow=40, json_serializer=_dumps, connect_args=notice)

    def ask(connection: Any, record: Any, proxy: Any) -> None:
        """Have a connection that has lain idle answer before it is used; the pool replaces one that does not."""
        if time.monotonic() - record.info.get("used", -FRESH_SECONDS) > FRESH_SECONDS:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise DisconnectionError from error

    def note(connection: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    event.listen(engine, "checkout", ask)
    event.listen(engine, "checkin", note)
    return engine


def _sqlite(url: Any, pool_size: int) -> Engine:
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    connect = {"timeout": BUSY_TIMEOUT_MS / 1000}
    engine = create_engine(url, pool_size=pool_size, max_overflow=40, json_serializer=_dumps, connect_args=connect)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions behind SQLAlchemy's back
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    immediate = connection.get_execution_options().get("immediate", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
