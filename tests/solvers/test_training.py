"""The pipeline from an instance to certified artifacts."""

from dataclasses import replace

import pytest
import torch

from models.core import NetworkSize
from models.registry import problem
from solvers.core import Callbacks, TrainRequest, TrainResult
from solvers.evaluation import Sample, ScenarioChunk, roll_out
from solvers.hdpo import HDPOConfig
from solvers.registry import solver
from solvers.training import TrainingOutcome, run_evaluation, run_training
from tests.models.named_networks import EXAMPLES

INVENTORY = problem("inventory_network")
BARELY = HDPOConfig(iterations=2, batch_size=8, width=8, validation_scenarios=32)


def outcome(callbacks: Callbacks, name: str = "one-store-backlogged", seconds: float = 4.0) -> TrainingOutcome:
    """A barely trained policy beside well-tuned rules."""
    instance = INVENTORY.parse(EXAMPLES[name]())
    return run_training(solver("hdpo"), TrainRequest(INVENTORY, instance, BARELY, 1), callbacks, job_seconds=seconds)


def poorly_trained(request: TrainRequest, callbacks: Callbacks) -> TrainResult:
    """A base stock far too low: any tuned rule is better."""
    simulator = request.problem.simulator(request.instance)
    policy = request.problem.family("base_stock").build(request.instance, simulator, NetworkSize())
    with torch.no_grad():
        policy.level.fill_(10.0 / float(policy.scale[0]))
    return TrainResult(policy, "base_stock", [], 0, 0.0, "finished")


class TestABetterRule:
    def test_is_offered_under_the_same_interface(self):
        instance = INVENTORY.parse(EXAMPLES["one-store-backlogged"]())
        poor = replace(solver("hdpo"), train=poorly_trained)
        done = run_training(poor, TrainRequest(INVENTORY, instance, BARELY, 1), Callbacks(), job_seconds=6.0)
        assert done.artifact.certificate["better_rule"] == done.artifact.certificate["rules"][0]["name"]
        assert done.artifact.certificate["recommended_for_use"] is False
        assert done.artifact.certificate["beats_best_rule"] is False
        rule = done.better_rule
        assert rule is not None
        assert rule.family == done.artifact.certificate["rules"][0]["name"]
        assert rule.certificate["policy"]["mean_cost"] < done.artifact.certificate["policy"]["mean_cost"]
        assert rule.certificate["recommended_for_use"] is True
        assert rule.description["levels"]["store"] > 20
        _, _, policy = rule.restore()
        assert policy.describe() == rule.description


class TestARuleAsTheTrainedPolicy:
    def test_is_certified_itself_and_compared_with_the_tuned_rule_of_its_family(self):
        instance = INVENTORY.parse(EXAMPLES["one-store-backlogged"]())
        config = BARELY.model_copy(update={"family": "base_stock"})
        request = TrainRequest(INVENTORY, instance, config, 1)
        done = run_training(solver("hdpo"), request, Callbacks(), job_seconds=8.0)
        rules = {rule["name"]: rule["mean_cost"] for rule in done.artifact.certificate["rules"]}
        assert done.artifact.family == "base_stock"
        assert set(rules) == {"base_stock", "capped_base_stock", "echelon_base_stock"}
        assert rules["base_stock"] < done.artifact.certificate["policy"]["mean_cost"]  # two steps of training are few


class TestAStop:
    def test_keeps_a_certified_policy_that_is_not_recommended(self, monkeypatch):
        monkeypatch.setattr("solvers.evaluation.MOMENT", 60.0)  # the first thousand in any case, on a slow machine too
        seen: list[int] = []
        stop = Callbacks(on_iteration=lambda i, n, metrics: seen.append(i), should_stop=lambda: bool(seen))
        done = outcome(stop)
        assert done.artifact.training["stopped_by"] == "request"
        assert done.artifact.certificate["scenarios"] >= 1000
        assert done.artifact.certificate["rules"] == []
        assert done.artifact.certificate["beats_best_rule"] is None
        assert done.artifact.certificate["recommended_for_use"] is False
        assert done.better_rule is None

    def test_while_judging_offers_no_rule_that_is_not_cheaper(self, monkeypatch):
        """The stop comes after the rules were tuned: not recommended, yet no rule is surely cheaper either."""
        judged: list[bool] = []

        def certify(problem, instance, policies, *_, **__):
            judged.append(True)
            dearer = {"name": "base_stock", "mean_cost": 9.0, "paired_difference": {"ci95": [3.0, 5.0]}}
            return {"rules": [dearer], "bound": None, "better_rule": None, "recommended_for_use": True}, {}

        monkeypatch.setattr("solvers.training.certify", certify)
        done = outcome(Callbacks(should_stop=lambda: bool(judged)), seconds=3.0)
        assert done.artifact.certificate["recommended_for_use"] is False
        assert done.better_rule is None


class TestPhases:
    def test_come_in_order_with_rising_fractions(self):
        seen: list[tuple[str, float]] = []
        outcome(Callbacks(on_phase=lambda name, fraction: seen.append((name, fraction))))
        names = list(dict.fromkeys(name for name, _ in seen))
        assert names == ["training", "rules", "evaluation", "bound"]
        for phase in names:
            fractions = [fraction for name, fraction in seen if name == phase]
            assert fractions == sorted(fractions)
            assert all(0 <= fraction <= 1 for fraction in fractions)


class TestEvaluation:
    def test_policies_and_rules_stand_side_by_side(self):
        instance = INVENTORY.parse(EXAMPLES["dc-two-stores"]())
        trained = outcome(Callbacks(), "dc-two-stores").artifact
        found = run_evaluation({"mine:1": trained}, ["base_stock"], INVENTORY, instance, 300, 5, Callbacks(), 4.0)
        names = [entry["name"] for entry in found.document["policies"]]
        assert names == ["mine:1", "base_stock"]
        assert found.document["scenarios"] == 300
        assert set(found.paths) == {"mine:1", "base_stock"}
        assert len(found.paths["mine:1"]["on_hand"]["mean"]) == instance.num_stages


class TestOwnScenarios:
    """An evaluation on scenarios that are written down, each counted once."""

    def test_costs_are_those_of_the_scenarios_and_only_perfect_information_bounds_them(self):
        instance = INVENTORY.parse(EXAMPLES["one-store-backlogged"]())
        done = outcome(Callbacks())
        simulator = INVENTORY.simulator(instance)
        drawn = simulator.sample(6, torch.Generator().manual_seed(5))
        given = drawn.demand.numpy().astype("float64")
        found = run_evaluation(
            {"mine": done.artifact}, ["base_stock"], INVENTORY, instance, 6, 3, Callbacks(), 4.0, given
        )
        state = simulator.initial(6, torch.Generator())
        sample = Sample()
        roll_out(simulator, done.artifact.restore()[2], ScenarioChunk(state, drawn), sample)
        document = found.document
        assert document["scenarios"] == 6
        assert document["policies"][0]["mean_cost"] == pytest.approx(sample.total.mean(), rel=1e-5)
        assert [bound["kind"] for bound in document["bounds"]] == ["perfect_information"]
        assert document["bounds"][0]["scenarios"] == 6
        assert document["bounds"][0]["value"] < min(entry["mean_cost"] for entry in document["policies"])
