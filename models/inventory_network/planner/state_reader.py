"""State documents of an inventory network, read into arrays; every rule broken is named by its JSON Pointer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from models.core import Issue, pointer
from models.inventory_network.instance import InventoryNetwork
from models.inventory_network.layout import Layout

Floats = npt.NDArray[np.float64]
STATE_FIELDS = ("period", "date", "on_hand", "expiring", "in_transit", "demand_history")
MAX_QUANTITY = 1e9
MAX_PERIOD = 10**9
LINE_FIELDS = {"from", "to", "quantity"}


@dataclass(frozen=True)
class Places:
    """Where the planner's words lie in the arrays of a state."""

    net: InventoryNetwork
    layout: Layout
    node: dict[str, int]  # stocking node → its place
    store: dict[str, int]  # store → its place
    backlogs: set[str]  # nodes that may be negative
    lane: dict[tuple[str, str], int]
    slot: dict[tuple[int, int], int]  # (lane, periods to the arrival, at the latest) → pipeline slot
    aging: dict[str, slice]  # perishable store → its age slots, least remaining life first
    remembered: int  # past periods of demand that the policy uses; 0 if none

    @classmethod
    def of(cls, net: InventoryNetwork, layout: Layout, remembered: int = 0) -> Places:
        """The places of a network."""
        stocking = layout.nodes[: layout.num_stocking]
        stores = stocking[: layout.num_demand]
        aging, first = {}, 0
        for node in stores:
            if node.shelf_life is not None:
                aging[node.id] = slice(first, first + node.shelf_life - 1)
                first += node.shelf_life - 1
        slots = zip(layout.slot_lane.tolist(), layout.slot_arrival.tolist(), strict=True)
        return cls(
            net=net,
            layout=layout,
            node={node.id: k for k, node in enumerate(stocking)},
            store={node.id: k for k, node in enumerate(stores)},
            backlogs={node.id for node in stores if node.unmet_demand != "lost"},
            lane={(lane.source, lane.target): k for k, lane in enumerate(layout.lanes)},
            slot={place: k for k, place in enumerate(slots)},
            aging=aging,
            remembered=remembered,
        )

    def arrays(self, rows: int) -> StateArrays:
        """Zeros for so many states."""
        ages = sum(place.stop - place.start for place in self.aging.values())
        lay = self.layout
        return StateArrays(
            np.zeros((rows, lay.num_stocking)), np.zeros((rows, len(lay.slot_lane))), np.zeros((rows, ages))
        )


@dataclass(frozen=True)
class StateArrays:
    """A state's numbers (row, column); `of_row` and `columns` are views whose last axis, if any, is the row."""

    stock: Floats  # net inventory [units]
    pipeline: Floats  # goods under way [units]
    aging: Floats  # stock that can be sold for at most 1, 2, … more periods [units], cumulative

    def of_row(self, row: int) -> StateArrays:
        """One state: (column,)."""
        return StateArrays(self.stock[row], self.pipeline[row], self.aging[row])

    @property
    def columns(self) -> StateArrays:
        """All states: (column, row)."""
        return StateArrays(self.stock.T, self.pipeline.T, self.aging.T)


