"""The published network benchmark: learned, planned and classical policies as shares of perfect information.

    OMP_NUM_THREADS=1 python -m benchmarks.network_benchmark --write benchmarks/network_benchmark.md

Four instances (eight nodes and four in series, backlogged and lost; 30 periods, Poisson(20), profit). All policies and
the perfect-information program meet the same fresh scenarios; policies that plan in every period meet the first
`--planned` of them. HDPO is trained once per seed with its defaults, but for `STEPS`; rules are tuned by the same
gradient. For the
serial line with backlogs the exact optimum stands beside (Clark and Scarf over a finite horizon,
`tests/oracles/serial_horizon.py`). Intervals are 95 %, of the ratio of means; seconds are CPU seconds on one thread.

What is done is kept in `--keep`, so that a run that was cut short goes on. About 25 CPU-minutes with three seeds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.inventory_network import PROBLEM
from solvers.bounds import perfect_information_values
from solvers.core import Callbacks, Solver, TrainRequest
from solvers.evaluation import Z95, Sample, ScenarioChunk, Scenarios, estimate, roll_out
from solvers.hdpo import HDPO
from solvers.rolling_horizon import ROLLING_DETERMINISTIC, ROLLING_TWO_STAGE
from solvers.training import tune_rules
from tests.oracles.demand import poisson
from tests.oracles.serial_horizon import least_cost
from tests.oracles.test_serial_horizon import LINE, Levels

KEPT = Path(tempfile.gettempdir()) / "herenow-network-benchmark"

SEED = 987_654  # of the scenarios: no training or look-ahead stream starts from it
QUIET = Callbacks()
KNOWN = {"eight-nodes-backlog": 862, "eight-nodes-lost": 857, "four-serial-backlog": 1035, "four-serial-lost": 1034}
# Steps of HDPO where its default leaves a little: 0.98998 of perfect information on this network.
STEPS = {"eight-nodes-backlog": 2200}
TARGET = {name: 0.990 if name.startswith("eight") else 0.983 for name in KNOWN}
# Mean profits over ten seeds: oracle, informed multi-stage stochastic program, best learned, best heuristic.
PUBLISHED = {
    "eight-nodes-backlog": (845.7, 835.0, 816.3, 765.9),
    "eight-nodes-lost": (842.0, 809.1, 812.1, 751.7),
    "four-serial-backlog": (1023.9, 1006.3, 950.3, 881.6),
    "four-serial-lost": (1023.8, 986.5, 951.5, 872.5),
}
PLANNERS: dict[str, tuple[Solver, dict[str, Any]]] = {
    "rolling deterministic, mean": (ROLLING_DETERMINISTIC, {}),
    "rolling deterministic, quantile 0.85": (ROLLING_DETERMINISTIC, {"quantile": 0.85}),
    "rolling two-stage, 32 scenarios": (ROLLING_TWO_STAGE, {"scenarios": 32}),
    "rolling two-stage, futures known after the first order": (ROLLING_TWO_STAGE, {"scenarios": 32, "committed": 1}),
}


@dataclass(frozen=True)
class Result:
    """What one policy earned on the first scenarios, and what it took."""

    profits: np.ndarray  # (scenario,)
    seconds: float  # CPU: training and simulation

    def share(self, best: np.ndarray) -> tuple[float, float]:
        """Ratio of mean profits to perfect information on the same scenarios, and half its 95 % interval."""
        own, bound = self.profits, best[: len(self.profits)]
        ratio = own.mean() / bound.mean()
        _, error = estimate(own - ratio * bound)
        return float(ratio), float(Z95 * error / bound.mean())


class Bench:
    """One instance: its scenarios, and every policy's result, kept in a folder."""

    def __init__(self, name: str, arguments: argparse.Namespace) -> None:
        self.name, self.arguments = name, arguments
        self.instance = PROBLEM.parse(next(e for e in PROBLEM.examples if e.name == name).document())
        self.simulator = PROBLEM.simulator(self.instance)
        self.scenarios = next(iter(Scenarios(self.simulator, SEED, arguments.scenarios)))

    def kept(self, label: str, make: Any) -> Result:
        """The result of that label, from the folder or made now."""
        settings = [self.name, label, self.arguments.scenarios, self.arguments.planned, self.arguments.iterations]
        key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
        file = self.arguments.keep / f"{key}.npz"
        if file.exists():
            stored = np.load(file)
            return Result(stored["profits"], float(stored["seconds"]))
        started = time.process_time()
        result = Result(make(), time.process_time() - started)
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, profits=result.profits, seconds=result.seconds)
        print(f"{self.name}: {label} {result.profits.mean():.2f} in {result.seconds:.0f} s", flush=True)
        return result

    def perfect(self) -> Result:
        """Perfect information."""
        state, noise = self.scenarios.state, self.scenarios.noise
        solve = perfect_information_values
        return self.kept(
            "perfect information", lambda: -solve(PROBLEM, self.instance, self.simulator, state, noise, QUIET)
        )

    def trained(self, label: str, solver: Solver, seed: int, rows: int, config: dict[str, Any]) -> Result:
        """A policy of a solver, simulated on the first `rows` scenarios."""
        assert solver.train is not None
        request = TrainRequest(PROBLEM, self.instance, solver.config(**config), seed)
        return self.kept(f"{label}, seed {seed}", lambda: self.earned(solver.train(request, QUIET).policy, rows))

    def optimal(self) -> Result:
        """The exact optimum of the serial line with backlogs, its levels carried out."""

        def earned() -> np.ndarray:
            cost, levels = least_cost(LINE, poisson(20.0, 1e-12), 30, 2.0, 0.1, -1200, 1500)
            print(f"{self.name}: the optimum is exactly {-cost:.2f}", flush=True)
            return self.earned(Levels(levels), self.arguments.scenarios)

        return self.kept("optimal", earned)

    def rules(self) -> dict[str, Result]:
        """The tuned classical rules, best first."""
        tuned: dict[str, Any] = {}

        def earned(name: str) -> np.ndarray:
            if not tuned:
                request = TrainRequest(PROBLEM, self.instance, HDPO.config(), 1)
                tuned.update({rule.family: rule.result.policy for rule in tune_rules(request, QUIET, 1e9)})
            return self.earned(tuned[name], self.arguments.scenarios)

        families = PROBLEM.rules_for(self.instance)
        names = [family.name for family in families if family.name in ("base_stock", "echelon_base_stock")]
        results = {name: self.kept(name, lambda name=name: earned(name)) for name in names}
        return dict(sorted(results.items(), key=lambda item: -item[1].profits.mean()))

    def earned(self, policy: Any, rows: int) -> np.ndarray:
        """Profit of every one of the first scenarios."""
        sample = Sample()
        chosen = slice(0, rows)
        part = ScenarioChunk(self.scenarios.state.rows(chosen), self.scenarios.noise.rows(chosen))
        roll_out(self.simulator, policy, part, sample)
        return -sample.total


