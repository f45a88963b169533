"""The perfect-information bound and the deterministic plan."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from models.core import NetworkSize, Problem
from models.dynamics import Policy
from models.inventory_network import PROBLEM
from models.inventory_network.program import network_program
from models.program import LinearProgram, NoProgram
from solvers.bound import BOUND
from solvers.bounds import (
    DETERMINISTIC,
    PERFECT_INFORMATION,
    Hindsight,
    perfect_information_values,
    reported_weights,
)
from solvers.core import Callbacks, InnerSolveError, SolveResult
from solvers.evaluation import Sample, ScenarioChunk, Scenarios, roll_out
from tests.models.networks import random_network

QUIET = Callbacks()


def has_program(which: Any) -> bool:
    try:
        return PROBLEM.program is not None and bool(PROBLEM.program(PROBLEM.parse(which.document())))
    except NoProgram:
        return False


WITH_PROGRAM = [which for which in PROBLEM.examples if has_program(which)]


def example(name: str) -> dict[str, Any]:
    return next(e for e in PROBLEM.examples if e.name == name).document()


def one_store(**more: Any) -> dict[str, Any]:
    """One store with lost sales, lead time 1, demand 4 in every period, 2 on hand."""
    return {
        "problem": "inventory_network",
        "periods": 3,
        "nodes": [
            {"id": "plant", "kind": "supplier"},
            {"id": "shop", "kind": "store", "holding_cost": 1.0, "shortage_cost": 9.0, "initial_on_hand": 2.0},
        ],
        "lanes": [{"from": "plant", "to": "shop", "lead_time": 1, "unit_cost": 0.5}],
        "demand": {"process": "empirical", "nodes": ["shop"], "history": [[4.0]]},
        **more,
    }


def drawn(document: dict[str, Any], scenarios: int, seed: int = 5) -> tuple[Any, Any, ScenarioChunk]:
    net = PROBLEM.parse(document)
    simulator = PROBLEM.simulator(net)
    return net, simulator, next(iter(Scenarios(simulator, seed, scenarios)))


def solve_perfect(document: dict[str, Any], problem: Problem = PROBLEM, **config: Any) -> SolveResult:
    assert PERFECT_INFORMATION.solve is not None
    net = PROBLEM.parse(document)
    return PERFECT_INFORMATION.solve(problem, net, PERFECT_INFORMATION.config(**config), 3, QUIET)


def solve_deterministic(document: dict[str, Any], callbacks: Callbacks = QUIET, **config: Any) -> SolveResult:
    assert DETERMINISTIC.solve is not None
    net = PROBLEM.parse(document)
    return DETERMINISTIC.solve(PROBLEM, net, DETERMINISTIC.config(**config), 3, callbacks)


# --- perfect information ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "profit"),
    [
        ("eight-nodes-backlog", 862.0),
        ("eight-nodes-lost", 857.0),
        ("four-serial-backlog", 1035.0),
        ("four-serial-lost", 1034.0),
    ],
)
def test_the_published_networks_have_the_known_perfect_information_profit(name: str, profit: float) -> None:
    """The figures are means over 60 paths with standard error 4–6; ours are over 1,000."""
    document = solve_perfect(example(name), scenarios=1000).document
    assert document["standard_error"] < 2.0
    assert -document["value"] == pytest.approx(profit, abs=3 * 6.0)
    assert document["value_per_stage"] == pytest.approx(document["value"] / 30)
    assert document["ci95"][0] < document["value"] < document["ci95"][1]


def test_a_case_solved_by_hand() -> None:
    """2 short in the first period; then 4 ordered for each of the other two, none for after the horizon."""
    document = solve_perfect(one_store(), scenarios=2).document
    assert document["value"] == pytest.approx(2 * 9 + 8 * 0.5)
    assert document["standard_error"] == pytest.approx(0.0, abs=1e-9)
    assert document["relaxes"] == []


def test_warm_up_is_free_and_only_reported_periods_count() -> None:
    """Ordering in the warm-up period costs nothing, and its shortage is not reported."""
    document = solve_perfect(one_store(warmup_periods=1), scenarios=2).document
    assert document["value"] == pytest.approx(4 * 0.5)
    assert document["free_warmup_stages"] == 1
    assert document["value_per_stage"] == pytest.approx(1.0)


@pytest.mark.parametrize("rule", ["base_stock", "echelon_base_stock"])
@pytest.mark.parametrize("which", WITH_PROGRAM, ids=lambda e: e.name)
def test_no_policy_costs_less_in_any_scenario(which: Any, rule: str) -> None:
    net, simulator, chunk = drawn(which.document(), 12)
    family = PROBLEM.family(rule)
    if family.refuses(net) is not None:
        pytest.skip(str(family.refuses(net)))
    sample = Sample()
    roll_out(simulator, family.build(net, simulator, NetworkSize()), chunk, sample)
    bounds = perfect_information_values(PROBLEM, net, simulator, chunk.state, chunk.noise, QUIET)
    assert (bounds <= sample.total + 1e-5 * (1 + np.abs(sample.total))).all()


@pytest.mark.parametrize("seed", range(12))
def test_no_random_orders_cost_less_than_the_bound(seed: int) -> None:
    net, simulator, chunk = drawn(random_network(seed), 8)
    generator = torch.Generator().manual_seed(seed)

    class AtRandom(Policy[Any, Any]):
        def propose(self, state: Any, stage: Any) -> Any:
            return type(nothing)(10 * torch.rand(8, len(net.lanes), generator=generator))

        def forward(self, state: Any, stage: Any) -> Any:
            return simulator.repair(state, self.propose(state, stage), stage)

    face = network_program(net)
    nothing = face.decision(np.zeros((1, len(face.stage(0).columns))), 0)
    sample = Sample()
    roll_out(simulator, AtRandom(), chunk, sample)
    bounds = perfect_information_values(PROBLEM, net, simulator, chunk.state, chunk.noise, QUIET)
    assert (bounds <= sample.total + 1e-4 * (1 + np.abs(sample.total))).all()


def test_weights_are_discounted_from_the_start_silent_in_warm_up() -> None:
    parts = {"num_stages": 4, "first_reported_stage": 2, "discount": 0.5}
    simulator: Any = SimpleNamespace(**parts, reported_stages=range(2, 4))
    assert reported_weights(simulator).tolist() == [0, 0, 0.25, 0.125, 0.0625]


def test_nothing_weighs_after_the_last_reported_stage_nor_what_is_left_then() -> None:
    parts = {"num_stages": 4, "first_reported_stage": 0, "discount": 0.5}
    simulator: Any = SimpleNamespace(**parts, reported_stages=range(0, 2))
    assert reported_weights(simulator).tolist() == [1, 0.5, 0, 0, 0]


def test_whole_numbers_make_a_tighter_bound() -> None:
    document = example("capacitated-two-suppliers") | {"integer_orders": True, "periods": 12, "warmup_periods": 0}
    document["lanes"] = [lane | {"capacity": 2.5} for lane in document["lanes"]]
    relaxed = solve_perfect(document, scenarios=4).document
    whole = solve_perfect(document, scenarios=4, whole_numbers=True).document
    assert whole["program"]["whole_number_columns"] == 12 * len(document["lanes"])
    assert whole["value"] > relaxed["value"]


def test_asked_to_stop_it_keeps_the_first_scenarios() -> None:
    net, simulator, chunk = drawn(example("eight-nodes-lost"), 20_000)
    first = slice(0, 50)
    every = perfect_information_values(PROBLEM, net, simulator, chunk.state.rows(first), chunk.noise.rows(first), QUIET)
    fractions: list[float] = []

    def note(phase: str, fraction: float) -> None:
        assert phase == "perfect_information"
        fractions.append(fraction)

    callbacks = Callbacks(should_stop=lambda: len(fractions) > 1, on_phase=note)
    some = perfect_information_values(PROBLEM, net, simulator, chunk.state, chunk.noise, callbacks)
    assert 0 < len(some) < 20_000
    together = min(len(some), len(every))
    np.testing.assert_allclose(some[:together], every[:together], atol=1e-6)
    assert fractions == sorted(fractions)


def test_out_of_time_it_says_so() -> None:
    result = solve_perfect(example("eight-nodes-lost"), scenarios=65_536, time_limit_seconds=0.3)
    assert result.status == "time_limit"
    assert 2 <= result.document["scenarios"] < result.document["scenarios_wanted"] == 65_536
    assert result.document["value"] < 0
    result = solve_perfect(example("eight-nodes-lost"), scenarios=2, time_limit_seconds=1e-9)
    assert (result.status, result.document["scenarios"]) == ("time_limit", 0)
    assert "Time was up" in result.document["explanation"]


def spoiled(**changes: Any) -> Problem:
    """The inventory problem with a stage whose columns are changed."""

    class Spoiled(type(network_program(PROBLEM.parse(one_store())))):  # type: ignore[misc]
        def stage(self, stage: int) -> LinearProgram:
            whole = super().stage(stage)
            filled = {name: np.full_like(getattr(whole, name), value) for name, value in changes.items()}
            return dataclasses.replace(whole, **filled)

    return dataclasses.replace(PROBLEM, program=Spoiled)


@pytest.mark.parametrize(("changes", "status"), [({"row_upper": -50.0}, "infeasible"), ({"cost": -1.0}, "unbounded")])
def test_infeasible_and_unbounded_are_outcomes_and_errors_only_for_a_certificate(
    changes: dict[str, float], status: str
) -> None:
    problem = spoiled(**changes)
    result = solve_perfect(one_store(), problem, scenarios=3)
    assert result.status == status
    assert result.document["explanation"]
    assert "value" not in result.document
    json.dumps(result.document, allow_nan=False)
    net, simulator, chunk = drawn(one_store(), 3)
    with pytest.raises(InnerSolveError, match=f"scenario 0 is {status}"):
        perfect_information_values(problem, net, simulator, chunk.state, chunk.noise, QUIET)


def test_the_hot_program_goes_on_where_it_left_off() -> None:
    net, simulator, chunk = drawn(example("four-serial-lost"), 20)
    hindsight = Hindsight(PROBLEM, net, simulator)
    halves = [slice(0, 10), slice(10, 20)]
    found = [hindsight.bounds(chunk.state.rows(half), chunk.noise.rows(half), QUIET) for half in halves]
    whole = perfect_information_values(PROBLEM, net, simulator, chunk.state, chunk.noise, QUIET)
    np.testing.assert_allclose(np.concatenate(found), whole, atol=1e-6)
    assert hindsight.hot.tally.solves == 20


# --- deterministic plan ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", WITH_PROGRAM, ids=lambda e: e.name)
def test_the_plan_costs_what_its_replay_costs(which: Any) -> None:
    result = solve_deterministic(which.document(), time_limit_seconds=5.0)
    document = result.document
    # Lots and fixed costs over many periods are planned well in seconds, but proven optimal only in minutes.
    assert result.status == ("optimal" if document["program"]["whole_number_columns"] == 0 else result.status)
    assert document["planned_cost"] == pytest.approx(document["replayed_cost"], rel=1e-6, abs=1e-5)
    assert document["largest_repair"] == 0
    assert len(document["plan"]) == which.document()["periods"]
    assert sum(row["cost"] for row in document["plan"]) == pytest.approx(document["replayed_cost"], abs=1e-3)
    json.dumps(document, allow_nan=False)


def test_the_plan_is_in_the_planners_words() -> None:
    plan = solve_deterministic(one_store()).document["plan"]
    assert [row["period"] for row in plan] == [0, 1, 2]
    assert plan[0]["orders"] == [{"from": "plant", "to": "shop", "quantity": 4.0, "arrives_in": 1}]
    assert plan[0]["components"] == {"procurement": 2.0, "holding": 0.0, "shortage": 18.0}
    assert plan[2]["orders"][0]["quantity"] == 0.0
    assert [row["cost"] for row in plan] == [20.0, 2.0, 0.0]


def test_the_plan_counts_the_warm_up_and_reports_without_it() -> None:
    document = solve_deterministic(one_store(warmup_periods=1)).document
    assert document["planned_cost"] == pytest.approx(22.0)
    assert document["replayed_reported_cost"] == pytest.approx(2.0)


def test_the_plan_is_hindsight_on_the_mean_path() -> None:
    net, simulator, chunk = drawn(example("eight-nodes-backlog"), 1)
    mean = simulator.expected(1)
    value = perfect_information_values(PROBLEM, net, simulator, chunk.state, mean, QUIET)[0]
    assert solve_deterministic(example("eight-nodes-backlog")).document["planned_cost"] == pytest.approx(value)


def test_whole_orders_are_planned_whole() -> None:
    document = one_store(integer_orders=True)
    document["demand"]["history"] = [[4.3]]
    plan = solve_deterministic(document).document["plan"]
    assert [row["orders"][0]["quantity"] for row in plan] == [5.0, 4.0, 0.0]


def test_a_plan_stopped_before_it_is_found_says_so() -> None:
    result = solve_deterministic(example("serial-backlogged"), time_limit_seconds=1e-6)
    assert result.status == "time_limit"
    assert "plan" not in result.document
    assert result.document["explanation"] == "Time was up before a plan was found."


# --- the solvers as values -------------------------------------------------------------------------------------------


def test_they_need_a_program_and_say_so() -> None:
    traits = dataclasses.replace(PROBLEM.traits, has_program=False)
    bare = dataclasses.replace(PROBLEM, traits=traits, program=None)
    for solver in (PERFECT_INFORMATION, DETERMINISTIC):
        assert solver.kind == "solve"
        assert solver.reasons_against(PROBLEM) == []
        assert solver.reasons_against(bare) == ["the problem has no algebraic program"]


def test_describing_them_loads_neither_torch_nor_pyomo_nor_a_solver_library() -> None:
    code = "import sys, solvers.registry; print({'torch', 'pyomo', 'highspy', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- shadow prices ---------------------------------------------------------------------------------------------------


def priced(document: dict[str, Any]) -> dict[str, Any]:
    return solve_perfect(document, scenarios=24).document


def saving(document: dict[str, Any], changed: dict[str, Any], change: float) -> float:
    """What a small change saved per unit, on the same scenarios."""
    return (priced(document)["value"] - priced(changed)["value"]) / change


def price_of(document: dict[str, Any], kind: str, name: str) -> float:
    return next(entry["saves"] for entry in priced(document)["shadow_prices"][kind] if entry["name"] == name)


def finite_hub() -> dict[str, Any]:
    """Two suppliers, a hub with limited throughput, two stores; little stock at the start.

    Demand is whole: with odd figures elsewhere no dual is one of many.
    """
    document = example("capacitated-two-suppliers") | {"periods": 12, "warmup_periods": 0}
    document["nodes"][2] |= {"throughput_capacity": 9.173, "initial_on_hand": 12.37}
    document["nodes"][3] |= {"initial_on_hand": 3.41}
    document["nodes"][4] |= {"initial_on_hand": 3.29}
    document["lanes"][0] |= {"capacity": 5.219}
    document["lanes"][1] |= {"initial_in_transit": [2.11, 3.07, 1.13]}
    return document


def altered(document: dict[str, Any], kind: str, index: int, **changes: Any) -> dict[str, Any]:
    rows = [dict(row) for row in document[kind]]
    rows[index] |= changes
    return document | {kind: rows}


def test_one_more_unit_on_hand_saves_what_its_shadow_price_says() -> None:
    document = finite_hub()
    for index, name in ((2, "hub"), (3, "north")):
        stock = document["nodes"][index]["initial_on_hand"]
        more = altered(document, "nodes", index, initial_on_hand=stock + 2e-3)
        expected = saving(document, more, 2e-3)
        assert price_of(document, "state", f"incoming_on_hand[{name}]") == pytest.approx(expected, abs=0.02)
        assert expected > 0.5


def test_one_more_unit_of_capacity_saves_what_its_shadow_price_says() -> None:
    document = finite_hub()
    more = altered(document, "nodes", 2, throughput_capacity=9.173 + 2e-3)
    expected = saving(document, more, 2e-3)
    assert price_of(document, "limits", "throughput[hub]") == pytest.approx(expected, abs=0.02)
    assert expected > 0.5
    wider = altered(document, "lanes", 0, capacity=5.219 + 2e-3)
    assert price_of(document, "limits", "order[near,hub]") == pytest.approx(saving(document, wider, 2e-3), abs=0.02)


def test_shadow_prices_come_with_intervals_dearest_first_or_not_at_all() -> None:
    entries = priced(finite_hub())["shadow_prices"]["state"]
    assert [abs(entry["saves"]) for entry in entries] == sorted((abs(e["saves"]) for e in entries), reverse=True)
    assert all(entry["ci95"][0] <= entry["saves"] <= entry["ci95"][1] for entry in entries)
    assert {f"under_way[far,hub,{k}]" for k in (1, 2, 3)} <= {entry["name"] for entry in entries}
    assert "shadow_prices" not in solve_perfect(finite_hub(), scenarios=4, shadow_prices=False).document
    whole = finite_hub() | {"integer_orders": True}
    assert "shadow_prices" not in solve_perfect(whole, scenarios=2, whole_numbers=True).document


# --- the bound as a job ----------------------------------------------------------------------------------------------


def solve_bound(document: dict[str, Any], problem: Problem = PROBLEM, **config: Any) -> SolveResult:
    assert BOUND.solve is not None
    return BOUND.solve(problem, PROBLEM.parse(document), BOUND.config(**config), 3, QUIET)


def test_the_optimum_is_the_answer_where_it_is_known() -> None:
    document = solve_bound(example("serial-backlogged")).document
    assert (document["kind"], document["exact"]) == ("optimal", True)
    assert document["value_per_stage"] == pytest.approx(10.7339, abs=1e-3)
    assert document["value"] == pytest.approx(50 * document["value_per_stage"])
    assert [entry["kind"] for entry in document["bounds"]] == ["optimal"]
    assert "two or more stores" in document["without"]["balance_relaxation"]
    json.dumps(document, allow_nan=False)


def test_else_the_tightest_of_all_that_fit() -> None:
    document = solve_bound(example("dc-two-stores"), scenarios=16).document
    values = [entry["value_per_stage"] for entry in document["bounds"]]
    assert values == sorted(values, reverse=True)
    assert [entry["kind"] for entry in document["bounds"]] == ["free_warehouse", "perfect_information"]
    assert document["bounds"][1]["standard_error_per_stage"] > 0


def test_one_method_can_be_asked_for() -> None:
    document = solve_bound(example("dc-two-stores"), method="perfect_information", scenarios=16).document
    assert [entry["kind"] for entry in document["bounds"]] == ["perfect_information"]


@pytest.mark.parametrize(
    ("name", "method", "reason"),
    [
        ("eight-nodes-lost", "optimal", "one store with one supplier"),
        (
            "dc-two-stores",
            "nonsense",
            "it has auto, optimal, balance_relaxation, priced_warehouse, free_warehouse, perfect_information",
        ),
    ],
)
def test_a_method_that_does_not_fit_is_refused_by_its_field(name: str, method: str, reason: str) -> None:
    net = PROBLEM.parse(example(name))
    (issue,) = BOUND.refuses(PROBLEM, net, BOUND.config(method=method))
    assert (issue.pointer, issue.severity) == ("/method", "error")
    assert reason in issue.detail
    assert BOUND.refuses(PROBLEM, net, BOUND.config()) == []


def test_out_of_time_the_optimums_method_gives_a_lower_bound() -> None:
    result = solve_bound(example("one-store-lost"), method="optimal", time_limit_seconds=1e-6)
    assert result.status == "time_limit"
    assert result.document["exact"] is False
    assert 0 < result.document["value_per_stage"] < 6.83


def test_without_any_bound_the_reasons_are_named() -> None:
    document = one_store()
    document["lanes"][0] |= {"lead_time": 2, "random_lead_time": {"values": [1, 2], "probabilities": [0.5, 0.5]}}
    with pytest.raises(InnerSolveError, match=r"optimal: the horizon is finite.*perfect_information: with random"):
        solve_bound(document)
