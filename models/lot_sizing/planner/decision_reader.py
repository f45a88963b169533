"""A planner's own production lines read back: items and quantities become lots, or a refusal that names the rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.decision_lines import DecisionLines
from models.lot_sizing.lots import Lots, LotState

if TYPE_CHECKING:
    from models.lot_sizing.view import LotView

BESIDE = ("post_inventory", "expected", "expected_cost")  # fields of a decision that follow from its lines
ROUNDED = 2e-4  # how far a quantity may miss what is made, relative to one plus it: documents keep four decimals


@dataclass(frozen=True)
class _Lot:
    """One line: where it stands, what it asks for [units], None: all that can be made."""

    row: int
    item: int
    quantity: float | None


def read_lots(view: LotView, document: object, state: LotState, stage: Tensor) -> Lots:
    """The lots of one decision document; machines that are left out idle, lots follow one another as their lines do.

    `InvalidInput` as `View.read_decision` says.
    """
    read = DecisionLines(document, view.lines_key, view.columns, beside=BESIDE)
    asked = _asked(view, read)
    read.settle()
    proposed = _lots(view, asked, state, stage)
    feasible = view.simulator.repair(state, proposed, stage)
    made = view.simulator.output.course(state, feasible, stage).made[0].tolist()
    moved = {int(repair.field.split("/")[2]): repair for repair in view.repairs(state, proposed, feasible, stage)[0]}
    for place, lot in asked.items():
        if place in moved:
            if feasible.item[0, place] == lot.item:
                read.refuse_moved([(moved[place], lot.row, "quantity")])
            else:
                read.refuse("infeasible", moved[place].rule, lot.row, "item")
        elif lot.quantity is not None and abs(lot.quantity - made[place]) > ROUNDED * (1 + made[place]):
            name = view.items[lot.item]
            detail = f"{view.machines[place]} makes {made[place]:g} of {name} in this period"
            read.refuse("infeasible", f"{detail}{_limit(view)}", lot.row, "quantity")
    read.settle()
    return feasible


def _limit(view: LotView) -> str:
    return " at most" if view.simulator.output.divisible else ", or nothing: lots are all or nothing"


def _asked(view: LotView, read: DecisionLines) -> dict[int, _Lot]:
    """What is asked for, by the lot's place."""
    several = view.plant.lots_per_period
    lines: dict[str, int] = {}
    found: dict[int, _Lot] = {}
    for row, line in read.lines:
        machine = read.word(row, line, "machine", view.plant.machine_place, "a machine")
        if machine is None:
            continue
        item = line.get("item")
        quantity = None if line.get("quantity") is None else read.number(row, line, "quantity")
        if item is None:
            if quantity:
                read.refuse("idle", "a machine without an item makes nothing", row, "quantity")
            continue
        name = read.word(row, line, "item", view.plant.item_place, "an item, or null")
        place = lines.get(machine, 0)
        lines[machine] = place + 1
        if quantity is not None and quantity < 0:
            read.refuse("negative", "must not be negative", row, "quantity")
        if place >= several:
            read.refuse("lots", f"a machine makes at most {several} lots a period", row)
        elif name is not None:
            lot = view.plant.machine_place[machine] * several + place
            found[lot] = _Lot(row, view.plant.item_place[name], quantity)
    return found


def _lots(view: LotView, asked: dict[int, _Lot], state: LotState, stage: Tensor) -> Lots:
    """Items and shares that make the quantities: a lot's share is of what the lots before it leave."""
    output, count = view.simulator.output, len(view.machines)
    item = torch.full((1, count), len(view.plant.items))
    wanted = state.stock.new_zeros((1, count))
    all_of_it = torch.ones((1, count), dtype=torch.bool)
    for place, lot in asked.items():
        item[0, place] = lot.item
        if lot.quantity is not None:
            wanted[0, place], all_of_it[0, place] = lot.quantity, False
    if not output.divisible:
        return Lots(item, wanted.new_zeros((1, 0)))
    share = torch.where(item < len(view.plant.items), 1.0, 0.0).to(wanted)
    position = torch.arange(count) % output.several
    for turn in range(output.several):
        full = output.course(state, Lots(item, share), stage).made
        own = torch.where(full > 0, wanted / full.clamp_min(1e-12), share)
        share = torch.where((position == turn) & ~all_of_it & (item < len(view.plant.items)), own, share)
    return Lots(item, _settled(share))


def _settled(share: Tensor) -> Tensor:
    """Shares that exceed all by rounding alone are all."""
    return torch.where((share > 1) & (share <= 1 + ROUNDED), 1.0, share)
