"""The proof a policy carries: its cost on unseen scenarios beside the classical rules and a lower bound."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.core import Instance, Problem
from solvers.bounds import Hindsight
from solvers.core import Callbacks
from solvers.evaluation import (
    Z95,
    Floats,
    Sample,
    Scenarios,
    compare,
    estimate,
    paired_difference,
    performance,
)

if TYPE_CHECKING:
    from models.dynamics import Policy, Simulator

BOUND_BLOCK = 64  # scenarios bounded between looks at the clock
MEANINGFUL_BOUND = 0.01  # share of the policy's cost below which a bound gives no relative gap
BOUND_ERROR = 5e-4  # relative standard error of the gap at which the bound stops


@dataclass(frozen=True)
class Bound:
    """A lower bound on the cost of any policy, estimated on the first scenarios of the common stream."""

    kind: str
    values: Floats  # (scenario,) [money]


def certify(
    problem: Problem,
    instance: Instance,
    policies: Mapping[str, Policy[Any, Any]],
    seed: int,
    callbacks: Callbacks,
    scenarios: int | None = None,
    seconds: float = math.inf,
) -> tuple[dict[str, Any], dict[str, Sample]]:
    """The certificate of the first of `policies` against the others, and every policy's sample.

    `seconds` is shared equally between the simulations and the bound.
    """
    simulator = problem.simulator(instance)
    samples = compare(
        simulator,
        policies,
        seed,
        scenarios,
        seconds / 2,
        callbacks.should_stop,
        lambda fraction: callbacks.on_phase("evaluation", fraction),
    )
    own, *others = samples
    bound = bound_on(problem, instance, simulator, samples[own].total, seed, callbacks, seconds / 2)
    document = certificate_document(simulator, samples, own, others, bound, seed)
    return document, samples


def certificate_document(
    simulator: Simulator[Any, Any, Any, Any],
    samples: Mapping[str, Sample],
    own: str,
    others: list[str],
    bound: Bound | None,
    seed: int,
) -> dict[str, Any]:
    """The certificate as the policy's card shows it."""
    mean, _ = estimate(samples[own].total)
    rules = [
        {"name": name}
        | performance(simulator, samples[name])
        | {"paired_difference": paired_difference(samples[name].total, samples[own].total)}
        for name in others
    ]
    rules.sort(key=lambda entry: entry["mean_cost"])
    document: dict[str, Any] = {
        "scenarios": len(samples[own].total),
        "scenario_seed": seed,
        "policy": performance(simulator, samples[own]),
        "rules": rules,
        "bound": None,
        "gap": None,
        "gap_ci95": None,
        # Equal within the interval is not worse: a rule is preferred only when it is surely cheaper.
        "beats_best_rule": rules[0]["mean_cost"] > mean if rules else None,
        "recommended_for_use": not rules or rules[0]["paired_difference"]["ci95"][1] >= 0,
    }
    if bound is not None:
        entry = bound_document(simulator, samples[own].total, bound)
        document["bound"] = entry
        margin = Z95 * entry.pop("gap_error")
        gap = document["gap"] = relative_gap(mean, entry["value"])
        document["gap_ci95"] = None if gap is None else [gap - margin, gap + margin]
    return document


def relative_gap(mean: float, bound: float) -> float | None:
    """(policy − bound) / |bound|; None where the bound is next to nothing, so that a ratio would say nothing."""
    return (mean - bound) / abs(bound) if abs(bound) >= MEANINGFUL_BOUND * abs(mean) else None


def bound_document(simulator: Simulator[Any, Any, Any, Any], totals: Floats, bound: Bound) -> dict[str, Any]:
    """The bound's mean, with the policy's cost on the same scenarios as control variate.

    value = mean over all scenarios of the policy − mean over the bounded ones of (policy − bound): unbiased, and far
    less noisy than the bound's own mean on few scenarios.
    """
    count = len(bound.values)
    difference, error = estimate(totals[:count] - bound.values)
    mean, mean_error = estimate(totals)
    value = mean - difference
    return {
        "kind": bound.kind,
        "value": value,
        "value_per_stage": value / (simulator.num_stages - simulator.first_reported_stage),
        "standard_error": math.hypot(error, mean_error),
        "scenarios": count,
        "gap_error": error / max(abs(value), 1e-12),
    }


def bound_on(
    problem: Problem,
    instance: Instance,
    simulator: Simulator[Any, Any, Any, Any],
    totals: Floats,
    seed: int,
    callbacks: Callbacks,
    seconds: float,
) -> Bound | None:
    """The perfect-information bound on the first scenarios of the stream, until the gap is well known or time is up."""
    if problem.program is None or callbacks.should_stop():
        return None
    chunk = next(iter(Scenarios(simulator, seed, min(len(totals), 4096))))
    found: list[Floats] = []
    quiet = Callbacks(should_stop=callbacks.should_stop)
    started = time.monotonic()
    done, wanted = 0, min(len(totals), chunk.state.batch)
    hindsight = Hindsight(problem, instance, simulator)
    while done < wanted and not callbacks.should_stop():
        rows = slice(done, min(done + BOUND_BLOCK, wanted))
        found.append(hindsight.bounds(chunk.state.rows(rows), chunk.noise.rows(rows), quiet))
        done += len(found[-1])
        if done < rows.stop:  # asked to stop
            break
        values = np.concatenate(found)
        _, error = estimate(totals[:done] - values)
        tight = done >= 4 * BOUND_BLOCK and error <= BOUND_ERROR * abs(float(values.mean()))
        callbacks.on_phase("bound", done / wanted)
        if tight or time.monotonic() - started > seconds:
            break
    return Bound("perfect_information", np.concatenate(found)) if done else None
