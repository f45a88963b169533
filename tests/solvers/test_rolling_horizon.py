"""Policies that plan ahead: against the newsvendor, hindsight, the program solved whole, and themselves."""

from __future__ import annotations

import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm

from models.core import InvalidInput, Problem
from models.inventory_network import PROBLEM
from models.inventory_network.examples import one_store_backlogged
from service.decisions.asked import Asked
from service.decisions.service import recommend
from service.errors import ApiError
from solvers.artifact import PolicyArtifact
from solvers.bounds import PERFECT_INFORMATION, perfect_information_values
from solvers.core import Callbacks, InnerSolveError, Solver, TrainRequest
from solvers.evaluation import Sample, ScenarioChunk, Scenarios, check_feasible, roll_out
from solvers.planning import Planner, RollingPolicy
from solvers.rolling_horizon import ROLLING_DETERMINISTIC, ROLLING_SCENARIO_TREE, ROLLING_TWO_STAGE
from solvers.serving import ServedPolicy
from solvers.training import run_training
from tests.solvers.test_bounds import spoiled

QUIET = Callbacks()
EVERY = [ROLLING_DETERMINISTIC, ROLLING_TWO_STAGE, ROLLING_SCENARIO_TREE]
MEAN, STD, LEVELS = 5.0, 1.6, math.sqrt(5)  # one store, lead time 4: demand of five periods


def trained(document: dict[str, Any], solver: Solver, seed: int = 1, problem: Problem = PROBLEM, **config: Any) -> Any:
    assert solver.train is not None
    net = problem.parse(document)
    return solver.train(TrainRequest(problem, net, solver.config(**config), seed), QUIET).policy


def simulated(document: dict[str, Any], policy: Any, scenarios: int, seed: int = 5) -> np.ndarray:
    simulator = PROBLEM.simulator(PROBLEM.parse(document))
    sample = Sample()
    roll_out(simulator, policy, next(iter(Scenarios(simulator, seed, scenarios))), sample)
    return sample.total


def example(name: str) -> dict[str, Any]:
    return next(e for e in PROBLEM.examples if e.name == name).document()


def one_store(history: list[float], **more: Any) -> dict[str, Any]:
    """One store with lost sales and lead time 1, whose demand repeats a history."""
    return {
        "problem": "inventory_network",
        "periods": 6,
        "nodes": [
            {"id": "plant", "kind": "supplier"},
            {"id": "shop", "kind": "store", "holding_cost": 1.0, "shortage_cost": 9.0, "initial_on_hand": 4.0},
        ],
        "lanes": [{"from": "plant", "to": "shop", "lead_time": 1, "unit_cost": 0.5}],
        "demand": {"process": "empirical", "nodes": ["shop"], "history": [[d] for d in history]},
        **more,
    }


# --- one backlogged store: the newsvendor over five periods -----------------------------------------------------------


def newsvendor_cost(level: float) -> float:
    """Expected cost a period when every order brings the position to `level`, h = 1, p = 9."""
    std = STD * LEVELS
    z = (level - 5 * MEAN) / std
    return float(level - 5 * MEAN + 10 * std * (norm.pdf(z) - z * norm.sf(z)))


OPTIMAL_LEVEL = 5 * MEAN + STD * LEVELS * float(norm.ppf(0.9))


def levels(solver: Solver, seeds: int = 1, **config: Any) -> list[float]:
    """The position that the first order of the store brings, seed by seed."""
    net, simulator, _ = _built(one_store_backlogged())
    planner = Planner(PROBLEM, net, solver.config(**config))
    state = planner.face.state_vector(simulator.initial(1, torch.Generator()))
    orders = [planner.face.decision(planner.plan(state, 0, seed), 0).quantity for seed in range(seeds)]
    return [float(order) + state.sum() for order in orders]


@pytest.mark.parametrize(("scenarios", "seeds", "gap"), [(8, 20, 0.12), (64, 10, 0.025), (512, 1, 0.002)])
def test_with_more_scenarios_the_two_stage_policy_approaches_the_newsvendor(
    scenarios: int, seeds: int, gap: float
) -> None:
    costs = [newsvendor_cost(level) for level in levels(ROLLING_TWO_STAGE, seeds, scenarios=scenarios)]
    assert 1 <= np.mean(costs) / newsvendor_cost(OPTIMAL_LEVEL) <= 1 + gap


