"""Whom a policy gradient may start from: rules and other solvers to imitate, and a decomposition's values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.core import Instance, Issue, NetworkSize, Problem
from models.lazy import lazy
from solvers.core import Callbacks, TrainRequest
from solvers.lagrangian import LAGRANGIAN, kept_stages
from solvers.ranks import Ranks

if TYPE_CHECKING:
    from models.dynamics import Policy, Simulator

_part_values = lazy("models.weakly_coupled:PartValues")


def teacher(
    request: TrainRequest,
    name: str | None,
    simulator: Simulator[Any, Any, Any, Any],
    callbacks: Callbacks,
    ranks: Ranks,
) -> Policy[Any, Any] | None:
    """The rule to imitate as it is, or the policy of another solver, trained with its defaults; None for nobody."""
    if name is None:
        return None
    if name in [family.name for family in request.problem.families]:
        return request.problem.family(name).build(request.instance, simulator, NetworkSize()).eval()
    return _solved(request, name, callbacks, ranks)


def decomposed(request: TrainRequest, callbacks: Callbacks, ranks: Ranks) -> Any:
    """The look-ahead policy of the Lagrangian decomposition, with its parts' values, by that solver's defaults."""
    return _solved(request, LAGRANGIAN.name, callbacks, ranks)


def _solved(request: TrainRequest, name: str, callbacks: Callbacks, ranks: Ranks) -> Policy[Any, Any]:
    """Another solver's policy, trained by the leader alone."""
    from solvers.registry import solver

    other = solver(name)
    own = TrainRequest(request.problem, request.instance, other.config(), request.seed)
    watched = Callbacks(should_stop=callbacks.should_stop, on_phase=callbacks.on_phase)
    made: list[Policy[Any, Any]] = []

    def train() -> dict[str, Any]:
        result = other.train(own, watched)  # type: ignore[misc]
        made.append(result.policy)
        return {"family": result.family, "weights": result.policy.state_dict()}

    told = ranks.handed(train)
    if not made:
        made.append(other.build(request.problem, request.instance, own.config, told["family"]))  # type: ignore[misc]
        made[0].load_state_dict(told["weights"])
    return made[0].eval()


def teachers(problem: Problem, instance: Instance) -> list[str]:
    """Who can be imitated: rules, and solvers that solve rather than imitate."""
    from solvers.registry import solvers

    config = {name: other for name, other in solvers().items() if other.kind == "train" and name != "pdppo"}
    able = [
        name
        for name, other in config.items()
        if not other.reasons_against(problem) and not other.refuses(problem, instance, other.config())
    ]
    return [family.name for family in problem.rules_for(instance)] + able


def empty_values(problem: Problem, instance: Instance) -> Any:
    """Tables of the parts' values of an instance, ready to take stored ones."""
    assert problem.weakly_coupled is not None, "who starts from a decomposition has one"
    face = problem.weakly_coupled.of(instance)
    return _part_values(face, len(kept_stages(face)))


def without_decomposition(problem: Problem, instance: Instance) -> list[Issue]:
    """Why there are no parts' values to start from; nothing if there are."""
    if not problem.traits.weakly_coupled:
        return [Issue("residual", "error", "/residual", f"{problem.name} does not fall apart into parts")]
    reasons = LAGRANGIAN.refuses(problem, instance, LAGRANGIAN.config())
    return [Issue("residual", "error", "/residual", issue.detail) for issue in reasons]
