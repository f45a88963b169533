"""CSV files become an instance, or a state: demand history, stock on hand, goods in transit, planned prices."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Any, cast, get_args

from models.core import Importer, InvalidInput, Issue, pointer
from models.csv_table import DATE_ORDERS, Decimal, Row, Table, read_table
from models.inventory_network.instance import InventoryNetwork, Lane, Node, state_slots
from models.inventory_network.planner.history_csv import (
    PRICE,
    Duplicates,
    History,
    HistoryOptions,
    Missing,
    read_history,
)

Document = dict[str, Any]

FILES = {
    "instance": "JSON: the network. Its demand may be left out, or hold what the history does not say (block, …).",
    "history?": "CSV: date or period, then a column per store and price:<store> for prices; "
    "or date, node, quantity, and price or not.",
    "planned_prices?": "CSV: date or period, then price:<store> columns; or date, node, price. "
    "Needed if the history has prices.",
    "on_hand?": "CSV: node, on_hand[, remaining_life]. Net inventory; negative is backlog.",
    "in_transit?": "CSV: from, to, quantity and one of arrives_in, arrives_on, ordered_ago, ordered_on.",
}
OPTIONS = {
    "missing": "A period or cell that the history lacks: error (default), or zero: no demand, at the last known price.",
    "duplicates": "Several rows of one period and store in a long history: error (default), or sum.",
    "dates": "Order of a date's parts: ymd (YYYY-MM-DD, default), dmy or mdy.",
    "decimal": "Decimal mark: point or comma. Default: comma where it does not separate cells and numbers have one.",
}


def read_instance(files: Mapping[str, bytes], options: Mapping[str, str]) -> Document:
    """The instance document that the files make together. `InvalidInput` names the file, line, column and rule.

    The network's JSON is completed: demand from the history, initial stock and goods under way from theirs. Dates of
    arrival count from the network's `start_date`, which is the day after the history if the JSON has none.
    """
    document = _json(files["instance"])
    words = _Options(options)
    if "history" in files:
        _add_history(document, files, words)
    elif "planned_prices" in files:
        raise _refused("planned_prices", "needs a history with prices")
    if "on_hand" in files or "in_transit" in files:
        network = _network(document)
        if "on_hand" in files:
            _add_on_hand(document, network, _stock(_table("on_hand", files, words), network))
        if "in_transit" in files:
            today = date.fromisoformat(network.start_date) if network.start_date else None
            lines = _under_way(_table("in_transit", files, words), network, words, today)
            _add_in_transit(document, network, lines)
    return document


def read_state(
    network: InventoryNetwork, files: Mapping[str, bytes], options: Mapping[str, str], period: int = 0
) -> Document:
    """The state document, as `recommend` takes it, of a period: from `on_hand`, `in_transit` and `history` files."""
    words = _Options(options)
    if "on_hand" not in files:
        raise _refused("on_hand", "is missing: the net inventory of every stocking node")
    state: Document = {"period": period}
    stock = _stock(_table("on_hand", files, words), network, complete=True)
    state["on_hand"] = {node_id: sum(lives.values()) for node_id, lives in stock.items()}
    expiring = {node.id: _expiring(stock[node.id]) for node in network.stocking_nodes if node.id in stock}
    if any(expiring.values()):
        state["expiring"] = {node_id: amounts for node_id, amounts in expiring.items() if amounts}
    today = network.timeline.day(period)
    if "in_transit" in files:
        lines = _under_way(_table("in_transit", files, words), network, words, today)
        state["in_transit"] = [
            {"from": lane.source, "to": lane.target, word: span, "quantity": quantity}
            for lane, word, span, quantity in lines
        ]
    if "history" in files:
        state["demand_history"] = _recent(files, words, network, today)
    return state


STATE_FILES = {
    "on_hand": FILES["on_hand?"],
    "in_transit?": FILES["in_transit?"],
    "history?": "CSV of recent demand: as the history of an instance.",
}
STATE_OPTIONS = OPTIONS | {
    "period": "The current period; 0 if neither it nor a date is given.",
    "date": "A day of the current period, YYYY-MM-DD, for networks with a start_date.",
}


def read_state_files(network: InventoryNetwork, files: Mapping[str, bytes], options: Mapping[str, str]) -> Document:
    """`read_state` with the period among the options. `InvalidInput` names option, file, line, column and rule."""
    words = {name: word for name, word in options.items() if name not in ("period", "date")}
    return read_state(network, files, words, _current_period(network, options))


def _current_period(network: InventoryNetwork, options: Mapping[str, str]) -> int:
    period, day = options.get("period"), options.get("date")
    if period is not None and day is not None:
        raise InvalidInput([Issue("option", "error", "/date", "give either the period or a date")])
    if day is None:
        if not re.fullmatch(r"[0-9]{1,9}", period or "0"):
            raise InvalidInput([Issue("option", "error", "/period", "must be a whole number, not negative")])
        return int(period or 0)
    if network.start_date is None:
        raise InvalidInput([Issue("option", "error", "/date", "the network has no start_date: give the period")])
    try:
        days = (date.fromisoformat(day) - date.fromisoformat(network.start_date)).days
    except ValueError:
        raise InvalidInput([Issue("option", "error", "/date", "must be a day, YYYY-MM-DD")]) from None
    if days < 0:
        raise InvalidInput([Issue("option", "error", "/date", f"must not be before {network.start_date}")])
    return days // network.period_days


class _Options:
    """The importer's options, checked."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self.missing = cast(Missing, _choice(words, "missing", get_args(Missing)))
        self.duplicates = cast(Duplicates, _choice(words, "duplicates", get_args(Duplicates)))
        self.dates = _choice(words, "dates", DATE_ORDERS)
        marks: dict[str, Decimal | None] = {"auto": None, "point": ".", "comma": ","}
        self.decimal = marks[_choice(words, "decimal", ("auto", "point", "comma"))]

    def history(self, period_days: int) -> HistoryOptions:
        """How a history of periods of so many days is read."""
        return HistoryOptions(self.missing, self.duplicates, self.dates, period_days)


