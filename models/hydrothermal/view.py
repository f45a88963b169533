"""The planner's face of a hydrothermal system: storage and inflow in, a dispatch with its prices out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.core import InvalidInput, Issue
from models.course import Alert, Course
from models.figures import Figure
from models.hydrothermal.course import STAGES
from models.hydrothermal.course import alerts as course_alerts
from models.hydrothermal.course import figures as course_figures
from models.hydrothermal.decision_reader import DispatchReader
from models.hydrothermal.explanation import explained
from models.hydrothermal.instance import HM3_PER_M3S_HOUR, HydrothermalSystem
from models.hydrothermal.layout import Floats
from models.hydrothermal.simulator import Dispatch, HydroSimulator, HydroState
from models.hydrothermal.state_reader import (
    STATE_FILES,
    STATE_OPTIONS,
    StateArrays,
    StateReader,
    read_state_files,
    state_schema,
)
from models.view import Column, Repair, View

DECIMALS = 4
MOVED = 1e-5  # relative to one plus its size, from which a value counts as moved by the repair
MOST_PROBED = 24  # reservoirs whose influence is asked for; more would make an explanation slow
PROBE = 0.01  # share of a reservoir's span that a probe holds more
_RULES = {
    "turbined": "no more water is turbined than there is and the turbines take",
    "spilled": "a reservoir stays between its dead and its full storage",
    "hydro": "hydro generation follows the water turbined",
    "thermal": "a thermal stays within capacity, ramp and fuel, and makes no more than is taken",
    "renewable": "a renewable gives at most what its profile offers, and no more than is taken",
    "flow": "flows keep limits and Kirchhoff's laws, and bring no bus more than its load",
    "loss": "lines lose at least r·f²",
    "deficit": "load that is not met goes unserved",
    "surplus": "must-run generation that nobody takes is surplus",
}


class HydroView(View):
    """State documents ↔ tensors of one system."""

    lines_key = "plants"
    state_files = STATE_FILES
    state_options = STATE_OPTIONS
    course_stages = STAGES
    columns: Sequence[Column] = (
        Column("plant", "Plant"),
        Column("kind", "Kind"),
        Column("bus", "Bus"),
        Column("generation_mw", "Generation", "MW", decided=True),
        Column("turbined_m3s", "Turbined", "m³/s", decided=True),
        Column("spilled_hm3", "Spilled", "hm³", decided=True),
        Column("storage_hm3", "Storage after", "hm³"),
        Column("water_value_per_hm3", "Water value", "money/hm³"),
    )

    def __init__(self, system: HydrothermalSystem) -> None:
        self.system = system
        self.simulator = HydroSimulator(system, counts=False)
        self.layout = self.simulator.layout
        self.lags = self.simulator.inflows.lags
        # A person's lines say nothing of voltages, without which alternating current has no losses.
        self.reads_decisions = system.physics != "ac"

    def _reader(self) -> StateReader:
        return StateReader(self.system, self.layout, self.lags)

    def state_schema(self) -> dict[str, Any]:
        return state_schema(self.system, self._reader().ramped)

    def today(self) -> dict[str, Any]:
        """Initial storage with stage 0's inflow: the one that is known, or else its mean."""
        mean = self.simulator.inflows.means()[0] / self.system.hm3_per_m3s
        ids, ramped = self.layout.hydros, self.layout.ramped
        document: dict[str, Any] = {
            "stage": 0,
            "storage_hm3": dict(zip(ids, self.layout.storage_initial.tolist(), strict=True)),
            "inflow_m3s": {hydro: round(value, 6) for hydro, value in zip(ids, mean.tolist(), strict=True)},
        }
        if self.lags:
            past = self.simulator.inflows.past().flip(0) / self.system.hm3_per_m3s
            document["inflow_history_m3s"] = {h: past[:, k].tolist() for k, h in enumerate(ids)}
        if ramped:
            thermals = self.system.thermals
            document["generation_mw"] = {thermals[g].id: thermals[g].initial_mw for g in ramped}
        return document

    def read_files(self, files: Mapping[str, bytes], options: Mapping[str, str]) -> dict[str, Any]:
        return read_state_files(self.layout, files, options)

    def decode(self, documents: Sequence[object]) -> tuple[HydroState, Tensor]:
        reader = self._reader()
        arrays = reader.arrays(len(documents))
        for row, document in enumerate(documents):
            reader.read(document, arrays, row, (row,), 0)
        if reader.issues:
            raise InvalidInput(reader.issues)
        return self._tensors(arrays)

    def decode_columns(self, columns: Mapping[str, object]) -> tuple[HydroState, Tensor]:
        reader = self._reader()
        rows = reader.count_rows(columns)
        arrays = reader.arrays(rows)
        if not reader.issues:
            reader.read(columns, arrays, slice(None), (), rows)
        if reader.issues:
            raise InvalidInput(reader.issues)
        return self._tensors(arrays)

    def _tensors(self, arrays: StateArrays) -> tuple[HydroState, Tensor]:
        scale = self.system.hm3_per_m3s
        storage = np.clip(arrays.storage, self.layout.storage_min, self.layout.storage_max)
        # An inflow that was not given is taken as the stage's own.
        past = np.where(np.isnan(arrays.past), arrays.inflow[:, None], arrays.past)
        running = arrays.running[:, None] * self.layout.hours[:, None]
        parts = (storage, arrays.inflow * scale, past * scale, running)
        state = HydroState(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts))
        return state, torch.from_numpy(arrays.stage)

    def encode(self, state: HydroState, decision: Dispatch, stage: Tensor) -> list[dict[str, Any]]:
        table = self.encode_columns(state, decision, stage)
        return [self._row(table, row, decision) for row in range(state.batch)]

    def read_decision(self, document: object, state: HydroState, stage: Tensor) -> Dispatch:
        if not self.reads_decisions:
            detail = "dispatches in alternating current are not read back: lines say nothing of voltages"
            raise InvalidInput([Issue("decision", "error", "", detail)])
        return DispatchReader(self).read(document, state, stage)

    def _row(self, table: dict[str, Any], row: int, decision: Dispatch) -> dict[str, Any]:
        """One row's decision document out of the table of all."""
        document: dict[str, Any] = {}
        for name, values in table.items():
            if isinstance(values, dict):
                document[name] = {key: column[row] for key, column in values.items()}
            else:
                document[name] = values[row]
        if self.system.physics == "ac" and not bool((decision.voltage[row] > 0).all()):
            document["voltage_pu"] = document["angle_rad"] = document["reactive_mvar"] = None
        if not bool(decision.priced[row]):
            document["water_value_per_hm3"] = document["marginal_cost_per_mwh"] = None
        if self.layout.num_blocks > 1:
            document["blocks"] = self._blocks(decision, row)
        document["plants"] = self._plants(document)
        return document

    def encode_columns(self, state: HydroState, decision: Dispatch, stage: Tensor) -> dict[str, Any]:
        lay, system, d = self.layout, self.system, decision.to(torch.float64)
        post, costs = self.simulator.decide(state, d, stage)
        hours, thermals = float(lay.hours.sum()), [thermal.id for thermal in system.thermals]
        renewables, lines = [renewable.id for renewable in system.renewables], [line.id for line in system.lines]
        share = torch.from_numpy(lay.hours / hours)[:, None]
        generation = _by(lay.hydros, d.hydro.sum(1) / hours) | _by(thermals, d.thermal.sum(1) / hours)
        own = {"losses_mw": _by(lines, d.loss.sum(1) / hours)} if system.physics in ("dc_losses", "ac") else {}
        if system.physics == "ac":
            own["voltage_pu"] = _by(lay.buses, d.voltage[:, 0])
            own["angle_rad"] = _by(lay.buses, d.angle[:, 0])
            own["reactive_mvar"] = _by([*thermals, *lay.hydros], d.reactive[:, 0])
        return {
            "targets_hm3": _by(lay.hydros, d.target),
            "storage_hm3": _by(lay.hydros, post.storage),
            "turbined_m3s": _by(lay.hydros, d.turbined.sum(1) / system.hm3_per_m3s),
            "spilled_hm3": _by(lay.hydros, d.spilled),
            "generation_mw": generation | _by(renewables, d.renewable.sum(1) / hours),
            "flows_mw": _by(lines, d.flow.sum(1) / hours),
            "deficit_mw": _by(lay.buses, d.deficit.sum((1, 2)) / hours),
            "water_value_per_hm3": _by(lay.hydros, d.water_value),
            "marginal_cost_per_mwh": _by(lay.buses, (d.marginal_cost * share).sum(1)),
            "stage_cost": _rounded(costs.total),
            **own,
        }

    def _blocks(self, d: Dispatch, row: int) -> dict[str, Any]:
        """What differs between the blocks of the stage."""
        lay, system = self.layout, self.system
        thermals, lines = [thermal.id for thermal in system.thermals], [line.id for line in system.lines]
        found = {}
        for k, block in enumerate(lay.blocks):
            hours = float(lay.hours[k])
            made = _one(lay.hydros, d.hydro[row, k] / hours) | _one(thermals, d.thermal[row, k] / hours)
            made |= _one([renewable.id for renewable in system.renewables], d.renewable[row, k] / hours)
            found[block] = {
                "generation_mw": made,
                "turbined_m3s": _one(lay.hydros, d.turbined[row, k] / (HM3_PER_M3S_HOUR * hours)),
                "flows_mw": _one(lines, d.flow[row, k] / hours),
                "deficit_mw": _one(lay.buses, d.deficit[row, k].sum(0) / hours),
                "marginal_cost_per_mwh": _one(lay.buses, d.marginal_cost[row, k]) if bool(d.priced[row]) else None,
            }
        return found

    def _plants(self, document: dict[str, Any]) -> list[dict[str, Any]]:
        """A line per plant."""
        values, lines = document["water_value_per_hm3"], []
        for hydro in self.system.hydros:
            line = {"plant": hydro.id, "kind": "hydro", "bus": hydro.bus}
            line["generation_mw"] = document["generation_mw"][hydro.id]
            line |= {name: document[name][hydro.id] for name in ("turbined_m3s", "spilled_hm3", "storage_hm3")}
            lines.append(line | {"water_value_per_hm3": None if values is None else values[hydro.id]})
        for kind, plants in (("thermal", self.system.thermals), ("renewable", self.system.renewables)):
            for plant in plants:
                empty = dict.fromkeys(("turbined_m3s", "spilled_hm3", "storage_hm3", "water_value_per_hm3"))
                own = {"plant": plant.id, "kind": kind, "bus": plant.bus}
                lines.append({**own, "generation_mw": document["generation_mw"][plant.id], **empty})
        return lines

    def repairs(self, state: HydroState, proposed: Dispatch, feasible: Dispatch, stage: Tensor) -> list[list[Repair]]:
        found: list[list[Repair]] = [[] for _ in range(state.batch)]
        for name, rule in _RULES.items():
            asked, given = getattr(proposed, name).double(), getattr(feasible, name).double()
            size = 1.0 + given.flatten(1).abs().amax(1) if given.shape[1:].numel() else torch.ones(state.batch)
            moved = (asked - given).abs() > MOVED * size.reshape(-1, *([1] * (given.ndim - 1)))
            for place in moved.nonzero().tolist():
                row, *index = place
                want, have = float(asked[tuple(place)]), float(given[tuple(place)])
                where = f"/{name}/{self._name(name, index)}"
                found[row].append(Repair(where, round(want, DECIMALS), round(have, DECIMALS), rule))
        return found

    def _name(self, kind: str, index: Sequence[int]) -> str:
        """Id, and block where there are several, of an entry of a decision's tensor."""
        lay, system = self.layout, self.system
        ids: dict[str, list[str]] = {
            "thermal": [thermal.id for thermal in system.thermals],
            "renewable": [renewable.id for renewable in system.renewables],
            "flow": [line.id for line in system.lines],
            "loss": [line.id for line in system.lines],
            "deficit": lay.buses,
            "surplus": lay.buses,
        }
        own = ids.get(kind, lay.hydros)[index[-1]]
        return own if len(index) == 1 or lay.num_blocks == 1 else f"{own}/{lay.blocks[index[0]]}"

    def probes(self, state: HydroState) -> HydroState | None:
        """Each reservoir in turn a little fuller, or emptier where it is full."""
        plants = len(self.layout.hydros)
        if plants > MOST_PROBED:
            return None
        more = state.map(lambda values: values.expand(plants, *values.shape[1:]).clone())
        span = torch.from_numpy(self.layout.storage_max - self.layout.storage_min) * PROBE
        full = torch.from_numpy(self.layout.storage_max) - state.storage[0] < span
        more.storage.diagonal().add_(torch.where(full, -span, span))
        return more

    def explain(
        self, state: HydroState, decision: Dispatch, stage: Tensor, probed: Sequence[Dispatch | None]
    ) -> list[list[str]]:
        found = []
        for row, document in enumerate(self.encode(state, decision, stage)):
            probe, start = probed[row], state.storage[row]
            ends = torch.tensor(list(document["storage_hm3"].values()), dtype=torch.float64)
            own = state.rows(slice(row, row + 1))
            kept = None if probe is None else self._kept(own, ends, probe, stage[row])
            found.append(explained(self.layout, document, start.numpy(), int(stage[row]), kept))
        return found

    def _kept(self, state: HydroState, ends: Tensor, probe: Dispatch, stage: Tensor) -> Floats:
        """Share of a little more water that each reservoir keeps to the stage's end (hydro,)."""
        variants = self.probes(state)
        assert variants is not None
        plan = probe.to(torch.float64)
        post, _ = self.simulator.decide(variants, plan, stage.expand(variants.batch))
        more = variants.storage.diagonal() - state.storage[0]
        kept: Floats = ((post.storage.diagonal() - ends) / torch.where(more == 0, 1.0, more)).numpy()
        return kept

    def figures(self, course: Course) -> list[Figure]:
        return course_figures(self, course)

    def alerts(self, state: HydroState, decision: Dispatch, stage: Tensor) -> list[list[Alert]]:
        return course_alerts(self, state, decision, stage)

    def warnings(self, documents: Sequence[object]) -> list[list[str]]:
        return [self._notes(document) if isinstance(document, Mapping) else [] for document in documents]

    def _notes(self, document: Mapping[str, Any]) -> list[str]:
        notes = []
        history = document.get("inflow_history_m3s") or {}
        if history and not self.lags:
            notes.append("inflow_history_m3s is not used: inflow in this instance does not depend on the past")
        known = min((len(history.get(hydro, [])) for hydro in self.layout.hydros), default=0)
        if known < self.lags:
            notes.append(
                f"inflow_history_m3s has {known} of the {self.lags} past stages that help to foresee inflow here; "
                "this stage's inflow stands for the rest"
            )
        return notes


def _by(ids: Sequence[str], values: Tensor) -> dict[str, list[float]]:
    """Columns (batch, id) by id, as lists over rows."""
    return dict(zip(ids, _rounded(values.T), strict=True))


def _one(ids: Sequence[str], values: Tensor) -> dict[str, float]:
    return dict(zip(ids, _rounded(values), strict=True))


def _rounded(values: Tensor) -> list[Any]:
    rounded: list[Any] = (torch.round(values.double(), decimals=DECIMALS) + 0.0).tolist()  # no −0
    return rounded
