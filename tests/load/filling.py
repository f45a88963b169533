"""A database as it is after years: a million events, a hundred thousand recommendations, and what they belong to."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import islice
from typing import Any

from sqlalchemy import insert, text

from service.db.rows import EvaluationRow, InstanceRow, JobEventRow, JobRow, PolicyRow, RecommendationRow, utcnow
from service.db.session import Database, Encoded
from service.ids import new_id

EVENTS, LONG_JOB = 1_000_000, 400_000  # in all, and of the one long job
RECOMMENDATIONS, JOBS, POLICIES, INSTANCES, EVALUATIONS = 100_000, 2000, 300, 300, 300
NAMES = 20  # of policies: each has a fifteenth of the versions
CHUNK = 20_000
OUTCOMES = ("pending",) * 6 + ("accepted",) * 3 + ("overridden",)
DRAWS = random.Random(1)
START = utcnow() - timedelta(days=400)


def fill(database: Database) -> dict[str, str]:
    """Fill an empty, migrated database; ids of a long job, a rare policy and an instance."""
    instances = [new_id("ins") for _ in range(INSTANCES)]
    policies = [new_id("pol") for _ in range(POLICIES)]
    jobs = [new_id("job") for _ in range(JOBS)]
    _insert(database, InstanceRow, (_instance(id_, k) for k, id_ in enumerate(instances)))
    _insert(database, PolicyRow, (_policy(id_, k, instances) for k, id_ in enumerate(policies)))
    _insert(database, EvaluationRow, (_evaluation(k, instances) for k in range(EVALUATIONS)))
    counts = [LONG_JOB, *[(EVENTS - LONG_JOB) // (JOBS - 1)] * (JOBS - 1)]
    _insert(database, JobRow, (_job(id_, k, instances, counts[k]) for k, id_ in enumerate(jobs)))
    _insert(database, JobEventRow, (one for id_, n in zip(jobs, counts, strict=True) for one in _events(id_, n)))
    _insert(database, RecommendationRow, (_recommendation(policies, k) for k in range(RECOMMENDATIONS)))
    with database.write() as session:
        session.execute(text("ANALYZE"))
    return {"long_job": jobs[0], "rare_policy": policies[-1], "policy": policies[0], "instance": instances[0]}


def _insert(database: Database, row: Any, rows: Iterable[Mapping[str, Any]]) -> None:
    rows = iter(rows)
    while part := list(islice(rows, CHUNK)):
        with database.write() as session:
            session.execute(insert(row.__table__), part)


def _instance(id_: str, k: int) -> dict[str, Any]:
    body = {"nodes": [{"id": f"n{i}", "holding_cost": 0.5} for i in range(400)]}
    return {"id": id_, "digest": id_, "problem": "inventory_network", "name": f"net-{k}", "body": body}


def _policy(id_: str, k: int, instances: list[str]) -> dict[str, Any]:
    curve = [{"iteration": float(i), "cost": 10.0 / (i + 1), "seconds": 0.1 * i} for i in range(500)]
    certificate = {"policy": {"mean_cost": 9.0, "mean_cost_per_stage": 1.0}, "gap": 0.02, "rules": []}
    return {
        "id": id_,
        "name": f"name-{k % NAMES}",
        "version": k // NAMES + 1,
        "problem": "inventory_network",
        "solver": "hdpo",
        "family": "mlp",
        "instance_id": instances[k % len(instances)],
        "job_id": None,
        "artifact_digest": "sha256:" + f"{k:064d}",
        "card": {"certificate": certificate, "curve": curve},
        "recommended_for_use": True,
    }


def _evaluation(k: int, instances: list[str]) -> dict[str, Any]:
    body = {"policies": [{"name": f"rule {i}", "mean_cost": 1.0 * i} for i in range(50)]}
    paths = {"stock": [[1.0] * 60] * 20}
    return {"id": new_id("evl"), "instance_id": instances[k % 50], "body": body, "paths": paths}


def _job(id_: str, k: int, instances: list[str], events: int) -> dict[str, Any]:
    state = ("succeeded", "succeeded", "failed", "cancelled", "queued")[k % 5] if k else "succeeded"
    return {
        "id": id_,
        "kind": ("train", "train", "evaluate")[k % 3],
        "state": state,
        "instance_id": instances[k % len(instances)],
        "solver": "hdpo",
        "config": {"iterations": 100, "width": 32},
        "seed": k,
        "request": {"kind": "train"},
        "time_limit_seconds": 60.0,
        "max_attempts": 2,
        "event_seq": events,
        "created_at": START + timedelta(minutes=k),
    }


def _events(job_id: str, count: int) -> Iterator[dict[str, Any]]:
    for seq in range(1, count + 1):
        last = {count - 1: "state", count: "end"}.get(seq, "metric")
        kind = "state" if seq <= 4 else last
        data = {"state": "running"} if kind != "metric" else {"name": "cost", "iteration": seq, "value": 10.0 / seq}
        yield {"job_id": job_id, "seq": seq, "type": kind, "data": data, "created_at": START}


def _recommendation(policies: list[str], k: int) -> dict[str, Any]:
    word = DRAWS.choice(OUTCOMES)
    outcome = None if word == "pending" else {"outcome": word, "decision": None, "note": None, "by": "local"}
    asked = '{"state":{"period":1,"on_hand":{' + ",".join(f'"store-{i}":{k % 97}.5' for i in range(12)) + "}}}"
    answer = '{"decision":{"orders":[' + ",".join(f'{{"to":"store-{i}","quantity":{k % 89}.25}}' for i in range(12))
    rare = k % 25_000 == 7  # of the last policy, deep in the past
    return {
        "id": new_id("rec"),
        "policy_id": policies[-1] if rare else policies[min(int(DRAWS.expovariate(0.05)), len(policies) - 2)],
        "states": 1,
        "request": Encoded(asked),
        "response": Encoded(answer + "]}}"),
        "created_at": START + timedelta(minutes=k),
        "judgement": word,
        "outcome": outcome,
        "outcome_at": None if outcome is None else START + timedelta(minutes=k + 5),
    }
