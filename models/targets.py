"""Targets: where a stage should end, as a policy that leaves the rest to optimisation may ask for it.

Two-stage decision rules propose the end-of-stage state (a storage, a stock); the least cost of getting there is a
linear program of the room (`Program.stage`) in which some decision columns are held at the targets. The room says which
columns these are, what can be reached from a state, and what else of a state a policy should look at.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from models.dynamics import Stage
from models.program import Indices


class Targets(ABC):
    """One instance's targets. Everything here is batched, differentiable and in the precision of the state."""

    names: Sequence[str]  # of the targets
    strict: str | None = None  # why a reachable target may still have no feasible decision; None: it always has one

    @abstractmethod
    def columns(self, stage: int) -> Indices:
        """Positions of the target columns among the decision columns of the stage's program (target,)."""

    @abstractmethod
    def vector(self, state: Any) -> Float[Tensor, "batch entry"]:
        """`Program.state_vector` as tensors."""

    @abstractmethod
    def reach(self, state: Any, share: Float[Tensor, "batch target"], stage: Stage) -> Float[Tensor, "batch target"]:
        """Targets at shares (0 to 1) of what can be reached in one stage, each between its least and its most.

        What can be reached may depend on other targets (water that a plant upstream lets go): they are taken in an
        order in which each knows those it depends on, and gradients flow through.
        """

    @abstractmethod
    def following(self, state: Any, target: Float[Tensor, "batch target"], noise: Any, stage: int) -> Any:
        """The next state when the stage ends at the targets and noise strikes."""

    @abstractmethod
    def signals(self, state: Any) -> Float[Tensor, "batch step entry"]:
        """What decisions do not touch (inflow): recent first to last, of order one."""

    @abstractmethod
    def levels(self, state: Any) -> Float[Tensor, "batch entry"]:
        """What decisions have led to (storage), of order one."""

    @abstractmethod
    def calendar(self, stage: Stage) -> Float[Tensor, "batch_or_one entry"]:
        """Where in the year and how near the end a stage is; one row for all, or a row each."""
