"""What a lane may hold, what may be asked of it, and the language it is asked in: closed lists.

Lanes live in other processes, on other machines too. What they hold and do is named in messages; a name that is not
here is refused, and so are arguments and answers that are not what the method's annotations say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.program import LinearProgram
from solvers.annotations import contract, fits
from solvers.cuts import Cuts
from solvers.messages import Language, MessageError
from solvers.stage_costs import PathCosts, StageCosts
from solvers.stage_nodes import Node
from solvers.stage_programs import StagePrograms, Trials
from solvers.work import Work, Worker

METHODS: Mapping[Any, Sequence[str]] = {
    StageCosts: ("solve", "restart", "work"),
    PathCosts: ("solve", "restart", "work"),
    StagePrograms: ("forward", "backward", "add_cuts", "set_cuts", "restart", "work"),
}
_KINDS = {kind.__name__: kind for kind in METHODS}


@dataclass(frozen=True)
class Held:
    """What each lane holds: one of the kinds above, and what it is made of. Equal lanes, each with objects of its own.

    Raises:
        ValueError: there is no such kind, or it is not made of such values.
    """

    kind: str
    made_of: tuple[Any, ...]

    def __post_init__(self) -> None:
        if self.kind not in _KINDS or not _fit(self.made_of, contract(_KINDS[self.kind].__init__).takes):
            raise ValueError(f"no lane holds {self.kind!r}, or it is made of something else")

    def make(self) -> Worker:
        """One lane's own."""
        made: Worker = _KINDS[self.kind](*self.made_of)
        return made

    def gives(self, method: str) -> Any:
        """The annotation of a method's answer; `MessageError` if it may not be asked for."""
        return contract(self._method(method)).gives

    def takes(self, method: str, arguments: tuple[Any, ...]) -> bool:
        """Whether a method takes such arguments; `MessageError` if it may not be asked for."""
        return _fit(arguments, contract(self._method(method)).takes)

    def _method(self, name: str) -> Any:
        kind = _KINDS[self.kind]
        if name not in METHODS[kind]:
            raise MessageError(f"{self.kind} is not asked to {name!r}")
        return getattr(kind, name)


@dataclass(frozen=True)
class Task:
    """What lanes of one process are to do."""

    method: str
    parts: list[tuple[int, tuple[Any, ...]]]  # lane, arguments
    answered: bool


@dataclass(frozen=True)
class Answers:
    """What they found, in order; not all of it where there was trouble."""

    found: list[Any]
    trouble: str | None


LANGUAGE = Language(Held, Task, Answers, Work, LinearProgram, Node, Cuts, Trials)


def held(kind: type[Worker], *made_of: Any) -> Held:
    """What lanes hold, by its class."""
    return Held(kind.__name__, made_of)


def _fit(values: tuple[Any, ...], annotations: tuple[Any, ...]) -> bool:
    return len(values) == len(annotations) and all(map(fits, values, annotations))
