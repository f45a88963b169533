"""Lot sizing: the optimum where there is a table, the Lagrangian bound, and the look-ahead policy it gives.

    HERENOW_CASE_DATA=… python -m benchmarks.lot_sizing_bounds [--settings 2x1 15x5 …] [--iterations 60] [--tuning 12]
        [--seeds 1] [--scenarios 4096] [--threads 1] [--write benchmarks/lot_sizing_bounds.md]

The published settings over 100 periods from a random start; cost of a scenario, measured beside known. Seconds are
processor time of one thread. Policies are simulated on scenarios their training never saw.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from models.lot_sizing.instance import LotSizing
from models.registry import problem
from solvers.core import Callbacks, TrainRequest
from solvers.draws import scenario_seed
from solvers.lagrangian import LagrangianConfig
from solvers.lagrangian import train as decompose
from solvers.value_iteration import ValueIterationConfig, average_cost
from solvers.value_iteration import train as iterate
from tests.models.published_plants import published

PERIODS = 100
LOTS = problem("lot_sizing")
COLUMNS = (
    "Setting",
    "Optimum",
    "known",
    "Average per period",
    "known",
    "Lagrangian bound",
    "known",
    "training s",
    "Policy",
    "known",
    "gap to bound",
    "ms to simulate a scenario",
    "ms a decision",
)
HEAD = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|"


@dataclass(frozen=True)
class Known:
    """What the problem's page knows of a setting; None where nothing."""

    file: str
    optimum: float | None = None
    average: float | None = None
    bound: float | None = None
    policy: str = ""


KNOWN = {
    "2x1": Known("2items_VI_binomial_1", 392.3329, 3.75169236, 365.67, "426.9"),
    "4x2": Known("4items_2machines", 336.7856, 3.42266366, 299.0, "361.4"),
    "10x5": Known("10items_5machines", None, None, 634.65, "740.0 ± 1.4"),
    "15x5": Known("15items_5machines_t100_i100", None, None, 1379.4, "1,483.5 ± 6.9"),
    "20x10": Known("20items_10machines_t100_i100"),
    "25x10": Known("25items_10machines_t100_i100"),
    "25x15": Known("25items_15machines_t100_i100"),
}


@dataclass(frozen=True)
class Simulated:
    """A policy on scenarios of its own."""

    mean: float
    error: float
    seconds: float  # of the simulation, one thread
    milliseconds: float  # of one decision in one state


def simulate(instance: LotSizing, policy: torch.nn.Module, scenarios: int, seed: int) -> Simulated:
    """Mean cost of a scenario, and what deciding takes."""
    simulator = LOTS.simulator(instance, counts=False)
    draws = torch.Generator().manual_seed(scenario_seed(seed, "evaluation"))
    state, noise = simulator.initial(scenarios, draws), simulator.sample(scenarios, draws)
    first, total = state, torch.zeros(scenarios, dtype=torch.float64)
    started = time.process_time()
    with torch.inference_mode():
        for stage in range(simulator.num_stages):
            post, paid = simulator.decide(state, policy(state, stage), stage)
            state, costs = simulator.realize(post, noise, stage)
            total += paid.total + costs.total
        seconds = time.process_time() - started
        started = time.process_time()
        for row in range(100):
            policy(first.rows(slice(row, row + 1)), 5)
    each = (time.process_time() - started) * 10
    return Simulated(float(total.mean()), float(total.std()) / scenarios**0.5, seconds, each)


def measure(name: str, arguments: argparse.Namespace) -> Iterator[str]:
    """The rows of a setting, one a seed."""
    known = KNOWN[name]
    path = Path(os.environ["HERENOW_CASE_DATA"]) / "lot_sizing" / f"{known.file}.json"
    instance = published(path).model_copy(update={"periods": PERIODS})
    optimum, average = ("", "") if LOTS.finite.refuses(instance) else exact(instance, arguments)
    for seed in range(1, arguments.seeds + 1):
        config = LagrangianConfig(iterations=arguments.iterations, tuning=arguments.tuning)
        started = time.process_time()
        result = decompose(TrainRequest(LOTS, instance, config, seed), Callbacks())
        seconds = time.process_time() - started
        assert result.bound is not None
        bound = result.bound.value_per_stage * PERIODS
        policy = simulate(instance, result.policy, arguments.scenarios, seed)
        cells = (
            name,
            optimum,
            shown(known.optimum, 4),
            average,
            shown(known.average, 8),
            f"{bound:,.2f}",
            shown(known.bound, 2),
            f"{seconds:.0f}",
            f"{policy.mean:,.1f} ± {1.96 * policy.error:.1f}",
            known.policy,
            f"{policy.mean / bound - 1:.1%}",
            f"{1000 * policy.seconds / arguments.scenarios:.1f}",
            f"{policy.milliseconds:.2f}",
        )
        yield f"| {' | '.join(cells)} |"


def exact(instance: LotSizing, arguments: argparse.Namespace) -> tuple[str, str]:
    """The optimum of the horizon with what its policy costs simulated, and the long-run average."""
    started = time.process_time()
    result = iterate(TrainRequest(LOTS, instance, ValueIterationConfig(), 1), Callbacks())
    seconds = time.process_time() - started
    policy = simulate(instance, result.policy, arguments.scenarios, 1)
    cost = float(result.policy.cost) * PERIODS
    average = ""
    if arguments.average:
        found = average_cost(LOTS.finite.of(instance), 1e-8, 20_000)
        average = f"{found.low:.8f}"
    return f"{cost:.4f} ({seconds:.1f} s; simulated {policy.mean:.2f} ± {1.96 * policy.error:.2f})", average


def shown(value: float | None, digits: int) -> str:
    """A known figure, or nothing."""
    return "" if value is None else f"{value:,.{digits}f}"


def main() -> None:
    """Print the table; write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="*", default=list(KNOWN), choices=list(KNOWN))
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--tuning", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--scenarios", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--average", action="store_true", help="The long-run average too: takes a minute on 4x2.")
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = [HEAD]
    print(HEAD)
    for name in arguments.settings:
        for row in measure(name, arguments):
            print(row, flush=True)
            rows.append(row)
    if arguments.write is not None:
        arguments.write.write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
