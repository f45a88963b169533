"""A server without workers, and both clients under one face: every test is made with each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.client import AsyncClient, Client, Retry
from tests.service.api_server import Server, add_policy, example_document, make_settings, running

QUICK = Retry(tries=4, first_pause=0.01, longest_pause=0.05, patience=3.0)
Do = Callable[..., Any]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("client")
    with running(make_settings(folder, max_wait_seconds=2.0)) as server:
        yield server


@pytest.fixture(scope="session")
def policy(site: Server) -> str:
    """An untrained policy named `orders`."""
    return add_policy(site, example_document())


@pytest.fixture(params=[Client, AsyncClient], ids=["sync", "async"])
def do(request: pytest.FixtureRequest) -> Do:
    """`do(url, lambda client: client.room.method(…))`: what it gives, with either client; iterators as lists."""

    def done(url: str, ask: Callable[[Any], Any], **given: Any) -> Any:
        given = {"retry": QUICK, **given}
        if request.param is Client:
            with Client(url, **given) as client:
                answer = ask(client)
                return list(answer) if isinstance(answer, Iterator) else answer
        return asyncio.run(_done(url, ask, given))

    return done


async def _done(url: str, ask: Callable[[Any], Any], given: dict[str, Any]) -> Any:
    async with AsyncClient(url, **given) as client:
        answer = ask(client)
        return [item async for item in answer] if isinstance(answer, AsyncIterator) else await answer
