"""JSON Schema of a network's states: what `state_reader` takes, in a client's language."""

from __future__ import annotations

from typing import Any

from models.inventory_network.planner.state_reader import MAX_QUANTITY, Places

_QUANTITY = {"type": "number", "minimum": 0, "maximum": MAX_QUANTITY, "description": "Quantity [units]."}


def state_schema(places: Places) -> dict[str, Any]:
    """JSON Schema 2020-12 of one state document, with units."""
    ids = list(places.node)
    properties: dict[str, Any] = {
        "period": _period(places),
        "on_hand": {
            "type": "object",
            "description": "Net inventory of every stocking node [units]; negative is backlog.",
            "additionalProperties": False,
            "required": ids,
            "properties": {node_id: _stock(places, node_id) for node_id in ids},
        },
        "in_transit": {"type": "array", "description": "Goods under way.", "items": _line()},
        "demand_history": {
            "type": "object",
            "description": "Past demand by store [units/period], oldest first"
            + (f"; the last {places.remembered} are used." if places.remembered else "; not used by this demand."),
            "additionalProperties": False,
            "properties": {
                store: {"type": "array", "items": {"type": "number", "minimum": 0}} for store in places.store
            },
        },
    }
    if places.aging:
        properties["expiring"] = _expiring(places)
    if places.net.start_date is not None:
        properties["date"] = {
            "type": "string",
            "format": "date",
            "description": "A day of the current period, instead of `period`.",
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"State of {places.net.name}",
        "type": "object",
        "additionalProperties": False,
        "required": ["on_hand"],
        "properties": properties,
    }


def _period(places: Places) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 0, "default": 0, "description": "Current period."}
    return schema if places.net.is_rolling else schema | {"maximum": places.net.periods - 1}


def _stock(places: Places, node_id: str) -> dict[str, Any]:
    least = -MAX_QUANTITY if node_id in places.backlogs else 0
    return {"type": "number", "minimum": least, "maximum": MAX_QUANTITY}


def _line() -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["from", "to", "quantity"],
        "oneOf": [{"required": ["arrives_in"]}, {"required": ["ordered_ago"]}],
        "properties": {
            "from": {"type": "string"},
            "to": {"type": "string"},
            "arrives_in": {"type": "integer", "minimum": 0, "description": "Periods from now to the arrival."},
            "ordered_ago": {
                "type": "integer",
                "minimum": 0,
                "description": "Periods since it was ordered; needed where lead times are random.",
            },
            "quantity": _QUANTITY,
        },
    }


def _expiring(places: Places) -> dict[str, Any]:
    return {
        "type": "object",
        "description": "Units of `on_hand` that can be sold for 1, 2, … more periods, this one included [units]; the "
        "rest is fresh.",
        "additionalProperties": False,
        "properties": {
            store: {"type": "array", "maxItems": place.stop - place.start, "items": _QUANTITY}
            for store, place in places.aging.items()
        },
    }
