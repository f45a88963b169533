"""Fixtures that every test may use: settings, databases of both kinds, a broker."""

from __future__ import annotations

import gc
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

from tests import typechecker

# Shapes and types of tensors are checked under pytest only; the hook must come before the first import of a room.
install_import_hook(
    [
        "models.choices",
        "models.finite",
        "models.hydrothermal",
        "models.inventory_network",
        "models.lot_sizing",
        "models.message_passing",
        "models.networks",
        "models.weakly_coupled",
    ],
    "tests.typechecker.checked",
)

from service.db.migrate import upgrade
from service.db.session import Database
from service.settings import Settings
from service.storage import Storage
from tests.servers import NoServer, Postgres, new_bucket, object_server, postgres_server, redis_server

KEPT = ("HERENOW_TEST_", "HERENOW_CASE_DATA", "HERENOW_PROBLEMS", "HERENOW_SOLVERS")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that start services or train come first: side by side, the long ones then do not come last."""
    long = {item.path for item in items if item.get_closest_marker("processes") is not None}
    items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish() -> None:
    """Full collections of the garbage collector leave out the libraries and the tests: a seventh of the time."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup() -> None:
    """The first calls of every test are checked."""
    typechecker.begin()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine's reaches a test."""
    for name in list(os.environ):
        if name.startswith("HERENOW_") and not name.startswith(KEPT):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis for the session; tests keep apart by the name of their queue."""
    try:
        with redis_server() as url:
            yield url
    except NoServer as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for the session; each test makes databases of its own on it."""
    try:
        with postgres_server() as server:
            yield server
    except NoServer as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def object_server_url() -> Iterator[str]:
    """A server that speaks S3, for the session."""
    try:
        with object_server() as url:
            yield url
    except NoServer as error:
        pytest.skip(str(error))


@pytest.fixture
def s3_url(object_server_url: str) -> str:
    """The URL of an empty store in a bucket of its own on that server."""
    return new_bucket()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'herenow.db'}"
        return
    with request.getfixturevalue("postgres").database() as url:
        yield url


@pytest.fixture
def empty_database(database_url: str) -> Iterator[Database]:
    """A database without tables."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def database(empty_database: Database) -> Database:
    """A migrated database of each kind."""
    upgrade(empty_database)
    return empty_database


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings of a service with its own data folder and queue, on a database of each kind, without a broker."""
    return Settings(
        data_dir=tmp_path / "data", database_url=database_url, queue=f"test-{secrets.token_hex(6)}", job_threads=1
    )


@pytest.fixture
def storage(settings: Settings) -> Storage:
    """The settings' storage, its folders made."""
    storage = Storage(settings.data_dir)
    storage.prepare()
    return storage
