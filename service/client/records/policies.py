"""Records of policies.

Made by `python -m tests.client.records` of the OpenAPI document; not written by hand.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from ..record import Record


class CertificateRow(Record):
    """A figure of both certificates; null where one has none."""

    what: Literal["policy", "rule", "bound"] | str
    name: str
    then: Estimate | None
    now: Estimate | None
    difference: DifferenceOf | None
    """Its interval takes the two for independent."""


class CodeView(Record):
    """The code that trained."""

    commit: str | None
    """The Git commit; null where it was installed otherwise."""
    digest: str
    """Of all the packages' digests."""
    packages: dict[str, str | None]
    """Package → SHA-256 over its Python files as they were read."""


class ColumnView(Record):
    """A column of a decision's lines."""

    key: str
    title: str
    unit: str
    """Empty for words."""
    decided: bool
    """Whether a planner who decides otherwise may change it."""


class DependenciesView(Record):
    """What was installed of what Herenow needs."""

    digest: str
    packages: dict[str, str]
    """Name → version."""


class DifferenceOf(Record):
    """Now less then [money], with the 95 % interval."""

    mean: float
    ci95: list[float]


class Estimate(Record):
    """A mean cost or a bound over the reported stages [money]."""

    value: float
    error: float
    """Standard error."""


class InstanceName(Record):
    """The instance a policy was trained on."""

    id: str
    name: str
    digest: str


class LastRecommendation(Record):
    """When a policy was last asked, and what became of its answer."""

    id: str
    created_at: datetime
    outcome: Literal["pending", "accepted", "overridden", "rejected"] | str


class PairedDifference(Record):
    """What the repetition's policy costs more on the same scenarios [money]."""

    mean: float
    ci95: list[float]
    scenarios: int


class PlatformView(Record):
    """What sums depend on to the last digit."""

    device: str
    """cpu or cuda."""
    gpu: str | None
    cuda: str | None
    cpu: str
    instructions: str
    """The vector instructions in use."""
    blas: str | None
    threads: int
    ranks: int = 1
    """Processes that shared the training at its end."""
    matmul_precision: str
    python: str
    system: str


class PolicyCard(Record):
    """A policy's card: what it is, where it comes from, and the proof of what it is worth."""

    id: str
    name: str
    version: int
    """Counted from 1 within the name."""
    problem: str
    solver: str
    family: str
    """The policy family of the problem it belongs to."""
    instance_id: str
    job_id: str | None
    artifact_digest: str
    recommended_for_use: bool
    """False where a classical rule is surely cheaper, or training was stopped before the comparison."""
    created_at: datetime
    mean_cost_per_stage: float | None = None
    """As its certificate has it [money/stage]."""
    gap: float | None = None
    """(cost − bound) / |bound|; null where no bound is known."""
    aliases: list[str]
    """What this version is in use for: the aliases that name it."""
    last_recommendation: LastRecommendation | None
    """The latest one this version answered."""
    instance: InstanceName
    config: dict[str, Any]
    """The solver's configuration in full."""
    seed: int
    training: dict[str, Any] = Field(default_factory=dict)
    """Seconds, device, iterations and what ended it."""
    curve: list[dict[str, Any]]
    """The learning curve: iteration, seconds, cost, best_cost."""
    description: dict[str, Any] = Field(default_factory=dict)
    """The policy in the planner's words, for a rule."""
    better_rule: str | None = None
    """The classical rule stored beside it that is cheaper."""
    warm_start: str | None = None
    """The policy whose weights training started from."""
    receipt: ReceiptView | None = None
    """What its weights are a function of; null for policies made before receipts were kept."""
    reproduction: ReproductionView | None = None
    """What making it again from its receipt showed, the latest time."""
    certificate: dict[str, Any]
    """Cost on scenarios training never saw, beside classical rules and a lower bound, on common random numbers."""


class PolicySummary(Record):
    """A policy in a list."""

    id: str
    name: str
    version: int
    """Counted from 1 within the name."""
    problem: str
    solver: str
    family: str
    """The policy family of the problem it belongs to."""
    instance_id: str
    job_id: str | None
    artifact_digest: str
    recommended_for_use: bool
    """False where a classical rule is surely cheaper, or training was stopped before the comparison."""
    created_at: datetime
    mean_cost_per_stage: float | None = None
    """As its certificate has it [money/stage]."""
    gap: float | None = None
    """(cost − bound) / |bound|; null where no bound is known."""
    aliases: list[str]
    """What this version is in use for: the aliases that name it."""
    last_recommendation: LastRecommendation | None
    """The latest one this version answered."""


class ReceiptDifference(Record):
    """A part of the receipt that is another now."""

    part: Literal["code", "dependencies", "platform"] | str
    name: str
    then: str | None
    now: str | None


class ReceiptView(Record):
    """Everything a policy's weights are a function of."""

    format: int
    of_rule: bool
    """A classical rule tuned beside a training: not made again alone."""
    instance: str
    """Digest of the instance."""
    also: list[str]
    """Digests of the other instances it was trained on."""
    warm_start: str | None
    """Digest of the weights that training started from."""
    solver: str
    config: dict[str, Any]
    seed: int
    time_limit: float | None
    """Wall clock the run was given [s]."""
    iterations: int
    steps: int
    """Units of work done: a repetition ends after as many, whatever its clock says."""
    stopped_by: str
    resumed: bool
    """It went on from a checkpoint."""
    weights: str
    """Digest of the weights."""
    code: CodeView
    dependencies: DependenciesView
    platform: PlatformView


class ReproductionView(Record):
    """What making a policy again showed."""

    job_id: str
    at: datetime
    verdict: Literal["identical", "same_cost", "other_cost"] | str
    """`identical` weights; else whether the interval of the cost's difference covers zero."""
    weights: WeightsCompared
    difference: PairedDifference | None
    """Null where the weights are identical."""
    steps: StepsCompared
    certificate: list[CertificateRow]
    receipt: list[ReceiptDifference]
    """What of code, dependencies and platform differs now."""
    remarks: list[str]


class StateRead(Record):
    """A state made of files, ready for `recommend`."""

    state: dict[str, Any]


class StateView(Record):
    """What a policy wants to know before it recommends, and how its decisions are laid out."""

    json_schema: dict[str, Any]
    """JSON Schema 2020-12 of one `state`, with units."""
    today: dict[str, Any]
    """The instance's own initial state: a valid `state`."""
    columns: list[ColumnView]
    """Columns of a decision's lines."""
    lines_key: str
    """Where a decision keeps its lines."""
    files: dict[str, str]
    """Files a state can be made of; a name ending in "?" may be left out."""
    options: dict[str, str]
    """Words that set how the files are read."""


class StepsCompared(Record):
    """How far both runs went."""

    then: int
    now: int


class WeightsCompared(Record):
    """The weights of both runs."""

    identical: bool
    """Bit by bit."""
    tensors: int
    largest_difference: float | None
    """Of two numbers; null where tensors do not fit each other."""
    where: str | None
    """The tensor it is in."""
    then: str
    """Digest."""
    now: str
