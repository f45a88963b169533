"""Lot sizing's published settings: PDPPO, PPO and the decomposition beside exact optima, bounds and rules.

    HERENOW_CASE_DATA=... OMP_NUM_THREADS=1 python -m benchmarks.lot_sizing --jobs 2 --out DIR
    python -m benchmarks.lot_sizing --collect DIR --write benchmarks/lot_sizing.md

A cell is an instance, a setting and a seed (`15x5/half/1`); every cell is a process of its own with one thread, and
leaves one JSON file in DIR, so that a run may be cut short, go on, and be spread over machines. `--only` is a regular
expression on cells' names, `--list` shows them with what they take. The Lagrangian decomposition of an instance, from
which several settings start, is made once, by seed 1, and kept in DIR; its CPU time is counted in every cell that uses
it. Costs are means over fresh scenarios (random initial state, 100 periods) that no training has seen, the same for
every cell of an instance, with standard errors; beside a known optimum stands the mean difference from its policy on
those scenarios.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from models.choices import CriticisedPolicy
from models.registry import problem
from solvers import lagrangian, pdppo
from solvers.core import Callbacks, TrainRequest
from solvers.evaluation import compare, estimate
from solvers.registry import solver
from tests.models.published_plants import published

SEED = 987_654  # of the scenarios: no training stream starts from it
SCENARIOS = 16_384
AHEAD = 4_096  # scenarios on which policies that look ahead are judged
IMPROVED = 2_048  # scenarios on which improved choices are judged: each asks the critic about every option
STEPS = 400_000


@dataclass(frozen=True)
class Case:
    """A published setting, and what is known of it [money a scenario]."""

    file: str
    optimum: float | None = None  # exact, by value iteration
    bound: float | None = None  # on every policy's cost
    known: str = ""  # rules, programs and published code, as measured elsewhere
    target: float | None = None  # what PDPPO should cost at most
    weight: float = 1.0  # CPU time of a step, of one of 15 × 5


CASES = {
    "2x1": Case("2items_VI_binomial_1", 392.3329, 365.67, "rolling MILP +1.8 %", 392.3329 * 1.0015, 0.6),
    "4x2": Case("4items_2machines", 336.7856, 299.0, "rolling MILP +6.9 %; published PDPPO 803", 336.7856 * 1.005, 0.7),
    "10x5": Case("10items_5machines", None, 634.65, "Lagrangian policy 740", 735.0, 0.9),
    "15x5": Case(
        "15items_5machines_t100_i100",
        None,
        1379.4,
        "rolling MILP 1,665; tuned hysteresis 1,561; static 2,112; published PDPPO 4,341",
        1585.0,
    ),
    "20x10": Case(
        "20items_10machines_t100_i100",
        None,
        None,
        "static 1,836; tuned hysteresis 1,831; published PDPPO 4,601",
        1831.0,
        1.8,
    ),
    "25x10": Case("25items_10machines_t100_i100", None, None, "tuned hysteresis 2,737; static 5,269", 2737.0, 2.2),
    "25x15": Case(
        "25items_15machines_t100_i100",
        None,
        None,
        "static 2,325; tuned hysteresis 2,291; published PDPPO 7,205",
        2291.0,
        3.0,
    ),
}


@dataclass(frozen=True)
class Setting:
    """A solver with a configuration; `steps` stages are simulated in training."""

    title: str
    solver: str = "pdppo"
    steps: int = STEPS
    config: dict[str, Any] = field(default_factory=dict)
    cases: tuple[str, ...] = tuple(CASES)
    seeds: tuple[int, ...] = (1, 2, 3)
    seconds: float = 35.0  # CPU, on 15 × 5
    improved: bool = False  # also judge the policy with each choice improved by the post-decision critic
    gpu: bool = False  # hours on a processor: run with `--device cuda`, or by name


SMALL, LARGE = ("2x1", "4x2", "10x5", "15x5"), ("20x10", "25x10", "25x15")
BARE = {"tries": 0.0, "softness": 0.0}  # nothing is tried for the critics' sake: the algorithms alone
PLAIN, MAXIMUM = {"advantage": "plain"}, {"advantage": "maximum"}
HEADS, SEQUENTIAL = BARE | {"family": "mlp"}, BARE | {"family": "sequential"}
GUIDED = {"imitate": "lagrangian", "imitation_iterations": 25, "learning_rate": 5e-4, "entropy": 0.005}
RESIDUAL = SEQUENTIAL | {"residual": True, "discount": 1.0, "learning_rate": 5e-4, "entropy": 0.002, "softness": 0.05}
# Undiscounted and with all of the noise's half step, credit is unbiased: its variance so many scenarios average out.
WIDE = SEQUENTIAL | {"scenarios": 4096, "validation_scenarios": 8192, "discount": 1.0, "luck": 1.0}
WIDE_STEPS = 300 * 4096 * 32
RULED = BARE | {"imitation_iterations": 25, "learning_rate": 5e-4, "entropy": 0.01}
SETTINGS = {
    "half": Setting("PDPPO, half steps, independent heads", config=HEADS, cases=SMALL),
    "plain": Setting("PPO (the same file), independent heads", config=HEADS | PLAIN, cases=SMALL, seconds=26.0),
    "plain_longer": Setting(
        "PPO, about as much time as half steps", steps=500_000, config=HEADS | PLAIN, cases=("15x5",), seconds=34.0
    ),
    "maximum": Setting("PDPPO, published maximum, independent heads", config=HEADS | MAXIMUM, cases=SMALL),
    "sequential": Setting("PDPPO, half steps, machine after machine", config=SEQUENTIAL, cases=SMALL[1:], seconds=40.0),
    "sequential_plain": Setting("PPO, machine after machine", config=SEQUENTIAL | PLAIN, cases=("15x5",), seconds=32.0),
    "long": Setting(
        "PDPPO, half steps, machine after machine, 1.5 million steps",
        steps=1_500_000,
        config=SEQUENTIAL,
        cases=("4x2", "10x5", "15x5"),
        seconds=150.0,
    ),
    "wide": Setting(
        "PDPPO, 4,096 scenarios a rollout",
        steps=WIDE_STEPS,
        config=WIDE,
        cases=("2x1", "4x2"),
        seconds=4000.0,
        gpu=True,
    ),
    "wider": Setting(
        "PDPPO, 4,096 scenarios a rollout, 256 units a layer",
        steps=WIDE_STEPS,
        config=WIDE | {"width": 256},
        cases=("4x2",),
        seconds=8000.0,
        gpu=True,
    ),
    "guided": Setting(
        "PDPPO from the Lagrangian look-ahead",
        config=SEQUENTIAL | GUIDED,
        cases=("4x2", "10x5", "15x5", "20x10"),
        seconds=100.0,
        improved=True,
    ),
    "guided_heads": Setting(
        "PDPPO from the Lagrangian look-ahead, independent heads", config=HEADS | GUIDED, cases=("15x5",), seconds=75.0
    ),
    "guided_long": Setting(
        "PDPPO from the Lagrangian look-ahead, 1.5 million steps",
        steps=1_500_000,
        config=SEQUENTIAL | GUIDED,
        cases=("10x5", "15x5"),
        seconds=230.0,
        improved=True,
    ),
    "residual": Setting(
        "PDPPO, residual on the Lagrangian values",
        config=RESIDUAL,
        cases=("4x2", "10x5", "15x5"),
        seconds=150.0,
    ),
    "residual_short": Setting(
        "PDPPO, residual on the Lagrangian values, 100,000 steps",
        steps=100_000,
        config=RESIDUAL | {"validation_scenarios": 256},
        cases=("10x5", "15x5", *LARGE),
        seconds=120.0,
    ),
    "residual_plain": Setting(
        "PPO, residual on the Lagrangian values",
        config=RESIDUAL | PLAIN,
        cases=("10x5",),
        seconds=130.0,
    ),
    "static": Setting(
        "PDPPO from a static assignment", config=RULED | {"imitate": "static"}, cases=LARGE, seconds=40.0
    ),
    "hysteresis": Setting("PDPPO from hysteresis", config=RULED | {"imitate": "hysteresis"}, cases=LARGE, seconds=40.0),
    "lagrangian": Setting("Lagrangian look-ahead", "lagrangian", 0, seeds=(1,), seconds=50.0),
}


@dataclass(frozen=True)
class Cell:
    """One process' work."""

    case: str
    setting: str
    seed: int

    @property
    def name(self) -> str:
        """What `--only` is matched with."""
        return f"{self.case}/{self.setting}/{self.seed}"

    @property
    def seconds(self) -> float:
        """CPU seconds it takes, about."""
        return SETTINGS[self.setting].seconds * CASES[self.case].weight + 15

    def file(self, folder: Path) -> Path:
        """Where its result lies."""
        return folder / f"{self.case}-{self.setting}-{self.seed}.json"


