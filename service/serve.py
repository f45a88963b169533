"""Embedded mode: API, worker and broker as one thing that starts and stops together, on one data folder.

The API runs in this process; the worker and the broker are children of it. Whatever way this process ends, kill -9
included, nothing of it stays behind.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import httpx
import uvicorn

from service.app import create_app
from service.broker import EmbeddedBroker
from service.db.migrate import require_head, upgrade
from service.db.session import Database
from service.http_protocol import PROTOCOL
from service.jobs.feeds import Feeds
from service.keys.service import Door, check_may_listen
from service.settings import Settings
from service.storage import Storage
from service.supervision import Child, exclusive, terminal_interrupts_blocked

log = logging.getLogger(__name__)

BROKER_LOOK_SECONDS = 1.0
DRAIN_SECONDS = 2  # for requests under way when a stop is asked for
READY_SECONDS = 60.0
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


@dataclass(frozen=True)
class Ready:
    """What there is to say once the service answers."""

    url: str
    data_dir: Path
    broker: str
    keyless: bool  # no key is needed from this machine


class NotReady(RuntimeError):
    """The service did not come to answer `/healthz/ready`."""


def serve(settings: Settings, announce: Callable[[Ready], None], api_only: bool = False, processes: int = 1) -> None:
    """Run until SIGTERM or SIGINT; `announce` is called once, when `/healthz/ready` answers 200.

    With `api_only` there is no worker and no broker of this process, and the database is left as it is. `processes`
    processes answer at the one address, this one among them; the system shares connections out. Raises before
    anything is started: DataFolderBusy, NoKeys, SchemaMismatch, OSError (the address cannot be had). NotReady later.
    """
    if processes > 1:
        settings = settings.model_copy(update={"api_processes": processes})
    with ExitStack() as stack:
        stop = stack.enter_context(_stop_signals())
        if not api_only:
            stack.enter_context(exclusive(settings.data_dir))
        Storage.of(settings).prepare()
        _prepare_database(settings, may_upgrade=not api_only)
        listener = stack.enter_context(_bound(settings))
        broker = f"the one at {_hidden(settings.broker_url)}" if settings.broker_url else "none"
        if not api_only:
            settings, broker = stack.enter_context(_broker(settings))
            stack.enter_context(_worker(settings))
        for number in range(2, processes + 1):
            stack.enter_context(_sibling(settings, listener.getsockname()[1], number))
        if not stop.is_set():
            url = f"http://{_bracketed(settings.host)}:{listener.getsockname()[1]}"
            ready = Ready(url, settings.data_dir, broker, Door(settings).keyless)
            _run_api(settings, listener, stop, lambda: announce(ready))


def _hidden(url: str) -> str:
    """A broker's URL without its password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _prepare_database(settings: Settings, may_upgrade: bool) -> None:
    """Bring the database to this release, or insist that it is there; NoKeys if it must not be opened to others."""
    database = Database(settings.database)
    try:
        if may_upgrade:
            upgrade(database)
        require_head(database)
        with database.read() as session:
            check_may_listen(settings, session)
    finally:
        database.close()


@contextmanager
def _bound(settings: Settings) -> Iterator[socket.socket]:
    """The listening address, taken before anything else is started; port 0 becomes a free one."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if settings.api_processes > 1:  # the others bind the same address
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        yield listener


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set, from the first moment on: an early Ctrl-C leaves nothing half started."""
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _broker(settings: Settings) -> Iterator[tuple[Settings, str]]:
    """A broker of our own, unless the settings name one; the settings that point at it, and its description."""
    if settings.broker_url:
        yield settings, f"the one at {_hidden(settings.broker_url)}"
        return
    with terminal_interrupts_blocked():
        broker = EmbeddedBroker(settings.data_dir).start()
    stop = threading.Event()
    keeper = threading.Thread(target=_keep, args=(broker, stop), name="keep-broker", daemon=True)
    keeper.start()
    try:
        yield settings.model_copy(update={"broker_url": broker.url}), broker.description
    finally:
        stop.set()
        keeper.join()
        broker.stop()


