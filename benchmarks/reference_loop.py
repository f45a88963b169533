"""A plain training loop for one store, or one warehouse with stores: what `benchmarks.speed` compares with.

Written as such loops usually are: scenarios handed out one by one and collated, a period at a time in Python,
pipelines padded to the longest lead time and shifted by concatenation, features concatenated afresh, the graph of the
network built every period, edges that carry the features of both their ends through perceptrons. It is correct: on the
same demand and decisions it costs what `models.inventory_network.simulator` costs (a test). It knows one supplier, at
most one warehouse, receipt before the decision, and costs of holding and shortage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from models.inventory_network.instance import InventoryNetwork

Observation = dict[str, Tensor]
Orders = tuple[Tensor, Tensor]  # into the warehouse (batch, 0 or 1), into the stores (batch, store)


class Scenarios(Dataset[dict[str, Tensor]]):
    """Demand paths and the network's data, sample by sample."""

    def __init__(self, net: InventoryNetwork, demand: Tensor) -> None:
        self.demand = demand.contiguous()  # (scenario, period, store)
        stores = [next(node for node in net.nodes if node.id == name) for name in net.demand_nodes]
        lead = {lane.target: lane.lead_time for lane in net.lanes}
        mean, std = net.demand.moments()
        self.data = {
            "lead_time": torch.tensor([lead[store.id] for store in stores]),
            "holding_cost": torch.tensor([store.holding_cost for store in stores]),
            "shortage_cost": torch.tensor([store.shortage_cost for store in stores]),
            "mean": torch.tensor([float(x) for x in mean]),
            "std": torch.tensor([float(x) for x in std]),
            "lost": torch.tensor([store.unmet_demand == "lost" for store in stores]),
            "stock": torch.tensor([store.initial_on_hand for store in stores]),
        }
        for node in net.nodes:
            if node.kind == "warehouse":
                self.data["warehouse_lead_time"] = torch.tensor([lead[node.id]])
                self.data["warehouse_holding_cost"] = torch.tensor([node.holding_cost])
                self.data["warehouse_stock"] = torch.tensor([node.initial_on_hand])

    def __len__(self) -> int:
        return len(self.demand)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"demand": self.demand[index], **{name: value.clone() for name, value in self.data.items()}}


def batches(scenarios: Scenarios, size: int) -> Iterator[dict[str, Tensor]]:
    """Batches collated sample by sample."""
    yield from DataLoader(scenarios, batch_size=size)


def costs(batch: dict[str, Tensor], decide: Callable[[Observation, int], Orders]) -> Tensor:
    """Total cost of every scenario, all periods (batch,) [money]."""
    observation = _start(batch)
    total = torch.zeros(len(batch["demand"]))
    for period in range(batch["demand"].shape[1]):
        into_warehouse, into_stores = decide(observation, period)
        observation, cost = _step(observation, into_warehouse, into_stores, batch["demand"][:, period])
        total = total + cost
    return total


def _start(batch: dict[str, Tensor]) -> Observation:
    """Column 0 of an inventory is stock on hand, column k what arrives in k periods."""
    observation = {name: value for name, value in batch.items() if name != "demand"}
    longest = int(batch["lead_time"].max())
    empty = torch.zeros(*batch["stock"].shape, max(longest, 1) - 1)
    observation["inventory"] = torch.cat((batch["stock"][..., None], empty), dim=2)
    if "warehouse_stock" in batch:
        longest = int(batch["warehouse_lead_time"].max())
        empty = torch.zeros(*batch["warehouse_stock"].shape, max(longest, 1) - 1)
        observation["warehouse_inventory"] = torch.cat((batch["warehouse_stock"][..., None], empty), dim=2)
    return observation


def _step(seen: Observation, into_warehouse: Tensor, into_stores: Tensor, demand: Tensor) -> tuple[Observation, Tensor]:
    after = dict(seen)
    cost = torch.zeros(len(demand))
    if "warehouse_inventory" in seen:
        left = seen["warehouse_inventory"][:, :, 0] - into_stores.sum(1, keepdim=True)
        cost = cost + (seen["warehouse_holding_cost"] * left).sum(1)
        after["warehouse_inventory"] = _move(
            seen["warehouse_inventory"], left, into_warehouse, seen["warehouse_lead_time"]
        )
    at_once = torch.where(seen["lead_time"] == 0, into_stores, 0.0)
    left = seen["inventory"][:, :, 0] + at_once - demand
    short = (-left).clamp_min(0.0)
    cost = cost + (seen["holding_cost"] * left.clamp_min(0.0) + seen["shortage_cost"] * short).sum(1)
    left = torch.where(seen["lost"], left.clamp_min(0.0), left)
    after["inventory"] = _move(seen["inventory"], left, into_stores, seen["lead_time"])
    return after, cost


def _move(inventory: Tensor, left: Tensor, orders: Tensor, lead_time: Tensor) -> Tensor:
    """One period on: the nearest arrival joins what is left, the order takes the place of its lead time."""
    shifted = torch.cat((inventory[:, :, 1:], torch.zeros_like(inventory[:, :, :1])), dim=2)
    columns = []
    for column in range(shifted.shape[2]):
        new = shifted[:, :, column]
        if column == 0:
            new = new + left
        columns.append(new + torch.where(lead_time == column + 1, orders, 0.0))
    return torch.stack(columns, dim=2)