def test_planning_for_the_mean_costs_what_a_level_at_the_mean_costs() -> None:
    """Half the time short: 2.3 times the optimum, by formula and in the simulator."""
    assert levels(ROLLING_DETERMINISTIC)[0] == pytest.approx(5 * MEAN, abs=0.01)
    document = one_store_backlogged() | {"periods": 60, "warmup_periods": 20}
    costs = simulated(document, trained(document, ROLLING_DETERMINISTIC, look_ahead=8), 100) / 40
    expected = newsvendor_cost(5 * MEAN)
    assert expected / newsvendor_cost(OPTIMAL_LEVEL) == pytest.approx(2.27, abs=0.01)
    assert costs.mean() == pytest.approx(expected, abs=4 * costs.std() / 10)


def test_planning_for_a_quantile_of_running_totals_is_the_newsvendor() -> None:
    """1,024 sampled paths tell the quantile to about 0.05 units."""
    (level,) = levels(ROLLING_DETERMINISTIC, quantile=0.9)
    assert level == pytest.approx(OPTIMAL_LEVEL, abs=0.5)
    assert newsvendor_cost(level) < 1.01 * newsvendor_cost(OPTIMAL_LEVEL)


def test_futures_known_after_the_first_order_make_it_too_small() -> None:
    """Orders that will know demand need no safety stock, so what is left of the first is worth little to them."""
    (foreseen,) = levels(ROLLING_TWO_STAGE, scenarios=512, committed=1)
    assert 25.0 < foreseen < OPTIMAL_LEVEL - 0.4


def test_the_two_stage_policy_in_the_simulator_costs_what_its_levels_cost() -> None:
    document = one_store_backlogged() | {"periods": 25, "warmup_periods": 10}
    costs = simulated(document, trained(document, ROLLING_TWO_STAGE, look_ahead=8), 30) / 15
    rule = PROBLEM.family("base_stock").build(*_built(document))
    with torch.no_grad():
        rule.level.fill_(OPTIMAL_LEVEL / MEAN)
    optimal = simulated(document, rule, 30) / 15
    assert optimal.mean() == pytest.approx(newsvendor_cost(OPTIMAL_LEVEL), rel=0.15)
    # 32 scenarios tell the level to a standard deviation of 0.8, which costs 3 % on average.
    assert -0.03 < costs.mean() / optimal.mean() - 1 < 0.09


def _built(document: dict[str, Any]) -> tuple[Any, Any, Any]:
    from models.core import NetworkSize

    net = PROBLEM.parse(document)
    return net, PROBLEM.simulator(net), NetworkSize()


# --- where the future is known, planning is hindsight -----------------------------------------------------------------


@pytest.mark.parametrize("solver", EVERY, ids=lambda s: s.name)
def test_where_demand_is_certain_it_costs_what_hindsight_costs(solver: Solver) -> None:
    document = one_store([4.0], periods=8)
    policy = trained(document, solver)
    net, simulator, _ = _built(document)
    chunk = next(iter(Scenarios(simulator, 5, 2)))
    best = perfect_information_values(PROBLEM, net, simulator, chunk.state, chunk.noise, QUIET)
    np.testing.assert_allclose(simulated(document, policy, 2), best, atol=1e-4)


def test_means_that_change_are_planned_for_in_their_own_periods() -> None:
    """A season without noise, seen a lead time ahead: nothing is ever short and nothing is left."""
    document = one_store([1.0], periods=12)
    nodes = {"shop": {"mean": 4.0, "std": 0.0}}
    document["demand"] = {"process": "seasonal", "season": [1.0, 0.5, 2.0], "nodes": nodes}
    policy = trained(document, ROLLING_DETERMINISTIC)
    # 4, 2 and 8 in turn; the first four are there, and the last period needs nothing after it.
    assert simulated(document, policy, 1)[0] == pytest.approx(0.5 * (4 * 14 - 4), abs=1e-4)


def test_beyond_its_horizon_a_rolling_network_goes_on_as_in_its_last_season() -> None:
    document = one_store([1.0], periods=10, horizon="rolling")
    nodes = {"shop": {"mean": 4.0, "std": 0.0}}
    document["demand"] = {"process": "seasonal", "season": [1.0, 0.5, 2.0], "nodes": nodes}
    policy = trained(document, ROLLING_DETERMINISTIC)
    _, simulator, _ = _built(document)
    state = simulator.initial(1, torch.Generator())
    # 4 on hand cover period t; what is ordered arrives in t+1.
    for stage in (0, 1, 2, 9, 12, 301):
        needed, there = [4.0, 2.0, 8.0][(stage + 1) % 3], 4.0 - [4.0, 2.0, 8.0][stage % 3]
        assert float(policy(state, stage).quantity) == pytest.approx(needed - max(there, 0.0), abs=1e-4)


