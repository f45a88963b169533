"""Trained policies: cards, recommendations, what is in use, what had to be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from .. import calls
from ..calls import CSV, TEXT, XLSX, Call, Duration, Files, duration, given
from ..operations import Room, W, listing, operation
from ..record import Page
from ..records import (
    AcceptanceTestView,
    AliasView,
    JobView,
    PolicyCard,
    PolicySummary,
    RecommendColumns,
    RecommendMany,
    RecommendOne,
    StateRead,
    StateView,
)

ONE = "/v1/policies/{ref}"
ALIAS = "/v1/policies/{name}/aliases/{alias}"
TESTS = "/v1/policies/{name}/acceptance-tests"

FORMS = {"text": TEXT, "csv": CSV, "xlsx": XLSX}


class Policies(Room[W]):
    """Policies. A reference is an id, a name (its newest version), `name:3` or `name@alias`."""

    @listing
    def list(
        self,
        *,
        name: str | None = None,
        problem: str | None = None,
        solver: str | None = None,
        instance_id: str | None = None,
        in_use: bool | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> Call[Page[PolicySummary]]:
        """The policies, newest first; every version of a name is one."""
        query = {"name": name, "problem": problem, "solver": solver, "instance_id": instance_id, "in_use": in_use}
        return calls.get("/v1/policies", Page[PolicySummary], query | {"limit": page_size, "cursor": cursor})

    @operation
    def get(self, ref: str) -> Call[PolicyCard]:
        """A policy's card: origin, training, certificate, receipt."""
        return calls.get(ONE, PolicyCard, ref=ref)

    @operation
    def delete(self, ref: str) -> Call[None]:
        """Delete one version that no recommendation and no alias refers to."""
        return calls.delete(ONE, ref=ref)

    @operation
    def reproduce(
        self,
        ref: str,
        *,
        time_limit: Duration | None = None,
        device: Literal["auto", "cpu", "gpu"] | None = None,
        idempotency_key: str | None = None,
    ) -> Call[JobView]:
        """Train a policy again from its receipt and compare: a job whose result tells what differs."""
        body = given({"time_limit": duration(time_limit), "device": device})
        return calls.create(f"{ONE}/reproduce", JobView, body, idempotency_key, ref=ref)

    @operation
    def state(self, ref: str) -> Call[StateView]:
        """What the policy wants to know: the schema of a state, today's, the columns of a decision."""
        return calls.get(f"{ONE}/state", StateView, ref=ref)

    @operation
    def state_of_files(self, ref: str, files: Files, options: Mapping[str, str] | None = None) -> Call[StateRead]:
        """A state made of files, such as CSV exports of stock; contents or paths, by the name of the part."""
        return calls.read(f"{ONE}/state", StateRead, files, options or {}, ref=ref)

    @operation
    def recommend(
        self,
        ref: str,
        state: Mapping[str, Any] | None = None,
        *,
        explain: bool = False,
        figures: bool = False,
        idempotency_key: str | None = None,
    ) -> Call[RecommendOne]:
        """What to decide in a state; left out, in the instance's own initial state."""
        body = given({"state": state, "options": _options(explain, figures)})
        return calls.create(f"{ONE}/recommend", RecommendOne, body, idempotency_key, ref=ref)

    @operation
    def recommend_many(
        self,
        ref: str,
        states: Sequence[Mapping[str, Any]],
        *,
        explain: bool = False,
        figures: bool = False,
        idempotency_key: str | None = None,
    ) -> Call[RecommendMany]:
        """What to decide in each of several states, in their order."""
        body = given({"states": [*states], "options": _options(explain, figures)})
        return calls.create(f"{ONE}/recommend", RecommendMany, body, idempotency_key, ref=ref)

    @operation
    def recommend_columns(
        self, ref: str, columns: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Call[RecommendColumns]:
        """What to decide in tens of thousands of states: an array per field with one entry per state.

        Arrays are lists or numpy arrays, in the nesting of a state; `arrays.arrays_of(answer.decisions)` gives numpy
        arrays back.
        """
        body = {"states": calls.plain(columns)}
        return calls.create(f"{ONE}/recommend", RecommendColumns, body, idempotency_key, ref=ref)

    @operation
    def recommend_file(
        self,
        ref: str,
        form: Literal["text", "csv", "xlsx"],
        state: Mapping[str, Any] | None = None,
        *,
        explain: bool = False,
        idempotency_key: str | None = None,
    ) -> Call[bytes]:
        """The decision as an aligned table, CSV or an Excel workbook."""
        body = given({"state": state, "options": _options(explain, False)})
        headers, places = {"Accept": FORMS[form]}, {"ref": ref}
        path = f"{ONE}/recommend"
        return Call("POST", path, calls.content, places, headers=headers, body=body, keyed=True, key=idempotency_key)


def _options(explain: bool, figures: bool) -> dict[str, bool] | None:
    return {name: True for name, wanted in (("explain", explain), ("figures", figures)) if wanted} or None


class Aliases(Room[W]):
    """Which version of a policy is in use for what."""

    @listing
    def list(self, name: str) -> Call[Page[AliasView]]:
        """The aliases of a policy and the versions they name."""
        return calls.get("/v1/policies/{name}/aliases", Page[AliasView], name=name)

    @operation
    def get(self, name: str, alias: str) -> Call[AliasView]:
        """One alias with its ETag, which whoever moves it has to show."""
        return calls.get(ALIAS, AliasView, name=name, alias=alias)

    @operation
    def put(
        self, name: str, alias: str, version: int, *, seen: AliasView | None, note: str | None = None
    ) -> Call[AliasView]:
        """Let an alias name a version. `seen` is the alias as it was read, None for one that is new.

        Raises:
            Changed: somebody moved it meanwhile. Conflict: an acceptance test that guards it has not been passed.
        """
        return calls.put(ALIAS, AliasView, {"version": version, "note": note}, _condition(seen), name=name, alias=alias)

    @operation
    def delete(self, name: str, alias: str, *, seen: AliasView | None) -> Call[None]:
        """Remove an alias as it was read; the version it named stays."""
        return calls.delete(ALIAS, _condition(seen), name=name, alias=alias)


def _condition(seen: AliasView | None) -> dict[str, str]:
    return {"If-None-Match": "*"} if seen is None else {"If-Match": f'"{seen.etag}"'}


class AcceptanceTests(Room[W]):
    """What versions of a policy's name have to show."""

    @operation
    def create(
        self,
        policy_name: str,
        name: str,
        instance_id: str,
        *,
        scenarios: int | None = None,
        scenario_set_id: str | None = None,
        seed: int | None = None,
        policies: Sequence[str] = (),
        rules: Sequence[str] = (),
        largest_cost_increase: float | None = None,
        least_service: Mapping[str, float] | None = None,
        guards: Sequence[str] = (),
        time_limit: Duration | None = None,
        idempotency_key: str | None = None,
    ) -> Call[AcceptanceTestView]:
        """Say what a version has to show, and which aliases it guards."""
        body: dict[str, Any] = {
            "name": name,
            "instance_id": instance_id,
            "scenarios": scenarios,
            "scenario_set_id": scenario_set_id,
        }
        body |= {"seed": seed, "policies": [*policies], "rules": [*rules], "guards": [*guards]}
        body |= {"largest_cost_increase": largest_cost_increase, "least_service": least_service}
        body |= {"time_limit": duration(time_limit)}
        return calls.create(TESTS, AcceptanceTestView, given(body), idempotency_key, name=policy_name)

    @listing
    def list(
        self, policy_name: str, *, page_size: int | None = None, cursor: str | None = None
    ) -> Call[Page[AcceptanceTestView]]:
        """The tests of a policy with the verdicts they have given, newest first."""
        return calls.get(TESTS, Page[AcceptanceTestView], {"limit": page_size, "cursor": cursor}, name=policy_name)

    @operation
    def get(self, policy_name: str, test_id: str) -> Call[AcceptanceTestView]:
        """One test."""
        return calls.get(f"{TESTS}/{{test_id}}", AcceptanceTestView, name=policy_name, test_id=test_id)

    @operation
    def delete(self, policy_name: str, test_id: str) -> Call[None]:
        """Delete a test with its verdicts."""
        return calls.delete(f"{TESTS}/{{test_id}}", name=policy_name, test_id=test_id)

    @operation
    def run(self, policy_name: str, test_id: str, version: int, *, idempotency_key: str | None = None) -> Call[JobView]:
        """Put a version to the test: a job that ends in a verdict."""
        path, places = f"{TESTS}/{{test_id}}/runs", {"name": policy_name, "test_id": test_id}
        return calls.create(path, JobView, {"version": version}, idempotency_key, **places)
