"""A PowerModels network with HydroPowerModels' hydro.json and inflows.csv becomes an instance document.

Formats: PowerModels.jl's network data (per unit on `baseMVA`, costs per unit-hour) and HydroPowerModels.jl's input
files (hm³, m³/s, MW per m³/s; a row of inflows per stage, for each hydro in turn its scenarios).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from models.core import InvalidInput, Issue, pointer

Document = dict[str, Any]


def read_powermodels(files: Mapping[str, bytes], options: Mapping[str, str]) -> Document:
    """The instance document that network, hydro and inflows files make. `InvalidInput` names the file and the rule.

    Options: `stages`, `report_stages`, `stage_hours`, `load_factor`, `deficit_cost` [money/MWh], `physics`, `name`.
    """
    return read_documents(json_part("network", files), json_part("hydro", files), files, options)


def read_documents(
    network: Document, water: Document, files: Mapping[str, bytes], options: Mapping[str, str]
) -> Document:
    """The instance document of a network and hydro data; inflows and probabilities are still files."""
    words = Words(options)
    hours = words.number("stage_hours", float(water.get("stage_hours", 1)))
    document = grid_document(network, words.number("load_factor", 1.0))
    plants = water.get("Hydrogenerators")
    if not isinstance(plants, list) or not plants:
        raise refused("hydro", "has no list Hydrogenerators", "Hydrogenerators")
    chosen, hydros = _hydros(plants, network, document.pop("gens"))
    document["thermals"] = [_thermal(index, gen) for index, gen in chosen.items()]
    document["hydros"] = hydros
    rows = table_part("inflows", files)
    document["inflows"] = _inflows(rows, [hydro["id"] for hydro in hydros], files)
    stages = words.whole("stages", len(rows))
    report = words.whole("report_stages", 0)
    deficit = words.number("deficit_cost", float(network.get("cost_deficit", 0.0)))
    if deficit <= 0:
        raise refused("network", "has no cost_deficit: give the option deficit_cost [money/MWh]", "cost_deficit")
    return {
        "problem": "hydrothermal",
        "name": words.text("name", "imported"),
        "stages": stages,
        **({"report_stages": report} if report else {}),
        "stage_hours": hours,
        "physics": words.text("physics", "dc"),
        "deficit_cost_per_mwh": deficit,
        **document,
    }


def grid_document(network: Document, load_factor: float) -> Document:
    """Base, buses and lines of a PowerModels network, and under `gens` its generators in service by index."""
    try:
        base = float(network["baseMVA"])
        loads: dict[int, list[float]] = {}
        for load in network.get("load", {}).values():
            if load.get("status", 1):
                there = loads.setdefault(load["load_bus"], [0.0, 0.0])
                there[0] += load_factor * base * load["pd"]
                there[1] += load_factor * base * load.get("qd", 0.0)
        buses = {b["bus_i"]: b for b in network["bus"].values() if b.get("bus_type", 1) != 4}
        return {
            "base_mva": base,
            "buses": [_bus(k, buses[k], loads.get(k, [0.0, 0.0])) for k in sorted(buses)],
            "lines": [
                _line(int(key), branch, base)
                for key, branch in sorted(network["branch"].items(), key=lambda item: int(item[0]))
                if branch.get("br_status", 1)
            ],
            "gens": {gen["index"]: gen | {"base": base} for gen in network["gen"].values() if gen.get("gen_status", 1)},
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise refused("network", f"is not PowerModels network data: {error!r}") from None


def _bus(index: int, bus: Document, load: list[float]) -> Document:
    return {
        "id": f"b{index}",
        "load_mw": load[0],
        "load_mvar": load[1],
        "voltage_min_pu": bus.get("vmin", 0.9),
        "voltage_max_pu": bus.get("vmax", 1.1),
    }


def _line(index: int, branch: Document, base: float) -> Document:
    angle = min(branch.get("angmax", math.pi), -branch.get("angmin", -math.pi))
    rate = branch.get("rate_a", 0.0)
    return {
        "id": f"l{index}",
        "from": f"b{branch['f_bus']}",
        "to": f"b{branch['t_bus']}",
        "resistance_pu": branch["br_r"],
        "reactance_pu": branch["br_x"],
        "charging_from_pu": branch.get("b_fr", 0.0),
        "charging_to_pu": branch.get("b_to", 0.0),
        "limit_mw": rate * base if rate else None,
        "angle_max_rad": angle if 0 < angle < 1.6 else None,
    }


def _thermal(index: int, gen: Document) -> Document:
    base = gen["base"]
    return {
        "id": f"g{index}",
        "bus": f"b{gen['gen_bus']}",
        "min_mw": gen["pmin"] * base,
        "max_mw": gen["pmax"] * base,
        "cost_per_mwh": linear_cost(gen) / base,
        **_reactive(gen),
    }


def _reactive(gen: Document) -> Document:
    """Limits of reactive power, where they are given."""
    limits = (("qmin", "reactive_min_mvar"), ("qmax", "reactive_max_mvar"))
    return {field: gen[word] * gen["base"] for word, field in limits if word in gen}


def linear_cost(gen: Document) -> float:
    """Slope of a generator's cost [money per unit-hour]; a quadratic term is refused."""
    cost = [float(c) for c in gen.get("cost", [])]
    if gen.get("model", 2) != 2 or any(cost[:-2]):
        raise refused("network", "only linear generation costs (model 2) can be read", "gen", str(gen["index"]), "cost")
    return cost[-2] if len(cost) >= 2 else 0.0