def cells(only: str, device: str) -> list[Cell]:
    """The cells whose names match; those that want a GPU only with one, or where `only` says something."""
    every = [Cell(case, name, seed) for name, one in SETTINGS.items() for case in one.cases for seed in one.seeds]
    found = [cell for cell in every if re.search(only, cell.name)]
    return [cell for cell in found if only or device != "cpu" or not SETTINGS[cell.setting].gpu]


def decomposition(case: str, instance: Any, folder: Path) -> tuple[Any, float | None, float]:
    """The look-ahead policy of an instance, its bound [money/stage] and the CPU seconds both took, kept in a folder."""
    lot_sizing, file = problem("lot_sizing"), folder / f"{case}-decomposition.pt"
    config = lagrangian.LagrangianConfig()
    if not file.exists():
        started = time.process_time()
        made = lagrangian.train(TrainRequest(lot_sizing, instance, config, 1), Callbacks())
        kept = {"weights": made.policy.state_dict(), "bound": made.bound.value_per_stage if made.bound else None}
        torch.save(kept | {"seconds": time.process_time() - started}, file)
    kept = torch.load(file)
    policy = lagrangian.build(lot_sizing, instance, config, lagrangian.NAME)
    policy.load_state_dict(kept["weights"])
    return policy.eval(), kept["bound"], kept["seconds"]


