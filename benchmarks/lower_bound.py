"""One warehouse, n stores that lose demand: lower bounds on every policy's cost, beside the best policy trained.

    OMP_NUM_THREADS=1 python -m benchmarks.lower_bound --write benchmarks/lower_bound.md

The free warehouse (every store alone), the priced warehouse (the same, paying for what the warehouse lacks), and with
`--sampled` the information relaxation, which knows nothing of warehouses and stores. Also, with `--cases`, stores whose
optimum is known, to see how tight the sampled method is. Per store and period. The policies are those of
`benchmarks.networks_of_paper`.
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
# Costs of our trained policies with half their 95 % intervals (benchmarks/networks_of_paper.md), and published ones.
TRAINED = {
    3: (5.585, 0.010),
    5: (5.261, 0.010),
    10: (5.711, 0.012),
    20: (5.890, 0.013),
    30: (5.602, 0.014),
    50: (5.422, 0.014),
}
PUBLISHED = {3: 5.60, 5: 5.26, 10: 5.72, 20: 5.90, 30: 5.61, 50: 5.42}
HEADER = "| network | free warehouse | priced warehouse | CPU s | trained policy | above the bound | published policy |"
SAMPLED = "| network | information relaxation | claimed | reference policy | gap | known | CPU s |"
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


def computed(name: str, net: Any) -> float:
    """A bound of the room per period."""
    method = next(m for m in PROBLEM.bounds if m.name == name)
    reason = method.refuses(net)
    assert reason is None, reason
    return method.value(net, lambda: False).value_per_stage


def priced_row(stores: int) -> str:
    """One line of the first table."""
    net = PROBLEM.parse(warehouse_stores(stores))
    free = computed("free_warehouse", net) / stores
    started = time.process_time()
    priced = computed("priced_warehouse", net) / stores
    spent = time.process_time() - started
    policy, half = TRAINED.get(stores, (float("nan"), float("nan")))
    above = f"{100 * (policy / priced - 1):.1f} % (free warehouse: {100 * (policy / free - 1):.1f} %)"
    return (
        f"| warehouse + {stores} stores | {free:.4f} | {priced:.4f} | {spent:.0f} "
        f"| {policy:.3f} ± {half:.3f} | {above} | {PUBLISHED.get(stores, '')} |"
    )


def sampled_row(name: str, document: dict[str, Any], known: str, config: dict[str, Any]) -> str:
    """One line of the second table."""
    net = PROBLEM.parse(document)
    stores = len([node for node in document["nodes"] if node["kind"] == "store"])
    started = time.process_time()
    assert INFORMATION_RELAXATION.solve is not None
    chosen = INFORMATION_RELAXATION.config(**config)
    found = INFORMATION_RELAXATION.solve(PROBLEM, net, chosen, SEED, Callbacks()).document
    spent = time.process_time() - started
    value, half = found["value_per_stage"] / stores, (found["ci95"][1] - found["value_per_stage"]) / stores
    claimed, policy = found["certified_per_stage"] / stores, found["policy_cost_per_stage"] / stores
    return (
        f"| {name} | {value:.4f} ± {half:.4f} | {claimed:.4f} | {policy:.4f} "
        f"| {100 * (policy - claimed) / claimed:.1f} % | {known} | {spent:.0f} |"
    )


def table(arguments: argparse.Namespace, config: dict[str, Any]) -> Iterator[str]:
    """Both tables, line by line."""
    yield from _head(HEADER)
    for stores in arguments.stores:
        yield priced_row(stores)
    if not (arguments.sampled or arguments.cases):
        return
    yield ""
    yield from _head(SAMPLED)
    for name, (document, optimum) in KNOWN.items() if arguments.cases else ():
        yield sampled_row(name, document, f"{optimum} (optimum)", config)
    for stores in arguments.stores if arguments.sampled else ():
        known = f"{PUBLISHED[stores]} (published policy)" if stores in PUBLISHED else ""
        yield sampled_row(f"warehouse + {stores} stores", warehouse_stores(stores), known, config)


def _head(header: str) -> Iterator[str]:
    yield header
    yield "|---" * (header.count("|") - 1) + "|"


def _read(value: str) -> Any:
    """A number, or the word itself."""
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", type=int, nargs="*", default=[3, 5, 10], help="numbers of stores")
    parser.add_argument("--sampled", action="store_true", help="also the information relaxation (minutes a network)")
    parser.add_argument("--cases", action="store_true", help="also the information relaxation of known optima")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="fields of its configuration")
    parser.add_argument("--write", type=Path, help="also write the tables to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pairs = [item.split("=", 1) for item in arguments.set]
    config: dict[str, Any] = dict(TIGHT)
    config |= {field: _read(value) for field, value in pairs}
    shown = [word for word in sys.argv[1:] if word != "--write" and word != str(arguments.write)]
    command = " ".join(["python -m benchmarks.lower_bound", *shown])
    lines = ["# Lower bounds for one warehouse and its stores", ""]
    lines += [f"Command: `OMP_NUM_THREADS=1 {command}`; per store and period. The first two are computed, so that they"]
    lines += ["have no standard error (policies: half a 95 % interval over scenarios and training seeds)."]
    lines += ["See docs/solvers/bounds.md.", ""]
    for line in table(arguments, config):
        print(line, flush=True)
        lines.append(line)
        if arguments.write:
            arguments.write.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
