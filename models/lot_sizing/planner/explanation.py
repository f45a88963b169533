"""Why a machine makes what it makes, in sentences: stock, how long it lasts, what a changeover takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.lot_sizing.instance import LotSizing
from models.lot_sizing.layout import Floats
from models.lot_sizing.planner.outlook import Outlook
from models.view import plain

MOST_TOLD = 4  # items at risk that are named
WORTH_TELLING = 0.005  # chance of running short below which an item is safe


@dataclass(frozen=True)
class MachineLine:
    """What one machine does in the coming period."""

    machine: str
    before: str | None  # item set up for
    item: str | None
    quantity: float  # [units]
    setup_cost: float  # [money]
    works: bool  # whether it works at all in the period
    bound: bool  # whether a minimum run binds it


def sentences(plant: LotSizing, lines: list[MachineLine], stock: Floats, now: Outlook, row: int) -> list[str]:
    """What there is to say of one decision: a sentence for every machine, then the items at risk."""
    told = [_machine(plant, line, stock, now.demand[row]) for line in lines]
    risk = 1.0 - now.in_stock[row]
    worst = [k for k in np.argsort(-risk, kind="stable")[:MOST_TOLD].tolist() if risk[k] > WORTH_TELLING]
    for k in worst:
        item = plant.items[k]
        what = "is expected to wait" if plant.is_backlogged(item) else "is expected to be lost"
        told.append(
            f"{item.id} runs short this period with chance {risk[k]:.0%}: {plain(now.short[row, k])} units {what}."
        )
    return told


def _machine(plant: LotSizing, line: MachineLine, stock: Floats, demand: Floats) -> str:
    if not line.works:
        return f"{line.machine} does not work this period."
    if line.item is None:
        return f"{line.machine} idles."
    k = plant.item_place[line.item]
    lasts = f"stock {plain(stock[k])}" + (f" lasts {max(stock[k], 0) / demand[k]:.2g} periods" if demand[k] > 0 else "")
    made = f"{plain(line.quantity)} units"
    if line.item == line.before:
        why = "bound by its minimum run; " if line.bound else ""
        return f"{line.machine} goes on with {line.item} ({why}{lasts}): {made}, no changeover."
    origin = f" from {line.before}" if line.before else ""
    paid = f"for a setup cost of {plain(line.setup_cost)}"
    return f"{line.machine} changes over{origin} to {line.item} ({lasts}): {made} {paid}."


def compared(line: MachineLine, options: list[str | None], costs: list[float], chosen: int) -> str | None:
    """One machine's feasible options by expected cost, beside the chosen one; None if it has no choice."""
    known = sorted((cost, k) for k, cost in enumerate(costs) if np.isfinite(cost))
    if len(known) < 2:
        return None
    base = costs[chosen]
    told = [f"{options[k] or 'idle'} {_signed(cost - base)}" for cost, k in known if k != chosen]
    name = options[chosen] or "idle"
    return f"{line.machine}: {name} is expected to cost {plain(base)} from now on; against it {', '.join(told)}."


def _signed(value: float) -> str:
    return f"{'-' if value < 0 else '+'}{plain(abs(value))}"
