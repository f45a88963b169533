"""One plant of each kind for all faults that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from solvers import registry
from tests.faults.plant import Plant, plant, small
from tests.faults.report import recovery  # noqa: F401 — a fixture
from tests.servers import NoServer
from tests.service.lab import LAB, LAB_PROGRAM


@pytest.fixture(scope="session", autouse=True)
def _lab() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for solver in (LAB, LAB_PROGRAM):
            patch.setitem(registry._SOLVERS, solver.name, solver)
        yield


@pytest.fixture(scope="session")
def _postgres_plant() -> Iterator[Plant]:
    try:
        with plant("postgresql") as made:
            made.api()
            made.api()
            yield made
    except NoServer as error:
        pytest.skip(str(error))


@pytest.fixture
def site(_postgres_plant: Plant) -> Iterator[Plant]:
    """PostgreSQL, Redis and two API processes; workers are the test's own."""
    yield _postgres_plant
    _postgres_plant.at_rest()


@pytest.fixture
def client(site: Plant) -> Iterator[httpx.Client]:
    """A client of the first API process."""
    with site.apis[0].client() as client:
        yield client


@pytest.fixture
def instance_id(site: Plant) -> str:
    """A small instance."""
    return site.desk.instance(small())
