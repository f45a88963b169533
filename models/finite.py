"""Every state of a small problem in a table, and a stage's two halves as operators on tables.

Post-decision states are fewer than states and decisions together, and where the noise's entries are independent the
expectation is taken entry by entry: a sweep costs the sum of their numbers of outcomes instead of the product. Only the
room knows the layout of its tables; to an algorithm they are vectors (state,) and (post,).
"""

from abc import ABC, abstractmethod
from typing import Generic

from jaxtyping import Float, Int
from torch import Tensor

from models.dynamics import S


class Finite(ABC, Generic[S]):
    """The tabulated face of a problem for one instance. Decisions are numbered; tables are in float64."""

    num_stages: int  # horizon T
    stationary: bool  # all stages are alike
    num_states: int
    num_decisions: int  # numbers that `improve` may give

    @abstractmethod
    def terminal(self) -> Float[Tensor, " state"]:
        """Values at the horizon."""

    @abstractmethod
    def expect(self, values: Float[Tensor, " state"], stage: int) -> Float[Tensor, " post"]:
        """Stochastic half: E[cost after the noise + value of the next state]."""

    @abstractmethod
    def improve(
        self, posts: Float[Tensor, " post"], stage: int
    ) -> tuple[Float[Tensor, " state"], Int[Tensor, " state"]]:
        """Deterministic half: the least of the decision's cost + post-value, and the number of the decision.

        Of decisions that differ by rounding alone the same one is taken in every stage.
        """

    @abstractmethod
    def at_start(self, values: Float[Tensor, " state"]) -> float:
        """Expected value at stage 0."""

    @abstractmethod
    def place(self, state: S) -> Int[Tensor, " batch"]:
        """Entries of states in the table; the nearest one for a state beyond it."""

    @abstractmethod
    def choice(self, decision: Int[Tensor, " batch"]) -> Int[Tensor, "batch slot"]:
        """The choices (`models.choices`) that numbered decisions are made of."""
