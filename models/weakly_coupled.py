"""A problem that falls apart once its shared resources are priced: parts that share nothing else, a table for each.

In every stage each part uses some of the resources (machine time, …), and together they may use no more than there is.
At prices λ_t for what is used the parts need not know of each other, and each is a small Markov decision problem. The
room knows the parts' tables and gives the two halves of a stage as operators on them; how resources are priced is an
algorithm's business. The tables of all parts are one vector: values (value,) before the decision, post-values (post,)
between decision and noise; only the room knows its layout.
"""

from abc import ABC, abstractmethod
from typing import Any, Generic

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from models.dynamics import P, S, Stage


class Situation(ABC):
    """A batch of states in which the parts meet again: joint choices, judged by cost now plus the parts' post-values.

    Choices are those of the simulator's `choices`, with an axis of alternatives before the batch.
    """

    @abstractmethod
    def starts(self) -> Int[Tensor, "start batch slot"]:
        """Feasible choices to search from."""

    @abstractmethod
    def costs(self, choice: Int[Tensor, "start batch slot"]) -> Float[Tensor, "start batch"]:
        """Cost of the decision plus all parts' post-values [money]."""

    @abstractmethod
    def changes(self, choice: Int[Tensor, "start batch slot"]) -> Float[Tensor, "start batch slot option"]:
        """By how much that changes if one slot alone takes another option; infinite where it may not."""


class WeaklyCoupled(ABC, Generic[S, P]):
    """The priced face of a problem for one instance."""

    num_stages: int  # horizon T
    stationary: bool  # all stages are alike
    parts: tuple[str, ...]  # ids
    resources: tuple[str, ...]  # ids of what the parts share
    relaxes: tuple[str, ...] = ()  # what the parts may do that the problem forbids, beyond sharing resources, in words
    num_posts: int  # post-values of all parts together

    def simpler(self) -> "WeaklyCoupled[S, P] | None":
        """A face with the same stages, parts and resources, much smaller tables and about the same prices, if any.

        Prices may be looked for there; it proves nothing, and has no part values and no situations.
        """
        return None

    @abstractmethod
    def capacity(self, stage: int) -> Float[Tensor, " resource"]:
        """How much of each resource there is."""

    @abstractmethod
    def terminal(self) -> Float[Tensor, " value"]:
        """Values at the horizon, in float64."""

    @abstractmethod
    def expect(self, values: Float[Tensor, " value"], stage: int) -> Float[Tensor, " post"]:
        """Stochastic half: E[cost after the noise + value of the next state]."""

    @abstractmethod
    def improve(
        self, posts: Float[Tensor, " post"], prices: Float[Tensor, " resource"], stage: int
    ) -> Float[Tensor, " value"]:
        """Deterministic half: the least of the decision's cost + prices · use + post-value.

        Differentiable. Where several decisions are best, the gradient is any mean of theirs.
        """

    @abstractmethod
    def at_start(self, values: Float[Tensor, " value"]) -> Float[Tensor, " part"]:
        """Every part's expected value at stage 0."""

    @abstractmethod
    def part_values(
        self, tables: Float[Tensor, "table post"], table: Int[Tensor, " batch"], post: P
    ) -> Float[Tensor, "batch part"]:
        """The parts' entries of post-states, each row in the table that `table` names."""

    @abstractmethod
    def situation(
        self, tables: Float[Tensor, "table post"], table: Int[Tensor, " batch"], state: S, stage: Stage
    ) -> Situation:
        """States to decide in, each row by the table that `table` names."""


class PartValues(nn.Module, Generic[S, P]):
    """What every part's future costs from a post-decision state, at given prices of the resources in later stages.

    Sums rank decisions; with the `rent` that later resources would bring taken off they bound the cost to go from
    below, whatever the policy.
    """

    tables: Tensor  # (table, post) [money]
    index: Tensor  # (stage,) the table of a stage
    rent: Tensor  # (stage,) prices · capacity of all later stages [money]

    def __init__(self, face: WeaklyCoupled[S, P], num_tables: int) -> None:
        super().__init__()
        self.face = face
        self.register_buffer("tables", torch.zeros(num_tables, face.num_posts))
        self.register_buffer("index", torch.zeros(face.num_stages, dtype=torch.long))
        self.register_buffer("rent", torch.zeros(face.num_stages))

    def forward(self, post: P, stage: Stage) -> Float[Tensor, "batch part"]:
        """Expected cost to go of every part, later use of resources paid for [money]."""
        return self.face.part_values(self.tables, self._table(post.batch, stage), post)

    def post_value(self, post: P, stage: Stage) -> Float[Tensor, " batch"]:
        """A lower bound on the expected cost to go of any policy [money]; exact tables of the stage assumed."""
        return self.forward(post, stage).sum(1) - self.rent[stage]

    def situation(self, state: S, stage: Stage) -> Situation:
        """States to decide in by these values."""
        return self.face.situation(self.tables, self._table(state.batch, stage), state, stage)

    def _table(self, batch: int, stage: Any) -> Int[Tensor, " batch"]:
        return self.index[stage].expand(batch)
