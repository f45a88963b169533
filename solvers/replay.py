"""What a planner's own decision would have cost beside the recommended one.

Both are played from the same state on common random numbers, and the policy decides in every stage afterwards; the
difference is the decision's own doing. Noise goes on from the state (`Simulator.onward`), so what flows or sells now
says what it can of what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from models.lazy import torch
from solvers.evaluation import Floats, check_feasible, chunk_size, estimate, interval, paired_difference

if TYPE_CHECKING:
    from torch import Tensor

    from models.dynamics import Policy, Simulator
    from solvers.serving import ServedPolicy

FIRST_SLICE = 2  # scenarios played before the clock is looked at: a policy may take seconds for each
GROWTH = 4  # how much larger every next slice is


def replay(
    served: ServedPolicy,
    state_document: object,
    decision_document: object,
    scenarios: int,
    seed: int,
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> dict[str, Any]:
    """The planner's decision and the policy's in one state, each played to the end of the horizon.

    `difference` is what the planner's costs more [money]. Stopped early, it is of fewer scenarios.

    Raises:
        InvalidInput: state or decision break a rule; pointers are `/0/…` into the state, or into the decision.
    """
    state, stage = served.view.decode([state_document])
    own = served.view.read_decision(decision_document, state, stage)
    recommended = served.decide(state, stage)
    simulator = served.problem.simulator(served.instance, counts=False)
    stages = range(int(stage), _end(simulator, int(stage)))
    found: dict[str, list[Floats]] = {"recommended": [], "own": []}
    done = 0
    for noise in _slices(simulator, state.to(_precision(simulator)), stages.start, seed, scenarios):
        for name, decision in (("recommended", recommended), ("own", own)):
            found[name].append(_play(simulator, served.policy, state, decision, noise, stages))
        done += noise.batch
        on_progress(done / scenarios)
        if should_stop():
            break
    totals = {name: np.concatenate(chunks) for name, chunks in found.items()}
    return {
        "scenarios": done,
        "seed": seed,
        "from_stage": stages.start,
        "to_stage": stages.stop,
        **{name: _cost(values) for name, values in totals.items()},
        "difference": paired_difference(totals["own"], totals["recommended"]),
    }


def _end(simulator: Simulator[Any, Any, Any, Any], first: int) -> int:
    """The stage before which the play ends: where reported costs end, unless it begins later than that."""
    reported = simulator.reported_stages.stop
    return reported if first < reported else simulator.num_stages


def _slices(
    simulator: Simulator[Any, Any, Any, Any], state: Any, first: int, seed: int, scenarios: int
) -> Iterator[Any]:
    """Noise of so many scenarios that may follow a state, few at first and ever more at a time."""
    generator, most = torch.Generator().manual_seed(seed), chunk_size(simulator)
    done, size = 0, FIRST_SLICE
    while done < scenarios:
        noise = simulator.onward(state, first, min(size, scenarios - done), generator)
        yield noise
        done, size = done + noise.batch, min(size * GROWTH, most)


def _play(
    simulator: Simulator[Any, Any, Any, Any],
    policy: Policy[Any, Any],
    state: Any,
    decision: Any,
    noise: Any,
    stages: range,
) -> Floats:
    """Total cost of every scenario [money]: one decision now, the policy's from then on; every one is checked."""
    same = torch.zeros(noise.batch, dtype=torch.long)
    native = _precision(simulator)
    state, decision = state.rows(same).to(native), decision.rows(same).to(native)
    total = torch.zeros(noise.batch, dtype=torch.float64)
    weight = 1.0
    with torch.no_grad():
        decide = policy.settle()
        for stage in stages:
            if stage > stages.start:
                decision = decide(state, stage)
            check_feasible(simulator, state, decision, stage)
            post, decided = simulator.decide(state, decision, stage)
            state, realized = simulator.realize(post, noise, stage)
            total += weight * (_sum(decided.components, total) + _sum(realized.components, total))
            weight *= simulator.discount
        if stages.stop == simulator.num_stages:
            total += weight * _sum(simulator.terminal(state).components, total)
    values: Floats = total.numpy()
    return values


def _precision(simulator: Simulator[Any, Any, Any, Any]) -> torch.dtype:
    """The precision the simulator's own states have."""
    start = simulator.initial(1, torch.Generator().manual_seed(0))
    native: torch.dtype = next(tensor.dtype for tensor in vars(start).values() if tensor.is_floating_point())
    return native


def _sum(components: Any, like: Tensor) -> Tensor:
    return sum((value.double() for value in components.values()), torch.zeros_like(like))


def _cost(values: Floats) -> dict[str, Any]:
    mean, error = estimate(values)
    return {"mean_cost": mean, "standard_error": error, "ci95": interval(mean, error)}
