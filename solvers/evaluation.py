"""How good policies are: rollouts on common random numbers, intervals, paired differences, the certificate.

Evaluation scenarios come from a stream of their own (`solvers.hdpo.scenario_seed`), never shared with training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from models.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from models.dynamics import Policy, Simulator

Floats = npt.NDArray[np.float64]
Z95 = 1.959963984540054
CHUNK = 4096  # scenarios simulated together
MAX_SCENARIOS = 65_536
TARGET_RELATIVE_ERROR = 1e-3
TOLERANCE = 1e-5  # largest breach of a constraint, relative to the size of the decision, that is rounding


class InfeasibleDecision(RuntimeError):
    """A policy took a decision that breaks a constraint by more than rounding."""


@dataclass
class Sample:
    """What one policy cost on a set of scenarios: totals over the reported stages, and stage series for plots."""

    totals: list[Floats] = field(default_factory=list)  # (scenario,) chunks [money]
    components: dict[str, float] = field(default_factory=dict)  # summed over scenarios [money]
    quantities: dict[str, Tensor] = field(default_factory=dict)  # (1,) summed over scenarios
    series: dict[str, Tensor] = field(default_factory=dict)  # (scenario, stage) of the first chunk, all stages

    @property
    def total(self) -> Floats:
        """Total cost of every scenario [money]."""
        return np.concatenate(self.totals)


@dataclass(frozen=True)
class ScenarioChunk:
    """A block of common scenarios: initial states and noise."""

    state: Any
    noise: Any


class Scenarios:
    """A growing stream of common scenarios, the same for every policy and bound, reproducible from its seed."""

    def __init__(self, simulator: Simulator[Any, Any, Any, Any], seed: int, chunk: int = CHUNK) -> None:
        self.simulator = simulator
        self.chunk = chunk
        self.generator = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[ScenarioChunk]:
        while True:
            state = self.simulator.initial(self.chunk, self.generator)
            yield ScenarioChunk(state, self.simulator.sample(self.chunk, self.generator))


def roll_out(
    simulator: Simulator[Any, Any, Any, Any], policy: Policy[Any, Any], chunk: ScenarioChunk, sample: Sample
) -> None:
    """Simulate a policy on a chunk of scenarios and add what it cost to `sample`; every decision is checked.

    Raises:
        InfeasibleDecision: a decision breaks a constraint.
    """
    state = chunk.state
    total = torch.zeros(state.batch, dtype=torch.float64)
    keep_series = not sample.totals
    weight = 1.0
    with torch.no_grad():
        for stage in range(simulator.num_stages):
            decision = policy(state, stage)
            check_feasible(simulator, state, decision, stage)
            post, decided = simulator.decide(state, decision, stage)
            state, realized = simulator.realize(post, chunk.noise, stage)
            components = {**decided.components, **realized.components}
            quantities = {**decided.quantities, **realized.quantities}
            if stage >= simulator.first_reported_stage:
                total += weight * _add_stage(sample, components, quantities, weight)
            if keep_series:
                _add_series(sample, components, quantities)
            weight *= simulator.discount
        final = simulator.terminal(state).components
        if final:
            total += weight * _add_stage(sample, final, {}, weight)
    sample.totals.append(total.numpy())


def check_feasible(simulator: Simulator[Any, Any, Any, Any], state: Any, decision: Any, stage: Any) -> None:
    """Raise `InfeasibleDecision` if a decision breaks a constraint by more than rounding."""
    breach = float(simulator.violation(state, decision, stage).max())
    size = max((float(value.abs().max()) for value in vars(decision).values() if value.numel()), default=0.0)
    if not breach <= TOLERANCE * (1.0 + size):
        raise InfeasibleDecision(f"stage {stage}: a constraint is broken by {breach:.3g}")


def _add_stage(
    sample: Sample, components: Mapping[str, Tensor], quantities: Mapping[str, Tensor], weight: float
) -> Tensor:
    stage_total = torch.zeros((), dtype=torch.float64)
    for name, value in components.items():
        exact = value.double()
        sample.components[name] = sample.components.get(name, 0.0) + weight * float(exact.sum())
        stage_total = stage_total + exact
    for name, value in quantities.items():
        summed = value.double().sum().reshape(1)
        sample.quantities[name] = sample.quantities[name] + summed if name in sample.quantities else summed
    return stage_total


def _add_series(sample: Sample, components: Mapping[str, Tensor], quantities: Mapping[str, Tensor]) -> None:
    rows = {**quantities, "cost": torch.stack([value.double() for value in components.values()]).sum(0)}
    for name, value in rows.items():
        column = value.float().reshape(-1, 1)
        sample.series[name] = torch.cat((sample.series[name], column), 1) if name in sample.series else column


def estimate(values: Floats) -> tuple[float, float]:
    """Mean and its standard error."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return float(values.mean()), error


