"""Policies of the inventory room: feasible on every example, gradients that agree with finite differences, rows that do
not see each other, and rules that do what their names say."""

from dataclasses import replace

import pytest
import torch

from models.core import NetworkSize
from models.inventory_network.simulator import NetworkSimulator
from models.registry import problem
from solvers.rollout import average_cost
from tests.models.named_networks import EXAMPLES, network

INVENTORY = problem("inventory_network")
SMALL = [name for name in EXAMPLES if len(network(EXAMPLES[name]()).nodes) <= 8]
LEARNED = [family.name for family in INVENTORY.families if family.role == "learned"]
CASES = [
    (name, family.name)
    for name in SMALL
    for family in INVENTORY.families
    if family.refuses(network(EXAMPLES[name]())) is None
]


def built(name: str, family: str):
    """A policy with weights that are no longer those it starts from, on its simulator."""
    simulator = NetworkSimulator(network(EXAMPLES[name]()))
    torch.manual_seed(0)
    policy = INVENTORY.family(family).build(simulator.net, simulator, NetworkSize(width=4, depth=1))
    with torch.no_grad():
        for value in policy.parameters():
            value.add_(0.05 * torch.randn(value.shape))
    return policy, simulator


@pytest.mark.parametrize(("name", "family"), CASES)
class TestEveryFamily:
    def test_decisions_are_feasible_and_rows_do_not_see_each_other(self, name, family):
        policy, simulator = built(name, family)
        generator = torch.Generator().manual_seed(1)
        state, noise = simulator.initial(6, generator), simulator.sample(6, generator)
        with torch.no_grad():
            for stage in range(min(simulator.num_stages, 6)):
                decision = policy(state, stage)
                assert float(simulator.violation(state, decision, stage).max()) <= 1e-3
                alone = policy(state.rows(slice(2, 3)), stage).quantity
                torch.testing.assert_close(alone[0], decision.quantity[2], rtol=1e-4, atol=1e-3)
                each = policy(state, torch.full((6,), stage)).quantity
                torch.testing.assert_close(each, decision.quantity, rtol=1e-4, atol=1e-3)
                post, _ = simulator.decide(state, decision, stage)
                state, _ = simulator.realize(post, noise, stage)


@pytest.mark.parametrize("family", [*LEARNED, "base_stock", "echelon_base_stock", "base_stock_min_shortage"])
def test_the_gradient_of_the_average_cost_is_that_of_finite_differences(family):
    """On a smooth stretch: continuous demand, many scenarios, double precision."""
    document = EXAMPLES["dc-two-stores"]() | {"periods": 5, "warmup_periods": 1}
    torch.set_default_dtype(torch.float64)
    try:
        simulator = NetworkSimulator(network(document))
        torch.manual_seed(0)
        policy = INVENTORY.family(family).build(simulator.net, simulator, NetworkSize(width=3, depth=1))
        with torch.no_grad():
            for value in policy.parameters():
                value.add_(0.1 * torch.randn(value.shape))
        generator = torch.Generator().manual_seed(3)
        batch = simulator.initial(400, generator), simulator.sample(400, generator)
        policy.zero_grad()
        average_cost(simulator, policy, *batch).backward()
        direction = [torch.randn(value.shape) for value in policy.parameters()]
        slope = sum(float((value.grad * d).sum()) for value, d in zip(policy.parameters(), direction, strict=True))
        step = 1e-4
        costs = []
        for sign in (step, -2 * step):
            with torch.no_grad():
                for value, d in zip(policy.parameters(), direction, strict=True):
                    value.add_(sign * d)
                costs.append(float(average_cost(simulator, policy, *batch)))
        assert slope == pytest.approx((costs[0] - costs[1]) / (2 * step), rel=0.02)
    finally:
        torch.set_default_dtype(torch.float32)


class TestRules:
    def test_min_shortage_leaves_every_customer_as_many_deviations_short(self):
        policy, simulator = built("dc-two-stores", "base_stock_min_shortage")
        state = simulator.initial(1, torch.Generator())
        short = type(state)(
            torch.tensor([[0.0, 0.0, 5.0]]), torch.zeros_like(state.pipeline), state.aging, state.memory
        )
        with torch.no_grad():
            asked = policy.base.propose(short, 0).quantity[0, policy.own_lanes]
            given = policy(short, 0).quantity[0, policy.own_lanes]
            missing = (asked - given) / policy.spread.exp()
        assert float(given.sum()) == pytest.approx(5.0, abs=1e-3)
        served = given > 0
        assert float(missing[served].max() - missing[served].min()) == pytest.approx(0.0, abs=1e-3)

    def test_a_newsvendor_orders_more_ahead_of_the_season(self):
        simulator = NetworkSimulator(network(EXAMPLES["seasonal-with-shocks"]()))
        policy = INVENTORY.family("newsvendor").build(simulator.net, simulator, NetworkSize())
        state = simulator.initial(1, torch.Generator())
        with torch.no_grad():
            orders = [float(policy.propose(state, stage).quantity.sum()) for stage in range(simulator.num_stages)]
        stages = torch.arange(simulator.num_stages).numpy()
        ahead = simulator.net.demand.profile(simulator.net.timeline).at(stages + 1)[0].sum(1)
        rank = torch.corrcoef(torch.stack([torch.tensor(orders), torch.tensor(ahead, dtype=torch.float32)]))[0, 1]
        assert float(rank) > 0.5

    def test_a_reorder_point_orders_nothing_above_it_and_up_to_the_level_below(self):
        simulator = NetworkSimulator(network(EXAMPLES["fixed-costs-and-lots"]()))
        policy = INVENTORY.family("reorder_point").build(simulator.net, simulator, NetworkSize())
        described = policy.describe()
        node = simulator.store_ids[0]
        point, level = described["reorder_points"][node], described["order_up_to"][node]
        state = simulator.initial(1, torch.Generator())
        lanes = [k for k, lane in enumerate(simulator.layout.lanes) if lane.target == node]
        for stock, wanted in ((point + 0.5, 0.0), (point - 0.5, level - point + 0.5)):
            inventory = state.net_inventory.clone()
            inventory[0, 0] = stock
            asked = replace(state, net_inventory=inventory, pipeline=torch.zeros_like(state.pipeline))
            ordered = float(policy.propose(asked, 0).quantity[0, lanes].sum().detach())
            assert ordered == pytest.approx(wanted, abs=1e-3)

    def test_a_perceptron_starts_as_an_echelon_base_stock(self):
        simulator = NetworkSimulator(network(EXAMPLES["serial-backlogged"]()))
        generator = torch.Generator().manual_seed(0)
        batch = simulator.initial(32, generator), simulator.sample(32, generator)
        costs = []
        for family in ("mlp", "echelon_base_stock"):
            policy = INVENTORY.family(family).build(simulator.net, simulator, NetworkSize())
            with torch.no_grad():
                costs.append(float(average_cost(simulator, policy, *batch)))
        assert costs[0] == pytest.approx(costs[1], rel=1e-4)

    def test_every_feature_has_a_name(self):
        for name in SMALL:
            policy, simulator = built(name, "mlp")
            state = simulator.initial(2, torch.Generator().manual_seed(0))
            assert len(policy.feature_names()) == policy.features(state, 0).shape[1]
