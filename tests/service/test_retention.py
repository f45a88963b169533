"""Rows that have outlived their time go, in steps, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from pydantic import ValidationError
from sqlalchemy import select, text

from service import retention
from service.audit.service import console, note
from service.db.rows import AuditRow, JobEventRow, JobRow, PolicyRow, RecommendationRow, utcnow
from service.db.session import Database
from service.housekeeping import collect
from service.ids import new_id
from service.settings import Settings
from service.storage import Storage

DAY = timedelta(days=1)


@pytest.fixture
def old_and_new(database: Database, make_job: Callable[..., str]) -> tuple[str, str]:
    """Two finished jobs with twenty metrics each, one of them ended a hundred days ago; a running one."""
    ids = []
    for age in (100, 1, None):
        job_id = make_job()
        with database.write() as session:
            job = session.get_one(JobRow, job_id)
            job.state = "running" if age is None else "succeeded"
            job.finished_at = None if age is None else utcnow() - age * DAY
            kinds = ["metric"] * 20 + ["end"]
            session.add_all(JobEventRow(job_id=job_id, seq=k, type=kind, data={}) for k, kind in enumerate(kinds, 2))
        ids.append(job_id)
    return ids[0], ids[1]


def events(database: Database, job_id: str) -> list[str]:
    with database.read() as session:
        query = select(JobEventRow.type).where(JobEventRow.job_id == job_id).order_by(JobEventRow.seq)
        return list(session.scalars(query))


def gone(database: Database, settings: Settings, dry_run: bool = False) -> dict[str, int]:
    return collect(database, Storage(settings.data_dir), None, dry_run, retention.expired(settings)).rows


def test_events_of_old_jobs_go_but_states_and_end(
    database: Database, settings: Settings, old_and_new: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "JOBS_AT_ONCE", 1)
    old, new = old_and_new
    assert gone(database, settings, dry_run=True)["events"] == 20
    assert len(events(database, old)) == 22
    assert gone(database, settings)["events"] == 20
    assert events(database, old) == ["state", "end"]
    assert len(events(database, new)) == 22
    assert gone(database, settings)["events"] == 0


def test_recommendations_stay_unless_told(
    database: Database, settings: Settings, old_and_new: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    _recommendations(database, [400] * 5 + [2])
    assert "recommendations" not in gone(database, settings)
    year = settings.model_copy(update={"keep_recommendations_days": 365.0})
    assert gone(database, year)["recommendations"] == 5
    with database.read() as session:
        assert len(session.scalars(select(RecommendationRow)).all()) == 1


def _recommendations(database: Database, ages: list[int]) -> None:
    with database.write() as session:
        policy = PolicyRow(id=new_id("pol"), name="p", version=1, problem="p", solver="s", family="f", card={})
        policy.instance_id = session.scalars(select(JobRow.instance_id)).first() or ""
        policy.artifact_digest, policy.recommended_for_use = "sha256:0", True
        session.add(policy)
        session.flush()
        for age in ages:
            row = RecommendationRow(id=new_id("rec"), policy_id=policy.id, request={}, response={}, states=1)
            row.created_at = utcnow() - age * DAY
            session.add(row)


def test_the_audit_log_goes_by_its_own_rule(database: Database, settings: Settings) -> None:
    with database.write() as session:
        note(session, console(), "key.made", "key_young")
        old = AuditRow(id=new_id("aud"), actor="a", actor_name="a", action="key.made", subject="key_old", detail={})
        old.created_at = utcnow() - 50 * DAY
        session.add(old)
    assert "audit_entries" not in gone(database, settings)
    assert gone(database, settings.model_copy(update={"keep_audit_days": 40.0}))["audit_entries"] == 1
    with database.read() as session:
        left = session.scalars(select(AuditRow.subject).order_by(AuditRow.id)).all()
    assert left == ["key_young", "audit"]  # what was pruned is noted


def test_the_audit_log_is_kept_for_a_month_at_least() -> None:
    with pytest.raises(ValidationError, match="at least 30 days"):
        Settings(keep_audit_days=7)
    assert Settings(keep_audit_days=0).keep_audit_days == 0


def test_an_interrupted_cleaning_goes_on_where_it_was(
    database: Database, settings: Settings, old_and_new: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step is a transaction of its own."""
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    _recommendations(database, [400] * 4)
    year = settings.model_copy(update={"keep_recommendations_days": 365.0})
    (kind,) = [kind for kind in retention.expired(year) if kind.name == "recommendations"]
    with database.write() as session:
        assert kind.remove_some(session) == 2
    with database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM recommendations")) == 2
    assert gone(database, year)["recommendations"] == 2
