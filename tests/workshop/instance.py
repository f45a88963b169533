"""The JSON document of a workshop."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from models.core import Example, Instance


class Workshop(Instance):
    """Items made by machines that are alike; demand of an item is 0, 1 or 2 a day, equally likely."""

    problem: Literal["workshop"]
    days: int = Field(ge=1, le=10_000, description="Horizon T [days].")
    items: int = Field(ge=1, le=3, description="Number of items.")
    machines: int = Field(ge=1, le=2, description="Number of machines.")
    made: int = Field(default=3, ge=1, le=9, description="Pieces of one item a machine makes in a day.")
    stock_max: int = Field(default=6, ge=1, le=9, description="Pieces of an item that can be kept.")
    holding_cost: float = Field(default=1.0, ge=0, le=1e6, description="h [money/piece/day].")
    shortage_cost: float = Field(default=8.0, ge=0, le=1e6, description="p [money/piece] asked for in vain.")
    setup_cost: float = Field(default=2.0, ge=0, le=1e6, description="K [money] for another item than yesterday's.")
    one_of_a_kind: bool = Field(default=False, description="Whether two machines may not make the same item.")

    @property
    def num_stages(self) -> int:
        """Days."""
        return self.days


def _document(name: str, **more: Any) -> dict[str, Any]:
    return {"problem": "workshop", "name": name, "days": 20, **more}


EXAMPLES = (
    Example(
        "one-tool",
        "Two machines share the tools",
        "made up",
        lambda: _document("one-tool", items=3, machines=2, one_of_a_kind=True),
    ),
    Example("bench", "One machine, two items", "made up", lambda: _document("bench", items=2, machines=1)),
)
