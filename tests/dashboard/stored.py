"""Jobs as the database would have them, written there directly: what pages show without waiting for real work."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from service.db.rows import AcceptanceVerdictRow, EvaluationRow, JobEventRow, JobRow, PolicyRow, utcnow
from service.ids import new_id
from tests.service.api_server import Server, add_policy, example_document

Events = list[tuple[str, dict[str, Any]]]


def instance_of(server: Server, name: str) -> str:
    """The id of an instance of this name that has a policy of the same name."""
    policy_id = add_policy(server, example_document() | {"name": name}, name)
    with server.client() as client:
        found: str = client.get(f"/v1/policies/{policy_id}").json()["instance_id"]
    return found


def add_job(server: Server, instance_id: str, state: str, events: Events = [], **given: Any) -> str:  # noqa: B006
    """A job in a state with its events, `state` and `end` included as far as it came; its id."""
    now = utcnow()
    finished = state in ("succeeded", "failed", "cancelled")
    way = ["queued", "starting", "running", "finalizing"]
    passed = way if finished else way[: way.index(state) + 1]
    told = [("state", {"state": step}) for step in passed] + events
    if finished:
        end = {"state": state, "error": given.get("error"), "stopped_by": None, "policy_id": given.get("policy_id")}
        told += [("state", {"state": state}), ("end", end)]
    row = {
        "id": new_id("job"),
        "kind": "train",
        "state": state,
        "instance_id": instance_id,
        "solver": "hdpo",
        "config": {"iterations": 400, "learning_rate": 0.006},
        "seed": 7,
        "request": {},
        "time_limit_seconds": 600.0,
        "policy_name": "orders",
        "attempt": 1,
        "max_attempts": 2,
        "started_at": None if state == "queued" else now - timedelta(seconds=80),
        "finished_at": now if finished else None,
        "progress": next((data for kind, data in reversed(told) if kind == "progress"), None),
        "event_seq": len(told),
    } | given
    with server.database.write() as session:
        session.add(JobRow(**row))
        session.flush()
        for seq, (kind, data) in enumerate(told, 1):
            session.add(JobEventRow(job_id=row["id"], seq=seq, type=kind, data=data))
    return str(row["id"])


def curve(iterations: int, until: int) -> Events:
    """What a training reports up to an iteration: falling costs, a validation every tenth."""
    events: Events = []
    for i in range(1, until + 1):
        cost = 10.0 + 90.0 / i
        events.append(("metric", {"name": "cost", "iteration": i, "value": cost}))
        events.append(("metric", {"name": "gradient_norm", "iteration": i, "value": 1.0 / i}))
        if i % 10 == 0:
            events.append(("metric", {"name": "validation_cost", "iteration": i, "value": cost}))
    share = {"iteration": until, "iterations": iterations, "fraction": until / iterations, "eta_seconds": 30.0}
    return [*events, ("progress", {"phase": "training", "cost": cost, "best_cost": cost, **share})]


def judged(mean: float) -> dict[str, Any]:
    """One policy's figures of a certificate over 20 stages, around a mean cost in total [money]."""
    levels = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
    edges = [100.0 + 5 * k for k in range(41)]
    return {
        "mean_cost": mean,
        "mean_cost_per_stage": mean / 20,
        "standard_error": 1.0,
        "ci95": [mean - 2, mean + 2],
        "components": {"holding": mean * 0.6, "shortage": mean * 0.4},
        "service": {"fill_rate": 0.95},
        "places": {"north": {"holding": mean, "mean_on_hand": 3.0}},
        "distribution": {
            "quantiles": {f"q{round(100 * q):02d}": mean + 60 * (q - 0.5) for q in levels},
            "least": mean - 40,
            "greatest": mean + 40,
            "histogram": {"edges": edges, "counts": [max(0, 20 - abs(k - 20)) for k in range(40)]},
        },
    }


def certificate(mean: float, rule: float, bound: float | None) -> dict[str, Any]:
    """A certificate: a policy, one classical rule and a bound [money in total over 20 stages]."""
    better = {"mean": rule - mean, "ci95": [rule - mean - 3, rule - mean + 3], "wins": 0.8 if rule > mean else 0.1}
    bounds = [] if bound is None else [{"kind": "some_bound", "exact": False, "value": bound, "standard_error": 0.5}]
    for one in bounds:
        one |= {"value_per_stage": one["value"] / 20, "scenarios": 512, "details": {"method": "by relaxing"}}
    return {
        "scenarios": 4096,
        "scenario_seed": 5,
        "policy": judged(mean),
        "rules": [{"name": "base_stock", **judged(rule), "paired_difference": better}],
        "bound": bounds[0] if bounds else None,
        "bounds": bounds,
        "bound_note": None if bounds else "perfect_information: time was up",
        "gap": (mean - bound) / bound if bound else None,
        "gap_ci95": [(mean - bound) / bound - 0.01, (mean - bound) / bound + 0.01] if bound else None,
        "beats_best_rule": mean < rule,
        "recommended_for_use": mean < rule,
        "missed_targets": [],
    }


def add_proved(server: Server, name: str, version: int = 1, **card: Any) -> str:
    """A stored policy whose card says what is given, such as its `certificate`; its id."""
    policy_id = add_policy(server, example_document() | {"name": name}, name, version)
    with server.database.write() as session:
        row = session.get(PolicyRow, policy_id)
        assert row is not None
        row.card = {**row.card, **card}
        row.recommended_for_use = card.get("certificate", {}).get("recommended_for_use", True)
    return policy_id


def add_evaluation(server: Server, policy_id: str, name: str, stages: int = 12) -> str:
    """An evaluation of a policy with the job that made it and paths of one quantity; its id."""
    with server.database.write() as session:
        policy = session.get(PolicyRow, policy_id)
        assert policy is not None
        paths = {
            f"q{level:02d}": [float(level + stage) for stage in range(stages)] for level in (5, 25, 50, 75, 95)
        } | {
            "mean": [50.0 + stage for stage in range(stages)],
            "samples": [[40.0 + k + s for s in range(stages)] for k in range(3)],
        }
        body = {"scenarios": 512, "policies": [{"name": f"{name}:1"} | judged(200.0)], "policy_ids": {}}
        row = EvaluationRow(
            id=new_id("evl"),
            instance_id=policy.instance_id,
            body=body,
            paths={f"{name}:1": {"on_hand": paths}, "base_stock": {"on_hand": paths}},
        )
        session.add(row)
        session.flush()
        evaluation_id, instance_id = row.id, policy.instance_id
    kind = {"kind": "evaluate", "solver": None, "policy_name": None, "config": {"policies": [policy_id], "rules": []}}
    add_job(server, instance_id, "succeeded", evaluation_id=evaluation_id, **kind)
    return evaluation_id


def add_verdict(server: Server, test_id: str, policy_id: str, passed: bool, detail: str) -> None:
    """What an acceptance test found of a version, as its run would have left it."""
    check = {"rule": "cost", "subject": "base_stock", "passed": passed, "measured": 1.0, "ci95": [0.5, 1.5]}
    with server.database.write() as session:
        row = AcceptanceVerdictRow(
            id=new_id("vdt"),
            test_id=test_id,
            policy_id=policy_id,
            job_id=new_id("job"),
            passed=passed,
            checks=[check | {"limit": 0.0, "detail": detail}],
            scenarios=256,
        )
        session.add(row)
