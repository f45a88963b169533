"""Records of keys.

Made by `python -m tests.client.records` of the OpenAPI document; not written by hand.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from ..record import Record


class KeyCreated(Record):
    """A key just made, or just rotated."""

    id: str
    name: str
    scopes: list[Literal["read", "plan", "train", "admin"] | str]
    valid: bool
    """Neither revoked nor expired."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    """To the minute."""
    rotated_at: datetime | None
    """When its secret was last changed."""
    old_secret_until: datetime | None
    """Until when the secret before works too; null: no longer."""
    requests_per_minute: int | None
    """Its own limit; null: only the service's."""
    secret: str
    """Shown this once: only its hash is stored."""


class KeyView(Record):
    """A key without its secret."""

    id: str
    name: str
    scopes: list[Literal["read", "plan", "train", "admin"] | str]
    valid: bool
    """Neither revoked nor expired."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    """To the minute."""
    rotated_at: datetime | None
    """When its secret was last changed."""
    old_secret_until: datetime | None
    """Until when the secret before works too; null: no longer."""
    requests_per_minute: int | None
    """Its own limit; null: only the service's."""
