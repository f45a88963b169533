"""The planner's face of an inventory network: stock and goods under way in, orders per lane out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.core import InvalidInput, Issue, pointer
from models.inventory_network.instance import InventoryNetwork
from models.inventory_network.simulator import UNLIMITED, NetworkSimulator, NetworkState, Orders
from models.view import Column, Repair, View

Floats = npt.NDArray[np.float64]
STATE_FIELDS = ("period", "on_hand", "in_transit", "demand_history")
DECIMALS = 4  # quantities are given to a ten-thousandth of a unit
MAX_QUANTITY = 1e9


class NetworkView(View):
    """State documents ↔ tensors of one network."""

    columns = (
        Column("from", "From"),
        Column("to", "To"),
        Column("quantity", "Quantity", "units"),
        Column("arrives_in", "Arrives in", "periods"),
    )
    lines_key = "orders"

    def __init__(self, net: InventoryNetwork) -> None:
        self.net = net
        self.simulator = NetworkSimulator(net, counts=False).double()
        lay = self.layout = self.simulator.layout
        stocking = lay.nodes[: lay.num_stocking]
        self.node_place = {node.id: k for k, node in enumerate(stocking)}
        self.backlogs = {n.id for n in stocking[: lay.num_demand] if n.unmet_demand == "backlogged"}
        self.lane_place = {(lane.source, lane.target): k for k, lane in enumerate(lay.lanes)}
        self.slot_place = {
            place: k for k, place in enumerate(zip(lay.slot_lane.tolist(), lay.slot_arrival.tolist(), strict=True))
        }

    def state_schema(self) -> dict[str, Any]:
        ids = list(self.node_place)
        quantity = {"type": "number", "minimum": 0, "maximum": MAX_QUANTITY, "description": "Quantity [units]."}
        line = {
            "type": "object",
            "additionalProperties": False,
            "required": ["from", "to", "arrives_in", "quantity"],
            "properties": {
                "from": {"type": "string"},
                "to": {"type": "string"},
                "arrives_in": {"type": "integer", "minimum": 0, "description": "Periods from now to the arrival."},
                "quantity": quantity,
            },
        }
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": f"State of {self.net.name}",
            "type": "object",
            "additionalProperties": False,
            "required": ["on_hand"],
            "properties": {
                "period": self._period_schema(),
                "on_hand": {
                    "type": "object",
                    "description": "Net inventory of every stocking node [units]; negative is backlog.",
                    "additionalProperties": False,
                    "required": ids,
                    "properties": {node_id: self._stock_schema(node_id) for node_id in ids},
                },
                "in_transit": {"type": "array", "description": "Goods under way.", "items": line},
                "demand_history": {
                    "type": "object",
                    "description": "Past demand by store [units/period], oldest first; not used by these demands.",
                    "additionalProperties": {"type": "array", "items": {"type": "number", "minimum": 0}},
                },
            },
        }

    def _period_schema(self) -> dict[str, Any]:
        schema = {"type": "integer", "minimum": 0, "default": 0, "description": "Current period."}
        return schema if self.net.is_rolling else schema | {"maximum": self.net.periods - 1}

    def _stock_schema(self, node_id: str) -> dict[str, Any]:
        least = -MAX_QUANTITY if node_id in self.backlogs else 0
        return {"type": "number", "minimum": least, "maximum": MAX_QUANTITY}

    def today(self) -> dict[str, Any]:
        lay, under_way = self.layout, self.layout.initial_in_transit()
        lines = [
            {
                "from": lay.lanes[lane].source,
                "to": lay.lanes[lane].target,
                "arrives_in": arrival,
                "quantity": under_way[slot],
            }
            for (lane, arrival), slot in self.slot_place.items()
            if under_way[slot] > 0
        ]
        on_hand = {node.id: node.initial_on_hand for node in self.net.stocking_nodes}
        return {"period": 0, "on_hand": on_hand, "in_transit": lines}

    def decode(self, documents: Sequence[object]) -> tuple[NetworkState, Tensor]:
        lay = self.layout
        issues: list[Issue] = []
        stock = np.zeros((len(documents), lay.num_stocking))
        pipeline = np.zeros((len(documents), len(lay.slot_lane)))
        periods = np.zeros(len(documents), dtype=np.int64)
        for row, document in enumerate(documents):
            reader = _StateReader(self, (row,), issues)
            periods[row] = reader.read(document, stock[row], pipeline[row])
        if issues:
            raise InvalidInput(issues)
        return self._tensors(stock, pipeline), torch.from_numpy(periods)

    def decode_columns(self, columns: Mapping[str, object]) -> tuple[NetworkState, Tensor]:
        lay = self.layout
        issues: list[Issue] = []
        reader = _StateReader(self, (), issues)
        rows = reader.count_rows(columns)
        stock = np.zeros((rows, lay.num_stocking))
        pipeline = np.zeros((rows, len(lay.slot_lane)))
        periods = np.zeros(rows, dtype=np.int64)
        if not issues:
            periods[:] = reader.read(columns, stock.T, pipeline.T)
        if issues:
            raise InvalidInput(issues)
        return self._tensors(stock, pipeline), torch.from_numpy(periods)

    def _tensors(self, stock: Floats, pipeline: Floats) -> NetworkState:
        return NetworkState(torch.from_numpy(stock), torch.from_numpy(pipeline))

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
        lanes = [(lane.source, lane.target, lane.lead_time) for lane in self.layout.lanes]
        return [
            {
                "orders": [
                    {"from": source, "to": target, "quantity": quantity, "arrives_in": lead}
                    for (source, target, lead), quantity in zip(lanes, row, strict=True)
                ]
            }
            for row in self.quantities(state, decision, stage).tolist()
        ]

    def encode_columns(self, state: NetworkState, decision: Orders, stage: Tensor) -> dict[str, Any]:
        values = self.quantities(state, decision, stage)
        return {
            "orders": [
                {"from": lane.source, "to": lane.target, "arrives_in": lane.lead_time, "quantity": column}
                for lane, column in zip(self.layout.lanes, values.T.tolist(), strict=True)
            ]
        }

    def repairs(self, state: NetworkState, proposed: Orders, feasible: Orders, stage: Tensor) -> list[list[Repair]]:
        asked, given = proposed.quantity.double(), feasible.quantity.double()
        moved = (asked - given).abs() > 0.5 * 10**-DECIMALS
        supply = self.simulator.supply(state)
        found: list[list[Repair]] = []
        for row in range(state.batch):
            lines = []
            for k in moved[row].nonzero().flatten().tolist():
                rule = self._binding_rule(k, float(asked[row, k]), supply[row], asked[row])
                lines.append(
                    Repair(
                        pointer("orders", k, "quantity"),
                        round(float(asked[row, k]), DECIMALS),
                        round(float(given[row, k]), DECIMALS),
                        rule,
                    )
                )
            found.append(lines)
        return found

    def _binding_rule(self, lane_place: int, asked: float, supply: Tensor, all_asked: Tensor) -> str:
        lay, lane = self.layout, self.layout.lanes[lane_place]
        if asked < 0:
            return "an order is not negative"
        if lane.capacity is not None and asked > lane.capacity:
            return f"the lane carries at most {lane.capacity:g} units a period"
        source = int(lay.source[lane_place])
        wanted = float(all_asked[torch.from_numpy(lay.source == source)].clamp_min(0).sum())
        limit = float(supply[source])
        if limit < UNLIMITED and wanted > limit:
            return f"{lane.source} can ship {limit:.6g} units now, shared in proportion to what was asked"
        target = lay.nodes[int(lay.target[lane_place])]
        if target.storage_capacity is not None:
            return f"{target.id} may have at most {target.storage_capacity:g} units in stock and on the way"
        return "orders are whole units"

    def explain(self, state: NetworkState, decision: Orders, stage: Tensor) -> list[list[str]]:
        quantities = self.quantities(state, decision, stage)
        return [self._explain_row(state.rows(slice(row, row + 1)), quantities[row]) for row in range(state.batch)]

    def _explain_row(self, state: NetworkState, quantities: Floats) -> list[str]:
        lay = self.layout
        under_way = np.zeros(lay.num_stocking)
        np.add.at(under_way, lay.target[lay.slot_lane], state.pipeline[0].numpy())
        sentences = []
        for k, node in enumerate(lay.nodes[: lay.num_stocking]):
            into = np.flatnonzero(lay.target == k)
            ordered, stock = float(quantities[into].sum()), float(state.net_inventory[0, k])
            flow, lead = float(lay.flow[k]), int(lay.lead_time[into].max())
            cover = (stock + float(under_way[k]) + ordered) / flow if flow > 0 else 0.0
            held = f"holds {stock:.6g}" if stock >= 0 else f"owes {-stock:.6g}"
            sentences.append(
                f"{node.id} {held} and has {under_way[k]:.6g} on the way; with {ordered:.6g} ordered now its position "
                f"covers {cover:.1f} periods of mean demand ({flow:.4g} a period); "
                f"an order takes up to {lead} to arrive."
            )
        return sentences

    def warnings(self, documents: Sequence[object]) -> list[list[str]]:
        note = "demand_history is not used: demand in this instance does not depend on the past"
        return [[note] if isinstance(d, Mapping) and d.get("demand_history") else [] for d in documents]


class _StateReader:
    """Reads one state document, or one document of columns, into arrays whose last axis is the row (if there is one).

    Every rule broken is added to `issues` with its pointer.
    """

    def __init__(self, view: NetworkView, where: tuple[str | int, ...], issues: list[Issue]) -> None:
        self.view = view
        self.where = where
        self.issues = issues
        self.rows: int | None = None  # None for a single document

    def count_rows(self, columns: Mapping[str, object]) -> int:
        """Number of rows of a columnar document; an issue if no column is an array."""
        on_hand = columns.get("on_hand")
        lengths = [len(v) for v in on_hand.values() if isinstance(v, list)] if isinstance(on_hand, Mapping) else []
        if not lengths or not lengths[0]:
            self._issue("columns", "needs an array of net inventories for every stocking node", "on_hand")
            return 0
        self.rows = lengths[0]
        return lengths[0]

    def read(self, document: object, stock: Floats, pipeline: Floats) -> Any:
        """Fill `stock` (node, …) and `pipeline` (slot, …); returns the period(s)."""
        if not isinstance(document, Mapping):
            self._issue("type", "must be an object")
            return 0
        for name in document:
            if name not in STATE_FIELDS:
                self._issue("extra_forbidden", "unknown field", name)
        self._read_stock(document.get("on_hand"), stock)
        self._read_in_transit(document.get("in_transit", []), pipeline)
        self._read_history(document.get("demand_history", {}))
        return self._read_period(document.get("period", 0))

    def _read_stock(self, on_hand: object, stock: Floats) -> None:
        if not isinstance(on_hand, Mapping):
            self._issue("missing", "must be an object with the net inventory of every stocking node", "on_hand")
            return
        for node_id in on_hand:
            if node_id not in self.view.node_place:
                self._issue("unknown_node", "no stocking node has this id", "on_hand", str(node_id))
        for node_id, place in self.view.node_place.items():
            if node_id not in on_hand:
                self._issue("missing", f"the net inventory of {node_id!r} is missing", "on_hand", node_id)
                continue
            value = self._numbers(on_hand[node_id], "on_hand", node_id)
            if value is None:
                continue
            if np.any(value < 0) and node_id not in self.view.backlogs:
                self._issue("negative", "only a store with backlogged demand can be negative", "on_hand", node_id)
            stock[place] = value

    def _read_in_transit(self, lines: object, pipeline: Floats) -> None:
        if not isinstance(lines, list):
            self._issue("type", "must be an array of goods under way", "in_transit")
            return
        for k, line in enumerate(lines):
            if not isinstance(line, Mapping) or set(line) != {"from", "to", "arrives_in", "quantity"}:
                self._issue("type", "must be an object with from, to, arrives_in and quantity", "in_transit", k)
                continue
            slot = self._slot(line, k)
            value = self._numbers(line["quantity"], "in_transit", k, "quantity")
            if value is not None and np.any(value < 0):
                self._issue("negative", "must not be negative", "in_transit", k, "quantity")
            elif value is not None and slot is not None:
                pipeline[slot] += value

    def _slot(self, line: Mapping[str, object], k: int) -> int | None:
        view = self.view
        source, target, arrival = line["from"], line["to"], line["arrives_in"]
        if not isinstance(source, str) or not isinstance(target, str) or (source, target) not in view.lane_place:
            self._issue("unknown_lane", "the network has no such lane", "in_transit", k)
            return None
        lane = view.lane_place[source, target]
        possible = view.layout.slot_arrival[view.layout.slot_lane == lane]
        if not isinstance(arrival, int) or isinstance(arrival, bool) or (lane, arrival) not in view.slot_place:
            span = f"{possible.min()} to {possible.max()}" if len(possible) else "nothing can be under way on this lane"
            self._issue("arrives_in", f"must be a whole number of periods this lane can have: {span}", "in_transit", k)
            return None
        return view.slot_place[lane, arrival]

    def _read_history(self, history: object) -> None:
        if not isinstance(history, Mapping):
            self._issue("type", "must be an object of arrays by store", "demand_history")
            return
        for store, values in history.items():
            if store not in self.view.simulator.store_ids:
                self._issue("unknown_node", "no store has this id", "demand_history", str(store))
            elif not isinstance(values, list) or not all(_is_number(v) and 0 <= v <= MAX_QUANTITY for v in values):
                self._issue("type", "must be an array of demands, none negative", "demand_history", store)

    def _read_period(self, period: object) -> Any:
        last = None if self.view.net.is_rolling else self.view.net.periods - 1
        values = np.asarray(period) if isinstance(period, list) and self.rows is not None else None
        if values is not None:
            good = values.ndim == 1 and values.dtype.kind == "i" and len(values) == self.rows
            least, most = (int(values.min()), int(values.max())) if good else (-1, -1)
        else:
            good = isinstance(period, int) and not isinstance(period, bool)
            least = most = period if isinstance(period, int) and good else -1
        if not good or least < 0 or most > (last if last is not None else 10**9):
            upto = "" if last is None else f" and at most {last}: the horizon ends there"
            self._issue("period", f"must be a whole number, not negative{upto}", "period")
            return 0
        return period if values is None else values

    def _numbers(self, value: object, *place: str | int) -> Floats | float | None:
        """A finite number, or a column of them; None and an issue otherwise."""
        if self.rows is None:
            if _is_number(value) and abs(value) <= MAX_QUANTITY:  # type: ignore[arg-type]
                return float(value)  # type: ignore[arg-type]
            self._issue("number", f"must be a finite number of at most {MAX_QUANTITY:g}", *place)
            return None
        column = _column(value)
        if column is None or len(column) != self.rows:
            self._issue("column", f"must be an array of {self.rows} finite numbers", *place)
            return None
        return column

    def _issue(self, code: str, detail: str, *place: str | int) -> None:
        self.issues.append(Issue(code, "error", pointer(*self.where, *place), detail))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 1e308


def _column(value: object) -> Floats | None:
    if not isinstance(value, list):
        return None
    try:
        column = np.asarray(value)
    except (ValueError, OverflowError):
        return None
    if column.ndim != 1 or column.dtype.kind not in "iuf":
        return None
    exact: Floats = column.astype(np.float64)
    return exact if np.isfinite(exact).all() and np.abs(exact).max(initial=0.0) <= MAX_QUANTITY else None
