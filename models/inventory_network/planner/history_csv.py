"""A demand history in CSV: one column per store, or one row per period and store; with prices or without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from models.csv_table import Row, Table

MAX_PERIODS = 100_000
PRICE = "price:"  # prefix of a price column in a wide table

Missing = Literal["error", "zero"]
Duplicates = Literal["error", "sum"]


@dataclass(frozen=True)
class HistoryOptions:
    """How a history is read."""

    missing: Missing = "error"  # a period or a store's cell that is not there: refused, or no demand
    duplicates: Duplicates = "error"  # several rows of one period and store: refused, or added up
    dates: str = "ymd"  # order of a date's parts
    period_days: int = 1  # [days]


@dataclass(frozen=True)
class History:
    """Demand period by period, oldest first."""

    demand: list[list[float]]  # (period, store) [units/period]
    prices: list[list[float]] | None  # (period, store) [money/unit]
    first: date | None  # first day of the first period, if the file has dates
    first_period: int = 0  # number of the first period, if it has those


@dataclass
class _Cell:
    """What a file says of one period and store."""

    quantity: float
    price: float | None
    line: int

    def add(self, other: _Cell) -> None:
        """Another sale of the period, its price weighed by quantity."""
        total = self.quantity + other.quantity
        if self.price is not None and other.price is not None and total > 0:
            self.price = (self.price * self.quantity + other.price * other.quantity) / total
        self.quantity = total


def read_history(table: Table, stores: list[str], options: HistoryOptions, what: str = "quantity") -> History:
    """The history in a table, columns in the order of `stores`. `InvalidInput` names line, column and rule.

    Wide: `date` or `period`, then a column per store, and `price:<store>` columns or none. Long: `date` or `period`,
    `node`, the quantity, and `price` or not. `what` is the long table's column of figures.
    """
    time = table.find("date") or table.find("period")
    if time is None:
        table.refusals.add("column", "has no column date or period", 1)
        table.refusals.check()
        raise AssertionError
    clock = _Clock(table, time, options)
    cells = (
        _long(table, time, stores, options, clock, what)
        if table.find("node")
        else _wide(table, time, stores, options, clock)
    )
    table.refusals.check()
    return _filled(table, stores, options, clock, cells)


class _Clock:
    """Turns the file's dates or period numbers into consecutive whole numbers."""

    def __init__(self, table: Table, column: str, options: HistoryOptions) -> None:
        self.dated = column.casefold() == "date"
        self.column = column
        self.options = options
        self.origin: date | None = None  # first day seen, from which periods are counted

    def read(self, row: Row) -> int | None:
        """Number of a row's period, counted from the first row's; None if it has none."""
        if not self.dated:
            return row.whole(self.column)
        day = row.day(self.column, self.options.dates)
        if day is None:
            return None
        self.origin = self.origin or day
        gap = (day - self.origin).days
        if gap % self.options.period_days:
            detail = f"is not a whole number of periods ({self.options.period_days} days) from the first row's date"
            row.refuse("date", detail, self.column)
            return None
        return gap // self.options.period_days

    def day(self, period: int) -> date | None:
        """First day of a period."""
        return self.origin + timedelta(days=period * self.options.period_days) if self.origin else None

    def name(self, period: int) -> str:
        """A period in the file's words."""
        return str(self.day(period)) if self.dated else f"period {period}"


_Cells = dict[tuple[int, str], _Cell]


def _long(table: Table, time: str, stores: list[str], options: HistoryOptions, clock: _Clock, what: str) -> _Cells:
    node, quantity, price = table.need("node"), table.need(what), table.find("price") if what != "price" else None
    table.only([time, "node", what, *(["price"] if price else [])])
    names = {store.casefold(): store for store in stores}
    cells: _Cells = {}
    for row in table:
        period, store = clock.read(row), names.get(row.cells[node].casefold())
        amount = row.number(quantity)
        paid = row.number(price, least=1e-9) if price else None
        if store is None:
            row.refuse("unknown_node", "is no store of the network", node)
        if period is None or store is None or amount is None:
            continue
        cell = _Cell(amount, paid, row.line)
        if (period, store) not in cells:
            cells[period, store] = cell
        elif options.duplicates == "sum":
            cells[period, store].add(cell)
        else:
            detail = f"repeats period and store of line {cells[period, store].line}; duplicates=sum adds them up"
            row.refuse("duplicate", detail)
    return cells


