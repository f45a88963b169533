"""A schedule to draw: what every machine makes in the coming periods, as bars of a Gantt chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.lot_sizing.planner.explanation import MachineLine


def bars(periods: Sequence[int], plans: Sequence[Sequence[MachineLine]], several: int = 1) -> list[dict[str, Any]]:
    """One bar per run of an item on a machine: from the period `start` to before the period `end`.

    `quantity` is what the run makes in all [units]; `changeover` says whether it begins with one, at `setup_cost`. The
    `several` lots of a period are drawn as equal parts of it, in their order.
    """
    found: list[dict[str, Any]] = []
    for first in range(0, len(plans[0]), several):
        current: dict[str, Any] | None = None
        for period, lines in zip(periods, plans, strict=True):
            for part, line in enumerate(lines[first : first + several]):
                current = _continued(current, line, period + part / several if part else period, several)
                if current is not None and (not found or found[-1] is not current):
                    found.append(current)
    return found


def _continued(bar: dict[str, Any] | None, line: MachineLine, start: float, several: int) -> dict[str, Any] | None:
    """The bar made longer by a lot, or a new one; None where the machine idles."""
    if line.item is None:
        return None
    end = start + 1 if several == 1 else round(start + 1 / several, 4)
    if bar is not None and line.item == bar["item"] == line.before:
        bar["end"], bar["quantity"] = end, round(bar["quantity"] + line.quantity, 4)
        return bar
    return {
        "machine": line.machine,
        "item": line.item,
        "start": round(start, 4),
        "end": end,
        "quantity": round(line.quantity, 4),
        "changeover": line.item != line.before,
        "setup_cost": round(line.setup_cost, 4),
    }