def ration(asked: Tensor, on_hand: Tensor) -> Tensor:
    """Proportional rationing: everyone gets the same share of what was asked."""
    return asked * (on_hand.clamp_min(0.0) / (asked.sum(1, keepdim=True) + 1e-9)).clamp_max(1.0)


def perceptron(sizes: Sequence[int], last: nn.Module | None = None) -> nn.Sequential:
    """Linear layers from each size to the next, ELU between them, `last` behind the last."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ELU()]
    return nn.Sequential(*layers[:-1], *([] if last is None else [last]))


class PlainPerceptron(nn.Module):
    """All inventories in, all orders out; `hidden` layer widths."""

    def __init__(self, scenarios: Scenarios, hidden: Sequence[int]) -> None:
        super().__init__()
        sample = _start({name: value[None] for name, value in scenarios[0].items()})
        self.stores = sample["inventory"].shape[1]
        inventories = [sample[name] for name in ("inventory", "warehouse_inventory") if name in sample]
        self.warehouses = len(inventories) - 1
        inputs = sum(part.numel() for part in inventories)
        self.network = perceptron((inputs, *hidden, self.stores + self.warehouses))

    def forward(self, seen: Observation, period: int) -> Orders:
        parts = [seen["inventory"].flatten(1)]
        if self.warehouses:
            parts.append(seen["warehouse_inventory"].flatten(1))
        asked = nn.functional.softplus(self.network(torch.cat(parts, dim=1)) + 1.0)
        if not self.warehouses:
            return asked[:, :0], asked
        return asked[:, self.stores :], ration(asked[:, : self.stores], seen["warehouse_inventory"][:, :, 0])


class PlainGraphNetwork(nn.Module):
    """Message passing on nodes and edges, one round: five perceptrons; the graph is made anew every period."""

    def __init__(self, scenarios: Scenarios, hidden: Sequence[int]) -> None:
        super().__init__()
        sample = _start({name: value[None] for name, value in scenarios[0].items()})
        self.window = max(sample["inventory"].shape[2], sample["warehouse_inventory"].shape[2])
        width = hidden[-1]
        self.node = perceptron((self.window + 5, *hidden, width), nn.ELU())
        self.edge = perceptron((2 * width + 1, *hidden, width), nn.ELU())
        self.update_node = perceptron((3 * width, *hidden, width), nn.ELU())
        self.update_edge = perceptron((3 * width, *hidden, width), nn.ELU())
        self.answer = perceptron((width, *hidden, 1))

    def forward(self, seen: Observation, period: int) -> Orders:
        source, target, lead = self._graph(seen)
        nodes = self.node(self._features(seen))
        edges = self.edge(torch.cat((nodes[:, source], nodes[:, target], lead[..., None]), dim=2))
        heard_in = torch.zeros_like(nodes).index_add(1, target, edges)
        heard_out = torch.zeros_like(nodes).index_add(1, source, edges)
        nodes = nodes + self.update_node(torch.cat((nodes, heard_in, heard_out), dim=2))
        edges = edges + self.update_edge(torch.cat((edges, nodes[:, source], nodes[:, target]), dim=2))
        asked = nn.functional.softplus(self.answer(edges)[..., 0] + 5.0)
        return asked[:, :1], ration(asked[:, 1:], seen["warehouse_inventory"][:, :, 0])

    def _graph(self, seen: Observation) -> tuple[Tensor, Tensor, Tensor]:
        """Nodes are the supplier, the warehouse, the stores; an edge a lane."""
        source, target, lead = [0], [1], [seen["warehouse_lead_time"][:, 0]]
        for store in range(seen["inventory"].shape[1]):
            source.append(1)
            target.append(2 + store)
            lead.append(seen["lead_time"][:, store])
        return torch.tensor(source), torch.tensor(target), torch.stack(lead, dim=1) / 10.0

    def _features(self, seen: Observation) -> Tensor:
        stores, warehouse = seen["inventory"], seen["warehouse_inventory"]
        stores = nn.functional.pad(stores, (0, self.window - stores.shape[2]))
        warehouse = nn.functional.pad(warehouse, (0, self.window - warehouse.shape[2]))
        static = torch.stack([seen[name] for name in ("mean", "std", "holding_cost", "shortage_cost")], dim=2)
        static = nn.functional.pad(torch.cat((static, seen["lead_time"][..., None]), dim=2), (0, 0, 2, 0))
        dynamic = torch.cat((torch.zeros_like(warehouse), warehouse, stores), dim=1)
        return torch.cat((dynamic, static), dim=2)


def train_step(policy: nn.Module, batch: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> float:
    """One Adam step on a batch; the mean cost per store and period."""
    mean = costs(batch, policy).mean() / batch["demand"][0].numel()
    optimizer.zero_grad()
    backward: Any = mean.backward
    backward()
    nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
    optimizer.step()
    return float(mean.detach())