def _hydros(plants: list[Document], network: Document, gens: dict[int, Document]) -> tuple[dict[int, Document], Any]:
    """The generators that are thermal, by index, and the hydro documents."""
    try:
        names = {plant["index"]: f"h{plant['index']}" for plant in plants}
        driven = {plant["index_grid"] for plant in plants}
        hydros = [_hydro(plant, names, gens) for plant in plants]
    except (KeyError, TypeError, ValueError) as error:
        raise refused("hydro", f"is not a list of hydro plants: {error!r}", "Hydrogenerators") from None
    return {index: gens[index] for index in sorted(gens) if index not in driven}, hydros


_SOFT = (
    ("minimal_outflow", "min_outflow_m3s", "min_outflow_cost_per_hm3"),
    ("minimal_volume", "reserve_storage_hm3", "reserve_cost_per_hm3"),
)


def _hydro(plant: Document, names: dict[int, str], gens: dict[int, Document]) -> Document:
    index = plant["index"]
    if plant["index_grid"] not in gens:
        raise refused("hydro", f"hydro {index}: no generator {plant['index_grid']}", "Hydrogenerators")
    gen = gens[plant["index_grid"]]
    base, factor = gen["base"], float(plant["production_factor"])
    most = float(plant["max_turn"])
    if factor > 0:
        most = min(most, gen["pmax"] * base / factor)
    low, high = _settled(plant["min_volume"]), _settled(plant["max_volume"])
    document = {
        "id": names[index],
        "bus": f"b{gen['gen_bus']}",
        "production_factor_mw_per_m3s": factor,
        "turbine_max_m3s": most,
        "storage_min_hm3": low,
        "storage_max_hm3": high,
        "initial_storage_hm3": min(max(_settled(plant["initial_volume"]), low), high),
        "cost_per_mwh": linear_cost(gen) / base,
        "spill_cost_per_hm3": _settled(plant.get("spill_cost", 0.0)),
        **_reactive(gen),
    }
    for word, field in (("downstream_turn", "turbine_downstream"), ("downstream_spill", "spill_downstream")):
        below = plant.get(word, [])
        if len(below) > 1:
            raise refused("hydro", f"hydro {index}: water of one kind reaches one plant at most", "Hydrogenerators")
        document[field] = names[below[0]] if below else None
    for word, limit, price in _SOFT:
        if plant.get(word, 0.0) > 0 and plant.get(f"{word}_violation_cost", 0.0) > 0:
            document |= {limit: float(plant[word]), price: float(plant[f"{word}_violation_cost"])}
    return document


def _settled(value: float) -> float:
    """A number without what single precision left of zero (1e-316)."""
    return float(value) if abs(value) > 1e-12 else 0.0


def _inflows(rows: list[list[float]], plants: list[str], files: Mapping[str, bytes]) -> Document:
    scenarios, rest = divmod(len(rows[0]), len(plants))
    if rest or not scenarios:
        detail = f"has {len(rows[0])} columns for {len(plants)} hydros: needs as many scenarios for each"
        raise refused("inflows", detail)
    table = {plant: [row[k * scenarios : (k + 1) * scenarios] for row in rows] for k, plant in enumerate(plants)}
    document: Document = {"process": "scenarios", "cyclic": True, "inflow_m3s": table}
    if "probabilities" in files:
        chances = table_part("probabilities", files)
        document["probabilities"] = chances
    if "evaluation" in files:
        numbers = table_part("evaluation", files)
        if any(number != int(number) or not 1 <= number <= scenarios for row in numbers for number in row):
            raise refused("evaluation", f"holds scenario numbers, from 1 to {scenarios}")
        document["evaluation_scenarios"] = [[int(number) - 1 for number in row] for row in numbers]
    return document


class Words:
    """Options as numbers and words; `InvalidInput` names the option."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self.options = options

    def number(self, name: str, default: float) -> float:
        """A number above zero."""
        if name not in self.options:
            return default
        try:
            value = float(self.options[name])
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value > 0):
            raise refused(name, "must be a number above zero")
        return value

    def whole(self, name: str, default: int) -> int:
        """A whole number above zero."""
        value = self.number(name, float(default)) if name in self.options else float(default)
        if value != int(value):
            raise refused(name, "must be a whole number")
        return int(value)

    def text(self, name: str, default: str) -> str:
        """A word."""
        return self.options.get(name, default)


def json_part(part: str, files: Mapping[str, bytes]) -> Document:
    """A JSON object; numbers beyond JSON's (NaN) are refused."""

    def no_number(word: str) -> float:
        raise ValueError(f"{word} is no number")

    try:
        value = json.loads(files[part], parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise refused(part, f"is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise refused(part, "must be a JSON object")
    return value


def table_part(part: str, files: Mapping[str, bytes]) -> list[list[float]]:
    """A CSV file of numbers alone, all rows alike."""
    try:
        lines = files[part].decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise refused(part, "is not UTF-8 text") from None
    rows: list[list[float]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = [float(cell) for cell in line.split(",")]
        except ValueError:
            raise refused(part, f"line {number}: not numbers separated by commas") from None
        if not all(math.isfinite(value) for value in row) or (rows and len(row) != len(rows[0])):
            raise refused(part, f"line {number}: {len(row)} cells, or one that is not finite")
        rows.append(row)
    if not rows:
        raise refused(part, "has no rows")
    return rows


def refused(part: str, detail: str, *where: str) -> InvalidInput:
    """What is wrong with a part of the form."""
    return InvalidInput([Issue("import", "error", pointer(part, *where), detail)])
