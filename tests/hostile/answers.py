"""Sending hostile requests and judging the answers: refused in form, in time, and telling nothing."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import httpx

SLOWEST = 20.0  # seconds of one answer; on an idle machine all take milliseconds
_TELLTALES = ("Traceback (most recent", 'File "/', "site-packages", "sqlalchemy.exc", "psycopg")


@dataclass(frozen=True)
class Case:
    """One request, told from others by `name`."""

    name: str
    method: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes | None = None
    beside: bool = False  # headers come beside the client's own of these names, not in their place


@dataclass
class Outcome:
    """How many cases were tried, how they were answered, and what was wrong."""

    statuses: Counter[int] = field(default_factory=Counter)
    unsendable: int = 0  # refused by the client's own library: no server is ever sent these
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0

    @property
    def cases(self) -> int:
        """Number of requests the service answered."""
        return sum(self.statuses.values())

    def line(self, family: str) -> str:
        """A line of the table that `make hostile` prints."""
        statuses = "  ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        return f"{family:<14} {self.cases:>6} cases  slowest {1000 * self.slowest:>7.0f} ms   {statuses}"


def send_all(client: httpx.Client, cases: Iterable[Case]) -> Outcome:
    """Send every case and judge every answer; afterwards the service must be alive."""
    outcome = Outcome()
    for case in cases:
        try:
            request = client.build_request(case.method, case.path, content=case.body)
            named = set() if case.beside else {name.lower() for name, _ in case.headers}
            own = [pair for pair in request.headers.raw if pair[0].lower() not in named]
            request.headers = httpx.Headers([*own, *case.headers])
        except (httpx.InvalidURL, ValueError, TypeError):
            outcome.unsendable += 1
            continue
        began = time.monotonic()
        try:
            answer = client.send(request)
        except httpx.LocalProtocolError:
            outcome.unsendable += 1
            continue
        except httpx.HTTPError as error:
            outcome.faults.append(f"{case.name}: {type(error).__name__}: {error}")
            continue
        outcome.slowest = max(outcome.slowest, time.monotonic() - began)
        outcome.statuses[answer.status_code] += 1
        outcome.faults += [f"{case.name}: {fault}" for fault in faults(answer, case.method)]
    if client.get("/healthz/live").json() != {"status": "ok"}:
        outcome.faults.append("the service is not alive afterwards")
    return outcome


def faults(answer: httpx.Response, method: str = "GET") -> list[str]:
    """What is wrong with an answer: a crash, a leak, a refusal that is no problem document."""
    found = []
    if answer.status_code >= 500 and not (answer.status_code == 503 and "Retry-After" in answer.headers):
        found.append(f"answered {answer.status_code}: {answer.text[:200]}")
    if "X-Injected" in answer.headers:
        found.append("a header of the attacker's is in the answer")
    if answer.elapsed.total_seconds() > SLOWEST:
        found.append(f"took {answer.elapsed.total_seconds():.1f} s")
    found += [f"tells {word!r}" for word in _TELLTALES if word in answer.text]
    if answer.status_code >= 400 and method != "HEAD":
        found += _of_problem(answer)
    return found


def _of_problem(answer: httpx.Response) -> list[str]:
    if answer.headers.get("Content-Type") != "application/problem+json":
        return [f"{answer.status_code} is no problem document: {answer.headers.get('Content-Type')}"]
    try:
        document = json.loads(answer.text, parse_constant=_refuse)
    except ValueError as error:
        return [f"its document is not JSON: {error}"]
    found = []
    if document.get("status") != answer.status_code or not str(document.get("type", "")).startswith("/problems/"):
        found.append(f"its document is of another kind: {answer.text[:200]}")
    if document.get("request_id") not in (None, answer.headers.get("X-Request-Id")):
        found.append("its document names another request")
    return found


def _refuse(literal: str) -> None:
    raise ValueError(f"{literal} in a document")
