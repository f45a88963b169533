"""Reading a recommend request, by hand: a batch of a million numbers must not pass through a validator one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from models.core import pointer
from service.errors import ApiError, FieldError, field_error

Form = Literal["today", "one", "many", "columns"]


@dataclass(frozen=True)
class Asked:
    """What is asked of a policy: the instance's own state, one state, many, or many as columns."""

    form: Form
    states: Any  # None, a document, a list of documents, or a document of arrays
    explain: bool

    @property
    def prefix(self) -> str:
        """Where in the body the states are."""
        return "/state" if self.form in ("today", "one") else "/states"


def read(document: object, max_states: int) -> Asked:
    """What a body asks; ApiError 422 names the field at fault."""
    if not isinstance(document, dict):
        raise field_error("", "A JSON object is needed.")
    _refuse_unknown(document, "", ("state", "states", "options"))
    explain = _explain(document.get("options", {}))
    if "state" in document and "states" in document:
        raise field_error("/states", "Give `state` or `states`, not both.")
    if "states" in document:
        return _many(document["states"], explain, max_states)
    if "state" in document:
        if not isinstance(document["state"], dict):
            raise field_error("/state", "A state is a JSON object.")
        return Asked("one", document["state"], explain)
    return Asked("today", None, explain)


def _refuse_unknown(document: dict[str, Any], prefix: str, known: tuple[str, ...]) -> None:
    unknown = [FieldError(prefix + pointer(key), "is not a known field") for key in document if key not in known]
    if unknown:
        raise ApiError("invalid-input", f"{unknown[0].pointer}: is not a known field.", unknown)


def _explain(options: object) -> bool:
    if not isinstance(options, dict):
        raise field_error("/options", "A JSON object is needed.")
    _refuse_unknown(options, "/options", ("explain",))
    explain = options.get("explain", False)
    if not isinstance(explain, bool):
        raise field_error("/options/explain", "true or false is needed.")
    return explain


def _many(states: object, explain: bool, max_states: int) -> Asked:
    if isinstance(states, list):
        if not states:
            raise field_error("/states", "At least one state is needed.")
        _check_number(len(states), max_states)
        return Asked("many", states, explain)
    if isinstance(states, dict):
        if explain:
            raise field_error("/options/explain", "Explanations are given for `state` and lists of `states` only.")
        _check_number(_rows(states), max_states)
        return Asked("columns", states, False)
    raise field_error("/states", "A list of states, or an object of arrays (one entry per state), is needed.")


def _rows(columns: dict[str, Any]) -> int:
    """The longest array of a columnar document, at its first or second level."""
    arrays = [
        inner for value in columns.values() for inner in (value.values() if isinstance(value, dict) else (value,))
    ]
    return max((len(array) for array in arrays if isinstance(array, list)), default=0)


def _check_number(states: int, max_states: int) -> None:
    if states > max_states:
        raise field_error("/states", f"{states} states are more than the {max_states} one request may hold.")
