"""Many runs at once end where each would alone; what does not fit together is refused."""

import pytest
import torch

from models.inventory_network.examples import one_store_lost, serial_backlogged
from models.registry import problem
from solvers.core import Callbacks, TrainRequest
from solvers.ensemble import train_many
from solvers.hdpo import HDPOConfig, train

INVENTORY = problem("inventory_network")
SMALL = HDPOConfig(iterations=6, batch_size=8, width=4, depth=1, validation_every=3, validation_scenarios=16)


def lost(shortage_cost: float, seed: int, lead_time: int = 2, **changes) -> TrainRequest:
    """A short run on one store that loses sales, in whole units."""
    document = one_store_lost(lead_time, shortage_cost) | {"periods": 10, "warmup_periods": 2, "integer_orders": True}
    return TrainRequest(INVENTORY, INVENTORY.parse(document), SMALL, seed, **changes)


def serial(shortage_cost: float, seed: int) -> TrainRequest:
    """A short run on four echelons."""
    document = serial_backlogged(1, shortage_cost) | {"periods": 8, "warmup_periods": 2}
    return TrainRequest(INVENTORY, INVENTORY.parse(document), SMALL.model_copy(update={"family": "mlp"}), seed)


class TestTogether:
    @pytest.mark.parametrize("build", [lost, serial])
    def test_every_run_ends_where_it_does_alone(self, build):
        requests = [build(p, seed) for p in (4.0, 39.0) for seed in (0, 1)]
        for request, together in zip(requests, train_many(requests, Callbacks()), strict=True):
            alone = train(request, Callbacks())
            for name, value in alone.policy.state_dict().items():
                torch.testing.assert_close(together.policy.state_dict()[name], value, rtol=1e-3, atol=1e-4)
            costs = [[row["cost"] for row in result.curve] for result in (alone, together)]
            assert costs[1] == pytest.approx(costs[0], rel=1e-4)

    def test_runs_differ_by_seed_and_by_numbers(self):
        one, two, three = train_many([lost(4.0, 0), lost(4.0, 1), lost(9.0, 0)], Callbacks())
        assert one.curve[-1]["cost"] != two.curve[-1]["cost"]
        assert one.curve[-1]["cost"] < three.curve[-1]["cost"]


class TestRefusals:
    def test_other_structures_do_not_fit(self):
        with pytest.raises(ValueError, match="one structure"):
            train_many([lost(4.0, 0), lost(4.0, 0, lead_time=3)], Callbacks())

    def test_what_is_not_a_number_in_a_buffer_must_be_alike(self):
        first = lost(4.0, 0)
        other = INVENTORY.parse(first.instance.document() | {"nodes": _backlogged(first.instance.document()["nodes"])})
        with pytest.raises(ValueError, match="another structure"):
            train_many([first, TrainRequest(INVENTORY, other, SMALL, 0)], Callbacks())

    def test_configs_must_be_one(self):
        first = lost(4.0, 0)
        other = TrainRequest(INVENTORY, first.instance, SMALL.model_copy(update={"width": 8}), 0)
        with pytest.raises(ValueError, match="one config"):
            train_many([first, other], Callbacks())


def _backlogged(nodes: list[dict]) -> list[dict]:
    return [node | ({"unmet_demand": "backlogged"} if node["kind"] == "store" else {}) for node in nodes]
