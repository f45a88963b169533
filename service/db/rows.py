"""Database rows, the same on SQLite and PostgreSQL.

Times are UTC and timezone-aware on both sides. References that are provenance only (which job made a policy, which
policy warmed a job up) carry no foreign key: their target may be deleted while the record stands.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    DateTime,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


def utcnow() -> datetime:
    """The present, timezone-aware."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC; naive values are refused on the way in, so no local time can slip through."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Id = String(30)
Word = String(63)
Document = JSON(none_as_null=True)


class Base(DeclarativeBase):
    """Base of every row."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar = {
        datetime: UtcDateTime(),
        float: Double(),
        dict[str, Any]: Document,
        list[Any]: Document,
    }


class InstanceRow(Base):
    """A planner's data, stored once per content."""

    __tablename__ = "instances"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    digest: Mapped[str] = mapped_column(String(71), unique=True)
    problem: Mapped[str] = mapped_column(Word, index=True)
    name: Mapped[str] = mapped_column(Word)
    body: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class ApiKeyRow(Base):
    """An API key: only its digest is kept."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(Word)
    digest: Mapped[str] = mapped_column(String(71), unique=True)
    scopes: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    previous_digest: Mapped[str | None] = mapped_column(String(71), unique=True, index=True)
    previous_expires_at: Mapped[datetime | None]  # until then the secret before the last rotation works too
    rotated_at: Mapped[datetime | None]
    requests_per_minute: Mapped[int | None]  # the key's own limit


class AuditRow(Base):
    """One change and who made it; the database refuses to alter it (see migration 0008)."""

    __tablename__ = "audit_log"
    __table_args__ = (Index(None, "actor", "id"), Index(None, "action", "id"), Index(None, "subject", "id"))

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
    actor: Mapped[str] = mapped_column(String(100))
    actor_name: Mapped[str] = mapped_column(Word)
    action: Mapped[str] = mapped_column(Word)
    subject: Mapped[str] = mapped_column(String(200))
    detail: Mapped[dict[str, Any]]
    request_id: Mapped[str | None] = mapped_column(String(64))


class PolicyRow(Base):
    """One version of a named policy; its weights are the artifact of that digest."""

    __tablename__ = "policies"
    __table_args__ = (UniqueConstraint("name", "version"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(Word)
    version: Mapped[int]
    problem: Mapped[str] = mapped_column(Word, index=True)
    solver: Mapped[str] = mapped_column(Word)
    family: Mapped[str] = mapped_column(Word)
    instance_id: Mapped[str] = mapped_column(Id, ForeignKey("instances.id"), index=True)
    job_id: Mapped[str | None] = mapped_column(Id, index=True)
    artifact_digest: Mapped[str] = mapped_column(String(71), index=True)
    card: Mapped[dict[str, Any]]
    recommended_for_use: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class AliasRow(Base):
    """What one version of a policy's name is in use for; `etag` changes with every change of the row."""

    __tablename__ = "aliases"

    policy_name: Mapped[str] = mapped_column(Word, primary_key=True)
    alias: Mapped[str] = mapped_column(Word, primary_key=True)
    policy_id: Mapped[str] = mapped_column(Id, ForeignKey("policies.id"), index=True)
    etag: Mapped[str] = mapped_column(Id)
    note: Mapped[str | None] = mapped_column(Text)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_by: Mapped[str] = mapped_column(String(100))


