"""How scenario sets are made and shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from service.ids import ID_PATTERN, NAME_PATTERN

_OWN: dict[str, Any] = {
    "instance_id": {"type": "string", "pattern": ID_PATTERN, "description": "The instance they are scenarios of."},
    "name": {"type": "string", "pattern": NAME_PATTERN, "description": "Short name; left out, the instance's."},
}
SET_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "additionalProperties": False,
                "required": ["instance_id", "scenarios"],
                "properties": {
                    **_OWN,
                    "scenarios": {
                        "type": "array",
                        "minItems": 2,
                        "description": "Each scenario from start to end: a list of numbers for every place. "
                        "`GET /v1/instances/{id}/scenario-schema` has the schema.",
                        "items": {"type": "object", "additionalProperties": {"type": "array"}},
                    },
                },
            }
        },
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["instance_id", "scenarios"],
                "additionalProperties": False,
                "properties": {
                    **_OWN,
                    "scenarios": {
                        "type": "string",
                        "contentMediaType": "text/csv",
                        "description": "A line per scenario and stage, a column per place.",
                    },
                },
            }
        },
    },
}
"""What `POST /v1/scenario-sets` takes."""


class ScenarioSchema(BaseModel):
    """What scenarios of an instance look like, as JSON and as CSV."""

    quantity: str = Field(description="What the numbers are.")
    unit: str
    places: list[str] = Field(description="Whose numbers they are, by the instance's ids.")
    stages: int = Field(description="Numbers of every place in one scenario.")
    stage_word: str = Field(description="What the problem calls a stage; the name of the CSV column.")
    json_schema: dict[str, Any] = Field(description="JSON Schema 2020-12 of `scenarios`.")
    csv_columns: list[str] = Field(description="The header of the CSV file.")


class ScenarioSetSummary(BaseModel):
    """A scenario set in a list."""

    id: str
    name: str
    instance_id: str = Field(description="The instance it was made for; it serves others of the same shape.")
    problem: str
    scenarios: int
    stages: int
    places: list[str]
    quantity: str
    unit: str
    digest: str
    created_at: datetime


class ScenarioSetView(ScenarioSetSummary):
    """A scenario set with what there is to draw of it."""

    quantiles: dict[str, dict[str, list[float]]] = Field(
        description="Per place, quantiles over scenarios at every stage: q05, q25, q50, q75, q95."
    )


class ScenarioNumbers(BaseModel):
    """The scenarios themselves, as they were posted."""

    scenarios: list[dict[str, list[float]]]
