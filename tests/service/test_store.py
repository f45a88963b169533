"""Stores: a folder and a server that speaks S3 keep the same promises; copies of what was read are bounded."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from service import job_logs
from service.db.session import Database
from service.housekeeping import GRACE, collect
from service.ids import new_id
from service.jobs.resuming import Checkpoints
from service.objects import CachedStore, ObjectStore, check_url, insistently, open_store
from service.settings import Settings
from service.storage import Storage
from solvers.artifact import ArtifactError, PolicyArtifact, names_of
from solvers.store import FolderStore, Store
from tests.service.api_server import Server, add_policy, example_document, make_settings, running


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store of each kind."""
    if request.param == "s3":
        given: str = request.getfixturevalue("s3_url")
        return given
    (tmp_path / "shared").mkdir()
    return f"file://{tmp_path}/shared"


@pytest.fixture
def store(url: str) -> Store:
    return open_store(url)


class TestAStore:
    def test_gives_back_what_was_written_last(self, store: Store) -> None:
        store.write("ab/part.json", b"first")
        store.write("ab/part.json", b"second")
        assert store.read("ab/part.json") == b"second"
        assert store.below("ab").read("part.json") == b"second"

    def test_says_what_it_does_not_have(self, store: Store) -> None:
        with pytest.raises(FileNotFoundError):
            store.read("ab/none")
        assert list(store.listing()) == []
        assert list(store.listing("none")) == []
        store.remove("none")

    def test_lists_what_lies_below_a_name(self, store: Store) -> None:
        for name in ("ab/one", "ab/cd/two", "abc/three"):
            store.write(name, name.encode())
        assert {(found.name, found.size) for found in store.listing("ab")} == {("ab/one", 6), ("ab/cd/two", 9)}
        assert {found.name for found in store.below("ab").listing()} == {"one", "cd/two"}
        assert all(found.modified > 1.6e9 for found in store.listing())

    def test_removes_a_name_and_what_lies_below_it_alone(self, store: Store) -> None:
        for name in ("ab/one", "ab/cd/two", "abc/three"):
            store.write(name, b"x")
        store.remove("ab")
        assert [found.name for found in store.listing()] == ["abc/three"]
        store.remove("abc/three")
        assert not list(store.listing())

    def test_says_whether_it_answers(self, store: Store) -> None:
        store.check()

    @pytest.mark.parametrize("name", ["", "/etc/passwd", "../up", "ab/../../up"])
    def test_has_no_names_that_lead_out_of_it(self, store: Store, name: str) -> None:
        with pytest.raises(ValueError, match="name"):
            store.read(name)

    def test_two_writers_leave_one_of_both_whole(self, store: Store) -> None:
        contents = [bytes([letter]) * 200_000 for letter in (65, 66)]
        threads = [threading.Thread(target=store.write, args=("ab/same", content)) for content in contents * 3]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.read("ab/same") in contents
        assert [found.name for found in store.listing()] == ["ab/same"]


