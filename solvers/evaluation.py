"""How good policies are: rollouts on common random numbers, intervals, paired differences, the certificate.

Evaluation scenarios come from a stream of their own (`solvers.hdpo.scenario_seed`), never shared with training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
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
CHUNK = 4096  # scenarios drawn, and at most simulated, together
CHUNK_ENTRIES = 20_000_000  # numbers in the noise of a chunk: large networks are drawn in smaller ones
LEAST_CHUNK = 64  # scenarios drawn together, however many numbers one of them has
FIRST_SLICE = 2  # scenarios simulated before the clock is looked at: a policy may take seconds for each
LEAST_SCENARIOS = 1024  # from which a mean may count as known
MOMENT = 10.0  # [s] that may be spent in any case to get as many, where there is not much less time than that
OVERTIME = 5.0  # times as long as there is, that may be spent for it at most
SAMPLED_PATHS = 30  # scenarios whose own paths are kept, the first ones: the same for every policy
SAMPLED_NUMBERS = 20_000  # numbers of them at most, a quantity and policy: long horizons keep fewer
SERIES_SCENARIOS = 4096  # for which stage series are kept
QUICK_SHARE = 0.02  # share of the time up to which the next slice is eight times as large, not twice
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
    places: dict[str, Tensor] = field(default_factory=dict)  # (place,) the same by place, costs and quantities
    slacks: dict[str, list[Floats]] = field(default_factory=dict)  # (scenario,) chunks, summed over reported stages
    series: dict[str, Tensor] = field(default_factory=dict)  # (scenario, stage) of the first scenarios, all stages

    @property
    def total(self) -> Floats:
        """Total cost of every scenario [money]."""
        return np.concatenate(self.totals)

    @property
    def count(self) -> int:
        """Scenarios simulated so far."""
        return sum(len(chunk) for chunk in self.totals)


@dataclass(frozen=True)
class ScenarioChunk:
    """A block of common scenarios: initial states and noise."""

    state: Any
    noise: Any


def judged(
    simulator: Simulator[Any, Any, Any, Any], seed: int, chunk: int | None = None, given: ScenarioChunk | None = None
) -> Iterable[ScenarioChunk]:
    """The scenarios that policies and bounds are judged on: those given, those the instance names, or an endless
    stream."""
    if given is not None:
        return [given]
    panel = simulator.panel()
    return Scenarios(simulator, seed, chunk) if panel is None else [ScenarioChunk(*panel)]


class Scenarios:
    """A growing stream of common scenarios, the same for every policy and bound, reproducible from its seed."""

    def __init__(self, simulator: Simulator[Any, Any, Any, Any], seed: int, chunk: int | None = None) -> None:
        self.simulator = simulator
        self.chunk = chunk_size(simulator) if chunk is None else chunk
        self.generator = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[ScenarioChunk]:
        while True:
            state = self.simulator.initial(self.chunk, self.generator)
            yield ScenarioChunk(state, self.simulator.sample(self.chunk, self.generator))


def chunk_size(simulator: Simulator[Any, Any, Any, Any]) -> int:
    """Scenarios drawn together: a power of two that depends on the instance alone, so that streams repeat."""
    one = simulator.sample(1, torch.Generator().manual_seed(0))
    entries = max(sum(value.numel() for value in vars(one).values()), 1)
    fitting = max(CHUNK_ENTRIES // entries, LEAST_CHUNK)
    largest: int = 1 << (fitting.bit_length() - 1)
    return min(CHUNK, largest)


def roll_out(
    simulator: Simulator[Any, Any, Any, Any], policy: Policy[Any, Any], chunk: ScenarioChunk, sample: Sample
) -> None:
    """Simulate a policy on a chunk of scenarios and add what it cost to `sample`; every decision is checked.

    Raises:
        InfeasibleDecision: a decision breaks a constraint.
    """
    state = chunk.state
    total = torch.zeros(state.batch, dtype=torch.float64)
    rows = max(SERIES_SCENARIOS - sample.count, 0)  # whose series are kept
    series: dict[str, list[Tensor]] = {}
    slacks: dict[str, Tensor] = {}
    weight = 1.0
    with torch.no_grad():
        decide = policy.settle()
        for stage in range(simulator.num_stages):
            decision = decide(state, stage)
            check_feasible(simulator, state, decision, stage)
            post, decided = simulator.decide(state, decision, stage)
            state, realized = simulator.realize(post, chunk.noise, stage)
            components = {**decided.components, **realized.components}
            quantities = {**decided.quantities, **realized.quantities}
            if stage in simulator.reported_stages:
                total += weight * _add_stage(sample, components, quantities, weight)
                _add_places(sample, {**decided.places, **realized.places}, components, weight)
                for name, value in {**decided.slacks, **realized.slacks}.items():
                    slacks[name] = slacks.get(name, 0.0) + value.double()
            if rows:
                _add_series(series, components, quantities, rows)
            weight *= simulator.discount
        final = simulator.terminal(state)
        if final.components and simulator.reported_stages.stop == simulator.num_stages:
            total += weight * _add_stage(sample, final.components, {}, weight)
            _add_places(sample, final.places, final.components, weight)
    sample.totals.append(total.numpy())
    for name, value in slacks.items():
        sample.slacks.setdefault(name, []).append(value.numpy())
    for name, columns in series.items():
        paths = torch.stack(columns, 1)
        sample.series[name] = torch.cat((sample.series[name], paths)) if name in sample.series else paths


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


def _add_places(sample: Sample, places: Mapping[str, Tensor], components: Mapping[str, Tensor], weight: float) -> None:
    for name, value in places.items():
        summed = (weight if name in components else 1.0) * value.double().sum(0)
        sample.places[name] = sample.places[name] + summed if name in sample.places else summed


def _add_series(
    series: dict[str, list[Tensor]], components: Mapping[str, Tensor], quantities: Mapping[str, Tensor], rows: int
) -> None:
    named = {**quantities, "cost": torch.stack([value.double() for value in components.values()]).sum(0)}
    for name, value in named.items():
        series.setdefault(name, []).append(value[:rows].float())


def estimate(values: Floats) -> tuple[float, float]:
    """Mean and its standard error."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return float(values.mean()), error


