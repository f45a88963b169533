"""How figures are shown: the four kinds, as the OpenAPI document tells them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

Scalar = int | float | str
Numbers = list[int | float | None]
FactView = Annotated[
    tuple[str, Scalar, str], Field(description="Label, value, unit (empty for words and plain numbers).")
]


class _Figure(BaseModel):
    key: str = Field(description="Unique among the figures of an answer.")
    title: str
    caption: str = Field(description="What to read from it, in one sentence; says so where only the largest are shown.")
    group: str | None = Field(description="Figures of one group show the same for different places.")


class NodeView(BaseModel):
    """A place in a network."""

    id: str
    label: str
    tier: int = Field(description="Column in a layered drawing; lines from the centre in a free one.")
    group: str = Field(description="A word with a colour.")
    facts: list[FactView]


class LinkView(BaseModel):
    """A directed tie between two nodes."""

    source: str = Field(alias="from")
    target: str = Field(alias="to")
    label: str
    group: str
    facts: list[FactView]


class NetworkFigure(_Figure):
    """Nodes and links."""

    kind: Literal["network"]
    layout: Literal["layered", "free"] = Field(description="layered: left to right by tier; free: no direction.")
    nodes: list[NodeView]
    links: list[LinkView]


class MatrixFigure(_Figure):
    """A table of numbers, words and gaps."""

    kind: Literal["matrix"]
    rows: list[str]
    columns: list[str]
    values: list[list[Scalar | None]] = Field(description="By row, then column.")
    unit: str


class LineView(BaseModel):
    """One line, row of bars, area or set of points of a series."""

    name: str
    values: Numbers = Field(description="One a place of the axis; null is a gap.")
    mark: Literal["line", "bar", "area", "point"]
    stack: str | None = Field(description="Equal words are stacked.")
    group: str | None


class BandView(BaseModel):
    """What lies between two quantiles."""

    name: str
    lower: Numbers
    upper: Numbers


class SeriesFigure(_Figure):
    """Lines and bands over a common axis; bands are nested, the outer first."""

    kind: Literal["series"]
    x: list[Scalar]
    x_title: str
    unit: str
    lines: list[LineView]
    bands: list[BandView]


class BarView(BaseModel):
    """A stretch of time on a row."""

    row: str
    label: str
    start: float = Field(alias="from")
    end: float = Field(alias="to", description="The bar ends before this.")
    amount: float | None
    unit: str
    group: str


class ScheduleFigure(_Figure):
    """Bars on rows over time."""

    kind: Literal["schedule"]
    rows: list[str]
    bars: list[BarView]
    x_title: str


FigureView = Annotated[NetworkFigure | MatrixFigure | SeriesFigure | ScheduleFigure, Field(discriminator="kind")]


class Figures(BaseModel):
    """What there is to look at."""

    figures: list[FigureView]
