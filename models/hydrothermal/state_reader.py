"""State documents of a hydrothermal system, read strictly: one by one, in columns, or from CSV files.

Everything a planner gives is in m³/s and MW; what comes out is hm³ and MWh per stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.core import InvalidInput, Issue, pointer
from models.csv_table import Row, Table, read_table
from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.layout import Floats, Layout

MOST = 1e9
STATE_FIELDS = ("stage", "storage_hm3", "inflow_m3s", "inflow_history_m3s", "generation_mw")
STATE_FILES = {
    "reservoirs": "CSV: hydro, storage_hm3, inflow_m3s; a row for every hydro.",
    "history?": "CSV: a column per hydro, past inflow [m³/s], oldest row first.",
    "generation?": "CSV: thermal, generation_mw; a row for every thermal with a ramp limit.",
}
STATE_OPTIONS = {"stage": "Stage to be decided, counted from 0 (default)."}


@dataclass
class StateArrays:
    """State of several rows, to be filled."""

    storage: Floats  # (row, hydro) [hm³]
    inflow: Floats  # (row, hydro) [m³/s]
    past: Floats  # (row, lag, hydro) [m³/s], nearest first; not a number where it was not given
    running: Floats  # (row, ramped) [MW]
    stage: np.ndarray[Any, np.dtype[np.int64]]  # (row,)


@dataclass
class StateReader:
    """Reads documents for one system; `issues` collects what is wrong, with pointers."""

    system: HydrothermalSystem
    layout: Layout
    lags: int
    issues: list[Issue] = field(default_factory=list)

    def arrays(self, rows: int) -> StateArrays:
        """Arrays for so many rows."""
        plants = len(self.layout.hydros)
        return StateArrays(
            np.zeros((rows, plants)),
            np.zeros((rows, plants)),
            np.full((rows, self.lags, plants), np.nan),
            np.zeros((rows, len(self.layout.ramped))),
            np.zeros(rows, dtype=np.int64),
        )

    @property
    def ramped(self) -> list[str]:
        """Ids of the thermals whose last generation belongs to the state."""
        return [self.system.thermals[g].id for g in self.layout.ramped]

    def read(self, document: object, into: StateArrays, rows: Any, where: tuple[str | int, ...], count: int) -> None:
        """Fill `rows` of the arrays: one row (`count` 0), or a document of columns of so many rows."""
        if not isinstance(document, Mapping):
            self._issue("type", "must be an object", *where)
            return
        for name in document:
            if name not in STATE_FIELDS:
                self._issue("extra_forbidden", "unknown field", *where, name)
        plants = self.layout.hydros
        self._by_id(document, "storage_hm3", plants, into.storage, rows, where, count)
        self._by_id(document, "inflow_m3s", plants, into.inflow, rows, where, count)
        if self.ramped or "generation_mw" in document:
            self._by_id(document, "generation_mw", self.ramped, into.running, rows, where, count)
        self._within(into, rows, where)
        self._history(document.get("inflow_history_m3s", {}), into, rows, where, count)
        self._stage(document.get("stage", 0), into, rows, where, count)

    def count_rows(self, columns: Mapping[str, object]) -> int:
        """Rows of a document of columns; an issue if no storage is an array."""
        storage = columns.get("storage_hm3")
        lengths = [len(v) for v in storage.values() if isinstance(v, list)] if isinstance(storage, Mapping) else []
        if not lengths or not lengths[0]:
            self._issue("columns", "needs an array of storages for every hydro", "storage_hm3")
            return 0
        return lengths[0]

    def _by_id(
        self,
        document: Mapping[str, object],
        name: str,
        ids: list[str],
        into: Floats,
        rows: Any,
        where: tuple[str | int, ...],
        count: int,
    ) -> None:
        given = document.get(name)
        if not isinstance(given, Mapping):
            self._issue("missing", "must be an object with a value by id", *where, name)
            return
        for identifier in given:
            if identifier not in ids:
                self._issue("unknown_id", f"no value for {identifier!r} is asked for", *where, name, str(identifier))
        for k, identifier in enumerate(ids):
            if identifier not in given:
                self._issue("missing", f"the value of {identifier!r} is missing", *where, name, identifier)
                continue
            value = self._numbers(given[identifier], count, *where, name, identifier)
            if value is not None:
                into[rows, k] = value

    def _within(self, into: StateArrays, rows: Any, where: tuple[str | int, ...]) -> None:
        lay = self.layout
        for k, hydro in enumerate(lay.hydros):
            own, low, high = into.storage[rows, k], lay.storage_min[k], lay.storage_max[k]
            slack = 1e-6 * (1.0 + high)
            if np.any(own < low - slack) or np.any(own > high + slack):
                detail = f"must lie between {low:g} and {high:g}"
                self._issue("storage", detail, *where, "storage_hm3", hydro)
        for place, g in enumerate(lay.ramped):
            thermal = self.system.thermals[g]
            low, high = lay.seasons[0].thermal_min[0, g] / lay.hours[0], lay.seasons[0].thermal_max[0, g] / lay.hours[0]
            own = into.running[rows, place]
            if np.any(own < low - 1e-6) or np.any(own > high + 1e-6):
                self._issue("capacity", f"must lie between {low:g} and {high:g}", *where, "generation_mw", thermal.id)

    def _history(self, given: object, into: StateArrays, rows: Any, where: tuple[str | int, ...], count: int) -> None:
        name = "inflow_history_m3s"
        if not isinstance(given, Mapping):
            self._issue("type", "must be an object of arrays by hydro", *where, name)
            return
        for hydro, values in given.items():
            if hydro not in self.layout.hydros:
                self._issue("unknown_id", "no hydro has this id", *where, name, str(hydro))
                continue
            k = self.layout.hydros.index(hydro)
            own = values if count else [values]
            if not isinstance(own, list) or (count and len(own) != count) or not all(_is_history(v) for v in own):
                detail = "must be an array of inflows, none negative" + (", for every row" if count else "")
                self._issue("type", detail, *where, name, hydro)
                continue
            for row, flows in enumerate(own):
                recent = list(reversed(flows))[: self.lags]
                place = row if count else rows
                into.past[place, : len(recent), k] = recent

    def _stage(self, given: object, into: StateArrays, rows: Any, where: tuple[str | int, ...], count: int) -> None:
        last = self.system.stages - 1
        own = given if isinstance(given, list) and count else [given]
        good = all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= last for v in own)
        if not good or len(own) not in (1, count or 1):
            self._issue("stage", f"must be a whole number from 0 to {last}", *where, "stage")
            return
        into.stage[rows] = np.array(own if len(own) > 1 else own[0], dtype=np.int64)

    def _numbers(self, value: object, count: int, *place: str | int) -> Any:
        own = value if isinstance(value, list) and count else [value]
        if not all(_is_flow(v) for v in own) or (count and len(own) != count):
            kind = f"an array of {count} numbers" if count else "a number"
            self._issue("number", f"must be {kind} of at least 0 and at most {MOST:g}", *place)
            return None
        return own if count else own[0]

    def _issue(self, code: str, detail: str, *place: str | int) -> None:
        self.issues.append(Issue(code, "error", pointer(*place), detail))


def _is_flow(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST


def _is_history(values: object) -> bool:
    return isinstance(values, list) and all(_is_flow(value) for value in values)


def read_state_files(layout: Layout, files: Mapping[str, bytes], options: Mapping[str, str]) -> dict[str, Any]:
    """The state document that CSV files make. `InvalidInput` names option, file, line, column and rule."""
    if "reservoirs" not in files:
        raise InvalidInput([Issue("missing", "error", "/reservoirs", "is missing: storage and inflow of every hydro")])
    table = read_table("reservoirs", files["reservoirs"])
    table.only(["hydro", "storage_hm3", "inflow_m3s"])
    rows = _by_id(table, "hydro", layout.hydros)
    state: dict[str, Any] = {"stage": _stage_option(options)}
    for name in ("storage_hm3", "inflow_m3s"):
        column = table.need(name)
        state[name] = {hydro: row.number(column, most=MOST) for hydro, row in rows.items()}
    table.refusals.check()
    if "history" in files:
        past = read_table("history", files["history"])
        past.only(layout.hydros)
        state["inflow_history_m3s"] = {c: [row.number(c, most=MOST) for row in past] for c in past.columns}
        past.refusals.check()
    if "generation" in files:
        ran = read_table("generation", files["generation"])
        ran.only(["thermal", "generation_mw"])
        plants = _by_id(ran, "thermal", [layout.system.thermals[g].id for g in layout.ramped])
        state["generation_mw"] = {plant: row.number(ran.need("generation_mw")) for plant, row in plants.items()}
        ran.refusals.check()
    return state


def _by_id(table: Table, column: str, ids: list[str]) -> dict[str, Row]:
    """The row of every id."""
    found: dict[str, Row] = {}
    name = table.need(column)
    for row in table:
        identifier = row.cells[name]
        if identifier not in ids:
            row.refuse("unknown_id", f"is none of {', '.join(ids[:10])}", name)
        elif identifier in found:
            row.refuse("duplicate", "is there twice", name)
        found[identifier] = row
    for identifier in ids:
        if identifier not in found:
            table.refusals.add("missing", f"has no row for {identifier}")
    table.refusals.check()
    return found


def _stage_option(options: Mapping[str, str]) -> int:
    word = options.get("stage", "0")
    if not word.isascii() or not word.isdigit() or len(word) > 6:
        raise InvalidInput([Issue("stage", "error", "/stage", "must be a whole number, counted from 0")])
    return int(word)


def state_schema(system: HydrothermalSystem, ramped: list[str]) -> dict[str, Any]:
    """JSON Schema 2020-12 of one state document, with units."""

    def by_id(ids: list[str], unit: str, what: str) -> dict[str, Any]:
        number = {"type": "number", "minimum": 0, "maximum": MOST}
        return {
            "type": "object",
            "description": f"{what} [{unit}].",
            "additionalProperties": False,
            "required": ids,
            "properties": {identifier: number for identifier in ids},
        }

    hydros = [hydro.id for hydro in system.hydros]
    storage = by_id(hydros, "hm³", "Storage now, by hydro")
    for hydro in system.hydros:
        span = {"type": "number", "minimum": hydro.storage_min_hm3, "maximum": hydro.storage_max_hm3}
        storage["properties"][hydro.id] = span
    past = {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": MOST}}
    properties: dict[str, Any] = {
        "stage": {"type": "integer", "minimum": 0, "maximum": system.stages - 1, "default": 0},
        "storage_hm3": storage,
        "inflow_m3s": by_id(hydros, "m³/s", "Natural inflow of this stage, by hydro"),
        "inflow_history_m3s": {
            "type": "object",
            "description": "Inflow of past stages by hydro [m³/s], oldest first.",
            "additionalProperties": False,
            "properties": {hydro: past for hydro in hydros},
        },
    }
    required = ["storage_hm3", "inflow_m3s"]
    if ramped:
        properties["generation_mw"] = by_id(ramped, "MW", "Last generation of thermals with ramp limits")
        required.append("generation_mw")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"State of {system.name}",
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": properties,
    }
