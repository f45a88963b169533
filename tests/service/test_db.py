"""The database: one schema on both kinds, transactions that keep their promises."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData, inspect, select, text
from sqlalchemy.exc import IntegrityError, StatementError

from service.db import migrate
from service.db.rows import Base, InstanceRow, JobEventRow, JobRow, PolicyRow, RecommendationRow
from service.db.session import Database
from service.ids import new_id


def instance_row(**changes: object) -> InstanceRow:
    given = {"id": new_id("ins"), "digest": new_id("ins"), "problem": "p", "name": "n", "body": {"a": [1, 2.5, "ü"]}}
    return InstanceRow(**(given | changes))


def job_row(instance_id: str, **changes: object) -> JobRow:
    given = {"id": new_id("job"), "kind": "train", "state": "queued", "instance_id": instance_id, "config": {}}
    given |= {"seed": 1, "request": {}, "time_limit_seconds": 60.0, "max_attempts": 2}
    return JobRow(**(given | changes))


def _store_as_of_0002(database: Database) -> dict[str, str]:
    """One row of each kind, written into the tables as they are; table → id."""
    ids = {"instances": "ins", "policies": "pol", "evaluations": "evl", "recommendations": "rec", "jobs": "job"}
    kept = {table: new_id(prefix) for table, prefix in ids.items()}  # type: ignore[arg-type]
    own = {"created_at": datetime(2026, 1, 2, tzinfo=UTC), "instance_id": kept["instances"]}
    given: dict[str, dict[str, object]] = {
        "instances": {"digest": "sha256:0", "problem": "p", "name": "n", "body": {}},
        "policies": {"name": "a", "version": 1, "problem": "p", "solver": "s", "family": "f", "artifact_digest": "d"},
        "evaluations": {"body": {}, "paths": {}},
        "recommendations": {"policy_id": kept["policies"], "request": {}, "response": {}, "states": 1},
        "jobs": {"kind": "train", "state": "queued", "config": {}, "seed": 1, "request": {}, "attempt": 0},
    }
    given["policies"] |= {"card": {}, "recommended_for_use": True}
    given["jobs"] |= {"time_limit_seconds": 60.0, "max_attempts": 2, "lost_workers": 0}
    given["jobs"] |= {"elapsed_seconds": 0.0, "event_seq": 0}
    tables = MetaData()
    tables.reflect(database.engine)
    with database.write() as session:
        for name, values in given.items():
            table = tables.tables[name]
            row = {"id": kept[name], **own, **values}
            session.execute(table.insert().values({key: row[key] for key in row if key in table.columns}))
    return kept


class TestMigrations:
    def test_the_migrated_schema_is_the_rows_schema(self, database: Database) -> None:
        with database.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, Base.metadata) == []

    def test_every_table_and_index_is_there(self, database: Database) -> None:
        found = inspect(database.engine)
        assert set(found.get_table_names()) == set(Base.metadata.tables) | {"alembic_version"}
        for table in Base.metadata.sorted_tables:
            assert {index["name"] for index in found.get_indexes(table.name)} >= {i.name for i in table.indexes}

    def test_upgrading_twice_changes_nothing(self, database: Database) -> None:
        with database.write() as session:
            session.add(instance_row(name="kept"))
        assert migrate.upgrade(database) == migrate.head()
        with database.read() as session:
            assert session.scalars(select(InstanceRow.name)).all() == ["kept"]

    def test_upgrades_at_the_same_time_wait_for_each_other(self, empty_database: Database) -> None:
        found: list[str] = []
        threads = [threading.Thread(target=lambda: found.append(migrate.upgrade(empty_database))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [migrate.head()] * 3

    def test_downgrading_leaves_nothing(self, database: Database) -> None:
        migrate.downgrade(database, "base")
        assert migrate.current(database) is None
        assert inspect(database.engine).get_table_names() == ["alembic_version"]

    def test_what_a_release_stored_outlives_every_later_revision(self, empty_database: Database) -> None:
        """Rows as revision 0002 has them go up to the present and down again."""
        migrate.upgrade(empty_database, "0002")
        kept = _store_as_of_0002(empty_database)
        migrate.upgrade(empty_database)
        with empty_database.read() as session:
            assert session.get_one(RecommendationRow, kept["recommendations"]).policy_id == kept["policies"]
            assert session.get_one(JobRow, kept["jobs"]).also_instance_ids == []
        migrate.downgrade(empty_database, "0002")
        with empty_database.read() as session:
            for table, name in kept.items():
                assert session.scalar(text(f"SELECT id FROM {table}")) == name

    def test_a_database_that_is_behind_is_refused(self, empty_database: Database) -> None:
        with pytest.raises(migrate.SchemaMismatch, match="herenow db upgrade"):
            migrate.require_head(empty_database)
        migrate.upgrade(empty_database)
        migrate.require_head(empty_database)

    def test_a_revision_only_adds(self, tmp_path: Path) -> None:
        """From 0008 on the release before can go on working while the next takes over."""
        database = Database(f"sqlite:///{tmp_path / 'steps.db'}")
        known = migrate.revisions()
        migrate.upgrade(database, "0007")
        before = _shape(database)
        for revision in known[known.index("0007") + 1 :]:
            migrate.upgrade(database, revision)
            after = _shape(database)
            for table, columns in before.items():
                assert columns.items() <= after.get(table, {}).items(), f"{revision} takes from {table} or alters it"
                for name in after[table].keys() - columns.keys():
                    assert after[table][name].endswith("may be empty"), f"{revision}: {table}.{name} must be given"
            before = after
        database.close()


def _shape(database: Database) -> dict[str, dict[str, str]]:
    """Tables, and of each column its type and whether a row may come without it."""
    found = inspect(database.engine)
    return {
        table: {
            column["name"]: str(column["type"])
            + (" may be empty" if column["nullable"] or column["default"] is not None else "")
            for column in found.get_columns(table)
        }
        for table in found.get_table_names()
    }


class TestTransactions:
    def test_what_is_written_is_read(self, database: Database) -> None:
        with database.write() as session:
            session.add(instance_row(id="ins_" + "0" * 26))
        with database.read() as session:
            row = session.get_one(InstanceRow, "ins_" + "0" * 26)
        assert row.body == {"a": [1, 2.5, "ü"]}
        assert row.created_at.tzinfo is UTC

    def test_an_exception_rolls_everything_back(self, database: Database) -> None:
        same = instance_row()
        twice = instance_row(digest=same.digest)
        with pytest.raises(IntegrityError), database.write() as session:
            session.add_all([same, twice])
        with database.read() as session:
            assert session.scalars(select(InstanceRow)).all() == []

    def test_writers_that_read_first_never_lose_an_update(self, database: Database) -> None:
        """Read-then-write from eight threads: a deferred SQLite transaction would fail, an unlocked one lose counts."""
        with database.write() as session:
            session.add(row := instance_row())
            session.flush()
            session.add(job := job_row(row.id))

        def add_one() -> None:
            for _ in range(5):
                with database.write() as session:
                    found = session.get_one(JobRow, job.id, with_for_update=True)
                    found.attempt = found.attempt + 1

        threads = [threading.Thread(target=add_one) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with database.read() as session:
            assert session.get_one(JobRow, job.id).attempt == 40

    def test_readers_do_not_wait_for_a_writer(self, database: Database) -> None:
        with database.write() as writing:
            writing.add(instance_row())
            writing.flush()
            began = time.monotonic()
            with database.read() as session:
                assert session.scalars(select(InstanceRow)).all() == []
            assert time.monotonic() - began < 1.0

    def test_a_reader_cannot_write(self, database: Database) -> None:
        if database.is_sqlite:
            pytest.skip("SQLite has no read-only transactions")
        with pytest.raises(Exception, match="read-only"), database.read() as session:
            session.add(instance_row())

    def test_sqlite_runs_with_a_write_ahead_log_and_foreign_keys(self, database: Database) -> None:
        if not database.is_sqlite:
            pytest.skip("about SQLite")
        with database.read() as session:
            found = [
                session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "foreign_keys", "busy_timeout")
            ]
        assert found == ["wal", 1, 15_000]


class TestRows:
    def test_a_local_time_is_refused_and_any_zone_becomes_utc(self, database: Database) -> None:
        with pytest.raises(StatementError, match="naive"), database.write() as session:
            session.add(instance_row(created_at=datetime(2026, 1, 1)))
        moment = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=3)))
        with database.write() as session:
            session.add(row := instance_row(created_at=moment))
        with database.read() as session:
            assert session.get_one(InstanceRow, row.id).created_at.isoformat() == "2026-01-01T09:00:00+00:00"

    def test_a_non_finite_number_is_never_stored(self, database: Database) -> None:
        with pytest.raises((StatementError, ValueError)), database.write() as session:
            session.add(instance_row(body={"a": float("nan")}))

    def test_references_are_held(self, database: Database) -> None:
        with pytest.raises(IntegrityError), database.write() as session:
            session.add(job_row("ins_" + "0" * 26))

    def test_events_go_with_their_job(self, database: Database) -> None:
        with database.write() as session:
            session.add(row := instance_row())
            session.flush()
            session.add(job := job_row(row.id))
            session.flush()
            session.add(JobEventRow(job_id=job.id, seq=1, type="state", data={}))
        with database.write() as session:
            session.delete(session.get_one(JobRow, job.id))
        with database.read() as session:
            assert session.scalars(select(JobEventRow)).all() == []

    def test_a_version_exists_once_in_a_name(self, database: Database) -> None:
        with database.write() as session:
            session.add(row := instance_row())
        policy = {"name": "a", "version": 1, "problem": "p", "solver": "s", "family": "f", "instance_id": row.id}
        policy |= {"artifact_digest": "sha256:0", "card": {}, "recommended_for_use": True}
        with pytest.raises(IntegrityError), database.write() as session:
            session.add_all([PolicyRow(id=new_id("pol"), **policy), PolicyRow(id=new_id("pol"), **policy)])
