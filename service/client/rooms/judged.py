"""What was recommended and what came of it; policies compared; scenarios of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from .. import calls
from ..calls import CSV, XLSX, Call, Duration, Files, duration, given
from ..operations import Room, W, listing, operation
from ..record import Page
from ..records import (
    EvaluationSummary,
    EvaluationView,
    JobView,
    PathsView,
    RecommendationSummary,
    RecommendationView,
    ScenarioNumbers,
    ScenarioSetSummary,
    ScenarioSetView,
)

RECOMMENDATION = "/v1/recommendations/{recommendation_id}"
EVALUATION = "/v1/evaluations/{evaluation_id}"
SET = "/v1/scenario-sets/{scenario_set_id}"

FORMS = {"csv": CSV, "xlsx": XLSX}


class Recommendations(Room[W]):
    """The trail of decisions asked for, and what the planner did with them."""

    @listing
    def list(
        self,
        *,
        policy: str | None = None,
        policy_id: str | None = None,
        outcome: Literal["pending", "accepted", "overridden", "rejected", "none"] | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> Call[Page[RecommendationSummary]]:
        """The recommendations, newest first."""
        query = {"policy": policy, "policy_id": policy_id, "outcome": outcome, "limit": page_size, "cursor": cursor}
        return calls.get("/v1/recommendations", Page[RecommendationSummary], query)

    @operation
    def get(self, recommendation_id: str) -> Call[RecommendationView]:
        """One recommendation: what was asked, what was answered, what the planner did."""
        return calls.get(RECOMMENDATION, RecommendationView, recommendation_id=recommendation_id)

    @operation
    def file(self, recommendation_id: str, form: Literal["csv", "xlsx"]) -> Call[bytes]:
        """Its decision as CSV or an Excel workbook."""
        return calls.fetch(RECOMMENDATION, FORMS[form], recommendation_id=recommendation_id)

    @operation
    def record(
        self,
        recommendation_id: str,
        outcome: Literal["accepted", "overridden", "rejected"],
        *,
        decision: Mapping[str, Any] | None = None,
        note: str | None = None,
    ) -> Call[RecommendationSummary]:
        """Say what the planner did; an override brings the planner's own `decision`."""
        body = {"outcome": outcome, "decision": decision, "note": note}
        return calls.put(f"{RECOMMENDATION}/outcome", RecommendationSummary, body, recommendation_id=recommendation_id)

    @operation
    def replay(
        self,
        recommendation_id: str,
        *,
        scenarios: int | None = None,
        seed: int | None = None,
        time_limit: Duration | None = None,
        idempotency_key: str | None = None,
    ) -> Call[JobView]:
        """Play the planner's own decision and the recommended one on the same scenarios: a job."""
        body = given({"scenarios": scenarios, "seed": seed, "time_limit": duration(time_limit)})
        path = f"{RECOMMENDATION}/replay"
        return calls.create(path, JobView, body, idempotency_key, recommendation_id=recommendation_id)


class Evaluations(Room[W]):
    """Policies compared on common random numbers."""

    @operation
    def create(
        self,
        instance_id: str,
        policies: Sequence[str],
        rules: Sequence[str] = (),
        *,
        scenarios: int | None = None,
        scenario_set_id: str | None = None,
        seed: int | None = None,
        time_limit: Duration | None = None,
        idempotency_key: str | None = None,
    ) -> Call[JobView]:
        """Compare policies and classical rules: a job whose `evaluation_id` names the result."""
        body: dict[str, Any] = {
            "instance_id": instance_id,
            "policies": [*policies],
            "rules": [*rules],
            "scenarios": scenarios,
        }
        body |= {"scenario_set_id": scenario_set_id, "seed": seed, "time_limit": duration(time_limit)}
        return calls.create("/v1/evaluations", JobView, given(body), idempotency_key)

    @listing
    def list(
        self,
        *,
        instance_id: str | None = None,
        job_id: str | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> Call[Page[EvaluationSummary]]:
        """The evaluations, newest first."""
        query = {"instance_id": instance_id, "job_id": job_id, "limit": page_size, "cursor": cursor}
        return calls.get("/v1/evaluations", Page[EvaluationSummary], query)

    @operation
    def get(self, evaluation_id: str) -> Call[EvaluationView]:
        """One evaluation: every policy's figures, pairs and the bound."""
        return calls.get(EVALUATION, EvaluationView, evaluation_id=evaluation_id)

    @operation
    def file(self, evaluation_id: str, form: Literal["csv", "xlsx"]) -> Call[bytes]:
        """Its tables as CSV or an Excel workbook."""
        return calls.fetch(EVALUATION, FORMS[form], evaluation_id=evaluation_id)

    @operation
    def paths(self, evaluation_id: str) -> Call[PathsView]:
        """Quantiles by stage of every quantity, and some scenarios' own paths."""
        return calls.get(f"{EVALUATION}/paths", PathsView, evaluation_id=evaluation_id)


class ScenarioSets(Room[W]):
    """Scenarios of one's own: demand or inflow for every place from start to end."""

    @operation
    def create(
        self,
        instance_id: str,
        scenarios: Sequence[Mapping[str, Any]],
        *,
        name: str | None = None,
        idempotency_key: str | None = None,
    ) -> Call[ScenarioSetSummary]:
        """Store scenarios: each a list (or numpy array) of numbers for every place."""
        body = given({"instance_id": instance_id, "name": name, "scenarios": calls.plain([*scenarios])})
        return calls.create("/v1/scenario-sets", ScenarioSetSummary, body, idempotency_key)

    @operation
    def upload(
        self,
        instance_id: str,
        scenarios: Files | bytes | str,
        *,
        name: str | None = None,
        idempotency_key: str | None = None,
    ) -> Call[ScenarioSetSummary]:
        """Store scenarios from a CSV file: its content (bytes) or its path."""
        files = scenarios if isinstance(scenarios, Mapping) else {"scenarios": scenarios}
        words = given({"instance_id": instance_id, "name": name})
        return calls.upload("/v1/scenario-sets", ScenarioSetSummary, files, words, idempotency_key)

    @listing
    def list(
        self,
        *,
        instance_id: str | None = None,
        problem: str | None = None,
        name: str | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> Call[Page[ScenarioSetSummary]]:
        """The sets, newest first."""
        query = {"instance_id": instance_id, "problem": problem, "name": name, "limit": page_size, "cursor": cursor}
        return calls.get("/v1/scenario-sets", Page[ScenarioSetSummary], query)

    @operation
    def get(self, scenario_set_id: str) -> Call[ScenarioSetView]:
        """One set, summed up."""
        return calls.get(SET, ScenarioSetView, scenario_set_id=scenario_set_id)

    @operation
    def delete(self, scenario_set_id: str) -> Call[None]:
        """Delete a set that no job needs."""
        return calls.delete(SET, scenario_set_id=scenario_set_id)

    @operation
    def scenarios(self, scenario_set_id: str) -> Call[ScenarioNumbers]:
        """Its numbers."""
        return calls.get(f"{SET}/scenarios", ScenarioNumbers, scenario_set_id=scenario_set_id)

    @operation
    def csv(self, scenario_set_id: str) -> Call[bytes]:
        """Its numbers as CSV."""
        return calls.fetch(f"{SET}/scenarios", CSV, scenario_set_id=scenario_set_id)
