"""How keys are made and shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.ids import NAME_PATTERN
from service.jobs.schemas import Duration

Scope = Literal["read", "plan", "train", "admin"]
KEY_EXAMPLES: list[Any] = [{"name": "maria", "scopes": ["plan"], "expires_in": "P90D"}]


class KeyBody(BaseModel):
    """Whose key it is, and what it allows."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": KEY_EXAMPLES})

    name: str = Field(pattern=NAME_PATTERN, description="Whose key it is, such as a person or a program.")
    scopes: list[Scope] = Field(min_length=1, max_length=4, description="What it allows.")
    expires_in: Duration | None = Field(
        default="P365D", description="How long it is valid (ISO-8601); null: until it is revoked."
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


class KeyCreated(KeyView):
    """A key just made."""

    secret: str = Field(description="Shown this once: only its hash is stored.")
