"""An evaluation as tables: policies, pairs, bounds, places, quantile paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from service.spreadsheet import Sheet


def policies(document: Mapping[str, Any]) -> Sheet:
    """A line per policy: cost with interval, what it costs more than the first, components, service, quantiles."""
    return Sheet.of_records("policies", [dict(_figures(entry)) for entry in document.get("policies", [])])


def _figures(entry: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "policy", entry["name"]
    yield from ((name, entry.get(name)) for name in ("mean_cost", "mean_cost_per_stage", "standard_error"))
    yield from zip(("ci95 from", "ci95 to"), entry.get("ci95", (None, None)), strict=True)
    paired = entry.get("paired_difference")
    if paired is not None:
        yield "more than the first", paired["mean"]
        yield from zip(("more from", "more to"), paired["ci95"], strict=True)
    yield from ((f"{name} [cost]", value) for name, value in entry.get("components", {}).items())
    yield from entry.get("service", {}).items()
    quantiles = entry.get("distribution", {}).get("quantiles", {})
    yield from ((f"cost {name}", value) for name, value in quantiles.items())


def everything(document: Mapping[str, Any], paths: Mapping[str, Any]) -> list[Sheet]:
    """Every table of an evaluation; those without lines are left out."""
    sheets = [
        policies(document),
        Sheet.of_records("pairs", [_flat(pair) for pair in document.get("pairs", [])]),
        Sheet.of_records("bounds", [_flat(bound) for bound in document.get("bounds", [])]),
        Sheet.of_records("places", list(_places(document))),
        Sheet.of_records("paths", list(_paths(paths))),
    ]
    scenario_set = document.get("scenario_set") or {}
    about = [
        ["scenarios", document.get("scenarios")],
        ["seed", document.get("scenario_seed")],
        ["scenario set", scenario_set.get("name")],
        ["note on bounds", document.get("bound_note")],
    ]
    about += [[f"id of {name}", policy_id] for name, policy_id in document.get("policy_ids", {}).items()]
    return [sheet for sheet in sheets if sheet.rows] + [Sheet("about", ["what", "value"], about)]


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with its intervals as two columns."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, list) and len(value) == 2:
            found[f"{name} from"], found[f"{name} to"] = value
        elif value != {}:
            found[name] = value
    return found


def _places(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for entry in document.get("policies", []):
        for place, figures in entry.get("places", {}).items():
            yield {"policy": entry["name"], "place": place, **figures}


def _paths(paths: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A line per policy, quantity and stage; single scenarios are left to the API."""
    for policy, quantities in paths.items():
        for quantity, series in quantities.items():
            lines = {name: values for name, values in series.items() if values and not isinstance(values[0], list)}
            for stage, row in enumerate(zip(*lines.values(), strict=True)):
                yield {"policy": policy, "quantity": quantity, "stage": stage, **dict(zip(lines, row, strict=True))}
