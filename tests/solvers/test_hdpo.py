"""HDPO: reaches known optima, repeats itself, resumes exactly, stops when asked."""

import math
from dataclasses import replace

import pytest
import torch

from models.inventory_network.simulator import Orders
from models.registry import problem
from solvers.core import Callbacks, Diverged, TrainRequest, WeightsDoNotFit
from solvers.draws import scenario_seed
from solvers.hdpo import HDPO, HDPOConfig, learning_rate, train
from solvers.rollout import Outcome, average_cost, relaxed, roll_out
from tests.models.named_networks import EXAMPLES
from tests.oracles.demand import clipped_normal
from tests.oracles.fill_rate import least_base_stock, price_of_service
from tests.oracles.newsvendor import backlogged_store

INVENTORY = problem("inventory_network")


def request(name: str, seed: int = 3, config: dict | None = None, **changes) -> TrainRequest:
    """A short training run on an example."""
    small = {"iterations": 12, "batch_size": 16, "width": 8, "validation_every": 4, "validation_scenarios": 64}
    instance = INVENTORY.parse(EXAMPLES[name]())
    return TrainRequest(INVENTORY, instance, HDPOConfig(**small | (config or {})), seed, **changes)


def weights_equal(first, second) -> bool:
    one, two = first.state_dict(), second.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


class TestOptimum:
    def test_base_stock_level_of_one_backlogged_store_is_the_newsvendor(self):
        """Tuned by the pathwise gradient alone, the level reaches the newsvendor's and so does its cost."""
        document = EXAMPLES["one-store-backlogged"]()
        document["lanes"][0]["lead_time"] = 1
        document |= {"periods": 16, "warmup_periods": 6}
        instance = INVENTORY.parse(document)
        config = HDPOConfig(family="base_stock", iterations=120, batch_size=128, learning_rate=0.05)
        result = train(TrainRequest(INVENTORY, instance, config, 1), Callbacks())
        level, _ = backlogged_store(5.0, 1.6, 1, 1.0, 9.0)
        assert result.policy.describe()["levels"]["store"] == pytest.approx(level, rel=0.01)

    def test_a_short_run_already_improves_on_the_base_stock_it_starts_from(self):
        start = train(request("dc-two-stores", config={"iterations": 0}), Callbacks())
        result = train(request("dc-two-stores", config={"iterations": 30, "validation_every": 10}), Callbacks())
        assert start.iterations == 0
        assert result.curve[-1]["best_cost"] < 0.98 * start.curve[0]["cost"]
        assert result.stopped_by == "finished"