class EvaluationRow(Base):
    """Policies compared on one instance; `paths` are the quantile paths for plots."""

    __tablename__ = "evaluations"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    job_id: Mapped[str | None] = mapped_column(Id, index=True)
    instance_id: Mapped[str] = mapped_column(Id, ForeignKey("instances.id"), index=True)
    body: Mapped[dict[str, Any]]
    paths: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class ScenarioSetRow(Base):
    """The planner's own scenarios; `numbers` are (scenario, stage, place), little-endian doubles through zlib."""

    __tablename__ = "scenario_sets"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(Word)
    instance_id: Mapped[str] = mapped_column(Id, ForeignKey("instances.id"), index=True)
    problem: Mapped[str] = mapped_column(Word)
    scenarios: Mapped[int]
    stages: Mapped[int]
    places: Mapped[list[Any]]
    quantity: Mapped[str] = mapped_column(Word)
    unit: Mapped[str] = mapped_column(Word)
    stage_word: Mapped[str] = mapped_column(Word)
    digest: Mapped[str] = mapped_column(String(71))
    numbers: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class AcceptanceTestRow(Base):
    """What versions of a policy's name have to show; never changed once made."""

    __tablename__ = "acceptance_tests"
    __table_args__ = (UniqueConstraint("policy_name", "name"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    policy_name: Mapped[str] = mapped_column(Word)
    name: Mapped[str] = mapped_column(Word)
    instance_id: Mapped[str] = mapped_column(Id, ForeignKey("instances.id"), index=True)
    scenario_set_id: Mapped[str | None] = mapped_column(Id, ForeignKey("scenario_sets.id"), index=True)
    scenarios: Mapped[int]
    seed: Mapped[int]
    policies: Mapped[list[Any]]
    rules: Mapped[list[Any]]
    largest_cost_increase: Mapped[float]
    least_service: Mapped[dict[str, Any]]
    guards: Mapped[list[Any]]
    time_limit_seconds: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    created_by: Mapped[str] = mapped_column(String(100))


class AcceptanceVerdictRow(Base):
    """What one version showed in one run of an acceptance test."""

    __tablename__ = "acceptance_verdicts"
    __table_args__ = (Index(None, "test_id", "policy_id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    test_id: Mapped[str] = mapped_column(Id, ForeignKey("acceptance_tests.id", ondelete="CASCADE"))
    policy_id: Mapped[str] = mapped_column(Id, ForeignKey("policies.id", ondelete="CASCADE"), index=True)
    job_id: Mapped[str] = mapped_column(Id)
    evaluation_id: Mapped[str | None] = mapped_column(Id, ForeignKey("evaluations.id", ondelete="SET NULL"))
    passed: Mapped[bool]
    checks: Mapped[list[Any]]
    scenarios: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class JobRow(Base):
    """A job: what was asked, where it stands, who runs it.

    `event_seq` is the number of its last event; it is raised in the transaction that writes the event, so the row's
    lock orders events and no number is ever skipped.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index(None, "state", "lease_expires_at"),
        Index(None, "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(Word)
    state: Mapped[str] = mapped_column(Word)
    instance_id: Mapped[str] = mapped_column(Id, ForeignKey("instances.id"), index=True)
    solver: Mapped[str | None] = mapped_column(Word)
    config: Mapped[dict[str, Any]]
    seed: Mapped[int]
    request: Mapped[dict[str, Any]]
    device: Mapped[str] = mapped_column(Word, default="auto", server_default="auto")
    time_limit_seconds: Mapped[float]
    policy_name: Mapped[str | None] = mapped_column(Word)
    warm_start: Mapped[str | None] = mapped_column(Id)
    retry_of: Mapped[str | None] = mapped_column(Id)
    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    lost_workers: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    lease_expires_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    progress: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    stopped_by: Mapped[str | None] = mapped_column(Word)
    result: Mapped[dict[str, Any] | None]
    elapsed_seconds: Mapped[float] = mapped_column(default=0.0)
    event_seq: Mapped[int] = mapped_column(default=0)
    policy_id: Mapped[str | None] = mapped_column(Id, ForeignKey("policies.id", ondelete="SET NULL"), index=True)
    evaluation_id: Mapped[str | None] = mapped_column(Id, ForeignKey("evaluations.id", ondelete="SET NULL"), index=True)
    key_id: Mapped[str | None] = mapped_column(Id, ForeignKey("api_keys.id", ondelete="SET NULL"))
    request_id: Mapped[str | None] = mapped_column(String(64))  # of the request that queued it, for log lines
    traceparent: Mapped[str | None] = mapped_column(String(64))  # of that request's span, for the worker to go on from

    @property
    def also_instance_ids(self) -> list[str]:
        """The instances it trains on beside its own."""
        return list(self.request.get("also_instance_ids", []))


class JobInstanceRow(Base):
    """An instance a job trains on beside its own, in the order asked for; it stays while the job does."""

    __tablename__ = "job_instances"

    job_id: Mapped[str] = mapped_column(Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    instance_id: Mapped[str] = mapped_column(Id, ForeignKey("instances.id"), index=True)


class OutboxRow(Base):
    """A bell owed to the workers, written with its job; rung after commit and again until a claim deletes it."""

    __tablename__ = "outbox"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    job_id: Mapped[str] = mapped_column(Id, ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    rung_at: Mapped[datetime | None]
    rings: Mapped[int] = mapped_column(default=0)


class WorkerRow(Base):
    """A worker process, as it last told of itself."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    queue: Mapped[str] = mapped_column(String(100))
    queues: Mapped[list[Any]] = mapped_column(server_default='["cpu"]')
    gpus: Mapped[list[Any]] = mapped_column(server_default="[]")
    concurrency: Mapped[int]
    device: Mapped[str] = mapped_column(Word)
    version: Mapped[str] = mapped_column(Word)
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]


IS_MILESTONE = text("type IN ('state', 'incumbent', 'end')")
"""Events that have an index of their own, as a condition: the others are most of a long job's events."""
_MILESTONES = {"sqlite_where": IS_MILESTONE, "postgresql_where": IS_MILESTONE}


class JobEventRow(Base):
    """One event of a job; `seq` counts from 1 without a gap."""

    __tablename__ = "job_events"
    __table_args__ = (Index("ix_job_events_milestones", "job_id", "type", "seq", **_MILESTONES),)

    job_id: Mapped[str] = mapped_column(Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    type: Mapped[str] = mapped_column(Word)
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class RecommendationRow(Base):
    """The audit trail of one recommendation and what the planner did with it."""

    __tablename__ = "recommendations"
    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "policy_id", "id"),
        Index(None, "judgement", "id"),
        Index(None, "policy_id", "judgement", "id"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    policy_id: Mapped[str] = mapped_column(Id, ForeignKey("policies.id"))
    judgement: Mapped[str] = mapped_column(Word, default="pending", server_default="pending")  # its outcome in a word
    asked_by: Mapped[str | None] = mapped_column(String(100))  # the key's id, or `local`; unknown before 0008
    request: Mapped[dict[str, Any]]
    response: Mapped[dict[str, Any]]
    states: Mapped[int]
    archive: Mapped[bytes | None] = mapped_column(LargeBinary)  # zlib JSON of both when too big for the columns
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    outcome: Mapped[dict[str, Any] | None]
    outcome_at: Mapped[datetime | None]
    replay: Mapped[dict[str, Any] | None]  # what the planner's own decision cost beside it


class IdempotencyKeyRow(Base):
    """The first answer to a keyed POST; `status` is null while that request still runs."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (UniqueConstraint("owner", "key"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    owner: Mapped[str] = mapped_column(String(100))
    key: Mapped[str] = mapped_column(String(255))
    method: Mapped[str] = mapped_column(String(10))
    path: Mapped[str] = mapped_column(Text)
    body_digest: Mapped[str] = mapped_column(String(71))
    status: Mapped[int | None]
    headers: Mapped[dict[str, Any] | None]
    response: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    expires_at: Mapped[datetime] = mapped_column(index=True)
