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
    row: RecommendationRow


def recommend(policy: Any, key: PolicyKey, asked: Asked, document: Mapping[str, Any], body: bytes) -> Recommendation:
    """What the policy recommends for the states asked about; ApiError 422 with pointers into the body."""
    archived = _compressors.submit(zlib.compress, body, 1) if len(body) > LARGE else None
    started = time.perf_counter()
    with collector_paused(len(body) > LARGE):
        try:
            decided, states = _decide(policy, asked)
        except InvalidInput as error:
            raise invalid(_moved(error, asked)) from None
        except InnerSolveError as error:  # a policy that plans found no plan for one of these states
            raise ApiError("inner-solve-failed", str(error)) from None
        elapsed = (time.perf_counter() - started) * 1000
        recommendation_id = new_id("rec")
        name = {"id": key.id, "name": key.name, "version": key.version, "digest": key.artifact_digest}
        answer = {"recommendation_id": recommendation_id, "policy": name, **decided, "elapsed_ms": round(elapsed, 3)}
        try:
            encoded = as_json(answer)
        except ValueError:
            raise field_error(asked.prefix, "These numbers are too large for the policy to decide on.") from None
    row = RecommendationRow(id=recommendation_id, policy_id=key.id, states=states)
    _record(row, document, body, archived, answer, encoded)
    return Recommendation(recommendation_id, answer, encoded, row)


def _decide(policy: Any, asked: Asked) -> tuple[dict[str, Any], int]:
    if asked.form == "columns":
        decided = policy.recommend_columns(asked.states)
        return decided, len(decided["in_training_range"])
    if asked.form == "many":
        return {"recommendations": policy.recommend(asked.states, asked.explain, asked.figures)}, len(asked.states)
    state = policy.view.today() if asked.form == "today" else asked.states
    (decided,) = policy.recommend([state], asked.explain, asked.figures)
    return ({**decided, "state": state} if asked.form == "today" else decided), 1


def _moved(error: InvalidInput, asked: Asked) -> list[Issue]:
    """Issues with pointers from the body's root: a single state's come as those of row 0."""
    single = asked.form in ("one", "today")
    return [
        Issue(i.code, i.severity, asked.prefix + (i.pointer.removeprefix("/0") if single else i.pointer), i.detail)
        for i in error.issues
    ]


def _record(
    row: RecommendationRow,
    document: Mapping[str, Any],
    body: bytes,
    archived: Future[bytes] | None,
    answer: dict[str, Any],
    encoded: bytes,
) -> None:
    """Documents go into the row; large ones into its archive, with digests and sizes in their place."""
    if archived is None and len(encoded) <= LARGE:
        row.request, row.response = dict(document), answer
        return
    request = archived.result() if archived is not None else zlib.compress(body, 1)
    row.archive = len(request).to_bytes(8, "big") + request + zlib.compress(encoded, 1)
    row.request, row.response = _digested(body), _digested(encoded)


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
