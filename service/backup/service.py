"""Making a backup of a running service, and bringing one back.

A backup is one moment of the database, read in one transaction that blocks nobody, and every artifact that moment's
policies name. Artifacts are only ever added, so those of the moment are there still when they are read afterwards.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from service.audit.service import console, note
from service.backup import archive, tables
from service.backup.archive import BackupError, Reader, Writer
from service.db import migrate
from service.db.rows import JobRow, PolicyRow, utcnow
from service.db.session import Database
from service.jobs import lifecycle
from service.jobs.repository import Lease
from service.jobs.states import HELD
from service.storage import Storage
from service.version import VERSION
from solvers.artifact import is_intact, names_of
from solvers.store import Store

log = logging.getLogger(__name__)


@dataclass
class Backup:
    """What a backup holds: rows by table, artifacts, and those it had to do without."""

    path: Path
    revision: str
    rows: dict[str, int] = field(default_factory=dict)
    artifacts: int = 0
    bytes: int = 0
    damaged: list[str] = field(default_factory=list)  # digests that are missing in the store or not whole there


def make(database: Database, storage: Storage, path: Path) -> Backup:
    """Write a backup to a new file; BackupError if that cannot be done. The service may run meanwhile."""
    with archive.writing(path) as writer:
        with _moment(database) as connection:
            made = Backup(path, migrate.head())
            for table in tables.kept():
                made.rows[table.name] = writer.add(f"tables/{table.name}.jsonl", tables.lines(connection, table))
            digests = list(connection.scalars(select(PolicyRow.artifact_digest).distinct()))
        for digest in sorted(digests):
            if _add_artifact(writer, storage.artifacts, digest):
                made.artifacts += 1
            else:
                made.damaged.append(digest)
        kind = "sqlite" if database.is_sqlite else "postgresql"
        about = {"herenow": VERSION, "revision": made.revision, "made_at": utcnow().isoformat(), "database": kind}
        writer.close({**about, "rows": made.rows, "damaged": made.damaged})
    made.bytes = path.stat().st_size
    return made


@contextmanager
def _moment(database: Database) -> Iterator[Connection]:
    """A transaction that sees the database as it is now until it ends, whatever others write meanwhile."""
    with database.engine.connect() as connection:
        if database.is_sqlite:
            connection = connection.execution_options(immediate=False)
        else:
            connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin():
            yield connection


def _add_artifact(writer: Writer, store: Store, digest: str) -> bool:
    """Whether the artifact was there and whole; then it is in the backup."""
    names = names_of(digest)
    try:
        weights, document = (store.read(name) for name in names)
    except OSError as error:
        log.error("artifact %s cannot be read: %s", digest, error)
        return False
    if not is_intact(digest, weights, document):
        log.error("artifact %s is damaged: its content does not match its name", digest)
        return False
    for name, content in zip(names, (weights, document), strict=True):
        writer.add(_member(digest, name), (content,), compress=content is document)
    return True


def _member(digest: str, name: str) -> str:
    return f"artifacts/{digest.removeprefix('sha256:')}/{name.rpartition('/')[2]}"


@dataclass
class Restored:
    """What came back: rows by table, artifacts, and jobs that were running and wait for a worker again."""

    rows: dict[str, int]
    artifacts: int
    requeued: int
    revision: str
    damaged: list[str]


def check(path: Path) -> dict[str, Any]:
    """A backup's manifest, once all of it is verified; BackupError if it is damaged."""
    with archive.reading(path) as reader:
        reader.verify()
        _artifacts(reader, store=None)
        return reader.manifest


def restore(database: Database, storage: Storage, path: Path, replace: bool = False) -> Restored:
    """Bring a backup back into an empty database (or, with `replace`, in the place of what is there) and its store.

    All is verified before anything is written. A backup of an earlier release is brought to this one. BackupError if
    the backup is damaged or of a later release, or the database holds anything and `replace` is not said.
    """
    with archive.reading(path) as reader:
        reader.verify()
        revision = str(reader.manifest["revision"])
        if revision not in migrate.revisions():
            raise BackupError(f"the backup is of revision {revision}, unknown to this release: restore it by its own")
        _make_room(database, replace)
        storage.prepare()
        artifacts = _artifacts(reader, storage.artifacts)
        migrate.upgrade(database, revision)
        rows = _load(database, reader)
        reached = migrate.upgrade(database)
        requeued = _requeue(database)
        with database.write() as session:
            told = {"made_at": reader.manifest["made_at"], "revision": revision, "rows": sum(rows.values())}
            note(session, console(), "backup.restored", "database", **told)
        return Restored(rows, artifacts, requeued, reached, list(reader.manifest.get("damaged", [])))


def _make_room(database: Database, replace: bool) -> None:
    held = tables.rows_in(database)
    if held and not replace:
        raise BackupError(f"the database holds {held} rows already; say --replace to have them deleted")
    if migrate.current(database) is not None:
        migrate.downgrade(database, "base")


def _artifacts(reader: Reader, store: Store | None) -> int:
    """Verify every artifact by its own digest and put it into the store, if there is one; how many."""
    digests = sorted({name.split("/")[1] for name in reader.members if name.startswith("artifacts/")})
    for digest in (f"sha256:{name}" for name in digests):
        names = names_of(digest)
        try:
            weights, document = (reader.content(_member(digest, name)) for name in names)
        except KeyError as error:
            raise BackupError(f"artifact {digest} is not whole in the backup: {error}") from None
        if not is_intact(digest, weights, document):
            raise BackupError(f"artifact {digest} is damaged in the backup: its content does not match its name")
        if store is not None:
            for name, content in zip(names, (weights, document), strict=True):
                store.write(name, content)
    return len(digests)


def _load(database: Database, reader: Reader) -> dict[str, int]:
    """All rows, or none: in one transaction, into the tables as the backup's revision has them."""
    present = tables.present(database)
    rows = {}
    with database.engine.begin() as connection:
        for table in present.sorted_tables:
            if table.name != tables.VERSION_TABLE and table.name not in tables.LEFT_OUT:
                rows[table.name] = tables.write(connection, table, reader.lines(f"tables/{table.name}.jsonl"))
    return rows


def _requeue(database: Database) -> int:
    """Jobs that ran when the backup was made wait for a worker again; it costs them no attempt. How many."""
    with database.write() as session:
        held = session.scalars(select(JobRow).where(JobRow.state.in_(HELD))).all()
        return sum(lifecycle.give_back(session, Lease(job.id, job.worker or "", job.attempt)) for job in held)
