"""A plant drawn: which machine makes what and how fast, what changeovers take, what is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from models.fans import drawn_stages, fan
from models.figures import MOST_STAGES, Fact, Figure, Link, Matrix, Network, Node, fan_scenarios, largest, shown
from models.lot_sizing.demand.process import History
from models.lot_sizing.demand.sampling import DemandSampler
from models.lot_sizing.demand.tables import DemandTables, demand_tables
from models.lot_sizing.instance import LotSizing
from models.lot_sizing.layout import Floats, Layout, compile_layout

MOST_ROWS = 60  # machines, and items, of a matrix
MOST_PAIRED = 6  # machines whose changeovers are shown pair by pair
COLUMNS = (
    "Mean demand [units/period]",
    "Stock at the start [units]",
    "Stock limit [units]",
    "Holding cost [money/unit/period]",
    "Lost sale [money/unit]",
    "Backlog cost [money/unit/period]",
    "Machines",
    "Busy share of them",
)
SEED = 20_240_503


def draw(plant: LotSizing) -> list[Figure]:
    """Capabilities, changeovers, items, bill of materials, and the demand of the largest items."""
    lay, tables = compile_layout(plant), demand_tables(plant)
    mean = tables.means.mean(0)
    items = largest(range(len(plant.items)), mean.tolist(), MOST_ROWS)
    machines = list(range(len(plant.machines)))[:MOST_ROWS]
    found: list[Figure] = [_capabilities(plant, lay, machines, items), _setups(plant, lay, machines, items)]
    if lay.changeover_cost is not None:
        found += [_pairs(plant, lay, m, items) for m in _paired(plant, lay)]
    found.append(_items(plant, lay, mean, items))
    if plant.bill_of_materials:
        found.append(_bill(plant))
    return [*found, *_demand(plant, tables, mean)]


def _matrix(
    plant: LotSizing,
    key: str,
    title: str,
    caption: str,
    values: Floats,
    lay: Layout,
    machines: list[int],
    items: list[int],
    unit: str,
) -> Matrix:
    """A table (machine, item), empty where a machine cannot make an item."""
    caption = shown(caption, len(items), len(plant.items), "items with the largest demand")
    caption = shown(caption, len(machines), len(plant.machines), "first machines")
    cells = tuple(tuple(float(values[m, i]) if lay.can_make[m, i] else None for i in items) for m in machines)
    names = tuple(plant.machines[m].id for m in machines), tuple(plant.items[i].id for i in items)
    return Matrix(key, title, caption, rows=names[0], columns=names[1], values=cells, unit=unit)


def _capabilities(plant: LotSizing, lay: Layout, machines: list[int], items: list[int]) -> Figure:
    caption = "What a machine makes of an item in a full period; empty where it cannot make it."
    return _matrix(
        plant, "capabilities", "Production rates", caption, lay.production, lay, machines, items, "units/period"
    )


def _setups(plant: LotSizing, lay: Layout, machines: list[int], items: list[int]) -> Figure:
    caption = "What a changeover to an item costs."
    if lay.changeover_cost is not None:
        caption = "What a changeover to an item costs, unless the item before makes it another cost."
    return _matrix(plant, "setups", "Changeover costs", caption, lay.setup_cost, lay, machines, items, "money")


def _paired(plant: LotSizing, lay: Layout) -> list[int]:
    named = {own.machine for own in plant.changeovers}
    return [m for m, machine in enumerate(plant.machines) if machine.id in named][:MOST_PAIRED]


def _pairs(plant: LotSizing, lay: Layout, machine: int, items: list[int]) -> Figure:
    assert lay.changeover_cost is not None
    own, table = plant.machines[machine].id, lay.changeover_cost[machine]
    able = [i for i in items if lay.can_make[machine, i]]
    before = [*able, len(plant.items)]
    cells = tuple(tuple(None if i == j else float(table[i, j]) for j in able) for i in before)
    names = [item.id for item in plant.items] + ["nothing"]
    return Matrix(
        f"changeovers/{own}",
        f"Changeover costs of {own}",
        "What it costs to go from an item (row) to another (column).",
        "changeovers",
        rows=tuple(names[i] for i in before),
        columns=tuple(names[j] for j in able),
        values=cells,
        unit="money",
    )


def _items(plant: LotSizing, lay: Layout, mean: Floats, items: list[int]) -> Figure:
    """What every item is, one row each; units in the headings."""
    able = lay.can_make.sum(0)
    fastest = lay.production.sum(0)
    cells = []
    for i in items:
        limit = float(lay.inventory_max[i])
        busy = float(mean[i] / fastest[i]) if fastest[i] > 0 else None
        cells.append(
            (
                float(mean[i]),
                float(lay.initial_inventory[i]),
                limit if math.isfinite(limit) else None,
                float(lay.holding_cost[i]),
                float(lay.lost_sales_cost[i]),
                float(lay.backlog_cost[i]) if plant.is_backlogged(plant.items[i]) else None,
                float(able[i]),
                busy,
            )
        )
    caption = "Busy share: mean demand over all that the item's machines would make of it if they made nothing else."
    caption = shown(caption, len(items), len(plant.items), "items with the largest demand")
    rows = tuple(plant.items[i].id for i in items)
    return Matrix("items", "Items", caption, rows=rows, columns=COLUMNS, values=tuple(cells))


def _bill(plant: LotSizing) -> Figure:
    """Components on the left, what is made of them to the right."""
    lines = plant.bill_of_materials
    tiers = dict.fromkeys((line.component for line in lines), 0) | dict.fromkeys((line.item for line in lines), 0)
    for _ in tiers:  # the rules refuse items made of themselves, so so many passes settle all
        for line in lines:
            tiers[line.item] = max(tiers[line.item], tiers[line.component] + 1)
    made = {line.item for line in lines}
    nodes = tuple(
        Node(item, item, "made of others" if item in made else "component", tier, ()) for item, tier in tiers.items()
    )
    links = tuple(
        Link(own.component, own.item, f"{own.quantity:g}", "consumed", (Fact("Consumed", own.quantity, "units/unit"),))
        for own in lines
    )
    caption = "What one unit of an item consumes of others, from left to right."
    return Network("bill_of_materials", "Bill of materials", caption, nodes=nodes, links=links)


def _demand(plant: LotSizing, tables: DemandTables, mean: Floats) -> Iterator[Figure]:
    stages = drawn_stages(plant.periods)
    batch = fan_scenarios(stages * len(plant.items))
    paths = DemandSampler(tables)(batch, stages, torch.Generator().manual_seed(SEED), torch.float32).numpy()
    kept = largest(range(len(plant.items)), mean.tolist())
    for i in kept:
        item = plant.items[i]
        past = item.demand.history[-MOST_STAGES:] if isinstance(item.demand, History) else []
        caption = "What was asked for, and what may be: half of all scenarios lie in the inner band."
        if not past:
            caption = "What may be asked for: half of all scenarios lie in the inner band, nine in ten in the outer."
        caption = shown(caption, len(kept), len(plant.items), "items with the largest demand")
        own = paths[:, :, i]
        key, title = f"demand/{item.id}", f"Demand of {item.id}"
        yield fan(key, title, caption, own, unit="units", x_title="period", past=past, group="demand")
