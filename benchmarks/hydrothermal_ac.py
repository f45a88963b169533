"""Bolivia in alternating current: what storage paths cost when every stage is dispatched with voltages and losses.

    python -m benchmarks.hydrothermal_ac --paths 10

Needs the cases (`HERENOW_CASE_DATA`) and the extra `ac`. Storage paths are those of perfect foresight in direct current
with losses (resistance × `--resistance`), on the published panel of ten paths; each of the first 96 stages is then
solved in alternating current by Ipopt with these storages. Figures are per hour.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from benchmarks.hydrothermal_cases import case
from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.power_flow import AlternatingCurrent
from models.hydrothermal.program import HydroProgram
from models.hydrothermal.simulator import HydroSimulator
from solvers.highs import HotProgram
from solvers.ipopt import Ipopt

PANEL = np.array([2, 39, 81, 119, 130, 156, 200, 206, 378, 493]) - 1  # published
FIRST = 96
KNOWN = "clairvoyant volumes about 312,764; SDDP (SOC cuts, AC forward) 313,331.6; published TS-DDR 313,751.6"


def planning_system(resistance: float) -> HydrothermalSystem:
    """Bolivia with losses, resistances scaled: voltages above one lower the current."""
    system = case("bolivia", "dc_losses")
    lines = [line.model_copy(update={"resistance_pu": resistance * line.resistance_pu}) for line in system.lines]
    return system.model_copy(update={"lines": lines})


def storages(system: HydrothermalSystem, rows: list[int]) -> tuple[np.ndarray, np.ndarray, float]:  # type: ignore[type-arg]
    """Storage (path, T+1, hydro) of perfect foresight, inflow (path, T, hydro) [hm³], and its mean cost per hour."""
    panel = HydroSimulator(system).panel()
    assert panel is not None
    state, noise = (part.rows(torch.tensor(rows)) for part in panel)
    program = HydroProgram(system)
    chained = program.horizon(np.ones(system.stages + 1))
    hot = HotProgram(chained.program)
    where = [program.stage(0).column(f"storage[{hydro.id}]") for hydro in system.hydros]
    paths, cost = np.zeros((len(rows), system.stages + 1, len(where))), 0.0
    for row, (start, path) in enumerate(zip(program.state_vector(state), program.noise_path(noise), strict=True)):
        hot.set_data(start, path)
        hot.solve().require("foresight")
        columns = hot.columns()
        paths[row, 0] = start[: len(where)]
        for t in range(system.stages):
            own = chained.columns_of(columns, t)
            paths[row, t + 1] = own[where]
            cost += program.stage(t).cost @ own / system.stage_hours / len(rows) if t < FIRST else 0.0
    inflow = torch.cat((state.inflow[:, None], noise.inflow[:, :-1]), dim=1).numpy()
    return paths, inflow, cost


def main() -> None:
    """Print the panel's mean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paths", type=int, default=10)
    parser.add_argument("--resistance", type=float, default=0.935)
    asked = parser.parse_args()
    system = planning_system(asked.resistance)
    began = time.perf_counter()
    paths, inflow, planned = storages(system, PANEL[: asked.paths].tolist())
    seconds = time.perf_counter() - began
    print(f"planned with losses, first {FIRST} stages: {planned:,.1f} ({seconds:.0f} s)", flush=True)
    stage = AlternatingCurrent(case("bolivia", "dc"))
    solver, began, costs = Ipopt(stage.program()), time.perf_counter(), []
    for path, flows in zip(paths, inflow, strict=True):
        water = stage.water_leaving(path[:FIRST], flows[:FIRST], path[1 : FIRST + 1])
        found = [solver.solve(b, f"stage {t}").value for t, b in enumerate(water)]
        costs.append(sum(found) / system.stage_hours)
    milliseconds = 1e3 * (time.perf_counter() - began) / (len(costs) * FIRST)
    print(f"alternating current: {np.mean(costs):,.1f}, {milliseconds:.1f} ms a stage; known: {KNOWN}")


if __name__ == "__main__":
    main()
