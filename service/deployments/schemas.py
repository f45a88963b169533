"""How aliases are set and shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

MAX_VERSION = 2**31 - 1
ALIAS_EXAMPLES: list[Any] = [{"version": 1, "note": "Cheaper in the autumn peak."}]


class AliasBody(BaseModel):
    """Which version an alias is to name."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": ALIAS_EXAMPLES})

    version: int = Field(ge=1, le=MAX_VERSION, description="A version of the policy's name.")
    note: str | None = Field(default=None, max_length=4000, description="Why, in the planner's words.")


class Deployed(BaseModel):
    """The policy version an alias names."""

    id: str
    name: str
    version: int
    problem: str
    solver: str
    instance_id: str
    digest: str = Field(description="Digest of its artifact.")
    recommended_for_use: bool


class AliasView(BaseModel):
    """An alias: `policy_name@alias` stands for this version wherever a policy is named."""

    policy_name: str
    alias: str
    policy: Deployed
    note: str | None
    etag: str = Field(description="Send it, in quotes, as `If-Match` to change or delete the alias.")
    updated_at: datetime
    updated_by: str = Field(description="Id of the API key, or `local`.")
