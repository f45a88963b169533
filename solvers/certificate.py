"""The proof a policy carries: its cost on unseen scenarios beside the classical rules and lower bounds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from models.core import BoundMethod, BoundValue, Instance, Problem
from solvers.bounds import Hindsight
from solvers.core import Callbacks, InnerSolveError
from solvers.distribution import distributions
from solvers.evaluation import (
    Z95,
    Floats,
    Sample,
    ScenarioChunk,
    compare,
    estimate,
    judged,
    missed,
    paired_difference,
    performance,
)
from solvers.methods import bound_methods

if TYPE_CHECKING:
    from models.dynamics import Policy, Simulator

BOUND_BLOCK = 64  # scenarios bounded between looks at the clock
BOUNDED_SCENARIOS = 4096  # at most
MEANINGFUL_BOUND = 0.01  # share of the policy's cost below which a bound gives no relative gap
BOUND_ERROR = 5e-4  # relative standard error of the gap at which the bound stops
LEAST_SECONDS = 2.0  # [s] that perfect information gets in any case
BEYOND_CHANCE = 4.0  # standard errors by which a policy may cost less than a bound before that bound is not believed
FEW_PLACES = 200  # up to which every rule's figures by place are kept; beyond, only the policy's


@dataclass(frozen=True)
class Bound:
    """A lower bound on the cost of any policy, estimated on the first scenarios of the common stream."""

    kind: str
    values: Floats  # (scenario,) [money]


@dataclass(frozen=True)
class KnownBound:
    """A lower bound that comes as a value: computed, or sampled on scenarios of its own."""

    kind: str
    bound: BoundValue
    exact: bool = False  # the bound is the optimum


@dataclass
class BoundsFound:
    """Lower bounds of one instance, and why other methods gave none."""

    bounds: list[Bound | KnownBound] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)  # method → why it gave no bound
    failed: set[str] = field(default_factory=set)  # methods that fit and yet gave no bound

    @property
    def note(self) -> str | None:
        """The reasons in one sentence, where no bound was found or one that was expected failed; else None."""
        told = self.reasons if not self.bounds else {k: v for k, v in self.reasons.items() if k in self.failed}
        return "; ".join(f"{kind}: {reason}" for kind, reason in told.items()) or None


def certify(
    problem: Problem,
    instance: Instance,
    policies: Mapping[str, Policy[Any, Any]],
    seed: int,
    callbacks: Callbacks,
    scenarios: int | None = None,
    seconds: float = math.inf,
    known_bounds: Sequence[KnownBound] = (),
    given: ScenarioChunk | None = None,
) -> tuple[dict[str, Any], dict[str, Sample]]:
    """The certificate of the first of `policies` against the others, and every policy's sample.

    `seconds` is shared equally between the simulations and the bounds. `known_bounds` were computed before and compete
    with those found here. On `given` scenarios, each counted once, only perfect information bounds the cost: other
    bounds are of the instance's own chance.
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
        given,
    )
    own, *others = samples
    known = {bound.kind for bound in known_bounds}
    found = find_bounds(problem, instance, simulator, samples[own].total, seed, callbacks, seconds / 2, known, given)
    found.bounds += known_bounds
    document = certificate_document(simulator, samples, own, others, found, seed)
    return document, samples


def certificate_document(
    simulator: Simulator[Any, Any, Any, Any],
    samples: Mapping[str, Sample],
    own: str,
    others: list[str],
    found: BoundsFound,
    seed: int,
) -> dict[str, Any]:
    """The certificate as the policy's card shows it.

    Rules that keep all targets come first, cheapest first; one that misses a target is no alternative to a policy that
    does not.
    """
    mean, _ = estimate(samples[own].total)
    short = {name: missed(simulator, samples[name]) for name in samples}
    few = len(simulator.places) <= FEW_PLACES
    spread = distributions({name: samples[name].total for name in (own, *others)})
    rules = [
        {"name": name}
        | performance(simulator, samples[name], with_places=few)
        | {"paired_difference": paired_difference(samples[name].total, samples[own].total)}
        | {"distribution": spread[name]}
        for name in sorted(others, key=lambda name: (bool(short[name]), estimate(samples[name].total)[0]))
    ]
    rivals = [rule for rule in rules if not short[rule["name"]]]
    better = _better_rule(rivals, bool(short[own]))
    document: dict[str, Any] = {
        "scenarios": len(samples[own].total),
        "scenario_seed": seed,
        "policy": performance(simulator, samples[own]) | {"distribution": spread[own]},
        "rules": rules,
        "bound": None,
        "bounds": [],
        "bound_note": found.note,
        "gap": None,
        "gap_ci95": None,
        # Equal within the interval is not worse: a rule is preferred only when it is surely cheaper.
        "beats_best_rule": not short[own] and all(rule["mean_cost"] > mean for rule in rivals) if rules else None,
        "better_rule": better,
        "recommended_for_use": better is None and not short[own],
        "missed_targets": short[own],
    }
    _add_bounds(document, simulator, samples[own].total, found)
    return document


