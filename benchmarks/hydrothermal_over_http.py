"""Bolivia over HTTP: imported, TS-DDR and SDDP trained, compared on the published paths, asked for dispatches.

    HERENOW_CASE_DATA=… python -m benchmarks.hydrothermal_over_http [--minutes 15] [--scenarios 500] [--write FILE]

Starts Herenow in embedded mode (one worker, one thread). Both jobs get the minutes, certificates included; one
evaluation then judges both policies and the myopic rule on the published paths, stages to be reported 96 of 126. Last,
each policy is asked for 200 dispatches, one state after the other: milliseconds are those at the client.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from examples.demo import herenow

FILES = {
    "network": "PowerModels.json",
    "hydro": "hydro.json",
    "inflows": "inflows.csv",
    "evaluation": "evaluation_columns.csv",
}
TARGET = 12.0  # [ms] median at the client
CONFIGS = {
    "sddp": {"iterations": 420, "gap": 0.0, "simulation_paths": 4, "check_every": 140},
    "tsddr": {"iterations": 2400, "validation_every": 200},
}


@dataclass(frozen=True)
class Asked:
    """How much of everything."""

    stages: int = 126
    report_stages: int = 96
    minutes: float = 15.0  # of each training
    judging: float = 60.0  # minutes of the evaluation
    scenarios: int = 500
    dispatches: int = 200
    physics: str = "dc"
    configs: Any = None  # by solver; None: `CONFIGS`


@dataclass
class Found:
    """What came back."""

    cards: dict[str, Any]  # by solver
    seconds: dict[str, float]  # by job
    evaluation: dict[str, Any]
    decisions: dict[str, Any]  # the last one, by solver
    milliseconds: dict[str, float]  # median at the client, by solver


def finished(http: httpx.Client, path: str, body: dict[str, Any]) -> tuple[dict[str, Any], float]:
    """A job that is asked for, once it has succeeded, and its wall-clock seconds."""
    began = time.monotonic()
    job: dict[str, Any] = http.post(path, json=body).raise_for_status().json()
    while job["finished_at"] is None:
        time.sleep(0.5)
        job = http.get(f"/v1/jobs/{job['id']}").raise_for_status().json()
    if job["state"] != "succeeded":
        raise RuntimeError(f"{body}: {job['error']}")
    return job, time.monotonic() - began


def imported(http: httpx.Client, asked: Asked) -> dict[str, Any]:
    """Bolivia as an instance."""
    folder = Path(os.environ["HERENOW_CASE_DATA"]) / "hydro" / "bolivia"
    files = {part: (name, (folder / name).read_bytes()) for part, name in FILES.items()}
    form = {"problem": "hydrothermal", "format": "powermodels", "name": "bolivia", "load_factor": "0.6"}
    form |= {"stages": str(asked.stages), "report_stages": str(asked.report_stages), "physics": asked.physics}
    answer: dict[str, Any] = http.post("/v1/instances/import", data=form, files=files).raise_for_status().json()
    return answer


def state_of(document: dict[str, Any], place: int) -> dict[str, Any]:
    """A state to ask about: reservoirs somewhere between dead and full, an inflow of the stage's scenarios."""
    table, stage = document["inflows"]["inflow_m3s"], place % document["stages"]
    storage = {h["id"]: h["storage_min_hm3"] + 0.2 * (place % 5) * _span(h) for h in document["hydros"]}
    inflow = {h: rows[stage % len(rows)][place % len(rows[0])] for h, rows in table.items()}
    return {"stage": stage, "storage_hm3": storage, "inflow_m3s": inflow}


def _span(hydro: dict[str, Any]) -> float:
    return float(hydro["storage_max_hm3"] - hydro["storage_min_hm3"])


def end_to_end(http: httpx.Client, asked: Asked) -> Found:
    """The whole way, from files to dispatches."""
    instance = imported(http, asked)["id"]
    found, policies = Found({}, {}, {}, {}, {}), {}
    limit = f"PT{asked.minutes * 60:.0f}S"
    for solver, config in (asked.configs or CONFIGS).items():
        body = {"kind": "train", "instance_id": instance, "solver": solver, "config": config, "seed": 1}
        body |= {"policy_name": f"bolivia-{solver}"}
        job, found.seconds[solver] = finished(http, "/v1/jobs", body | {"time_limit": limit})
        policies[solver] = job["policy_id"]
        found.cards[solver] = http.get(f"/v1/policies/{job['policy_id']}").raise_for_status().json()
    body = {"instance_id": instance, "policies": list(policies.values()), "rules": ["myopic"], "seed": 1}
    body |= {"scenarios": asked.scenarios, "time_limit": f"PT{asked.judging * 60:.0f}S"}
    job, found.seconds["evaluation"] = finished(http, "/v1/evaluations", body)
    answer = http.get(f"/v1/evaluations/{job['evaluation_id']}").raise_for_status().json()
    found.evaluation = answer["document"]
    document = http.get(f"/v1/instances/{instance}").raise_for_status().json()["document"]
    for solver, policy in policies.items():
        spent = []
        for place in range(asked.dispatches):
            state = state_of(document, place)
            began = time.perf_counter()
            told = http.post(f"/v1/policies/{policy}/recommend", json={"state": state})
            spent.append(1e3 * (time.perf_counter() - began))
            found.decisions[solver] = told.raise_for_status().json()["decision"]
        found.milliseconds[solver] = statistics.median(spent)
    return found


def table(found: Found, hours: float) -> list[str]:
    """Costs per hour of the reported stages, and what it took."""
    lines = [
        "| | reported stages, per hour | more than the first, paired | job s | ms a dispatch, median at the client |"
    ]
    lines.append("|---|---|---|---|---|")
    for entry in found.evaluation["policies"]:
        solver = entry["name"].split(":")[0].removeprefix("bolivia-")
        mean, error = entry["mean_cost"] / hours, entry["standard_error"] / hours
        paired = entry.get("paired_difference")
        against = "" if paired is None else f"{100 * paired['mean'] / entry['mean_cost']:+.3f} %"
        spent = f"{found.seconds[solver]:.0f}" if solver in found.seconds else ""
        milliseconds = f"{found.milliseconds[solver]:.1f}" if solver in found.milliseconds else ""
        lines.append(f"| {solver} | {mean:,.1f} ± {error:,.1f} | {against} | {spent} | {milliseconds} |")
    lines += ["", f"{found.evaluation['scenarios']} paths, judged in {found.seconds['evaluation']:.0f} s."]
    return [*lines, f"A dispatch may take {TARGET:.0f} ms."]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--scenarios", type=int, default=500)
    parser.add_argument("--dispatches", type=int, default=200)
    parser.add_argument("--iterations", type=int, help="of both, instead of those that take ten minutes each")
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    few = {name: config | {"iterations": asked.iterations} for name, config in CONFIGS.items()}
    wanted = Asked(minutes=asked.minutes, scenarios=asked.scenarios, dispatches=asked.dispatches)
    wanted = wanted if asked.iterations is None else Asked(**(vars(wanted) | {"configs": few}))
    with tempfile.TemporaryDirectory() as folder, herenow(Path(folder)) as url, httpx.Client(base_url=url) as http:
        http.timeout = httpx.Timeout(120.0)
        lines = table(end_to_end(http, wanted), 168.0)
    print("\n".join(lines))
    if asked.write:
        asked.write.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
