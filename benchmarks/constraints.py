"""Training against the optimum of every constraint: what it leaves on the table, on common scenarios.

    OMP_NUM_THREADS=1 python -m benchmarks.constraints [NAME …] [--seeds 0 1 2] [--keep FOLDER] [--jobs N]

prints the rows of docs/problems/constraints.md. The policy trained on an instance and the optimal one
(`tests.oracles.constrained`) see the same scenarios. Targets in expectation enter at their exact price:
cost + Σ λ slack is at least the optimum for any policy, so one that misses a target a little gains nothing by it.
Half a CPU-minute an instance and seed; `--jobs`, `--keep` and `--collect` as in `benchmarks.networks_of_paper`.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch

from benchmarks.cells import Cell, Kept, run_all
from models.registry import problem
from solvers.core import Callbacks, Config, Solver, TrainRequest
from solvers.evaluation import Z95, estimate
from solvers.hdpo import HDPO, HDPOConfig
from solvers.search import CROSS_ENTROPY, CrossEntropyConfig
from tests.models.ruled_policy import RuledPolicy, simulate
from tests.oracles.constrained import CASES

INVENTORY = problem("inventory_network")
SCENARIOS = 65_536
LENGTH = {"periods": 40, "warmup_periods": 12}  # shorter than where the optimum itself is simulated: training time

# HDPO's network serves every constraint but a fixed order cost, which has no useful gradient: there a rule is searched.
Training = tuple[Solver, Config]
LEARNED: Training = (HDPO, HDPOConfig(iterations=300))
SEARCHED: Training = (CROSS_ENTROPY, CrossEntropyConfig(family="reorder_point"))
FAMILIES = {"mlp": LEARNED, "reorder_point": SEARCHED}


def families(name: str) -> tuple[str, ...]:
    """The policies that are trained on a case, the one that serves it first."""
    return ("reorder_point", "mlp") if name.startswith("fixed-order-cost") else ("mlp",)


@dataclass(frozen=True)
class Measured:
    """What training left on the table."""

    gap: float  # of the optimum
    error: float  # its standard error
    slack: dict[str, float]  # [units/period] of constraints in expectation


def measure(name: str, family: str, seed: int) -> Measured:
    """Train on a case and compare with its optimal policy."""
    solver, config = FAMILIES[family]
    case = CASES[name]()
    instance = INVENTORY.parse(case.document | LENGTH)
    assert solver.train is not None
    trained = solver.train(TrainRequest(INVENTORY, instance, config, seed), Callbacks())
    assert trained.family == family
    simulator = INVENTORY.simulator(instance)
    generator = torch.Generator().manual_seed(5)
    state, noise = simulator.initial(SCENARIOS, generator), simulator.sample(SCENARIOS, generator)
    priced, slack = [], dict[str, float]()
    for policy in (RuledPolicy(simulator, case), trained.policy):
        cost, slacks = simulate(simulator, policy, state, noise)
        priced.append(cost + sum(case.prices[promise] * missed for promise, missed in slacks.items()))
        slack = {promise: float(np.mean(missed)) for promise, missed in slacks.items()}
    gap, error = estimate((priced[1] - priced[0]) / case.optimum)
    return Measured(gap, error, slack)


def measured(kept: Kept, name: str, family: str, seed: int) -> list[list[float]]:
    """Gap and its standard error, and the slacks in their order."""

    def make() -> list[list[float]]:
        found = measure(name, family, seed)
        return [[found.gap, found.error], list(found.slack.values())]

    return kept.costs(f"constraint-{name}-{family}-{seed}", make)


def row(kept: Kept, name: str, family: str, seeds: Sequence[int]) -> str:
    """A line of the table: the mean over seeds with its interval, and the worst of them."""
    case = CASES[name]()
    simulator = INVENTORY.simulator(INVENTORY.parse(case.document | LENGTH))
    found = [measured(kept, name, family, seed) for seed in seeds]
    gaps = [gap for (gap, _), _ in found]
    error = statistics.fmean(error for (_, error), _ in found)  # the seeds are judged on the same scenarios
    if len(gaps) > 1:
        error = math.hypot(error, statistics.stdev(gaps) / math.sqrt(len(gaps)))
    slacks = zip(case.prices, *(slack for _, slack in found), strict=True)
    missed = "".join(f", {promise} slack at most {max(units):+.4f}" for promise, *units in slacks)
    relaxes = "; ".join(simulator.relaxes) or "nothing"
    mean = f"{100 * statistics.fmean(gaps):+.2f} ± {100 * Z95 * error:.2f} %, worst {100 * max(gaps):+.2f} %"
    return f"| {name} | {case.optimum:.4f} | {case.how} | `{family}` | {mean}{missed} | {relaxes} |"


def table(kept: Kept, names: Sequence[str], seeds: Sequence[int]) -> Iterator[str]:
    """Every line."""
    yield f"| instance | optimum | computed by | policy | gap over {len(seeds)} seeds | training relaxes |"
    yield "|---|---|---|---|---|---|"
    for name in names:
        for family in families(name):
            yield row(kept, name, family, seeds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CASES)}; all if left out")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of training")
    parser.add_argument("--keep", type=Path, help="folder of what was trained and judged before")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side (needs --keep)")
    parser.add_argument("--collect", action="store_true", help="train nothing: the table of what is kept")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    names = arguments.names or list(CASES)
    kept = Kept(arguments.keep, complete=arguments.collect)
    if arguments.jobs > 1:
        if arguments.keep is None or arguments.collect:
            parser.error("--jobs needs --keep, and nothing is left to do with --collect")
        todo = [(name, family, seed) for name, seed in product(names, arguments.seeds) for family in families(name)]
        failed = run_all([Cell("-".join(map(str, of)), measured, (kept, *of), 35) for of in todo], arguments.jobs)
        if failed:
            raise SystemExit(f"failed: {', '.join(failed)}; what ended well is kept")
    for line in table(kept, names, arguments.seeds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
