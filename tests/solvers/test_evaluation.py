"""Evaluation: common random numbers, honest intervals, the certificate's arithmetic."""

import math

import numpy as np
import pytest
import torch

from models.core import NetworkSize
from models.dynamics import Policy
from models.inventory_network.simulator import Orders
from models.registry import problem
from solvers.certificate import certify
from solvers.core import Callbacks
from solvers.evaluation import (
    InfeasibleDecision,
    Sample,
    ScenarioChunk,
    Scenarios,
    compare,
    estimate,
    interval,
    paired_difference,
    quantile_paths,
    roll_out,
)
from tests.models.named_networks import EXAMPLES
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

    def test_a_time_limit_stops_the_growth_after_the_first_chunk(self):
        _, simulator, policies = base_stock("one-store-backlogged", s=29.6)
        assert len(compare(simulator, policies, seed=1, seconds=0.0)["s"].total) == 4096

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
        roll_out(simulator, policies["s"], ScenarioChunk(chunk.state, type(chunk.noise)(demand)), samples[1])
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


class TestCertificate:
    @pytest.fixture(scope="class")
    def document(self) -> dict:
        level, _ = backlogged_store(5.0, 1.6, 4, 1.0, 9.0)
        instance, _, policies = base_stock("one-store-backlogged", policy=level, poor=level + 3, equal=level)
        return certify(INVENTORY, instance, policies, 1, Callbacks(), scenarios=4096)[0]

    def test_the_bound_is_below_every_policy(self, document):
        assert document["bound"]["value"] < document["policy"]["mean_cost"]
        assert document["bound"]["kind"] == "perfect_information"

    def test_a_bound_next_to_nothing_gives_no_ratio(self, document):
        assert abs(document["bound"]["value"]) < 0.01 * document["policy"]["mean_cost"]
        assert document["gap"] is None
        assert document["gap_ci95"] is None

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
        level, _ = backlogged_store(5.0, 1.6, 4, 1.0, 9.0)
        instance, _, policies = base_stock("one-store-backlogged", policy=level)
        few, _ = certify(INVENTORY, instance, policies, 1, Callbacks(), scenarios=4096, seconds=0.0)
        many, _ = certify(INVENTORY, instance, policies, 1, Callbacks(), scenarios=4096)
        assert few["bound"]["scenarios"] < many["bound"]["scenarios"]
        error = math.hypot(few["bound"]["standard_error"], many["bound"]["standard_error"])
        assert abs(few["bound"]["value"] - many["bound"]["value"]) < 4 * error
