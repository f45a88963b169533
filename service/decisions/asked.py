"""Reading a recommend request, by hand: a batch of a million numbers must not pass through a validator one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from models.core import pointer
from service.errors import ApiError, FieldError, field_error

MOST_DRAWN = 20  # states of one request for which figures are drawn

Form = Literal["today", "one", "many", "columns"]


@dataclass(frozen=True)
class Asked:
    """What is asked of a policy: the instance's own state, one state, many, or many as columns."""

    form: Form
    states: Any  # None, a document, a list of documents, or a document of arrays
    explain: bool
    figures: bool = False

    @property
    def prefix(self) -> str:
        """Where in the body the states are."""
        return "/state" if self.form in ("today", "one") else "/states"


def read(document: object, max_states: int) -> Asked:
    """What a body asks; ApiError 422 names the field at fault."""
    if not isinstance(document, dict):
        raise field_error("", "A JSON object is needed.")
    _refuse_unknown(document, "", ("state", "states", "options"))
    explain, figures = _options(document.get("options", {}))
    if "state" in document and "states" in document:
        raise field_error("/states", "Give `state` or `states`, not both.")
    if "states" in document:
        return _many(document["states"], explain, figures, max_states)
    if "state" in document:
        if not isinstance(document["state"], dict):
            raise field_error("/state", "A state is a JSON object.")
        return Asked("one", document["state"], explain, figures)
    return Asked("today", None, explain, figures)


def _refuse_unknown(document: dict[str, Any], prefix: str, known: tuple[str, ...]) -> None:
    unknown = [FieldError(prefix + pointer(key), "is not a known field") for key in document if key not in known]
    if unknown:
        raise ApiError("invalid-input", f"{unknown[0].pointer}: is not a known field.", unknown)


def _options(options: object) -> tuple[bool, bool]:
    """Whether to explain, and whether to draw."""
    if not isinstance(options, dict):
        raise field_error("/options", "A JSON object is needed.")
    _refuse_unknown(options, "/options", ("explain", "figures"))
    return _flag(options, "explain"), _flag(options, "figures")


def _flag(options: dict[str, Any], name: str) -> bool:
    value = options.get(name, False)
    if not isinstance(value, bool):
        raise field_error(f"/options/{name}", "true or false is needed.")
    return value


def _many(states: object, explain: bool, figures: bool, max_states: int) -> Asked:
    if isinstance(states, list):
        if not states:
            raise field_error("/states", "At least one state is needed.")
        _check_number(len(states), max_states)
        if figures and len(states) > MOST_DRAWN:
            raise field_error("/options/figures", f"Figures are drawn for {MOST_DRAWN} states at most.")
        return Asked("many", states, explain, figures)
    if isinstance(states, dict):
        if explain:
            raise field_error("/options/explain", "Explanations are given for `state` and lists of `states` only.")
        if figures:
            raise field_error("/options/figures", "Figures are drawn for `state` and lists of `states` only.")
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
