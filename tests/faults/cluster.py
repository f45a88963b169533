"""A service spread out as over several machines: API replicas and workers with a data folder each and nothing in common
but a PostgreSQL, a Redis and a store that speaks S3.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from service.db.migrate import upgrade
from service.db.session import Database
from service.settings import Settings
from tests.service.workers import ROOT, Worker, environment


class Replica:
    """An API process on a free port."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.settings = settings
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", "serve", "--api-only", "--port", "0", "--json"],
                env=environment(settings),
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=output,
            )
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        if not ready:
            raise RuntimeError(f"the API did not start: {log.read_text()[-2000:]}")
        self.url: str = json.loads(ready)["url"]

    def client(self) -> httpx.Client:
        """An HTTP client of this replica."""
        return httpx.Client(base_url=self.url, timeout=60)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@dataclass
class Cluster:
    """What runs, and how to start more of it."""

    folder: Path
    shared: dict[str, Any]
    apis: list[Replica] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)

    def settings(self, name: str, **given: Any) -> Settings:
        """Settings of one process: a data folder of its own, the rest in common."""
        return Settings(**{**self.shared, "data_dir": self.folder / name, **given})

    def add_api(self, **given: Any) -> Replica:
        """Start a replica; returns when it is ready."""
        name = f"api-{len(self.apis) + 1}"
        self.apis.append(Replica(self.settings(name, **given), self.folder / f"{name}.log"))
        return self.apis[-1]

    def add_worker(self, **given: Any) -> Worker:
        """Start a worker; it takes jobs when it has loaded."""
        name = f"worker-{len(self.workers) + 1}"
        self.workers.append(Worker(self.settings(name, **given), self.folder / f"{name}.log"))
        return self.workers[-1]

    def close(self) -> None:
        """End everything that still runs."""
        for api in self.apis:
            if api.process.poll() is None:
                api.kill()
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.kill()


@contextmanager
def cluster(folder: Path, apis: int, workers: int, **shared: Any) -> Iterator[Cluster]:
    """So many replicas and workers on a database, a broker and a store; ended when left."""
    database = Database(Settings(**shared).database)
    upgrade(database)
    database.close()
    with ExitStack() as stack:
        made = Cluster(folder, shared)
        stack.callback(made.close)
        for _ in range(workers):
            made.add_worker()
        for _ in range(apis):
            made.add_api()
        yield made
