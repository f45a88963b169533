"""How workers are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class WorkerView(BaseModel):
    """A worker process."""

    id: str
    name: str = Field(description="Host and process id.")
    queue: str = Field(description="The queue whose bell it hears.")
    state: Literal["busy", "idle", "lost"] = Field(description="`lost`: it has not been seen for a lease's time.")
    concurrency: int = Field(description="Jobs it runs at a time.")
    device: str = Field(description="Where its jobs compute: auto (a GPU if there is one), cpu or cuda.")
    version: str = Field(description="Its release.")
    jobs: list[str] = Field(description="Ids of the jobs it runs.")
    started_at: datetime
    seen_at: datetime = Field(description="When it last told of itself.")
