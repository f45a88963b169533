"""How TS-DDR grows with stages, buses, reservoirs and cores, on generated systems.

    OMP_NUM_THREADS=1 python -m benchmarks.hydrothermal_scale [--only REGEX] [--write FILE]

Every system is measured in a process of its own: a hot solve of a stage with targets held, a training step (64
trajectories, the oracle answers, 128 stages re-checked), and the most memory it held. The last row is 150 reservoirs
over 120 stages. Cores: 2,048 exact stage solves dealt to four lanes, in one process and in two, in turn; the gain is of
wall clock, so it says something only where two cores are free. CPU seconds else, medians.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.hydrothermal_speed import stage_rows
from models.hydrothermal import PROBLEM
from models.hydrothermal.examples import generated
from models.hydrothermal.instance import HydrothermalSystem
from solvers.core import Callbacks, TrainRequest
from solvers.highs import HotProgram
from solvers.holdings import held
from solvers.lanes import Lanes
from solvers.stage_costs import StageCosts
from solvers.tsddr import TSDDRConfig, _Run

BATCH, STEPS, SOLVES, LANES = 64, 7, 400, 4
SYSTEMS = {  # buses, reservoirs, stages
    "base": (28, 11, 24),
    "stages × 2": (28, 11, 48),
    "stages × 5": (28, 11, 120),
    "buses × 2": (56, 11, 24),
    "buses × 4": (112, 11, 24),
    "buses × 10": (280, 11, 24),
    "reservoirs × 2": (28, 22, 24),
    "reservoirs × 4": (28, 44, 24),
    "reservoirs × 8": (28, 88, 24),
    "large": (150, 150, 120),
}


def started(name: str) -> _Run:
    """An untrained policy with its trajectories."""
    system = HydrothermalSystem.model_validate(generated(*SYSTEMS[name]))
    return _Run(TrainRequest(PROBLEM, system, TSDDRConfig(validation_scenarios=4), 1), Callbacks())


def measured(name: str) -> dict[str, Any]:
    """One system's figures."""
    began = time.process_time()
    run = started(name)
    built = time.process_time() - began
    program, shifts = stage_rows(run)
    hot, solves = HotProgram(program), min(SOLVES, len(shifts))
    spent = []
    for shift in shifts[:solves]:
        hot.set_shift(shift)
        began = time.process_time()
        hot.solve()
        spent.append(time.process_time() - began)
    steps = []
    for _ in range(STEPS):
        began = time.process_time()
        run.optimizer.zero_grad()
        cost = run.trajectories.costs(*run.draws.batch(BATCH), exact=False).mean()
        torch.autograd.backward(cost)
        run.optimizer.step()
        steps.append(time.process_time() - began)
    found = {"size": f"{len(program.rows)} × {len(program.columns)}", "built": built}
    found |= {"solve": statistics.mean(spent), "step": statistics.median(steps), "first": steps[0]}
    found |= {"vertices": run.trajectories.metrics()["vertices"], "gap": run.trajectories.metrics()["oracle_gap"]}
    return found | {"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def cores() -> list[str]:
    """Exact solves in one process and in two, in turn."""
    run = started("stages × 5")
    program, shifts = stage_rows(run)
    rows = shifts[torch.arange(2_048).numpy() % len(shifts)]
    parts = [(0, part) for part in torch.from_numpy(rows).chunk(LANES)]
    work = [(number, part.numpy()) for number, part in parts]
    spent: dict[int, list[float]] = {1: [], 2: []}
    holding = held(StageCosts, [program], 1e4)
    with Lanes(holding, LANES, 1) as one, Lanes(holding, LANES, 2) as two:
        for turn in range(STEPS + 1):
            for count, lanes in ((1, one), (2, two)):
                began = time.perf_counter()
                lanes.ask("solve", work)
                if turn:
                    spent[count].append(time.perf_counter() - began)
    gains = [a / b for a, b in zip(spent[1], spent[2], strict=True)]
    single, double = (1e3 * statistics.median(spent[count]) for count in (1, 2))
    line = f"| 2,048 exact solves | {single:.0f} ms | {double:.0f} ms | {statistics.median(gains):.2f}× |"
    return ["", "| four lanes | one process | two processes | gain |", "|---|---|---|---|", line]


def alone(name: str) -> dict[str, Any]:
    """`measured` in a process of its own, so that its memory is its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.hydrothermal_scale", "--system", name], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(only: str) -> list[str]:
    """The systems' rows; times beside those of the first."""
    lines = ["| system | buses, reservoirs, stages | stage | hot solve | step of 64 | vertices, gap | built | memory |"]
    lines.append("|---" * 8 + "|")
    base: dict[str, Any] = {}
    for name, size in SYSTEMS.items():
        if not re.search(only, name):
            continue
        own = alone(name)
        base = base or own
        solve = f"{1e3 * own['solve']:.2f} ms, {own['solve'] / base['solve']:.1f}×"
        step = f"{own['step']:.2f} s, {own['step'] / base['step']:.1f}×"
        oracle = f"{own['vertices']:.0f}, {100 * own['gap']:.2g} %"
        sizes = ", ".join(map(str, size))
        cells = [name, sizes, own["size"], solve, step, oracle, f"{own['built']:.1f} s", f"{own['memory']:.0f} MiB"]
        lines.append("| " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--system", choices=sorted(SYSTEMS))
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.system:
        print(json.dumps(measured(asked.system)))
        return
    lines = table(asked.only)
    lines += cores() if re.search(asked.only, "cores") else []
    print("\n".join(lines))
    if asked.write:
        asked.write.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
