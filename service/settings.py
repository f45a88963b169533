"""Every setting of the service: environment variables with the prefix `HERENOW_`, or arguments of `Settings`.

One value, read once at the start of a process and handed down; nothing else in the service reads the environment.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_data_dir() -> Path:
    """The user's data folder by the XDG convention."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "herenow"


class Settings(BaseSettings):
    """The service's configuration; durations in seconds, sizes in the unit of the name."""

    model_config = SettingsConfigDict(env_prefix="HERENOW_", frozen=True, extra="forbid", allow_inf_nan=False)

    # Where things are
    data_dir: Path = Field(default_factory=default_data_dir, description="Database (embedded), artifacts, job folders.")
    database_url: str = Field(
        default="",
        description="SQLAlchemy URL; left empty, a SQLite file in the data folder. postgresql:// means psycopg.",
    )
    broker_url: str = Field(
        default="",
        description="Celery broker: redis://…, redis+socket://… or filesystem://FOLDER. Empty: `serve` embeds one.",
    )
    store_url: str = Field(
        default="",
        description="Where artifacts, checkpoints and job logs lie: file:///FOLDER or s3://BUCKET/PREFIX. "
        "Empty: the data folder, which API and workers then share.",
    )
    store_cache_mb: int = Field(
        default=1024, ge=0, description="Copies of artifacts that each machine keeps of such a store [MiB]."
    )
    queue: str = Field(default="herenow", pattern=r"^[A-Za-z0-9_.-]{1,100}$", description="Name of the bell's queue.")

    # The API's listener and its bounds
    host: str = Field(default="127.0.0.1", description="Address `serve` listens on; not loopback: needs keys.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port `serve` listens on; 0 takes a free one.")
    require_keys: bool = Field(default=False, description="Ask for an API key even on loopback.")
    allowed_hosts: list[str] = Field(
        default=["localhost", "127.0.0.1", "[::1]"], description="Host headers answered; '*' answers all."
    )
    allowed_origins: list[str] = Field(default=[], description="Origins besides the service's own that may call it.")
    max_body_bytes: int = Field(default=8 * 2**20, ge=1024, description="Largest request body.")
    max_batch_bytes: int = Field(default=64 * 2**20, ge=1024, description="Largest body of a recommend request.")
    body_seconds: float = Field(default=30.0, gt=0, description="Time a request's body may take to arrive.")
    max_states: int = Field(default=100_000, ge=1, description="Most states in one recommend request.")
    max_page: int = Field(default=200, ge=1, le=1000, description="Largest `limit` of a collection page.")
    max_wait_seconds: float = Field(default=30.0, gt=0, description="Longest long poll.")
    rate_per_minute: int = Field(default=0, ge=0, description="Requests a minute and key (or address); 0 is unlimited.")
    api_processes: int = Field(
        default=1, ge=1, le=10_000, description="API processes that share the load; each grants its share of a rate."
    )
    idempotency_hours: float = Field(default=24.0, gt=0, description="How long a first answer is replayed.")
    inference_threads: int = Field(default=1, ge=1, le=256, description="CPU threads of one recommend computation.")
    inference_device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where many states at once are decided; `auto` takes a GPU if there is one."
    )
    max_streams: int = Field(
        default=1000, ge=1, le=100_000, description="Clients that may follow jobs at once; more are answered 503."
    )
    max_waiting: int = Field(
        default=256, ge=1, le=100_000, description="Recommend requests that may wait at once; more are answered 503."
    )
    policy_cache: int = Field(default=16, ge=1, description="Policies kept ready for recommend in one process.")

    # Jobs
    helper_host: str = Field(
        default="127.0.0.1", description="Address at which other workers reach a training here that they help."
    )
    queues: list[Literal["cpu", "gpu"]] = Field(
        default=[], description="Queues a worker serves. Empty: cpu, and gpu where it finds GPUs."
    )
    gpus: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:/-]{1,100}$")]] = Field(
        default=[],
        description="GPUs a worker gives to jobs, one each, by their ids for CUDA_VISIBLE_DEVICES. Empty: those found.",
    )
    concurrency: int = Field(default=1, ge=1, le=256, description="Jobs one worker runs on the CPU at a time.")
    job_threads: int = Field(default=1, ge=1, le=1024, description="CPU threads of a job's child process.")
    job_ranks: int = Field(
        default=0,
        ge=0,
        le=256,
        description="Most processes of a training that shares its batches (`ranks`) that run on its worker's machine; "
        "0: the machine's cores over `concurrency`. With GPUs, one each.",
    )
    job_memory_mb: int = Field(default=8192, ge=64, description="Resident memory at which a job is ended [MiB].")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Whether a worker uses GPUs: auto where it finds some, cpu never, cuda by all means.",
    )
    default_time_limit: float = Field(default=1800.0, gt=0, description="A job's time limit when it names none.")
    max_time_limit: float = Field(default=4 * 3600.0, gt=0, description="Largest time limit a job may ask for.")
    max_queued_jobs: int = Field(default=1000, ge=1, description="Unfinished jobs beyond which submission answers 429.")
    max_attempts: int = Field(default=2, ge=1, le=10, description="Times a job is started before it is quarantined.")
    lease_seconds: float = Field(default=12.0, gt=0, description="A running job is lost when this long unrenewed.")
    heartbeat_seconds: float = Field(default=3.0, gt=0, description="How often a running job's lease is renewed.")
    reconcile_seconds: float = Field(default=2.0, gt=0, description="How often lost bells and leases are looked for.")
    bell_seconds: float = Field(default=5.0, gt=0, description="A queued job rung this long ago is rung again.")
    checkpoint_seconds: float = Field(default=2.0, ge=0, description="Least time between two checkpoints on disk.")
    overtime_seconds: float = Field(
        default=60.0, ge=0, description="Time past its limit in which a job may still finish its certificate."
    )
    cancel_seconds: float = Field(default=60.0, gt=0, description="Grace for a cancelled job to keep its best policy.")
    stop_seconds: float = Field(default=20.0, gt=0, description="Grace between asking a job to stop and SIGTERM.")
    term_seconds: float = Field(default=5.0, gt=0, description="Grace between SIGTERM and SIGKILL.")
    start_seconds: float = Field(default=120.0, gt=0, description="Time a child has to begin its work.")
    silence_seconds: float = Field(default=120.0, gt=0, description="A child that reports nothing this long is ended.")

    # What `herenow gc` keeps; 0 keeps for ever
    keep_job_files_days: float = Field(
        default=30.0, ge=0, description="Days the log and files of a finished job are kept; 0: for ever."
    )
    keep_events_days: float = Field(
        default=90.0, ge=0, description="Days a finished job's events are kept, but states and end; 0: for ever."
    )
    keep_recommendations_days: float = Field(
        default=0.0, ge=0, description="Days recommendations and what was decided are kept; 0: for ever."
    )
    keep_audit_days: float = Field(
        default=0.0, ge=0, description="Days the audit log is kept, at least 30; 0: for ever."
    )

    # What the processes tell of themselves
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Log verbosity.")
    log_format: Literal["text", "json"] = Field(default="text", description="Log lines for people or for machines.")
    access_log: bool = Field(default=False, description="Log every request (also at log level debug).")
    worker_metrics_host: str = Field(
        default="127.0.0.1", description="Address of a worker's own `/metrics` and `/healthz`; they ask for no key."
    )
    worker_metrics_port: int = Field(default=0, ge=0, le=65535, description="Its port; 0: a worker opens none.")
    trace_endpoint: str = Field(
        default="",
        description="Where OpenTelemetry spans go (OTLP over HTTP), such as http://collector:4318/v1/traces.",
    )
    trace_share: float = Field(default=1.0, ge=0, le=1, description="Share of requests that are traced.")
    min_free_mb: int = Field(default=512, ge=0, description="Free disk space below which a process is not ready [MiB].")

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("keep_audit_days")
    @classmethod
    def _audit(cls, value: float) -> float:
        if 0 < value < 30:
            raise ValueError("the audit log is kept for at least 30 days (0 keeps it for ever)")
        return value

    @field_validator("database_url")
    @classmethod
    def _driver(cls, value: str) -> str:
        for plain in ("postgres://", "postgresql://"):
            if value.startswith(plain):
                return "postgresql+psycopg://" + value.removeprefix(plain)
        return value

    @field_validator("store_url")
    @classmethod
    def _store(cls, value: str) -> str:
        from service.objects import check_url

        return check_url(value) if value else value

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.database_url or f"sqlite:///{self.data_dir / 'herenow.db'}"
