"""Demand processes as documents: what they are called, their parameters, the rules that bind them.

How they are sampled is in `models.inventory_network.demand`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from models.core import Issue, Record, pointer

Level = Annotated[float, Field(ge=0, le=1e6)]
Floats = npt.NDArray[np.float64]


class PoissonDemand(Record):
    mean: Level = Field(description="Mean demand μ [units/period].")


class NormalDemand(Record):
    mean: Level = Field(description="Mean μ before clipping [units/period].")
    std: Level = Field(description="Standard deviation σ before clipping [units/period].")


class Poisson(Record):
    """Independent Poisson demand."""

    process: Literal["poisson"]
    nodes: dict[str, PoissonDemand] = Field(min_length=1)

    @property
    def node_ids(self) -> list[str]:
        return list(self.nodes)

    def moments(self) -> tuple[Floats, Floats]:
        """Mean and standard deviation of each node's demand [units/period]."""
        mean = np.array([node.mean for node in self.nodes.values()])
        return mean, np.sqrt(mean)

    def rules(self, where: tuple[str, ...]) -> Iterator[Issue]:
        yield from ()


class Normal(Record):
    """Normal demand, equally correlated between nodes, independent between periods."""

    process: Literal["normal"]
    nodes: dict[str, NormalDemand] = Field(min_length=1)
    correlation: float = Field(0.0, ge=-1, le=1, description="ρ between any two nodes in the same period.")
    clip_at_zero: bool = Field(True, description="Negative draws become zero; required (demand is never negative).")

    @property
    def node_ids(self) -> list[str]:
        return list(self.nodes)

    def moments(self) -> tuple[Floats, Floats]:
        """Mean and standard deviation of each node's demand after clipping [units/period]."""
        pairs = [clipped_moments(node.mean, node.std) for node in self.nodes.values()]
        return np.array([mean for mean, _ in pairs]), np.array([std for _, std in pairs])

    def rules(self, where: tuple[str, ...]) -> Iterator[Issue]:
        lowest = -1.0 / (len(self.nodes) - 1) if len(self.nodes) > 1 else -1.0
        if self.correlation < lowest:
            detail = f"{len(self.nodes)} nodes cannot all be correlated below {lowest:.4g}"
            yield Issue("correlation", "error", pointer(*where, "correlation"), detail)
        if not self.clip_at_zero:
            yield Issue("clip", "error", pointer(*where, "clip_at_zero"), "demand is never negative: must be true")


class Empirical(Record):
    """The user's own history: one row per period, columns by node; rows are drawn with equal chance.

    A row holds all nodes of one past period, so the correlation between nodes is kept.
    """

    process: Literal["empirical"]
    nodes: list[str] = Field(min_length=1, description="Node of each column of `history`.")
    history: list[list[Level]] = Field(min_length=1, max_length=100_000, description="Demand [units/period].")

    @property
    def node_ids(self) -> list[str]:
        return list(self.nodes)

    def moments(self) -> tuple[Floats, Floats]:
        """Mean and standard deviation of each node's demand in the history [units/period]."""
        rows = np.array(self.history, dtype=float)
        return rows.mean(0), rows.std(0)

    def rules(self, where: tuple[str, ...]) -> Iterator[Issue]:
        if len(set(self.nodes)) < len(self.nodes):
            yield Issue("duplicate", "error", pointer(*where, "nodes"), "a node is named twice")
        for index, row in enumerate(self.history):
            if len(row) != len(self.nodes):
                detail = f"has {len(row)} values, needs one for each of the {len(self.nodes)} nodes"
                yield Issue("length", "error", pointer(*where, "history", index), detail)
        if 1 < len(self.history) < 30:
            detail = f"{len(self.history)} periods are a short history: the policy knows no other demand"
            yield Issue("short_history", "warning", pointer(*where, "history"), detail)


def clipped_moments(mean: float, std: float) -> tuple[float, float]:
    """Mean and standard deviation of max(X, 0) for normal X."""
    if std == 0:
        return mean, 0.0
    z = mean / std
    density = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    below = 0.5 * math.erfc(z / math.sqrt(2))  # P(X < 0)
    first = mean * (1 - below) + std * density
    second = (mean**2 + std**2) * (1 - below) + mean * std * density
    return first, math.sqrt(max(second - first**2, 0.0))


DemandProcess = Annotated[Poisson | Normal | Empirical, Field(discriminator="process")]