def interval(mean: float, error: float) -> list[float]:
    """The 95 % confidence interval of a mean."""
    return [mean - Z95 * error, mean + Z95 * error]


def performance(simulator: Simulator[Any, Any, Any, Any], sample: Sample, with_places: bool = True) -> dict[str, Any]:
    """A policy's entry in a certificate: mean cost with interval, components, service, figures by place, targets."""
    mean, error = estimate(sample.total)
    stages = len(simulator.reported_stages)
    count = len(sample.total)
    entry = {
        "mean_cost": mean,
        "mean_cost_per_stage": mean / stages,
        "standard_error": error,
        "ci95": interval(mean, error),
        "components": {name: value / count for name, value in sample.components.items()},
        "service": simulator.service(sample.quantities),
    }
    if with_places and sample.places:
        entry["places"] = _by_place(simulator, sample, stages)
    if sample.slacks:
        entry["targets"] = targets(simulator, sample)
    return entry


def _by_place(simulator: Simulator[Any, Any, Any, Any], sample: Sample, stages: int) -> dict[str, dict[str, float]]:
    """Place → what it costs a scenario (components by name), mean quantities a stage (`mean_…`), service measures."""
    count = len(sample.total)
    found: dict[str, dict[str, float]] = {}
    for k, place in enumerate(simulator.places):
        column = {name: values[k : k + 1] for name, values in sample.places.items()}
        figures = {name: float(value) for name, value in column.items()}
        entry = {name: short(value / count) for name, value in figures.items() if name in sample.components}
        entry |= {
            f"mean_{name}": short(value / (count * stages))
            for name, value in figures.items()
            if name not in sample.components and value
        }
        if figures.get("demand", 0.0) > 0:
            entry |= {name: short(value) for name, value in simulator.service(column).items()}
        found[place] = entry
    return found


def short(value: float) -> float:
    """Six digits: a thousand places are many numbers."""
    return float(f"{value:.6g}")


