"""Speed of stage programs and of TS-DDR, as ratios to bare highspy in the same run.

    HERENOW_CASE_DATA=… OMP_NUM_THREADS=1 python -m benchmarks.hydrothermal_speed [--write FILE]

Bolivia's stage by DC: hot solves with only right-hand sides moving, bare highspy against `HotProgram` with its status,
value and duals; the oracle; trajectories of 126 stages per second and core; one decision (network and one program).
Two copies of Bolivia with twice the buses, and so on, show how a stage grows. CPU seconds, medians of repeats.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highspy
import numpy as np
import torch

from models.hydrothermal import PROBLEM
from models.hydrothermal.instance import HydrothermalSystem
from solvers.core import Callbacks, TrainRequest
from solvers.highs import HotProgram, _highs_lp
from solvers.tsddr import TSDDRConfig, _Run
from tests.models.hydro_systems import bolivia

SOLVES, REPEATS, BATCH = 1_500, 5, 64
COPIES = (1, 2, 4, 10)


def clocked(work: Callable[[], Any], repeats: int = REPEATS) -> float:
    """CPU seconds of a piece of work, median of repeats."""
    spent = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return statistics.median(spent)


def in_turn(*works: Callable[[], Any]) -> list[float]:
    """CPU seconds of pieces of work that take turns, so that a busy machine is busy for all; medians."""
    spent = [[clocked(work, 1) for work in works] for _ in range(REPEATS + 2)]
    return [statistics.median(column) for column in zip(*spent, strict=True)]


def copied(system: HydrothermalSystem, count: int) -> HydrothermalSystem:
    """So many copies of a system side by side, tied by a line from each to the next."""
    document = system.document()
    single = {key: document[key] for key in ("buses", "lines", "thermals", "hydros")}
    grown: dict[str, list[Any]] = {key: [] for key in single}
    inflows: dict[str, Any] = {}
    links = {"lines": ("id", "from", "to"), "buses": ("id",), "thermals": ("id", "bus")}
    links |= {"hydros": ("id", "bus", "turbine_downstream", "spill_downstream")}
    for k in range(count):
        for key, rows in single.items():
            named = [{**row, **{f: f"{row[f]}_{k}" for f in links[key] if row[f] is not None}} for row in rows]
            grown[key] += named
        inflows |= {f"{name}_{k}": table for name, table in document["inflows"]["inflow_m3s"].items()}
        if k:
            ends = {"from": grown["buses"][0]["id"], "to": f"{single['buses'][0]['id']}_{k}"}
            tie = {"id": f"tie_{k}", "reactance_pu": 0.1, "limit_mw": 50.0, **ends}
            grown["lines"].append(tie)
    process = document["inflows"] | {"inflow_m3s": inflows}
    return HydrothermalSystem.model_validate(document | grown | {"inflows": process, "name": f"copies-{count}"})


def stage_rows(run: Any) -> tuple[Any, np.ndarray[Any, Any]]:
    """A stage's program with targets as data, and the right-hand sides that trajectories bring."""
    kind = run.trajectories.kinds[0]
    vectors, aims, _ = run.trajectories.walk(*run.draws.batch(max(SOLVES // len(kind.stages), 1) + 1))
    rows = torch.cat([torch.cat((vectors[t], aims[t]), 1) for t in kind.stages]) @ kind.shift.T
    shuffled = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:SOLVES]
    return kind.program, rows[shuffled].detach().numpy()


def bare(program: Any, shifts: np.ndarray[Any, Any]) -> Callable[[], None]:
    """Hot solves by highspy alone: bounds, run, nothing read."""
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    highs.passModel(_highs_lp(program))
    rows = program.touched.astype(np.int32)
    lower, upper = program.row_lower[rows], program.row_upper[rows]

    def work() -> None:
        for shift in shifts:
            highs.changeRowsBounds(len(rows), rows, lower - shift, upper - shift)
            highs.run()

    return work


def hot(program: Any, shifts: np.ndarray[Any, Any]) -> Callable[[], None]:
    """The same by `HotProgram`, status checked, value and duals read."""
    passed = HotProgram(program)

    def work() -> None:
        for shift in shifts:
            passed.set_shift(shift)
            passed.solve().require("speed")
            passed.touched_duals()

    return work


def started_run(system: HydrothermalSystem) -> Any:
    """An untrained policy with its trajectories."""
    return _Run(TrainRequest(PROBLEM, system, TSDDRConfig(validation_scenarios=4), 1), Callbacks())


def measured() -> list[str]:
    """The table's lines."""
    run = started_run(bolivia())
    program, shifts = stage_rows(run)
    plain, ours = (spent / len(shifts) for spent in in_turn(bare(program, shifts), hot(program, shifts)))
    size = f"{len(program.rows)} rows × {len(program.columns)} columns"
    lines = ["| | measured | target |", "|---|---|---|"]
    lines.append(f"| bare highspy, hot ({size}) | {1e6 * plain:.0f} µs | |")
    lines.append(f"| `HotProgram`, with value and duals | {1e6 * ours:.0f} µs, {ours / plain:.2f}× | ≤ 1.3× |")
    batch = run.draws.batch(BATCH)
    run.trajectories.costs(*run.draws.batch(BATCH // 4), exact=True)

    def step() -> None:
        run.policy.zero_grad()
        run.trajectories.costs(*batch, exact=False).mean().backward()

    for _ in range(5):
        step()
    spent = clocked(step)
    oracle = run.trajectories.kinds[0].oracle
    many = np.resize(shifts, (BATCH * 126, shifts.shape[1]))
    answered = clocked(lambda: oracle.answer(many)) / len(many)
    lines.append(f"| oracle of {len(oracle)} vertices | {1e6 * answered:.1f} µs a stage | |")
    lines.append(f"| trajectories of 126 stages with gradients | {BATCH / spent:.0f} a second and core | ≥ 250 |")
    state = run.draws.batch(1)[0]
    run.policy.propose(state, 3)
    decided = 1e3 * clocked(lambda: [run.policy.propose(state, 3) for _ in range(20)]) / 20
    lines.append(f"| a decision: network and one program | {decided:.2f} ms | ≤ 2 ms |")
    first = 0.0
    for copies in COPIES:
        grown = started_run(copied(bolivia(8), copies))
        own, rows = stage_rows(grown)
        spent = clocked(hot(own, rows[:300])) / 300
        first = first or spent
        buses = len(grown.request.instance.buses)
        target = "≤ 12×" if copies == 10 else ""
        lines.append(f"| hot stage with {buses} buses | {1e6 * spent:.0f} µs, {spent / first:.1f}× | {target} |")
    return lines


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    text = "\n".join(measured())
    print(text)
    if asked.write:
        asked.write.write_text(text + "\n")


if __name__ == "__main__":
    main()