def _better_rule(rivals: list[dict[str, Any]], misses: bool) -> str | None:
    """The cheapest rule that keeps its targets, if the policy misses one or surely costs more."""
    if not rivals:
        return None
    surely_cheaper = rivals[0]["paired_difference"]["ci95"][1] < 0
    return rivals[0]["name"] if misses or surely_cheaper else None


def _add_bounds(
    document: dict[str, Any], simulator: Simulator[Any, Any, Any, Any], totals: Floats, found: BoundsFound
) -> None:
    """All bounds, the tightest first and as the one the gap is measured to."""
    mean, error = estimate(totals)
    entries = [bound_document(simulator, totals, bound) for bound in found.bounds]
    believed = []
    for entry in entries:
        slack = BEYOND_CHANCE * math.hypot(error, entry["standard_error"])
        if entry["value"] > mean + slack:
            entry["note"] = "the policy costs less: what this bound rests on does not hold for the reported stages"
        else:
            believed.append(entry)
    entries.sort(key=lambda entry: ("note" in entry, -entry["value"]))
    margins = {entry["kind"]: Z95 * entry.pop("gap_error") for entry in entries}
    document["bounds"] = [dict(entry) for entry in entries]
    if believed:
        tightest = document["bound"] = dict(entries[0])
        gap = document["gap"] = relative_gap(mean, tightest["value"])
        margin = margins[tightest["kind"]]
        document["gap_ci95"] = None if gap is None else [gap - margin, gap + margin]


def relative_gap(mean: float, bound: float) -> float | None:
    """(policy − bound) / |bound|; None where the bound is next to nothing, so that a ratio would say nothing."""
    return (mean - bound) / abs(bound) if abs(bound) >= MEANINGFUL_BOUND * abs(mean) else None


def bound_document(
    simulator: Simulator[Any, Any, Any, Any], totals: Floats, bound: Bound | KnownBound
) -> dict[str, Any]:
    """A bound as certificates show it, with the standard error of the relative gap (`gap_error`)."""
    if isinstance(bound, Bound):
        return _sampled_document(simulator, totals, bound)
    stages = len(simulator.reported_stages)
    value = bound.bound.value_per_stage * stages
    error = bound.bound.standard_error * stages
    mean, mean_error = estimate(totals)
    # The gap's error when policy and bound do not share scenarios: of (mean − value) / |value|.
    spread = math.hypot(mean_error, error * abs(mean) / max(abs(value), 1e-12))
    return {
        "kind": bound.kind,
        "exact": bound.exact,
        "value": value,
        "value_per_stage": bound.bound.value_per_stage,
        "standard_error": error,
        "scenarios": None,
        "details": dict(bound.bound.details),
        "gap_error": spread / max(abs(value), 1e-12),
    }


def _sampled_document(simulator: Simulator[Any, Any, Any, Any], totals: Floats, bound: Bound) -> dict[str, Any]:
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
        "exact": False,
        "value": value,
        "value_per_stage": value / len(simulator.reported_stages),
        "standard_error": math.hypot(error, mean_error),
        "scenarios": count,
        "gap_error": error / max(abs(value), 1e-12),
    }


