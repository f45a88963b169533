"""Evaluation: common random numbers, honest intervals, the certificate's arithmetic."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.core import BoundMethod, BoundValue, NetworkSize
from models.dynamics import Policy
from models.inventory_network.simulator import Orders
from models.registry import problem
from solvers import evaluation
from solvers.certificate import Bound, KnownBound, bound_document, bound_on, certify
from solvers.core import Callbacks
from solvers.evaluation import (
    FIRST_SLICE,
    InfeasibleDecision,
    Sample,
    ScenarioChunk,
    Scenarios,
    chunk_size,
    compare,
    estimate,
    interval,
    paired_difference,
    quantile_paths,
    roll_out,
)
from tests.models.named_networks import EXAMPLES, network
from tests.oracles.newsvendor import backlogged_store

INVENTORY = problem("inventory_network")


def base_stock(name: str, **levels: float):
    """A simulator and base-stock policies of given levels for one-store examples."""
    instance = INVENTORY.parse(EXAMPLES[name]())
    simulator = INVENTORY.simulator(instance)
    policies = {}
    for label, level in levels.items():
        policy = INVENTORY.family("base_stock").build(instance, simulator, NetworkSize())
        with torch.no_grad():
            policy.level.fill_(level / float(policy.scale[0]))
        policies[label] = policy
    return instance, simulator, policies


class Thinks(Policy):
    """A policy that takes its time for every decision of every scenario."""

    def __init__(self, inner, seconds):
        super().__init__()
        self.inner, self.seconds = inner, seconds

    def propose(self, state, stage):
        time.sleep(self.seconds * state.batch)
        return self.inner.propose(state, stage)

    def forward(self, state, stage):
        time.sleep(self.seconds * state.batch)
        return self.inner(state, stage)


def warehouse(stores=2, periods=60, unmet="backlogged", **store):
    """One warehouse and stores, some with more of `store`."""
    ids = [f"s{k}" for k in range(stores)]
    costs = {"kind": "store", "holding_cost": 1.0, "shortage_cost": 9.0, "unmet_demand": unmet, "initial_on_hand": 15.0}
    return {
        "problem": "inventory_network",
        "periods": periods,
        "warmup_periods": 20,
        "nodes": [
            {"id": "plant", "kind": "supplier"},
            {"id": "hub", "kind": "warehouse", "holding_cost": 0.3, "initial_on_hand": 20.0 * stores},
            *({"id": name} | costs | store for name in ids),
        ],
        "lanes": [
            {"from": "plant", "to": "hub", "lead_time": 2},
            *({"from": "hub", "to": name, "lead_time": 1, "unit_cost": 0.5} for name in ids),
        ],
        "demand": {"process": "normal", "nodes": {name: {"mean": 5.0, "std": 1.6} for name in ids}},
    }


def leveled(document, **levels):
    """The instance and base-stock policies that order up to (level at every place) in internal order."""
    instance = INVENTORY.parse(document)
    simulator = INVENTORY.simulator(instance)
    policies = {}
    for label, values in levels.items():
        policy = INVENTORY.family("base_stock").build(instance, simulator, NetworkSize())
        with torch.no_grad():
            policy.level.copy_(torch.tensor(values) / policy.scale)
        policies[label] = policy
    return instance, simulator, policies


class TestKnownCost:
    def test_the_optimal_level_costs_what_the_newsvendor_says(self):
        level, cost = backlogged_store(5.0, 1.6, 4, 1.0, 9.0)
        _, simulator, policies = base_stock("one-store-backlogged", best=level)
        total = compare(simulator, policies, seed=1, scenarios=16_384)["best"].total / 50
        mean, error = estimate(total)
        assert abs(mean - cost) < 4 * error
        assert error < 0.005 * cost

    def test_a_better_level_wins_on_common_scenarios(self):
        level, _ = backlogged_store(5.0, 1.6, 4, 1.0, 9.0)
        _, simulator, policies = base_stock("one-store-backlogged", best=level, worse=level + 0.8)
        samples = compare(simulator, policies, seed=1, scenarios=2048)
        difference = paired_difference(samples["worse"].total, samples["best"].total)
        assert difference["ci95"][0] > 0
        low, high = interval(*estimate(samples["worse"].total))
        assert difference["ci95"][1] - difference["ci95"][0] < 0.6 * (high - low)


class TestScenarios:
    def test_the_stream_repeats(self):
        _, simulator, _ = base_stock("one-store-lost")
        one, two = (next(iter(Scenarios(simulator, 9, 16))) for _ in range(2))
        assert torch.equal(one.noise.demand, two.noise.demand)

    def test_the_number_grows_until_the_error_is_small(self):
        _, simulator, policies = base_stock("one-store-backlogged", s=29.6)
        sample = compare(simulator, policies, seed=1)["s"]
        mean, error = estimate(sample.total)
        assert error <= 1e-3 * mean or len(sample.total) == 65_536
        assert len(sample.total) > 4096

    def test_a_time_limit_stops_the_growth_after_the_first_slice(self, monkeypatch):
        monkeypatch.setattr(evaluation, "MOMENT", 0.0)
        _, simulator, policies = base_stock("one-store-backlogged", s=29.6)
        assert len(compare(simulator, policies, seed=1, seconds=0.0)["s"].total) == FIRST_SLICE

    def test_without_time_quick_policies_still_give_figures_that_mean_something(self):
        _, simulator, policies = base_stock("one-store-backlogged", s=29.6)
        assert FIRST_SLICE < len(compare(simulator, policies, seed=1, seconds=0.2)["s"].total) <= 1024

    def test_a_policy_that_thinks_for_long_keeps_to_the_time(self, monkeypatch):
        monkeypatch.setattr(evaluation, "MOMENT", 0.0)
        _, simulator, policies = base_stock("one-store-lost", quick=29.6)
        policies["slow"] = Thinks(policies["quick"], seconds=1e-4)
        started = time.monotonic()
        samples = compare(simulator, policies, seed=1, seconds=3.0)
        spent = time.monotonic() - started
        assert FIRST_SLICE < len(samples["slow"].total) == len(samples["quick"].total) < 1000
        assert spent < 4.5

    def test_which_scenarios_come_first_depends_on_the_seed_alone(self):
        _, simulator, policies = base_stock("one-store-lost", s=29.6)
        few = compare(simulator, policies, seed=1, seconds=0.0)["s"].total
        many = compare(simulator, policies, seed=1, scenarios=5000)["s"].total
        np.testing.assert_allclose(many[: len(few)], few, rtol=1e-6)

    def test_large_networks_are_drawn_in_smaller_chunks(self):
        _, simulator, _ = base_stock("one-store-lost")
        assert chunk_size(simulator) == 4096
        wide = network(warehouse(stores=400, periods=100))
        size = chunk_size(INVENTORY.simulator(wide))
        assert FIRST_SLICE <= size <= 20_000_000 / (400 * 100)

    @pytest.mark.parametrize("count", [1, 100, 5000])
    def test_a_fixed_number_is_kept(self, count):
        _, simulator, policies = base_stock("one-store-lost", s=29.6)
        assert len(compare(simulator, policies, seed=1, scenarios=count)["s"].total) == count


class TestChecks:
    def test_an_infeasible_decision_is_an_error_not_a_cost(self):
        instance = INVENTORY.parse(EXAMPLES["dc-two-stores"]())
        simulator = INVENTORY.simulator(instance)

        class ShipsTooMuch(Policy):
            def propose(self, state, stage):
                return Orders(torch.full((state.batch, 3), 100.0))

            forward = propose

        chunk = next(iter(Scenarios(simulator, 1, 4)))
        with pytest.raises(InfeasibleDecision, match="stage 0"):
            roll_out(simulator, ShipsTooMuch(), chunk, Sample())

    def test_reported_stages_exclude_the_warm_up(self):
        _, simulator, policies = base_stock("one-store-lost", s=25.0)
        chunk = next(iter(Scenarios(simulator, 1, 4)))
        demand = chunk.noise.demand.clone()
        demand[:, : simulator.first_reported_stage - 20] += 1000
        samples = Sample(), Sample()
        roll_out(simulator, policies["s"], chunk, samples[0])
        roll_out(simulator, policies["s"], ScenarioChunk(chunk.state, replace(chunk.noise, demand=demand)), samples[1])
        assert samples[0].total.tolist() == pytest.approx(samples[1].total.tolist())

    def test_components_add_up_to_the_mean(self):
        instance, _, policies = base_stock("eight-nodes-backlog", s=60.0)
        document, _ = certify(INVENTORY, instance, policies, 1, Callbacks(), scenarios=256)
        assert sum(document["policy"]["components"].values()) == pytest.approx(document["policy"]["mean_cost"])


class TestStatistics:
    def test_the_interval_covers_the_mean_as_often_as_it_says(self):
        rng = np.random.default_rng(0)
        covered = 0
        for _ in range(1000):
            low, high = interval(*estimate(rng.exponential(size=200)))
            covered += low <= 1 <= high
        assert 0.92 <= covered / 1000 <= 0.97

    def test_one_scenario_has_no_error_estimate(self):
        assert estimate(np.array([3.0])) == (3.0, math.inf)

    def test_quantiles_are_ordered(self):
        _, simulator, policies = base_stock("one-store-lost", s=29.6)
        paths = quantile_paths(compare(simulator, policies, seed=1, scenarios=200)["s"])
        stock = paths["on_hand"]
        assert len(stock["q50"]) == simulator.num_stages
        assert all(a <= b <= c for a, b, c in zip(stock["q05"], stock["q50"], stock["q95"], strict=True))


class TestPlaces:
    """What every node costs and serves."""

    @pytest.fixture(scope="class")
    def entry(self):
        instance, _, policies = leveled(warehouse(), one=[14.0, 17.0, 40.0])
        return certify(INVENTORY, instance, policies, 1, Callbacks(), scenarios=512)[0]["policy"]

    def test_nodes_add_up_to_the_network(self, entry):
        for name, value in entry["components"].items():
            assert sum(place.get(name, 0.0) for place in entry["places"].values()) == pytest.approx(value, rel=1e-4)

    def test_every_node_has_its_service(self, entry):
        assert list(entry["places"]) == ["s0", "s1", "hub"]
        rates = [entry["places"][name]["fill_rate"] for name in ("s0", "s1")]
        assert rates[0] < rates[1]  # the second store's level is three units higher
        assert sum(rates) / 2 == pytest.approx(entry["service"]["fill_rate"], abs=0.005)
        assert "fill_rate" not in entry["places"]["hub"]

    def test_mean_stock_explains_the_holding_cost(self, entry):
        for name, cost in (("s0", 1.0), ("hub", 0.3)):
            place = entry["places"][name]
            assert place["mean_on_hand"] * 40 * cost == pytest.approx(place["holding"], rel=1e-4)

    def test_large_networks_keep_the_policys_places_only(self):
        document = warehouse(stores=201, periods=22)
        instance = INVENTORY.parse(document)
        simulator = INVENTORY.simulator(instance)
        policies = {
            n: INVENTORY.family("base_stock").build(instance, simulator, NetworkSize()) for n in ("own", "rule")
        }
        found, _ = certify(replace(INVENTORY, program=None, bounds=()), instance, policies, 1, Callbacks(), scenarios=2)
        assert len(found["policy"]["places"]) == 202
        assert "places" not in found["rules"][0]


class TestTargets:
    """A service level is kept, or the certificate says that it is not."""

    DOCUMENT = warehouse(stores=2, fill_rate_target=0.95)
    LOW, HIGH, HIGHER = [9.0, 9.0, 30.0], [17.0, 17.0, 45.0], [19.0, 19.0, 50.0]

    def certificate(self, **levels):
        instance, _, policies = leveled(self.DOCUMENT, **levels)
        return certify(INVENTORY, instance, policies, 1, Callbacks(), scenarios=512)[0]

    def test_a_policy_that_misses_a_target_is_not_recommended_though_it_is_cheaper(self):
        self.DOCUMENT["nodes"][2]["shortage_cost"] = self.DOCUMENT["nodes"][3]["shortage_cost"] = 0.0
        found = self.certificate(policy=self.LOW, rule=self.HIGH)
        assert found["policy"]["mean_cost"] < found["rules"][0]["mean_cost"]
        assert found["missed_targets"] == ["fill_rate/s0", "fill_rate/s1"]
        assert found["recommended_for_use"] is False
        assert found["beats_best_rule"] is False
        assert found["better_rule"] == "rule"

    def test_a_rule_that_misses_a_target_is_no_alternative(self):
        found = self.certificate(policy=self.HIGH, cheap=self.LOW, dear=self.HIGHER)
        assert [rule["name"] for rule in found["rules"]] == ["dear", "cheap"]
        assert found["recommended_for_use"] is True
        assert found["beats_best_rule"] is True
        assert found["better_rule"] is None

    def test_the_slack_is_target_times_demand_less_what_was_met(self):
        found = self.certificate(policy=self.HIGH)["policy"]
        target, place = found["targets"][0], found["places"]["s0"]
        assert target["name"] == "fill_rate/s0"
        assert target["met"] is True
        assert target["slack"] == pytest.approx(0.95 * place["mean_demand"] - place["mean_met"], abs=1e-4)
        assert target["ci95"][0] < target["slack"] < target["ci95"][1] < 0


class TestCertificate:
    @pytest.fixture(scope="class")
    def document(self) -> dict:
        level, _ = backlogged_store(5.0, 1.6, 4, 1.0, 9.0)
        instance, _, policies = base_stock("one-store-backlogged", policy=level, poor=level + 3, equal=level)
        return certify(INVENTORY, instance, policies, 1, Callbacks(), scenarios=4096)[0]

    def test_the_optimum_is_the_bound_where_it_is_known(self, document):
        _, cost = backlogged_store(5.0, 1.6, 4, 1.0, 9.0)
        bound = document["bound"]
        assert (bound["kind"], bound["exact"], bound["scenarios"]) == ("optimal", True, None)
        assert bound["value_per_stage"] == pytest.approx(cost, abs=1e-3)
        assert bound["value"] == pytest.approx(50 * bound["value_per_stage"])
        assert document["bounds"] == [bound]
        assert document["gap_ci95"][0] < 0 < document["gap_ci95"][1]  # the policy is optimal
        assert document["bound_note"] is None

    def test_the_tightest_comes_first_and_the_others_are_listed(self):
        instance, _, policies = leveled(warehouse(), policy=[15.0, 15.0, 42.0])
        found, _ = certify(INVENTORY, instance, policies, 1, Callbacks(), scenarios=256)
        kinds = [entry["kind"] for entry in found["bounds"]]
        assert kinds[0] == found["bound"]["kind"] == "balance_relaxation"
        assert set(kinds) == {"balance_relaxation", "free_warehouse", "perfect_information"}
        values = [entry["value"] for entry in found["bounds"]]
        assert values == sorted(values, reverse=True)
        assert values[0] < found["policy"]["mean_cost"]

    def test_a_bound_next_to_nothing_gives_no_ratio(self):
        level, _ = backlogged_store(5.0, 1.6, 4, 1.0, 9.0)
        instance, _, policies = base_stock("one-store-backlogged", policy=level)
        document, _ = certify(replace(INVENTORY, bounds=()), instance, policies, 1, Callbacks(), scenarios=512)
        assert document["bound"]["kind"] == "perfect_information"
        assert abs(document["bound"]["value"]) < 0.01 * document["policy"]["mean_cost"]
        assert document["gap"] is None
        assert document["gap_ci95"] is None

    def test_a_known_bound_competes_and_its_error_widens_the_gaps_interval(self):
        instance, _, policies = leveled(warehouse(), policy=[15.0, 15.0, 42.0])
        plain, _ = certify(INVENTORY, instance, policies, 1, Callbacks(), scenarios=256)
        sharper = plain["bound"]["value_per_stage"] + 0.05
        widths = []
        for error in (0.0, 0.5):
            known = [KnownBound("dual", BoundValue(sharper, error))]
            found, _ = certify(INVENTORY, instance, policies, 1, Callbacks(), 256, known_bounds=known)
            assert found["bound"]["kind"] == "dual"
            assert found["bound"]["standard_error"] == pytest.approx(40 * error)
            mean, low, high = found["policy"]["mean_cost"], *found["gap_ci95"]
            assert found["gap"] == pytest.approx(mean / (40 * sharper) - 1)
            widths.append(high - low)
        assert widths[1] > 2 * widths[0]

    def test_a_bound_that_a_policy_beats_by_more_than_chance_is_not_believed(self):
        instance, _, policies = leveled(warehouse(), policy=[15.0, 15.0, 42.0])
        wrong = [KnownBound("wrong", BoundValue(1e3), exact=True)]
        found, _ = certify(INVENTORY, instance, policies, 1, Callbacks(), 256, known_bounds=wrong)
        assert found["bound"]["kind"] == "balance_relaxation"
        assert "does not hold" in found["bounds"][-1]["note"]
        assert found["gap"] > 0

    def test_without_any_bound_it_says_why(self):
        document = warehouse()
        document["lanes"][0] |= {"random_lead_time": {"values": [1, 2], "probabilities": [0.5, 0.5]}}
        document |= {"horizon": "finite", "warmup_periods": 0}
        instance, _, policies = leveled(document, policy=[15.0, 15.0, 42.0])
        found, _ = certify(INVENTORY, instance, policies, 1, Callbacks(), scenarios=64)
        assert found["bound"] is None
        assert found["bounds"] == []
        for reason in ("optimal: ", "the horizon is finite", "perfect_information: with random lead times"):
            assert reason in found["bound_note"]

    def test_a_method_out_of_time_still_bounds_but_is_not_called_the_optimum(self):
        instance, _, policies = base_stock("one-store-lost", policy=29.0)
        found, _ = certify(INVENTORY, instance, policies, 1, Callbacks(), scenarios=64, seconds=0.0)
        entry = next(entry for entry in found["bounds"] if entry["kind"] == "optimal")
        assert entry["exact"] is False
        assert entry["value_per_stage"] < 6.83

    def test_a_method_that_fails_says_so(self):
        def fails(instance, should_stop):
            raise ValueError("too many states")

        method = BoundMethod("broken", "Broken", fails, lambda instance: None)
        level, _ = backlogged_store(5.0, 1.6, 4, 1.0, 9.0)
        instance, _, policies = base_stock("one-store-backlogged", policy=level)
        found, _ = certify(replace(INVENTORY, bounds=(method,)), instance, policies, 1, Callbacks(), scenarios=64)
        assert found["bound_note"] == "broken: too many states"
        assert found["bound"]["kind"] == "perfect_information"

    def test_the_gap_has_its_interval(self):
        instance, _, policies = base_stock("eight-nodes-backlog", s=60.0)
        found, _ = certify(INVENTORY, instance, policies, 1, Callbacks(), scenarios=512)
        assert 0 < found["gap_ci95"][0] < found["gap"] < found["gap_ci95"][1]
        expected = 1 - found["policy"]["mean_cost"] / found["bound"]["value"]
        assert found["gap"] == pytest.approx(expected)

    def test_rules_come_best_first_with_paired_differences(self, document):
        assert [rule["name"] for rule in document["rules"]] == ["equal", "poor"]
        assert document["rules"][0]["paired_difference"]["mean"] == 0
        assert document["rules"][1]["paired_difference"]["ci95"][0] > 0

    def test_a_tie_is_recommended_but_beats_nothing(self, document):
        assert document["recommended_for_use"] is True
        assert document["beats_best_rule"] is False

    def test_a_worse_policy_says_so(self):
        level, _ = backlogged_store(5.0, 1.6, 4, 1.0, 9.0)
        instance, _, policies = base_stock("one-store-backlogged", policy=level + 3, rule=level)
        document, _ = certify(INVENTORY, instance, policies, 1, Callbacks(), scenarios=1024)
        assert document["recommended_for_use"] is False

    def test_the_control_variate_is_unbiased(self):
        """On fewer bounded scenarios the value moves by no more than its error says."""
        instance, simulator, policies = base_stock("eight-nodes-backlog", policy=60.0)
        totals = compare(simulator, policies, seed=1, scenarios=2048)["policy"].total
        values = bound_on(INVENTORY, instance, simulator, totals, 1, Callbacks(), math.inf).values
        few, many = (bound_document(simulator, totals, Bound("bound", values[:count])) for count in (64, len(values)))
        assert few["scenarios"] < many["scenarios"]
        error = math.hypot(few["standard_error"], many["standard_error"])
        assert abs(few["value"] - many["value"]) < 4 * error
