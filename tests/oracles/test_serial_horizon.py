"""The finite serial line: its levels, carried out in the simulator, cost what the program says; nothing does better."""

from __future__ import annotations

import pytest
import torch

from models.core import NetworkSize
from models.dynamics import Stage as When
from models.inventory_network.examples import four_serial
from models.inventory_network.policy import NetworkPolicy
from models.inventory_network.simulator import NetworkState, Orders
from models.registry import problem
from solvers.evaluation import compare, estimate
from tests.oracles.demand import poisson
from tests.oracles.serial_horizon import Stage, least_cost

INVENTORY = problem("inventory_network")
LINE = [Stage(4, 0.03, 0.010, 0.0, 100), Stage(4, 0.02, 0.005, 0.01, 100), Stage(0, 0.01, 0.0, 0.5, 200)]


@pytest.fixture(scope="module")
def published() -> tuple[float, list[list[int]]]:
    """The published serial benchmark: retailer, distributor, factory; Poisson(20), 30 periods."""
    return least_cost(LINE, poisson(20.0, 1e-12), 30, 2.0, 0.1, -1200, 1500)


class Levels(NetworkPolicy):
    """Order every node's echelon position up to the level of the period."""

    def __init__(self, levels: list[list[int]], shift: int = 0) -> None:
        instance = INVENTORY.parse(four_serial())
        simulator = INVENTORY.simulator(instance)
        super().__init__(simulator)
        self.rule = INVENTORY.family("echelon_base_stock").build(instance, simulator, NetworkSize())
        places = [simulator.places.index(name) for name in ("retailer-1", "distributor-2", "factory-3")]
        self.levels = torch.zeros(30, 3)
        for node, place in enumerate(places):
            self.levels[:, place] = torch.tensor(levels[node], dtype=torch.float32) + shift

    def propose(self, state: NetworkState, stage: When) -> Orders:
        with torch.no_grad():
            self.rule.level.copy_(self.levels[stage] / self.rule.scale)
            orders: Orders = self.rule.propose(state, stage)
        return orders


def test_the_levels_cost_what_the_program_says(published: tuple[float, list[list[int]]]) -> None:
    optimum, levels = published
    policy = Levels(levels)
    samples = compare(policy.simulator, {"optimal": policy, "more": Levels(levels, 12)}, seed=11, scenarios=16_384)
    mean, error = estimate(samples["optimal"].total)
    assert error < 1e-3 * abs(mean)
    assert mean == pytest.approx(optimum, abs=4 * error)
    difference, spread = estimate(samples["more"].total - samples["optimal"].total)
    assert difference > 4 * spread


def test_one_node_and_one_period_is_a_newsvendor() -> None:
    """Nothing is under way: order y at unit cost c, meet one demand, earn the price on what is sold."""
    demand = poisson(5.0)
    cost, levels = least_cost([Stage(0, 1.0, 0.0, 0.5, 0)], demand, 1, 4.0, 0.25, -60, 80)
    by_hand = {
        y: 0.5 * y
        + sum(
            chance * (max(y - d, 0) + 0.25 * max(d - y, 0) - 4.0 * min(d, y))
            for d, chance in enumerate(demand.tolist())
        )
        for y in range(25)
    }
    assert cost == pytest.approx(min(by_hand.values()), abs=1e-9)
    assert levels == [[min(by_hand, key=by_hand.__getitem__)]]
