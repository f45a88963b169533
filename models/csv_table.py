"""CSV files as planners have them, read strictly: every refusal names the file, the line, the column and the rule.

Taken: UTF-8 (with or without a byte-order mark) and UTF-16 with one; comma, semicolon or tabulator between cells;
quotes; `sep=` lines; header names in any case; decimal points, or decimal commas where the comma does not separate
cells. Nothing in a cell is ever evaluated: a formula is a cell that is not a number.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from models.core import InvalidInput, Issue, pointer

MAX_BYTES = 64 * 2**20
MAX_ROWS = 2_000_000
MAX_COLUMNS = 4_100
MAX_CELL = 200  # characters
MAX_ISSUES = 20  # named before reading stops

Decimal = Literal[".", ","]
_NUMBER = {
    ".": re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII),
    ",": re.compile(r"[+-]?(\d+,?\d*|,\d+)([eE][+-]?\d{1,2})?", re.ASCII),
}
_WHOLE = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_DAY = {
    "ymd": re.compile(r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?:[T ]00:00(?::00(?:\.0+)?)?)?"),
    "dmy": re.compile(r"(?P<d>\d{1,2})[./-](?P<m>\d{1,2})[./-](?P<y>\d{4})"),
    "mdy": re.compile(r"(?P<m>\d{1,2})[./-](?P<d>\d{1,2})[./-](?P<y>\d{4})"),
}
DATE_ORDERS = tuple(_DAY)


@dataclass
class Refusals:
    """Collects what is wrong with a file; `InvalidInput` when there is too much of it, or at the end."""

    part: str
    issues: list[Issue] = field(default_factory=list)

    def add(self, code: str, detail: str, line: int | None = None, column: str | None = None) -> None:
        """One rule broken, at a line and a column if it has them."""
        place = [f"line {line}"] if line is not None else []
        place += [f"column {column}"] if column is not None else []
        where = ", ".join(place) + ": " if place else ""
        self.issues.append(Issue(code, "error", pointer(self.part), where + detail))
        if len(self.issues) >= MAX_ISSUES:
            raise InvalidInput(self.issues)

    def check(self) -> None:
        """`InvalidInput` if anything was wrong."""
        if self.issues:
            raise InvalidInput(self.issues)


@dataclass(frozen=True)
class Row:
    """One line of a table: cells by the header's name."""

    table: Table
    line: int
    cells: Mapping[str, str]

    def text(self, column: str) -> str | None:
        """What stands in a cell; None and a refusal if it is empty."""
        value = self.cells[column]
        if not value:
            self.refuse("empty", "is empty", column)
            return None
        return value

    def number(self, column: str, least: float = 0.0, most: float = 1e9) -> float | None:
        """A cell's finite number; None and a refusal if it is none, or out of bounds."""
        value = self.cells[column]
        mark = self.table.decimal
        if not _NUMBER[mark].fullmatch(value):
            self.refuse("number", f"is not a number (decimal mark {mark!r}, no thousands separators)", column)
            return None
        number = float(value.replace(",", "."))
        if not least <= number <= most:
            self.refuse("number", f"must be between {least:g} and {most:g}", column)
            return None
        return number

    def whole(self, column: str, least: int = 0) -> int | None:
        """A cell's whole number; None and a refusal if it is none."""
        value = self.cells[column]
        if not _WHOLE.fullmatch(value) or int(value) < least:
            self.refuse("whole", f"must be a whole number of at least {least}", column)
            return None
        return int(value)

    def day(self, column: str, order: str) -> date | None:
        """A cell's date, its parts in this order; None and a refusal if it is none."""
        found = _DAY[order].fullmatch(self.cells[column])
        try:
            if found:
                return date(int(found["y"]), int(found["m"]), int(found["d"]))
        except ValueError:
            self.refuse("date", "is not a day of the calendar", column)
            return None
        shape = {"ymd": "YYYY-MM-DD", "dmy": "day, month, year", "mdy": "month, day, year"}[order]
        self.refuse("date", f"is not a date ({shape}); the option dates sets the order: ymd, dmy or mdy", column)
        return None

    def refuse(self, code: str, detail: str, column: str | None = None) -> None:
        """A rule this line breaks."""
        self.table.refusals.add(code, detail, self.line, column)


@dataclass(frozen=True)
class Table:
    """A file's rows below its header."""

    columns: tuple[str, ...]  # names as written, without spaces around them
    rows: tuple[tuple[int, tuple[str, ...]], ...]  # line and cells
    decimal: Decimal
    refusals: Refusals

    def __iter__(self) -> Iterator[Row]:
        for line, cells in self.rows:
            yield Row(self, line, dict(zip(self.columns, cells, strict=True)))

    def find(self, name: str) -> str | None:
        """The column of that name in any case, as written; None if there is none."""
        return next((column for column in self.columns if column.casefold() == name.casefold()), None)

    def need(self, name: str) -> str:
        """The column of that name; `InvalidInput` if there is none."""
        column = self.find(name)
        if column is None:
            self.refusals.add("column", f"has no column {name}", 1)
            raise InvalidInput(self.refusals.issues)
        return column

    def only(self, allowed: Iterable[str]) -> None:
        """`InvalidInput` if there are columns of other names."""
        names = list(allowed)
        known = {name.casefold() for name in names}
        for column in self.columns:
            if column.casefold() not in known:
                self.refusals.add("column", f"column {_shown(column)} is unknown; known: {', '.join(names)}", 1)
        self.refusals.check()


