"""Recommending: decisions for states, and the audit trail of every one."""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from models.core import InvalidInput, Issue
from service.collector import collector_paused
from service.db.rows import RecommendationRow, utcnow
from service.db.session import Encoded
from service.decisions import repository
from service.decisions.asked import Asked
from service.decisions.render import as_json
from service.decisions.schemas import OutcomeBody
from service.errors import ApiError, field_error, invalid, not_found
from service.ids import new_id
from service.policies.repository import PolicyKey
from solvers.core import InnerSolveError

LARGE = 2**15  # bytes of request or answer from which both are archived compressed

_compressors = ThreadPoolExecutor(2, thread_name_prefix="archive")  # zlib works beside the interpreter


@dataclass(frozen=True)
class Recommendation:
    """Decisions and their record, before either is written."""

    id: str
    answer: dict[str, Any]
    encoded: bytes  # the answer as JSON
    states: int  # how many were decided for
    seconds: float  # of the thread's time that a state took
    row: dict[str, Any]  # the record's columns


@dataclass(frozen=True)
class _Spent:
    """What deciding took: by the clock [ms], and of the thread's own time for a state [s]."""

    elapsed_ms: float
    seconds: float


class _Watch:
    """Measures what deciding takes."""

    def __init__(self) -> None:
        self._clock, self._thread = time.perf_counter(), time.thread_time()

    def stop(self, states: int) -> _Spent:
        """What was spent since the start, on so many states."""
        clock, thread = time.perf_counter() - self._clock, time.thread_time() - self._thread
        return _Spent(1000 * clock, thread / max(states, 1))


def recommend(policy: Any, key: PolicyKey, asked: Asked, body: bytes, owner: str) -> Recommendation:
    """What the policy recommends for the states that `owner` asks about; ApiError 422 with pointers into the body."""
    archived = _compressors.submit(zlib.compress, body, 1) if len(body) > LARGE else None
    watch = _Watch()
    with collector_paused(len(body) > LARGE):
        try:
            decided, states = _decide(policy, asked)
        except InvalidInput as error:
            raise invalid(_moved(error, asked)) from None
        except InnerSolveError as error:  # a policy that plans found no plan for one of these states
            raise ApiError("inner-solve-failed", str(error)) from None
        return _recorded(key, asked, decided, states, watch.stop(states), body, owner, archived)


def recommend_together(
    policy: Any, key: PolicyKey, together: Sequence[tuple[Asked, bytes, str]]
) -> list[Recommendation | ApiError]:
    """What the policy recommends for several requests (asked, body, owner; no columns, no options), or why it does not.

    One computation for all their states; where a state is refused, each request is decided by itself.
    """
    watch = _Watch()
    states = [_states(policy, asked) for asked, _, _ in together]
    try:
        decided = policy.recommend([state for own in states for state in own])
    except (InvalidInput, InnerSolveError):
        return [_by_itself(policy, key, *one) for one in together]
    spent = watch.stop(sum(map(len, states)))
    found: list[Recommendation | ApiError] = []
    for (asked, body, owner), own in zip(together, states, strict=True):
        mine, decided = decided[: len(own)], decided[len(own) :]
        try:
            found.append(_recorded(key, asked, _shaped(asked, mine, own), len(own), spent, body, owner))
        except ApiError as error:
            found.append(error)
    return found


def _by_itself(policy: Any, key: PolicyKey, asked: Asked, body: bytes, owner: str) -> Recommendation | ApiError:
    try:
        return recommend(policy, key, asked, body, owner)
    except ApiError as error:
        return error


def _recorded(
    key: PolicyKey,
    asked: Asked,
    decided: Mapping[str, Any],
    states: int,
    spent: _Spent,
    body: bytes,
    owner: str,
    archived: Future[bytes] | None = None,
) -> Recommendation:
    """The answer, encoded, and its record; ApiError 422 if a number is not finite."""
    recommendation_id = new_id("rec")
    name = {"id": key.id, "name": key.name, "version": key.version, "digest": key.artifact_digest}
    answer = {
        "recommendation_id": recommendation_id,
        "policy": name,
        **decided,
        "elapsed_ms": round(spent.elapsed_ms, 3),
    }
    try:
        encoded = as_json(answer)
    except ValueError:
        raise field_error(asked.prefix, "These numbers are too large for the policy to decide on.") from None
    row = {"id": recommendation_id, "policy_id": key.id, "states": states, "created_at": utcnow(), "asked_by": owner}
    row |= _documents(body, archived, encoded)
    return Recommendation(recommendation_id, answer, encoded, states, spent.seconds, row)


def _states(policy: Any, asked: Asked) -> Sequence[Any]:
    """The states asked about, as a list."""
    if asked.form == "many":
        return list(asked.states)
    return [policy.view.today() if asked.form == "today" else asked.states]