def run(cell: Cell, folder: Path, device: str = "cpu") -> dict[str, Any]:
    """Train and judge one cell."""
    lot_sizing, setting = problem("lot_sizing"), SETTINGS[cell.setting]
    instance = published(Path(os.environ["HERENOW_CASE_DATA"]) / "lot_sizing" / f"{CASES[cell.case].file}.json")
    if setting.solver == lagrangian.NAME:
        policy, bound, seconds = decomposition(cell.case, instance, folder)
        return judged(cell, lot_sizing, instance, policy, seconds) | {"bound": bound and bound * instance.num_stages}
    chosen = solver(setting.solver)
    config = dict(setting.config)
    if setting.solver == "pdppo":
        size = config.get("scenarios", 128) * config.get("stages", 32)
        config["iterations"] = setting.steps // size
        config["validation_every"] = max(config["iterations"] // (10 if config.get("residual") else 20), 1)
    request = TrainRequest(lot_sizing, instance, chosen.config(**config), cell.seed, device=device)
    start, before = None, 0.0
    if config.get("residual"):
        start, _, before = decomposition(cell.case, instance, folder)
    clock = time.process_time if device == "cpu" else time.monotonic
    started = clock()
    with patch.object(pdppo, "decomposed", lambda *_: start):
        result = chosen.train(request, Callbacks())  # type: ignore[misc]
    seconds = before + clock() - started
    better = improvement(lot_sizing.simulator(instance), result.policy) if setting.improved else None
    found = judged(cell, lot_sizing, instance, result.policy, seconds) | {"improved": better}
    return found if device == "cpu" else found | {"machine": torch.cuda.get_device_name(device)}


def judged(cell: Cell, lot_sizing: Any, instance: Any, policy: Any, seconds: float) -> dict[str, Any]:
    """What a cell's policy costs on the common scenarios, and how much more than the optimum's, where there is one."""
    simulator, case = lot_sizing.simulator(instance), CASES[cell.case]
    policies = {"own": policy}
    if case.optimum:
        best = solver("value_iteration")
        request = TrainRequest(lot_sizing, instance, best.config(), 1)
        policies["best"] = best.train(request, Callbacks()).policy  # type: ignore[misc]
    ahead = cell.setting == lagrangian.NAME or "residual" in cell.setting
    found = compare(simulator, policies, SEED, AHEAD if ahead else SCENARIOS)
    sample = found["own"]
    cost, error = estimate(sample.total)
    beside = None if "best" not in found else estimate(sample.total - found["best"].total)
    return {
        "cell": cell.name,
        "improved": None,
        "above_optimum": beside,
        "cost": cost,
        "standard_error": error,
        "components": {name: value / sample.count for name, value in sample.components.items()},
        "cpu_seconds": seconds,
        "steps": SETTINGS[cell.setting].steps,
        "bound": None,
        "machine": platform.machine(),
        "torch": torch.__version__,
    }


def improvement(simulator: Any, policy: Any) -> dict[str, float]:
    """The policy with every choice improved once by cost now and V^x, beside itself on the same scenarios."""
    other = CriticisedPolicy(simulator, policy.actor, policy.values, sweeps=1)
    found = compare(simulator, {"own": policy, "improved": other}, SEED, IMPROVED)
    cost, error = estimate(found["improved"].total)
    change, of_change = estimate(found["improved"].total - found["own"].total)
    return {"cost": cost, "standard_error": error, "change": change, "error_of_change": of_change}


def spread_out(wanted: list[Cell], folder: Path, jobs: int, device: str) -> None:
    """Every cell in a process of its own, `jobs` at a time, the longest first; what is there already is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    todo = sorted((cell for cell in wanted if not cell.file(folder).exists()), key=lambda cell: -cell.seconds)

    def one(cell: Cell) -> None:
        command = [sys.executable, "-m", "benchmarks.lot_sizing", "--cell", cell.name, "--out", str(folder)]
        command += ["--device", device]
        done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
        print(done.stdout.strip() if done.returncode == 0 else f"{cell.name} failed: {done.stderr[-2000:]}", flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, todo))


def table(folder: Path) -> Iterator[str]:
    """The measured figures beside the known ones."""
    found = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    yield "| instance | setting | cost by seed | ± | mean beside the optimum or bound | wanted | CPU s | steps/s |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, case in CASES.items():
        bounds = [row["bound"] for row in found if row["cell"].startswith(f"{name}/") and row["bound"]]
        for setting, own in SETTINGS.items():
            rows = [row for row in found if row["cell"].rsplit("/", 1)[0] == f"{name}/{setting}"]
            if rows:
                yield _line(name, case, own, rows, max(bounds, default=case.bound))
        yield f"| {name} | *known:* {case.known} | | | {_known(case, max(bounds, default=case.bound))} | | | |"


def _line(name: str, case: Case, setting: Setting, rows: list[dict[str, Any]], bound: float | None) -> str:
    costs = [row["cost"] for row in rows]
    mean, reference = sum(costs) / len(costs), case.optimum or bound
    beside = f"{100 * (mean / reference - 1):+.2f} %" if reference else ""
    paired = [row["above_optimum"] for row in rows if row.get("above_optimum")]
    if case.optimum and len(paired) == len(rows):
        share, error_of = (100 / case.optimum * sum(own) / len(own) for own in zip(*paired, strict=True))
        beside = f"{share:+.2f} ± {error_of:.2f} %"
    wanted = f"≤ {case.target:,.1f}" if case.target and setting.solver == "pdppo" else ""
    seconds = sum(row["cpu_seconds"] for row in rows) / len(rows)
    rate = f"{setting.steps / seconds:,.0f}" if setting.steps else ""
    error = max(row["standard_error"] for row in rows)
    shown = ", ".join(f"{cost:,.2f}" for cost in costs)
    spent = f"{seconds:,.0f}" + (f" ({rows[0]['machine']})" if "NVIDIA" in rows[0]["machine"] else "")
    line = f"| {name} | {setting.title} | {shown} | {error:.2f} | {beside} | {wanted} | {spent} | {rate} |"
    better = [row["improved"] for row in rows if row["improved"]]
    if not better:
        return line
    shown = ", ".join(f"{one['cost']:,.1f} ({one['change']:+.1f} ± {one['error_of_change']:.1f})" for one in better)
    return line + f"\n| {name} | *improved by the critic when deciding* | {shown} | | | | | |"


def _known(case: Case, bound: float | None) -> str:
    return f"optimum {case.optimum:,.2f}" if case.optimum else f"bound {bound:,.1f}" if bound else ""


def main() -> None:
    """Run cells, or collect them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="regular expression on cells' names")
    parser.add_argument("--list", action="store_true", help="show the cells and the CPU seconds each takes, about")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="where PDPPO trains; its seconds are then those of the clock")
    parser.add_argument("--out", type=Path, default=Path("lot-sizing-cells"))
    parser.add_argument("--cell", help="run this one cell here")
    parser.add_argument("--collect", type=Path, help="print the table of a folder of cells")
    parser.add_argument("--write", type=Path, help="write the table to a file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.collect:
        lines = "\n".join(table(arguments.collect))
        print(lines)
        if arguments.write:
            arguments.write.write_text(HEAD + lines + "\n")
    elif arguments.cell:
        cell = next(cell for cell in cells(".", "cpu") if cell.name == arguments.cell)
        arguments.out.mkdir(parents=True, exist_ok=True)
        result = run(cell, arguments.out, arguments.device)
        cell.file(arguments.out).write_text(json.dumps(result, indent=1))
        print(
            f"{cell.name}: {result['cost']:.2f} ± {result['standard_error']:.2f} in {result['cpu_seconds']:.0f} CPU s"
        )
    elif arguments.list:
        wanted = cells(arguments.only, arguments.device)
        for cell in wanted:
            print(f"{cell.name}  {cell.seconds:.0f} s")
        print(f"{len(wanted)} cells, {sum(cell.seconds for cell in wanted):,.0f} CPU seconds")
    else:
        spread_out(cells(arguments.only, arguments.device), arguments.out, arguments.jobs, arguments.device)


HEAD = """# Lot sizing: the published settings

Made by `python -m benchmarks.lot_sizing`, one process and thread a cell; `--collect` makes this table. Costs of a
scenario of 100 periods from a random state, on 16,384 fresh scenarios (4,096 for policies that look ahead), the same
for all cells of an instance; ± is the standard error of one mean. Where a card stands beside the seconds, they are
those of the clock, with nine cells at a time on that card (`--device cuda --only '(2x1|4x2)/wide' --jobs 9`).

"""

if __name__ == "__main__":
    main()
