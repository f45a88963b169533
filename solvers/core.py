"""What an algorithm is: a frozen value with a config, a way to train and build, and what it needs of a problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from models.core import BoundValue, Instance, Issue, Problem, Traits

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from torch import Tensor

    from models.dynamics import Policy
    from solvers.ranks import Ranks


class Config(BaseModel):
    """Base of every algorithm's configuration: flat, every field described and bounded, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Callbacks:
    """How a long run speaks with whoever started it; no-ops by default.

    `on_iteration(iteration, iterations, metrics)` reports progress; `on_checkpoint(state)` hands over everything needed
    to resume (tensors, numbers and plain containers only); `should_stop()` is asked at least once a second;
    `helpers(count)` are connections to processes elsewhere that lend a hand (`solvers.helping.serve`), at most so many;
    `ranks(count)` is how many of so many processes that share a training may run on this machine;
    `on_log(text)` is a line for people; `on_phase(name, fraction)` says what the run is doing outside iterations.
    """

    on_iteration: Callable[[int, int, Mapping[str, float]], None] = lambda iteration, iterations, metrics: None
    on_checkpoint: Callable[[Mapping[str, Any]], None] = lambda state: None
    should_stop: Callable[[], bool] = lambda: False
    on_log: Callable[[str], None] = lambda text: None
    on_phase: Callable[[str, float], None] = lambda name, fraction: None
    helpers: Callable[[int], Sequence[Connection]] = lambda count: ()
    ranks: Callable[[int], int] = lambda count: count


class Diverged(RuntimeError):
    """Training produced non-finite costs or gradients and could not go on."""


class RankLost(RuntimeError):
    """A process that shares a training with others is gone, or silent for too long."""


class WeightsDoNotFit(ValueError):
    """Stored weights are not those of the policy they are asked to fill: another network, size or family."""


class InnerSolveError(RuntimeError):
    """A mathematical program inside an algorithm could not be solved to the status it needs."""


@dataclass(frozen=True)
class TrainRequest:
    """Everything one training run is a function of; same request on a CPU, same policy."""

    problem: Problem
    instance: Instance
    config: Any  # the solver's own Config
    seed: int
    device: str = "cpu"
    time_limit: float | None = None  # [s] wall clock for training alone; ends it with the best policy so far
    checkpoint: Mapping[str, Any] | None = None  # what `on_checkpoint` was last given, to resume from
    warm_start: Mapping[str, Tensor] | None = None  # weights to start from
    also: tuple[Instance, ...] = ()  # other instances of the problem to train on at the same time
    prices: Mapping[str, float] = field(default_factory=dict)  # constraint → price of a unit of slack to start from
    until: int | None = None  # steps (`TrainResult.steps`) after which to end, as the run that this one repeats did

    def is_over(self, steps: int, seconds: float) -> bool:
        """Whether so many steps or so much time [s] end the training before its iterations are done."""
        is_late = self.time_limit is not None and seconds >= self.time_limit
        return is_late or (self.until is not None and steps >= self.until)


@dataclass(frozen=True)
class TrainResult:
    """A trained policy with its learning curve."""

    policy: Policy[Any, Any]
    family: str  # the policy family it belongs to
    curve: list[dict[str, float]]  # one row per validation: iteration, seconds, cost, best_cost
    iterations: int
    seconds: float
    stopped_by: Literal["finished", "time_limit", "request"]
    # Constraint in expectation → its price [money/unit of slack], slack on validation scenarios and tolerance.
    constraints: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    ranks: int = 1  # processes that shared it at its end
    bound: BoundValue | None = None  # a lower bound on the reported cost of every policy, found on the way
    counted: int | None = None  # steps done, where a run can end between iterations

    @property
    def steps(self) -> int:
        """Units of work done: a run of the same request that ends after as many has the same policy."""
        return self.iterations if self.counted is None else self.counted


@dataclass(frozen=True)
class SolveResult:
    """The outcome of a program: a plan or a bound, or why there is none (infeasibility is an outcome)."""

    status: Literal["optimal", "infeasible", "unbounded", "time_limit", "stopped"]
    document: dict[str, Any]  # values, plan lines, counts, in the planner's words


class TrainFunction(Protocol):
    def __call__(self, request: TrainRequest, callbacks: Callbacks) -> TrainResult: ...


class RankFunction(Protocol):
    def __call__(self, request: TrainRequest, callbacks: Callbacks, ranks: Ranks) -> TrainResult: ...


class SolveFunction(Protocol):
    def __call__(
        self, problem: Problem, instance: Instance, config: Any, seed: int, callbacks: Callbacks
    ) -> SolveResult: ...


def one_instance_only(problem: Problem, instances: tuple[Instance, ...], config: Any) -> list[Issue]:
    """The answer of a solver that cannot train one policy on several instances."""
    return [Issue("several", "error", "", "this solver trains on one instance at a time")]


@dataclass(frozen=True)
class Solver:
    """An algorithm: what it is called, how it is configured, what it needs and how it runs."""

    name: str
    title: str
    summary: str
    kind: Literal["train", "solve"]  # gives a policy, or a plan or bound of a program
    config: type[Config]
    needs: Callable[[Traits], list[str]]  # reasons it cannot serve a problem of these traits; empty if it can
    train: TrainFunction | None = None
    solve: SolveFunction | None = None
    train_rank: RankFunction | None = None  # one process's part of a training that several share (`solvers.team`)
    build: Callable[[Problem, Instance, Any, str], Policy[Any, Any]] | None = None  # (…, family) → untrained policy
    # What a config breaks for an instance that its schema cannot say; pointers into the config.
    refuses: Callable[[Problem, Instance, Any], list[Issue]] = field(default=lambda problem, instance, config: [])
    # What stands against one policy for several instances at once; pointers into the config.
    refuses_several: Callable[[Problem, tuple[Instance, ...], Any], list[Issue]] = field(default=one_instance_only)
    quick: Mapping[str, Any] = field(default_factory=dict)  # a config that is done in a moment: to show that it works
    source: str = ""  # the paper

    def reasons_against(self, problem: Problem) -> list[str]:
        """Why this solver does not serve the problem; empty if it does."""
        return self.needs(problem.traits)