def _shaped(asked: Asked, decided: list[dict[str, Any]], states: Sequence[Any]) -> dict[str, Any]:
    """Decisions as the answer to what was asked holds them."""
    if asked.form == "many":
        return {"recommendations": decided}
    return {**decided[0], "state": states[0]} if asked.form == "today" else decided[0]


def _decide(policy: Any, asked: Asked) -> tuple[dict[str, Any], int]:
    if asked.form == "columns":
        decided = policy.recommend_columns(asked.states)
        return decided, len(decided["in_training_range"])
    states = _states(policy, asked)
    return _shaped(asked, policy.recommend(states, asked.explain, asked.figures), states), len(states)


def _moved(error: InvalidInput, asked: Asked) -> list[Issue]:
    """Issues with pointers from the body's root: a single state's come as those of row 0."""
    single = asked.form in ("one", "today")
    return [
        Issue(i.code, i.severity, asked.prefix + (i.pointer.removeprefix("/0") if single else i.pointer), i.detail)
        for i in error.issues
    ]


def _documents(body: bytes, archived: Future[bytes] | None, encoded: bytes) -> dict[str, Any]:
    """Request and answer as the record's columns hold them: as text; large ones archived, with digests in their place.

    The body has passed `strict_json.parse`, so it is JSON text that both databases take.
    """
    if archived is None and len(encoded) <= LARGE:
        return {"request": Encoded(body.decode()), "response": Encoded(encoded.decode()), "archive": None}
    request = archived.result() if archived is not None else zlib.compress(body, 1)
    archive = len(request).to_bytes(8, "big") + request + zlib.compress(encoded, 1)
    return {"request": _digested(body), "response": _digested(encoded), "archive": archive}


def _digested(content: bytes) -> dict[str, Any]:
    return {"digest": "sha256:" + hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def documents(row: RecommendationRow) -> tuple[bytes, bytes]:
    """Request and answer of a recommendation as JSON, from wherever they are kept."""
    if row.archive is None:
        return as_json(row.request), as_json(row.response)
    size = int.from_bytes(row.archive[:8], "big")
    return zlib.decompress(row.archive[8 : 8 + size]), zlib.decompress(row.archive[8 + size :])


def request_of(row: RecommendationRow) -> dict[str, Any]:
    """The request of a recommendation as a document."""
    request: dict[str, Any] = row.request if row.archive is None else json.loads(documents(row)[0])
    return request


def answer_of(row: RecommendationRow) -> dict[str, Any]:
    """The answer of a recommendation as a document."""
    answer: dict[str, Any] = row.response if row.archive is None else json.loads(documents(row)[1])
    return answer


def get(session: Session, recommendation_id: str, lock: bool = False) -> RecommendationRow:
    """The recommendation; ApiError 404."""
    row = repository.by_id(session, recommendation_id, lock)
    if row is None:
        raise not_found("recommendation", recommendation_id)
    return row


def record_outcome(session: Session, recommendation_id: str, body: OutcomeBody, owner: str) -> RecommendationRow:
    """Note what the planner did; a later note replaces an earlier one."""
    row = get(session, recommendation_id, lock=True)
    if body.decision is not None and body.outcome == "accepted":
        raise field_error("/decision", "An accepted recommendation keeps its own numbers; leave `decision` out.")
    row.outcome = {**body.model_dump(), "by": owner}
    row.outcome_at = utcnow()
    row.judgement = body.outcome
    row.replay = None  # it was of another decision
    session.flush()
    return row


def summaries(session: Session, rows: Sequence[RecommendationRow]) -> list[dict[str, Any]]:
    """What a list shows of recommendations."""
    policies = repository.policies_of(session, rows)
    return [_summary(row, policies[row.policy_id]) for row in rows]


def summary(session: Session, row: RecommendationRow) -> dict[str, Any]:
    """What a list shows of one recommendation."""
    return summaries(session, [row])[0]


def _summary(row: RecommendationRow, policy: dict[str, Any]) -> dict[str, Any]:
    outcome = {**row.outcome, "at": row.outcome_at} if row.outcome is not None else None
    return {
        "id": row.id,
        "policy_id": row.policy_id,
        "policy": policy,
        "states": row.states,
        "created_at": row.created_at,
        "asked_by": row.asked_by,
        "outcome": outcome,
        "replay": row.replay,
    }


def full(session: Session, row: RecommendationRow) -> bytes:
    """A recommendation as JSON, its documents spliced in as they are kept."""
    head = json.dumps(summary(session, row), default=_time, ensure_ascii=False)
    request, response = documents(row)
    return head[:-1].encode() + b', "request": ' + request + b', "response": ' + response + b"}"


def _time(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise ApiError("internal", f"a {type(value).__name__} has no JSON form")
