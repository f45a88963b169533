"""Decision documents read back, line by line; every rule broken is named by its JSON Pointer into the document."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from models.core import InvalidInput, Issue, pointer
from models.view import Column, Repair

MOST = 1e12  # of any number in a decision


class DecisionLines:
    """The lines of one decision document. What is not a column, nor `derived` from them, is refused by name."""

    def __init__(
        self,
        document: object,
        key: str,
        columns: Sequence[Column],
        derived: Collection[str] = (),
        beside: Collection[str] = (),
    ) -> None:
        self.key = key
        self.issues: list[Issue] = []
        self.document: Mapping[str, Any] = document if isinstance(document, Mapping) else {}
        known = {column.key for column in columns} | set(derived)
        for name in self.document:
            if name != key and name not in beside:
                self._issue("extra_forbidden", "unknown field", str(name))
        given = self.document.get(key)
        if not isinstance(given, list):
            self._issue("missing", "must be an array of the decision's lines", key)
        self.lines: list[tuple[int, Mapping[str, Any]]] = []
        for row, line in enumerate(given if isinstance(given, list) else []):
            if not isinstance(line, Mapping):
                self.refuse("type", "must be an object", row)
                continue
            for name in line:
                if name not in known:
                    self.refuse("extra_forbidden", "unknown field", row, str(name))
            self.lines.append((row, line))
        self.settle()

    def number(self, row: int, line: Mapping[str, Any], field: str, default: float | None = None) -> float:
        """A number of a line; `default` where it is left out or null, an issue without one."""
        value = line.get(field)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MOST:
            self.refuse("number", f"must be a finite number of at most {MOST:g}", row, field)
            return 0.0
        return float(value)

    def word(self, row: int, line: Mapping[str, Any], field: str, known: Collection[str], what: str) -> str | None:
        """An id of a line that must be known; None and an issue otherwise."""
        value = line.get(field)
        if isinstance(value, str) and value in known:
            return value
        self.refuse("unknown", f"must be the id of {what}", row, field)
        return None

    def refuse(self, code: str, detail: str, row: int, *field: str) -> None:
        """Add an issue at a line, or a field of it."""
        self._issue(code, detail, self.key, row, *field)

    def refuse_moved(self, repairs: Collection[tuple[Repair, int, str]]) -> None:
        """Add an issue for everything the rules would move: the repair, its line and its field."""
        for repair, row, field in repairs:
            detail = f"{repair.proposed:,.8g} cannot be done: {repair.rule} (nearest: {repair.feasible:,.8g})"
            self.refuse("infeasible", detail, row, field)

    def settle(self) -> None:
        """Raise `InvalidInput` if there are issues."""
        if self.issues:
            raise InvalidInput(self.issues)

    def _issue(self, code: str, detail: str, *place: str | int) -> None:
        self.issues.append(Issue(code, "error", pointer(*place), detail))