def find_bounds(
    problem: Problem,
    instance: Instance,
    simulator: Simulator[Any, Any, Any, Any],
    totals: Floats,
    seed: int,
    callbacks: Callbacks,
    seconds: float,
    known: Collection[str] = (),
    given: ScenarioChunk | None = None,
) -> BoundsFound:
    """The problem's methods and cuts in at most half of `seconds`, then perfect information; none of them once the
    optimum is found. What is among the `known` ones is not computed again; on `given` scenarios, perfect information
    alone holds."""
    found = BoundsFound()
    started = time.monotonic()
    callbacks.on_phase("bound", 0.0)
    if not callbacks.should_stop():
        stop = _out_of_time(started + seconds / 2, callbacks.should_stop)
        for method in bound_methods(problem):
            if given is not None:
                found.reasons[method.name] = "it bounds the cost of the instance's own chance, not of given scenarios"
            elif method.name not in known and not _has_optimum(found):
                _compute(method, instance, stop, found)
    callbacks.on_phase("bound", 0.5)
    if _has_optimum(found):
        return found
    left = max(seconds - (time.monotonic() - started), 0.0)
    try:
        sampled = bound_on(problem, instance, simulator, totals, seed, callbacks, left, given)
    except (InnerSolveError, ValueError) as error:  # unbounded, unsolvable, or an instance without a program
        found.reasons["perfect_information"] = str(error)
        found.failed.add("perfect_information")
        return found
    if sampled is not None:
        found.bounds.append(sampled)
    elif problem.program is None:
        found.reasons["perfect_information"] = "the problem has no algebraic program"
    else:
        found.reasons["perfect_information"] = "stopped before two scenarios were solved"
        found.failed.add("perfect_information")
    return found


def _has_optimum(found: BoundsFound) -> bool:
    return any(isinstance(bound, KnownBound) and bound.exact for bound in found.bounds)


def _compute(method: BoundMethod, instance: Instance, should_stop: Callable[[], bool], found: BoundsFound) -> None:
    reason = method.refuses(instance)
    if reason is not None:
        found.reasons[method.name] = reason
        return
    stopped: list[bool] = []

    def stop() -> bool:
        stopped.append(should_stop())
        return stopped[-1]

    try:
        value = method.value(instance, stop)
    except ValueError as error:
        found.reasons[method.name] = str(error)
        found.failed.add(method.name)
        return
    # Cut short, a method for the optimum gives a bound and no more.
    found.bounds.append(KnownBound(method.name, value, method.exact and not any(stopped)))


def _out_of_time(deadline: float, should_stop: Callable[[], bool]) -> Callable[[], bool]:
    return lambda: should_stop() or time.monotonic() > deadline


def bound_on(
    problem: Problem,
    instance: Instance,
    simulator: Simulator[Any, Any, Any, Any],
    totals: Floats,
    seed: int,
    callbacks: Callbacks,
    seconds: float,
    given: ScenarioChunk | None = None,
) -> Bound | None:
    """The perfect-information bound on the first scenarios of the stream, until the gap is well known or time is up.

    Raises:
        InnerSolveError: a scenario's program has no optimum. NoProgram: the instance has no program.
    """
    if problem.program is None or callbacks.should_stop():
        return None
    chunk = next(iter(judged(simulator, seed, given=given)))
    found: list[Floats] = []
    quiet = Callbacks(should_stop=callbacks.should_stop)
    started = time.monotonic()
    done, wanted = 0, min(len(totals), chunk.state.batch, BOUNDED_SCENARIOS)
    hindsight = Hindsight(problem, instance, simulator)
    while done < wanted and not callbacks.should_stop():
        rows = slice(done, min(done + BOUND_BLOCK, wanted))
        left = max(seconds, LEAST_SECONDS) - (time.monotonic() - started)
        limit = max(left, 0.0) if math.isfinite(left) else None
        found.append(hindsight.bounds(chunk.state.rows(rows), chunk.noise.rows(rows), quiet, limit))
        done += len(found[-1])
        if done < rows.stop:  # asked to stop, or out of time
            break
        values = np.concatenate(found)
        _, error = estimate(totals[:done] - values)
        tight = done >= 4 * BOUND_BLOCK and error <= BOUND_ERROR * abs(float(values.mean()))
        callbacks.on_phase("bound", 0.5 + 0.5 * done / wanted)
        if tight or time.monotonic() - started > seconds:
            break
    return Bound("perfect_information", np.concatenate(found)) if done > 1 else None