def _wide(table: Table, time: str, stores: list[str], options: HistoryOptions, clock: _Clock) -> _Cells:
    quantities = {store: table.find(store) for store in stores}
    prices = {store: table.find(PRICE + store) for store in stores}
    priced = [column for column in prices.values() if column]
    table.only([time, *(column for column in quantities.values() if column), *priced, *stores])
    for store in stores:
        if quantities[store] is None:
            table.refusals.add("column", f"has no column for the store {store}", 1)
        if priced and prices[store] is None:
            table.refusals.add("column", f"has prices, but no column {PRICE}{store}", 1)
    table.refusals.check()
    cells: _Cells = {}
    seen: dict[int, int] = {}
    for row in table:
        period = clock.read(row)
        if period is None:
            continue
        if period in seen:
            row.refuse("duplicate", f"repeats the period of line {seen[period]}", time)
        seen[period] = row.line
        for store in stores:
            column, price = quantities[store], prices[store]
            assert column is not None
            paid = row.number(price, least=1e-9) if price and row.cells[price] else None
            if row.cells[column]:
                amount = row.number(column)
            else:  # missing; whether that is allowed is the option's to say
                amount = 0.0 if options.missing == "zero" and paid is not None else None
            if amount is not None:
                cells[period, store] = _Cell(amount, paid, row.line)
    return cells


def _filled(table: Table, stores: list[str], options: HistoryOptions, clock: _Clock, cells: _Cells) -> History:
    """Every period from the first to the last, what is missing refused or set to no demand."""
    periods = [period for period, _ in cells]
    if not cells:
        table.refusals.add("empty", "has no figures")
        table.refusals.check()
    first, last = min(periods), max(periods)
    if last - first >= MAX_PERIODS:
        table.refusals.add("size", f"spans more than {MAX_PERIODS:,} periods, from {clock.name(first)} on")
        table.refusals.check()
    priced = any(cell.price is not None for cell in cells.values())
    demand: list[list[float]] = []
    prices: list[list[float]] = []
    known: dict[str, float] = {}
    for period in range(first, last + 1):
        found = {store: cells.get((period, store)) for store in stores}
        _refuse_missing(table, options, clock.name(period), found, priced)
        for store, cell in found.items():
            if cell is not None and cell.price is not None:
                known[store] = cell.price
        demand.append([cell.quantity if cell else 0.0 for cell in found.values()])
        prices.append([known.get(store, 0.0) for store in stores])
    if priced:
        _refuse_unpriced(table, clock, stores, prices, first)
    table.refusals.check()
    return History(demand, prices if priced else None, clock.day(first) if clock.dated else None, first)


def _refuse_missing(
    table: Table, options: HistoryOptions, name: str, found: Mapping[str, _Cell | None], priced: bool
) -> None:
    absent = [store for store, cell in found.items() if cell is None]
    if absent and options.missing == "error":
        who = "any store" if len(absent) == len(found) else ", ".join(absent[:5])
        table.refusals.add("missing", f"has no figure for {name} of {who}; missing=zero counts that as no demand")
    for store, cell in found.items():
        if priced and cell is not None and cell.price is None:
            table.refusals.add("missing", f"has no price for {name} of {store}", cell.line)


def _refuse_unpriced(table: Table, clock: _Clock, stores: list[str], prices: list[list[float]], first: int) -> None:
    """Where demand is missing the last known price stands; before the first known one there is none."""
    for k, store in enumerate(stores):
        if prices[0][k] == 0.0:
            table.refusals.add("missing", f"has no price of {store} for {clock.name(first)}, the first period")
