"""Lot sizing's published settings planned by programs: rolling horizons, and what hindsight could do.

    HERENOW_CASE_DATA=... OMP_NUM_THREADS=1 python -m benchmarks.lot_sizing_programs [--only 15x5] [--scale 1.0]

Prints a table in Markdown: cost of a scenario (random start, 100 periods) with its standard error, what is known
beside it, plans that were out of time, and milliseconds of CPU a decision. A program is solved for every decision, so
scenarios are few; a policy whose mean is known is simulated on the same ones, and the difference is what is measured.
`--scale` multiplies the number of scenarios. Known figures are the problem page's (rolling plans: a prototype's).
"""

from __future__ import annotations

import argparse
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models.core import Instance, NetworkSize
from models.dynamics import Policy
from models.lot_sizing.planner.importers import read_settings
from models.registry import problem
from solvers.core import Callbacks, TrainRequest
from solvers.evaluation import compare, estimate
from solvers.registry import solver

SEED = 77
MANY = 2048  # scenarios on which a control's mean is found
FILES = {"2x1": "2items_VI_binomial_1", "4x2": "4items_2machines", "15x5": "15items_5machines_t100_i100"}
OPTIMUM = {"2x1": 392.3329, "4x2": 336.7856}


@dataclass(frozen=True)
class Row:
    """A policy on a setting."""

    case: str
    solver: str
    scenarios: int
    config: dict[str, Any] = field(default_factory=dict)
    known: str = ""

    @property
    def name(self) -> str:
        return f"{self.case}/{self.solver}"


ROWS = (
    Row("2x1", "rolling_deterministic", 8, {"look_ahead": 6}, "+1.8 %"),
    Row("2x1", "rolling_deterministic", 8, {"look_ahead": 6, "whole_stages": 2}),
    Row("2x1", "rolling_two_stage", 3, {"look_ahead": 4, "scenarios": 6, "committed": 1}),
    Row("2x1", "rolling_scenario_tree", 3, {"look_ahead": 4, "branching": [3, 2]}),
    Row("4x2", "rolling_deterministic", 3, {"look_ahead": 5, "mip_gap": 0.01}, "+6.9 %"),
    Row("15x5", "rolling_deterministic", 2, {"look_ahead": 5, "mip_gap": 0.01}, "1,665"),
    Row("15x5", "rolling_deterministic", 4, {"look_ahead": 5, "whole_stages": 2, "mip_gap": 0.01}),
)


def setting(case: str) -> Instance:
    """A published setting."""
    path = Path(os.environ["HERENOW_CASE_DATA"]) / "lot_sizing" / f"{FILES[case]}.json"
    return problem("lot_sizing").parse(read_settings({"settings": path.read_bytes()}, {}))


def control(case: str, instance: Instance) -> tuple[Policy[Any, Any], float, float]:
    """A policy simulated beside every row, and its mean cost with the standard error of that: luck cancels out.

    The optimal one where it is known, else the untuned hysteresis rule on many scenarios.
    """
    lot_sizing = problem("lot_sizing")
    if case in OPTIMUM:
        exact = solver("value_iteration")
        request = TrainRequest(lot_sizing, instance, exact.config(), 1)
        return exact.train(request, Callbacks()).policy, OPTIMUM[case], 0.0  # type: ignore[misc]
    simulator = lot_sizing.simulator(instance)
    rule = lot_sizing.family("hysteresis").build(instance, simulator, NetworkSize())
    mean, error = estimate(compare(simulator, {"rule": rule}, SEED + 1, MANY)["rule"].total)
    return rule, mean, error


def measured(row: Row, scale: float) -> str:
    """One line of the table."""
    lot_sizing, instance, chosen = problem("lot_sizing"), setting(row.case), solver(row.solver)
    config, scenarios = chosen.config(**row.config), max(round(row.scenarios * scale), 2)
    beside, mean, own_error = control(row.case, instance)
    started = time.process_time()
    policy = chosen.train(TrainRequest(lot_sizing, instance, config, 1), Callbacks()).policy  # type: ignore[misc]
    samples = compare(lot_sizing.simulator(instance), {"own": policy, "control": beside}, SEED, scenarios)
    milliseconds = 1e3 * (time.process_time() - started) / (scenarios * instance.num_stages)
    difference, error = estimate(samples["own"].total - samples["control"].total)
    cost, error = mean + difference, float(np.hypot(error, own_error))
    optimum = OPTIMUM.get(row.case)
    above = f"{100 * (cost / optimum - 1):+.1f} ± {100 * error / optimum:.1f} %" if optimum else "–"
    plans = policy.describe()["plans"]
    ended = f"{plans['out_of_time']} of {plans['made']}"
    words = ", ".join(f"{name} {value}" for name, value in row.config.items())
    cells = (row.case, row.solver, words, f"{cost:,.1f} ± {error:.1f}", above, row.known or "–", str(scenarios), ended)
    return f"| {' | '.join(cells)} | {milliseconds:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="regular expression on a row's case/solver")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the number of scenarios")
    asked = parser.parse_args()
    print("| setting | solver | config | cost | above the optimum | known | scenarios | out of time | ms |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in ROWS:
        if re.search(asked.only, row.name):
            print(measured(row, asked.scale), flush=True)


if __name__ == "__main__":
    main()