@pytest.mark.parametrize("stage", [3, 8, 40])
def test_stages_that_come_again_bring_noise_of_their_own(stage: int) -> None:
    net, _, _ = _built(one_store([1.0, 4.0, 9.0, 6.0, 2.0, 7.0], periods=10, horizon="rolling"))
    planner = Planner(PROBLEM, net, ROLLING_TWO_STAGE.config(scenarios=256, look_ahead=5))
    covered, _ = planner.face.window(stage, 5)
    assert len(set(covered)) == {3: 5, 8: 2, 40: 1}[stage]
    demand = np.concatenate(planner.futures(covered, 1, stage), axis=1)
    assert np.abs(np.corrcoef(demand.T) - np.eye(5)).max() < 0.25  # strata aside, periods know nothing of each other


def test_one_scenario_is_a_plan_for_that_scenario_alone() -> None:
    document = one_store([4.0, 9.0, 1.0, 6.0])
    net, simulator, _ = _built(document)
    config = ROLLING_TWO_STAGE.config(scenarios=1, look_ahead=6)
    planner = Planner(PROBLEM, net, config)
    state = planner.face.state_vector(simulator.initial(1, torch.Generator()))
    futures = np.concatenate(planner.futures(list(range(6)), 7, 0), axis=1)
    assert set(futures[0]) <= {4.0, 9.0, 1.0, 6.0}
    from solvers.highs import HotProgram

    chained = planner.face.horizon(np.ones(7))
    hot = HotProgram(chained.program)
    hot.set_data(state[0], futures[0])
    hot.solve()
    ours, whole = planner.plan(state, 0, 7), chained.columns_of(hot.columns()[None], 0)
    torch.testing.assert_close(planner.face.decision(ours, 0).quantity, planner.face.decision(whole, 0).quantity)


# --- whole numbers ----------------------------------------------------------------------------------------------------


def in_lots() -> dict[str, Any]:
    document = one_store([4.0, 7.0, 2.0], periods=8, demand={"process": "empirical", "nodes": ["shop"], "history": []})
    document["demand"] = {"process": "seasonal", "season": [1.0, 1.75, 0.5, 1.25]}
    document["demand"]["nodes"] = {"shop": {"mean": 4.0, "std": 0.0}}
    document["lanes"][0] |= {"lot_multiple": 5.0, "fixed_order_cost": 6.0}
    return document


def test_plans_in_lots_are_carried_out_whole_and_cost_no_more_than_the_gap_above_the_best() -> None:
    """Demand is certain, so the best plan for the whole horizon is a mixed-integer optimum."""
    document = in_lots()
    policy = trained(document, ROLLING_DETERMINISTIC, look_ahead=8, mip_gap=1e-6)
    net, simulator, _ = _built(document)
    assert PERFECT_INFORMATION.solve is not None
    config = PERFECT_INFORMATION.config(scenarios=2, whole_numbers=True)
    best = PERFECT_INFORMATION.solve(PROBLEM, net, config, 1, QUIET).document["value"]
    assert simulated(document, policy, 1)[0] == pytest.approx(best, abs=1e-3)
    loose = trained(document, ROLLING_DETERMINISTIC, look_ahead=8, mip_gap=0.2)
    assert best - 1e-3 <= simulated(document, loose, 1)[0] <= best * 1.6
    state = simulator.initial(1, torch.Generator())
    for stage in range(3):
        orders = policy(state, stage)
        assert (orders.quantity % 5 == 0).all()
        post, _ = simulator.decide(state, orders, stage)
        state, _ = simulator.realize(post, simulator.expected(1), stage)


@pytest.mark.parametrize("solver", EVERY, ids=lambda s: s.name)
def test_lots_under_uncertainty_stay_feasible(solver: Solver) -> None:
    document = in_lots()
    document["demand"] = {"process": "poisson", "nodes": {"shop": {"mean": 4.0}}}
    policy = trained(document, solver, **solver.quick)
    assert np.isfinite(simulated(document, policy, 3)).all()  # every decision is checked on the way


def planner_of(document: dict[str, Any], solver: Solver, **config: Any) -> tuple[Planner, np.ndarray]:
    net, simulator, _ = _built(document)
    planner = Planner(PROBLEM, net, solver.config(**config))
    return planner, planner.face.state_vector(simulator.initial(1, torch.Generator()))


