"""How workers are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from service.jobs.places import Queue


class WorkerView(BaseModel):
    """A worker process."""

    id: str
    name: str = Field(description="Host and process id.")
    queue: str = Field(description="Name of its queues at the broker.")
    state: Literal["busy", "idle", "lost"] = Field(description="`lost`: it has not been seen for a lease's time.")
    queues: list[Queue] = Field(description="Kinds of jobs it takes; those on a GPU ring on `<queue>.gpu`.")
    slots: dict[Queue, int] = Field(description="Jobs it runs at a time, by queue; on `gpu` one on each GPU.")
    gpus: list[str] = Field(description="Ids of the GPUs it gives to jobs, one each.")
    concurrency: int = Field(description="Jobs it runs on the CPU at a time.")
    device: str = Field(description="Whether it uses GPUs: auto (where it finds some), cpu (never) or cuda.")
    version: str = Field(description="Its release.")
    jobs: list[str] = Field(description="Ids of the jobs it runs.")
    started_at: datetime
    seen_at: datetime = Field(description="When it last told of itself.")
