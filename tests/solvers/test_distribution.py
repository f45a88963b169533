"""Cost distributions: quantiles, histograms that can be laid over each other, pairs on common scenarios."""

import json

import numpy as np
import pytest

from models.registry import problem
from solvers.core import Callbacks
from solvers.distribution import BINS, MOST_PAIRED, distributions, pairs
from solvers.evaluation import SAMPLED_PATHS, compare, quantile_paths
from tests.solvers.test_evaluation import base_stock

RNG = np.random.default_rng(5)
COSTS = {"calm": RNG.normal(100.0, 5.0, 4000), "wild": RNG.normal(90.0, 40.0, 4000)}


class TestDistributions:
    def test_quantiles_are_those_of_the_costs(self):
        found = distributions(COSTS)
        for name, values in COSTS.items():
            told = found[name]["quantiles"]
            assert list(told) == ["q01", "q05", "q10", "q25", "q50", "q75", "q90", "q95", "q99"]
            assert told["q95"] == pytest.approx(np.quantile(values, 0.95), rel=1e-5)
            assert [found[name]["least"], found[name]["greatest"]] == pytest.approx(
                [values.min(), values.max()], rel=1e-5
            )

    def test_histograms_share_their_edges_and_hold_every_scenario(self):
        calm, wild = (distributions(COSTS)[name]["histogram"] for name in COSTS)
        assert calm["edges"] == wild["edges"]
        assert len(calm["edges"]) == BINS + 1
        assert sum(calm["counts"]) == sum(wild["counts"]) == 4000
        inside = [k for k, edge in enumerate(calm["edges"][:-1]) if edge >= 80 and calm["edges"][k + 1] <= 120]
        assert sum(calm["counts"][k] for k in inside) > 0.95 * 4000

    def test_the_outermost_bins_hold_the_tails(self):
        far = distributions({"a": np.append(np.linspace(0.0, 1.0, 1000), [1e6])})["a"]
        assert far["histogram"]["edges"][-1] < 2
        assert sum(far["histogram"]["counts"]) == 1001
        assert far["greatest"] == 1e6

    def test_costs_that_never_vary_have_a_histogram_too(self):
        found = distributions({"a": np.full(10, 7.0), "b": np.full(10, 7.0)})["b"]
        assert sum(found["histogram"]["counts"]) == 10
        assert found["histogram"]["edges"][0] < 7 < found["histogram"]["edges"][-1]


class TestPairs:
    def test_every_pair_is_set_off_scenario_by_scenario(self):
        base = RNG.normal(100.0, 30.0, 500)
        found = pairs({"a": base, "b": base + 1.0, "c": base - 2.0})
        assert [(pair["policy"], pair["other"]) for pair in found] == [("a", "b"), ("a", "c"), ("b", "c")]
        assert [pair["mean"] for pair in found] == pytest.approx([1.0, -2.0, -3.0])
        assert [pair["wins"] for pair in found] == [1.0, 0.0, 0.0]
        assert all(pair["ci95"][1] - pair["ci95"][0] < 1e-6 for pair in found)  # what all scenarios share falls out

    def test_many_policies_are_set_off_against_the_first(self):
        found = pairs({str(k): np.arange(3.0) + k for k in range(MOST_PAIRED + 1)})
        assert {pair["policy"] for pair in found} == {"0"}
        assert len(found) == MOST_PAIRED


class TestSamples:
    def test_the_same_scenarios_are_kept_for_every_policy(self):
        _, simulator, policies = base_stock("one-store-lost", low=20.0, high=40.0)
        samples = compare(simulator, policies, seed=1, scenarios=100)
        low, high = (quantile_paths(samples[name]) for name in policies)
        assert len(low["demand"]["samples"]) == SAMPLED_PATHS
        assert low["demand"]["samples"] == high["demand"]["samples"]
        assert low["on_hand"]["samples"] != high["on_hand"]["samples"]
        kept = samples["low"].series["on_hand"][:SAMPLED_PATHS].double().numpy()
        assert np.array(low["on_hand"]["samples"]) == pytest.approx(kept, rel=1e-5)

    def test_long_horizons_keep_fewer(self, monkeypatch):
        monkeypatch.setattr("solvers.evaluation.SAMPLED_NUMBERS", 250)
        _, simulator, policies = base_stock("one-store-lost", s=30.0)
        paths = quantile_paths(compare(simulator, policies, seed=1, scenarios=50)["s"])
        assert len(paths["cost"]["samples"]) == 250 // simulator.num_stages == 2


def test_a_certificate_shows_how_costs_spread():
    from solvers.certificate import certify

    instance, _, policies = base_stock("one-store-lost", good=29.6, poor=45.0)
    document, samples = certify(problem("inventory_network"), instance, policies, 1, Callbacks(), scenarios=256)
    told = document["policy"]["distribution"]
    assert told["quantiles"]["q50"] == pytest.approx(np.quantile(samples["good"].total, 0.5), rel=1e-5)
    assert document["rules"][0]["distribution"]["histogram"]["edges"] == told["histogram"]["edges"]
    assert json.dumps(document, allow_nan=False)
