"""Recommending in batches: requests that come at the same time are decided together and recorded together.

One thread beside the event loop's decides for the requests it has and writes their records; meanwhile the next requests
gather by themselves: nobody waits for a batch to fill. A request is answered once the transaction that holds its record
is committed. That transaction also looks up what the request's reference means: who was decided for by another policy,
for an alias moved, is decided for again. What would keep others waiting (a policy that is not loaded yet, or takes its
time to decide) is sent the ordinary way, a thread for each request.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from starlette.responses import Response

from service import idempotency
from service.db.session import Database
from service.decisions import repository, service
from service.decisions.asked import Asked
from service.decisions.service import Recommendation
from service.decisions.serving import ServedPolicies
from service.errors import ApiError
from service.idempotency import Once
from service.metrics import Metrics
from service.policies.repository import PolicyKey, key_by_ref
from service.settings import Settings

log = logging.getLogger(__name__)

MOST_TOGETHER = 64  # requests decided, and recorded, together
MOST_KNOWN = 1000  # references whose last meaning is kept
PATIENCE_SECONDS = 2.0  # a request that has waited this long for its turn is refused: its sender has given up

Outcome = Recommendation | Response | Exception


class TakeOrdinaryWay(Exception):
    """This request would keep others waiting."""


@dataclass(eq=False)
class Asking:
    """One request on its way through the batches."""

    ref: str
    asked: Asked
    body: bytes
    owner: str
    once: Once | None
    answered: asyncio.Future[Recommendation | Response]
    came: float = field(default_factory=time.monotonic)


Answer = tuple[Asking, Outcome]
Decided = tuple[Asking, Recommendation]


class Batches:
    """The thread and what waits for it; `recommend` is for the event loop's thread alone."""

    def __init__(self, settings: Settings, database: Database, served: ServedPolicies, metrics: Metrics) -> None:
        self._most = settings.max_waiting
        self._database = database
        self._served = served
        self._metrics = metrics
        self._open = 0  # requests taken and not answered; of the event loop's thread
        self._meant: dict[str, PolicyKey] = {}  # by reference, when it was last looked up
        self._asked: SimpleQueue[Asking | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="recommend", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer what was taken, then end the thread."""
        if self._thread is not None:
            self._asked.put(None)
            self._thread.join()
            self._thread = None

    @property
    def is_full(self) -> bool:
        """Whether one more request would wait too long."""
        return self._open >= self._most

    async def recommend(self, ref: str, asked: Asked, body: bytes, owner: str, once: Once | None) -> Any:
        """A `Recommendation` whose record is committed, or the response given to the same key before.

        Raises:
            TakeOrdinaryWay: it is not for a batch; nothing was done.
            ApiError: it is refused, or 503 because too many wait.
        """
        if self.is_full or self._thread is None:
            raise busy()
        asking = Asking(ref, asked, body, owner, once, asyncio.get_running_loop().create_future())
        self._open += 1
        try:
            self._asked.put(asking)
            return await asking.answered
        finally:
            self._open -= 1

    def _run(self) -> None:
        while (batch := _gathered(self._asked)) is not None:
            while batch:
                batch = self._answer(batch)

    def _answer(self, batch: Sequence[Asking]) -> list[Asking]:
        """Answer a batch; returned are requests to decide again: their reference means, or may mean, another policy."""
        again: list[Asking] = []
        found = self._decide(batch, again)
        decided = [(asking, one) for asking, one in found if isinstance(one, Recommendation)]
        _deliver([(asking, one) for asking, one in found if not isinstance(one, Recommendation)])
        if decided:
            _deliver(self._record(decided, again))
        return again

    def _decide(self, batch: Sequence[Asking], again: list[Asking]) -> list[Answer]:
        """What there is to answer to a batch; recommendations are not recorded yet.

        A remembered meaning is good for recommendations alone, which are held to it when they are recorded. `again` is
        given the requests that got anything else by it: the policy meant now may know better.
        """
        now = time.monotonic()
        late = [asking for asking in batch if now - asking.came > PATIENCE_SECONDS]
        batch = [asking for asking in batch if now - asking.came <= PATIENCE_SECONDS]
        try:
            replayed, keys, remembered = self._looked_up(batch)
        except Exception as error:  # whatever goes wrong with a batch is the answer to it, and ends no thread
            return [(asking, error) for asking in batch]
        found: list[Answer] = [*((asking, busy()) for asking in late), *replayed.items()]
        for ref, key in keys.items():
            own = self._decide_by(key, [a for a in batch if a.ref == ref and a not in replayed])
            if remembered and not all(isinstance(one, Recommendation) for _, one in own):
                del self._meant[ref]
                again += [asking for asking, _ in own]
            else:
                found += own
        return found

    def _looked_up(self, batch: Sequence[Asking]) -> tuple[dict[Asking, Outcome], dict[str, PolicyKey | None], bool]:
        """Requests that were answered before, what references mean, and whether that is remembered, not looked up."""
        refs = {asking.ref for asking in batch}
        if refs <= self._meant.keys() and all(asking.once is None for asking in batch):
            return {}, {ref: self._meant[ref] for ref in refs}, True
        with self._database.read() as session:
            replayed = _replayed(session, batch)
            keys = {ref: key_by_ref(session, ref) for ref in refs}
        if len(self._meant) > MOST_KNOWN:
            self._meant.clear()
        self._meant |= {ref: key for ref, key in keys.items() if key is not None}
        return replayed, keys, False

    def _decide_by(self, key: PolicyKey | None, askings: Sequence[Asking]) -> list[Answer]:
        """What one policy decides for its part of a batch."""
        policy = self._served.quick(key.artifact_digest) if key is not None else None
        if key is None or policy is None:
            return [(asking, TakeOrdinaryWay()) for asking in askings]
        try:
            found = service.recommend_together(policy, key, [(a.asked, a.body, a.owner) for a in askings])
        except Exception as error:
            return [(asking, error) for asking in askings]
        self._measure(key, found)
        return list(zip(askings, found, strict=True))

    def _measure(self, key: PolicyKey, found: Sequence[Recommendation | ApiError]) -> None:
        decided = [one for one in found if isinstance(one, Recommendation)]
        self._metrics.batch_requests.observe(len(found))
        for one in decided:
            self._metrics.recommended(one.answer, one.states)
        if decided:
            self._served.note(key.artifact_digest, decided[0].seconds)

    def _record(self, batch: Sequence[Decided], again: list[Asking]) -> list[Answer]:
        """The answers, once their records are committed in one transaction; one by one where that breaks a rule.

        `again` is given the requests that have to be decided again.
        """
        try:
            with self._database.write() as session:
                moved = {ref for ref in {asking.ref for asking, _ in batch} if self._has_moved(session, ref)}
                answers = _written(session, [one for one in batch if one[0].ref not in moved])
        except IntegrityError as error:  # a policy was deleted meanwhile
            if len(batch) == 1:
                return [(batch[0][0], error)]
            return [answer for one in batch for answer in self._record([one], again)]
        except Exception as error:
            return [(asking, error) for asking, _ in batch]
        again += [asking for asking, _ in batch if asking.ref in moved]
        for ref in moved:
            self._meant.pop(ref, None)
        return answers

    def _has_moved(self, session: Session, ref: str) -> bool:
        return key_by_ref(session, ref) != self._meant.get(ref)


def busy() -> ApiError:
    """503: too many requests wait."""
    return ApiError("busy", "Too many requests wait for their turn.", headers={"Retry-After": "1"})


def _gathered(queue: SimpleQueue[Any]) -> list[Any] | None:
    """What waits in a queue, at least one; None once it is closed."""
    batch = [queue.get()]
    try:
        while len(batch) < MOST_TOGETHER and batch[-1] is not None:
            batch.append(queue.get_nowait())
    except Empty:
        pass
    if batch[-1] is None:
        batch.pop()
        if batch:
            queue.put(None)
    return batch or None


def _replayed(session: Session, batch: Sequence[Asking], hold: bool = False) -> dict[Asking, Outcome]:
    """Which requests were answered before under their key, and how; with `hold` the keys are held until commit."""
    keyed = [(asking, asking.once) for asking in batch if asking.once is not None]
    if not keyed:
        return {}
    found = idempotency.earlier(session, [(once, asking.owner) for asking, once in keyed], hold)
    return {asking: one for (asking, _), one in zip(keyed, found, strict=True) if one is not None}


def _written(session: Session, batch: Sequence[Decided]) -> list[Answer]:
    """Insert records and keys; a key that another process has answered meanwhile gets that answer."""
    replayed = _replayed(session, [asking for asking, _ in batch], hold=True)
    mine = [(asking, found) for asking, found in batch if asking not in replayed]
    repository.add(session, [found.row for _, found in mine])
    idempotency.keep(session, [(a.once, a.owner, found.encoded) for a, found in mine if a.once is not None])
    return [*replayed.items(), *mine]


def _deliver(answers: Sequence[Answer]) -> None:
    """Answer requests from another thread, waking the event loop once."""
    if not answers:
        return
    try:
        answers[0][0].answered.get_loop().call_soon_threadsafe(_settle, answers)
    except RuntimeError:  # the loop has ended: nobody waits any more
        log.info("%d answers came after the end", len(answers))


def _settle(answers: Sequence[Answer]) -> None:
    for asking, outcome in answers:
        if asking.answered.done():
            continue
        if isinstance(outcome, Exception):
            asking.answered.set_exception(outcome)
        else:
            asking.answered.set_result(outcome)
