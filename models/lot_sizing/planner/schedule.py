"""A schedule to draw: what every machine makes in the coming periods, as bars of a Gantt chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.lot_sizing.planner.explanation import MachineLine


def bars(periods: Sequence[int], plans: Sequence[Sequence[MachineLine]]) -> list[dict[str, Any]]:
    """One bar per run of an item on a machine: from the period `start` to before the period `end`.

    `quantity` is what the run makes in all [units]; `changeover` says whether it begins with one, at `setup_cost`.
    """
    found: list[dict[str, Any]] = []
    for place in range(len(plans[0])):
        current: dict[str, Any] | None = None
        for period, lines in zip(periods, plans, strict=True):
            line = lines[place]
            changed = line.item != line.before
            if current is not None and line.item == current["item"] and not changed and current["end"] == period:
                current["end"], current["quantity"] = period + 1, round(current["quantity"] + line.quantity, 4)
            elif line.item is not None:
                current = {
                    "machine": line.machine,
                    "item": line.item,
                    "start": period,
                    "end": period + 1,
                    "quantity": round(line.quantity, 4),
                    "changeover": changed,
                    "setup_cost": round(line.setup_cost, 4),
                }
                found.append(current)
            else:
                current = None
    return found
