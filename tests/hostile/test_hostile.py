"""Thousands of hostile requests: never a crash, never a hang, always a problem document, the service alive afterwards.

`make test` tries every fifth case; `make hostile` all of them, and thousands drawn anew, and prints how many.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import httpx
import pytest

from tests.hostile import wire
from tests.hostile.answers import Case, Outcome, send_all
from tests.hostile.families import FAMILIES, Target, fields
from tests.hostile.wire import Bytes, ambiguous, exchange, malformed, statuses
from tests.service.api_server import Server

LEAST = 8000  # cases of all families
EVERY = 5  # of these `make test` tries one
FUZZED = int(os.environ.get("HERENOW_TEST_HOSTILE", "20000"))  # cases of `make hostile`'s long part

pytestmark = pytest.mark.processes

WIRE = (ambiguous, malformed)


@pytest.fixture(autouse=True)
def nothing_crashes(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No request may leave an error in the log."""
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def judge(name: str, outcome: Outcome) -> None:
    """Print the family's line and hold that nothing was wrong."""
    print(outcome.line(name))
    assert outcome.faults == [], f"{len(outcome.faults)} faults, first:\n" + "\n".join(outcome.faults[:20])
    assert outcome.cases > 0


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_a_fifth_of_all_is_refused_in_form(
    client: httpx.Client, target: Target, family: Callable[[Target], Iterator[Case]]
) -> None:
    judge(family.__name__, send_all(client, islice(family(target), 0, None, EVERY)))


def test_any_field_may_hold_anything(client: httpx.Client, target: Target) -> None:
    judge("fields", send_all(client, fields(target, 300, seed=23)))


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
class TestAll:
    """`make hostile`."""

    @pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
    def test_every_case_is_refused_in_form(
        self, client: httpx.Client, target: Target, family: Callable[[Target], Iterator[Case]]
    ) -> None:
        judge(f"all {family.__name__}", send_all(client, family(target)))

    def test_any_field_may_hold_anything(self, client: httpx.Client, target: Target) -> None:
        seed = time.time_ns() % 2**32
        print(f"drawn with seed {seed}")
        judge("drawn", send_all(client, fields(target, FUZZED, seed)))


def test_the_count_does_not_shrink(target: Target) -> None:
    count = sum(1 for family in FAMILIES for _ in family(target)) + sum(1 for kind in WIRE for _ in kind())
    print(f"{'all families':<14} {count:>6} cases")
    assert count >= LEAST


def address(server: Server) -> tuple[str, int]:
    host, port = server.url.removeprefix("http://").split(":")
    return host, int(port)


@pytest.mark.parametrize("kind", WIRE, ids=lambda kind: kind.__name__)
def test_no_bytes_are_taken_for_two_requests(server: Server, kind: Callable[[], Iterator[Bytes]]) -> None:
    """What is ambiguous is answered once and the connection closed: a request hidden in a body is never seen."""
    sent = list(kind())
    with ThreadPoolExecutor(24) as senders:
        received = list(senders.map(lambda case: exchange(address(server), case.content), sent))
    faults = []
    for case, answer in zip(sent, received, strict=True):
        found = statuses(answer)
        if len(found) > case.answers:
            faults.append(f"{case.name}: {len(found)} answers {found}")
        if any(status >= 500 for status in found) or b"Traceback" in answer or b"X-Injected: yes" in answer:
            faults.append(f"{case.name}: {answer[:300]!r}")
        if any(status >= 400 for status in found) and b"application/problem+json" not in answer:
            faults.append(f"{case.name}: no problem document: {answer[:300]!r}")
    print(f"{kind.__name__:<14} {len(sent):>6} cases on connections of their own")
    assert faults == []
    assert httpx.get(f"{server.url}/healthz/live").status_code == 200


def test_slow_clients_keep_nobody_else_waiting(server: Server) -> None:
    """200 connections that never finish a request, while others are answered at once."""
    slow = [socket.create_connection(address(server), timeout=wire.PATIENCE) for _ in range(200)]
    try:
        for number, connection in enumerate(slow):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: local" if number % 2 else b"P")
        began = time.monotonic()
        answers = [httpx.get(f"{server.url}/healthz/live", timeout=10).status_code for _ in range(5)]
        assert answers == [200] * 5
        assert time.monotonic() - began < 10
    finally:
        for connection in slow:
            connection.close()
