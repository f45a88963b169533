"""State documents of a plant, read into arrays; every rule broken is named by its JSON Pointer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.core import Issue, pointer
from models.lot_sizing.instance import LotSizing

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
STATE_FIELDS = ("period", "inventory", "setup", "run")
MAX_QUANTITY = 1e9


@dataclass(frozen=True)
class Places:
    """What a plant's state may say."""

    plant: LotSizing
    able: dict[str, set[str]]  # machine → items it can make
    owing: set[str]  # items that may be negative
    bound: dict[str, int]  # machine → most periods its run may still be bound; empty unless runs have a minimum

    @classmethod
    def of(cls, plant: LotSizing) -> Places:
        """The places of a plant."""
        able: dict[str, set[str]] = {machine.id: set() for machine in plant.machines}
        for own in plant.capabilities:
            able[own.machine].add(own.item)
        owing = {item.id for item in plant.items if plant.is_backlogged(item)}
        runs = {machine.id: machine.minimum_run - 1 for machine in plant.machines}
        return cls(plant, able, owing, runs if any(runs.values()) else {})

    def arrays(self, rows: int) -> StateArrays:
        """Empty stock and machines set up for nothing, for so many states."""
        items, machines = len(self.plant.items), len(self.plant.machines)
        return StateArrays(
            np.zeros((items, rows)),
            np.full((machines, rows), items, dtype=np.int64),
            np.zeros((machines if self.bound else 0, rows), dtype=np.int64),
            np.zeros(rows, dtype=np.int64),
        )


@dataclass(frozen=True)
class StateArrays:
    """Numbers of several states, a state the last axis."""

    stock: Floats  # (item, row) [units], net of backlog
    setup: Ints  # (machine, row) item, I: none
    run: Ints  # (bound, row) [periods]
    period: Ints  # (row,)


class StateReader:
    """Reads one state document into a column of the arrays, or a document of columns into all of them."""

    def __init__(
        self,
        places: Places,
        into: StateArrays,
        issues: list[Issue],
        row: int | None = None,
        where: str | int | None = None,
    ) -> None:
        self.places, self.into, self.issues = places, into, issues
        self.row = row  # None: the document holds columns
        self.where = () if where is None else (where,)

    def read(self, document: object) -> None:
        """Fill the arrays; what is wrong is added to the issues."""
        if not isinstance(document, Mapping):
            self._issue("type", "must be an object")
            return
        for name in document:
            if name not in STATE_FIELDS:
                self._issue("extra_forbidden", "unknown field", str(name))
        plant = self.places.plant
        items = {item.id: k for k, item in enumerate(plant.items)}
        machines = {machine.id: k for k, machine in enumerate(plant.machines)}
        for name, place in self._each(document, "inventory", "stock of every item", items).items():
            self._read_stock(document["inventory"][name], name, place)
        for name, place in self._each(document, "setup", "item every machine is set up for, or null", machines).items():
            self._read_setup(document["setup"][name], name, place)
        if "run" in document:
            self._read_runs(document["run"], machines)
        self._put(self.into.period, self._wholes(document.get("period", 0), plant.periods - 1, "period"))

    def _each(self, document: Mapping[str, Any], field: str, what: str, known: dict[str, int]) -> dict[str, int]:
        """The known names that a field holds; an issue for each that is missing or unknown."""
        given = document.get(field)
        if not isinstance(given, Mapping):
            self._issue("missing", f"must be an object with the {what}", field)
            return {}
        for name in given:
            if name not in known:
                self._issue(
                    "unknown", f"there is no such {'item' if field == 'inventory' else 'machine'}", field, str(name)
                )
        for name in known:
            if name not in given:
                self._issue("missing", f"{name!r} is missing: needs the {what}", field, name)
        return {name: place for name, place in known.items() if name in given}

    def _read_stock(self, value: object, name: str, place: int) -> None:
        found = self._numbers(value, "inventory", name)
        if found is None:
            return
        negative = found < 0 if isinstance(found, float) else bool((found < 0).any())
        if negative and name not in self.places.owing:
            self._issue("negative", "only an item with backlogged demand can be negative", "inventory", name)
        self._put(self.into.stock[place], found)

    def _read_setup(self, value: object, machine: str, place: int) -> None:
        given = [value] if self.row is not None else value
        rows = 1 if self.row is not None else len(self.into.period)
        if not isinstance(given, list) or len(given) != rows:
            self._issue("column", f"must be an array of {rows} items, or null where set up for none", "setup", machine)
            return
        plant, found = self.places.plant, np.full(rows, len(self.places.plant.items))
        for row, item in enumerate(given):
            at = ("setup", machine) if self.row is not None else ("setup", machine, row)
            if item is None:
                continue
            if not isinstance(item, str) or item not in plant.item_place:
                self._issue("unknown_item", "must be the id of an item, or null", *at)
            elif item not in self.places.able[machine]:
                self._issue("capability", f"{machine} cannot make {item}", *at)
            else:
                found[row] = plant.item_place[item]
        self._put(self.into.setup[place], found)

    def _read_runs(self, runs: object, machines: dict[str, int]) -> None:
        if not isinstance(runs, Mapping):
            self._issue("type", "must be an object of periods by machine", "run")
            return
        for machine, value in runs.items():
            most = self.places.bound.get(machine, 0)
            if machine not in machines or not most:
                self._issue("unknown", "no machine with a minimum run has this id", "run", str(machine))
                continue
            found = self._wholes(value, most, "run", machine)
            setup = self.into.setup[machines[machine]]
            setup = setup if self.row is None else setup[self.row]
            if found is not None and np.any((np.asarray(found) > 0) & (setup == len(self.places.plant.items))):
                self._issue("run", "a machine set up for nothing is bound to nothing", "run", machine)
            self._put(self.into.run[machines[machine]], found)

    def _put(self, column: Any, value: Any) -> None:
        if value is None:
            return
        if self.row is None:
            column[:] = value
        else:
            column[self.row] = value if isinstance(value, float) else value[0]

    def _numbers(self, value: object, *place: str | int) -> Floats | float | None:
        """Finite numbers, one or a column; None and an issue otherwise."""
        if self.row is not None and type(value) in (int, float) and abs(value) <= MAX_QUANTITY:  # type: ignore[arg-type]
            return float(value)  # type: ignore[arg-type]
        found = _column([value] if self.row is not None else value, "iuf")
        rows = 1 if self.row is not None else len(self.into.period)
        if found is None or len(found) != rows:
            what = "a finite number" if self.row is not None else f"an array of {rows} finite numbers"
            self._issue("number", f"must be {what} of at most {MAX_QUANTITY:g}", *place)
            return None
        return found

    def _wholes(self, value: object, most: int, *place: str | int) -> Floats | None:
        """Whole numbers from 0 to `most`, one or a column; a column may be one number for all."""
        found = _column(value if isinstance(value, list) and self.row is None else [value], "iu")
        rows = 1 if self.row is not None or not isinstance(value, list) else len(self.into.period)
        if found is None or len(found) != rows or np.any(found < 0) or np.any(found > most):
            self._issue(place[0], f"must be a whole number from 0 to {most}", *place)  # type: ignore[arg-type]
            return None
        return found

    def _issue(self, code: str, detail: str, *place: str | int) -> None:
        self.issues.append(Issue(code, "error", pointer(*self.where, *place), detail))


