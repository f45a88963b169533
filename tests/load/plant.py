"""What is driven: API processes of a service on a database of its own, with a policy to ask and jobs to follow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil

from models.inventory_network.examples import one_store_lost
from service.db.migrate import upgrade
from service.db.session import Database
from service.settings import Settings
from service.storage import Storage
from tests.service.api_server import add_policy

START_SECONDS = 180.0


@dataclass(frozen=True)
class Plant:
    """A running API and what lies below it."""

    url: str
    process: psutil.Process
    database: Database

    def cpu(self) -> float:
        """CPU seconds that the API's processes have used."""
        family = [self.process, *self.process.children(recursive=True)]
        return sum(sum(one.cpu_times()[:2]) for one in family)

    def memory(self) -> float:
        """Resident memory of the API process [MiB]."""
        return self.process.memory_info().rss / 2**20

    def client(self) -> httpx.Client:
        """An HTTP client of it."""
        return httpx.Client(base_url=self.url, timeout=60, headers={"Accept": "application/json"})


@contextmanager
def planted(folder: Path, broker_url: str, database_url: str = "", **given: Any) -> Iterator[Plant]:
    """An API process of its own, `herenow serve --api-only`, with the untrained policy `small`."""
    settings = Settings(data_dir=folder, database_url=database_url, broker_url=broker_url, **given)
    Storage.of(settings).prepare()
    database = Database(settings.database)
    upgrade(database)
    below: Any = SimpleNamespace(settings=settings, database=database)
    add_policy(below, one_store_lost(), "small")
    command = [sys.executable, "-m", "service.cli", "serve", "--api-only", "--port", "0", "--json", "--stop-on-eof"]
    environment = os.environ | {"HERENOW_DATA_DIR": str(folder), "HERENOW_DATABASE_URL": settings.database}
    environment |= {"HERENOW_BROKER_URL": broker_url}
    environment |= {f"HERENOW_{name.upper()}": str(value) for name, value in given.items()}
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    bind(child.pid, api=True)
    late = threading.Timer(START_SECONDS, child.kill)
    late.start()
    try:
        assert child.stdout is not None
        plant = Plant(json.loads(child.stdout.readline())["url"], psutil.Process(child.pid), database)
        late.cancel()
        with plant.client() as client:
            for _ in range(5):  # ready, and known to be quick
                client.post("/v1/policies/small/recommend", json={}).raise_for_status()
        yield plant
    finally:
        late.cancel()
        child.terminate()
        child.wait(30)
        database.close()


def state_of(plant: Plant) -> str:
    """A request for the policy `small`."""
    with plant.client() as client:
        return json.dumps({"state": client.get("/v1/policies/small/state").json()["today"]})


def start_driver(plant: Plant, body: str, options: Sequence[str] = ()) -> subprocess.Popen[str]:
    """A driver at work."""
    command = [sys.executable, "-m", "tests.load.driver", plant.url, "/v1/policies/small/recommend", body, *options]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    bind(driver.pid, api=False)
    return driver


def bind(pid: int, api: bool) -> None:
    """Give the API a core of its own and its driver the others, where there are several."""
    if sys.platform == "linux" and len(cores := sorted(os.sched_getaffinity(0))) > 1:
        os.sched_setaffinity(pid, cores[:1] if api else cores[1:])


def drive(plant: Plant, body: str, *options: str) -> dict[str, Any]:
    """What a driver measured, with the CPU seconds the API used meanwhile."""
    before = plant.cpu()
    driver = start_driver(plant, body, options)
    told, _ = driver.communicate(timeout=300)
    found: dict[str, Any] = json.loads(told)
    found["cpu"] = plant.cpu() - before
    return found
