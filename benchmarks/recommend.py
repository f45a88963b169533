"""How fast Herenow answers: one state at a time, and many in one columnar batch, at a client on loopback.

    python -m benchmarks.recommend [--write benchmarks/recommend.md]

The limit beside it: what the policy itself takes in process on the same states, without HTTP, JSON or the audit row.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch

from examples.demo import herenow
from models.inventory_network.examples import eight_nodes, one_store_lost
from solvers.artifact import PolicyArtifact
from solvers.serving import ServedPolicy

SINGLE, BATCH = 300, 20_000


def trained(http: httpx.Client, document: dict[str, Any]) -> dict[str, Any]:
    """A barely trained policy: how good it is does not change how fast it answers."""
    instance = http.post("/v1/instances", json=document).raise_for_status().json()["id"]
    body = {
        "kind": "train",
        "instance_id": instance,
        "solver": "hdpo",
        "config": {"iterations": 5},
        "time_limit": "PT20S",
    }
    job = http.post("/v1/jobs", json=body).raise_for_status().json()
    while job["state"] not in ("succeeded", "failed", "cancelled"):
        time.sleep(0.3)
        job = http.get(f"/v1/jobs/{job['id']}").raise_for_status().json()
    card: dict[str, Any] = http.get(f"/v1/policies/{job['policy_id']}").raise_for_status().json()
    return card


def columns(served: ServedPolicy, rows: int) -> dict[str, Any]:
    """Random states of the policy's network as one columnar document, every slot of the pipeline filled."""
    rng = np.random.default_rng(1)
    layout = served.view.layout  # type: ignore[attr-defined]
    lines = [
        {
            "from": layout.lanes[lane].source,
            "to": layout.lanes[lane].target,
            "arrives_in": int(arrival),
            "quantity": rng.integers(0, 30, rows).tolist(),
        }
        for lane, arrival in zip(layout.slot_lane, layout.slot_arrival, strict=True)
    ]
    stock = {node.id: rng.integers(0, 200, rows).tolist() for node in layout.nodes[: layout.num_stocking]}
    last = served.instance.num_stages
    return {"period": rng.integers(0, last, rows).tolist(), "on_hand": stock, "in_transit": lines}


def measure(http: httpx.Client, data_dir: Path, document: dict[str, Any]) -> str:
    """One line of the table for one network."""
    card = trained(http, document)
    digest = card["artifact"]["digest"] if "artifact" in card else card["artifact_digest"]
    (root,) = [path for path in data_dir.rglob("artifacts") if path.is_dir()]
    served = ServedPolicy(PolicyArtifact.load(root, digest))
    url, today = f"/v1/policies/{card['id']}/recommend", served.view.today()
    times = []
    for _ in range(SINGLE):
        started = time.perf_counter()
        http.post(url, json={"state": today}).raise_for_status()
        times.append(1000 * (time.perf_counter() - started))
    bare = []
    for _ in range(50):
        started = time.perf_counter()
        served.recommend([today])
        bare.append(1000 * (time.perf_counter() - started))
    states = columns(served, BATCH)
    numbers = sum(len(line["quantity"]) for line in states["in_transit"]) + BATCH * (len(states["on_hand"]) + 1)
    rates, inner = [], []
    for _ in range(5):
        started = time.perf_counter()
        http.post(url, json={"states": states}, timeout=60).raise_for_status()
        rates.append(BATCH / (time.perf_counter() - started))
        started = time.perf_counter()
        served.recommend_columns(states)
        inner.append(BATCH / (time.perf_counter() - started))
    steady = sorted(times[20:])
    return (
        f"| {document['name']} | {statistics.median(steady):.1f} | {steady[int(0.95 * len(steady))]:.1f} "
        f"| {statistics.median(bare):.2f} | {statistics.median(rates):,.0f} | {statistics.median(inner):,.0f} "
        f"| {numbers:,} |"
    )


def main() -> None:
    """Measure a small and a larger network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "`python -m benchmarks.recommend`, client and server on one machine, SQLite, audit row included.",
        "",
        f"| network | one state, median [ms] | 95 % [ms] | in process [ms] | {BATCH:,} at once [states/s] "
        "| in process [states/s] | numbers in the request |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        with herenow(data_dir) as url, httpx.Client(base_url=url, timeout=30) as http:
            for document in (one_store_lost(), eight_nodes()):
                lines.append(measure(http, data_dir, document))
                print(lines[-1], flush=True)
    if options.write:
        options.write.write_text("# How fast it answers\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
