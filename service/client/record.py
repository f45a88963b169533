"""Base of what the service answers: frozen, and open to fields that a newer service adds."""

from __future__ import annotations

from functools import cache
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter

T = TypeVar("T")


class Record(BaseModel):
    """An answer or a part of one. Fields this client does not know are kept in `model_extra`."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())


class Page(Record, Generic[T]):
    """One page of a collection, newest first."""

    items: list[T]
    next_cursor: str | None = None


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """What reads JSON into a record, made once for every kind."""
    return TypeAdapter(kind)
