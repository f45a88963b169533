"""Policies of a problem's families: built by the room, or, where a rule plans, by the rolling horizon.

A room knows no solver, so a rule that plans is there only a name with the configuration of the rolling horizon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.core import Instance, NetworkSize, PolicyFamily, Problem
from models.lazy import lazy
from solvers.rolling_horizon import DeterministicConfig

if TYPE_CHECKING:
    from models.dynamics import Policy, Simulator

_rolling_policy = lazy("solvers.planning:RollingPolicy")


def plan_config(family: PolicyFamily) -> DeterministicConfig:
    """The rolling horizon's configuration that a rule is a name of.

    Raises:
        ValueError: the family does not plan.
    """
    if family.plan is None:
        raise ValueError(f"{family.name} is no rule that plans")
    return DeterministicConfig(**family.plan)


def policy_of(
    problem: Problem,
    instance: Instance,
    family: PolicyFamily,
    simulator: Simulator[Any, Any, Any, Any] | None = None,
    size: NetworkSize | None = None,
) -> Policy[Any, Any]:
    """A policy of the family for an instance, untrained."""
    if family.plan is not None:
        policy: Policy[Any, Any] = _rolling_policy(problem, instance, plan_config(family))
        return policy
    dynamics = problem.simulator(instance) if simulator is None else simulator
    return family.build(instance, dynamics, size or NetworkSize())