def count_rows(columns: Mapping[str, object], issues: list[Issue]) -> int:
    """Number of states in a document of columns; an issue if no column is an array."""
    inventory = columns.get("inventory")
    lengths = (
        [len(own) for own in inventory.values() if isinstance(own, list)] if isinstance(inventory, Mapping) else []
    )
    if lengths and lengths[0]:
        return lengths[0]
    issues.append(Issue("columns", "error", pointer("inventory"), "needs an array of stocks for every item"))
    return 0


def _column(value: object, kinds: str) -> Floats | None:
    if not isinstance(value, list) or any(isinstance(own, bool) for own in value):
        return None
    try:
        found = np.asarray(value)
    except (ValueError, OverflowError):
        return None
    if found.ndim != 1 or found.dtype.kind not in kinds:
        return None
    exact: Floats = found.astype(np.float64)
    return exact if np.isfinite(exact).all() and np.abs(exact).max(initial=0.0) <= MAX_QUANTITY else None


def state_schema(places: Places) -> dict[str, Any]:
    """JSON Schema 2020-12 of one state document, with units."""
    plant = places.plant
    properties: dict[str, Any] = {
        "period": {
            "type": "integer",
            "minimum": 0,
            "maximum": plant.periods - 1,
            "default": 0,
            "description": "Current period.",
        },
        "inventory": _object(
            "Stock of every item [units]; negative is backlog.",
            {
                item.id: {
                    "type": "number",
                    "minimum": -MAX_QUANTITY if item.id in places.owing else 0,
                    "maximum": MAX_QUANTITY,
                }
                for item in plant.items
            },
        ),
        "setup": _object(
            "Item every machine is set up for; null: none.",
            {machine: {"enum": [*sorted(able), None]} for machine, able in places.able.items()},
        ),
    }
    if places.bound:
        runs = {m: {"type": "integer", "minimum": 0, "maximum": most} for m, most in places.bound.items() if most}
        properties["run"] = _object("Periods a machine must still make its item; default 0.", runs) | {"required": []}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"State of {plant.name}",
        "type": "object",
        "additionalProperties": False,
        "required": ["inventory", "setup"],
        "properties": properties,
    }


def _object(description: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }
