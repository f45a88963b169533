"""How keys are made and shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.ids import NAME_PATTERN
from service.jobs.schemas import Duration

Scope = Literal["read", "plan", "train", "admin"]
KEY_EXAMPLES: list[Any] = [{"name": "maria", "scopes": ["plan"], "expires_in": "P90D", "requests_per_minute": 600}]
ROTATE_EXAMPLES: list[Any] = [{"overlap": "P2D", "expires_in": "P90D"}]
MAX_PER_MINUTE = 10**6


class KeyBody(BaseModel):
    """Whose key it is, and what it allows."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": KEY_EXAMPLES})

    name: str = Field(pattern=NAME_PATTERN, description="Whose key it is, such as a person or a program.")
    scopes: list[Scope] = Field(min_length=1, max_length=4, description="What it allows.")
    expires_in: Duration | None = Field(
        default="P365D", description="How long it is valid (ISO-8601); null: until it is revoked."
    )
    requests_per_minute: int | None = Field(
        default=None, ge=1, le=MAX_PER_MINUTE, description="A limit of its own beside the service's; null: none."
    )


class RotateBody(BaseModel):
    """How a key changes its secret."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": ROTATE_EXAMPLES})

    overlap: Duration | None = Field(
        default="P1D", description="How long the old secret still works (ISO-8601); null: every old one ends now."
    )
    expires_in: Duration | None = Field(
        default=None, description="How long the key is valid from now on; left out, its expiry stays."
    )


class KeyView(BaseModel):
    """A key without its secret."""

    id: str
    name: str
    scopes: list[Scope]
    valid: bool = Field(description="Neither revoked nor expired.")
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")
    rotated_at: datetime | None = Field(description="When its secret was last changed.")
    old_secret_until: datetime | None = Field(description="Until when the secret before works too; null: no longer.")
    requests_per_minute: int | None = Field(description="Its own limit; null: only the service's.")


class KeyCreated(KeyView):
    """A key just made, or just rotated."""

    secret: str = Field(description="Shown this once: only its hash is stored.")
