"""Tables as files for spreadsheets: CSV and Excel workbooks. Text stays text: nothing in a cell is a formula.

A CSV cell of text that a spreadsheet would take for a formula begins with an apostrophe; a workbook says of each cell
what it is, so there text needs no such mark.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CSV = "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
MAX_ROWS = 1_048_575  # below the header, in one sheet of a workbook
MAX_CELL = 32_767  # characters
_MAX_TITLE = 31


@dataclass(frozen=True)
class Sheet:
    """A table: its title, headings, and rows of numbers, words, truths and nothing."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Any]] = field(default_factory=list)

    @classmethod
    def of_records(cls, title: str, records: Sequence[Mapping[str, Any]]) -> Sheet:
        """A table of records; its columns are all their keys, in the order met."""
        heads = list(dict.fromkeys(key for record in records for key in record))
        return cls(title, heads, [[record.get(head) for head in heads] for record in records])


def plain(value: object) -> str:
    """A value as text: nothing as an empty cell, truths and lists as JSON."""
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, bool | dict | list) else str(value)


def as_csv(sheet: Sheet) -> bytes:
    """One table as CSV (RFC 4180)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([_harmless(head) for head in sheet.heads])
    writer.writerows([_harmless(value) for value in row] for row in sheet.rows)
    return text.getvalue().encode()


def _harmless(value: object) -> str:
    text = plain(value)
    return "'" + text if isinstance(value, str) and text.startswith(_FORMULA) else text


def as_workbook(sheets: Sequence[Sheet]) -> bytes:
    """Tables as an Excel workbook, one a sheet: headings in bold that stay in sight, columns as wide as they need."""
    from xlsxwriter import Workbook  # few requests want one

    content = io.BytesIO()
    with Workbook(content, {"in_memory": True}) as book:
        bold = book.add_format({"bold": True})
        for sheet in sheets:
            page = book.add_worksheet(sheet.title[:_MAX_TITLE])
            page.freeze_panes(1, 0)
            for column, head in enumerate(sheet.heads):
                page.write_string(0, column, head, bold)
            for line, row in enumerate(sheet.rows[:MAX_ROWS], start=1):
                for column, value in enumerate(row):
                    _write(page, line, column, value)
            page.autofit()
    return content.getvalue()


def _write(page: Any, line: int, column: int, value: object) -> None:
    if isinstance(value, bool):
        page.write_boolean(line, column, value)
    elif isinstance(value, int | float) and math.isfinite(value):
        page.write_number(line, column, value)
    elif value is not None:
        page.write_string(line, column, plain(value)[:MAX_CELL])
