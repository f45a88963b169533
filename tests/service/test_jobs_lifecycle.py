"""A job's way through its states, held by leases, on both kinds of database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.db.rows import JobEventRow, JobRow, OutboxRow, utcnow
from service.db.session import Database
from service.ids import new_id
from service.jobs import lifecycle, repository
from service.jobs.bell import ring_after_commit
from service.jobs.lifecycle import LeaseLost
from service.jobs.reconciler import Reconciler
from service.jobs.repository import Lease
from service.settings import Settings


class RecordingBell:
    """Notes who was rung for."""

    def __init__(self, works: bool = True) -> None:
        self.rung: list[str] = []
        self.works = works

    def ring(self, job_id: str, device: str = "auto") -> bool:
        self.rung.append(job_id)
        return self.works


@pytest.fixture
def bell() -> RecordingBell:
    return RecordingBell()


@pytest.fixture
def reconciler(settings: Settings, database: Database, bell: RecordingBell) -> Reconciler:
    return Reconciler(settings, database, bell)


def job_of(database: Database, job_id: str) -> JobRow:
    with database.read() as session:
        return session.get_one(JobRow, job_id)


def events_of(database: Database, job_id: str) -> list[JobEventRow]:
    with database.read() as session:
        return repository.events_after(session, job_id, 0, 10_000)


def expire(database: Database, job_id: str) -> None:
    """Let the job's lease have run out a second ago."""
    with database.write() as session:
        session.get_one(JobRow, job_id).lease_expires_at = utcnow() - timedelta(seconds=1)


def write_and_fail(session: Session, lease: Lease) -> None:
    """Write an event, then fail in the same transaction."""
    lifecycle.write(session, lease, {}, [("log", {"text": "never"})])
    lifecycle.write(session, Lease(lease.job_id, "else", 9), {})


def ring_and_fail(session: Session, database: Database, bell: RecordingBell, job_id: str) -> None:
    """Have the bell rung on commit, then fail before it."""
    ring_after_commit(session, database, bell, job_id)
    lifecycle.renew(session, Lease(job_id, "nobody", 3), 1.0, 0.0)


