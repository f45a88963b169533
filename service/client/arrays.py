"""Columns of decisions as numpy arrays; the only file that needs numpy, and only when it is called."""

from __future__ import annotations

from typing import Any


def arrays_of(columns: dict[str, Any]) -> dict[str, Any]:
    """Nested columns with every list of numbers or words as a numpy array; ImportError without numpy."""
    import numpy

    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: turned(inner) for name, inner in value.items()}
        return numpy.asarray(value) if isinstance(value, list) else value

    return {name: turned(value) for name, value in columns.items()}
