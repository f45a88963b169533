"""Cross-entropy search: reaches a known (s, S) optimum, repeats itself, resumes exactly, refuses what it must."""

import numpy as np
import pytest

from models.registry import problem
from solvers.core import Callbacks, TrainRequest
from solvers.evaluation import compare
from solvers.search import CROSS_ENTROPY, CrossEntropyConfig, resolve_family, train
from tests.models.named_networks import EXAMPLES
from tests.oracles.demand import poisson
from tests.oracles.one_lane import backlogged_store

INVENTORY = problem("inventory_network")
SMALL = {"iterations": 6, "population": 12, "elite": 4, "batch_size": 16, "validation_every": 2}


def store(fixed_order_cost: float = 5.0, periods: int = 40) -> dict:
    """Snyder and Shen's example 4.7: Poisson(6), h = 1, b = 4, K = 5, no lead time."""
    return {
        "problem": "inventory_network",
        "name": "fixed-cost",
        "periods": periods,
        "warmup_periods": 10,
        "integer_orders": True,
        "nodes": [
            {"id": "supplier", "kind": "supplier"},
            {
                "id": "store",
                "kind": "store",
                "holding_cost": 1.0,
                "shortage_cost": 4.0,
                "unmet_demand": "backlogged",
                "initial_on_hand": 6,
            },
        ],
        "lanes": [{"from": "supplier", "to": "store", "lead_time": 0, "fixed_order_cost": fixed_order_cost}],
        "demand": {"process": "poisson", "nodes": {"store": {"mean": 6.0}}},
    }


def request(config: dict | None = None, seed: int = 1, **changes) -> TrainRequest:
    settings = CrossEntropyConfig(**{"validation_scenarios": 64, **SMALL, **(config or {})})
    return TrainRequest(INVENTORY, INVENTORY.parse(store()), settings, seed, **changes)


class TestOptimum:
    def test_the_reorder_point_of_snyder_and_shen_is_found(self):
        """(s, S) = (4, 10) costs 8.0341; the search comes within the noise of 4,000 scenarios."""
        known = backlogged_store(poisson(6.0), 0, 1.0, 4.0, list(range(31)), 5.0).cost
        config = {"iterations": 25, "population": 32, "elite": 6, "batch_size": 256, "validation_scenarios": 2048}
        found = train(request(config), Callbacks())
        simulator = INVENTORY.simulator(INVENTORY.parse(store(periods=110)))
        sample = compare(simulator, {"rule": found.policy}, seed=7, scenarios=4000)["rule"].total / 100
        assert known == pytest.approx(8.0341, abs=1e-4)
        assert sample.mean() == pytest.approx(known, abs=4 * sample.std() / np.sqrt(len(sample)))
        described = found.policy.describe()
        assert 4.0 <= described["reorder_points"]["store"] < 5.0  # the position is a whole number
        assert described["order_up_to"]["store"] == pytest.approx(10.0, abs=0.5)  # the order is rounded to one


class TestRepeats:
    def test_same_seed_same_rule(self):
        one, two = (train(request(), Callbacks()).policy.describe() for _ in range(2))
        assert one == two

    def test_another_seed_another_rule(self):
        assert train(request(), Callbacks()).policy.describe() != train(request(seed=2), Callbacks()).policy.describe()

    def test_a_resumed_search_ends_where_an_unbroken_one_does(self):
        unbroken = train(request(), Callbacks())
        saved: list = []
        halt = Callbacks(on_checkpoint=saved.append, should_stop=lambda: len(saved) >= 1)
        first = train(request(), halt)
        assert (first.stopped_by, first.iterations) == ("request", 3)
        resumed = train(request(checkpoint=saved[0]), Callbacks())
        assert resumed.policy.describe() == unbroken.policy.describe()
        assert [row["cost"] for row in resumed.curve] == [row["cost"] for row in unbroken.curve]

    def test_the_time_limit_ends_it(self):
        found = train(request({"iterations": 10_000}, time_limit=0.5), Callbacks())
        assert found.stopped_by == "time_limit"
        assert found.iterations >= 1


class TestRefusals:
    @pytest.mark.parametrize(
        ("config", "where", "words"),
        [
            ({"family": "mlp"}, "/family", "too many parameters"),
            ({"family": "nothing"}, "/family", "no policy family"),
            ({"elite": 20}, "/elite", "at most the population"),
        ],
    )
    def test_name_the_field_and_the_rule(self, config, where, words):
        settings = CrossEntropyConfig(**{**SMALL, **config})
        (issue,) = CROSS_ENTROPY.refuses(INVENTORY, INVENTORY.parse(store()), settings)
        assert issue.pointer == where
        assert words in issue.detail

    def test_a_reorder_point_where_orders_cost_nothing_extra(self):
        instance = INVENTORY.parse(EXAMPLES["one-store-backlogged"]())
        (issue,) = CROSS_ENTROPY.refuses(INVENTORY, instance, CrossEntropyConfig(family="reorder_point"))
        assert "nothing is gained by waiting" in issue.detail

    def test_auto_takes_the_rule_that_has_no_gradient(self):
        config = CrossEntropyConfig()
        assert resolve_family(INVENTORY, INVENTORY.parse(store()), config) == "reorder_point"
        plain = INVENTORY.parse(EXAMPLES["one-store-backlogged"]())
        assert resolve_family(INVENTORY, plain, config) == "base_stock"
