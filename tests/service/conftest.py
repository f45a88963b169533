"""One API server for all tests that do not change how it is set up."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

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
