"""One warehouse, n stores that lose demand: the trivial bound, the information-relaxation bound, the best policy.

    OMP_NUM_THREADS=1 python -m benchmarks.lower_bound --write benchmarks/lower_bound.md

Also cases whose optimum is known, to see how tight the method is. Per store and period.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from models.inventory_network import PROBLEM
from models.inventory_network.examples import one_store_backlogged, one_store_lost, warehouse_stores
from solvers.core import Callbacks
from solvers.information_relaxation import INFORMATION_RELAXATION

KNOWN = {
    "one store, backlogged, L 1": (one_store_backlogged(1), 3.9703),
    "one store, lost, L 1": (one_store_lost(1), 5.44),
    "one store, lost, L 4": (one_store_lost(4), 6.8359),
}
PUBLISHED = {3: 5.60, 5: 5.26, 10: 5.72, 20: 5.90}
HEADER = "| network | free warehouse | information relaxation | claimed | policy | gap | known | CPU s |"
# Slower than the solver's defaults and tighter: a longer horizon, finer copies, more inner outcomes.
TIGHT = {
    "fit_iterations": 3000,
    "ascent_periods": 200,
    "ascent_scenarios": 5,
    "ascent_iterations": 160,
    "periods": 2000,
    "scenarios": 8,
    "copies": 16,
    "inner_samples": 512,
}
SEED = 17


def free_warehouse(net: Any) -> float | None:
    """The bound of an unlimited, free warehouse per period; None where it does not fit."""
    method = next(m for m in PROBLEM.bounds if m.name == "free_warehouse")
    if method.refuses(net) is not None:
        return None
    return method.value(net, lambda: False).value_per_stage


def row(name: str, document: dict[str, Any], known: str, config: dict[str, Any]) -> str:
    """One line of the table."""
    net = PROBLEM.parse(document)
    stores = len([node for node in document["nodes"] if node["kind"] == "store"])
    started = time.process_time()
    trivial = free_warehouse(net) if stores > 1 else None
    assert INFORMATION_RELAXATION.solve is not None
    chosen = INFORMATION_RELAXATION.config(**config)
    found = INFORMATION_RELAXATION.solve(PROBLEM, net, chosen, SEED, Callbacks()).document
    spent = time.process_time() - started
    value, half = found["value_per_stage"] / stores, (found["ci95"][1] - found["value_per_stage"]) / stores
    claimed, policy = found["certified_per_stage"] / stores, found["policy_cost_per_stage"] / stores
    shown = "" if trivial is None else f"{trivial / stores:.4f}"
    return (
        f"| {name} | {shown} | {value:.4f} ± {half:.4f} | {claimed:.4f} | {policy:.4f} "
        f"| {100 * (policy - claimed) / claimed:.1f} % | {known} | {spent:.0f} |"
    )


def table(stores: list[int], cases: bool, config: dict[str, Any]) -> Iterator[str]:
    """The whole table, line by line."""
    yield HEADER
    yield "|---" * (HEADER.count("|") - 1) + "|"
    if cases:
        for name, (document, optimum) in KNOWN.items():
            yield row(name, document, f"{optimum} (optimum)", config)
    for count in stores:
        known = f"{PUBLISHED[count]} (published policy)" if count in PUBLISHED else ""
        yield row(f"warehouse + {count} stores", warehouse_stores(count), known, config)


def _read(value: str) -> Any:
    """A number, or the word itself."""
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", type=int, nargs="*", default=[3, 5, 10], help="numbers of stores")
    parser.add_argument("--no-cases", action="store_true", help="leave out the cases whose optimum is known")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="fields of the configuration")
    parser.add_argument("--write", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pairs = [item.split("=", 1) for item in arguments.set]
    config: dict[str, Any] = dict(TIGHT)
    config |= {field: _read(value) for field, value in pairs}
    shown = [word for word in sys.argv[1:] if word != "--write" and word != str(arguments.write)]
    command = " ".join(["python -m benchmarks.lower_bound", *shown])
    lines = ["# A lower bound for one warehouse and its stores", ""]
    lines += [f"Command: `OMP_NUM_THREADS=1 {command}`; per store and period, ± half a 95 % interval; *gap* is of the"]
    lines += ["policy above what is claimed. See docs/solvers/information_relaxation.md.", ""]
    for line in table(arguments.stores, not arguments.no_cases, config):
        print(line, flush=True)
        lines.append(line)
        if arguments.write:
            arguments.write.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
