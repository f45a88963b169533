"""What is asked of jobs and what is shown of them."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from service.db.rows import JobEventRow, JobRow
from service.ids import ID_PATTERN, NAME_PATTERN, REF_PATTERN
from service.jobs.places import Device, Queue, queue_of
from service.jobs.states import QUEUED, EventType, Kind, State

MAX_SEED = 2**31 - 1
MAX_SCENARIOS = 65_536

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


def seconds_of(duration: str) -> float:
    """Seconds of an ISO-8601 duration in days, hours, minutes and seconds; ValueError if it is none or is zero."""
    found = _DURATION.fullmatch(duration)
    parts = [float(part or 0) for part in found.groups()] if found else []
    if not any(parts) or duration.endswith("T"):
        raise ValueError("give an ISO-8601 duration above zero in days, hours, minutes and seconds, such as PT10M")
    days, hours, minutes, seconds = parts
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def duration_of(seconds: float) -> str:
    """The ISO-8601 duration of a number of seconds."""
    whole, fraction = divmod(round(seconds, 3), 1)
    minutes, left = divmod(int(whole), 60)
    hours, minutes = divmod(minutes, 60)
    last = f"{left + fraction:.3f}".rstrip("0").rstrip(".") if left or fraction or not whole else ""
    return "PT" + (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "") + (f"{last}S" if last else "")


def _is_duration(value: str) -> str:
    seconds_of(value)
    return value


Duration = Annotated[
    str,
    Field(max_length=40, examples=["PT10M"], json_schema_extra={"format": "duration"}),
    AfterValidator(_is_duration),
]
Ref = Annotated[
    str,
    Field(pattern=REF_PATTERN, description="A policy: its id, its `name` (newest version), `name:3` or `name@alias`."),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class _Work(_Body):
    instance_id: str = Field(pattern=ID_PATTERN, description="The instance to work on.")
    seed: int | None = Field(
        default=None, ge=0, le=MAX_SEED, description="Left out, a random one is drawn and recorded."
    )
    time_limit: Duration | None = Field(default=None, description="Wall clock; left out, the server's default.")


class TrainJob(_Work):
    """Train a policy for an instance."""

    kind: Literal["train"]
    device: Device = Field(
        default="auto",
        description="gpu: a worker of the queue `gpu` gives it a GPU of its own. auto: a GPU where the worker that "
        "takes it from the queue `cpu` has a free one.",
    )
    solver: str = Field(pattern=NAME_PATTERN, description="A training algorithm of `GET /v1/solvers`.")
    config: dict[str, Any] = Field(default={}, description="The solver's configuration; its schema has the defaults.")
    policy_name: str | None = Field(
        default=None, pattern=NAME_PATTERN, description="Left out, made of the instance's name and the solver's."
    )
    warm_start: Ref | None = Field(default=None, description="A policy whose weights training starts from.")
    also_instance_ids: list[Annotated[str, Field(pattern=ID_PATTERN)]] = Field(
        default=[],
        max_length=50,
        description="Instances of the same problem to train on as well, by a policy family whose weights fit them all.",
    )


class EvaluateJob(_Work):
    """Compare policies and classical rules on one instance, on common random numbers."""

    kind: Literal["evaluate"]
    policies: list[Ref] = Field(default=[], max_length=50, description="Policies to judge.")
    rules: list[Annotated[str, Field(pattern=NAME_PATTERN)]] = Field(
        default=[], max_length=50, description="Classical rules of the problem to judge beside them."
    )
    scenarios: int = Field(default=4096, ge=2, le=MAX_SCENARIOS, description="Number of scenarios.")
    scenario_set_id: str | None = Field(
        default=None, pattern=ID_PATTERN, description="Scenarios of your own, each counted once, instead of drawn ones."
    )


class SolveJob(_Work):
    """Solve a program of the instance: a bound or a plan."""

    kind: Literal["solve"]
    solver: str = Field(pattern=NAME_PATTERN, description="A program solver of `GET /v1/solvers`.")
    config: dict[str, Any] = Field(default={}, description="The solver's configuration.")


JobRequest = Annotated[TrainJob | EvaluateJob | SolveJob, Field(discriminator="kind")]


class JobView(BaseModel):
    """A job as it stands."""

    id: str
    kind: Kind
    state: State
    instance_id: str
    solver: str | None = Field(description="Null for evaluations.")
    config: dict[str, Any] = Field(description="The configuration in full, defaults included.")
    seed: int
    device: Device = Field(description="What it computes on: auto is up to the worker.")
    waiting_for: str | None = Field(
        default=None,
        description="Why a queued job is not taken though its turn may have come; null if workers serve it.",
    )
    time_limit: str = Field(description="Wall clock allowed (ISO-8601 duration).")
    policy_name: str | None
    warm_start: str | None
    also_instance_ids: list[str] = Field(description="Instances it trains on beside `instance_id`.")
    retry_of: str | None = Field(description="The job this one repeats.")
    attempt: int = Field(description="Times it was started; 0 until a worker takes it.")
    max_attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    heartbeat_at: datetime | None
    cancel_requested_at: datetime | None
    progress: dict[str, Any] | None = Field(
        description="Phase, iteration and costs so far; `ranks` where several processes share a training."
    )
    stopped_by: str | None = Field(description="What ended the work: finished, time_limit or request.")
    error: dict[str, Any] | None = Field(description="A problem document when the job failed.")
    policy_id: str | None
    evaluation_id: str | None

    @classmethod
    def of(cls, row: JobRow, served: Collection[Queue] | None = None) -> JobView:
        """The view of a row; `served` are the queues that workers serve now, where that was looked up."""
        shown = {name: getattr(row, name) for name in cls.model_fields if name not in ("time_limit", "waiting_for")}
        waits = None
        if served is not None and row.state == QUEUED and (queue := queue_of(row.device)) not in served:
            waits = f"No live worker serves the queue {queue}."
        return cls(time_limit=duration_of(row.time_limit_seconds), waiting_for=waits, **shown)


class EventView(BaseModel):
    """One event of a job."""

    seq: int = Field(description="Its number, counted from 1 without a gap.")
    type: EventType
    data: dict[str, Any]
    created_at: datetime

    @classmethod
    def of(cls, row: JobEventRow) -> EventView:
        """The view of a row."""
        return cls(seq=row.seq, type=row.type, data=row.data, created_at=row.created_at)  # type: ignore[arg-type]


class EventPage(BaseModel):
    """Events after a number; `ended` says that none will follow them."""

    items: list[EventView]
    next_after: int = Field(description="Pass it as `after` to go on.")
    ended: bool


class ResultView(BaseModel):
    """A job's result, or the best so far (`partial`)."""

    model_config = ConfigDict(extra="allow")

    job_id: str
    kind: Kind
    state: State
    partial: bool
    stopped_by: str | None = None
    policy_id: str | None = None
    evaluation_id: str | None = None