def lines(bench: Bench) -> Iterator[str]:
    """The table of one instance."""
    best = bench.perfect()
    mean, error = estimate(best.profits)
    oracle, informed, learned, heuristic = PUBLISHED[bench.name]
    known = f"oracle {oracle:,.1f}; known from 60 paths {KNOWN[bench.name]:,}"
    yield f"### {bench.name}\n"
    yield "| policy | profit | share of perfect information | CPU s | published on ten seeds |"
    yield "|---|---|---|---|---|"
    yield f"| perfect information | {mean:,.1f} ± {Z95 * error:.1f} | 1 | {best.seconds:.0f} | {known} |"
    if bench.name == "four-serial-backlog":
        yield row("**optimal** (Clark and Scarf, exact levels)", bench.optimal(), best, "")
    yield from learned_lines(bench, best, f"best learned {learned:,.1f}: {learned / oracle:.3f}")
    for label, (solver, options) in PLANNERS.items():
        note = f"informed stochastic program {informed:,.1f}: {informed / oracle:.3f}" if "32" in label else ""
        result = bench.trained(label, solver, 1, bench.arguments.planned, options)
        yield row(label, result, best, note)
    for label, result in bench.rules().items():
        yield row(f"{label}, tuned", result, best, f"best heuristic {heuristic:,.1f}: {heuristic / oracle:.3f}")
    yield ""


def learned_lines(bench: Bench, best: Result, note: str) -> Iterator[str]:
    """HDPO, seed by seed."""
    arguments, target = bench.arguments, TARGET[bench.name]
    steps = arguments.iterations or STEPS.get(bench.name)
    config = {} if steps is None else {"iterations": steps}
    label = "HDPO" if steps is None else f"HDPO, {steps:,} steps"
    shares = []
    for seed in arguments.seeds:
        run = bench.trained(label, HDPO, seed, arguments.scenarios, config)
        shares.append(run.share(best.profits)[0])
        yield row(f"{label}, seed {seed}", run, best, note if seed == arguments.seeds[0] else "")
    verdict = f"target ≥ {target:.3f}: {'met' if min(shares) >= target else 'missed'}"
    yield f"| HDPO, mean (worst) of {len(shares)} | | {np.mean(shares):.4f} ({min(shares):.4f}) | | {verdict} |"


def row(label: str, result: Result, best: Result, note: str) -> str:
    """One line of the table."""
    share, margin = result.share(best.profits)
    return f"| {label} | {result.profits.mean():,.1f} | {share:.4f} ± {margin:.4f} | {result.seconds:.0f} | {note} |"


def main() -> None:
    """Run, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", type=int, default=4096)
    parser.add_argument("--planned", type=int, default=128, help="scenarios for policies that plan in every period")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of HDPO")
    parser.add_argument("--iterations", type=int, default=None, help="of HDPO; its default, or `STEPS`, if left out")
    parser.add_argument("--only", nargs="+", default=list(KNOWN), choices=list(KNOWN))
    parser.add_argument("--keep", type=Path, default=KEPT, help="folder for what is done")
    parser.add_argument("--write", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    command = "OMP_NUM_THREADS=1 python -m benchmarks.network_benchmark --write benchmarks/network_benchmark.md"
    text = [
        "# The published network benchmark\n",
        f"Command: `{command}` (one thread, {platform.machine()}). {arguments.scenarios:,} fresh scenarios for every "
        f"policy, the first {arguments.planned} of them for policies that plan in every period. "
        "Intervals are 95 %; shares are ratios of means on the same scenarios. Published figures are means over ten "
        "seeds of their own, shares of the published oracle on them.\n",
    ]
    for name in arguments.only:
        found = list(lines(Bench(name, arguments)))
        print("\n".join(found), flush=True)
        text += found
    if arguments.write:
        arguments.write.write_text("\n".join(text).rstrip() + "\n")


if __name__ == "__main__":
    main()
