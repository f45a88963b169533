"""Published hydrothermal cases: perfect foresight, myopic and plans on mean inflow, beside the published figures.

    python -m benchmarks.hydrothermal_cases --case bolivia --policies foresight myopic --paths 500
    python -m benchmarks.hydrothermal_cases --case bolivia --policies mean_inflow --paths 20
    python -m benchmarks.hydrothermal_cases --case case3 --policies foresight myopic mean_inflow --paths 2000

Needs the cases (`HERENOW_CASE_DATA`, docs/data.md). Figures are per hour: totals divided by `stage_hours`. Bolivia runs
on the published paths, case3 on paths drawn with the published probabilities.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.hydrothermal import PROBLEM
from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.powermodels import read_powermodels
from models.hydrothermal.program import HydroProgram
from models.hydrothermal.simulator import HydroSimulator
from solvers.evaluation import Sample, ScenarioChunk, estimate, roll_out
from solvers.highs import HotProgram
from solvers.planning import RollingPolicy
from solvers.rolling_horizon import DeterministicConfig

FILES = {
    "network": "PowerModels.json",
    "hydro": "hydro.json",
    "inflows": "inflows.csv",
    "probabilities": "scenarioprobability.csv",
    "evaluation": "evaluation_columns.csv",
}
OPTIONS = {"bolivia": {"load_factor": "0.6", "stages": "126"}, "case3": {"stages": "12"}}
FIRST = {"bolivia": 96, "case3": 12}  # stages of the second column
KNOWN = {
    ("bolivia", "foresight"): "380,693.6 / 303,996.5",
    ("bolivia", "myopic"): "427,130 / 337,094",
    ("bolivia", "mean_inflow"): "first 96: +0.17 % over SDDP (304,456.7)",
    ("case3", "foresight"): "-0.57 % of SDDP (11,372)",
    ("case3", "myopic"): "+27 % of SDDP (11,372)",
    ("case3", "mean_inflow"): "+3.5 % of SDDP (11,372)",
}
SEED = 7


def case(name: str, physics: str) -> HydrothermalSystem:
    """A published case, imported."""
    folder = Path(os.environ["HERENOW_CASE_DATA"]) / "hydro" / name
    parts = {part: (folder / file).read_bytes() for part, file in FILES.items() if (folder / file).exists()}
    return HydrothermalSystem.model_validate(read_powermodels(parts, OPTIONS[name] | {"physics": physics}))


def scenarios(system: HydrothermalSystem, paths: int) -> ScenarioChunk:
    """The first published paths, or paths drawn with the published probabilities."""
    simulator = HydroSimulator(system)
    panel = simulator.panel()
    if panel is not None:
        state, noise = panel
        return ScenarioChunk(state.rows(slice(paths)), noise.rows(slice(paths)))
    generator = torch.Generator().manual_seed(SEED)
    return ScenarioChunk(simulator.initial(paths, generator), simulator.sample(paths, generator))


def foresight(system: HydrothermalSystem, chunk: ScenarioChunk) -> np.ndarray[Any, Any]:
    """Stage costs (path, stage) of plans that know their path [money]."""
    program = HydroProgram(system)
    chained = program.horizon(np.ones(system.stages + 1))
    hot = HotProgram(chained.program)
    found = np.zeros((chunk.state.batch, system.stages))
    states, noises = program.state_vector(chunk.state), program.noise_path(chunk.noise)
    for row, (state, path) in enumerate(zip(states, noises, strict=True)):
        hot.set_data(state, path)
        hot.solve().require("foresight")
        columns = hot.columns()
        found[row] = [chained.columns_of(columns, t) @ program.stage(t).cost for t in range(system.stages)]
    return found


def simulated(system: HydrothermalSystem, chunk: ScenarioChunk, look_ahead: int | None) -> np.ndarray[Any, Any]:
    """Stage costs (path, stage) of plans on mean inflow, made anew in every stage [money]."""
    sample = Sample()
    policy = RollingPolicy(PROBLEM, system, DeterministicConfig(look_ahead=look_ahead))
    roll_out(HydroSimulator(system), policy, chunk, sample)
    costs: np.ndarray[Any, Any] = sample.series["cost"].double().numpy()
    return costs


def main() -> None:
    """Print a row for every policy asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=sorted(OPTIONS), default="bolivia")
    parser.add_argument("--policies", nargs="+", choices=["foresight", "myopic", "mean_inflow"], default=["foresight"])
    parser.add_argument("--paths", type=int, default=500)
    parser.add_argument("--physics", default="dc")
    asked = parser.parse_args()
    system = case(asked.case, asked.physics)
    chunk = scenarios(system, asked.paths)
    first = FIRST[asked.case]
    print(f"| {asked.case}, {asked.physics}, {asked.paths} paths | all | first {first} | se | known | seconds |")
    print("|---|---|---|---|---|---|")
    for name in asked.policies:
        started = time.perf_counter()
        if name == "foresight":
            costs = foresight(system, chunk)
        else:
            costs = simulated(system, chunk, 1 if name == "myopic" else None)
        per_hour = costs / system.stage_hours
        mean, error = estimate(per_hour.sum(1))
        known = KNOWN.get((asked.case, name), "") if asked.physics == "dc" else ""
        part = per_hour[:, :first].sum(1).mean()
        seconds = time.perf_counter() - started
        print(f"| {name} | {mean:,.1f} | {part:,.1f} | {error:,.1f} | {known} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
