"""Backups: made beside a running service, verified, brought back elsewhere, refused where they would do harm."""

from __future__ import annotations

import json
import shutil
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from service.backup.archive import BackupError
from service.backup.folder import forget_old
from service.backup.service import check, make, restore
from service.db import migrate
from service.db.rows import ApiKeyRow, AuditRow, InstanceRow, JobEventRow, JobRow, PolicyRow
from service.db.session import Database
from service.ids import new_id
from service.jobs import lifecycle
from service.jobs import repository as jobs
from service.settings import Settings
from service.storage import Storage
from solvers.artifact import names_of
from tests.cli.terminal import say, say_json
from tests.servers import Postgres
from tests.service.api_server import Server, add_policy, example_document, make_settings, running


@pytest.fixture
def live(database_url: str, tmp_path: Path) -> Iterator[Server]:
    """A running service with a policy and one recommendation, on a database of each kind."""
    with running(make_settings(tmp_path / "live", database_url=database_url)) as server:
        policy_id = add_policy(server, example_document())
        with server.client() as client:
            assert client.post(f"/v1/policies/{policy_id}/recommend", json={}).status_code == 200
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Settings of an empty place to come back to, on a database of each kind."""
    folder = tmp_path / "elsewhere"
    if request.param == "sqlite":
        yield make_settings(folder)
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    with postgres.database() as url:
        yield make_settings(folder, database_url=url)


def backed_up(server: Server, path: Path) -> Path:
    made = make(server.database, Storage.of(server.settings), path)
    assert made.damaged == []
    return path


def brought_back(settings: Settings, path: Path, replace: bool = False) -> Any:
    database = Database(settings.database)
    try:
        return restore(database, Storage.of(settings), path, replace)
    finally:
        database.close()


def asked(server: Server) -> dict[str, Any]:
    """What the policy recommends for today, without what differs from one asking to the next."""
    with server.client() as client:
        answer = client.post("/v1/policies/orders/recommend", json={"options": {"explain": True}}).json()
    return {name: value for name, value in answer.items() if name not in ("recommendation_id", "elapsed_ms")}


def test_what_comes_back_recommends_the_same(live: Server, elsewhere: Settings, tmp_path: Path) -> None:
    """From either kind of database to either kind, while the one is running."""
    before = asked(live)
    path = backed_up(live, tmp_path / "b.zip")
    done = brought_back(elsewhere, path)
    assert (done.artifacts, done.rows["policies"], done.rows["recommendations"]) == (1, 1, 2)
    with running(elsewhere) as server:
        assert asked(server) == before
        with server.client() as client, live.client() as old:
            (first, *_) = old.get("/v1/recommendations").json()["items"]
            assert (
                client.get(f"/v1/recommendations/{first['id']}").json()
                == old.get(f"/v1/recommendations/{first['id']}").json()
            )


def test_rows_come_back_as_they_were(database: Database, elsewhere: Settings, tmp_path: Path) -> None:
    """Texts, numbers, moments, bytes, documents and nothing at all."""
    storage = Storage(tmp_path / "data")
    storage.prepare()
    body = {"ü": [1, 2.5, -0.1, 1e300, None, "'\n\x7f"], "n": 2**53}
    with database.write() as session:
        session.add(InstanceRow(id="ins_" + "0" * 26, digest="sha256:0", problem="p", name="n", body=body))
        session.flush()
        job = JobRow(id=new_id("job"), kind="train", state="queued", instance_id="ins_" + "0" * 26, config={}, seed=7)
        job.request, job.time_limit_seconds, job.max_attempts, job.elapsed_seconds = {}, 0.1 + 0.2, 2, 1 / 3
        jobs.add(session, job)
        session.add(ApiKeyRow(id=new_id("key"), name="ann", digest="sha256:1", scopes=["read"]))
    make(database, storage, tmp_path / "b.zip")
    brought_back(elsewhere, tmp_path / "b.zip")
    again = Database(elsewhere.database)
    for row in (InstanceRow, JobRow, JobEventRow, ApiKeyRow):
        with database.read() as one, again.read() as two:
            assert _all(one, row) == _all(two, row)
    again.close()


def _all(session: Any, row: Any) -> list[dict[str, Any]]:
    found = session.scalars(select(row).order_by(*row.__table__.primary_key.columns)).all()
    return [{name: getattr(one, name) for name in row.__table__.columns.keys()} for one in found]  # noqa: SIM118


def test_a_backup_is_of_one_moment_while_others_write(live: Server, tmp_path: Path) -> None:
    """Jobs and their events are written throughout; every event in the backup has its job, none is half there."""
    stop = threading.Event()
    instance_id = _instance_id(live)

    def write() -> None:
        while not stop.is_set():
            with live.database.write() as session:
                jobs.add(session, _job(instance_id))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        backed_up(live, tmp_path / "b.zip")
    finally:
        stop.set()
        writer.join()
    with zipfile.ZipFile(tmp_path / "b.zip") as file:
        rows, events = (
            [json.loads(line) for line in file.read(f"tables/{name}.jsonl").splitlines()]
            for name in ("jobs", "job_events")
        )
    assert {row["id"] for row in rows} == {event["job_id"] for event in events}
    assert sum(row["event_seq"] for row in rows) == len(events)


def _instance_id(server: Server) -> str:
    with server.database.read() as session:
        return str(session.scalar(select(InstanceRow.id)))


def _job(instance_id: str) -> JobRow:
    given: dict[str, Any] = {"kind": "train", "state": "queued", "solver": "lab", "config": {}, "seed": 1}
    given |= {"request": {}, "time_limit_seconds": 60.0, "max_attempts": 2}
    return JobRow(id=new_id("job"), instance_id=instance_id, **given)


def test_jobs_that_ran_wait_again_and_it_costs_them_nothing(live: Server, elsewhere: Settings, tmp_path: Path) -> None:
    instance_id = _instance_id(live)
    with live.database.write() as session:
        for state in ("queued", "running", "cancelling"):
            job = _job(instance_id)
            jobs.add(session, job)
            if state != "queued":
                assert lifecycle.claim(session, job.id, "w", 15.0) is not None
                job.state = state
    done = brought_back(elsewhere, backed_up(live, tmp_path / "b.zip"))
    database = Database(elsewhere.database)
    with database.read() as session:
        found = {(job.state, job.attempt, job.worker, job.lost_workers) for job in session.scalars(select(JobRow))}
        assert len(jobs.owed_bells(session, 10)) == 2
    database.close()
    assert done.requeued == 1
    assert {(state, attempt) for state, attempt, _, _ in found} == {("queued", 0), ("cancelled", 1)}
    assert all(lost == 0 for *_, lost in found)


class TestRefusals:
    """A backup that is not whole, or a place that is not empty."""

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
        with running(make_settings(tmp_path_factory.mktemp("source"))) as server:
            add_policy(server, example_document())
            yield server

    @pytest.fixture
    def place(self, tmp_path: Path) -> Settings:
        return make_settings(tmp_path / "place")

    def test_a_database_that_holds_something_unless_told(self, source: Server, place: Settings, tmp_path: Path) -> None:
        path = backed_up(source, tmp_path / "b.zip")
        brought_back(place, path)
        with pytest.raises(BackupError, match="--replace"):
            brought_back(place, path)
        brought_back(place, path, replace=True)  # the audit log too, which lets no row of its go
        database = Database(place.database)
        with database.read() as session:
            told = session.scalars(select(AuditRow.action).where(AuditRow.subject == "database")).all()
            assert len(session.scalars(select(PolicyRow)).all()) == 1
        database.close()
        assert told == ["backup.restored"]

    @pytest.mark.parametrize("member", ["tables/policies.jsonl", "artifact.json", "manifest.json"])
    def test_a_changed_byte(self, source: Server, place: Settings, tmp_path: Path, member: str) -> None:
        path = self._changed(backed_up(source, tmp_path / "b.zip"), member)
        with pytest.raises(BackupError):
            check(path)
        with pytest.raises(BackupError):
            brought_back(place, path)
        database = Database(place.database)
        assert migrate.current(database) is None
        database.close()

    def _changed(self, path: Path, member: str) -> Path:
        """The backup with one byte of a member changed, its own checksum made to fit again."""
        odd = path.with_name("odd.zip")
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(odd, "w") as new:
            for name in old.namelist():
                content = old.read(name)
                if name.endswith(member):
                    content = content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]
                new.writestr(name, content)
        return odd

    def test_a_file_cut_short_or_of_another_kind(self, source: Server, place: Settings, tmp_path: Path) -> None:
        path = backed_up(source, tmp_path / "b.zip")
        short = tmp_path / "short.zip"
        short.write_bytes(path.read_bytes()[:-40])
        for odd in (short, tmp_path / "nothing.zip", Path(__file__)):
            with pytest.raises(BackupError, match="no backup that can be read"):
                brought_back(place, odd)

    def test_a_later_release(self, source: Server, place: Settings, tmp_path: Path) -> None:
        path = backed_up(source, tmp_path / "b.zip")
        late = tmp_path / "late.zip"
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(late, "w") as new:
            for name in old.namelist():
                text = old.read(name)
                new.writestr(name, text.replace(migrate.head().encode(), b"9999") if name == "manifest.json" else text)
        with pytest.raises(BackupError, match="unknown to this release"):
            brought_back(place, late)

    def test_no_file_is_written_over(self, source: Server, tmp_path: Path) -> None:
        path = backed_up(source, tmp_path / "b.zip")
        assert path.stat().st_mode & 0o077 == 0
        with pytest.raises(BackupError, match="exists already"):
            backed_up(source, path)

    def test_a_missing_artifact_is_told_and_the_rest_is_kept(self, source: Server, tmp_path: Path) -> None:
        storage = Storage.of(source.settings)
        (kept,) = storage.artifacts_kept()
        weights = storage.artifacts.read(names_of(kept.name)[0])
        storage.artifacts.write(names_of(kept.name)[0], b"something else")
        try:
            made = make(source.database, storage, tmp_path / "b.zip")
        finally:
            storage.artifacts.write(names_of(kept.name)[0], weights)
        assert (made.damaged, made.artifacts) == ([kept.name], 0)
        assert check(tmp_path / "b.zip")["damaged"] == [kept.name]


def test_an_earlier_release_comes_back_at_this_one(tmp_path: Path) -> None:
    """A backup as revision 0007 wrote it: tables without the columns that came later."""
    old = Database(f"sqlite:///{tmp_path / 'old.db'}")
    migrate.upgrade(old)
    storage = Storage(tmp_path / "old")
    storage.prepare()
    with old.write() as session:
        session.add(InstanceRow(id="ins_" + "0" * 26, digest="sha256:0", problem="p", name="n", body={}))
    make(old, storage, tmp_path / "now.zip")
    old.close()
    with zipfile.ZipFile(tmp_path / "now.zip") as given, zipfile.ZipFile(tmp_path / "was.zip", "w") as new:
        manifest = json.loads(given.read("manifest.json"))
        manifest["revision"] = "0007"
        manifest["members"] = {
            name: told for name, told in manifest["members"].items() if name == "tables/instances.jsonl"
        }
        new.writestr("tables/instances.jsonl", given.read("tables/instances.jsonl"))
        new.writestr("manifest.json", json.dumps(manifest))
    place = make_settings(tmp_path / "place")
    assert brought_back(place, tmp_path / "was.zip").revision == migrate.head()
    database = Database(place.database)
    with database.read() as session:
        assert session.scalars(select(InstanceRow.name)).all() == ["n"]
    database.close()


def test_the_newest_backups_of_a_folder_stay(tmp_path: Path) -> None:
    names = [f"herenow-2026010{day}T000000Z.zip" for day in range(1, 6)]
    for name in [*names, "notes.txt", "herenow-mine.zip"]:
        (tmp_path / name).touch()
    assert [path.name for path in forget_old(tmp_path, 2)] == names[:3]
    assert {path.name for path in tmp_path.iterdir()} == {*names[3:], "notes.txt", "herenow-mine.zip"}


def test_the_commands(live: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`herenow backup FOLDER`, `herenow restore --check`, `herenow restore`, as an operator says them."""
    folder = tmp_path / "backups"
    folder.mkdir()
    monkeypatch.setenv("HERENOW_DATABASE_URL", live.settings.database)
    monkeypatch.setenv("HERENOW_DATA_DIR", str(live.settings.data_dir))
    file = say_json("backup", str(folder), "--keep", "1")["file"]
    assert say_json("restore", file, "--check")["whole"] is True
    refused = say("restore", file)
    assert refused.exit_code == 1
    assert "--replace" in refused.stderr
    monkeypatch.setenv("HERENOW_DATABASE_URL", f"sqlite:///{tmp_path / 'new.db'}")
    monkeypatch.setenv("HERENOW_DATA_DIR", str(tmp_path / "new"))
    assert "are back" in say("restore", file).stdout
    shutil.rmtree(folder)
    assert "no backup that can be read" in say("restore", file).stderr