def read_table(part: str, data: bytes, decimal: Decimal | None = None) -> Table:
    """The table in a CSV file. `InvalidInput` names the part, the line, the column and the rule.

    `decimal` is the decimal mark; None takes the comma if it does not separate cells and some number has one.
    """
    refusals = Refusals(part)
    text = _decoded(data, refusals)
    delimiter, text, skipped = _delimiter(text)
    if decimal == "," and delimiter == ",":
        refusals.add("decimal", "the comma cannot be both decimal mark and separator; separate cells by semicolons")
        refusals.check()
    lines = _lines(text, delimiter, skipped, refusals)
    if not lines:
        refusals.add("empty", "is empty: needs a header and rows below it")
        refusals.check()
    columns = _header(lines[0], refusals)
    rows = _fitting(lines[1:], columns, refusals)
    if not rows:
        refusals.add("empty", "has no rows below the header")
    refusals.check()
    return Table(columns, rows, decimal or _decimal(rows, delimiter, refusals), refusals)


def _decoded(data: bytes, refusals: Refusals) -> str:
    if len(data) > MAX_BYTES:
        refusals.add("size", f"is larger than {MAX_BYTES // 2**20} MiB")
        refusals.check()
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        refusals.add("encoding", "is not UTF-8 text; save it as CSV UTF-8", data[: error.start].count(b"\n") + 1)
        refusals.check()
        raise
    if "\0" in text:
        refusals.add("encoding", "holds a NUL character", text[: text.index("\0")].count("\n") + 1)
        refusals.check()
    return text


def _delimiter(text: str) -> tuple[str, str, int]:
    """What separates cells, the text after a `sep=` line, and how many lines that was."""
    first, _, rest = text.partition("\n")
    named = re.fullmatch(r'"?sep=(.)"?\r?', first.rstrip("\r"), re.IGNORECASE)
    if named and named[1] in ",;\t":
        return named[1], rest, 1
    header = next((line for line in text.splitlines() if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", header)
    return max(",;\t", key=bare.count), text, 0


def _lines(text: str, delimiter: str, skipped: int, refusals: Refusals) -> list[tuple[int, list[str]]]:
    """Line number and cells of every line that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    found: list[tuple[int, list[str]]] = []
    begins = 1 + skipped
    while True:
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return found
        except csv.Error as error:
            refusals.add("csv", f"the quotes do not close, or a cell is too long ({error})", begins)
            refusals.check()
            raise
        if any(cells):
            found.append((begins, cells))
        if len(found) > MAX_ROWS:
            refusals.add("size", f"has more than {MAX_ROWS:,} rows", begins)
            refusals.check()
        begins = reader.line_num + 1 + skipped


def _header(header: tuple[int, list[str]], refusals: Refusals) -> tuple[str, ...]:
    line, cells = header
    while cells and not cells[-1]:
        cells = cells[:-1]
    if len(cells) > MAX_COLUMNS:
        refusals.add("size", f"has more than {MAX_COLUMNS:,} columns", line)
    seen: set[str] = set()
    for place, name in enumerate(cells, start=1):
        if not name:
            refusals.add("column", f"column {place} has no name", line)
        elif name.casefold() in seen:
            refusals.add("column", f"column {_shown(name)} is there twice", line)
        seen.add(name.casefold())
    refusals.check()
    return tuple(cells)


def _fitting(
    lines: list[tuple[int, list[str]]], columns: tuple[str, ...], refusals: Refusals
) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """Rows with one cell per column; empty cells beyond the header are spreadsheets' doing and fall away."""
    rows = []
    for line, cells in lines:
        while len(cells) > len(columns) and not cells[-1]:
            cells = cells[:-1]
        if len(cells) != len(columns):
            refusals.add("length", f"has {len(cells)} cells, the header has {len(columns)}", line)
            continue
        for column, cell in zip(columns, cells, strict=True):
            if len(cell) > MAX_CELL:
                refusals.add("size", f"is longer than {MAX_CELL} characters", line, _shown(column))
        rows.append((line, tuple(cells)))
    return tuple(rows)


def _decimal(rows: tuple[tuple[int, tuple[str, ...]], ...], delimiter: str, refusals: Refusals) -> Decimal:
    """The file's decimal mark; refused if its numbers have both."""
    if delimiter == ",":
        return "."
    point = comma = 0
    for line, cells in rows:
        for cell in cells:
            if "," in cell and _NUMBER[","].fullmatch(cell):
                comma = comma or line
            elif "." in cell and _NUMBER["."].fullmatch(cell):
                point = point or line
    if point and comma:
        detail = (
            f"numbers have a decimal point (line {point}) and a decimal comma (line {comma}); set the option decimal"
        )
        refusals.add("decimal", detail)
        refusals.check()
    return "," if comma else "."


def _shown(name: str) -> str:
    """A name of the file's, short and without control characters."""
    return repr(name if len(name) <= 64 else name[:61] + "…")
