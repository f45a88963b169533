"""How evaluations are asked for and shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from service.ids import ID_PATTERN, NAME_PATTERN
from service.jobs.schemas import MAX_SCENARIOS, MAX_SEED, Duration, EvaluateJob, Ref

EXAMPLES: list[Any] = [
    {"instance_id": "ins_01K9ZV6Q5RJ8XAMB4T0CWD3EFG", "policies": ["north-stores"], "scenarios": 1024, "seed": 7}
]


class EvaluationBody(BaseModel):
    """What to compare, and on how many scenarios."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, json_schema_extra={"examples": EXAMPLES}
    )

    instance_id: str = Field(pattern=ID_PATTERN, description="The instance to evaluate on.")
    policies: list[Ref] = Field(min_length=1, max_length=50, description="Policies to judge.")
    rules: list[Annotated[str, Field(pattern=NAME_PATTERN)]] = Field(
        default=[], max_length=50, description="Classical rules of the problem to judge beside them."
    )
    scenarios: int = Field(default=4096, ge=2, le=MAX_SCENARIOS, description="Number of scenarios.")
    scenario_set_id: str | None = Field(
        default=None, pattern=ID_PATTERN, description="Scenarios of your own, each counted once, instead of drawn ones."
    )
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED, description="Left out, a random one is recorded.")
    time_limit: Duration | None = Field(default=None, description="Wall clock; left out, the server's default.")

    def job(self) -> EvaluateJob:
        """The job that does it."""
        return EvaluateJob(kind="evaluate", **self.model_dump(exclude_unset=True))


class EvaluationSummary(BaseModel):
    """An evaluation in a list."""

    id: str
    instance_id: str
    job_id: str | None
    created_at: datetime


class EvaluationView(EvaluationSummary):
    """An evaluation: per policy its cost with interval and distribution, components, service; every pair; the bound."""

    document: dict[str, Any]


class PathsView(BaseModel):
    """Paths for plots: per policy and quantity, quantiles and mean by stage, and some scenarios' own `samples`."""

    id: str
    paths: dict[str, Any]
