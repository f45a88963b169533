"""Recommendations as JSON, as an aligned table for a terminal, and as a spreadsheet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from models.view import Column, View
from service import spreadsheet
from service.spreadsheet import CSV, XLSX, Sheet, plain

FORMS = ("application/json", "text/plain", CSV, XLSX)
KEPT_FORMS = ("application/json", CSV, XLSX)  # of a recommendation that is looked up again
COLUMN_FORMS = ("application/json",)  # arrays are for programs; a list of states makes a table

_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode


def as_json(answer: Mapping[str, Any]) -> bytes:
    """Compact JSON; ValueError if a number is not finite."""
    return _encode(answer).encode()


def as_csv(answer: Mapping[str, Any], view: View) -> bytes:
    """A line per decision line; with many states, the first column is the state's number from 0."""
    return spreadsheet.as_csv(_sheet(answer, view))


def as_workbook(answer: Mapping[str, Any], view: View) -> bytes:
    """The same table in a workbook, with what there is to say about it and where it comes from beside it."""
    policy = answer["policy"]
    about = [
        ["recommendation", answer["recommendation_id"]],
        ["policy", f"{policy['name']}:{policy['version']}"],
        ["policy id", policy["id"]],
        ["digest", policy["digest"]],
    ]
    sheets = [_sheet(answer, view), Sheet("remarks", ["remark"], [[line] for line in _remarks(answer)])]
    return spreadsheet.as_workbook([*sheets, Sheet("about", ["what", "value"], about)])


def _sheet(answer: Mapping[str, Any], view: View) -> Sheet:
    columns, rows = _table(answer, view)
    return Sheet("decision", _heads(columns), [[row.get(column.key) for column in columns] for row in rows])


def _heads(columns: Sequence[Column]) -> list[str]:
    return [f"{column.title} [{column.unit}]" if column.unit else column.title for column in columns]


def as_text(answer: Mapping[str, Any], view: View) -> bytes:
    """An aligned table, then what there is to say about it."""
    columns, rows = _table(answer, view)
    heads = _heads(columns)
    cells = [[_rounded(row.get(column.key)) for column in columns] for row in rows]
    widths = [max(map(len, line)) for line in zip(heads, *cells, strict=True)]
    numbers = [any(isinstance(row.get(column.key), int | float) for row in rows) for column in columns]
    lines = [_aligned(heads, widths, numbers), "  ".join("-" * width for width in widths)]
    lines += [_aligned(line, widths, numbers) for line in cells]
    return ("\n".join([*lines, *_remarks(answer)]) + "\n").encode()


def _table(answer: Mapping[str, Any], view: View) -> tuple[Sequence[Column], list[Mapping[str, Any]]]:
    if "decision" in answer:
        return view.columns, answer["decision"][view.lines_key]
    number = Column("_state", "state")
    rows: list[Mapping[str, Any]] = [
        {"_state": index, **line}
        for index, item in enumerate(answer["recommendations"])
        for line in item["decision"][view.lines_key]
    ]
    return (number, *view.columns), rows


def _remarks(answer: Mapping[str, Any]) -> Iterator[str]:
    items = answer.get("recommendations", [answer])
    for index, item in enumerate(items):
        prefix = f"state {index}: " if len(items) > 1 else ""
        yield from (f"{prefix}warning: {warning}" for warning in item["warnings"])
        for repair in item["repairs"]:
            moved = f"{_rounded(repair['proposed'])} to {_rounded(repair['feasible'])}"
            yield f"{prefix}moved {repair['field']} from {moved}: {repair['rule']}"
        yield from (prefix + sentence for sentence in item["why"])


def _aligned(cells: Sequence[str], widths: Sequence[int], numbers: Sequence[bool]) -> str:
    padded = [
        cell.rjust(width) if number else cell.ljust(width)
        for cell, width, number in zip(cells, widths, numbers, strict=True)
    ]
    return "  ".join(padded).rstrip()


def _rounded(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else plain(value)