class TestClaiming:
    def test_one_of_many_workers_gets_the_job(self, database: Database, make_job: Callable[..., str]) -> None:
        job_id, got, gate = make_job(), [], threading.Barrier(6)

        def try_it(worker: str) -> None:
            gate.wait()
            with database.write() as session:
                got.append(lifecycle.claim(session, job_id, worker, 15.0))

        threads = [threading.Thread(target=try_it, args=(f"w{i}",)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winners = [lease for lease in got if lease is not None]
        assert len(got) == 6
        assert len(winners) == 1
        job = job_of(database, job_id)
        assert (job.state, job.attempt, job.worker) == ("starting", 1, winners[0].worker)
        assert job.started_at is not None

    def test_a_claim_settles_the_bell(self, database: Database, make_job: Callable, claim: Callable) -> None:
        claim(make_job())
        with database.read() as session:
            assert session.scalars(select(OutboxRow)).all() == []

    def test_a_finished_or_unknown_job_cannot_be_claimed(
        self, database: Database, make_job: Callable, claim: Callable
    ) -> None:
        lease = claim(make_job())
        with database.write() as session:
            lifecycle.finish(session, lease, "succeeded")
        with database.write() as session:
            assert lifecycle.claim(session, lease.job_id, "w2", 15.0) is None
            assert lifecycle.claim(session, new_id("job"), "w2", 15.0) is None


class TestFencing:
    def test_a_lost_lease_writes_nothing(self, database: Database, make_job: Callable, claim: Callable) -> None:
        old = claim(make_job(), "w1")
        with database.write() as session:
            lifecycle.give_back(session, old)
        new = claim(old.job_id, "w2")
        before = len(events_of(database, old.job_id))
        for write in (
            lambda s: lifecycle.write(s, old, {"progress": {"iteration": 9}}, [("log", {"text": "late"})]),
            lambda s: lifecycle.renew(s, old, 15.0, 1.0),
            lambda s: lifecycle.finish(s, old, "succeeded"),
            lambda s: lifecycle.give_back(s, old),
        ):
            with pytest.raises(LeaseLost), database.write() as session:
                write(session)
        with database.write() as session:
            assert lifecycle.enter(session, old, "running", after="starting") is False
        job = job_of(database, old.job_id)
        assert (job.state, job.worker, job.progress) == ("starting", new.worker, None)
        assert len(events_of(database, old.job_id)) == before

    def test_a_heartbeat_pushes_the_lease_out(self, database: Database, make_job: Callable, claim: Callable) -> None:
        lease = claim(make_job(), seconds=1.0)
        before = job_of(database, lease.job_id).lease_expires_at
        with database.write() as session:
            lifecycle.renew(session, lease, 30.0, 12.5)
        job = job_of(database, lease.job_id)
        assert job.lease_expires_at is not None
        assert before is not None
        assert job.lease_expires_at - before > timedelta(seconds=20)
        assert job.elapsed_seconds == 12.5

    def test_a_cancelling_job_does_not_go_back_to_running(
        self, database: Database, make_job: Callable, claim: Callable
    ) -> None:
        lease = claim(make_job())
        with database.write() as session:
            lifecycle.write(session, lease, {"state": "cancelling"})
            assert lifecycle.enter(session, lease, "running", after="starting") is False
        assert job_of(database, lease.job_id).state == "cancelling"


class TestEvents:
    def test_numbers_have_no_gap_however_many_write(
        self, database: Database, make_job: Callable, claim: Callable
    ) -> None:
        lease = claim(make_job())

        def write(name: str) -> None:
            for i in range(10):
                with database.write() as session:
                    lifecycle.write(session, lease, {}, [("log", {"text": f"{name}{i}"}), ("metric", {"value": i})])

        threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [event.seq for event in events_of(database, lease.job_id)] == list(range(1, 83))

    def test_a_write_that_fails_takes_no_number(self, database: Database, make_job: Callable, claim: Callable) -> None:
        lease = claim(make_job())
        with pytest.raises(LeaseLost), database.write() as session:
            write_and_fail(session, lease)
        with database.write() as session:
            lifecycle.write(session, lease, {}, [("log", {"text": "third"})])
        found = [(event.seq, event.type) for event in events_of(database, lease.job_id)]
        assert found == [(1, "state"), (2, "state"), (3, "log")]

    @pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
    def test_end_is_last(self, database: Database, make_job: Callable, claim: Callable, state: str) -> None:
        lease = claim(make_job())
        with database.write() as session:
            lifecycle.finish(session, lease, state, stopped_by="finished")  # type: ignore[arg-type]
        last = events_of(database, lease.job_id)[-2:]
        assert [(event.type, event.data["state"]) for event in last] == [("state", state), ("end", state)]
        assert last[-1].data["stopped_by"] == "finished"


class TestLosing:
    def test_a_job_that_lost_its_worker_is_queued_again(
        self, database: Database, make_job: Callable, claim: Callable, reconciler: Reconciler
    ) -> None:
        lease = claim(make_job())
        expire(database, lease.job_id)
        assert reconciler.recover() == [lease.job_id]
        job = job_of(database, lease.job_id)
        assert (job.state, job.attempt, job.lost_workers, job.worker) == ("queued", 1, 1, None)
        assert claim(lease.job_id, "w2").attempt == 2

    def test_a_job_that_lost_its_worker_twice_is_quarantined(
        self, database: Database, make_job: Callable, claim: Callable, reconciler: Reconciler
    ) -> None:
        job_id = make_job()
        for _ in range(2):
            claim(job_id)
            expire(database, job_id)
            reconciler.recover()
        job = job_of(database, job_id)
        assert job.error is not None
        assert (job.state, job.error["type"]) == ("failed", "/problems/quarantined")
        assert job.finished_at is not None
        assert events_of(database, job_id)[-1].type == "end"
        assert events_of(database, job_id)[-1].data["error"] == job.error

    def test_a_job_with_one_attempt_fails_as_worker_lost(
        self, database: Database, make_job: Callable, claim: Callable, reconciler: Reconciler
    ) -> None:
        lease = claim(make_job(max_attempts=1))
        expire(database, lease.job_id)
        reconciler.recover()
        error = job_of(database, lease.job_id).error
        assert error is not None
        assert error["type"] == "/problems/worker-lost"

    def test_a_job_being_cancelled_is_cancelled(
        self, database: Database, make_job: Callable, claim: Callable, reconciler: Reconciler
    ) -> None:
        lease = claim(make_job())
        with database.write() as session:
            lifecycle.write(session, lease, {"state": "cancelling"})
        expire(database, lease.job_id)
        reconciler.recover()
        job = job_of(database, lease.job_id)
        assert (job.state, job.error) == ("cancelled", None)

    def test_a_living_lease_is_left_alone(self, make_job: Callable, claim: Callable, reconciler: Reconciler) -> None:
        claim(make_job())
        assert reconciler.recover() == []

    def test_several_reconcilers_recover_a_job_once(
        self, settings: Settings, database: Database, make_job: Callable, claim: Callable, bell: RecordingBell
    ) -> None:
        lease = claim(make_job())
        expire(database, lease.job_id)
        done: list[str] = []
        reconcilers = [Reconciler(settings, database, bell) for _ in range(4)]
        threads = [threading.Thread(target=lambda r=r: done.extend(r.recover())) for r in reconcilers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert done == [lease.job_id]
        assert job_of(database, lease.job_id).lost_workers == 1

    def test_a_stopping_worker_gives_back_without_a_mark(
        self, database: Database, make_job: Callable, claim: Callable
    ) -> None:
        lease = claim(make_job())
        with database.write() as session:
            assert lifecycle.give_back(session, lease) is True
        job = job_of(database, lease.job_id)
        assert (job.state, job.attempt, job.lost_workers) == ("queued", 0, 0)


class TestBells:
    def age(self, database: Database, seconds: float, rings: int) -> None:
        """As if every bell had been rung so often, the last time so long ago."""
        with database.write() as session:
            for bell in session.scalars(select(OutboxRow)):
                bell.created_at = bell.rung_at = utcnow() - timedelta(seconds=seconds)
                bell.rings = rings
                if rings == 0:
                    bell.rung_at = None

    def test_it_rings_after_the_commit_and_not_before(
        self, database: Database, make_job: Callable, bell: RecordingBell
    ) -> None:
        job_id = make_job()
        with database.write() as session:
            ring_after_commit(session, database, bell, job_id)
            assert bell.rung == []
        assert bell.rung == [job_id]
        with database.read() as session:
            assert session.scalars(select(OutboxRow.rings)).all() == [1]

    def test_nothing_rings_when_the_transaction_fails(
        self, database: Database, make_job: Callable, bell: RecordingBell
    ) -> None:
        job_id = make_job()
        with pytest.raises(LeaseLost), database.write() as session:
            ring_and_fail(session, database, bell, job_id)
        assert bell.rung == []

    def test_a_bell_nobody_rang_is_rung(
        self, database: Database, make_job: Callable, reconciler: Reconciler, bell: RecordingBell
    ) -> None:
        job_id = make_job()
        assert reconciler.ring() == []  # who queued it is about to ring
        self.age(database, 2.0, rings=0)
        assert reconciler.ring() == [job_id]
        assert bell.rung == [job_id]

    def test_a_bell_nobody_heard_is_rung_again_ever_more_rarely(
        self, database: Database, make_job: Callable, reconciler: Reconciler
    ) -> None:
        job_id = make_job()
        for seconds, rings, is_rung in ((4, 1, False), (6, 1, True), (9, 2, False), (11, 2, True), (61, 9, True)):
            self.age(database, seconds, rings)
            assert reconciler.ring() == ([job_id] if is_rung else []), (seconds, rings)

    def test_several_reconcilers_ring_once(
        self, settings: Settings, database: Database, make_job: Callable, bell: RecordingBell
    ) -> None:
        make_job()
        self.age(database, 6.0, rings=1)
        threads = [threading.Thread(target=Reconciler(settings, database, bell).ring) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(bell.rung) == 1

    def test_a_recovered_job_is_rung_for_at_once(
        self, database: Database, make_job: Callable, claim: Callable, reconciler: Reconciler, bell: RecordingBell
    ) -> None:
        lease = claim(make_job())
        expire(database, lease.job_id)
        reconciler.look()
        assert bell.rung == [lease.job_id]

    def test_and_again_if_the_broker_was_away(
        self, database: Database, make_job: Callable, claim: Callable, reconciler: Reconciler, bell: RecordingBell
    ) -> None:
        lease = claim(make_job())
        expire(database, lease.job_id)
        bell.works = False
        reconciler.look()
        bell.works = True
        self.age(database, 2.0, rings=0)
        assert reconciler.ring() == [lease.job_id]

    def test_a_taken_job_is_not_rung_for(
        self, make_job: Callable, claim: Callable, reconciler: Reconciler, database: Database
    ) -> None:
        claim(make_job())
        self.age(database, 100.0, rings=1)
        assert reconciler.ring() == []