class TestAUrl:
    @pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/a/b", "file:///var/lib/herenow"])
    def test_is_taken(self, url: str) -> None:
        assert Settings(store_url=url).store_url == check_url(url)

    @pytest.mark.parametrize(
        "url", ["bucket", "http://host/a", "file://folder", "s3:///a", "s3://key:secret@bucket", "s3://b/a?x=1"]
    )
    def test_that_is_none_is_refused(self, url: str) -> None:
        with pytest.raises(ValueError, match=r"///|://BUCKET"):
            Settings(store_url=url)

    def test_of_a_bucket_that_is_missing_is_not_ready(self, object_server_url: str) -> None:
        with pytest.raises(FileNotFoundError):
            open_store("s3://no-such-bucket-here/a").check()

    def test_nobody_answers_at_is_an_os_error(self, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        from botocore.exceptions import EndpointConnectionError

        store = open_store(s3_url)

        def refuse(*given: object, **more: object) -> None:
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

        assert isinstance(store, ObjectStore)
        monkeypatch.setattr(store.system, "cat_file", refuse)
        with pytest.raises(ConnectionError, match="does not answer"):
            store.read("ab/one")


class TestAskingAgain:
    def test_a_moment_of_silence_is_waited_out(self) -> None:
        answers = iter([OSError("away"), OSError("away"), "here"])

        def ask() -> str:
            answer = next(answers)
            if isinstance(answer, OSError):
                raise answer
            return answer

        assert insistently(ask, "a test", pause=0.001) == "here"

    def test_long_silence_and_what_is_not_there_are_errors(self) -> None:
        asked: list[int] = []

        def ask(error: type[OSError]) -> None:
            asked.append(1)
            raise error

        with pytest.raises(ConnectionError):
            insistently(lambda: ask(ConnectionError), "a test", tries=3, pause=0.001)
        with pytest.raises(FileNotFoundError):
            insistently(lambda: ask(FileNotFoundError), "a test", pause=0.001)
        assert len(asked) == 3 + 1


class TestCopies:
    @pytest.fixture
    def cached(self, store: Store, tmp_path: Path) -> CachedStore:
        return CachedStore(store, tmp_path / "copies", limit=3 * 1100)

    def test_are_read_when_the_store_is_away(self, cached: CachedStore) -> None:
        cached.write("ab/one", b"content")
        assert cached.read("ab/one") == b"content"
        cached.store.remove("ab/one")
        assert cached.read("ab/one") == b"content"

    def test_that_are_damaged_are_fetched_anew(self, cached: CachedStore) -> None:
        cached.write("ab/one", b"content")
        cached.read("ab/one")
        copy = cached.folder / "ab" / "one"
        copy.write_bytes(copy.read_bytes()[:-1] + b"!")
        assert cached.read("ab/one") == b"content"
        assert cached.read("ab/one") == b"content"

    def test_stay_below_their_limit_and_the_last_read_stay(self, cached: CachedStore) -> None:
        for name in "abcd":
            cached.write(name, name.encode() * 1000)
            cached.read(name)
            cached.read("a")  # in use all the time
        kept = {found.name: found.size for found in FolderStore(cached.folder).listing()}
        assert set(kept) == {"a", "c", "d"}
        assert sum(kept.values()) <= cached.limit

    def test_of_what_is_larger_than_all_of_them_are_not_made(self, cached: CachedStore) -> None:
        cached.write("large", b"x" * 4000)
        assert len(cached.read("large")) == 4000
        assert not list(FolderStore(cached.folder).listing())


class TestJobLogs:
    def test_are_read_as_one_text_whoever_wrote_them(self, store: Store, tmp_path: Path) -> None:
        """Two attempts on two machines; the text outgrows a part."""
        said = b""
        for attempt in ("one", "two"):
            path = tmp_path / attempt
            carrier = job_logs.LogCarrier(path, store, attempt)
            for lines in (b"begins\n", b"x" * job_logs.PART_BYTES, b"ends\n"):
                with path.open("ab") as log:
                    log.write(lines)
                carrier.carry()
                said += lines
        assert job_logs.read(store, 0, 2**20) == (said, len(said))
        assert job_logs.read(store, 5, 10) == (said[5:15], len(said))
        middle = job_logs.PART_BYTES - 3
        assert job_logs.read(store, middle, 20)[0] == said[middle : middle + 20]
        assert job_logs.read(store, len(said) + 7, 10) == (b"", len(said))
        assert len(list(store.listing("log"))) == 4

    def test_a_log_that_was_there_before_is_not_carried_twice(self, store: Store, tmp_path: Path) -> None:
        path = tmp_path / "log.txt"
        path.write_bytes(b"an earlier attempt\n")
        carrier = job_logs.LogCarrier(path, store, "later")
        with path.open("ab") as log:
            log.write(b"this one\n")
        carrier.start()
        carrier.close()
        assert job_logs.read(store, 0, 100)[0] == b"this one\n"


class TestCheckpoints:
    def test_made_on_one_machine_are_found_on_another(self, url: str, tmp_path: Path) -> None:
        job_id = new_id("job")
        here, there = (Storage(tmp_path / name, open_store(url)) for name in ("here", "there"))
        assert Checkpoints(here, job_id, 0.0).load() is None
        Checkpoints(here, job_id, 0.0).save({"iteration": 7})
        assert Checkpoints(there, job_id, 0.0).load() == {"iteration": 7}
        Checkpoints(there, job_id, 0.0).save({"iteration": 9})
        assert Checkpoints(here, job_id, 0.0).load() == {"iteration": 9}, "what lies here is older"
        there.remove_checkpoint(job_id)
        assert not list(there.store.listing())

    def test_that_cannot_be_carried_do_not_end_the_training(self, tmp_path: Path) -> None:
        class Away(FolderStore):
            def write(self, name: str, content: bytes) -> None:
                raise ConnectionError("away")

        storage, job_id = Storage(tmp_path / "here", Away(tmp_path / "gone")), new_id("job")
        checkpoints = Checkpoints(storage, job_id, 60.0)
        assert checkpoints.is_due
        assert checkpoints.save({"iteration": 1}) > 0
        assert not checkpoints.is_due
        assert Checkpoints(storage, job_id, 0.0).load() == {"iteration": 1}


class TestTheService:
    @pytest.fixture
    def served(self, url: str, tmp_path: Path) -> Settings:
        return make_settings(tmp_path / "data", store_url=url)

    def test_keeps_its_policies_there(self, served: Settings) -> None:
        with running(served) as server, server.client() as client:
            policy_id = add_policy(server, example_document())
            assert not list((served.data_dir / "artifacts").rglob("*")), "it went into the data folder"
            assert client.post(f"/v1/policies/{policy_id}/recommend", json={}).status_code == 200
            assert client.get("/healthz/ready").json()["checks"]["storage"] == "ok"
            assert client.get("/v1/storage").json()["artifacts_bytes"] > 0

    def test_serves_a_policy_another_one_kept(self, served: Settings, tmp_path: Path) -> None:
        database_url = served.database  # of both
        other = served.model_copy(update={"data_dir": tmp_path / "other", "database_url": database_url})
        with running(served) as server, running(other) as second, second.client() as client:
            policy_id = add_policy(server, example_document())
            assert client.post(f"/v1/policies/{policy_id}/recommend", json={}).status_code == 200

    def test_notices_damage_there(self, served: Settings) -> None:
        with running(served) as server, server.client() as client:
            policy_id = add_policy(server, example_document())
            store = Storage.of(served).store
            for found in list(store.listing("artifacts")):
                store.write(found.name, store.read(found.name)[:-1] + b"!")
            answer = client.post(f"/v1/policies/{policy_id}/recommend", json={})
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/artifact-unavailable")

    def test_is_not_ready_without_its_store(self, served: Settings) -> None:
        with running(served) as server, server.client() as client:
            gone = open_store(
                "s3://no-such-bucket-here/a" if served.store_url[:2] == "s3" else "file:///nowhere/at/all"
            )
            server.app.state.storage.store = gone
            answer = client.get("/healthz/ready")
        assert (answer.status_code, answer.json()["checks"]["storage"]) == (503, "the store does not answer")

    def test_reads_a_jobs_log_there(self, served: Settings) -> None:
        storage, job_id = Storage.of(served), new_id("job")
        storage.job_folder(job_id).mkdir(parents=True)
        with storage.log_carried(job_id, "w"):
            storage.log_path(job_id).write_bytes(b"attempt 1\n")
        storage.leave_job(job_id)
        assert not storage.job_folder(job_id).exists()
        assert storage.read_log(job_id, 0, 100) == (b"attempt 1\n", 10)
        storage.remove_job(job_id)
        assert storage.read_log(job_id, 0, 100) == (b"", 0)


class TestGarbage:
    """`herenow gc` through a store."""

    @pytest.fixture
    def server(self, url: str, tmp_path: Path) -> Server:
        settings = make_settings(tmp_path / "data", store_url=url)
        with running(settings) as server:
            return server

    def test_what_a_policy_names_and_what_is_young_stays(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        add_policy(server, example_document())
        storage, database = Storage.of(server.settings), Database(server.settings.database)
        (named,) = storage.artifacts_kept()
        stray, lost = f"sha256:{'0' * 64}", new_id("job")
        storage.artifacts.write(names_of(stray)[0], b"never named")
        storage.leave_note(lost, "log/1-x", b"of a job that is no more")
        month = timedelta(days=30)
        assert collect(database, storage, month).bytes == 0, "all of it is young"
        monkeypatch.setattr("service.housekeeping.GRACE", timedelta(seconds=-5))
        found = collect(database, storage, month, dry_run=True)
        assert (set(found.artifacts), set(found.job_folders)) == ({stray}, {lost})
        assert collect(database, storage, month).bytes == found.bytes > 0
        assert [kept.name for kept in storage.artifacts_kept()] == [named.name]
        assert not list(storage.jobs_kept())
        database.close()

    def test_what_is_saved_again_meanwhile_stays(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        """A training ends with the content of an old, unreferenced artifact just as it is collected."""
        storage, database = Storage.of(server.settings), Database(server.settings.database)
        stray = f"sha256:{'0' * 64}"
        storage.artifacts.write(names_of(stray)[0], b"old")
        ages = iter([GRACE * 2, timedelta(0)])  # when it is found, and when it is about to be removed
        monkeypatch.setattr("service.housekeeping._age", lambda kept, now: next(ages))
        assert not collect(database, storage, timedelta(days=30)).artifacts
        assert [kept.name for kept in storage.artifacts_kept()] == [stray]
        database.close()


def test_a_store_that_is_the_data_folder_is_the_fast_path(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "also").symlink_to(tmp_path / "data")
    for url in ("data", "also"):
        assert not Storage.of(make_settings(tmp_path / "data", store_url=f"file://{tmp_path}/{url}")).is_shared
    assert Storage.of(make_settings(tmp_path / "data", store_url=f"file://{tmp_path}/other")).is_shared


def test_a_digest_that_is_none_names_nothing(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    for digest in ("sha256:../../x", "nonsense"):
        with pytest.raises(ArtifactError):
            storage.remove_artifact(digest)
        with pytest.raises(ArtifactError):
            PolicyArtifact.load(storage.artifacts, digest)
