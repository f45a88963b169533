"""A worker's own listener: `/metrics` for Prometheus, `/healthz/live` and `/healthz/ready` for whoever restarts it.

It asks for no key and tells no id, name or content, and so listens on loopback unless told otherwise.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST

from service.db.session import Database
from service.settings import Settings
from service.storage import Storage
from service.system.service import is_fine, parts
from service.workers.measures import WorkerMetrics

log = logging.getLogger(__name__)

SECONDS = 10.0  # that a client may take over its request


class CannotListen(RuntimeError):
    """The address of a worker's listener cannot be had."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], answers: Mapping[str, Callable[[], tuple[int, str, bytes]]]) -> None:
        self.answers = answers
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = SECONDS
    server_version, sys_version = "herenow", ""

    def do_GET(self) -> None:
        answer = self.server.answers.get(self.path.partition("?")[0])
        status, kind, body = answer() if answer else (404, "text/plain; charset=utf-8", b"nothing is at this path\n")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        log.debug(format, *args)


@contextmanager
def listening(
    settings: Settings, database: Database, storage: Storage, measures: WorkerMetrics
) -> Iterator[str | None]:
    """Answer until left, if the settings name a port; the address. CannotListen if it cannot be had."""
    if not settings.worker_metrics_port:
        yield None
        return

    def ready() -> tuple[int, str, bytes]:
        checks = parts(database, storage, settings)
        fine = all(is_fine(state) for state in checks.values())
        body = json.dumps({"status": "ok" if fine else "not-ready", "checks": checks}).encode()
        return (200 if fine else 503), "application/json", body

    answers = {
        "/metrics": lambda: (200, CONTENT_TYPE_LATEST, measures.text()),
        "/healthz/live": lambda: (200, "application/json", b'{"status": "ok"}'),
        "/healthz/ready": ready,
    }
    host, port = settings.worker_metrics_host, settings.worker_metrics_port
    try:
        server = _Server((host, port), answers)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host} port {port}: {error.strerror or error}") from None
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    address = f"http://{host}:{port}"
    log.info("measures and health at %s", address)
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
