"""What every demand process says of itself as a document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from models.core import Issue, Record, pointer
from models.inventory_network.demand.timeline import Floats, Ints, Profile, Timeline

Level = Annotated[float, Field(ge=0, le=1e6)]
ANY_TIME = Timeline(periods=1)
"""Stands for a network without dates of one period, for what does not depend on time."""


class DemandDocument(Record):
    """Base of the demand processes: names of the nodes, what is really drawn, and the rules that bind it."""

    @property
    def node_ids(self) -> list[str]:
        """The nodes with demand, in the order of every column."""
        raise NotImplementedError

    def place(self, node_id: str) -> str | int:
        """Key of a node within `nodes`, for pointers."""
        return node_id

    def profile(self, timeline: Timeline) -> Profile:
        """Mean and standard deviation of what is drawn in every period, after clipping."""
        raise NotImplementedError

    def rules(self, where: tuple[str, ...], timeline: Timeline = ANY_TIME) -> Iterator[Issue]:
        """Rules this process breaks (error) or strains (warning, info) in a network with these periods."""
        raise NotImplementedError

    @property
    def window(self) -> int:
        """How many past periods of demand say something of the next; 0 if it does not depend on the past."""
        return 0

    @property
    def common(self) -> bool:
        """Whether what the past says is the same for all nodes, so their total tells it best."""
        return False

    @property
    def season_periods(self) -> int:
        """Length of the season [periods]; 1 if there is none."""
        return 1

    def moments(self, timeline: Timeline = ANY_TIME) -> tuple[Floats, Floats]:
        """Mean and standard deviation of each node's demand [units/period], over the periods or a whole season."""
        return self.profile(timeline).average(timeline)

    def moments_at(self, stages: Ints, timeline: Timeline) -> tuple[Floats, Floats]:
        """Mean and standard deviation (stage, node) of the demand of each period asked for [units/period]."""
        return self.profile(timeline).at(stages)


def error(code: str, detail: str, *where: str | int) -> Issue:
    """A rule broken at a place."""
    return Issue(code, "error", pointer(*where), detail)


def warning(code: str, detail: str, *where: str | int) -> Issue:
    """A rule strained at a place."""
    return Issue(code, "warning", pointer(*where), detail)
