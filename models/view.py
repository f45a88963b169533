"""The planner's face of a problem: state documents in, decision lines out.

Types change at three doors only; this is the second (JSON state → tensors) and the third (decision → lines).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.core import InvalidInput, Issue

if TYPE_CHECKING:
    from models.course import Alert, Course
    from models.figures import Figure


def plain(value: float) -> str:
    """A number as sentences say it: four digits, thousands apart, no exponent."""
    if not math.isfinite(value):
        return str(value)
    decimals = 0 if value == 0 else min(max(3 - math.floor(math.log10(abs(value))), 0), 6)
    told = f"{value:,.{decimals}f}"
    told = told.rstrip("0").rstrip(".") if decimals else told
    return "0" if told == "-0" else told


@dataclass(frozen=True)
class Column:
    """A column of a decision table: key in the line, heading, unit (empty for words).

    `decided`: a planner who decides otherwise may change it; other columns name the line or follow from it.
    """

    key: str
    title: str
    unit: str = ""
    decided: bool = False


@dataclass(frozen=True)
class Repair:
    """A place where the policy's proposal had to be moved to be feasible."""

    field: str
    proposed: float
    feasible: float
    rule: str


class View(ABC):
    """JSON ↔ tensors for one instance. Built once per policy and kept: decoding must be fast."""

    columns: Sequence[Column]  # the decision as a table
    lines_key: str  # where the decision document keeps its lines, e.g. "orders"
    state_files: Mapping[str, str] = {}  # files a state can be read from: part → what it holds; "?": may be missing
    scheduled_periods: int = 0  # how far ahead `schedule` draws; 0: there is nothing to draw
    state_options: Mapping[str, str] = {}  # words that set how: word → what it sets
    course_stages: int = 0  # how far ahead `figures` looks; 0: it draws nothing
    reads_decisions: bool = False  # whether `read_decision` reads a planner's own decisions back

    @abstractmethod
    def state_schema(self) -> dict[str, Any]:
        """JSON Schema 2020-12 of one state document, with units."""

    @abstractmethod
    def today(self) -> dict[str, Any]:
        """The instance's own initial state as a document (a valid `state`)."""

    @abstractmethod
    def read_files(self, files: Mapping[str, bytes], options: Mapping[str, str]) -> dict[str, Any]:
        """The state document that files of `state_files` make together; `InvalidInput` with part, line and column."""

    @abstractmethod
    def decode(self, documents: Sequence[object]) -> tuple[Any, Any]:
        """State documents → (state tensors, stage (batch,)); `InvalidInput` with pointers `/{row}/...`."""

    @abstractmethod
    def decode_columns(self, columns: Mapping[str, object]) -> tuple[Any, Any]:
        """One document of arrays (a row per state) → (state tensors, stage (batch,)); `InvalidInput` with pointers."""

    @abstractmethod
    def encode(self, state: Any, decision: Any, stage: Any) -> list[dict[str, Any]]:
        """Decisions → one document per row, every line in the planner's ids and units."""

    @abstractmethod
    def encode_columns(self, state: Any, decision: Any, stage: Any) -> dict[str, Any]:
        """Decisions → one document of arrays (a row per state)."""

    def read_decision(self, document: object, state: Any, stage: Any) -> Any:
        """A decision document (its lines suffice) → a decision feasible in one state, a batch of one: undoes `encode`.

        `InvalidInput` names, with pointers into the document, what is wrong in it and what the rules do not allow in
        this state. What follows from the lines may stay in the document and is not read.
        """
        raise InvalidInput([Issue("decision", "error", "", "this problem does not read decisions back")])

    @abstractmethod
    def repairs(self, state: Any, proposed: Any, feasible: Any, stage: Any) -> list[list[Repair]]:
        """Per row: where the feasible decision differs from the proposal, and by which rule."""

    @abstractmethod
    def probes(self, state: Any) -> Any | None:
        """Variants of one state (a batch of one) whose decisions show what drives its own; None if there are none."""

    @abstractmethod
    def explain(self, state: Any, decision: Any, stage: Any, probed: Sequence[Any | None]) -> list[list[str]]:
        """Per row: sentences that say why the decision is what it is; `probed` are the decisions for its `probes`."""

    def compare(self, state: Any, decision: Any, stage: Any, alternatives: Any) -> list[list[str]]:
        """Per row: sentences that set the decision beside its alternatives, for problems made of choices.

        `alternatives` (batch, slot, option): expected cost now and to go if one slot chose otherwise [money]; infinite
        where it cannot.
        """
        return [[] for _ in range(state.batch)]

    def schedule(self, steps: Sequence[tuple[Any, Any, Any]]) -> list[dict[str, Any]]:
        """What the policy would do if all went as expected, as bars to draw (resource, what, from, to, how much).

        `steps` are state, decision and stage (batches of one) of `scheduled_periods` coming stages at most.
        """
        return []

    def figures(self, course: "Course") -> list["Figure"]:
        """What to look at beside a decision: the coming `course_stages` under the policy, as figures."""
        return []

    def alerts(self, state: Any, decision: Any, stage: Any) -> list[list["Alert"]]:
        """Per row: what a planner should look at first, the gravest first; quick to say, from state and decision."""
        return [[] for _ in range(state.batch)]

    @abstractmethod
    def warnings(self, documents: Sequence[object]) -> list[list[str]]:
        """Per row: what in the document was accepted but not used, or is unusual."""
