"""Values by season: one number, or a list that stages take in turn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

LONGEST = 10_000


def _between(low: float, high: float) -> Callable[[Any], float | list[float]]:
    def good(value: Any) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value) and low <= value <= high

    def check(value: Any) -> float | list[float]:
        if isinstance(value, list):
            wrong = next((k for k, entry in enumerate(value) if not good(entry)), None)
            if not 1 <= len(value) <= LONGEST:
                raise ValueError(f"a list by season has 1 to {LONGEST} numbers")
            if wrong is not None:
                raise ValueError(f"entry {wrong} must be a number between {low:g} and {high:g}")
            return [float(entry) for entry in value]
        if not good(value):
            raise ValueError(f"must be a number between {low:g} and {high:g}, or a list of them by season")
        return float(value)

    return check


def _schema(low: float, high: float) -> dict[str, Any]:
    number = {"type": "number", "minimum": low, "maximum": high}
    return {"anyOf": [number, {"type": "array", "items": number, "minItems": 1, "maxItems": LONGEST}]}


Seasonal = Annotated[float | list[float], PlainValidator(_between(0.0, 1e9)), WithJsonSchema(_schema(0.0, 1e9))]
SeasonalSigned = Annotated[float | list[float], PlainValidator(_between(-1e9, 1e9)), WithJsonSchema(_schema(-1e9, 1e9))]
SeasonalShare = Annotated[float | list[float], PlainValidator(_between(0.0, 1.0)), WithJsonSchema(_schema(0.0, 1.0))]


def at(value: float | list[float], stage: int) -> float:
    """A value by season in a stage."""
    return value[stage % len(value)] if isinstance(value, list) else value


def length(value: float | list[float] | None) -> int:
    """Stages after which a value by season comes again; 1 for a number."""
    return len(value) if isinstance(value, list) else 1


def largest(value: float | list[float]) -> float:
    """The largest value of all seasons."""
    return max(value) if isinstance(value, list) else value


def least(value: float | list[float]) -> float:
    """The least value of all seasons."""
    return min(value) if isinstance(value, list) else value