def interval(mean: float, error: float) -> list[float]:
    """The 95 % confidence interval of a mean."""
    return [mean - Z95 * error, mean + Z95 * error]


def performance(simulator: Simulator[Any, Any, Any, Any], sample: Sample) -> dict[str, Any]:
    """A policy's entry in a certificate: mean cost with its interval, components, service measures."""
    mean, error = estimate(sample.total)
    stages = simulator.num_stages - simulator.first_reported_stage
    count = len(sample.total)
    return {
        "mean_cost": mean,
        "mean_cost_per_stage": mean / stages,
        "standard_error": error,
        "ci95": interval(mean, error),
        "components": {name: value / count for name, value in sample.components.items()},
        "service": simulator.service(sample.quantities),
    }


def paired_difference(other: Floats, policy: Floats) -> dict[str, Any]:
    """What `other` costs more than `policy` on the same scenarios; `wins`: the share where the policy is cheaper."""
    mean, error = estimate(other - policy)
    return {"mean": mean, "ci95": interval(mean, error), "wins": float((policy < other).mean())}


def precise_enough(samples: Mapping[str, Sample]) -> bool:
    """Whether every policy's relative standard error is at most 0.1 %."""
    for sample in samples.values():
        mean, error = estimate(sample.total)
        if error > TARGET_RELATIVE_ERROR * max(abs(mean), 1e-12):
            return False
    return True


def compare(
    simulator: Simulator[Any, Any, Any, Any],
    policies: Mapping[str, Policy[Any, Any]],
    seed: int,
    scenarios: int | None = None,
    seconds: float = math.inf,
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> dict[str, Sample]:
    """Every policy on the same scenarios.

    With `scenarios` their number is fixed; without, it grows until every mean is known to 0.1 %, at most 65,536, and
    stops early when `seconds` have passed (never before the first chunk).
    """
    samples = {name: Sample() for name in policies}
    wanted = scenarios or MAX_SCENARIOS
    stream = Scenarios(simulator, seed, min(CHUNK, wanted))
    started = time.monotonic()
    done = 0
    for chunk in stream:
        rows = min(chunk.state.batch, wanted - done)
        part = ScenarioChunk(chunk.state.rows(slice(rows)), chunk.noise.rows(slice(rows)))
        for name, policy in policies.items():
            roll_out(simulator, policy, part, samples[name])
        done += rows
        on_progress(done / wanted)
        enough = scenarios is None and (precise_enough(samples) or time.monotonic() - started > seconds)
        if done >= wanted or enough or should_stop():
            return samples
    raise AssertionError("the scenario stream is endless")


def quantile_paths(sample: Sample) -> dict[str, Any]:
    """Quantiles over scenarios of every series at every stage, for plots."""
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    paths: dict[str, Any] = {}
    for name, series in sample.series.items():
        values = np.quantile(series.numpy(), levels, axis=0)
        paths[name] = {f"q{round(100 * q):02d}": row.tolist() for q, row in zip(levels, values, strict=True)}
        paths[name]["mean"] = series.double().mean(0).tolist()
    return paths
