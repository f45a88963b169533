"""Why a dispatch is what it is, in sentences: what water is worth, what binds, who sets the price of load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from models.hydrothermal.layout import Floats, Layout
from models.view import plain

NEAR = 1e-3  # of a span or a limit: at it
MOST_SENTENCES = 12


def explained(lay: Layout, document: Mapping[str, Any], start: Floats, stage: int, kept: Floats | None) -> list[str]:
    """Sentences for one decision document. `kept` is the share of a little more water that each reservoir keeps."""
    found = [*_deficits(document), *_water(lay, document, start, stage, kept), *_prices(lay, document)]
    found += [*_lines(lay, document)]
    return found[:MOST_SENTENCES]


def _deficits(document: Mapping[str, Any]) -> Iterator[str]:
    for bus, short in document["deficit_mw"].items():
        if short > NEAR:
            yield f"At {bus}, {plain(short)} MW go unserved: nothing cheaper can reach it."


def _water(lay: Layout, document: Mapping[str, Any], start: Floats, stage: int, kept: Floats | None) -> Iterator[str]:
    season = lay.seasons[stage % lay.num_seasons]
    values = document["water_value_per_hm3"]
    for k, hydro in enumerate(lay.hydros):
        end, low, high = document["storage_hm3"][hydro], float(lay.storage_min[k]), float(lay.storage_max[k])
        most = float(season.turbine_max[:, k].sum()) / lay.system.hm3_per_m3s
        turbined, spilled = document["turbined_m3s"][hydro], document["spilled_hm3"][hydro]
        span = max(high - low, 1e-9)
        if high - low < 1e-9:
            passing = f"{hydro} stores nothing: it turbines {plain(turbined)} m³/s of what comes"
            yield passing + ("." if values is None else f"; another hm³ would save {plain(values[hydro])}.")
            continue
        states = []
        if spilled > NEAR * span:
            states.append(f"spills {plain(spilled)} hm³")
        if end >= high - NEAR * span:
            states.append("ends full")
        elif end <= low + NEAR * span:
            states.append("ends empty")
        if most > 0 and turbined >= most * (1 - NEAR):
            states.append("turbines all it can")
        change = end - float(start[k])
        word = "rises" if change > 0 else "falls"
        told = f"{hydro} {word} by {plain(abs(change))} hm³ to {plain(end)}"
        told += f" ({', '.join(states)})" if states else ""
        if values is not None:
            told += f"; another hm³ in it would save {plain(values[hydro])}"
        if kept is not None:
            told += f"; of a little more water it would keep {100 * min(max(float(kept[k]), 0.0), 1.0):.0f} %"
        yield told + "."


def _prices(lay: Layout, document: Mapping[str, Any]) -> Iterator[str]:
    prices = document["marginal_cost_per_mwh"]
    if prices is None:
        return
    for bus, price in prices.items():
        setters = [
            thermal.id
            for thermal in lay.system.thermals
            if thermal.bus == bus and abs(thermal.cost_per_mwh - price) <= NEAR * (1 + abs(price))
        ]
        if setters:
            yield f"One more MWh at {bus} would cost {plain(price)}, the cost of {' and '.join(setters)}."
    spread = max(prices.values()) - min(prices.values())
    if spread > NEAR * (1 + abs(max(prices.values()))):
        low, high = min(prices, key=prices.get), max(prices, key=prices.get)
        yield f"Lines hold prices apart: {plain(prices[low])} at {low}, {plain(prices[high])} at {high}."


def _lines(lay: Layout, document: Mapping[str, Any]) -> Iterator[str]:
    for k, (line, flow) in enumerate(document["flows_mw"].items()):
        if abs(flow) >= lay.limit[k] * (1 - NEAR):
            yield f"The line {line} carries all it can ({plain(abs(flow))} MW)."
