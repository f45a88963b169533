"""What a type checker sees of the client, held by `make types`: values from `Client`, awaitables from `AsyncClient`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from service.client import AsyncClient, Client
from service.client.records import EventView, JobView, PolicySummary, RecommendOne


def at_once(herenow: Client) -> JobView:
    """Values."""
    assert_type(herenow.policies.recommend("north", {"on_hand": {}}, explain=True), RecommendOne)
    assert_type(herenow.policies.list(problem="lot_sizing"), Iterator[PolicySummary])
    assert_type(herenow.jobs.events("job"), Iterator[EventView])
    herenow.policies.recommend("north", explained=True)  # type: ignore[call-arg]
    herenow.instances.get(3)  # type: ignore[arg-type]
    return herenow.jobs.wait("job", timeout=3.0)


async def in_turn(herenow: AsyncClient) -> JobView:
    """The same, awaited."""
    assert_type(await herenow.policies.recommend("north"), RecommendOne)
    assert_type(herenow.policies.list(), AsyncIterator[PolicySummary])
    async for event in herenow.jobs.events("job"):
        assert_type(event, EventView)
    return await herenow.jobs.wait("job")
