"""Records of scenario sets.

Made by `python -m tests.client.records` of the OpenAPI document; not written by hand.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..record import Record


class ScenarioNumbers(Record):
    """The scenarios themselves, as they were posted."""

    scenarios: list[dict[str, list[float]]]


class ScenarioSchema(Record):
    """What scenarios of an instance look like, as JSON and as CSV."""

    quantity: str
    """What the numbers are."""
    unit: str
    places: list[str]
    """Whose numbers they are, by the instance's ids."""
    stages: int
    """Numbers of every place in one scenario."""
    stage_word: str
    """What the problem calls a stage; the name of the CSV column."""
    json_schema: dict[str, Any]
    """JSON Schema 2020-12 of `scenarios`."""
    csv_columns: list[str]
    """The header of the CSV file."""


class ScenarioSetSummary(Record):
    """A scenario set in a list."""

    id: str
    name: str
    instance_id: str
    """The instance it was made for; it serves others of the same shape."""
    problem: str
    scenarios: int
    stages: int
    places: list[str]
    quantity: str
    unit: str
    digest: str
    created_at: datetime


class ScenarioSetView(Record):
    """A scenario set with what there is to draw of it."""

    id: str
    name: str
    instance_id: str
    """The instance it was made for; it serves others of the same shape."""
    problem: str
    scenarios: int
    stages: int
    places: list[str]
    quantity: str
    unit: str
    digest: str
    created_at: datetime
    quantiles: dict[str, dict[str, list[float]]]
    """Per place, quantiles over scenarios at every stage: q05, q25, q50, q75, q95."""
