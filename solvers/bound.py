"""A lower bound on the cost of every policy, by the tightest method that fits the instance.

A problem brings its own methods (optima where theory gives them, relaxations elsewhere: `solvers.methods`); perfect
information fits whatever has a program. `auto` tries the problem's own and, unless one of them is the optimum, perfect
information as well.
"""

from __future__ import annotations

import time
from typing import Any, Literal

from pydantic import Field

from models.core import BoundMethod, BoundValue, Instance, Issue, Problem, Traits
from solvers.bounds import Hindsight
from solvers.core import Callbacks, Config, InnerSolveError, Solver, SolveResult
from solvers.methods import bound_methods

PERFECT = "perfect_information"
Ended = Literal["optimal", "time_limit", "stopped"]


class BoundConfig(Config):
    """Configuration of the bound."""

    method: str = Field("auto", description="auto, a method of the problem, or perfect_information.")
    scenarios: int = Field(256, ge=2, le=65_536, description="Scenarios of perfect information.")
    time_limit_seconds: float | None = Field(
        None, gt=0, le=86_400, description="Wall clock; a method cut short still gives a bound, a lower one."
    )


def bound(problem: Problem, instance: Instance, config: BoundConfig, seed: int, callbacks: Callbacks) -> SolveResult:
    """Every method asked for, the tightest bound first.

    Raises:
        InnerSolveError: no method gives a bound; the message says why, method by method.
    """
    deadline = None if config.time_limit_seconds is None else time.monotonic() + config.time_limit_seconds
    entries: list[dict[str, Any]] = []
    reasons: dict[str, str] = {}
    callbacks.on_phase("bound", 0.0)
    asked = [method for method in bound_methods(problem) if config.method in ("auto", method.name)]
    for k, method in enumerate(asked):
        reason = method.refuses(instance)
        if reason is None and not any(entry["exact"] for entry in entries):
            reason = _compute(method, instance, deadline, callbacks, entries)
        if reason is not None:
            reasons[method.name] = reason
        callbacks.on_phase("bound", (k + 1) / (len(asked) + 1))
    known = any(entry["exact"] for entry in entries)
    if config.method == PERFECT or (config.method == "auto" and not known):
        reason = _perfect(problem, instance, config, seed, deadline, callbacks, entries)
        if reason is not None:
            reasons[PERFECT] = reason
    callbacks.on_phase("bound", 1.0)
    if not entries:
        raise InnerSolveError("no bound: " + "; ".join(f"{name}: {reason}" for name, reason in reasons.items()))
    entries.sort(key=lambda entry: -entry["value_per_stage"])
    late = deadline is not None and time.monotonic() > deadline
    status: Ended = "stopped" if callbacks.should_stop() else "time_limit" if late else "optimal"
    return SolveResult(status, _document(problem, instance, entries) | {"without": reasons})


def _document(problem: Problem, instance: Instance, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The tightest bound with its total over the reported stages, and all of them."""
    simulator = problem.simulator(instance)
    stages = len(simulator.reported_stages)
    return {**entries[0], "value": entries[0]["value_per_stage"] * stages, "bounds": entries}


def _compute(
    method: BoundMethod, instance: Instance, deadline: float | None, callbacks: Callbacks, entries: list[dict[str, Any]]
) -> str | None:
    """Append a method's bound; or why it has none."""
    asked: list[bool] = [False]

    def stop() -> bool:
        asked.append(callbacks.should_stop() or (deadline is not None and time.monotonic() > deadline))
        return asked[-1]

    started = time.perf_counter()
    try:
        value = method.value(instance, stop)
    except ValueError as error:
        return str(error)
    # Cut short, a method for the optimum gives a bound and no more.
    entries.append(_entry(method.name, value, method.exact and not any(asked), started) | {"source": method.source})
    return None


def _perfect(
    problem: Problem,
    instance: Instance,
    config: BoundConfig,
    seed: int,
    deadline: float | None,
    callbacks: Callbacks,
    entries: list[dict[str, Any]],
) -> str | None:
    """Append the perfect-information bound on scenarios of the evaluation stream; or why there is none."""
    from solvers.evaluation import estimate, judged
    from solvers.hdpo import scenario_seed

    started = time.perf_counter()
    simulator = problem.simulator(instance)
    stages = len(simulator.reported_stages)
    try:
        chunk = next(iter(judged(simulator, scenario_seed(seed, "evaluation"), config.scenarios)))
        left = None if deadline is None else max(deadline - time.monotonic(), 1.0)
        found = Hindsight(problem, instance, simulator).bounds(chunk.state, chunk.noise, callbacks, left)
    except (InnerSolveError, ValueError) as broken:  # unbounded, unsolvable, or an instance without a program
        return str(broken)
    if len(found) < 2:
        return "time was up before two scenarios were solved"
    mean, error = estimate(found)
    value = BoundValue(mean / stages, error / stages, {"scenarios": len(found)})
    entries.append(_entry(PERFECT, value, False, started))
    return None


def _entry(kind: str, value: BoundValue, exact: bool, started: float) -> dict[str, Any]:
    return {
        "kind": kind,
        "exact": exact,
        "value_per_stage": value.value_per_stage,
        "standard_error_per_stage": value.standard_error,
        "details": dict(value.details),
        "seconds": round(time.perf_counter() - started, 3),
    }


def _refuses(problem: Problem, instance: Instance, config: BoundConfig) -> list[Issue]:
    """A method that is unknown or does not fit the instance."""
    if config.method in ("auto", PERFECT):
        return []
    for method in bound_methods(problem):
        if method.name == config.method:
            reason = method.refuses(instance)
            return [] if reason is None else [Issue("bound", "error", "/method", reason)]
    names = ", ".join(["auto", *(method.name for method in bound_methods(problem)), PERFECT])
    return [Issue("bound", "error", "/method", f"{problem.name} has no such method; it has {names}")]


def _needs(traits: Traits) -> list[str]:
    if traits.has_program or traits.finite_states or traits.weakly_coupled:
        return []
    return ["the problem has no algebraic program, no table of its states and no parts"]


BOUND = Solver(
    name="bound",
    title="Lower bound",
    summary="The least that any policy can cost: the optimum where it is known, else the tightest bound that fits.",
    kind="solve",
    config=BoundConfig,
    needs=_needs,
    solve=bound,
    refuses=_refuses,
    quick={"method": PERFECT, "scenarios": 4},
)
