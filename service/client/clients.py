"""`Client` and `AsyncClient`: the same rooms on two wires."""

from __future__ import annotations

import os
from typing import Generic, Self

import httpx

from .flows import Retry
from .operations import W
from .rooms.inference import Inference
from .rooms.instances import Instances
from .rooms.jobs import Jobs
from .rooms.judged import Evaluations, Recommendations, ScenarioSets
from .rooms.policies import AcceptanceTests, Aliases, Policies
from .rooms.problems import Problems, Solvers
from .rooms.system import Audit, Keys, System
from .wires import AsyncWire, Way, Wire

SERVER = "http://127.0.0.1:8000"
SECONDS = 30.0


def way_of(url: str | None, key: str | None, timeout: float, retry: Retry | None) -> Way:
    """Where and how to ask: what is not given comes from `HERENOW_SERVER` and `HERENOW_API_KEY`."""
    url = url or os.environ.get("HERENOW_SERVER") or SERVER
    key = key or os.environ.get("HERENOW_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return Way(url.rstrip("/"), headers, timeout, retry or Retry())


class _Rooms(Generic[W]):
    """The rooms of the API; what both clients are made of."""

    def _furnish(self, wire: W) -> None:
        self._wire = wire
        self.problems = Problems(wire)
        self.solvers = Solvers(wire)
        self.instances = Instances(wire)
        self.jobs = Jobs(wire)
        self.policies = Policies(wire)
        self.aliases = Aliases(wire)
        self.acceptance_tests = AcceptanceTests(wire)
        self.recommendations = Recommendations(wire)
        self.evaluations = Evaluations(wire)
        self.scenario_sets = ScenarioSets(wire)
        self.inference = Inference(wire)
        self.keys = Keys(wire)
        self.audit = Audit(wire)
        self.system = System(wire)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._wire.way.url!r})"  # the key is nobody's business


class Client(_Rooms[Wire]):
    """Herenow from ordinary code; safe to use from several threads.

    `url` and `key` come from `HERENOW_SERVER` and `HERENOW_API_KEY` if not given. `timeout` is the time [s] that
    connecting, sending and each part of an answer may take. `transport` is httpx's, for tests and special networks.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = SECONDS,
        retry: Retry | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._furnish(Wire(way_of(url, key, timeout, retry), transport))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._wire.http.close()


class AsyncClient(_Rooms[AsyncWire]):
    """Herenow from coroutines: every method as in `Client`, awaited; every iterator with `async for`."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = SECONDS,
        retry: Retry | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._furnish(AsyncWire(way_of(url, key, timeout, retry), transport))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *reason: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.http.aclose()