@pytest.mark.parametrize("solver", EVERY, ids=lambda s: s.name)
def test_later_stages_may_be_planned_in_broken_numbers(solver: Solver) -> None:
    whole, state = planner_of(in_lots(), solver, **solver.quick)
    (full,) = whole.plans(state, 0, 1)
    first, _ = planner_of(in_lots(), solver, whole_stages=1, **solver.quick)
    (plan,) = first.plans(state, 0, 1)
    depths = [plan.tree.program.integer[places].any() for places in plan.tree.columns]
    assert depths == [True, False, False, False]
    assert all(full.tree.program.integer[places].any() for places in full.tree.columns)
    assert first.face.decision(plan.columns[plan.tree.first][None], 0).quantity % 5 == 0
    assert plan.tree.program.cost @ plan.columns <= full.tree.program.cost @ full.columns + 1e-6


def test_a_plan_starts_from_the_one_before_and_costs_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from solvers.highs import HotProgram

    offered: list[np.ndarray] = []
    start_near = HotProgram.start_near

    def listen(hot: HotProgram, columns: np.ndarray, time_limit: float | None = None) -> bool:
        offered.append(columns)
        return start_near(hot, columns, time_limit)

    monkeypatch.setattr(HotProgram, "start_near", listen)
    config = {"look_ahead": 3, "mip_gap": 1e-6}
    fresh = trained(in_lots(), ROLLING_DETERMINISTIC, **config)
    going_on = trained(in_lots(), ROLLING_DETERMINISTIC, start_from_previous=True, **config)
    expected = simulated(in_lots(), fresh, 2)
    assert not offered
    np.testing.assert_allclose(simulated(in_lots(), going_on, 2), expected, atol=1e-4)
    # Two rows in eight stages; the first has nothing before it.
    assert len(offered) == 2 * 7
    assert all(columns.any() for columns in offered)


def test_how_plans_in_whole_numbers_ended_is_told() -> None:
    policy = trained(in_lots(), ROLLING_DETERMINISTIC, look_ahead=3)
    simulated(in_lots(), policy, 1)
    plans = policy.describe()["plans"]
    assert (plans["made"], plans["out_of_time"]) == (9, 0)  # one in training
    assert plans["largest_gap"] <= 1e-3
    assert "plans" not in trained(one_store([4.0]), ROLLING_DETERMINISTIC).describe()


# --- trees of outcomes ------------------------------------------------------------------------------------------------


def test_along_a_tree_what_is_not_yet_known_is_decided_once() -> None:
    document = one_store([1.0, 4.0, 9.0, 6.0, 2.0, 7.0], periods=10)
    planner, state = planner_of(document, ROLLING_SCENARIO_TREE, look_ahead=4, branching=[2, 3])
    (plan,) = planner.plans(state, 0, 1)
    nodes = [len(places) for places in plan.tree.columns]
    assert nodes == [2, 6, 6, 6]
    order = plan.tree.columns[1][:, 0]
    assert len(set(order[:3])) == len(set(order[3:])) == 1  # one order for the three branches of a node
    assert order[0] != order[3]
    assert len(set(plan.tree.columns[2][:, 0])) == 6


def test_outcomes_are_shared_by_the_leaves_of_a_node_and_drawn_from_the_noise() -> None:
    document = one_store([1.0, 4.0, 9.0, 6.0, 2.0, 7.0], periods=10)
    planner, _ = planner_of(document, ROLLING_SCENARIO_TREE, branching=[2, 3])
    first, second, third = planner.futures([0, 1, 2], 5, 0)
    assert [len(np.unique(own)) for own in (first, second)] == [2, 6] or len(np.unique(second)) <= 6
    assert (first[:3] == first[0]).all()
    assert (first[3:] == first[3]).all()
    assert set(np.concatenate([first, second, third]).flatten()) <= {1.0, 4.0, 9.0, 6.0, 2.0, 7.0}
    assert first[0] < first[3]  # cut into equal parts, least first
    many = np.concatenate([planner.futures([0, 1, 2], seed, 0)[1] for seed in range(60)])
    assert many.mean() == pytest.approx(29 / 6, abs=0.5)


def test_where_all_branch_at_once_the_tree_is_the_two_stage_program_that_knows_its_future() -> None:
    tree = levels(ROLLING_SCENARIO_TREE, 6, branching=[64], look_ahead=9)
    foreseen = levels(ROLLING_TWO_STAGE, 6, scenarios=64, committed=1, look_ahead=9)
    assert np.mean(tree) == pytest.approx(np.mean(foreseen), abs=1.5)
    assert 22.0 < np.mean(tree) < OPTIMAL_LEVEL


