"""From a posted supply network to today's recommended orders: what `make demo` shows.

Starts Herenow in embedded mode on a free loopback port with a data folder of its own, then speaks nothing but HTTP
with it: an example network is posted, a policy trained with live progress, its certificate printed and today's orders
asked for. Every step shows the `curl` command that does the same. Nothing is left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.rule import Rule

from service.cli.console import busy
from service.cli.progress import RunDisplay
from service.cli.tables import certificate_table, verdict
from service.client import Client, JobFailed

PROBLEM, CASE = "inventory_network", "eight-nodes-backlog"
SOLVER, NAME = "hdpo", "eight-nodes"
JSON = "-H 'Content-Type: application/json'"
START_SECONDS = 120.0

console = Console(highlight=False)


@contextmanager
def herenow(data_dir: Path) -> Iterator[str]:
    """A Herenow of our own; yields its URL, and stops it cleanly on the way out.

    `--stop-on-eof` makes it end even if this script is killed.
    """
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0", "--json", "--stop-on-eof"]
    command += ["--data-dir", str(data_dir)]
    quiet = {"HERENOW_LOG_LEVEL": "warning"} | os.environ  # its log lines would stand between the story's
    server = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True, env=quiet
    )
    late = threading.Timer(START_SECONDS, server.kill)
    late.start()
    try:
        assert server.stdout is not None
        with busy("starting Herenow (API, worker and broker)", console):
            line = server.stdout.readline()
        late.cancel()
        if not line:
            raise SystemExit("Herenow did not start; the reason stands above")
        yield json.loads(line)["url"]
    finally:
        late.cancel()
        server.terminate()
        server.wait(60)


class Tour:
    """The steps, each shown as the `curl` command that does the same."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=60.0)
        self.herenow = Client(url)

    def step(self, title: str) -> None:
        """Say what comes next."""
        console.print()
        console.print(Rule(f"[bold]{title}", align="left", style="dim"))

    def show(self, *curl: str) -> None:
        """A command that does what comes next, a line each."""
        first, *more = (line.replace("URL", self.url) for line in curl)
        console.print(f"[green]$[/green] {first}", soft_wrap=True, style="dim")
        for line in more:
            console.print(f"    {line}", soft_wrap=True, style="dim", markup=False)

    def post(self, path: str, body: Any, accept: str = "application/json") -> httpx.Response:
        """POST a document; ends the demo with the service's own words if it is refused."""
        return self._checked(self.http.post(path, json=body, headers={"Accept": accept}))

    def get(self, path: str) -> Any:
        """GET a document."""
        return self._checked(self.http.get(path)).json()

    def _checked(self, answer: httpx.Response) -> httpx.Response:
        if answer.is_error:
            raise SystemExit(f"{answer.request.method} {answer.request.url.path}: {answer.status_code}\n{answer.text}")
        return answer


def post_network(tour: Tour) -> str:
    """Post the example network as it comes from the service; returns the instance's id."""
    tour.step("1  Post a supply network")
    tour.show(f"curl -s URL/v1/problems/{PROBLEM}/examples/{CASE} > network.json")
    tour.show(f"curl -s URL/v1/instances {JSON} --data-binary @network.json")
    network = tour.get(f"/v1/problems/{PROBLEM}/examples/{CASE}")
    instance_id: str = tour.post("/v1/instances", network).json()["id"]
    nodes, lanes = len(network["nodes"]), len(network["lanes"])
    console.print(f"{instance_id}: {network['name']}, {nodes} nodes, {lanes} lanes, {network['periods']} periods")
    return instance_id


def train(tour: Tour, instance_id: str, time_limit: str) -> str:
    """Train a policy and follow it live; returns the policy's id."""
    tour.step("2  Train a policy for it")
    request = {"kind": "train", "instance_id": instance_id, "solver": SOLVER, "policy_name": NAME, "seed": 7}
    request["time_limit"] = time_limit
    first, second = json.dumps(request)[1:-1].split(', "solver"')
    tour.show(f"curl -s URL/v1/jobs {JSON} -d \\", f"'{{{first},", f""" "solver"{second}}}'""")
    job_id = tour.post("/v1/jobs", request).json()["id"]
    tour.show(f"curl -sN URL/v1/jobs/{job_id}/events")
    with RunDisplay(console) as display:
        try:
            job = tour.herenow.jobs.wait(job_id, on_progress=display.update)
        except JobFailed as failed:
            raise SystemExit(str(failed)) from None
    return job.policy_id or ""


def show_certificate(tour: Tour, policy_id: str) -> None:
    """Print how good the policy is, on scenarios it never saw."""
    tour.step("3  Read its certificate")
    tour.show(f"curl -s URL/v1/policies/{NAME}")
    certificate = tour.get(f"/v1/policies/{policy_id}")["certificate"]
    console.print(certificate_table(certificate, f"{SOLVER} (this policy)"))
    console.print(verdict(certificate))


def show_orders(tour: Tour) -> None:
    """Ask for today's orders, as a table for a terminal."""
    tour.step("4  Ask what to order today")
    tour.show(f"curl -s URL/v1/policies/{NAME}/recommend {JSON} \\", "-H 'Accept: text/plain' -d '{}'")
    console.print()
    console.print(tour.post(f"/v1/policies/{NAME}/recommend", {}, accept="text/plain").text.rstrip(), markup=False)


def main() -> None:
    """Run the demo in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--time-limit", default="PT5M", help="time limit of the training job (ISO-8601 duration)")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="herenow-demo-") as folder, herenow(Path(folder)) as url:
        console.print(f"[bold green]Herenow is ready[/bold green] at {url}, its data in {folder}")
        tour = Tour(url)
        policy_id = train(tour, post_network(tour), options.time_limit)
        show_certificate(tour, policy_id)
        show_orders(tour)
        console.print(Rule(style="dim"))
    console.print(f"Done in {time.monotonic() - started:.0f} s; Herenow is stopped and its folder removed.")
    console.print("Leave one running with [bold]make serve[/bold] and give it the commands above (at its own URL).")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("\nstopped") from None
