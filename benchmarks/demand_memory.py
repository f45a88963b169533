"""What it is worth to remember past demand: policies that see none of it, a few periods, or a smoothed level too.

    python -m benchmarks.demand_memory [--iterations 400] [--seeds 1] [--write benchmarks/demand_memory.md]

One store, backlogged, lead time 2, p = 9 h, whose history hangs together: drawn in blocks of 30 periods. *quick*: an
AR(1) level of .85 under little noise; *slow*: one of .97 under noise as large as itself: one period says little.
Costs per period on 4,096 scenarios that no training saw, the same for all; intervals are of the paired difference.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from models.inventory_network.demand.history import Empirical
from models.registry import problem
from solvers.core import Callbacks, TrainRequest
from solvers.evaluation import Sample, Scenarios, interval, roll_out
from solvers.hdpo import HDPOConfig, train

INVENTORY = problem("inventory_network")
SCENARIOS, SCENARIO_SEED = 4_096, 990_001
HISTORIES = {"quick": (0.85, 6.0, 1.5), "slow": (0.97, 4.0, 4.0)}


def history(keeps: float, swing: float, noise: float, rows: int = 1_200) -> list[list[float]]:
    """Demand around 20: a level that keeps a share of itself from period to period, under noise."""
    rng = np.random.default_rng(1)
    level, found = 0.0, []
    for _ in range(rows):
        level = keeps * level + np.sqrt(1 - keeps**2) * rng.normal()
        found.append([round(max(20 + swing * level + noise * rng.normal(), 0.0), 3)])
    return found


def document(name: str, forecast: bool) -> dict[str, Any]:
    """One store whose demand is that history, in blocks."""
    store = {"holding_cost": 1.0, "shortage_cost": 9.0, "unmet_demand": "backlogged", "initial_on_hand": 60}
    demand: dict[str, Any] = {"process": "empirical", "nodes": ["store"], "history": history(*HISTORIES[name])}
    demand |= {"block": 30} | ({"forecast": "exponential_smoothing"} if forecast else {})
    return {
        "problem": "inventory_network",
        "name": f"memory-{name}",
        "periods": 60,
        "warmup_periods": 20,
        "nodes": [{"id": "supplier", "kind": "supplier"}, {"id": "store", "kind": "store", **store}],
        "lanes": [{"from": "supplier", "to": "store", "lead_time": 2}],
        "demand": demand,
    }


def costs(name: str, family: str, iterations: int, seed: int, forecast: bool = False) -> np.ndarray[Any, Any]:
    """Cost per period (scenario,) of a policy trained from this seed."""
    instance = INVENTORY.parse(document(name, forecast))
    rate = {"learning_rate": 0.05} if family == "base_stock" else {}
    config = HDPOConfig(family=family, iterations=iterations, validation_scenarios=1_024, **rate)
    policy = train(TrainRequest(INVENTORY, instance, config, seed), Callbacks()).policy
    simulator = INVENTORY.simulator(instance, counts=False)
    sample = Sample()
    roll_out(simulator, policy, next(iter(Scenarios(simulator, SCENARIO_SEED, SCENARIOS))), sample)
    return sample.total / (simulator.num_stages - simulator.first_reported_stage)


def rows(iterations: int, seeds: int) -> Iterator[str]:
    """The table, line by line."""
    yield "| history | seed | base stock | network, no memory | last 4 periods | and a smoothed level | memory saves |"
    yield "|---|---|---|---|---|---|---|"
    for name in HISTORIES:
        for seed in range(1, seeds + 1):
            rule = costs(name, "base_stock", iterations, seed)
            with patch.object(Empirical, "window", 0):
                blind = costs(name, "mlp", iterations, seed)
            window = costs(name, "mlp", iterations, seed)
            level = costs(name, "mlp", iterations, seed, forecast=True)
            saved = (blind - level) / blind.mean()
            low, high = interval(float(saved.mean()), float(saved.std() / np.sqrt(len(saved))))
            figures = " | ".join(f"{found.mean():.3f}" for found in (rule, blind, window, level))
            yield f"| {name} | {seed} | {figures} | {low:.1%} to {high:.1%} |"


def main() -> None:
    """Print the table, and write it with its command if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = []
    for line in rows(options.iterations, options.seeds):
        print(line, flush=True)
        lines.append(line)
    if options.write:
        command = f"python -m benchmarks.demand_memory --iterations {options.iterations} --seeds {options.seeds}"
        options.write.write_text(
            f"# What remembering demand is worth\n\n{__doc__}\n`{command}`\n\n" + "\n".join(lines) + "\n"
        )


if __name__ == "__main__":
    main()
