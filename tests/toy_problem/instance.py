"""The JSON document of a newsstand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from models.core import Example, Instance, Issue


class Newsstand(Instance):
    """One item, ordered every day."""

    problem: Literal["newsstand"]
    days: int = Field(ge=1, le=1000, description="Horizon T [days].")
    low: float = Field(ge=0, le=1e6, description="Least demand of a day [copies].")
    high: float = Field(ge=0, le=1e6, description="Most demand of a day [copies].")
    holding_cost: float = Field(gt=0, le=1e6, description="h [money/copy/day] on what is left over.")
    shortage_cost: float = Field(gt=0, le=1e6, description="p [money/copy] on what is asked for in vain.")
    stock: float = Field(default=0.0, ge=0, le=1e6, description="Stock on the first day [copies].")

    def rules(self) -> Iterator[Issue]:
        """Demand must have a range."""
        if self.high <= self.low:
            yield Issue("range", "error", "/high", "must be above low")

    @property
    def num_stages(self) -> int:
        """Days."""
        return self.days

    @property
    def best_level(self) -> float:
        """The optimal order-up-to level [copies]: the critical fractile of demand."""
        fractile = self.shortage_cost / (self.shortage_cost + self.holding_cost)
        return self.low + (self.high - self.low) * fractile

    @property
    def best_cost(self) -> float:
        """The optimal mean cost of a day [money]: h·p/(h+p)·(high − low)/2."""
        h, p = self.holding_cost, self.shortage_cost
        return h * p / (h + p) * (self.high - self.low) / 2


def _corner() -> dict[str, Any]:
    return {
        "problem": "newsstand",
        "name": "corner",
        "days": 20,
        "low": 5.0,
        "high": 15.0,
        "holding_cost": 1.0,
        "shortage_cost": 4.0,
    }


EXAMPLES = (Example("corner", "A stand at the corner", "made up", _corner),)
