"""Small named networks and a random policy, for the room's tests."""

from collections.abc import Callable
from typing import Any

import torch

from models.inventory_network import PROBLEM
from models.inventory_network.instance import InventoryNetwork
from models.inventory_network.simulator import NetworkSimulator, NetworkState, Orders

EXAMPLES = {example.name: example.document for example in PROBLEM.examples}


def network(document: dict[str, Any]) -> InventoryNetwork:
    """A validated network."""
    return InventoryNetwork.model_validate(document)


def diamond(receipt: str = "before_decision", **changes: Any) -> dict[str, Any]:
    """Two suppliers, a hub, two stores one of which also has a direct lane: every feature of the room at once."""
    document: dict[str, Any] = {
        "problem": "inventory_network",
        "name": "diamond",
        "periods": 12,
        "objective": "profit",
        "receipt": receipt,
        "nodes": [
            {"id": "mine", "kind": "supplier", "throughput_capacity": 14, "throughput_cost": 0.1},
            {"id": "port", "kind": "supplier"},
            {"id": "hub", "kind": "warehouse", "holding_cost": 0.2, "initial_on_hand": 15, "throughput_capacity": 11},
            {
                "id": "east",
                "kind": "store",
                "holding_cost": 1.0,
                "shortage_cost": 6.0,
                "unmet_demand": "lost",
                "price": 3.0,
                "initial_on_hand": 6,
                "storage_capacity": 25,
            },
            {
                "id": "west",
                "kind": "store",
                "holding_cost": 1.5,
                "shortage_cost": 4.0,
                "unmet_demand": "backlogged",
                "price": 2.0,
                "initial_on_hand": -2,
            },
        ],
        "lanes": [
            {"from": "mine", "to": "hub", "lead_time": 2, "unit_cost": 0.5, "initial_in_transit": [3]},
            {"from": "port", "to": "hub", "lead_time": 4, "in_transit_cost": 0.05},
            {"from": "hub", "to": "east", "lead_time": 0},
            {"from": "hub", "to": "west", "lead_time": 1, "capacity": 9},
            {"from": "port", "to": "west", "lead_time": 3, "unit_cost": 0.2},
        ],
        "demand": {
            "process": "normal",
            "correlation": 0.4,
            "nodes": {"east": {"mean": 5, "std": 2}, "west": {"mean": 4, "std": 1.5}},
        },
    }
    return document | changes


def random_orders(simulator: NetworkSimulator, generator: torch.Generator) -> Callable[[NetworkState], Orders]:
    """A policy that asks for uniform quantities up to three times the mean flow of each lane, made feasible."""
    scale = torch.tensor(simulator.layout.lane_flow).to(simulator.dtype) * 3

    def decide(state: NetworkState) -> Orders:
        noise = torch.rand(state.batch, len(scale), generator=generator, dtype=simulator.dtype)
        return simulator.repair(state, Orders(scale * noise), 0)

    return decide
