"""The published JSON form of stochastic discrete lot-sizing settings becomes an instance.

The form of the settings that come with Felizardo et al., arXiv 2504.05150: `n_items`, `n_machines`, `time_horizon`,
tables `machine_production[m][i]` (0: cannot), `setup_costs` and `setup_loss`, lists by item `max_inventory_level`,
`holding_costs`, `lost_sales_costs` and `initial_inventory`, `initial_setup` by machine (0: none, k: item k), and a
`demand_distribution` for all items or one for each. Items and machines have no names there: they become `item-1`, ….

The published protocol draws every scenario's start at random, whatever the file says: that is the default here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from models.core import Importer, InvalidInput, Issue, pointer

MOST = 1_000  # items, and machines

FILES = {"settings": "The setting, JSON as published."}
OPTIONS = {
    "name": "name of the instance",
    "initial_state": "random (default: the published protocol) or given (stock and setups of the file)",
    "periods": "horizon in periods, instead of the file's time_horizon",
}


def read_settings(files: Mapping[str, bytes], options: Mapping[str, str]) -> dict[str, Any]:
    """The instance's document; `InvalidInput` names the field of the file and the rule."""
    data = _Data(files["settings"])
    random = _choice(options, "initial_state", ("random", "given")) == "random"
    items, machines = range(data.count("n_items")), range(data.count("n_machines"))
    rates = data.table("machine_production", len(machines), len(items))
    costs, losses = (data.table(name, len(machines), len(items)) for name in ("setup_costs", "setup_loss"))
    document: dict[str, Any] = {
        "problem": "lot_sizing",
        "periods": _periods(options, data),
        "initial_state": "random" if random else "given",
        "items": _items(data, len(items), random),
        "machines": [
            {"id": f"machine-{m + 1}", "initial_setup": setup}
            for m, setup in enumerate(_setups(data, len(machines), len(items), random))
        ],
        "capabilities": [
            {
                "machine": f"machine-{m + 1}",
                "item": f"item-{i + 1}",
                "production": rates[m][i],
                "setup_cost": costs[m][i],
                "setup_loss": losses[m][i],
            }
            for m in machines
            for i in items
            if rates[m][i] > 0
        ],
    }
    return document | ({"name": options["name"]} if "name" in options else {})


def _items(data: _Data, count: int, random: bool) -> list[dict[str, Any]]:
    columns = {
        "holding_cost": data.numbers("holding_costs", count),
        "lost_sales_cost": data.numbers("lost_sales_costs", count),
        "inventory_max": data.numbers("max_inventory_level", count),
    }
    if not random:
        columns["initial_inventory"] = data.numbers("initial_inventory", count)
    demands = data.demands(count)
    return [
        {"id": f"item-{i + 1}", **{name: column[i] for name, column in columns.items()}, "demand": demands[i]}
        for i in range(count)
    ]


def _setups(data: _Data, machines: int, items: int, random: bool) -> list[str | None]:
    """What every machine is set up for at the start; nothing where the start is drawn."""
    if random:
        return [None] * machines
    found: list[str | None] = []
    for m, value in enumerate(data.numbers("initial_setup", machines)):
        if not value.is_integer() or value > items:
            data.refuse("setup", f"must be 0 (none) or an item's number, 1 to {items}", "initial_setup", m)
        found.append(f"item-{int(value)}" if value else None)
    return found


def _periods(options: Mapping[str, str], data: _Data) -> int:
    if "periods" not in options:
        return data.count("time_horizon")
    if not options["periods"].isdecimal() or not options["periods"].isascii() or len(options["periods"]) > 9:
        raise InvalidInput([Issue("option", "error", "/periods", "must be a whole number")])
    return int(options["periods"])


def _choice(options: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    """An option's word, the first known one by default."""
    word = options.get(name, known[0])
    if word not in known:
        raise InvalidInput([Issue("option", "error", pointer(name), f"must be one of {', '.join(known)}")])
    return word


class _Data:
    """The file's JSON object; every reading refuses what it does not understand, by the field's pointer."""

    def __init__(self, content: bytes) -> None:
        try:
            data = json.loads(content)
        except (ValueError, RecursionError) as error:
            self.refuse("json", f"is not JSON: {error}")
        if not isinstance(data, dict):
            self.refuse("json", "must be a JSON object")
        self.data: dict[str, Any] = data

    def refuse(self, code: str, detail: str, *where: str | int) -> None:
        """Raise `InvalidInput` for a place in the file."""
        raise InvalidInput([Issue(code, "error", pointer("settings", *where), detail)])

    def field(self, name: str) -> Any:
        """A field that must be there."""
        if name not in self.data:
            self.refuse("missing", "is missing", name)
        return self.data[name]

    def count(self, name: str) -> int:
        """A whole number of at least one."""
        value = self.field(name)
        least, most = 1, MOST if name.startswith("n_") else 10**9
        if type(value) is not int or not least <= value <= most:
            self.refuse("number", f"must be a whole number, {least} to {most}", name)
        return int(value)

    def numbers(self, name: str, count: int) -> list[float]:
        """A list of so many numbers, none below zero."""
        return self._list(self.field(name), count, name)

    def table(self, name: str, rows: int, columns: int) -> list[list[float]]:
        """A row of numbers for every machine."""
        value = self.field(name)
        if not isinstance(value, list) or len(value) != rows:
            self.refuse("length", f"must have {rows} rows, one for each machine", name)
        return [self._list(row, columns, name, place) for place, row in enumerate(value)]

    def _list(self, value: Any, count: int | None, *where: str | int) -> list[float]:
        if not isinstance(value, list) or (count is not None and len(value) != count):
            many = "numbers" if count is None else f"{count} numbers"
            self.refuse("length", f"must be a list of {many}", *where)
        return [self._number(entry, *where, place) for place, entry in enumerate(value)]

    def _number(self, value: Any, *where: str | int) -> float:
        if type(value) not in (int, float) or not 0 <= value <= 1e9 or not math.isfinite(value):
            self.refuse("number", "must be a number from 0 to 1e9", *where)
        return float(value)

    def demands(self, count: int) -> list[dict[str, Any]]:
        """Every item's demand."""
        where = "demand_distribution"
        document = self.field(where)
        if not isinstance(document, dict) or document.get("name") != "item_specific_uniform":
            return [self._demand(document, where)] * count
        own = document.get("distributions")
        if not isinstance(own, list) or len(own) != count:
            self.refuse("length", f"must be a list of {count} distributions", where, "distributions")
        return [self._demand(entry, where, "distributions", k) for k, entry in enumerate(own or [])]

    def _demand(self, document: Any, *where: str | int) -> dict[str, Any]:
        name = document.get("name") if isinstance(document, dict) else None
        if name == "binomial":
            customers, chance = (self._number(document.get(key), *where, key) for key in ("n", "p"))
            if not customers.is_integer():
                self.refuse("number", "must be a whole number", *where, "n")
            return {"process": "binomial", "n": int(customers), "p": chance}
        if name == "probability_mass_function":
            values = self._list(document.get("vals"), None, *where, "vals")
            chances = self._list(document.get("probs"), len(values), *where, "probs")
            return {"process": "pmf", "values": values, "probabilities": chances}
        self.refuse("demand", "is not binomial, probability_mass_function or item_specific_uniform", *where, "name")
        raise AssertionError("refused")


IMPORTERS = (Importer("published_json", "A published discrete lot-sizing setting", FILES, read_settings, OPTIONS),)
