"""What a planner gets over HTTP with the default configuration, beside the known optima.

    python -m benchmarks.over_http [--seeds 1] [--only one-store|eight-nodes] [--write benchmarks/over_http.md]

Starts Herenow in embedded mode (one worker, one thread), posts each network, trains with HDPO's defaults and reads the
certificate: items 1 and 2 of the inventory figures (one store, backlogged and lost; lead times 1 and 4; shortage costs
9 and 39) against the newsvendor and value iteration, item 6 (eight nodes, four serial) against perfect information on
the same scenarios. Costs are per period after the warm-up, intervals are 95 %.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from examples.demo import herenow
from models.inventory_network.examples import eight_nodes, four_serial, one_store_backlogged, one_store_lost
from tests.oracles.newsvendor import backlogged_store

# Zipkin 2008, to four digits where relative value iteration gives them (tests/oracles/lost_sales.py checks them).
LOST_SALES = {(1, 9.0): 5.44, (1, 39.0): 7.84, (4, 9.0): 6.8359, (4, 39.0): 10.7944}

LIMIT_SECONDS = {"one-store": 300.0, "eight-nodes": 360.0}  # from POST to the policy's card, on an idle core


@dataclass(frozen=True)
class Case:
    """A network to train on and what is known about it."""

    group: str
    document: dict[str, Any]
    optimum: float | None  # per period; None: judged against perfect information
    target: float | None  # largest gap to the optimum, or least share of perfect information; None: only shown

    def met(self, certificate: dict[str, Any]) -> bool:
        """Whether the certificate reaches the target, its own noise aside (0.2 % of the cost at most)."""
        if self.target is None:
            return True
        if self.optimum is None:
            return bool(1 - certificate["gap"] >= self.target)
        return bool(certificate["policy"]["mean_cost_per_stage"] / self.optimum - 1 <= self.target)

    @property
    def shown_target(self) -> str:
        """The target as the table shows it."""
        if self.target is None:
            return "—"
        return f"≥ {self.target:.3f}" if self.optimum is None else f"≤ {100 * self.target:.1f} %"


def cases() -> Iterator[Case]:
    """The networks, in the order they are reported."""
    for lead in (1, 4):
        for cost in (9.0, 39.0):
            _, optimum = backlogged_store(5.0, 1.6, lead, 1.0, cost)
            yield Case("one-store", one_store_backlogged(lead, cost), optimum, 0.005)
    for lead in (1, 4):
        for cost in (9.0, 39.0):
            yield Case("one-store", one_store_lost(lead, cost), LOST_SALES[lead, cost], 0.005)
    yield Case("eight-nodes", eight_nodes(), None, 0.985)
    yield Case("eight-nodes", eight_nodes("lost"), None, None)
    yield Case("eight-nodes", four_serial(), None, None)
    yield Case("eight-nodes", four_serial("lost"), None, None)


def train(http: httpx.Client, document: dict[str, Any], seed: int) -> tuple[dict[str, Any], float]:
    """Post, train with the defaults, wait; the policy's card and the seconds from POST to the end."""
    started = time.monotonic()
    instance = http.post("/v1/instances", json=document).raise_for_status().json()["id"]
    body = {"kind": "train", "instance_id": instance, "solver": "hdpo", "seed": seed}
    job = http.post("/v1/jobs", json=body).raise_for_status().json()
    while job["state"] not in ("succeeded", "failed", "cancelled"):
        time.sleep(0.5)
        job = http.get(f"/v1/jobs/{job['id']}").raise_for_status().json()
    seconds = time.monotonic() - started
    if job["state"] != "succeeded":
        raise SystemExit(f"{document['name']}: {job['error']}")
    card: dict[str, Any] = http.get(f"/v1/policies/{job['policy_id']}").raise_for_status().json()
    return card, seconds


def row(case: Case, card: dict[str, Any], seconds: float, seed: int) -> str:
    """One line of the table."""
    certificate = card["certificate"]
    policy, stages = certificate["policy"], case.document["periods"] - case.document.get("warmup_periods", 0)
    mean, half = policy["mean_cost_per_stage"], 1.96 * policy["standard_error"] / stages
    rule = certificate["rules"][0]
    if case.optimum is None:
        share = 1 - certificate["gap"]
        low, high = (1 - side for side in reversed(certificate["gap_ci95"]))
        known = f"{certificate['bound']['value_per_stage']:.3f} (bound)"
        quality = f"{share:.4f} [{low:.4f}, {high:.4f}] of the bound"
    else:
        known = f"{case.optimum:.4f}"
        quality = f"{100 * (mean / case.optimum - 1):+.2f} % ± {100 * half / case.optimum:.2f}"
    return (
        f"| {case.document['name']} | {seed} | {mean:.4f} ± {half:.4f} | {known} | {quality} | {case.shown_target} "
        f"| {rule['name']} {rule['mean_cost_per_stage']:.4f} | {seconds:.0f} |"
    )


def main() -> None:
    """Run the cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", choices=("one-store", "eight-nodes"))
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    command = "python -m benchmarks.over_http" + (f" --seeds {options.seeds}" if options.seeds > 1 else "")
    lines = [
        f"`{command}`, {platform.machine()}, one thread, default configuration, cost per period.",
        "",
        "| network | seed | policy | known | against it | target | best rule | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    missed: list[str] = []
    with tempfile.TemporaryDirectory() as folder, herenow(Path(folder)) as url, httpx.Client(base_url=url) as http:
        for case in cases():
            if options.only not in (None, case.group):
                continue
            for seed in range(1, options.seeds + 1):
                card, seconds = train(http, case.document, seed)
                lines.append(row(case, card, seconds, seed))
                print(lines[-1], flush=True)
                if not case.met(card["certificate"]) or seconds > LIMIT_SECONDS[case.group]:
                    missed.append(f"{case.document['name']}, seed {seed}")
    if options.write:
        options.write.write_text("# Over HTTP, with the defaults\n\n" + "\n".join(lines) + "\n")
    if missed:
        raise SystemExit(f"targets missed (quality, or the time allowed): {'; '.join(missed)}")


if __name__ == "__main__":
    main()
