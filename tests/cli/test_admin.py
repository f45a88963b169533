"""What an operator does: the database's shape, keys, housekeeping."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from service.db.migrate import current, head, upgrade
from service.db.rows import IdempotencyKeyRow, InstanceRow, JobRow, PolicyRow, utcnow
from service.db.session import Database
from service.ids import new_id
from service.keys.service import digest_of, identify
from service.storage import Storage
from tests.cli.terminal import say, say_json

DAY = 86_400.0


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, database_url: str, tmp_path: Path) -> Path:
    """The data folder of the settings in the environment, on a database of each kind, without tables."""
    monkeypatch.setenv("HERENOW_DATABASE_URL", database_url)
    monkeypatch.setenv("HERENOW_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def ready(place: Path, database_url: str) -> Database:
    """The same with the tables of this release."""
    assert say("db", "upgrade").exit_code == 0
    return Database(database_url)


def test_upgrade_brings_an_empty_database_to_this_release(place: Path) -> None:
    first, second = say_json("db", "upgrade"), say_json("db", "upgrade")
    assert (first["before"], first["after"]) == (None, head())
    assert second["before"] == second["after"] == head()


def test_a_rollback_goes_to_the_revision_named_and_up_again(ready: Database) -> None:
    with ready.write() as session:
        session.add(InstanceRow(id=new_id("ins"), digest="sha256:0", problem="p", name="kept", body={}))
    assert "--yes" in say("db", "downgrade", "0008").stderr
    assert "must be one of" in say("db", "downgrade", "nothing", "--yes").stderr
    assert current(ready) == head()
    assert say_json("db", "downgrade", "0008", "--yes") == {"before": head(), "after": "0008"}
    assert current(ready) == "0008"
    assert say_json("db", "upgrade")["after"] == head()
    with ready.read() as session:
        assert session.query(InstanceRow).one().name == "kept"


def test_upgrade_never_shows_the_password(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HERENOW_DATABASE_URL", "postgresql://herenow:secret@127.0.0.1:9/herenow")
    result = say("db", "upgrade")
    assert result.exit_code == 1
    assert "does not answer" in result.stderr
    assert "secret" not in result.stdout + result.stderr


@pytest.mark.parametrize("words", [["keys", "list"], ["keys", "create", "ann", "--scope", "read"], ["gc"]])
def test_a_database_without_tables_is_not_touched(place: Path, words: list[str]) -> None:
    result = say(*words)
    assert result.exit_code == 1
    assert "herenow db upgrade" in " ".join(result.stderr.split())


def test_a_key_is_shown_once_and_opens_the_service(ready: Database) -> None:
    key = say_json("keys", "create", "ann", "--scope", "read", "--scope", "plan", "--expires", "90d")
    caller = identify(ready, digest_of(key["key"]))
    assert caller is not None
    assert (caller.key_id, caller.scopes) == (key["id"], {"read", "plan"})
    (listed,) = say_json("keys", "list")["items"]
    assert (listed["name"], listed["valid"]) == ("ann", True)
    assert key["key"] not in str(listed)
    table = say("keys", "list").stdout
    assert "ann" in table
    assert key["id"] in table  # whole, however narrow the terminal: revoking needs it


def test_only_the_key_goes_to_standard_output(ready: Database) -> None:
    result = say("keys", "create", "ci", "--scope", "train", "--expires", "never")
    assert identify(ready, digest_of(result.stdout.strip())) is not None
    assert "not shown again" in result.stderr


def test_a_revoked_key_opens_nothing(ready: Database) -> None:
    key = say_json("keys", "create", "ann", "--scope", "admin")
    assert say_json("keys", "revoke", key["id"])["revoked"] is True
    assert identify(ready, digest_of(key["key"])) is None
    assert say_json("keys", "list")["items"][0]["valid"] is False


def test_a_rotated_key_has_two_secrets_for_a_while(ready: Database) -> None:
    old = say_json("keys", "create", "ann", "--scope", "read", "--per-minute", "60")
    new = say_json("keys", "rotate", old["id"], "--overlap", "12h", "--expires", "90d")
    callers = [identify(ready, digest_of(key["key"])) for key in (old, new)]
    assert [caller and (caller.owner, caller.requests_per_minute) for caller in callers] == [(old["id"], 60)] * 2
    refused = say("keys", "rotate", old["id"])
    assert refused.exit_code == 1
    assert "--overlap none" in " ".join(refused.stderr.split())
    last = say_json("keys", "rotate", old["id"], "--overlap", "none")
    assert [identify(ready, digest_of(key["key"])) is None for key in (old, new, last)] == [True, True, False]


def test_what_is_done_to_keys_is_told_by_the_audit_log(ready: Database) -> None:
    key = say_json("keys", "create", "ann", "--scope", "read")
    say_json("keys", "rotate", key["id"])
    say_json("keys", "revoke", key["id"])
    entries = say_json("audit", "--subject", key["id"], "--since", "1h")["items"]
    assert [entry["action"] for entry in entries] == ["key.revoked", "key.rotated", "key.made"]
    assert {entry["actor"] for entry in entries} == {"console"}
    assert key["key"] not in str(entries)
    assert say_json("audit", "--action", "key.made", "--limit", "1")["items"][0]["subject"] == key["id"]
    assert key["id"] in say("audit").stdout
    assert "nothing that fits" in say("audit", "--actor", "local").stdout
    assert say("audit", "--action", "looked").exit_code == say("audit", "--since", "soon").exit_code == 2


@pytest.mark.parametrize(
    ("words", "place_named"),
    [
        (["create", "Ann Smith", "--scope", "read"], "NAME"),
        (["create", "ann", "--scope", "everything"], "--scope"),
        (["create", "ann", "--scope", "read", "--expires", "soon"], "--expires"),
        (["create", "ann"], "--scope"),
        (["revoke", "key_nobody"], "there is no key"),
        (["rotate", "key_nobody"], "there is no valid key"),
        (["rotate", "key_nobody", "--overlap", "soon"], "--overlap"),
    ],
)
def test_a_bad_word_about_keys_is_refused(ready: Database, words: list[str], place_named: str) -> None:
    result = say("keys", *words)
    assert result.exit_code == 2
    assert place_named in result.stderr


class TestGarbage:
    """`herenow gc` removes what nobody needs and nothing else."""

    def _instance(self, database: Database) -> str:
        instance_id = new_id("ins")
        with database.write() as session:
            session.add(InstanceRow(id=instance_id, digest=f"sha256:{'i' * 64}", problem="p", name="n", body={}))
        return instance_id

    def _artifact(self, storage: Storage, letter: str, days_old: float) -> Path:
        folder = storage.root / "artifacts" / (letter * 2) / (letter * 64)
        folder.mkdir(parents=True)
        (folder / "artifact.json").write_text("{}" * 512)
        old = time.time() - days_old * DAY
        os.utime(folder / "artifact.json", (old, old))
        return folder

    def _policy(self, database: Database, instance_id: str, letter: str) -> None:
        row = PolicyRow(
            id=new_id("pol"),
            name="kept",
            version=1,
            problem="p",
            solver="s",
            family="f",
            instance_id=instance_id,
            artifact_digest=f"sha256:{letter * 64}",
            card={},
            recommended_for_use=True,
        )
        with database.write() as session:
            session.add(row)

    def _job(self, database: Database, storage: Storage, instance_id: str, days_done: float | None) -> Path:
        done = None if days_done is None else utcnow() - timedelta(days=days_done)
        row = JobRow(
            id=new_id("job"),
            kind="train",
            state="running" if done is None else "succeeded",
            instance_id=instance_id,
            config={},
            seed=1,
            request={},
            time_limit_seconds=60.0,
            max_attempts=2,
            finished_at=done,
        )
        with database.write() as session:
            session.add(row)
        folder = storage.job_folder(row.id)
        folder.mkdir()
        (folder / "log.txt").write_text("done\n")
        return folder

    @pytest.fixture
    def scene(self, ready: Database, place: Path) -> dict[str, Path]:
        storage = Storage(place)
        storage.prepare()
        instance_id = self._instance(ready)
        self._policy(ready, instance_id, "a")
        with ready.write() as session:
            for hours in (-1, 1):
                session.add(
                    IdempotencyKeyRow(
                        id=new_id("idm"),
                        owner="local",
                        key=f"k{hours}",
                        method="POST",
                        path="/v1/jobs",
                        body_digest="sha256:0",
                        expires_at=utcnow() + timedelta(hours=hours),
                    )
                )
        orphan = storage.root / "jobs" / new_id("job")
        orphan.mkdir()
        os.utime(orphan, (time.time() - 3 * DAY,) * 2)
        return {
            "named artifact": self._artifact(storage, "a", 90),
            "unnamed artifact": self._artifact(storage, "b", 3),
            "young artifact": self._artifact(storage, "c", 0.1),
            "old job": self._job(ready, storage, instance_id, 31),
            "recent job": self._job(ready, storage, instance_id, 2),
            "running job": self._job(ready, storage, instance_id, None),
            "folder of no job": orphan,
        }

    GARBAGE = frozenset({"unnamed artifact", "old job", "folder of no job"})

    def test_a_dry_run_only_looks(self, scene: dict[str, Path], ready: Database) -> None:
        found = say_json("gc", "--dry-run")
        assert found["artifacts"] == ["sha256:" + "b" * 64]
        assert set(found["job_folders"]) == {scene["old job"].name, scene["folder of no job"].name}
        assert (found["idempotency_keys"], found["removed"]) == (1, False)
        assert found["bytes"] == 1024 + len("done\n")
        assert all(folder.exists() for folder in scene.values())

    def test_garbage_goes_and_the_rest_stays(self, scene: dict[str, Path], ready: Database) -> None:
        assert say("gc").exit_code == 0
        assert {name for name, folder in scene.items() if not folder.exists()} == self.GARBAGE
        with ready.read() as session:
            assert [row.key for row in session.query(IdempotencyKeyRow)] == ["k1"]

    def test_a_second_time_finds_nothing(self, scene: dict[str, Path]) -> None:
        say("gc")
        again = say_json("gc")
        assert (again["artifacts"], again["job_folders"], again["idempotency_keys"]) == ([], [], 0)


def test_upgrade_is_what_the_service_expects(place: Path, database_url: str) -> None:
    upgrade(Database(database_url))
    assert say_json("db", "upgrade")["before"] == head()
