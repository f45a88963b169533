"""HDPO's defaults against known optima, paired with the optimal policy on common scenarios.

Minutes each, so they run under `make bench`.
"""

import pytest
import torch

from models.core import NetworkSize
from models.registry import problem
from solvers.core import Callbacks, TrainRequest
from solvers.evaluation import compare, estimate
from solvers.hdpo import HDPOConfig, train
from tests.models.named_networks import EXAMPLES
from tests.oracles.newsvendor import backlogged_store

INVENTORY = problem("inventory_network")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("shortage_cost", [9.0, 39.0])
def test_the_defaults_are_within_half_a_percent_of_the_newsvendor(shortage_cost):
    document = EXAMPLES["one-store-backlogged"]()
    document["nodes"][1]["shortage_cost"] = shortage_cost
    instance = INVENTORY.parse(document)
    trained = train(TrainRequest(INVENTORY, instance, HDPOConfig(), 0), Callbacks())
    simulator = INVENTORY.simulator(instance)
    optimal = INVENTORY.family("base_stock").build(instance, simulator, NetworkSize())
    level, _ = backlogged_store(5.0, 1.6, 4, 1.0, shortage_cost)
    with torch.no_grad():
        optimal.level.fill_(level / float(optimal.scale[0]))
    samples = compare(simulator, {"policy": trained.policy, "optimal": optimal}, seed=5, scenarios=16_384)
    best = samples["optimal"].total
    gap, error = estimate((samples["policy"].total - best) / best.mean())
    print(f"p = {shortage_cost:g}: {100 * gap:+.3f} % ± {196 * error:.3f}")
    assert gap + 1.96 * error <= 0.005
    assert gap > -0.0005, "nothing beats the optimum"
