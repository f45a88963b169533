"""One API server for all tests that do not change how it is set up; jobs to work on below the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from service.db.rows import InstanceRow, JobRow
from service.db.session import Database
from service.ids import new_id
from service.jobs import lifecycle, repository
from service.jobs.repository import Lease
from tests.service.api_server import Server, add_policy, example_document, make_settings, running


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server in embedded mode, without workers."""
    settings = make_settings(tmp_path_factory.mktemp("api"), body_seconds=1.0, max_body_bytes=200_000, max_states=3000)
    with running(settings) as server:
        yield server


@pytest.fixture
def client(api: Server) -> Iterator[httpx.Client]:
    """A client of that server."""
    with api.client() as client:
        yield client


@pytest.fixture(scope="session")
def policy_id(api: Server) -> str:
    """An untrained policy named `orders` for the first example."""
    return add_policy(api, example_document())


@pytest.fixture
def today(client: httpx.Client, policy_id: str) -> dict[str, object]:
    """A valid state for that policy."""
    state: dict[str, object] = client.get(f"/v1/policies/{policy_id}/state").json()["today"]
    return state


@pytest.fixture
def make_job(database: Database) -> Callable[..., str]:
    """Queue a job and say its id."""

    def make(**changes: object) -> str:
        given = {"id": new_id("job"), "kind": "train", "state": "queued", "solver": "lab", "config": {}, "seed": 1}
        given |= {"request": {}, "time_limit_seconds": 60.0, "max_attempts": 2}
        with database.write() as session:
            row = InstanceRow(id=new_id("ins"), digest=new_id("ins"), problem="p", name="n", body={})
            session.add(row)
            session.flush()
            job = JobRow(instance_id=row.id, **(given | changes))
            repository.add(session, job)
        return job.id

    return make


@pytest.fixture
def claim(database: Database) -> Callable[..., Lease]:
    """Claim a job for a worker."""

    def claim(job_id: str, worker: str = "w1", seconds: float = 15.0) -> Lease:
        with database.write() as session:
            lease = lifecycle.claim(session, job_id, worker, seconds)
        assert lease is not None
        return lease

    return claim
