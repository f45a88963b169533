"""The planner's face of a plant: stock and setups in, what every machine makes out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.core import InvalidInput, Issue, pointer
from models.course import Alert, Course
from models.figures import Figure
from models.lot_sizing.course import alerts as course_alerts
from models.lot_sizing.course import figures as course_figures
from models.lot_sizing.instance import LotSizing
from models.lot_sizing.lots import Lots, LotState
from models.lot_sizing.planner.decision_reader import read_lots
from models.lot_sizing.planner.explanation import MachineLine, compared, sentences
from models.lot_sizing.planner.outlook import Forecaster
from models.lot_sizing.planner.schedule import bars
from models.lot_sizing.planner.state_files import STATE_FILES, STATE_OPTIONS, read_state_files
from models.lot_sizing.planner.state_reader import Places, StateArrays, StateReader, count_rows, state_schema
from models.lot_sizing.simulator import LotSimulator
from models.view import Column, Repair, View, plain

DECIMALS = 4  # quantities are given to a ten-thousandth of a unit


class LotView(View):
    """State documents ↔ tensors of one plant."""

    lines_key = "production"
    state_files = STATE_FILES
    state_options = STATE_OPTIONS
    scheduled_periods = 24
    course_stages = 24
    reads_decisions = True
    columns = (
        Column("machine", "Machine"),
        Column("item", "Item", decided=True),
        Column("quantity", "Quantity", "units", decided=True),
        Column("setup_change", "Changeover"),
        Column("setup_cost", "Setup cost", "money"),
    )

    def __init__(self, plant: LotSizing) -> None:
        self.plant = plant
        self.simulator = LotSimulator(plant, counts=False).double()
        self.places = Places.of(plant)
        self.items: list[str | None] = [*(item.id for item in plant.items), None]
        self.machines = [machine.id for machine in plant.machines for _ in range(plant.lots_per_period)]  # by lot
        self.forecaster = Forecaster(self.simulator.layout, self.simulator.tables)

    def state_schema(self) -> dict[str, Any]:
        return state_schema(self.places)

    def today(self) -> dict[str, Any]:
        return {
            "period": 0,
            "inventory": {item.id: item.initial_inventory for item in self.plant.items},
            "setup": {machine.id: machine.initial_setup for machine in self.plant.machines},
        }

    def read_files(self, files: Mapping[str, bytes], options: Mapping[str, str]) -> dict[str, Any]:
        return read_state_files(self.places, files, options)

    def decode(self, documents: Sequence[object]) -> tuple[LotState, Tensor]:
        issues: list[Issue] = []
        arrays = self.places.arrays(len(documents))
        for row, document in enumerate(documents):
            StateReader(self.places, arrays, issues, row, row).read(document)
        return self._tensors(arrays, issues)

    def decode_columns(self, columns: Mapping[str, object]) -> tuple[LotState, Tensor]:
        issues: list[Issue] = []
        arrays = self.places.arrays(count_rows(columns, issues))
        if not issues:
            StateReader(self.places, arrays, issues).read(columns)
        return self._tensors(arrays, issues)

    @staticmethod
    def _tensors(arrays: StateArrays, issues: list[Issue]) -> tuple[LotState, Tensor]:
        if issues:
            raise InvalidInput(issues)
        columns = (torch.from_numpy(np.ascontiguousarray(own.T)) for own in (arrays.stock, arrays.setup, arrays.run))
        return LotState(*columns), torch.from_numpy(arrays.period)

    def encode(self, state: LotState, decision: Lots, stage: Tensor) -> list[dict[str, Any]]:
        post, _ = self.simulator.decide(state, decision, stage)
        post_stock = post.stock.numpy()
        now = self.forecaster.outlook(post_stock, stage.numpy())
        found = []
        for row, lines in enumerate(self._lines(state, decision, stage)):
            setup = sum(line.setup_cost for line in lines)
            cost = {"setup": setup} | {name: float(values[row].sum()) for name, values in now.cost.items()}
            found.append(
                {
                    "production": [_document(line) for line in self._told(lines)],
                    "post_inventory": self._by_item(post_stock[row]),
                    "expected": [
                        {
                            "item": item.id,
                            "demand": _rounded(now.demand[row, k]),
                            "inventory": _rounded(now.stock[row, k]),
                            "short": _rounded(now.short[row, k]),
                            "scrapped": _rounded(now.scrapped[row, k]),
                            "in_stock": _rounded(now.in_stock[row, k]),
                        }
                        for k, item in enumerate(self.plant.items)
                    ],
                    "expected_cost": {name: _rounded(value) for name, value in cost.items()},
                }
            )
        return found

    def read_decision(self, document: object, state: LotState, stage: Tensor) -> Lots:
        return read_lots(self, document, state, stage)

    def _by_item(self, values: Any) -> dict[str, float]:
        return {item.id: _rounded(value) for item, value in zip(self.plant.items, values.tolist(), strict=True)}

    def _lines(self, state: LotState, decision: Lots, stage: Tensor) -> list[list[MachineLine]]:
        """What every machine does, lot by lot, by row."""
        course = self.simulator.output.course(state, decision, stage)
        several = self.plant.lots_per_period
        cost = self.simulator.changeover_costs(course.before, decision.item)
        works = (self.simulator.output.working(stage) > 0).repeat_interleave(several, dim=-1).numpy()
        works = np.broadcast_to(works, decision.item.shape)
        bound = (state.run > 0).numpy() if state.run.shape[1] else np.zeros(decision.item.shape, dtype=bool)
        before, item = course.before.tolist(), decision.item.tolist()
        return [
            [
                MachineLine(
                    name,
                    self.items[before[row][k]],
                    self.items[item[row][k]],
                    float(course.made[row, k]),
                    float(cost[row, k]),
                    bool(works[row, k]),
                    bool(bound[row, k]),
                )
                for k, name in enumerate(self.machines)
            ]
            for row in range(decision.batch)
        ]

    def _told(self, lines: list[MachineLine]) -> list[MachineLine]:
        """Lines worth telling: of several lots a period those that make something, or one that idles."""
        several = self.plant.lots_per_period
        if several == 1:
            return lines
        found: list[MachineLine] = []
        for first in range(0, len(lines), several):
            own = lines[first : first + several]
            found += [line for line in own if line.item is not None] or own[:1]
        return found

    def encode_columns(self, state: LotState, decision: Lots, stage: Tensor) -> dict[str, Any]:
        course = self.simulator.output.course(state, decision, stage)
        quantity, cost = course.made, self.simulator.changeover_costs(course.before, decision.item)
        changed = (decision.item != course.before) & (decision.item < len(self.plant.items))
        post, _ = self.simulator.decide(state, decision, stage)
        lines = [
            {
                "machine": name,
                "item": [self.items[k] for k in decision.item[:, m].tolist()],
                "quantity": torch.round(quantity[:, m], decimals=DECIMALS).tolist(),
                "setup_change": changed[:, m].tolist(),
                "setup_cost": torch.round(cost[:, m], decimals=DECIMALS).tolist(),
            }
            for m, name in enumerate(self.machines)
        ]
        stock = torch.round(post.stock, decimals=DECIMALS)
        return {
            "production": lines,
            "post_inventory": {item.id: stock[:, k].tolist() for k, item in enumerate(self.plant.items)},
        }

    def repairs(self, state: LotState, proposed: Lots, feasible: Lots, stage: Tensor) -> list[list[Repair]]:
        item = proposed.item.clamp(0, len(self.plant.items))
        asked = self.simulator.output.course(state, Lots(item, proposed.share.to(state.stock)), stage).made
        given = self.simulator.output.course(state, feasible, stage).made
        moved = (item != feasible.item) | ((asked - given).abs() > 0.5 * 10**-DECIMALS)
        found: list[list[Repair]] = []
        for row in range(state.batch):
            lines = []
            for m in moved[row].nonzero().flatten().tolist():
                rule = self._binding_rule(state, m, int(item[row, m]), int(feasible.item[row, m]), row, stage)
                where = pointer("production", m, "quantity")
                lines.append(Repair(where, _rounded(asked[row, m]), _rounded(given[row, m]), rule))
            found.append(lines)
        return found

    def _binding_rule(self, state: LotState, machine: int, asked: int, given: int, row: int, stage: Tensor) -> str:
        name, wanted = self.machines[machine], self.items[asked]
        machine //= self.plant.lots_per_period
        working = np.broadcast_to(
            self.simulator.output.working(stage[row : row + 1]).numpy(), (1, len(self.plant.machines))
        )
        if asked == given:
            return "no more than the full output, the components in stock, and not less than nothing"
        if wanted is not None and wanted not in self.places.able[name]:
            return f"{name} cannot make {wanted}"
        if working[0, machine] <= 0:
            return f"{name} does not work this period"
        if state.run.shape[1] and int(state.run[row, machine]) > 0:
            return f"{name} must go on with {self.items[int(state.setup[row, machine])]} for its minimum run"
        if self.plant.lots_per_period > 1:
            return f"the hours that are left do not suffice to change {name} over to {wanted}"
        return f"the components of {wanted} are not in stock"

    def probes(self, state: LotState) -> None:
        return None

    def explain(self, state: LotState, decision: Lots, stage: Tensor, probed: Sequence[Lots | None]) -> list[list[str]]:
        post, _ = self.simulator.decide(state, decision, stage)
        now = self.forecaster.outlook(post.stock.numpy(), stage.numpy())
        stock = state.stock.numpy()
        return [
            sentences(self.plant, self._told(lines), stock[row], now, row)
            for row, lines in enumerate(self._lines(state, decision, stage))
        ]

    def compare(self, state: LotState, decision: Lots, stage: Tensor, alternatives: Tensor) -> list[list[str]]:
        costs = alternatives[:, :: 2 if self.simulator.output.divisible else 1, : len(self.items)].tolist()
        found = []
        for row, lines in enumerate(self._lines(state, decision, stage)):
            chosen = decision.item[row].tolist()
            told = (compared(line, self.items, costs[row][m], chosen[m]) for m, line in enumerate(lines))
            found.append([sentence for sentence in told if sentence is not None])
        return found

    def schedule(self, steps: Sequence[tuple[LotState, Lots, Tensor]]) -> list[dict[str, Any]]:
        plans = [self._lines(state, decision, stage)[0] for state, decision, stage in steps]
        return bars([int(stage[0]) for _, _, stage in steps], plans, self.plant.lots_per_period)

    def figures(self, course: Course) -> list[Figure]:
        return course_figures(self, course)

    def alerts(self, state: LotState, decision: Lots, stage: Tensor) -> list[list[Alert]]:
        return course_alerts(self, state, decision, stage)

    def warnings(self, documents: Sequence[object]) -> list[list[str]]:
        return [self._notes(document) if isinstance(document, Mapping) else [] for document in documents]

    def _notes(self, document: Mapping[str, Any]) -> list[str]:
        notes, stock = [], document["inventory"]
        for item in self.plant.items:
            if item.inventory_max is not None and stock[item.id] > item.inventory_max:
                notes.append(
                    f"stock of {item.id} ({plain(stock[item.id])}) is above its limit ({plain(item.inventory_max)}): "
                    "what is still over it after demand is scrapped"
                )
            if item.backlog_max is not None and -stock[item.id] > item.backlog_max:
                notes.append(
                    f"backlog of {item.id} ({plain(-stock[item.id])}) is beyond {plain(item.backlog_max)}: it is lost"
                )
        return notes


def _document(line: MachineLine) -> dict[str, Any]:
    return {
        "machine": line.machine,
        "item": line.item,
        "quantity": _rounded(line.quantity),
        "setup_change": line.item is not None and line.item != line.before,
        "setup_cost": _rounded(line.setup_cost),
    }


def _rounded(value: Any) -> float:
    return round(float(value), DECIMALS) + 0.0