def test_a_tree_with_too_many_leaves_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 4096 scenarios"):
        ROLLING_SCENARIO_TREE.config(branching=[64, 64, 2])


# --- what a decision depends on ---------------------------------------------------------------------------------------


def several_states(document: dict[str, Any], rows: int = 6) -> tuple[Any, Any]:
    """A simulator and states it comes through."""
    _, simulator, _ = _built(document)
    chunk: ScenarioChunk = next(iter(Scenarios(simulator, 3, rows)))
    state = chunk.state
    for stage in range(3):
        asked = 20 * torch.rand(rows, len(simulator.layout.lanes), generator=torch.Generator().manual_seed(stage))
        decision = simulator.repair(state, type(_orders(simulator, state))(asked), stage)
        post, _ = simulator.decide(state, decision, stage)
        state, _ = simulator.realize(post, chunk.noise, stage)
    return simulator, state


def _orders(simulator: Any, state: Any) -> Any:
    from models.inventory_network.simulator import Orders

    return Orders(torch.zeros(state.batch, len(simulator.layout.lanes)))


@pytest.mark.parametrize("solver", EVERY, ids=lambda s: s.name)
def test_a_decision_depends_on_state_stage_and_seed_alone(solver: Solver) -> None:
    document = example("capacitated-two-suppliers")
    simulator, state = several_states(document)
    config = solver.quick | {"look_ahead": 9}
    policy, again = (trained(document, solver, 1, **config) for _ in range(2))
    together = policy(state, 3).quantity
    check_feasible(simulator, state, policy(state, 3), 3)
    stages = [9, 3, 5, 3, 20, 3, 31]  # other questions in between, programs let go of and built again
    for stage in stages:
        again(state, stage)
    for row in (4, 0, 5, 1):
        torch.testing.assert_close(again(state.rows([row]), 3).quantity, together[[row]], rtol=0, atol=0)
    mixed = policy(state, torch.tensor([3, 4, 3, 7, 3, 3]))
    torch.testing.assert_close(mixed.quantity[[0, 2, 4, 5]], together[[0, 2, 4, 5]], rtol=0, atol=0)
    torch.testing.assert_close(mixed.quantity[3:4], policy(state.rows([3]), 7).quantity, rtol=0, atol=0)


def test_scenarios_come_from_the_seed_of_the_job_unless_one_is_given() -> None:
    document = one_store([1.0, 4.0, 9.0, 6.0, 2.0, 7.0])

    def orders(seed: int, **config: Any) -> Any:
        policy = trained(document, ROLLING_TWO_STAGE, seed, scenarios=3, **config)
        _, state = several_states(document)
        return policy(state, 2).quantity

    assert torch.equal(orders(1), orders(1))
    assert not torch.equal(orders(1), orders(2))
    assert torch.equal(orders(1, scenario_seed=5), orders(2, scenario_seed=5))
    first = trained(document, ROLLING_TWO_STAGE, 1, scenarios=3)
    request = TrainRequest(PROBLEM, first.instance, first.config, 2, warm_start=first.state_dict())
    assert ROLLING_TWO_STAGE.train is not None
    assert ROLLING_TWO_STAGE.train(request, QUIET).policy.seed == first.seed


def test_threads_get_the_answers_they_would_get_alone() -> None:
    document = example("capacitated-two-suppliers")
    _, state = several_states(document, rows=12)
    policy = trained(document, ROLLING_TWO_STAGE, scenarios=4, look_ahead=8)
    questions = [(row, stage) for row in range(12) for stage in (3, 5, 11)]

    def ask(question: tuple[int, int]) -> Any:
        row, stage = question
        return policy(state.rows([row]), stage).quantity

    alone = [ask(question) for question in questions]
    with ThreadPoolExecutor(6) as threads:
        for answer, expected in zip(threads.map(ask, questions), alone, strict=True):
            assert torch.equal(answer, expected)


