"""Records of service.

Made by `python -m tests.client.records` of the OpenAPI document; not written by hand.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from ..record import Record


class Limits(Record):
    """The bounds a client meets."""

    max_body_bytes: int
    """Largest request body [bytes]."""
    max_recommend_body_bytes: int
    """Largest body of a recommend request [bytes]."""
    max_states: int
    """Most states in one recommend request."""
    max_json_depth: int
    """Deepest nesting of a body."""
    max_page: int
    """Most items on a page of a collection."""
    max_wait_seconds: float
    """Longest long poll [s]."""
    body_seconds: float
    """Time a request's body may take to arrive [s]."""
    requests_per_minute: int | None
    """Requests a minute per key or address; null is unlimited."""
    idempotency_hours: float
    """How long a first answer is replayed [h]."""
    default_time_limit: str
    """A job's time limit when it names none (ISO-8601)."""
    max_time_limit: str
    """Longest time limit a job may ask for (ISO-8601)."""
    max_queued_jobs: int
    """Unfinished jobs beyond which submission answers 429."""


class Live(Record):
    """The process answers."""

    status: Literal["ok"]


class ProblemType(Record):
    """A type of problem document."""

    type: str
    """What `type` says in a document of this type."""
    title: str
    status: int
    meaning: str


class Queue(Record):
    """How busy the workers are."""

    queued: int
    """Jobs waiting."""
    active: int
    """Jobs a worker has taken and not finished."""
    oldest_queued_at: datetime | None
    """When the job that has waited longest was submitted."""
    jobs: dict[str, int]
    """Number of jobs by state."""
    queues: dict[str, QueueOf]
    """The same by queue."""


class QueueOf(Record):
    """One of the two queues: jobs that need no GPU, and jobs that ask for one."""

    queued: int
    """Jobs waiting on it."""
    oldest_queued_at: datetime | None
    """When the job that has waited longest was submitted."""
    slots: int
    """Jobs that the live workers which serve it run at a time; 0: its jobs wait for one."""


class Ready(Record):
    """The process can do its work."""

    status: Literal["ok"]
    checks: dict[str, str]
    """For each part it needs `ok`, perhaps with more to say (`ok, but ahead: …` during a rollout)."""


class StorageUsed(Record):
    """What the service keeps, and how much room is left."""

    artifacts_bytes: int
    """Policies' weights and certificates [bytes]."""
    jobs_bytes: int
    """Jobs' logs and checkpoints [bytes]."""
    database_bytes: int
    """The database [bytes]."""
    free_bytes: int
    """Free on the disk of the data folder [bytes]."""
    total_bytes: int
    """Size of that disk [bytes]."""


class Version(Record):
    """The release and the interface."""

    name: Literal["herenow"]
    version: str
    api: Literal["v1"]


class WorkerView(Record):
    """A worker process."""

    id: str
    name: str
    """Host and process id."""
    queue: str
    """Name of its queues at the broker."""
    state: Literal["busy", "idle", "lost"] | str
    """`lost`: it has not been seen for a lease's time."""
    queues: list[Literal["cpu", "gpu"] | str]
    """Kinds of jobs it takes; those on a GPU ring on `<queue>.gpu`."""
    slots: dict[str, int]
    """Jobs it runs at a time, by queue; on `gpu` one on each GPU."""
    gpus: list[str]
    """Ids of the GPUs it gives to jobs, one each."""
    concurrency: int
    """Jobs it runs on the CPU at a time."""
    device: str
    """Whether it uses GPUs: auto (where it finds some), cpu (never) or cuda."""
    version: str
    """Its release."""
    jobs: list[str]
    """Ids of the jobs it runs."""
    started_at: datetime
    seen_at: datetime
    """When it last told of itself."""
