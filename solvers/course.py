"""A policy followed from one state on: as expected, and on sampled scenarios where deciding is quick enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from models.course import Course, Step
from models.lazy import torch
from solvers.core import InnerSolveError

if TYPE_CHECKING:
    from torch import Tensor

    from models.dynamics import Simulator

SCENARIOS = 128  # of a fan
TRIED = (8, 64)  # states decided to see how long deciding takes; the more only where the few are done in a moment
MOMENT = 0.1  # [s]
SECONDS = 2.0  # [s] that a fan may take, by that measure
MOST_NUMBERS = 8_000_000  # in the noise of a fan
SEED = 20_240_505
Decide = Callable[[Any, Any], Any]
"""(states, stage (batch,)) → feasible decisions."""


def follow(
    simulator: Simulator[Any, Any, Any, Any], decide: Decide, first: Step, stages: int, with_fan: bool = False
) -> Course:
    """The coming `stages` at most, within the horizon, from a state and its decision (batches of one).

    A stage in which a policy that plans finds no plan ends the expected course, and takes the fan away.
    """
    now = int(first[2][0])
    ahead = max(min(stages, simulator.num_stages - now), 1)
    expected = _roll(simulator, decide, first, ahead, simulator.expected(1) if ahead > 1 else None)
    if not with_fan or len(expected) < 2 or not _quick(simulator, decide, expected[1], ahead):
        return Course(expected)
    state, decision, stage = first
    generator = torch.Generator().manual_seed(SEED)
    noise = simulator.onward(state, now, SCENARIOS, generator)
    start = (_repeated(state, SCENARIOS), _repeated(decision, SCENARIOS), stage.expand(SCENARIOS))
    sampled = _roll(simulator, decide, start, len(expected), noise)
    return Course(expected, sampled if len(sampled) == len(expected) else None)


def _roll(
    simulator: Simulator[Any, Any, Any, Any], decide: Decide, first: Step, ahead: int, noise: Any
) -> tuple[Step, ...]:
    state, decision, stage = first
    steps = [first]
    for now in range(int(stage[0]), int(stage[0]) + ahead - 1):
        post, _ = simulator.decide(state, decision, now)
        state, _ = simulator.realize(post, noise, now)
        stage = stage + 1
        try:
            decision = decide(state, stage)
        except InnerSolveError:
            break
        steps.append((state, decision, stage))
    return tuple(steps)


def _quick(simulator: Simulator[Any, Any, Any, Any], decide: Decide, step: Step, ahead: int) -> bool:
    """Whether a fan fits the time and the memory, if all rows take as long each as some of them did together."""
    numbers: int = sum(value.numel() for value in vars(simulator.expected(1)).values())
    if numbers * SCENARIOS > MOST_NUMBERS:
        return False
    state, _, stage = step
    for rows in TRIED:
        started = time.perf_counter()
        decide(_repeated(state, rows), stage.expand(rows))
        spent = time.perf_counter() - started
        if spent / rows * SCENARIOS * ahead <= SECONDS:
            return True
        if spent > MOMENT:
            return False
    return False


def _repeated(record: Any, rows: int) -> Any:
    def repeat(value: Tensor) -> Tensor:
        return value.expand(rows, *value.shape[1:])

    return record.map(repeat)
