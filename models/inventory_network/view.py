"""The planner's face of an inventory network: stock and goods under way in, orders per lane out."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.core import InvalidInput, Issue, pointer
from models.course import Alert, Course
from models.decision_lines import DecisionLines
from models.figures import Figure
from models.inventory_network.course import STAGES
from models.inventory_network.course import alerts as course_alerts
from models.inventory_network.course import figures as course_figures
from models.inventory_network.instance import InventoryNetwork
from models.inventory_network.layout import Layout
from models.inventory_network.ordering import UNLIMITED
from models.inventory_network.planner.explanation import Explainer, Situation, levels
from models.inventory_network.planner.importers import STATE_FILES, STATE_OPTIONS, read_state_files
from models.inventory_network.planner.state_reader import Places, StateArrays, StateReader
from models.inventory_network.planner.state_schema import state_schema
from models.inventory_network.simulator import NetworkSimulator, NetworkState, Orders
from models.view import Column, Repair, View, plain

Floats = npt.NDArray[np.float64]
DERIVED = ("arrives_in_between", "arrives_in_on_average", "arrives_on")  # of a line, beside its columns
DECIMALS = 4  # quantities are given to a ten-thousandth of a unit
MAX_PROBED_NODES = 100  # nodes whose sensitivity is asked for; more would make an explanation slow


class NetworkView(View):
    """State documents ↔ tensors of one network."""

    lines_key = "orders"
    state_files = STATE_FILES
    state_options = STATE_OPTIONS
    course_stages = STAGES
    reads_decisions = True

    def __init__(self, net: InventoryNetwork) -> None:
        self.net = net
        self.simulator = NetworkSimulator(net, counts=False).double()
        self.layout: Layout = self.simulator.layout
        self.places = Places.of(net, self.layout, self.simulator.memory.needed)
        lanes = self.layout.lanes
        self.start = date.fromisoformat(net.start_date) if net.start_date else None
        self.columns: Sequence[Column] = (
            Column("from", "From"),
            Column("to", "To"),
            Column("quantity", "Quantity", "units", decided=True),
            Column("arrives_in", "Arrives in", "periods"),
            *([Column("arrives_on", "Arrives on")] if self.start else []),
        )
        self._lines = [_line(lane) for lane in lanes]
        self._leads = [lane.lead_time for lane in lanes]
        profile = net.demand.profile(net.timeline)
        profile = profile.columns([net.demand.node_ids.index(store) for store in self.simulator.store_ids])
        self.moments = profile.at
        self._explainer = Explainer(net, self.layout, profile.at)

    def state_schema(self) -> dict[str, Any]:
        return state_schema(self.places)

    def today(self) -> dict[str, Any]:
        lay, under_way = self.layout, self.layout.initial_in_transit()
        lines = []
        for (lane, arrival), slot in self.places.slot.items():
            if under_way[slot] > 0:
                own = lay.lanes[lane]
                when = (
                    {"arrives_in": arrival}
                    if own.random_lead_time is None
                    else {"ordered_ago": own.lead_time - arrival}
                )
                lines.append({"from": own.source, "to": own.target, **when, "quantity": under_way[slot]})
        document: dict[str, Any] = {
            "period": 0,
            "on_hand": {node.id: node.initial_on_hand for node in self.net.stocking_nodes},
            "in_transit": lines,
        }
        expiring = {node.id: list(node.initial_expiring) for node in self.net.stocking_nodes if node.initial_expiring}
        return document | ({"expiring": expiring} if expiring else {})

    def read_files(self, files: Mapping[str, bytes], options: Mapping[str, str]) -> dict[str, Any]:
        return read_state_files(self.net, files, options)

    def decode(self, documents: Sequence[object]) -> tuple[NetworkState, Tensor]:
        issues: list[Issue] = []
        arrays = self.places.arrays(len(documents))
        periods = np.zeros(len(documents), dtype=np.int64)
        histories = []
        for row, document in enumerate(documents):
            reader = StateReader(self.places, (row,), issues)
            periods[row] = reader.read(document, arrays.of_row(row))
            histories.append(reader.history)
        if issues:
            raise InvalidInput(issues)
        return self._tensors(arrays, histories, periods), torch.from_numpy(periods)

    def decode_columns(self, columns: Mapping[str, object]) -> tuple[NetworkState, Tensor]:
        issues: list[Issue] = []
        reader = StateReader(self.places, (), issues)
        rows = reader.count_rows(columns)
        arrays = self.places.arrays(rows)
        periods = np.zeros(rows, dtype=np.int64)
        if not issues:
            periods[:] = reader.read(columns, arrays.columns)
        if issues:
            raise InvalidInput(issues)
        histories = [{store: own[row] for store, own in reader.history.items()} for row in range(rows)]
        return self._tensors(arrays, histories, periods), torch.from_numpy(periods)

    def _tensors(
        self, arrays: StateArrays, histories: Sequence[Mapping[str, list[float]]], periods: npt.NDArray[np.int64]
    ) -> NetworkState:
        remembered = self.simulator.memory.read_all(histories, torch.from_numpy(periods)).double()
        return NetworkState(
            torch.from_numpy(arrays.stock),
            torch.from_numpy(arrays.pipeline),
            torch.from_numpy(arrays.aging),
            remembered,
        )

    def quantities(self, state: NetworkState, decision: Orders, stage: Tensor) -> Floats:
        """Orders (batch, lane) in ten-thousandths, rounded down where rounding up would ship what is not there."""
        exact = decision.quantity.double()
        rounded = torch.round(exact, decimals=DECIMALS)
        over = self.simulator.violation(state, Orders(rounded), stage) > 1e-9
        # The nudge keeps 5.2, held as 5.19999999…, from becoming 5.1999.
        down = torch.floor(exact * 10**DECIMALS + 1e-6) / 10**DECIMALS
        values: Floats = torch.where(over[:, None], down, rounded).clamp_min(0.0).numpy()
        return values

    def encode(self, state: NetworkState, decision: Orders, stage: Tensor) -> list[dict[str, Any]]:
        quantities = self.quantities(state, decision, stage)
        stock, under_way = state.net_inventory.numpy(), self._under_way(state)
        documents = []
        for row, ordered in enumerate(quantities):
            lines = [line | {"quantity": q} for line, q in zip(self._lines, ordered.tolist(), strict=True)]
            if self.start is not None:
                for line, lead in zip(lines, self._leads, strict=True):
                    line["arrives_on"] = self.day(int(stage[row]) + lead)
            documents.append({"orders": lines, "levels": levels(self.layout, stock[row], under_way[row], ordered)})
        return documents

    def read_decision(self, document: object, state: NetworkState, stage: Tensor) -> Orders:
        """Lanes that are left out order nothing."""
        read = DecisionLines(document, self.lines_key, self.columns, DERIVED, ("levels",))
        asked = np.zeros(self.layout.num_lanes)
        rows: dict[int, int] = {}
        for row, line in read.lines:
            lane = self._lane_of(read, row, line)
            if lane in rows:
                read.refuse("duplicate", f"line {rows[lane]} is for the same lane", row)
            elif lane is not None:
                rows[lane] = row
                asked[lane] = read.number(row, line, "quantity")
        read.settle()
        proposed = Orders(torch.from_numpy(asked)[None])
        feasible = self.simulator.repair(state, proposed, stage)
        moved = self.repairs(state, proposed, feasible, stage)[0]
        read.refuse_moved([(repair, rows[int(repair.field.split("/")[2])], "quantity") for repair in moved])
        read.settle()
        return feasible

    def _lane_of(self, read: DecisionLines, row: int, line: Mapping[str, Any]) -> int | None:
        source, target = line.get("from"), line.get("to")
        if isinstance(source, str) and isinstance(target, str) and (source, target) in self.places.lane:
            return self.places.lane[source, target]
        read.refuse("unknown_lane", "the network has no such lane", row)
        return None

    def day(self, period: int) -> str:
        """First day of a period, of a network with dates."""
        assert self.start is not None
        return (self.start + timedelta(days=period * self.net.period_days)).isoformat()

    def _under_way(self, state: NetworkState) -> Floats:
        """Goods on their way to every stocking node (batch, node) [units]."""
        lay = self.layout
        total = np.zeros((lay.num_stocking, state.batch))
        np.add.at(total, lay.target[lay.slot_lane], state.pipeline.numpy().T)
        return total.T

    def encode_columns(self, state: NetworkState, decision: Orders, stage: Tensor) -> dict[str, Any]:
        values = self.quantities(state, decision, stage)
        return {"orders": [line | {"quantity": own} for line, own in zip(self._lines, values.T.tolist(), strict=True)]}

    def repairs(self, state: NetworkState, proposed: Orders, feasible: Orders, stage: Tensor) -> list[list[Repair]]:
        asked, given = proposed.quantity.double(), feasible.quantity.double()
        moved = (asked - given).abs() > 0.5 * 10**-DECIMALS
        supply = self.simulator.supply(state)
        found: list[list[Repair]] = []
        for row in range(state.batch):
            lines = []
            for k in moved[row].nonzero().flatten().tolist():
                want, have = float(asked[row, k]), float(given[row, k])
                rule = self._binding_rule(k, want, have, supply[row], asked[row])
                lines.append(
                    Repair(pointer("orders", k, "quantity"), round(want, DECIMALS), round(have, DECIMALS), rule)
                )
            found.append(lines)
        return found

    def _binding_rule(self, lane_place: int, asked: float, given: float, supply: Tensor, all_asked: Tensor) -> str:
        lay, lane = self.layout, self.layout.lanes[lane_place]
        if asked < 0:
            return "an order is not negative"
        if lane.capacity is not None and asked > lane.capacity:
            return f"the lane carries at most {plain(lane.capacity)} units a period"
        source = int(lay.source[lane_place])
        wanted = float(all_asked[torch.from_numpy(lay.source == source)].clamp_min(0).sum())
        limit = float(supply[source])
        if limit < UNLIMITED and wanted > limit and given < asked:
            return f"{lane.source} can ship {plain(limit)} units now, shared in proportion to what was asked"
        if asked < lane.minimum_order:
            return f"an order on this lane is none or at least {plain(lane.minimum_order)} units"
        if lane.lot_multiple is not None:
            return f"orders on this lane are multiples of {plain(lane.lot_multiple)} units"
        target = lay.nodes[int(lay.target[lane_place])]
        if target.storage_capacity is not None and given < asked:
            return f"{target.id} may have at most {plain(target.storage_capacity)} units in stock and on the way"
        return "orders are whole units"

    def probes(self, state: NetworkState) -> NetworkState | None:
        nodes = self.layout.num_stocking
        if nodes > MAX_PROBED_NODES:
            return None
        more = state.map(lambda values: values.expand(nodes, -1).clone())
        more.net_inventory.diagonal().add_(1.0)
        return more

    def explain(
        self, state: NetworkState, decision: Orders, stage: Tensor, probed: Sequence[Orders | None]
    ) -> list[list[str]]:
        quantities = self.quantities(state, decision, stage)
        stock, under_way, aging = state.net_inventory.numpy(), self._under_way(state), state.aging.numpy()
        found = []
        for row, ordered in enumerate(quantities):
            probe = probed[row]
            # Stock that lasts one period more at most lies in a perishable store's first age slot.
            expiring = {s: float(aging[row, at.start]) for s, at in self.places.aging.items() if at.stop > at.start}
            sensitivity = None if probe is None else self._sensitivity(probe, decision.quantity[row])
            now = Situation(int(stage[row]), stock[row], under_way[row], expiring, ordered, sensitivity)
            found.append(self._explainer.sentences(now))
        return found

    def _sensitivity(self, probe: Orders, decided: Tensor) -> Floats:
        """Change of what is ordered into each node for one unit more in its stock (N,)."""
        lay = self.layout
        change = (probe.quantity.double() - decided.double()).numpy()  # (N, E)
        own = np.where(lay.target == np.arange(lay.num_stocking)[:, None], change, 0.0)
        total: Floats = own.sum(1)
        return total

    def figures(self, course: Course) -> list[Figure]:
        return course_figures(self, course)

    def alerts(self, state: NetworkState, decision: Orders, stage: Tensor) -> list[list[Alert]]:
        return course_alerts(self, state, decision, stage)

    def warnings(self, documents: Sequence[object]) -> list[list[str]]:
        return [self._notes(document) if isinstance(document, Mapping) else [] for document in documents]

    def _notes(self, document: Mapping[str, Any]) -> list[str]:
        notes, needed = [], self.places.remembered
        history = document.get("demand_history") or {}
        if history and not needed:
            notes.append("demand_history is not used: demand in this instance does not depend on the past")
        known = min((len(history.get(store, [])) for store in self.places.store), default=0)
        if known < needed:
            notes.append(
                f"demand_history has {known} of the {needed} past periods that help to foresee demand here; "
                "mean demand stands for the rest"
            )
        missing = [store for store in self.places.aging if store not in (document.get("expiring") or {})]
        if missing:
            notes.append(f"expiring is not given for {', '.join(missing)}: all stock there counts as fresh")
        return notes


def _line(lane: Any) -> dict[str, Any]:
    """What every order on a lane has in common; the quantity is added."""
    line = {"from": lane.source, "to": lane.target, "quantity": 0.0, "arrives_in": lane.lead_time}
    if lane.random_lead_time is not None:
        line["arrives_in_between"] = [lane.random_lead_time.values[0], lane.random_lead_time.values[-1]]
        line["arrives_in_on_average"] = round(lane.random_lead_time.mean, 4)
    return line