# --- through the product ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", EVERY, ids=lambda s: s.name)
def test_it_is_certified_stored_and_served_like_any_policy(solver: Solver, tmp_path: Path) -> None:
    document = one_store([1.0, 4.0, 9.0, 6.0, 2.0, 7.0])
    net = PROBLEM.parse(document)
    config = solver.quick | ({"branching": [8, 4]} if solver is ROLLING_SCENARIO_TREE else {})
    request = TrainRequest(PROBLEM, net, solver.config(**config), 3)
    artifact = run_training(solver, request, QUIET, job_seconds=2.0).artifact
    assert artifact.description["look_ahead"] == 4
    assert artifact.certificate["bound"]["value"] < artifact.certificate["policy"]["mean_cost"]
    served = ServedPolicy(PolicyArtifact.load(tmp_path, artifact.save(tmp_path)))
    assert isinstance(served.policy, RollingPolicy)
    states = [served.view.today() | {"on_hand": {"shop": float(stock)}} for stock in range(6)]
    alone = [served.recommend([state], explain=True)[0] for state in states]
    together = served.recommend(states)
    assert [answer["decision"] for answer in together] == [answer["decision"] for answer in alone]
    quantities = [answer["decision"]["orders"][0]["quantity"] for answer in together]
    assert quantities == sorted(quantities, reverse=True)  # the more there is, the less is ordered
    assert quantities[0] > quantities[-1]
    assert alone[0]["why"]
    assert all(answer["in_training_range"] and not answer["repairs"] for answer in alone)


def test_a_state_past_the_horizon_is_refused_before_a_plan_is_asked_for() -> None:
    document = one_store([4.0])
    artifact_view = PROBLEM.view(PROBLEM.parse(document))
    with pytest.raises(InvalidInput, match="period"):
        artifact_view.decode([artifact_view.today() | {"period": 6}])


# --- when there is no plan --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("changes", "status"), [({"row_upper": -50.0}, "infeasible"), ({"cost": -1.0}, "unbounded")])
def test_a_plan_that_does_not_exist_is_a_named_error(changes: dict[str, float], status: str) -> None:
    with pytest.raises(InnerSolveError, match=f"stage 0.*{status}"):
        trained(one_store([4.0]), ROLLING_TWO_STAGE, problem=spoiled(**changes), scenarios=2)


def test_a_plan_not_found_in_time_is_a_named_error() -> None:
    with pytest.raises(InnerSolveError, match="time_limit"):
        trained(example("eight-nodes-backlog"), ROLLING_TWO_STAGE, seconds_per_plan=1e-6)


def test_an_instance_without_a_program_is_a_named_error() -> None:
    document = one_store([4.0])
    document["lanes"][0] |= {"lead_time": 2, "random_lead_time": {"values": [1, 2], "probabilities": [0.5, 0.5]}}
    with pytest.raises(InnerSolveError, match="random lead times"):
        trained(document, ROLLING_DETERMINISTIC)


def test_over_http_a_plan_that_does_not_exist_is_a_problem_document() -> None:
    class Unlucky:
        def recommend(self, states: Any, explain: bool, figures: bool) -> Any:
            raise InnerSolveError("no plan (stage 0, row 0): the program is infeasible")

    with pytest.raises(ApiError, match="no plan") as raised:
        recommend(Unlucky(), None, Asked("many", [{}], False), {}, b"")  # type: ignore[arg-type]
    assert raised.value.slug == "inner-solve-failed"


def test_it_needs_a_program() -> None:
    traits = dataclasses.replace(PROBLEM.traits, has_program=False)
    bare = dataclasses.replace(PROBLEM, traits=traits, program=None)
    for solver in EVERY:
        assert solver.reasons_against(PROBLEM) == []
        assert solver.reasons_against(bare) == ["the problem has no algebraic program to plan with"]


# --- shadow prices ----------------------------------------------------------------------------------------------------


def test_prices_are_what_one_more_unit_of_stock_saves() -> None:
    """Short now: a unit on hand saves the shortage. Later: it saves buying one, and costs what it is held."""
    document = one_store([6.0])
    policy = trained(document, ROLLING_DETERMINISTIC)
    _, simulator, _ = _built(document)
    state = simulator.initial(1, torch.Generator())
    (price,) = policy.prices(state, 0)
    assert price["incoming_on_hand[shop]"] == pytest.approx(-9.0)
    plenty = state.map(lambda tensor: tensor + 4.0 if tensor.numel() else tensor)
    (price,) = policy.prices(plenty, 0)
    assert price["incoming_on_hand[shop]"] == pytest.approx(1.0 - 0.5)


def test_plans_in_lots_have_no_prices() -> None:
    policy = trained(in_lots(), ROLLING_DETERMINISTIC)
    _, simulator, _ = _built(in_lots())
    with pytest.raises(InnerSolveError, match="no optimal duals"):
        policy.prices(simulator.initial(1, torch.Generator()), 0)