class TestRepeats:
    @pytest.mark.parametrize("family", ["mlp", "gnn", "echelon_base_stock"])
    def test_same_seed_same_policy(self, family):
        wanted = request("dc-two-stores", config={"family": family, "iterations": 4})
        assert weights_equal(train(wanted, Callbacks()).policy, train(wanted, Callbacks()).policy)

    def test_another_seed_another_policy(self):
        one, two = (train(request("dc-two-stores", seed), Callbacks()).policy for seed in (1, 2))
        assert not weights_equal(one, two)

    @pytest.mark.parametrize("fixed", [None, 40])
    def test_a_resumed_run_ends_where_an_unbroken_one_does(self, fixed):
        unbroken = train(request("dc-two-stores", config={"training_scenarios": fixed}), Callbacks())
        saved: list = []
        halt = Callbacks(on_checkpoint=saved.append, should_stop=lambda: len(saved) >= 2)
        first = train(request("dc-two-stores", config={"training_scenarios": fixed}), halt)
        assert first.stopped_by == "request"
        assert first.iterations < unbroken.iterations
        resumed = train(
            request("dc-two-stores", config={"training_scenarios": fixed}, checkpoint=saved[0]), Callbacks()
        )
        assert weights_equal(resumed.policy, unbroken.policy)
        assert [row["cost"] for row in resumed.curve] == [row["cost"] for row in unbroken.curve]

    def test_a_checkpoint_of_another_kind_of_device_is_gone_on_from_with_scenarios_drawn_anew(self):
        """A GPU's generators have states of 16 bytes, which no CPU takes; the best so far is judged here again."""
        saved: list = []
        unbroken = train(request("dc-two-stores"), Callbacks(on_checkpoint=saved.append))
        elsewhere = saved[0] | {"generators": [torch.zeros(16, dtype=torch.uint8)], "best": [0.0, 1.0]}
        runs, said = [], []
        for _ in range(2):
            again = request("dc-two-stores", checkpoint=elsewhere)
            runs.append(train(again, Callbacks(on_log=said.append, on_checkpoint=saved.append)))
        assert len(said) == 2
        assert "another kind of device" in said[0]
        assert weights_equal(*(run.policy for run in runs)), "a function of seed and step"
        assert not weights_equal(runs[0].policy, unbroken.policy), "its scenarios are other ones"
        assert [row["iteration"] for row in runs[0].curve] == [4, 8, 12]
        assert runs[0].curve[-1]["best_cost"] == pytest.approx(unbroken.curve[-1]["best_cost"], rel=0.02)

    def test_a_warm_start_begins_where_the_other_run_ended(self):
        first = train(request("dc-two-stores", config={"iterations": 40}), Callbacks())
        config = {"iterations": 1, "learning_rate": 1e-9}
        warm = train(request("dc-two-stores", config=config, warm_start=first.policy.state_dict()), Callbacks())
        assert warm.curve[0]["best_cost"] == pytest.approx(first.curve[-1]["best_cost"], rel=1e-4)

    def test_weights_of_another_size_are_refused(self):
        first = train(request("dc-two-stores"), Callbacks())
        with pytest.raises(WeightsDoNotFit, match="another network"):
            train(
                request("dc-two-stores", config={"width": 16}, warm_start=first.policy.state_dict()),
                Callbacks(),
            )


class TestStops:
    def test_the_time_limit_ends_training_with_the_best_policy_so_far(self):
        result = train(request("dc-two-stores", config={"iterations": 10**6}, time_limit=1.0), Callbacks())
        assert result.stopped_by == "time_limit"
        assert 1.0 <= result.seconds < 5.0
        assert result.curve

    def test_progress_rises_through_the_callbacks(self):
        seen: list = []
        train(request("dc-two-stores"), Callbacks(on_iteration=lambda i, n, metrics: seen.append((i, n, metrics))))
        assert [i for i, _, _ in seen] == list(range(1, 13))
        assert {n for _, n, _ in seen} == {12}
        assert "validation_cost" in seen[3][2]
        assert all(math.isfinite(metrics["gradient_norm"]) for _, _, metrics in seen)

    def test_no_finite_gradient_is_a_named_error(self, monkeypatch):
        def nowhere(simulator, policy, *_):
            cost = sum(p.sum() for p in policy.parameters()) * math.nan
            return Outcome(cost, torch.zeros(0), torch.zeros(0))

        monkeypatch.setattr("solvers.hdpo.roll_out", nowhere)
        with pytest.raises(Diverged, match="no finite gradient"):
            train(request("dc-two-stores", config={"iterations": 100}), Callbacks())