class StateReader:
    """Reads one state document, or one document of columns; every rule broken is added to `issues`."""

    def __init__(self, places: Places, where: tuple[str | int, ...], issues: list[Issue]) -> None:
        self.places = places
        self.where = where
        self.issues = issues
        self.rows: int | None = None  # None for a single document
        self.history: dict[str, list[Any]] = {}  # demand by store, oldest first; by row for columns

    def count_rows(self, columns: Mapping[str, object]) -> int:
        """Number of rows of a columnar document; an issue if no column is an array."""
        on_hand = columns.get("on_hand")
        lengths = [len(v) for v in on_hand.values() if isinstance(v, list)] if isinstance(on_hand, Mapping) else []
        if not lengths or not lengths[0]:
            self._issue("columns", "needs an array of net inventories for every stocking node", "on_hand")
            return 0
        self.rows = lengths[0]
        return lengths[0]

    def read(self, document: object, into: StateArrays) -> Any:
        """Fill the arrays; returns the period(s)."""
        if not isinstance(document, Mapping):
            self._issue("type", "must be an object")
            return 0
        for name in document:
            if name not in STATE_FIELDS:
                self._issue("extra_forbidden", "unknown field", name)
        self._read_stock(document.get("on_hand"), into.stock)
        self._read_expiring(document.get("expiring", {}), into)
        self._read_in_transit(document.get("in_transit", []), into.pipeline)
        self._read_history(document.get("demand_history", {}))
        if "date" in document:
            return self._read_date(document)
        return self._read_period(document.get("period", 0))

    def _read_stock(self, on_hand: object, stock: Floats) -> None:
        if not isinstance(on_hand, Mapping):
            self._issue("missing", "must be an object with the net inventory of every stocking node", "on_hand")
            return
        for node_id in on_hand:
            if node_id not in self.places.node:
                self._issue("unknown_node", "no stocking node has this id", "on_hand", str(node_id))
        for node_id, place in self.places.node.items():
            if node_id not in on_hand:
                self._issue("missing", f"the net inventory of {node_id!r} is missing", "on_hand", node_id)
                continue
            value = self._numbers(on_hand[node_id], "on_hand", node_id)
            if value is None:
                continue
            if np.any(value < 0) and node_id not in self.places.backlogs:
                self._issue("negative", "only a store with backlogged demand can be negative", "on_hand", node_id)
            stock[place] = value

    def _read_expiring(self, expiring: object, into: StateArrays) -> None:
        if not isinstance(expiring, Mapping):
            self._issue("type", "must be an object of arrays by perishable store", "expiring")
            return
        for store, amounts in expiring.items():
            place = self.places.aging.get(store)
            if place is None:
                self._issue("unknown_node", "no store with a shelf life has this id", "expiring", str(store))
                continue
            lives = place.stop - place.start
            if not isinstance(amounts, list) or len(amounts) > lives:
                detail = f"must be an array of at most {lives} amounts, least remaining life first"
                self._issue("type", detail, "expiring", store)
                continue
            total: Any = 0.0
            for life in range(lives):
                value = self._numbers(amounts[life], "expiring", store, life) if life < len(amounts) else 0.0
                if value is None:
                    continue
                if np.any(value < 0):
                    self._issue("negative", "must not be negative", "expiring", store, life)
                total = total + value
                into.aging[place.start + life] = total
            if np.any(total > np.maximum(into.stock[self.places.node[store]], 0.0) + 1e-9):
                self._issue("expiring", "more than is on hand", "expiring", store)

    def _read_in_transit(self, lines: object, pipeline: Floats) -> None:
        if not isinstance(lines, list):
            self._issue("type", "must be an array of goods under way", "in_transit")
            return
        for k, line in enumerate(lines):
            given = set(line) if isinstance(line, Mapping) else set()
            if given not in (LINE_FIELDS | {"arrives_in"}, LINE_FIELDS | {"ordered_ago"}):
                detail = "must be an object with from, to, quantity and either arrives_in or ordered_ago"
                self._issue("type", detail, "in_transit", k)
                continue
            slot = self._slot(line, k)
            value = self._numbers(line["quantity"], "in_transit", k, "quantity")
            if value is not None and np.any(value < 0):
                self._issue("negative", "must not be negative", "in_transit", k, "quantity")
            elif value is not None and slot is not None:
                pipeline[slot] += value

    def _slot(self, line: Mapping[str, object], k: int) -> int | None:
        places, lay = self.places, self.places.layout
        source, target = line["from"], line["to"]
        if not isinstance(source, str) or not isinstance(target, str) or (source, target) not in places.lane:
            self._issue("unknown_lane", "the network has no such lane", "in_transit", k)
            return None
        place = places.lane[source, target]
        lane = lay.lanes[place]
        word = "arrives_in" if "arrives_in" in line else "ordered_ago"
        if lane.random_lead_time is not None and word == "arrives_in":
            detail = "nobody knows when goods on this lane arrive: say how many periods ago they were ordered"
            self._issue("arrives_in", detail, "in_transit", k)
            return None
        given = line[word]
        whole = isinstance(given, int) and not isinstance(given, bool)
        arrival = given if word == "arrives_in" or not whole else lane.lead_time - given  # type: ignore[operator]
        if not whole or (place, arrival) not in places.slot:
            possible = lay.slot_arrival[lay.slot_lane == place]
            if word == "ordered_ago":
                possible = lane.lead_time - possible[::-1]
            span = f"{possible.min()} to {possible.max()}" if len(possible) else "nothing can be under way on this lane"
            self._issue(word, f"must be a whole number of periods this lane can have: {span}", "in_transit", k)
            return None
        return places.slot[place, arrival]  # type: ignore[index]

    def _read_history(self, history: object) -> None:
        if not isinstance(history, Mapping):
            self._issue("type", "must be an object of arrays by store", "demand_history")
            return
        for store, values in history.items():
            if store not in self.places.store:
                self._issue("unknown_node", "no store has this id", "demand_history", str(store))
            elif self.rows is None and self._is_history(values):
                self.history[store] = list(values)
            elif self.rows is not None and isinstance(values, list) and len(values) == self.rows:
                for row, own in enumerate(values):
                    if not self._is_history(own):
                        self._issue("type", "must be an array of demands, none negative", "demand_history", store, row)
                self.history[store] = values
            else:
                detail = "must be an array of demands, none negative" + (", for every row" if self.rows else "")
                self._issue("type", detail, "demand_history", store)

    @staticmethod
    def _is_history(values: object) -> bool:
        return isinstance(values, list) and all(is_number(v) and 0 <= v <= MAX_QUANTITY for v in values)

    def _read_date(self, document: Mapping[str, object]) -> int:
        """The period a date lies in."""
        net, given = self.places.net, document["date"]
        if net.start_date is None:
            self._issue("date", "the instance has no start_date: give the period", "date")
            return 0
        if "period" in document or self.rows is not None:
            self._issue("date", "give either one date or the period", "date")
            return 0
        try:
            days = (date.fromisoformat(given) - date.fromisoformat(net.start_date)).days  # type: ignore[arg-type]
        except (TypeError, ValueError):
            self._issue("date", "must be a day, YYYY-MM-DD", "date")
            return 0
        period = days // net.period_days
        if days < 0 or (not net.is_rolling and period >= net.periods):
            upto = "" if net.is_rolling else f" and within its {net.periods} periods"
            self._issue("date", f"must not be before {net.start_date}{upto}", "date")
            return 0
        return period

    def _read_period(self, period: object) -> Any:
        last = None if self.places.net.is_rolling else self.places.net.periods - 1
        values = np.asarray(period) if isinstance(period, list) and self.rows is not None else None
        if values is not None:
            good = values.ndim == 1 and values.dtype.kind == "i" and len(values) == self.rows
            least, most = (int(values.min()), int(values.max())) if good else (-1, -1)
        else:
            good = isinstance(period, int) and not isinstance(period, bool)
            least = most = period if isinstance(period, int) and good else -1
        if not good or least < 0 or most > (last if last is not None else MAX_PERIOD):
            upto = "" if last is None else f" and at most {last}: the horizon ends there"
            self._issue("period", f"must be a whole number, not negative{upto}", "period")
            return 0
        return period if values is None else values

    def _numbers(self, value: object, *place: str | int) -> Floats | float | None:
        """A finite number, or a column of them; None and an issue otherwise."""
        if self.rows is None:
            if is_number(value) and abs(value) <= MAX_QUANTITY:  # type: ignore[arg-type]
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


def is_number(value: object) -> bool:
    """Whether a JSON value is a finite number."""
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
