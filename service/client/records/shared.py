"""Records of shared.

Made by `python -m tests.client.records` of the OpenAPI document; not written by hand.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from ..record import Record


class BandView(Record):
    """What lies between two quantiles."""

    name: str
    lower: list[int | float | None]
    upper: list[int | float | None]


class BarView(Record):
    """A stretch of time on a row."""

    row: str
    label: str
    from_: float = Field(alias="from")
    to: float
    """The bar ends before this."""
    amount: float | None
    unit: str
    group: str


class JobView(Record):
    """A job as it stands."""

    id: str
    kind: Literal["train", "evaluate", "solve", "accept", "replay", "reproduce"] | str
    state: (
        Literal["queued", "starting", "running", "finalizing", "cancelling", "succeeded", "failed", "cancelled"] | str
    )
    instance_id: str
    solver: str | None
    """Null for evaluations."""
    config: dict[str, Any]
    """The configuration in full, defaults included."""
    seed: int
    device: Literal["auto", "cpu", "gpu"] | str
    """What it computes on: auto is up to the worker."""
    waiting_for: str | None = None
    """Why a queued job is not taken though its turn may have come; null if workers serve it."""
    time_limit: str
    """Wall clock allowed (ISO-8601 duration)."""
    policy_name: str | None
    warm_start: str | None
    also_instance_ids: list[str]
    """Instances it trains on beside `instance_id`."""
    retry_of: str | None
    """The job this one repeats."""
    attempt: int
    """Times it was started; 0 until a worker takes it."""
    max_attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    heartbeat_at: datetime | None
    cancel_requested_at: datetime | None
    progress: dict[str, Any] | None
    """Phase, iteration and costs so far; `ranks` where several processes share a training."""
    stopped_by: str | None
    """What ended the work: finished, time_limit or request."""
    error: dict[str, Any] | None
    """A problem document when the job failed."""
    policy_id: str | None
    evaluation_id: str | None


class LineView(Record):
    """One line, row of bars, area or set of points of a series."""

    name: str
    values: list[int | float | None]
    """One a place of the axis; null is a gap."""
    mark: Literal["line", "bar", "area", "point"] | str
    stack: str | None
    """Equal words are stacked."""
    group: str | None


class LinkView(Record):
    """A directed tie between two nodes."""

    from_: str = Field(alias="from")
    to: str
    label: str
    group: str
    facts: list[list[Any]]


class MatrixFigure(Record):
    """A table of numbers, words and gaps."""

    key: str
    """Unique among the figures of an answer."""
    title: str
    caption: str
    """What to read from it, in one sentence; says so where only the largest are shown."""
    group: str | None
    """Figures of one group show the same for different places."""
    kind: Literal["matrix"]
    rows: list[str]
    columns: list[str]
    values: list[list[int | float | str | None]]
    """By row, then column."""
    unit: str


class NetworkFigure(Record):
    """Nodes and links."""

    key: str
    """Unique among the figures of an answer."""
    title: str
    caption: str
    """What to read from it, in one sentence; says so where only the largest are shown."""
    group: str | None
    """Figures of one group show the same for different places."""
    kind: Literal["network"]
    layout: Literal["layered", "free"] | str
    """layered: left to right by tier; free: no direction."""
    nodes: list[NodeView]
    links: list[LinkView]


class NodeView(Record):
    """A place in a network."""

    id: str
    label: str
    tier: int
    """Column in a layered drawing; lines from the centre in a free one."""
    group: str
    """A word with a colour."""
    facts: list[list[Any]]


class ScheduleFigure(Record):
    """Bars on rows over time."""

    key: str
    """Unique among the figures of an answer."""
    title: str
    caption: str
    """What to read from it, in one sentence; says so where only the largest are shown."""
    group: str | None
    """Figures of one group show the same for different places."""
    kind: Literal["schedule"]
    rows: list[str]
    bars: list[BarView]
    x_title: str


class SeriesFigure(Record):
    """Lines and bands over a common axis; bands are nested, the outer first."""

    key: str
    """Unique among the figures of an answer."""
    title: str
    caption: str
    """What to read from it, in one sentence; says so where only the largest are shown."""
    group: str | None
    """Figures of one group show the same for different places."""
    kind: Literal["series"]
    x: list[int | float | str]
    x_title: str
    unit: str
    lines: list[LineView]
    bands: list[BandView]