def _keep(broker: EmbeddedBroker, stop: threading.Event) -> None:
    """Start the broker again when it ends unasked; without it no worker would hear of a job.

    The kernel ends the new one with this thread, which lives as long as the broker should.
    """
    url = broker.url
    while not stop.wait(BROKER_LOOK_SECONDS):
        if broker.is_alive:
            continue
        log.error("the broker ended unasked; starting it again")
        with terminal_interrupts_blocked():
            broker.start()
        if broker.url != url:
            log.error("the broker cannot be started at %s again; stopping", url)
            os.kill(os.getpid(), signal.SIGTERM)
            return


@contextmanager
def _worker(settings: Settings) -> Iterator[None]:
    """A worker of our own; stopped before the broker is, so that it can give running jobs back."""
    environment = os.environ | {
        "HERENOW_DATA_DIR": str(settings.data_dir),
        "HERENOW_DATABASE_URL": settings.database,
        "HERENOW_BROKER_URL": settings.broker_url,
    }
    worker = Child(
        "worker",
        [sys.executable, "-m", "service.cli", "worker"],
        environment,
        settings.data_dir / "logs" / "worker.log",
    )
    worker.start()
    try:
        yield
    finally:
        worker.stop(settings.stop_seconds + settings.term_seconds + 5)


@contextmanager
def _sibling(settings: Settings, port: int, number: int) -> Iterator[None]:
    """One more process of the API at our address."""
    environment = os.environ | {
        "HERENOW_DATA_DIR": str(settings.data_dir),
        "HERENOW_DATABASE_URL": settings.database,
        "HERENOW_BROKER_URL": settings.broker_url,
        "HERENOW_API_PROCESSES": str(settings.api_processes),
    }
    command = [sys.executable, "-m", "service.cli", "serve", "--api-only", "--host", settings.host, "--port", str(port)]
    name = f"api-{number}"
    process = Child(name, command, environment, settings.data_dir / "logs" / f"{name}.log")
    process.start()
    try:
        yield
    finally:
        process.stop(DRAIN_SECONDS + 5)


class _Server(uvicorn.Server):
    """A server that, before it waits for requests to end, lets go of those who follow jobs."""

    def __init__(self, config: uvicorn.Config, feeds: Feeds) -> None:
        super().__init__(config)
        self._feeds = feeds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._feeds.close()
        await super().shutdown(sockets)


def _run_api(settings: Settings, listener: socket.socket, stop: threading.Event, announce: Callable[[], None]) -> None:
    """Serve on `listener` until a stop is asked for."""
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        http=PROTOCOL,
        log_config=None,  # its lines look like all others
        access_log=settings.access_log or settings.log_level == "debug",
        timeout_graceful_shutdown=DRAIN_SECONDS,
        server_header=False,
    )
    server = _Server(config, app.state.feeds)
    outcome: list[NotReady] = []

    def attend() -> None:
        """Announce readiness, then pass a stop on (uvicorn's own handlers may come after the signal)."""
        try:
            _await_ready(settings.host, listener.getsockname()[1], stop, server)
            if not stop.is_set() and not server.should_exit:
                announce()
        except NotReady as error:
            outcome.append(error)
            server.should_exit = True
        while not server.should_exit and not stop.wait(0.2):
            pass
        server.should_exit = True

    attendant = threading.Thread(target=attend, name="attend", daemon=True)
    attendant.start()
    server.run(sockets=[listener])
    attendant.join(5)
    if outcome:
        raise outcome[0]


def _await_ready(host: str, port: int, stop: threading.Event, server: uvicorn.Server) -> None:
    """Return when `/healthz/ready` answers 200, or a stop is asked for; NotReady when it will not."""
    url = f"http://{_bracketed(_ANY.get(host, host))}:{port}/healthz/ready"
    last = "no answer"
    with httpx.Client(timeout=5.0, trust_env=False, verify=False) as client:  # plain HTTP: certificates cost a second
        for _ in range(round(READY_SECONDS / 0.1)):
            if stop.wait(0.1) or server.should_exit:
                return
            try:
                answer = client.get(url)
            except httpx.HTTPError as error:
                last = str(error)
                continue
            if answer.status_code == 200:
                return
            last = answer.text
    raise NotReady(f"Herenow started but is not ready after {READY_SECONDS:.0f} s: {last}")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
