"""What all tests of load share: a broker, databases of both kinds, and the table printed at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.load.plant import Plant, planted
from tests.servers import NoServer, Postgres, postgres_server, redis_server

_lines: list[str] = []


@pytest.fixture(scope="session")
def told() -> list[str]:
    """The table's lines; tests append theirs."""
    return _lines


@pytest.fixture(scope="session")
def broker_url() -> Iterator[str]:
    """A Redis for the API to ring."""
    try:
        with redis_server() as url:
            yield url
    except NoServer as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of our own."""
    try:
        with postgres_server() as server:
            yield server
    except NoServer as reason:
        pytest.skip(str(reason))


@contextmanager
def database_of(kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a fresh database of a kind; empty for SQLite in the data folder."""
    if kind == "sqlite":
        yield ""
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database() as url:
        yield url


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def plant(
    request: pytest.FixtureRequest, broker_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Plant]]:
    """A running API on a database of each kind."""
    with database_of(request.param, request) as url, _quiet():
        folder: Path = tmp_path_factory.mktemp(request.param)
        with planted(folder, broker_url, url, max_queued_jobs=5000) as running:
            yield request.param, running


@contextmanager
def _quiet() -> Iterator[None]:
    """One thread for linear algebra, as in production behind several processes."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        os.environ.pop("OMP_NUM_THREADS") if before is None else os.environ.update(OMP_NUM_THREADS=before)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what was measured."""
    if _lines:
        terminalreporter.section("load, measured")
        for line in _lines:
            terminalreporter.write_line(line)
