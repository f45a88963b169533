"""What more replicas and more workers give: recommendations and jobs a second from one to several, on this machine.

    python -m benchmarks.scale_out [--replicas 2] [--workers 3] [--seconds 8] [--jobs 6] [--write FILE]

API replicas and workers share a PostgreSQL, a Redis and a store that speaks S3, and no folder, as on several machines;
but all of them, the servers and the clients share this machine's cores. So besides rates the table has what does not
depend on that: the API's own CPU time for a recommendation, and jobs that only wait, which need workers but no cores.
The last table is what each process holds, to size PostgreSQL, Redis and memory by.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis
from sqlalchemy import NullPool, create_engine, text

from service.db.session import Database
from service.jobs.bell import make_bell
from service.objects import open_store
from tests.faults.cluster import Cluster, Replica, cluster
from tests.servers import new_bucket, object_server, postgres_server, redis_server
from tests.service.api_server import add_policy, example_document
from tests.service.workers import Desk

CONNECTIONS = 16  # of each replica's client
SCENARIOS = 4096  # of a job that computes: an evaluation of one rule
WAIT_SECONDS = 10.0  # what a job that only waits takes, beside its process's start
PATIENCE = 900.0


def small() -> dict[str, Any]:
    """One store, few periods."""
    return {**example_document("one-store-backlogged"), "periods": 8, "warmup_periods": 2, "name": "small"}


def run_jobs(http: httpx.Client, bodies: list[dict[str, Any]]) -> tuple[float, list[dict[str, Any]]]:
    """Submit jobs at once and wait for all: seconds from the first submission to the last end, and the jobs."""
    ids = [http.post("/v1/jobs", json=body).raise_for_status().json()["id"] for body in bodies]
    deadline = time.monotonic() + PATIENCE
    jobs: list[dict[str, Any]] = []
    while time.monotonic() < deadline:
        jobs = [http.get(f"/v1/jobs/{job_id}").raise_for_status().json() for job_id in ids]
        if all(job["finished_at"] for job in jobs):
            break
        time.sleep(0.3)
    if any(job["state"] != "succeeded" for job in jobs):
        raise SystemExit(f"a job did not succeed: {[(job['state'], job['error']) for job in jobs]}")
    begin, end = min(job["created_at"] for job in jobs), max(job["finished_at"] for job in jobs)
    return _seconds(end) - _seconds(begin), jobs


class Watch:
    """The most of what was seen, looked at again and again while open: jobs' memory [bytes], database connections."""

    def __init__(self, made: Cluster) -> None:
        self._made = made
        self.child = self.connections = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stopping.wait(0.5):
            children = [child for worker in self._made.workers for child in worker.children()]
            self.child = max([self.child, *(_memory(child.pid) for child in children)])
            self.connections = max(self.connections, connections(self._made))


def connections(made: Cluster) -> int:
    """Connections that PostgreSQL holds for the service now, this look's own aside."""
    engine = create_engine(made.settings("look").database, poolclass=NullPool)
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with engine.connect() as connection:
        return int(connection.scalar(text(query)) or 0)


def bell_bytes(made: Cluster, count: int = 1000) -> float:
    """Redis' memory for one queued job's bell [bytes]."""
    settings = made.settings("bells", queue=f"bench-{secrets.token_hex(4)}")
    bell, server = make_bell(settings), redis.Redis.from_url(settings.broker_url.replace("redis+socket", "unix"))
    bell.ring("job_of_no_one")
    before = server.info("memory")["used_memory"]
    for _ in range(count):
        bell.ring("job_of_no_one")
    grown = float(server.info("memory")["used_memory"] - before)
    server.delete(settings.queue)
    return grown / count