class TestConstraints:
    def test_a_fill_rate_target_is_met_by_the_least_base_stock_at_the_price_of_service(self):
        """Closed form: the base stock whose fill rate is the target, and the price at which a newsvendor chooses it."""
        document = filled(0.9)
        config = HDPOConfig(
            family="base_stock", iterations=300, batch_size=128, learning_rate=0.05, dual_rate=0.3, validation_every=20
        )
        result = train(TrainRequest(INVENTORY, INVENTORY.parse(document), config, 1), Callbacks())
        demand = clipped_normal(5.0, 1.6, 0.01)
        level, _ = least_base_stock(demand, 0.01, 1, 0.9)
        found = result.constraints["fill_rate/store"]
        assert found["slack"] <= found["tolerance"]
        assert result.policy.describe()["levels"]["store"] == pytest.approx(level, rel=0.015)
        assert found["price"] == pytest.approx(price_of_service(level, demand, 0.01, 1, 1.0), rel=0.25)

    def test_prices_survive_a_stop(self):
        config = {"family": "base_stock", "iterations": 12, "batch_size": 8, "validation_every": 4}
        instance = INVENTORY.parse(filled(0.99, stock=0.0))
        wanted = TrainRequest(INVENTORY, instance, HDPOConfig(**config, validation_scenarios=32), 1)
        unbroken = train(wanted, Callbacks())
        saved: list = []
        train(wanted, Callbacks(on_checkpoint=saved.append, should_stop=lambda: len(saved) >= 2))
        resumed = train(replace(wanted, checkpoint=saved[0]), Callbacks())
        assert resumed.constraints == unbroken.constraints
        assert resumed.constraints["fill_rate/store"]["price"] > 0
        assert resumed.curve == [row | {"seconds": pytest.approx(row["seconds"], abs=1e3)} for row in unbroken.curve]

    def test_the_cheapest_policy_that_meets_them_is_kept_else_the_one_that_comes_closest(self):
        config = {"family": "base_stock", "iterations": 4, "batch_size": 8, "dual_rate": 0.0, "validation_every": 1}
        settings = HDPOConfig(**config, validation_scenarios=32, learning_rate=0.1)
        short = train(TrainRequest(INVENTORY, INVENTORY.parse(filled(0.999, stock=0.0)), settings, 1), Callbacks())
        slacks = [row["slack/fill_rate/store"] for row in short.curve]
        assert short.constraints["fill_rate/store"]["slack"] <= min(slacks) + 1e-6


class TestSeveralInstances:
    def test_one_graph_policy_learns_from_all_and_serves_a_network_it_never_saw(self):
        instances = [INVENTORY.parse(sized(stores)) for stores in (1, 2, 3)]
        config = HDPOConfig(
            family="gnn", iterations=24, batch_size=16, width=8, validation_every=8, validation_scenarios=64
        )
        together = train(TrainRequest(INVENTORY, instances[0], config, 1, also=(instances[2],)), Callbacks())
        costs = [row["cost"] for row in together.curve]
        assert costs[-1] < costs[0]
        warm = TrainRequest(
            INVENTORY,
            instances[1],
            config.model_copy(update={"iterations": 0}),
            1,
            warm_start=together.policy.state_dict(),
        )
        served = train(warm, Callbacks())
        assert weights_equal(served.policy, together.policy)
        assert (served.iterations, served.stopped_by) == (0, "finished")
        assert math.isfinite(served.curve[0]["cost"])

    def test_gradients_of_all_instances_reach_the_shared_weights(self):
        """With the second instance's costs a thousandfold the first's ratio still counts the same: units differ."""
        first, second = (INVENTORY.parse(sized(stores)) for stores in (1, 3))
        config = HDPOConfig(family="gnn", iterations=2, batch_size=8, width=8, validation_scenarios=16)
        one = train(TrainRequest(INVENTORY, first, config, 1), Callbacks())
        both = train(TrainRequest(INVENTORY, first, config, 1, also=(second,)), Callbacks())
        assert not weights_equal(one.policy, both.policy)

    def test_weights_of_one_network_only_are_refused(self):
        first, second = (INVENTORY.parse(sized(stores)) for stores in (1, 3))
        (issue,) = HDPO.refuses_several(INVENTORY, (first, second), HDPOConfig(family="mlp"))
        assert issue.pointer == "/family"
        with pytest.raises(WeightsDoNotFit, match="one size"):
            train(TrainRequest(INVENTORY, first, HDPOConfig(family="mlp", width=8), 1, also=(second,)), Callbacks())


