"""Lower bounds: every method on every network of the problem's page, and perfect-information programs.

    OMP_NUM_THREADS=1 python -m benchmarks.bounds --write benchmarks/bounds.md

Prints Markdown tables, CPU time on one thread: value, known value and time of every bound; size, build time,
milliseconds per scenario hot and cold of perfect information, and what it says. Some minutes; `--short` leaves out the
warehouses with 20 and more stores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.bounds_of_page import table
from models.inventory_network import PROBLEM
from models.program import LinearProgram, Vector
from solvers.bounds import reported_weights
from solvers.evaluation import Scenarios, estimate
from solvers.highs import HotProgram

PUBLISHED = {
    "eight-nodes-backlog": 862,
    "eight-nodes-lost": 857,
    "four-serial-backlog": 1035,
    "four-serial-lost": 1034,
}
SEED = 991


def warehouse(stores: int) -> dict[str, Any]:
    """One warehouse and `stores` lost-sales stores over 50 periods, lead times 2–5."""
    names = [f"s{k}" for k in range(stores)]
    store = {"kind": "store", "holding_cost": 1.0, "shortage_cost": 9.0, "initial_on_hand": 10}
    return {
        "problem": "inventory_network",
        "periods": 50,
        "nodes": [
            {"id": "plant", "kind": "supplier"},
            {"id": "dc", "kind": "warehouse", "holding_cost": 0.3, "initial_on_hand": 10.0 * stores},
            *({"id": name, **store} for name in names),
        ],
        "lanes": [
            {"from": "plant", "to": "dc", "lead_time": 3},
            *({"from": "dc", "to": name, "lead_time": 2 + k % 4} for k, name in enumerate(names)),
        ],
        "demand": {"process": "normal", "correlation": 0.5, "nodes": {n: {"mean": 5.0, "std": 1.6} for n in names}},
    }


def seconds(call: Callable[[], Any]) -> tuple[Any, float]:
    """What a call returns and the CPU time it took (one thread: other work on the machine does not count)."""
    started = time.process_time()
    result = call()
    return result, time.process_time() - started


def solve_all(program: LinearProgram, states: Vector, paths: Vector, hot: bool) -> tuple[Vector, Vector, HotProgram]:
    """Optimum and seconds of every scenario; cold: from no basis, presolve included."""
    solver = HotProgram(program)
    values, times = [], []
    for state, path in zip(states, paths, strict=True):
        if not hot:
            solver._highs.clearSolver()
        started = time.process_time()
        solver.set_data(state, path)
        values.append(solver.solve().require("benchmark").value)
        times.append(time.process_time() - started)
    return np.array(values), np.array(times), solver


def rows(scenarios: int) -> Iterator[str]:
    """One line of the table per network."""
    yield "| network | rows × columns | compile | chain | first | hot | cold | steps | perfect information | known |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    documents = {e.name: e.document() for e in PROBLEM.examples if e.name in PUBLISHED}
    documents |= {f"warehouse + {n} stores, 50 periods": warehouse(n) for n in (3, 10, 50, 200)}
    PROBLEM.program(PROBLEM.parse(warehouse(1)))  # pays for Pyomo's import
    for name, document in documents.items():
        yield row(name, document, scenarios if name in PUBLISHED else max(scenarios // 50, 2))


def row(name: str, document: dict[str, Any], scenarios: int) -> str:
    """Build and solve one network's program."""
    net = PROBLEM.parse(document)
    simulator = PROBLEM.simulator(net)
    chunk = next(iter(Scenarios(simulator, SEED, scenarios)))
    face, compiling = seconds(lambda: PROBLEM.program(net))
    chained, chaining = seconds(lambda: face.horizon(reported_weights(simulator)))
    states, paths = face.state_vector(chunk.state), face.noise_path(chunk.noise)
    values, times, solver = solve_all(chained.program, states, paths, hot=True)
    few = slice(0, min(scenarios, 20))
    again, cold, _ = solve_all(chained.program, states[few], paths[few], hot=False)
    assert np.allclose(values[few], again, rtol=1e-7, atol=1e-5), "hot and cold optima differ"
    mean, error = estimate(-values if net.objective == "profit" else values)
    size = f"{len(chained.program.rows):,} × {len(chained.program.columns):,}"
    return (
        f"| {name} | {size} | {1e3 * compiling:.1f} ms | {1e3 * chaining:.1f} ms | {1e3 * times[0]:.1f} ms "
        f"| {1e3 * times[1:].mean():.2f} ms | {1e3 * cold[1:].mean():.2f} ms "
        f"| {solver.tally.iterations / scenarios:.1f} | {mean:,.1f} ± {error:.1f} | {PUBLISHED.get(name, '')} |"
    )


