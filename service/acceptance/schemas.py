"""How acceptance tests are made, run and shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.ids import ID_PATTERN, NAME_PATTERN
from service.jobs.schemas import MAX_SCENARIOS, MAX_SEED, Duration, Ref

MAX_VERSION = 2**31 - 1
TEST_EXAMPLES: list[Any] = [
    {
        "name": "no-dearer",
        "instance_id": "ins_01K9ZV6Q5RJ8XAMB4T0CWD3EFG",
        "scenarios": 2048,
        "seed": 11,
        "rules": ["base_stock"],
        "largest_cost_increase": 0.0,
        "least_service": {"fill_rate": 0.95},
        "guards": ["released"],
    }
]
RUN_EXAMPLES: list[Any] = [{"version": 1}]
Word = Annotated[str, Field(pattern=NAME_PATTERN)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class AcceptanceTestBody(_Body):
    """What a version has to show, and on which scenarios."""

    model_config = ConfigDict(json_schema_extra={"examples": TEST_EXAMPLES})

    name: str = Field(pattern=NAME_PATTERN, description="Short name, unique for the policy.")
    instance_id: str = Field(pattern=ID_PATTERN, description="The instance to judge on.")
    scenarios: int = Field(default=4096, ge=2, le=MAX_SCENARIOS, description="Number of scenarios.")
    scenario_set_id: str | None = Field(
        default=None, pattern=ID_PATTERN, description="Scenarios of your own instead of drawn ones."
    )
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED, description="Left out, a random one is kept.")
    policies: list[Ref] = Field(
        default=[], max_length=20, description="Policies to compare with, looked up when the test is run."
    )
    rules: list[Word] = Field(default=[], max_length=20, description="Classical rules to compare with.")
    largest_cost_increase: float = Field(
        default=0.0,
        ge=-1,
        le=10,
        description="What the version may surely (95 %) cost more than each of them [share of their mean cost].",
    )
    least_service: dict[Word, Annotated[float, Field(ge=0, le=1)]] = Field(
        default={}, max_length=20, description="Least value of service measures, such as fill_rate."
    )
    guards: list[Word] = Field(
        default=[], max_length=20, description="Aliases that only a version that has passed may be given."
    )
    time_limit: Duration | None = Field(default=None, description="Of one run; left out, the server's default.")


class RunBody(_Body):
    """Which version to try."""

    model_config = ConfigDict(json_schema_extra={"examples": RUN_EXAMPLES})

    version: int = Field(ge=1, le=MAX_VERSION, description="A version of the policy's name.")


class CheckView(BaseModel):
    """One thing the version had to show."""

    rule: Literal["feasible", "target", "cost", "service"]
    subject: str | None = Field(description="The rival, the service measure or the target; null for feasibility.")
    passed: bool
    measured: float | None = Field(description="Mean cost difference [money], or the measure's value.")
    ci95: list[float] | None
    limit: float | None
    detail: str


class VerdictView(BaseModel):
    """What one version showed, the last time it was tried."""

    policy_id: str
    version: int
    passed: bool
    checks: list[CheckView]
    scenarios: int = Field(description="Scenarios simulated.")
    evaluation_id: str | None
    job_id: str
    created_at: datetime


class AcceptanceTestView(BaseModel):
    """An acceptance test and the verdicts it has given. It is never changed: delete it and make another."""

    id: str
    policy_name: str
    name: str
    instance_id: str
    scenarios: int
    scenario_set_id: str | None
    seed: int
    policies: list[str]
    rules: list[str]
    largest_cost_increase: float
    least_service: dict[str, float]
    guards: list[str]
    time_limit: str
    created_at: datetime
    created_by: str = Field(description="Id of the API key, or `local`.")
    verdicts: list[VerdictView] = Field(description="The latest of every version tried, newest version first.")
