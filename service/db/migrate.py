"""Bring a database to the shape this release expects."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from service.db.session import Database

LOCK = 0x6865_7265  # one upgrade at a time on a PostgreSQL server's database


class SchemaMismatch(RuntimeError):
    """The database is not at this release's revision; `herenow db upgrade` brings it there."""


def upgrade(database: Database, revision: str = "head") -> str:
    """Apply every revision the database lacks, in one transaction; returns the revision it is at then.

    Safe to call from several processes at once: the second waits and finds nothing to do.
    """
    with database.engine.begin() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        command.upgrade(_config(connection), revision)
        return _current(connection) or ""


def downgrade(database: Database, revision: str) -> None:
    """Take revisions back to the one named ("base" for none)."""
    with database.engine.begin() as connection:
        command.downgrade(_config(connection), revision)


def head() -> str:
    """The revision this release expects."""
    return revisions()[-1]


@cache
def revisions() -> tuple[str, ...]:
    """Every revision this release knows, oldest first."""
    script = ScriptDirectory.from_config(_config(None))
    return tuple(reversed([step.revision for step in script.walk_revisions()]))


def current(database: Database) -> str | None:
    """The revision the database is at; None if it has no tables of ours."""
    with database.engine.connect() as connection:
        return _current(connection)


def standing(database: Database) -> str:
    """`ok`, `ok, but …` when the database is ahead (a rollout under way), or why this release cannot use it.

    Migrations only add, so the release before goes on while the next takes over; see docs/operations.md.
    """
    found, expected = current(database), head()
    if found == expected:
        return "ok"
    if found is not None and found not in revisions():
        return f"ok, but ahead: the database is at revision {found} of a later release, this one knows {expected}"
    return f"behind: the database is at revision {found or 'none'}, this release needs {expected}"


def require_head(database: Database) -> None:
    """SchemaMismatch unless the database is at this release's revision."""
    found, expected = current(database), head()
    if found != expected:
        raise SchemaMismatch(
            f"the database is at revision {found or 'none'}, this release needs {expected}: {_remedy(found)}"
        )


def _remedy(found: str | None) -> str:
    if found is None or found in revisions():
        return "run `herenow db upgrade`"
    return "install the release that brought it there, or have that one run `herenow db downgrade`"


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection | None) -> Config:
    spec = find_spec("migrations")
    if spec is None or spec.origin is None:
        raise RuntimeError("the migrations package is not installed")
    config = Config()
    config.set_main_option("script_location", str(Path(spec.origin).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
