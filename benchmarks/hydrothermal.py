"""Published hydrothermal cases: SDDP, TS-DDR, plans and hindsight on common paths, beside the known figures.

    HERENOW_CASE_DATA=… OMP_NUM_THREADS=1 python -m benchmarks.hydrothermal --list
    … --out FOLDER [--only REGEX] [--jobs 2]        runs cells, each in a process of its own
    … --collect FOLDER [--write FILE]               prints the tables of what a folder holds

Bolivia: DC, load at 0.6, 126 stages, judged on the 500 published paths that no training sees; per hour, all stages and
the first 96. bolivia-ac: the same system dispatched in alternating current, on the first 96 stages of the published
panel of ten paths; policies go on from those of DC and train in DC with losses. case3: 12 stages, 2,000 paths of a seed
of their own. Every policy is simulated in the dynamics, so costs are paired path by path.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.hydrothermal import PROBLEM
from models.hydrothermal.simulator import InflowPath
from solvers.bounds import Hindsight
from solvers.core import Callbacks, TrainRequest
from solvers.registry import solver
from tests.models.hydro_systems import bolivia, published, published_paths

FIRST = 96  # stages reported on Bolivia
PANEL = [row - 1 for row in (2, 39, 81, 119, 130, 156, 200, 206, 378, 493)]  # published, of alternating current
LOSS_FACTOR = 0.935  # voltages above one lower losses
PARTS = 25  # that plans on Bolivia are cut into
CASE3_PATHS, CASE3_SEED = 2_000, 20_240_523
CHUNK = 50


@dataclass(frozen=True)
class Cell:
    """One policy on one case."""

    case: str
    kind: str  # solver, or foresight
    seconds: float  # CPU, about
    config: dict[str, Any]
    seed: int = 1
    label: str = ""
    part: int | None = None  # of the paths
    start: str = ""  # the cell whose weights training starts from

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.case}-{self.label or self.kind}" + ("" if self.part is None else f"-{self.part}")


LONG = {"iterations": 1200, "learning_rate": 3e-3, "validation_every": 150, "checks": 64}
LONGER = LONG | {"iterations": 1800, "learning_rate": 2.5e-3}
FINE = {"iterations": 120, "learning_rate": 1.5e-3, "validation_every": 40, "checks": 256}


def cells() -> list[Cell]:
    """Everything there is to run."""
    found = [
        Cell("bolivia", "sddp", 500, {"iterations": 420, "gap": 0.0, "simulation_paths": 4, "check_every": 140}),
        *(
            Cell("bolivia", "tsddr", 560, {"iterations": 2400, "validation_every": 200}, seed, f"tsddr-{seed}")
            for seed in (1, 2, 3)
        ),
        Cell("bolivia", "tsddr", 350, {"network": "linear", "iterations": 1200}, 1, "linear"),
        Cell("bolivia", "rolling_deterministic", 60, {"look_ahead": 1}, 1, "myopic"),
        Cell("bolivia", "foresight", 40, {}),
        *(
            Cell("bolivia", "rolling_deterministic", 100, {"look_ahead": 52}, 1, "mean-inflow", part)
            for part in range(PARTS)
        ),
        *(
            Cell("bolivia-ac", "tsddr", 150, FINE, seed, f"tsddr-{seed}", start=f"bolivia-tsddr-{seed}")
            for seed in (1, 2, 3)
        ),
        Cell("bolivia-ac", "tsddr", 440, LONG, 3, "tsddr-3-long", start="bolivia-tsddr-3"),
        Cell("bolivia-ac", "tsddr", 750, LONGER, 3, "tsddr-3-longer", start="bolivia-ac-tsddr-3-long"),
        Cell("bolivia-ac", "sddp", 250, {"iterations": 90, "gap": 0.0, "simulation_paths": 2, "check_every": 90}),
        Cell("bolivia-ac", "tsddr", 120, {"iterations": 0}, 3, "dc-tsddr-3", start="bolivia-tsddr-3"),
        Cell("bolivia-ac", "rolling_deterministic", 90, {"look_ahead": 1}, 1, "myopic"),
        Cell("case3", "sddp", 30, {"iterations": 400, "gap": 0.0, "simulation_paths": 4, "check_every": 100}),
        *(
            Cell(
                "case3",
                "tsddr",
                115,
                {"iterations": 2500, "batch_size": 256, "validation_every": 250, "validation_scenarios": 512},
                seed,
                f"tsddr-{seed}",
            )
            for seed in (1, 2, 3)
        ),
        Cell("case3", "tsddr", 100, {"network": "linear", "iterations": 2000, "batch_size": 256}, 1, "linear"),
        Cell("case3", "rolling_deterministic", 20, {"look_ahead": 1}, 1, "myopic"),
        Cell("case3", "rolling_deterministic", 60, {"look_ahead": 12}, 1, "mean-inflow"),
        Cell("case3", "foresight", 10, {}),
    ]
    return found


def _depth(cell: Cell) -> int:
    """Cells that must be there before it."""
    return 0 if not cell.start else 1 + next(_depth(other) for other in cells() if other.name == cell.start)


def instance_of(case: str) -> Any:
    """The system of a case."""
    if case == "bolivia-ac":
        return bolivia(physics="ac").model_copy(update={"loss_factor": LOSS_FACTOR})
    return bolivia() if case == "bolivia" else published("case3")


def paths_of(case: str, simulator: Any) -> tuple[Any, Any]:
    """Initial states and noise of the paths that everything is judged on."""
    if case == "case3":
        generator = torch.Generator().manual_seed(CASE3_SEED)
        return simulator.initial(CASE3_PATHS, generator), simulator.sample(CASE3_PATHS, generator)
    numbers = published_paths()[PANEL if case == "bolivia-ac" else slice(None)]
    table = [simulator.inflows.starts()[0], *(simulator.inflows.outcomes(t)[0] for t in range(1, numbers.shape[1]))]
    inflow = torch.stack([table[t][numbers[:, t]] for t in range(numbers.shape[1])], 1).double()
    state = replace(simulator.initial(len(numbers), torch.Generator()), inflow=inflow[:, 0])
    return state, InflowPath(torch.cat((inflow[:, 1:], inflow[:, -1:]), 1))


def simulate(simulator: Any, policy: Any, state: Any, noise: Any, stages: int | None) -> np.ndarray[Any, Any]:
    """Cost of the stages (path, stage) per hour, the first ones where their number is given."""
    hours = simulator.system.stage_hours
    done = []
    with torch.no_grad():
        for first in range(0, state.batch, CHUNK):
            rows = slice(first, first + CHUNK)
            now, path, costs = state.rows(rows), noise.rows(rows), []
            for stage in range(stages or simulator.num_stages):
                post, paid = simulator.decide(now, policy(now, stage), stage)
                costs.append(paid.total)
                now, _ = simulator.realize(post, path, stage)
            done.append(torch.stack(costs, 1) / hours)
    return torch.cat(done).numpy()


def foresight(instance: Any, simulator: Any, state: Any, noise: Any) -> np.ndarray[Any, Any]:
    """Cost of every stage (path, T) per hour, had the path been known."""
    program = Hindsight(PROBLEM, instance, simulator)
    found = np.zeros((state.batch, simulator.num_stages))
    vectors, paths = program.face.state_vector(state), program.face.noise_path(noise)
    for row, (vector, path) in enumerate(zip(vectors, paths, strict=True)):
        program.hot.set_data(vector, path)
        program.hot.solve().require("hindsight")
        columns = program.hot.columns()
        for stage in range(simulator.num_stages):
            own = program.chained.columns_of(columns, stage)
            found[row, stage] = program.face.stage(stage).cost @ own
    return found / simulator.system.stage_hours


def run(cell: Cell, folder: Path) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    """Train and judge a cell; its weights, and those it starts from, are in the folder."""
    instance = instance_of(cell.case)
    simulator = PROBLEM.simulator(instance, counts=False).double()
    state, noise = paths_of(cell.case, simulator)
    if cell.part is not None:
        size = state.batch // PARTS
        rows = slice(cell.part * size, (cell.part + 1) * size)
        state, noise = state.rows(rows), noise.rows(rows)
    started = time.process_time()
    told: dict[str, Any] = {"case": cell.case, "label": cell.label or cell.kind, "part": cell.part}
    if cell.kind == "foresight":
        costs = foresight(instance, simulator, state, noise)
        return told | {"train_seconds": 0.0, "judge_seconds": time.process_time() - started}, costs
    method = solver(cell.kind)
    assert method.train is not None
    last: dict[str, float] = {}
    lines: list[str] = []
    callbacks = Callbacks(on_iteration=lambda i, n, metrics: last.update(metrics), on_log=lines.append)
    start = torch.load(folder / f"{cell.start}.pt", weights_only=True) if cell.start else None
    request = TrainRequest(PROBLEM, instance, method.config(**cell.config), cell.seed, warm_start=start)
    trained = method.train(request, callbacks)
    torch.save(trained.policy.state_dict(), folder / f"{cell.name}.pt")
    told |= {"train_seconds": time.process_time() - started, "iterations": trained.iterations, "log": lines}
    told |= {"metrics": last, "curve": trained.curve}
    if trained.bound is not None:
        told["bound"] = trained.bound.value_per_stage * instance.stages / instance.stage_hours
    started = time.process_time()
    costs = simulate(simulator, trained.policy, state, noise, FIRST if cell.case == "bolivia-ac" else None)
    return told | {"judge_seconds": time.process_time() - started}, costs


KNOWN = {
    ("bolivia-ac", "tsddr"): "target ≤ 313,331.6, published SDDP; published TS-DDR 313,751.6, prototype 313,553.4",
    ("bolivia", "sddp"): "381,093.9 ± 312 · 304,456.7 ± 270 (bound 380,709.7)",
    ("bolivia", "foresight"): "380,693.6 · 303,996.5",
    ("bolivia", "mean-inflow"): "first 96: +0.17 %",
    ("bolivia", "myopic"): "427,130 · 337,094 (+10.7 %)",
    ("bolivia", "tsddr"): "target: ≤ 304,456.7 on the first 96, ≤ +0.15 % on all",
    ("case3", "sddp"): "11,372 ± 30 (bound 11,301.6)",
    ("case3", "foresight"): "−0.57 %",
    ("case3", "mean-inflow"): "+3.5 %",
    ("case3", "myopic"): "+27 %",
    ("case3", "tsddr"): "target: ≤ +0.3 %",
}


def table(folder: Path) -> list[str]:
    """Measured beside known, from the cells that a folder holds."""
    lines: list[str] = []
    for case, first in (("bolivia", FIRST), ("bolivia-ac", None), ("case3", None)):
        held = _held(folder, case)
        if not held:
            continue
        spans = ("all stages", f"first {first}") if first else ("first 96" if case == "bolivia-ac" else "all stages",)
        lines += [f"## {case}", "", "| | " + " | ".join(spans) + " | against SDDP, paired | wins | CPU s | known |"]
        lines.append("|---" * (len(spans) + 5) + "|")
        base = held.get("sddp")
        for label, (told, costs, rows) in held.items():
            sums = [costs.sum(1), costs[:, :first].sum(1)] if first else [costs.sum(1)]
            cells_ = [f"{x.mean():,.1f} ± {x.std(ddof=1) / len(x) ** 0.5:,.1f}" for x in sums]
            cells_ += _against(sums, base, first, rows)
            known = KNOWN.get((case, label.split("-")[0] if label.startswith("tsddr") else label), "")
            bound = f" (bound {told['bound']:,.1f})" if "bound" in told else ""
            lines.append(f"| {label}{bound} | " + " | ".join([*cells_, f"{told['train_seconds']:.0f}", known]) + " |")
        lines.append("")
    return lines


def _held(folder: Path, case: str) -> dict[str, tuple[dict[str, Any], np.ndarray[Any, Any], Any]]:
    """By label, what is told, the costs and which paths they are of; parts joined."""
    found: dict[str, tuple[dict[str, Any], np.ndarray[Any, Any], Any]] = {}
    for cell in cells():
        file = folder / f"{cell.name}.json"
        if cell.case != case or not file.exists():
            continue
        told, costs = json.loads(file.read_text()), np.load(folder / f"{cell.name}.npy")
        rows = np.arange(len(costs)) + (cell.part or 0) * len(costs)
        label = cell.label or cell.kind
        if label in found:
            before, earlier, places = found[label]
            told["train_seconds"] += before["train_seconds"]
            costs, rows = np.concatenate([earlier, costs]), np.concatenate([places, rows])
        found[label] = (told, costs, rows)
    return found


def _against(sums: list[Any], base: Any, first: int | None, rows: Any) -> list[str]:
    if base is None:
        return ["", ""]
    own = [base[1].sum(1)[rows], base[1][:, :first].sum(1)[rows]] if first else [base[1].sum(1)[rows]]
    differences = [100 * (x - y) / y.mean() for x, y in zip(sums, own, strict=True)]
    told = [f"{d.mean():+.3f} ± {d.std(ddof=1) / len(d) ** 0.5:.3f} %" for d in differences]
    wins = [f"{(x < y).mean():.0%}" for x, y in zip(sums, own, strict=True)]
    return [" · ".join(told), " · ".join(wins)]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="show the cells and the CPU seconds each takes, about")
    parser.add_argument("--only", default="", help="regular expression on cells' names")
    parser.add_argument("--out", type=Path, default=Path("hydrothermal-cells"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cell", help="run this one cell here")
    parser.add_argument("--collect", type=Path, help="print the tables of a folder of cells")
    parser.add_argument("--write", type=Path, help="write the tables to a file")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    wanted = [cell for cell in cells() if re.search(asked.only, cell.name)]
    if asked.list:
        print("\n".join(f"{cell.name}  {cell.seconds:.0f} s" for cell in wanted))
    elif asked.collect:
        lines = "\n".join(table(asked.collect))
        print(lines)
        if asked.write:
            asked.write.write_text(lines + "\n")
    elif asked.cell:
        (cell,) = (cell for cell in cells() if cell.name == asked.cell)
        asked.out.mkdir(parents=True, exist_ok=True)
        told, costs = run(cell, asked.out)
        np.save(asked.out / f"{cell.name}.npy", costs)
        (asked.out / f"{cell.name}.json").write_text(json.dumps(told))
        print(f"{cell.name}: {costs.sum(1).mean():,.1f} in {told['train_seconds']:.0f} CPU s", flush=True)
    else:
        here: Callable[[Cell], Any] = lambda cell: subprocess.run(  # noqa: E731
            [sys.executable, "-m", "benchmarks.hydrothermal", "--cell", cell.name, "--out", str(asked.out)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=False,
        )
        with ThreadPoolExecutor(asked.jobs) as pool:
            for after in range(3):  # those that start from others come after them
                own = [cell for cell in wanted if _depth(cell) == after]
                list(pool.map(here, sorted(own, key=lambda cell: -cell.seconds)))


if __name__ == "__main__":
    main()
