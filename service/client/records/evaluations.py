"""Records of evaluations.

Made by `python -m tests.client.records` of the OpenAPI document; not written by hand.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..record import Record


class EvaluationSummary(Record):
    """An evaluation in a list."""

    id: str
    instance_id: str
    job_id: str | None
    created_at: datetime


class EvaluationView(Record):
    """An evaluation: per policy its cost with interval and distribution, components, service; every pair; the
    bound.
    """

    id: str
    instance_id: str
    job_id: str | None
    created_at: datetime
    document: dict[str, Any]


class PathsView(Record):
    """Paths for plots: per policy and quantity, quantiles and mean by stage, and some scenarios' own `samples`."""

    id: str
    paths: dict[str, Any]
