"""What the service says about itself."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class Live(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class Ready(BaseModel):
    """The process can do its work."""

    status: Literal["ok"]
    checks: dict[str, str] = Field(
        description="For each part it needs `ok`, perhaps with more to say (`ok, but ahead: …` during a rollout)."
    )


class Version(BaseModel):
    """The release and the interface."""

    name: Literal["herenow"]
    version: str
    api: Literal["v1"]


class Limits(BaseModel):
    """The bounds a client meets."""

    max_body_bytes: int = Field(description="Largest request body [bytes].")
    max_recommend_body_bytes: int = Field(description="Largest body of a recommend request [bytes].")
    max_states: int = Field(description="Most states in one recommend request.")
    max_json_depth: int = Field(description="Deepest nesting of a body.")
    max_page: int = Field(description="Most items on a page of a collection.")
    max_wait_seconds: float = Field(description="Longest long poll [s].")
    body_seconds: float = Field(description="Time a request's body may take to arrive [s].")
    requests_per_minute: int | None = Field(description="Requests a minute per key or address; null is unlimited.")
    idempotency_hours: float = Field(description="How long a first answer is replayed [h].")
    default_time_limit: str = Field(description="A job's time limit when it names none (ISO-8601).")
    max_time_limit: str = Field(description="Longest time limit a job may ask for (ISO-8601).")
    max_queued_jobs: int = Field(description="Unfinished jobs beyond which submission answers 429.")


class QueueOf(BaseModel):
    """One of the two queues: jobs that need no GPU, and jobs that ask for one."""

    queued: int = Field(description="Jobs waiting on it.")
    oldest_queued_at: datetime | None = Field(description="When the job that has waited longest was submitted.")
    slots: int = Field(description="Jobs that the live workers which serve it run at a time; 0: its jobs wait for one.")


class Queue(BaseModel):
    """How busy the workers are."""

    queued: int = Field(description="Jobs waiting.")
    active: int = Field(description="Jobs a worker has taken and not finished.")
    oldest_queued_at: datetime | None = Field(description="When the job that has waited longest was submitted.")
    jobs: dict[str, int] = Field(description="Number of jobs by state.")
    queues: dict[Literal["cpu", "gpu"], QueueOf] = Field(description="The same by queue.")


class StorageUsed(BaseModel):
    """What the service keeps, and how much room is left."""

    artifacts_bytes: int = Field(description="Policies' weights and certificates [bytes].")
    jobs_bytes: int = Field(description="Jobs' logs and checkpoints [bytes].")
    database_bytes: int = Field(description="The database [bytes].")
    free_bytes: int = Field(description="Free on the disk of the data folder [bytes].")
    total_bytes: int = Field(description="Size of that disk [bytes].")


class ProblemType(BaseModel):
    """A type of problem document."""

    type: str = Field(description="What `type` says in a document of this type.")
    title: str
    status: int
    meaning: str
