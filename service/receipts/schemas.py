"""How receipts and reproductions are shown, and what is asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.jobs.places import Device
from service.jobs.schemas import Duration

REPRODUCE_EXAMPLES: list[Any] = [{}, {"time_limit": "PT30M"}]


class CodeView(BaseModel):
    """The code that trained."""

    commit: str | None = Field(description="The Git commit; null where it was installed otherwise.")
    digest: str = Field(description="Of all the packages' digests.")
    packages: dict[str, str | None] = Field(description="Package → SHA-256 over its Python files as they were read.")


class DependenciesView(BaseModel):
    """What was installed of what Herenow needs."""

    digest: str
    packages: dict[str, str] = Field(description="Name → version.")


class PlatformView(BaseModel):
    """What sums depend on to the last digit."""

    device: str = Field(description="cpu or cuda.")
    gpu: str | None
    cuda: str | None
    cpu: str
    instructions: str = Field(description="The vector instructions in use.")
    blas: str | None
    threads: int
    ranks: int = Field(default=1, description="Processes that shared the training at its end.")
    matmul_precision: str
    python: str
    system: str


class ReceiptView(BaseModel):
    """Everything a policy's weights are a function of."""

    model_config = ConfigDict(extra="allow")

    format: int
    of_rule: bool = Field(description="A classical rule tuned beside a training: not made again alone.")
    instance: str = Field(description="Digest of the instance.")
    also: list[str] = Field(description="Digests of the other instances it was trained on.")
    warm_start: str | None = Field(description="Digest of the weights that training started from.")
    solver: str
    config: dict[str, Any]
    seed: int
    time_limit: float | None = Field(description="Wall clock the run was given [s].")
    iterations: int
    steps: int = Field(description="Units of work done: a repetition ends after as many, whatever its clock says.")
    stopped_by: str
    resumed: bool = Field(description="It went on from a checkpoint.")
    weights: str = Field(description="Digest of the weights.")
    code: CodeView
    dependencies: DependenciesView
    platform: PlatformView


class ReceiptDifference(BaseModel):
    """A part of the receipt that is another now."""

    part: Literal["code", "dependencies", "platform"]
    name: str
    then: str | None
    now: str | None


class WeightsCompared(BaseModel):
    """The weights of both runs."""

    identical: bool = Field(description="Bit by bit.")
    tensors: int
    largest_difference: float | None = Field(description="Of two numbers; null where tensors do not fit each other.")
    where: str | None = Field(description="The tensor it is in.")
    then: str = Field(description="Digest.")
    now: str


class DifferenceOf(BaseModel):
    """Now less then [money], with the 95 % interval."""

    mean: float
    ci95: list[float]


class PairedDifference(DifferenceOf):
    """What the repetition's policy costs more on the same scenarios [money]."""

    scenarios: int


class Estimate(BaseModel):
    """A mean cost or a bound over the reported stages [money]."""

    value: float
    error: float = Field(description="Standard error.")


class CertificateRow(BaseModel):
    """A figure of both certificates; null where one has none."""

    what: Literal["policy", "rule", "bound"]
    name: str
    then: Estimate | None
    now: Estimate | None
    difference: DifferenceOf | None = Field(description="Its interval takes the two for independent.")


class StepsCompared(BaseModel):
    """How far both runs went."""

    then: int
    now: int


class ReproductionView(BaseModel):
    """What making a policy again showed."""

    job_id: str
    at: datetime
    verdict: Literal["identical", "same_cost", "other_cost"] = Field(
        description="`identical` weights; else whether the interval of the cost's difference covers zero."
    )
    weights: WeightsCompared
    difference: PairedDifference | None = Field(description="Null where the weights are identical.")
    steps: StepsCompared
    certificate: list[CertificateRow]
    receipt: list[ReceiptDifference] = Field(description="What of code, dependencies and platform differs now.")
    remarks: list[str]


class ReproduceBody(BaseModel):
    """How long the repetition may take, and on what."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": REPRODUCE_EXAMPLES})

    time_limit: Duration | None = Field(
        default=None, description="Wall clock; left out, twice what the first run was given, as far as jobs may take."
    )
    device: Device | None = Field(default=None, description="Left out, the kind of device it was trained on.")