def targets(simulator: Simulator[Any, Any, Any, Any], sample: Sample) -> list[dict[str, Any]]:
    """Constraints in expectation: mean slack a stage (at most zero is wanted) and whether it is met but for chance."""
    stages = len(simulator.reported_stages)
    found = []
    for name, chunks in sample.slacks.items():
        mean, error = estimate(np.concatenate(chunks) / stages)
        ci95 = interval(mean, error)
        found.append({"name": name, "slack": mean, "ci95": ci95, "met": not ci95[0] > 0})
    return found


def missed(simulator: Simulator[Any, Any, Any, Any], sample: Sample) -> list[str]:
    """Names of the targets a policy misses by more than chance."""
    return [target["name"] for target in targets(simulator, sample) if not target["met"]]


def paired_difference(other: Floats, policy: Floats) -> dict[str, Any]:
    """What `other` costs more than `policy` on the same scenarios; `wins`: the share where the policy is cheaper."""
    mean, error = estimate(other - policy)
    return {"mean": mean, "ci95": interval(mean, error), "wins": float((policy < other).mean())}


def precise_enough(samples: Mapping[str, Sample]) -> bool:
    """Whether every policy's relative standard error is at most 0.1 %, from as many scenarios as can tell."""
    for sample in samples.values():
        if sample.count < LEAST_SCENARIOS:
            return False
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
    given: ScenarioChunk | None = None,
) -> dict[str, Sample]:
    """Every policy on the same scenarios.

    With `scenarios` their number is fixed; without, it grows until every mean is known to 0.1 %, at most 65,536, or
    until `seconds` are about to be up (though ten seconds, or five times as long as there is if that is less, may be
    spent on the first thousand). A few scenarios are simulated first, then ever more at a time, so that policies that
    think for long before each decision keep to the time as well. Which scenarios come first depends on the seed alone.
    Where scenarios are `given`, or named by the instance (`Simulator.panel`), each counts once.
    """
    samples = {name: Sample() for name in policies}
    wanted, moment = scenarios or MAX_SCENARIOS, min(MOMENT, OVERTIME * seconds)
    started = time.monotonic()
    done, size = 0, FIRST_SLICE
    for chunk in judged(simulator, seed, given=given):
        start = 0
        while start < chunk.state.batch:
            rows = slice(start, min(start + size, chunk.state.batch, start + wanted - done))
            part = ScenarioChunk(chunk.state.rows(rows), chunk.noise.rows(rows))
            for name, policy in policies.items():
                roll_out(simulator, policy, part, samples[name])
            done, start = done + rows.stop - start, rows.stop
            on_progress(done / wanted)
            spent = max(time.monotonic() - started, 1e-9)
            # Who asks for a stop, or has no time, still gets figures that mean something, if they come in a moment.
            hasty = done < LEAST_SCENARIOS and spent < moment
            if done >= wanted or (should_stop() and not hasty) or (scenarios is None and precise_enough(samples)):
                return samples
            size = min(size * (8 if spent <= QUICK_SHARE * seconds else 2), CHUNK)
            if scenarios is None:
                hurried = hasty and spent > seconds / 2
                size = int(min(size, (max(seconds, moment if hurried else 0.0) - spent) / spent * done))
                size = min(size, LEAST_SCENARIOS - done) if hurried else size
                if size < 1:
                    return samples
    return samples  # of all scenarios that the instance names


def quantile_paths(sample: Sample) -> dict[str, Any]:
    """Quantiles and mean over scenarios of every series at every stage, and some scenarios' own paths, for plots."""
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    paths: dict[str, Any] = {}
    for name, series in sample.series.items():
        values = np.quantile(series.numpy(), levels, axis=0)
        paths[name] = {f"q{round(100 * q):02d}": row.tolist() for q, row in zip(levels, values, strict=True)}
        paths[name]["mean"] = series.double().mean(0).tolist()
        kept = series[: min(SAMPLED_PATHS, max(SAMPLED_NUMBERS // series.shape[1], 1))]
        paths[name]["samples"] = [[short(value) for value in path] for path in kept.double().tolist()]
    return paths
