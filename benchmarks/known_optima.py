"""HDPO against known optima: one store backlogged (1), one store losing sales (2), lines of stores in series (3).

    python -m benchmarks.known_optima [--truth 1|2|3] [--seeds 3] [--write benchmarks/known_optima.md]

Every policy is rolled beside the optimal one on common scenarios; the gap is their mean paired difference over the
known optimum, ± 95 %. The optimal policy is a base stock (newsvendor over L+1 periods), a table of orders (relative
value iteration) or an echelon base stock (Clark and Scarf); that it costs what is known is shown as well. All shortage
costs and seeds of one network's structure are trained at once (`solvers.ensemble`).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.core import Instance
from models.dynamics import Policy, Stage
from models.inventory_network.examples import one_store_backlogged, one_store_lost, serial_backlogged
from models.inventory_network.simulator import NetworkSimulator, NetworkState, Orders
from models.registry import problem
from solvers.core import Callbacks, TrainRequest
from solvers.ensemble import train_many
from solvers.evaluation import Z95, compare, estimate
from solvers.hdpo import HDPO, HDPOConfig
from tests.oracles.clark_scarf import serial_line
from tests.oracles.demand import poisson
from tests.oracles.lost_sales import lost_sales_policy
from tests.oracles.newsvendor import backlogged_store

INVENTORY = problem("inventory_network")
SHORTAGE_COSTS = (4.0, 9.0, 19.0, 39.0)
SCENARIOS, PERIODS, WARMUP = 4096, 200, 100  # for judging
Document = dict[str, Any]


@dataclass(frozen=True)
class Optimum:
    """The known optimum of an instance and the policy that reaches it."""

    cost: float  # [money/period]
    policy: Callable[[NetworkSimulator], Policy[NetworkState, Orders]]


@dataclass(frozen=True)
class Group:
    """Instances of one structure, trained together."""

    truth: int
    title: str
    target: float  # largest gap wanted [%]
    horizon: int  # periods to train on
    config: HDPOConfig
    documents: dict[float, Document]  # by shortage cost
    optimum: Callable[[float], Optimum]


class Tabulated(Policy[NetworkState, Orders]):
    """Orders of a lost-sales store looked up by its state in whole units."""

    def __init__(self, simulator: NetworkSimulator, table: Any) -> None:
        super().__init__()
        self.simulator, self.table = simulator, torch.as_tensor(np.asarray(table), dtype=torch.long)

    def propose(self, state: NetworkState, stage: Stage) -> Orders:
        columns = torch.cat((state.net_inventory, state.pipeline), dim=1).round().long()
        places = [column.clamp_max(size - 1) for column, size in zip(columns.t(), self.table.shape, strict=True)]
        return Orders(self.table[tuple(places)][:, None].to(state.net_inventory))

    def forward(self, state: NetworkState, stage: Stage) -> Orders:
        return self.propose(state, stage)


def levels(family: str, values: dict[str, float]) -> Callable[[NetworkSimulator], Policy[NetworkState, Orders]]:
    """A base-stock policy with given levels by node [units]."""

    def build(simulator: NetworkSimulator) -> Policy[NetworkState, Orders]:
        policy = HDPO.build(INVENTORY, simulator.net, HDPOConfig(), family)  # type: ignore[misc]
        place = [node.id for node in simulator.layout.nodes[: simulator.num_nodes]]
        with torch.no_grad():
            policy.level.copy_(torch.tensor([values[node] for node in place]) / policy.scale)
        return policy

    return build


def groups() -> Iterator[Group]:
    """Every structure of the three truths."""
    for lead in (1, 4, 10):
        documents = {p: one_store_backlogged(lead, p) for p in SHORTAGE_COSTS}
        yield Group(1, f"one store, backlogged, L={lead}", 0.05, 40 + 3 * lead, STORE, documents, _newsvendor(lead))
    for lead in (1, 2, 3, 4):
        documents = {p: one_store_lost(lead, p) | {"integer_orders": True} for p in SHORTAGE_COSTS}
        yield Group(2, f"one store, lost sales, L={lead}", 0.2, 60, LOST, documents, _value_iteration(lead))
    for lead in (1, 4):
        documents = {p: serial_backlogged(lead, p) for p in SHORTAGE_COSTS}
        optimum = _clark_scarf([lead, 3, 4, 2], [1.0, 0.5, 0.2, 0.1])
        yield Group(3, f"4 in series, L={lead}, 3, 4, 2", 0.2, 80, SERIAL, documents, optimum)
    leads, holding = [4, 3, 2, 3, 1, 4, 2], [1.0, 0.5, 0.4, 0.3, 0.25, 0.2, 0.1]
    documents = {9.0: line(leads, holding, 9.0)}
    yield Group(3, "7 in series", 0.2, 100, SERIAL, documents, _clark_scarf(leads, holding))


_QUICK: dict[str, Any] = {"batch_size": 64, "validation_every": 50, "validation_scenarios": 2048}
STORE = HDPOConfig(iterations=800, width=16, **_QUICK)
LOST = HDPOConfig(iterations=1000, width=32, learning_rate=0.02, **_QUICK)
SERIAL = HDPOConfig(iterations=400, width=16, **_QUICK)


def line(leads: list[int], holding: list[float], shortage_cost: float) -> Document:
    """A serial line, store first."""
    names = ["store", *(f"echelon-{k + 2}" for k in range(len(leads) - 1))]
    document = serial_backlogged(leads[0], shortage_cost)
    nodes: list[Document] = [{"id": "supplier", "kind": "supplier"}]
    lanes: list[Document] = []
    for k, (name, lead, cost) in enumerate(zip(names, leads, holding, strict=True)):
        node: Document = {"id": name, "kind": "warehouse", "holding_cost": cost, "initial_on_hand": 5.0 * (lead + 1)}
        if k == 0:
            node |= {"kind": "store", "shortage_cost": shortage_cost, "unmet_demand": "backlogged"}
        nodes.append(node)
        lanes.append({"from": names[k + 1] if k + 1 < len(names) else "supplier", "to": name, "lead_time": lead})
    return document | {"name": f"serial-{len(leads)}", "nodes": nodes, "lanes": lanes}


def _newsvendor(lead: int) -> Callable[[float], Optimum]:
    def optimum(shortage_cost: float) -> Optimum:
        level, cost = backlogged_store(5.0, 1.6, lead, 1.0, shortage_cost)
        return Optimum(cost, levels("base_stock", {"store": level}))

    return optimum


def _value_iteration(lead: int) -> Callable[[float], Optimum]:
    def optimum(shortage_cost: float) -> Optimum:
        cost, orders = lost_sales_policy(poisson(5.0), lead, 1.0, shortage_cost)
        return Optimum(cost, lambda simulator: Tabulated(simulator, orders))

    return optimum


def _clark_scarf(leads: list[int], holding: list[float]) -> Callable[[float], Optimum]:
    def optimum(shortage_cost: float) -> Optimum:
        found, cost = serial_line(5.0, 2.0, leads, holding, shortage_cost)
        names = ["store", *(f"echelon-{k + 2}" for k in range(len(leads) - 1))]
        return Optimum(cost, levels("echelon_base_stock", dict(zip(names, found, strict=True))))

    return optimum


def measure(group: Group, seeds: int) -> Iterator[str]:
    """Train and judge a group; one line of the table per instance."""
    requests = [
        TrainRequest(INVENTORY, _instance(document, group.horizon, group.horizon // 2), group.config, seed)
        for document in group.documents.values()
        for seed in range(seeds)
    ]
    started = time.process_time()
    results = train_many(requests, Callbacks())
    trained = (time.process_time() - started) / len(requests)
    for k, (shortage_cost, document) in enumerate(group.documents.items()):
        instance = _instance(document, PERIODS, WARMUP)
        simulator = INVENTORY.simulator(instance, counts=False)
        known = group.optimum(shortage_cost)
        policies: dict[str, Policy[Any, Any]] = {"optimal": known.policy(simulator)}
        for seed, result in enumerate(results[k * seeds : (k + 1) * seeds]):
            policy = HDPO.build(INVENTORY, instance, group.config, result.family)  # type: ignore[misc]
            policy.load_state_dict(result.policy.state_dict())
            policies[str(seed)] = policy
        yield _row(group, shortage_cost, known.cost, compare(simulator, policies, seed=5, scenarios=SCENARIOS), trained)


def _instance(document: Document, periods: int, warmup: int) -> Instance:
    return INVENTORY.parse(document | {"periods": periods, "warmup_periods": warmup})


def _row(group: Group, shortage_cost: float, known: float, samples: Any, trained: float) -> str:
    stages = PERIODS - WARMUP
    optimal = samples["optimal"].total / stages
    mean, error = estimate(optimal)
    gaps = [estimate((samples[name].total / stages - optimal) / known) for name in samples if name != "optimal"]
    worst = 100 * max(gap for gap, _ in gaps)
    cost = known * (1 + float(np.mean([gap for gap, _ in gaps])))
    shown = ", ".join(f"{100 * gap:+.3f} ± {100 * Z95 * error:.3f}" for gap, error in gaps)
    verdict = "yes" if worst <= group.target else "NO"
    return (
        f"| {group.truth} | {group.title} | {shortage_cost:g} | {known:.4f} | {mean:.4f} ± {Z95 * error:.4f} | "
        f"{cost:.4f} | {shown} | {group.target:g} | {verdict} | {trained:.1f} |"
    )


HEAD = (
    "| truth | network | p | known optimum | optimal policy, simulated | trained, mean | gap by seed, % | wanted, % "
    "| met | CPU s a run |",
    "|---|---|---|---|---|---|---|---|---|---|",
)


def main() -> None:
    """Print the table; write it as a page if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", type=int, choices=(1, 2, 3), help="one of the three; all if left out")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each instance")
    parser.add_argument("--write", type=Path, help="page to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines = list(HEAD)
    print("\n".join(lines), flush=True)
    started, minutes = time.process_time(), 0.0
    for group in groups():
        if arguments.truth in (None, group.truth):
            for row in measure(group, arguments.seeds):
                print(row, flush=True)
                lines.append(row)
            minutes = (time.process_time() - started) / 60
            if arguments.write:  # what is known so far
                arguments.write.write_text(page(lines, minutes))
    print(f"{minutes:.1f} CPU minutes")


def page(lines: list[str], minutes: float) -> str:
    """The table with what it rests on."""
    text = (__doc__ or "").strip()
    return f"# Known optima\n\n{text}\n\n{minutes:.1f} CPU minutes on one core.\n\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
