"""Scenarios of the planner's own: what may happen, written down instead of drawn, as JSON or CSV.

Every problem's chance is a number for each place (node, item, plant) and stage; a room says which numbers an instance
takes (`ScenarioTable`) and turns them into initial states and noise (`OwnScenarios.panel`). Reading and writing them is
the same for all rooms, and here.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.core import InvalidInput, Issue, pointer
from models.csv_table import MAX_ISSUES, Refusals, Row, read_table

Floats = npt.NDArray[np.float64]

FEWEST, MOST = 2, 65_536  # scenarios in a set: a mean without an interval would be no comparison
LARGEST = 1e9  # of the quantity's unit
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class ScenarioTable:
    """Which numbers a scenario of one instance has: one of `quantity` [unit] for every place and stage."""

    quantity: str  # the glossary's word, such as demand
    unit: str
    places: tuple[str, ...]  # the planner's ids
    stages: int
    stage_word: str = "period"  # what the problem's documents call a stage

    @property
    def numbers(self) -> int:
        """Numbers in one scenario."""
        return len(self.places) * self.stages


@dataclass(frozen=True)
class OwnScenarios:
    """How a problem takes scenarios: `table(instance)` says what they look like (and loads no torch).

    `panel(simulator, values, generator)` turns numbers (scenario, stage, place) into initial states and noise;
    `generator` draws what scenarios leave to chance.
    """

    table: Callable[[Any], ScenarioTable]
    panel: Callable[..., tuple[Any, Any]]


def schema(table: ScenarioTable) -> dict[str, Any]:
    """JSON Schema 2020-12 of `scenarios`."""
    described = f"{table.quantity} of every {table.stage_word} from 0 [{table.unit}]"
    series = {
        "type": "array",
        "description": described,
        "minItems": table.stages,
        "maxItems": table.stages,
        "items": {"type": "number", "minimum": 0, "maximum": LARGEST},
    }
    return {
        "type": "array",
        "description": "What may happen: each scenario from start to end, alike in weight.",
        "minItems": FEWEST,
        "maxItems": MOST,
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": list(table.places),
            "properties": {place: series for place in table.places},
        },
    }


def read_document(table: ScenarioTable, scenarios: object, where: str = "/scenarios") -> Floats:
    """Numbers (scenario, stage, place) of a document; `InvalidInput` with pointers below `where`."""
    if not isinstance(scenarios, list):
        raise InvalidInput([Issue("type", "error", where, "a list of scenarios is needed")])
    _check_count(len(scenarios), where)
    issues: list[Issue] = []
    for index, scenario in enumerate(scenarios):
        issues += _scenario_issues(table, scenario, where + pointer(index))
        if len(issues) >= MAX_ISSUES:
            break
    if issues:
        raise InvalidInput(issues)
    values = np.array([[scenario[place] for place in table.places] for scenario in scenarios], dtype=np.float64)
    return values.transpose(0, 2, 1)


def _check_count(count: int, where: str) -> None:
    if not FEWEST <= count <= MOST:
        detail = f"{count} scenarios; from {FEWEST} to {MOST:,} make a set"
        raise InvalidInput([Issue("scenarios", "error", where, detail)])


def _scenario_issues(table: ScenarioTable, scenario: object, where: str) -> Iterator[Issue]:
    if not isinstance(scenario, Mapping):
        yield Issue("type", "error", where, "a scenario is an object: a list of numbers for every place")
        return
    for place in scenario:
        if place not in table.places:
            yield Issue("unknown", "error", where + pointer(place), f"known: {_some(table.places)}")
    for place in table.places:
        yield from _series_issues(table, scenario.get(place), where + pointer(place))


def _series_issues(table: ScenarioTable, series: object, where: str) -> Iterator[Issue]:
    if not isinstance(series, list) or len(series) != table.stages:
        found = f", not {len(series)}" if isinstance(series, list) else ""
        yield Issue("stages", "error", where, f"{table.stages} numbers are needed, one a {table.stage_word}{found}")
        return
    for stage, value in enumerate(series):
        if type(value) not in (int, float) or not 0 <= value <= LARGEST:
            yield Issue("number", "error", where + pointer(stage), f"a number from 0 to {LARGEST:g} is needed")
            return


def read_csv(table: ScenarioTable, data: bytes, part: str = "scenarios") -> Floats:
    """Numbers (scenario, stage, place) of a CSV file: a line per scenario and stage, a column per place.

    `InvalidInput` names the line, the column and the rule.
    """
    found = read_table(part, data)
    label, stage = found.need("scenario"), found.need(table.stage_word)
    found.only(["scenario", table.stage_word, *table.places])
    columns = [found.need(place) for place in table.places]
    scenarios: dict[str, Floats] = {}
    for row in found:
        name, k = row.text(label), row.whole(stage)
        if name is not None and k is not None:
            _fill(table, scenarios.setdefault(name, _unknown(table)), row, k, columns)
    _check_whole(table, scenarios, found.refusals)
    found.refusals.check()
    _check_count(len(scenarios), pointer(part))
    return np.stack(list(scenarios.values()))


def _unknown(table: ScenarioTable) -> Floats:
    return np.full((table.stages, len(table.places)), np.nan)


def _fill(table: ScenarioTable, values: Floats, row: Row, stage: int, columns: Sequence[str]) -> None:
    if stage >= table.stages:
        row.refuse("stages", f"the last is {table.stages - 1}", table.stage_word)
    elif not np.isnan(values[stage]).any():
        row.refuse("stages", "is there twice in its scenario", table.stage_word)
    else:
        numbers = [row.number(column, 0.0, LARGEST) for column in columns]
        values[stage] = [np.nan if number is None else number for number in numbers]


def _check_whole(table: ScenarioTable, scenarios: Mapping[str, Floats], refusals: Refusals) -> None:
    if refusals.issues:
        return  # what is missing then is what was refused
    for name, values in scenarios.items():
        missing = np.flatnonzero(np.isnan(values).any(1))
        if len(missing):
            refusals.add("stages", f"scenario {name[:60]!r} has no {table.stage_word} {missing[0]}")


def write_document(table: ScenarioTable, values: Floats) -> list[dict[str, list[float]]]:
    """Numbers as the document that makes them."""
    return [dict(zip(table.places, scenario.T.tolist(), strict=True)) for scenario in values]


def write_csv(table: ScenarioTable, values: Floats) -> str:
    """Numbers as the CSV file that makes them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["scenario", table.stage_word, *table.places])
    for index, scenario in enumerate(values.tolist()):
        writer.writerows([index, stage, *row] for stage, row in enumerate(scenario))
    return text.getvalue()


def quantiles(table: ScenarioTable, values: Floats) -> dict[str, dict[str, list[float]]]:
    """Place → quantiles over scenarios at every stage, for plots."""
    found = np.quantile(values, QUANTILES, axis=0)
    return {
        place: {f"q{round(100 * q):02d}": found[i, :, k].tolist() for i, q in enumerate(QUANTILES)}
        for k, place in enumerate(table.places)
    }


def _some(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
