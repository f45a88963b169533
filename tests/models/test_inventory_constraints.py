"""Every constraint against an independently computed optimum: its policy, rolled through the simulator, costs that.

Every decision is checked against `violation`, so the optimal orders are also feasible as the simulator sees it. A
policy that reads its state a unit off costs measurably more: the dynamics are not only consistent but sharp.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.dynamics import Tensors
from models.inventory_network import PROBLEM
from models.inventory_network.simulator import NetworkSimulator
from solvers.evaluation import estimate
from tests.models.named_networks import network
from tests.models.ruled_policy import RuledPolicy, simulate
from tests.oracles.constrained import CASES, Case
from tests.oracles.demand import Floats

SCENARIOS = 8192
PAIRED = 2048  # of them also see the misread policies
# Misreadings [units]: one unit off where that is allowed (a storage capacity forbids reading too low) and costs enough.
SHIFTS = {
    "lane-capacity": (-1.0, 2.0),
    "storage-capacity": (1.0,),
    "lot-multiple-lost": (-1.0, 2.0),
    "random-lead-time-backlogged": (-2.0, 2.0),
}


def repeated(record: Tensors, times: int) -> Tensors:
    """All rows, then the first ones again, as often as there are misread policies."""
    return record.map(lambda tensor: torch.cat([tensor, *[tensor[:PAIRED]] * times]))


def misread(case: Case, shifts: tuple[float, ...]) -> tuple[Floats, dict[str, Floats]]:
    """Cost and slacks a period by scenario: of the case's rule, then of each misreading."""
    simulator = NetworkSimulator(network(case.document)).double()
    generator = torch.Generator().manual_seed(11)
    state = repeated(simulator.initial(SCENARIOS, generator), len(shifts))
    noise = repeated(simulator.sample(SCENARIOS, generator), len(shifts))
    policy = RuledPolicy(simulator, case, np.repeat([0.0, *shifts], [SCENARIOS] + [PAIRED] * len(shifts)))
    return simulate(simulator, policy, state, noise)


def excess(values: Floats, misreading: int) -> tuple[float, float]:
    """What a misread policy costs more than the optimal one on the same scenarios, and its standard error."""
    start = SCENARIOS + misreading * PAIRED
    return estimate(values[start : start + PAIRED] - values[:PAIRED])


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("fill-rate")])
def test_the_optimal_policy_costs_the_optimum(name: str) -> None:
    case, shifts = CASES[name](), SHIFTS.get(name, (-1.0, 1.0))
    cost, _ = misread(case, shifts)
    mean, error = estimate(cost[:SCENARIOS])
    assert error < 0.005 * case.optimum  # else the next line would say little
    assert abs(mean - case.optimum) < 4 * error
    for number, shift in enumerate(shifts):
        worse, noise = excess(cost, number)
        assert worse > 4 * noise, f"orders for a state read {shift:+g} off are as good"


@pytest.mark.parametrize(("name", "promises"), [("fill-rate", ["store"]), ("fill-rate-two-stores", ["store", "other"])])
def test_the_least_base_stock_meets_its_fill_rate_target(name: str, promises: list[str]) -> None:
    case = CASES[name]()
    cost, slacks = misread(case, (-0.5, 0.5))
    mean, error = estimate(cost[:SCENARIOS])
    assert error < 0.005 * case.optimum
    assert abs(mean - case.optimum) < 4 * error
    assert list(slacks) == [f"fill_rate/{store}" for store in promises]
    for slack in slacks.values():
        missed, noise = estimate(slack[:SCENARIOS])
        assert noise < 0.002 * 5.0  # of a period's demand
        assert abs(missed) < 4 * noise
    # The last store's position is what is misread: lower, and it keeps more stock than it must.
    last = list(slacks.values())[-1]
    more_stock, less_stock = 0, 1
    assert excess(cost, more_stock)[0] > 0 > excess(last, more_stock)[0]
    assert excess(cost, less_stock)[0] < 0 < excess(last, less_stock)[0]
    assert estimate(last[-PAIRED:])[0] > 4 * estimate(last[-PAIRED:])[1]


@pytest.mark.parametrize("name", CASES)
def test_no_bound_of_the_room_is_above_the_optimum(name: str) -> None:
    """A method that cannot heed a constraint must refuse it or stay below; one that claims the optimum must give it."""
    case = CASES[name]()
    net = network(case.document)
    for method in PROBLEM.bounds:
        if method.refuses(net) is None:
            bound = method.value(net, lambda: False).value_per_stage
            assert bound < case.optimum * (1 + 1e-5), method.name
            assert not method.exact or bound > case.optimum * (1 - 1e-5), method.name
