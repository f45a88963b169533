"""Typed client of Herenow, sync and async: `Client` and `AsyncClient`.

Here it is the room `service.client`; as a distribution of its own (`pip install ./service/client`) it is
`herenow_client`. It imports httpx and pydantic and nothing else of Herenow, and its own modules relatively, for it has
two names.
"""

from __future__ import annotations

from .arrays import arrays_of
from .clients import AsyncClient, Client
from .errors import (
    Changed,
    Conflict,
    FieldError,
    Forbidden,
    HerenowError,
    InvalidInput,
    JobFailed,
    NoAnswer,
    NotFound,
    Refused,
    StillRunning,
    TooMany,
    Unauthenticated,
    Unavailable,
    UnexpectedAnswer,
)
from .flows import Retry

__all__ = [
    "AsyncClient",
    "Changed",
    "Client",
    "Conflict",
    "FieldError",
    "Forbidden",
    "HerenowError",
    "InvalidInput",
    "JobFailed",
    "NoAnswer",
    "NotFound",
    "Refused",
    "Retry",
    "StillRunning",
    "TooMany",
    "Unauthenticated",
    "Unavailable",
    "UnexpectedAnswer",
    "arrays_of",
]