def _memory(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def job_rows(made: Cluster, workers: int, count: int) -> list[str]:
    """Throughput of jobs that wait and of jobs that compute, with one worker more each time."""
    lines: list[str] = []
    first: dict[str, float] = {}
    with made.apis[0].client() as http:
        instance = http.post("/v1/instances", json=small()).raise_for_status().json()["id"]
        waiting = {"kind": "solve", "instance_id": instance, "solver": "lab_program", "config": {"pace": WAIT_SECONDS}}
        computing = {"kind": "evaluate", "instance_id": instance, "rules": ["base_stock"], "scenarios": SCENARIOS}
        for number in range(1, workers + 1):
            made.add_worker()
            _until(http, number)
            cells = []
            for name, body in (("waiting", waiting), ("computing", computing)):
                took, _ = run_jobs(http, [body | {"seed": seed} for seed in range(count)])
                rate = 60 * count / took
                first.setdefault(name, rate)
                cells += [f"{rate:.1f}", f"{rate / first[name]:.2f}"]
            lines.append(f"| {number} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    return lines


def recommend_rows(made: Cluster, policy_id: str, seconds: float) -> list[str]:
    """Throughput of single recommendations, with one replica more each time."""
    lines, first = [], 0.0
    for number in range(1, len(made.apis) + 1):
        asked = made.apis[:number]
        drive(asked, policy_id, 2.0)  # policies are loaded, code is warm
        before = [_cpu(api) for api in asked]
        answers = drive(asked, policy_id, seconds)
        spent = sum(_cpu(api) for api in asked) - sum(before)
        good = sum(answer["statuses"].get("200", 0) for answer in answers)
        refused = sum(sum(answer["statuses"].values()) for answer in answers) - good
        rate = sum(answer["statuses"].get("200", 0) / answer["seconds"] for answer in answers)
        first = first or rate
        lines.append(f"| {number} | {rate:,.0f} | {rate / first:.2f} | {1000 * spent / good:.2f} | {refused} |")
        print(lines[-1], flush=True)
    return lines


def drive(apis: list[Replica], policy_id: str, seconds: float) -> list[dict[str, Any]]:
    """A client process for each replica, all at once; what each counted."""
    path, options = (
        f"/v1/policies/{policy_id}/recommend",
        ["--connections", str(CONNECTIONS), "--seconds", str(seconds)],
    )
    clients = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.load.driver", api.url, path, "{}", *options], stdout=subprocess.PIPE
        )
        for api in apis
    ]
    return [json.loads(client.communicate()[0]) for client in clients]


def _cpu(api: Replica) -> float:
    """CPU seconds of a replica so far."""
    process = psutil.Process(api.process.pid)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(found.user + found.system for found in times)


def _until(http: httpx.Client, workers: int) -> None:
    """Wait until so many workers tell of themselves."""
    deadline = time.monotonic() + PATIENCE
    while len(http.get("/v1/workers").json()["items"]) < workers:
        if time.monotonic() > deadline:
            raise SystemExit("a worker did not start")
        time.sleep(0.2)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="how long recommendations are asked for")
    parser.add_argument("--jobs", type=int, default=6, help="jobs of each kind and number of workers")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    lines = [
        f"`python -m benchmarks.scale_out`: {cores} cores for everything (replicas, workers, PostgreSQL, Redis, the "
        f"S3-like store and the clients), load {load:.1f} before.",
        "",
        "| workers | jobs that wait [1/min] | ratio | jobs that compute [1/min] | ratio |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(object_server())
        shared = {
            "database_url": stack.enter_context(stack.enter_context(postgres_server()).database()),
            "broker_url": stack.enter_context(redis_server()),
            "queue": f"bench-{secrets.token_hex(4)}",
            "store_url": new_bucket(),
        }
        made = stack.enter_context(cluster(folder, options.replicas, 0, **shared))
        idle = connections(made)
        with Watch(made) as jobs_seen:
            lines += job_rows(made, options.workers, options.jobs)
        database = Database(made.settings("desk").database)
        policy_id = add_policy(Desk(made.settings("desk"), database), small())  # untrained: it decides as fast
        worker_memory = max(_memory(worker.process.pid) for worker in made.workers)
        for worker in made.workers:
            worker.stop()
        head = [
            "",
            "| replicas | recommendations [1/s] | ratio | CPU of the API each [ms] | refused |",
            "|---|---|---|---|---|",
        ]
        print("\n".join(head), flush=True)
        with Watch(made) as asked_seen:
            lines += head + recommend_rows(made, policy_id, options.seconds)
        each = (jobs_seen.connections - idle) / options.workers
        kept = sum(found.size for found in open_store(shared["store_url"]).listing("artifacts")) / 2**10
        api = max(_memory(replica.process.pid) for replica in made.apis) / 2**20
        worker, child = worker_memory / 2**20, jobs_seen.child / 2**20
        last = [
            "",
            "| | memory [MiB] | PostgreSQL connections |",
            "|---|---|---|",
            f"| a replica, asked by {CONNECTIONS} clients | {api:.0f} "
            f"| {asked_seen.connections / options.replicas:.0f} |",
            f"| a worker with a job, and the job | {worker:.0f} + {child:.0f} | {each:.1f} |",
            "",
            f"A queued job's bell takes {bell_bytes(made):.0f} bytes of Redis; the policy, a small network, is "
            f"{kept:.0f} KiB in the store.",
        ]
        lines += last
        print("\n".join(last), flush=True)
    if options.write:
        options.write.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
