"""A state from a planner's CSV files: stock by item, setups by machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from models.core import InvalidInput, Issue, pointer
from models.csv_table import Decimal, Table, read_table
from models.lot_sizing.planner.state_reader import Places

STATE_FILES = {
    "inventory": "CSV: item, inventory. Stock [units] of every item; negative is backlog.",
    "setups?": "CSV: machine, item[, run]. What every machine is set up for; an empty cell, or no row: nothing.",
}
STATE_OPTIONS = {
    "period": "Current period, a whole number. Default: 0.",
    "decimal": "Decimal mark: point or comma. Default: comma where it does not separate cells and numbers have one.",
}
_MARKS: dict[str, Decimal | None] = {"auto": None, "point": ".", "comma": ","}


def read_state_files(places: Places, files: Mapping[str, bytes], options: Mapping[str, str]) -> dict[str, Any]:
    """The state document that the files make together. `InvalidInput` names the file, line, column and rule."""
    if "inventory" not in files:
        raise InvalidInput([Issue("missing", "error", pointer("inventory"), "is missing: the stock of every item")])
    decimal = _option(options, "decimal", "auto", "auto|point|comma")
    period = _option(options, "period", "0", r"\d{1,9}")
    document: dict[str, Any] = {
        "period": int(period),
        "inventory": _inventory(read_table("inventory", files["inventory"], _MARKS[decimal]), places),
        "setup": {machine.id: None for machine in places.plant.machines},
    }
    if "setups" in files:
        _add_setups(document, read_table("setups", files["setups"], _MARKS[decimal]), places)
    return document


def _option(options: Mapping[str, str], name: str, default: str, allowed: str) -> str:
    word = options.get(name, default)
    if not re.fullmatch(allowed, word, re.ASCII):
        what = "a whole number" if name == "period" else f"one of {allowed.replace('|', ', ')}"
        raise InvalidInput([Issue("option", "error", pointer(name), f"must be {what}")])
    return word


def _inventory(table: Table, places: Places) -> dict[str, float]:
    item_column, stock_column = table.need("item"), table.need("inventory")
    table.only(("item", "inventory"))
    found: dict[str, float] = {}
    for row in table:
        item = row.cells[item_column]
        if item not in places.plant.item_place:
            row.refuse("unknown_item", "is no item of the plant", item_column)
        elif item in found:
            row.refuse("duplicate", "the item is there twice", item_column)
        else:
            stock = row.number(stock_column, least=-1e9 if item in places.owing else 0.0)
            found[item] = 0.0 if stock is None else stock
    for item in places.plant.item_place:
        if item not in found and not table.refusals.issues:
            table.refusals.add("missing", f"has no row for the item {item}")
    table.refusals.check()
    return found


def _add_setups(document: dict[str, Any], table: Table, places: Places) -> None:
    machine_column, item_column, run_column = table.need("machine"), table.need("item"), table.find("run")
    table.only(("machine", "item", "run"))
    seen: set[str] = set()
    for row in table:
        machine, item = row.cells[machine_column], row.cells[item_column]
        if machine not in places.able or machine in seen:
            known = machine in places.able
            row.refuse(
                "machine", "the machine is there twice" if known else "is no machine of the plant", machine_column
            )
            continue
        seen.add(machine)
        if item and item not in places.able[machine]:
            row.refuse("capability", f"{machine} cannot make it", item_column)
        document["setup"][machine] = item or None
        if run_column is not None and row.cells[run_column]:
            run = row.whole(run_column)
            if run:
                document.setdefault("run", {})[machine] = run
    table.refusals.check()
