"""Value iteration: its policy costs what its table says, and the table's optimum is a bound that certificates show."""

import itertools

import pytest
import torch

from models.lot_sizing import PROBLEM
from models.lot_sizing.exact.table import PlantTable
from models.lot_sizing.simulator import LotSimulator
from solvers.bound import BOUND, BoundConfig
from solvers.certificate import certify
from solvers.core import Callbacks, TrainRequest
from solvers.value_iteration import VALUE_ITERATION, ValueIterationConfig, average_cost, build, optimal_cost, train
from tests.models.plants import plant
from tests.models.tabulated_plants import tabulated_plant
from tests.oracles.plant_recursion import least_cost
from tests.solvers.simulated import mean_cost

QUIET = Callbacks()


def trained(instance, **config):
    return train(TrainRequest(PROBLEM, instance, ValueIterationConfig(**config), 1), QUIET)


class TestHorizon:
    @pytest.mark.parametrize("seed", range(6))
    def test_its_policy_costs_the_optimum(self, seed):
        instance = tabulated_plant(seed)
        mean, error = mean_cost(instance, trained(instance).policy, 4096)
        assert mean == pytest.approx(least_cost(instance), abs=4 * error + 1e-4)

    def test_the_end_of_the_horizon_is_not_the_long_run(self):
        policy = trained(plant(periods=12)).policy
        assert len(policy.tables) == 12
        assert not torch.equal(policy.tables[0], policy.tables[-1])

    def test_a_stage_per_row_means_the_same_as_one_for_all(self):
        instance = plant(periods=12)
        policy, simulator = trained(instance).policy, LotSimulator(instance)
        state = simulator.initial(12, torch.Generator())
        each = policy(state, torch.arange(12)).item
        one_by_one = [policy(state.rows(slice(k, k + 1)), k).item for k in range(12)]
        assert torch.equal(each, torch.cat(one_by_one))

    def test_stopped_early_it_plans_for_the_stages_swept(self):
        instance = plant(periods=12)
        asked = itertools.count()
        result = train(
            TrainRequest(PROBLEM, instance, ValueIterationConfig(), 1), Callbacks(should_stop=lambda: next(asked) > 3)
        )
        whole = trained(instance).policy
        assert result.stopped_by == "request"
        assert 0 < result.iterations < 12
        assert torch.equal(result.policy.tables[-result.iterations :], whole.tables[-result.iterations :])
        assert not bool(result.policy.settled)
        assert "optimal_cost_per_stage" not in result.policy.describe()

    def test_its_weights_are_the_policy(self):
        instance = plant(periods=6)
        policy = trained(instance).policy
        again = build(PROBLEM, instance, ValueIterationConfig(), "value_iteration")
        again.load_state_dict(policy.state_dict())
        assert again.describe() == policy.describe()
        assert torch.equal(again.tables, policy.tables)

    def test_what_is_too_large_is_refused_by_name(self):
        (issue,) = VALUE_ITERATION.refuses(PROBLEM, plant(lot_rule="up_to_rate"), ValueIterationConfig())
        assert "lots of any size" in issue.detail


class TestAverage:
    def test_the_cost_of_a_long_horizon_approaches_it(self):
        table = PlantTable(plant())
        found = average_cost(table, 1e-8, 10_000)
        assert found.high - found.low <= 1e-8
        long, short = (optimal_cost(PlantTable(plant(periods=periods))) for periods in (60, 40))
        assert (long - short) / 20 == pytest.approx(found.low, abs=1e-6)

    def test_a_policy_for_ever_has_one_table_and_that_cost(self):
        instance = plant(periods=400)
        policy = trained(instance, criterion="average").policy
        assert len(policy.tables) == 1
        mean, error = mean_cost(instance, policy, 1024)
        per_stage = policy.describe()["optimal_cost_per_stage"]
        # Where a horizon starts and ends is felt for a few stages.
        assert mean / 400 == pytest.approx(per_stage, abs=4 * error / 400 + 10 / 400)

    def test_stages_that_differ_have_none(self):
        items = [item.model_dump() for item in plant().items]
        items[0]["demand"] = {"process": "seasonal", "mean": 1.0, "season": [0.5, 1.5]}
        with pytest.raises(ValueError, match="not alike"):
            average_cost(PlantTable(plant(items=items)), 1e-3, 10)


class TestBound:
    def test_the_certificate_shows_the_optimum_and_nothing_looser(self):
        instance = tabulated_plant(2)
        document, _ = certify(PROBLEM, instance, {"own": trained(instance).policy}, 3, QUIET, 2048)
        assert [bound["kind"] for bound in document["bounds"]] == ["optimal"]
        assert document["bound"]["exact"]
        assert document["bound"]["value"] == pytest.approx(least_cost(instance), abs=1e-9)

    def test_asked_for_alone(self):
        instance = tabulated_plant(2)
        assert BOUND.reasons_against(PROBLEM) == []
        result = BOUND.solve(PROBLEM, instance, BoundConfig(), 1, QUIET)
        assert result.document["kind"] == "optimal"
        assert result.document["value"] == pytest.approx(least_cost(instance), abs=1e-9)

    def test_no_time_no_optimum(self):
        config = BoundConfig(method="optimal", time_limit_seconds=1e-9)
        with pytest.raises(Exception, match="time was up"):
            BOUND.solve(PROBLEM, plant(), config, 1, QUIET)