def overhead(repeats: int) -> Iterator[str]:
    """One stage of a warehouse with 10 stores: `HotProgram` beside bare HiGHS calls on the same changes."""
    net = PROBLEM.parse(warehouse(10))
    simulator, face = PROBLEM.simulator(net), PROBLEM.program(net)
    chunk = next(iter(Scenarios(simulator, SEED, repeats)))
    states, noises = face.state_vector(chunk.state), face.noise_vector(chunk.noise, 0)
    solver = HotProgram(face.stage(0))
    highs, touched = solver._highs, solver._touched
    shifts = np.concatenate([states, noises], axis=1) @ solver._data_matrix.T

    def bare() -> None:
        for shift in shifts:
            highs.changeRowsBounds(len(touched), touched, solver._lower - shift, solver._upper - shift)
            highs.run()
            highs.getInfo().objective_function_value  # noqa: B018
            highs.getSolution().row_dual  # noqa: B018

    def ours() -> None:
        for state, noise in zip(states, noises, strict=True):
            solver.set_data(state, noise)
            solver.solve()
            solver.row_duals()

    ours()
    pairs = [(seconds(bare)[1], seconds(ours)[1]) for _ in range(5)]
    least = [1e6 * min(column) / repeats for column in zip(*pairs, strict=True)]
    yield "| one stage, 32 × 32, hot | bare highspy | `HotProgram` | ratio |"
    yield "|---|---|---|---|"
    yield f"| µs per solve with duals, best of 5 | {least[0]:.0f} | {least[1]:.0f} | {least[1] / least[0]:.2f} |"


HEADINGS = (
    "Optima and relaxations, per store and period. *Known* is the page's figure: the optimum, or for transshipment the "
    "formula for normal demand that is not clipped at zero (ours is clipped, which lowers the cost a little where "
    "σ/μ nears .5). *Policy above bound*: the best published cost of a policy over the bound.",
    "Perfect information. *Compile* is Pyomo algebra to sparse matrices (Pyomo's import, once per process, not "
    "counted), *chain* joins the periods, *first* is the first solve, *hot* the mean of the others from the last "
    "basis, *cold* the same scenarios from no basis with presolve; *steps* are simplex iterations per hot solve. "
    "*Perfect information* is profit for the published networks, cost for the others, ± one standard error; *known* is "
    "the page's (standard error 4–6).",
    "What `HotProgram` adds to a solve.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", type=int, default=1000, help="scenarios for the published networks")
    parser.add_argument("--short", action="store_true", help="no warehouses with 20 and more stores")
    parser.add_argument("--write", type=Path, help="Markdown file to write as well")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tables = (table(not arguments.short), rows(arguments.scenarios), overhead(2 * arguments.scenarios))
    written = ["# Bounds", "", "Command: `OMP_NUM_THREADS=1 python -m benchmarks.bounds --write benchmarks/bounds.md`."]
    for heading, lines in zip(HEADINGS, tables, strict=True):
        for line in chain(["", heading, ""], lines):
            print(line, flush=True)
            written.append(line)
    if arguments.write is not None:
        arguments.write.write_text("\n".join(written) + "\n")


if __name__ == "__main__":
    main()