def _choice(words: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    word = words.get(name, allowed[0])
    if word not in allowed:
        raise InvalidInput([Issue("option", "error", pointer(name), f"must be one of {', '.join(allowed)}")])
    return word


def _refused(part: str, detail: str) -> InvalidInput:
    return InvalidInput([Issue("import", "error", pointer(part), detail)])


def _table(part: str, files: Mapping[str, bytes], words: _Options) -> Table:
    return read_table(part, files[part], words.decimal)


def _json(data: bytes) -> Document:
    def no_constant(name: str) -> None:
        raise ValueError(f"{name} is no number of JSON")

    def once(pairs: list[tuple[str, Any]]) -> Document:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key is given twice in one object")
        return found

    try:
        document = json.loads(data.decode("utf-8-sig"), parse_constant=no_constant, object_pairs_hook=once)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise _refused("instance", f"is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise _refused("instance", "must be an object: the network")
    return document


def _network(document: Document) -> InventoryNetwork:
    """The network a document makes so far."""
    from pydantic import ValidationError

    from models.core import issues_of

    try:
        return InventoryNetwork.model_validate(document)
    except ValidationError as error:
        raise InvalidInput(issues_of(error, document=document)) from None


def _add_history(document: Document, files: Mapping[str, bytes], words: _Options) -> None:
    stores = [
        node["id"]
        for node in _list(document, "nodes")
        if isinstance(node, dict) and node.get("kind") == "store" and isinstance(node.get("id"), str)
    ]
    if not stores:
        raise _refused("instance", "has no stores, so a history cannot be theirs")
    days = document.get("period_days", 1)
    if not isinstance(days, int) or isinstance(days, bool) or days < 1:
        raise InvalidInput([Issue("period_days", "error", "/period_days", "must be a whole number of at least 1")])
    options = words.history(days)
    history = read_history(_table("history", files, words), stores, options)
    demand = document.get("demand", {})
    if not isinstance(demand, dict) or demand.get("process", "empirical") != "empirical":
        raise InvalidInput([Issue("demand", "error", "/demand", "must be left out, or of process empirical")])
    for name in ("nodes", "history", "prices", "first_date"):
        if name in demand:
            raise InvalidInput([Issue("demand", "error", pointer("demand", name), "comes from the history file")])
    demand = {"process": "empirical", **demand, "nodes": stores, "history": history.demand}
    if history.first is not None:
        demand["first_date"] = history.first.isoformat()
        last = date.fromordinal(history.first.toordinal() + days * len(history.demand))
        document.setdefault("start_date", last.isoformat())
    if history.prices is not None:
        demand["prices"] = history.prices
        if "planned_prices" in files:
            demand["planned_prices"] = _planned(document, files, words, stores, options)
        elif "planned_prices" not in demand:
            raise _refused("planned_prices", "is missing: the history has prices, so planned ones are needed too")
    elif "planned_prices" in files:
        raise _refused("planned_prices", "needs a history with prices")
    document["demand"] = demand


def _list(document: Document, name: str) -> list[Any]:
    found = document.get(name)
    return found if isinstance(found, list) else []


def _planned(
    document: Document, files: Mapping[str, bytes], words: _Options, stores: list[str], options: HistoryOptions
) -> list[list[float]]:
    """Planned prices, which begin with period 0."""
    table = _table("planned_prices", files, words)
    planned = read_planned(table, stores, options)
    start = document.get("start_date")
    if planned.first is not None and planned.first.isoformat() != start:
        table.refusals.add("date", f"begins on {planned.first}, period 0 on {start}")
        table.refusals.check()
    if planned.first is None and planned.first_period != 0:
        table.refusals.add("period", f"begins with period {planned.first_period}, not 0")
        table.refusals.check()
    return planned.demand


def read_planned(table: Table, stores: list[str], options: HistoryOptions) -> History:
    """A table of prices alone, long (node, price) or wide (price:<store>, or a column per store)."""
    bare = tuple(re.sub(f"^{PRICE}", "", column, flags=re.IGNORECASE) for column in table.columns)
    if len({column.casefold() for column in bare}) < len(bare):
        table.refusals.add("column", f"has a store's column and its {PRICE} column; only prices belong here", 1)
        table.refusals.check()
    own = Table(bare, table.rows, table.decimal, table.refusals)
    strict = HistoryOptions("error", "error", options.dates, options.period_days)
    planned = read_history(own, stores, strict, what="price")
    if any(price <= 0 for row in planned.demand for price in row):
        table.refusals.add("number", "a price must be above zero")
        table.refusals.check()
    return planned


FRESH = 0
_Stock = dict[str, dict[int, float]]
"""Node → remaining life (FRESH also for what does not perish) → units."""


def _stock(table: Table, network: InventoryNetwork, complete: bool = False) -> _Stock:
    """Net inventory of nodes by what is left of its life; all nodes must be there if `complete`."""
    node_column, on_hand, life_column = table.need("node"), table.need("on_hand"), table.find("remaining_life")
    table.only(["node", "on_hand", "remaining_life"])
    known = {node.id.casefold(): node for node in network.stocking_nodes}
    found: _Stock = {}
    for row in table:
        node = known.get(row.cells[node_column].casefold())
        if node is None:
            row.refuse("unknown_node", "is no node of the network that holds stock", node_column)
            continue
        owes = node.kind == "store" and node.unmet_demand != "lost"
        quantity = row.number(on_hand, least=-1e9 if owes else 0.0)
        life = _life(row, node, life_column)
        if quantity is None or life is None:
            continue
        lives = found.setdefault(node.id, {})
        if life in lives:
            row.refuse("duplicate", "the node is there twice with the same remaining life", node_column)
        lives[life] = quantity
    if complete:
        for node in network.stocking_nodes:
            if node.id not in found:
                table.refusals.add("missing", f"has no row for the node {node.id}")
    table.refusals.check()
    return found


def _life(row: Row, node: Node, column: str | None) -> int | None:
    """Remaining life in a row; None if it is refused."""
    if column is None or not row.cells[column]:
        return FRESH
    life = row.whole(column, least=1)
    if life is None:
        return None
    if node.shelf_life is None or life > node.shelf_life:
        limit = "has no shelf life" if node.shelf_life is None else f"has a shelf life of {node.shelf_life} periods"
        row.refuse("remaining_life", f"the node {limit}", column)
        return None
    return FRESH if life == node.shelf_life else life


def _expiring(lives: Mapping[int, float]) -> list[float]:
    """Units that last 1, 2, … more periods; empty if all is fresh."""
    return [lives.get(life, 0.0) for life in range(1, max(lives, default=FRESH) + 1)]


def _add_on_hand(document: Document, network: InventoryNetwork, stock: _Stock) -> None:
    places = {node.id: k for k, node in enumerate(network.nodes)}
    nodes = [dict(node) for node in document["nodes"]]
    for node_id, lives in stock.items():
        nodes[places[node_id]]["initial_on_hand"] = sum(lives.values())
        if expiring := _expiring(lives):
            nodes[places[node_id]]["initial_expiring"] = expiring
    document["nodes"] = nodes


_Line = tuple[Lane, str, int, float]
"""Lane, arrives_in or ordered_ago, that many periods, units."""

_SPANS = ("arrives_in", "arrives_on", "ordered_ago", "ordered_on")


def _under_way(table: Table, network: InventoryNetwork, words: _Options, today: date | None) -> list[_Line]:
    """Goods under way; several rows of one lane and period are several shipments."""
    source, target, quantity = table.need("from"), table.need("to"), table.need("quantity")
    spans = [name for name in _SPANS if table.find(name)]
    if len(spans) != 1:
        table.refusals.add("column", f"needs one of the columns {', '.join(_SPANS)}", 1)
    table.only(["from", "to", "quantity", *spans])
    column = table.need(spans[0])
    if spans[0].endswith("_on") and today is None:
        table.refusals.add("start_date", f"{spans[0]} needs a network with a start_date", 1)
        table.refusals.check()
    lanes = {(lane.source.casefold(), lane.target.casefold()): lane for lane in network.lanes}
    found: list[_Line] = []
    for row in table:
        lane = lanes.get((row.cells[source].casefold(), row.cells[target].casefold()))
        amount = row.number(quantity)
        if lane is None:
            row.refuse("unknown_lane", "the network has no lane between these nodes", source)
            continue
        span = _span(row, column, words, today, network.period_days)
        if span is None or amount is None:
            continue
        word = "arrives_in" if spans[0].startswith("arrives") else "ordered_ago"
        if _possible(row, column, lane, network, word, span):
            found.append((lane, word, span, amount))
    table.refusals.check()
    return found


def _span(row: Row, column: str, words: _Options, today: date | None, period_days: int) -> int | None:
    """Periods until the arrival, or since the order."""
    if not column.casefold().endswith("_on"):
        return row.whole(column)
    day = row.day(column, words.dates)
    if day is None or today is None:
        return None
    gap = (day - today).days if column.casefold().startswith("arrives") else (today - day).days
    if gap < 0 or gap % period_days:
        way = "after" if column.casefold().startswith("arrives") else "before"
        row.refuse("date", f"is not a whole number of periods ({period_days} days) {way} {today}", column)
        return None
    return gap // period_days


def _possible(row: Row, column: str, lane: Lane, network: InventoryNetwork, word: str, span: int) -> bool:
    """Whether goods on the lane can be that far."""
    if word == "arrives_in" and lane.random_lead_time is not None:
        detail = "nobody knows when goods on this lane arrive: say when they were ordered (ordered_ago, ordered_on)"
        row.refuse("arrives_in", detail, column)
        return False
    first = 1 if network.receipt == "before_decision" else 0
    slots = state_slots(lane.lead_time, network.receipt)
    arrival = span if word == "arrives_in" else lane.lead_time - span
    if not first <= arrival < first + slots:
        bounds = (
            (first, first + slots - 1)
            if word == "arrives_in"
            else (lane.lead_time - slots - first + 1, lane.lead_time - first)
        )
        span_text = f"{bounds[0]} to {bounds[1]} periods" if slots else "nothing can be under way on this lane"
        row.refuse(word, f"goods on this lane can be only so far: {span_text}", column)
        return False
    return True


def _add_in_transit(document: Document, network: InventoryNetwork, lines: list[_Line]) -> None:
    places = {(lane.source, lane.target): k for k, lane in enumerate(network.lanes)}
    lanes = [dict(lane) for lane in document["lanes"]]
    first = 1 if network.receipt == "before_decision" else 0
    for own in lanes:
        own.pop("initial_in_transit", None)
    for lane, word, span, quantity in lines:
        own = lanes[places[lane.source, lane.target]]
        place = (span if word == "arrives_in" else lane.lead_time - span) - first
        under_way = own.setdefault("initial_in_transit", [])
        under_way += [0.0] * (place + 1 - len(under_way))
        under_way[place] += quantity
    document["lanes"] = lanes


def _recent(
    files: Mapping[str, bytes], words: _Options, network: InventoryNetwork, today: date | None
) -> dict[str, list[float]]:
    """Past demand by store, which must end right before the current period."""
    table = _table("history", files, words)
    history = read_history(table, network.demand_nodes, words.history(network.period_days))
    if history.first is not None and today is not None:
        end = history.first.toordinal() + network.period_days * len(history.demand)
        if end != today.toordinal():
            detail = f"ends before {date.fromordinal(end)}; it must end right before the current period, {today}"
            table.refusals.add("date", detail)
            table.refusals.check()
    return dict(zip(network.demand_nodes, map(list, zip(*history.demand, strict=True)), strict=True))


IMPORTERS = (Importer("csv", "A network in JSON, its history and stock in CSV", FILES, read_instance, OPTIONS),)