class TestRollout:
    def test_spans_kept_for_the_gradient_do_not_change_it(self):
        instance = INVENTORY.parse(EXAMPLES["dc-two-stores"]())
        simulator = INVENTORY.simulator(instance)
        torch.manual_seed(0)
        policy = HDPO.build(INVENTORY, instance, HDPOConfig(width=8), "mlp")
        generator = torch.Generator().manual_seed(0)
        batch = simulator.initial(8, generator), simulator.sample(8, generator)
        found = []
        for every in (0, 7, 1):
            policy.zero_grad()
            outcome = roll_out(simulator, policy, *batch, checkpoint_every=every)
            outcome.cost.backward()
            found.append((outcome.cost.detach(), [p.grad.clone() for p in policy.parameters()]))
        for cost, gradients in found[1:]:
            torch.testing.assert_close(cost, found[0][0])
            for one, other in zip(gradients, found[0][1], strict=True):
                torch.testing.assert_close(one, other)

    def test_whole_units_are_left_out_of_training_alone(self):
        document = EXAMPLES["one-store-lost"]() | {"integer_orders": True}
        simulator = INVENTORY.simulator(INVENTORY.parse(document))
        state = simulator.initial(1, torch.Generator())
        half = Orders(torch.full((1, 1), 4.25))
        with relaxed(simulator):
            assert simulator.repair(state, half, 0).quantity.item() == 4.25
        assert simulator.repair(state, half, 0).quantity.item() == 4.0
        assert "whole units" in simulator.relaxes[0]

    def test_bfloat16_on_a_cpu_is_refused(self):
        with pytest.raises(ValueError, match="bfloat16 is for a GPU"):
            train(request("dc-two-stores", config={"precision": "bfloat16"}), Callbacks())


def filled(target: float, stock: float = 10.0) -> dict:
    """A backlogged store without a shortage cost and with a fill-rate target, lead time 1."""
    document = EXAMPLES["one-store-backlogged"]() | {"periods": 16, "warmup_periods": 6}
    document["lanes"][0]["lead_time"] = 1
    document["nodes"][1] |= {"shortage_cost": 0.0, "fill_rate_target": target, "initial_on_hand": stock}
    return document


def sized(stores: int) -> dict:
    """A warehouse with so many stores alike."""
    document = EXAMPLES["dc-two-stores"]() | {"periods": 12, "warmup_periods": 4}
    kind = document["nodes"][3] | {"unmet_demand": "lost"}
    names = [f"s{k}" for k in range(stores)]
    document["nodes"] = [*document["nodes"][:2], *({**kind, "id": name} for name in names)]
    document["lanes"] = [document["lanes"][0], *({"from": "dc", "to": name, "lead_time": 2} for name in names)]
    document["demand"] = {"process": "normal", "nodes": {name: {"mean": 5.0, "std": 1.6} for name in names}}
    return document


class TestParts:
    def test_scenario_streams_are_disjoint(self):
        seeds = {scenario_seed(s, p) for s in range(50) for p in ("training", "validation", "rules", "evaluation")}
        assert len(seeds) == 200

    def test_the_learning_rate_rises_then_falls(self):
        config = HDPOConfig(iterations=100, warmup_iterations=10, learning_rate=1.0)
        rates = [learning_rate(config, i) for i in range(100)]
        assert rates[0] == 0.1
        assert max(rates) == rates[9] == 1.0 or max(rates) == pytest.approx(1.0)
        assert rates[10:] == sorted(rates[10:], reverse=True)
        assert rates[-1] < 0.02

    def test_every_stage_counts_in_the_loss(self):
        instance = INVENTORY.parse(EXAMPLES["one-store-lost"]())
        simulator = INVENTORY.simulator(instance)
        policy = HDPO.build(INVENTORY, instance, HDPOConfig(family="base_stock"), "base_stock")
        generator = torch.Generator().manual_seed(0)
        state, noise = simulator.initial(32, generator), simulator.sample(32, generator)
        noisy = noise.map(lambda values: values.clone())
        noisy.demand[:, 0] += 50  # before the warm-up ends
        base, hit = (float(average_cost(simulator, policy, state, w)) for w in (noise, noisy))
        assert hit - base > 50 * 9 / 100 * 0.5

    def test_an_unknown_family_is_refused_with_the_names(self):
        instance = INVENTORY.parse(EXAMPLES["one-store-lost"]())
        (issue,) = HDPO.refuses(INVENTORY, instance, HDPOConfig(family="oracle"))
        assert issue.pointer == "/family"
        assert "base_stock" in issue.detail
        assert HDPO.refuses(INVENTORY, instance, HDPOConfig(family="gnn")) == []
