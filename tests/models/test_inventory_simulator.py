"""The dynamics of inventory networks: by hand on tiny cases, by conservation and finite differences on all."""

import pytest
import torch

from models.inventory_network.simulator import Demand, NetworkSimulator, NetworkState, Orders
from tests.models.named_networks import EXAMPLES, diamond, network, random_orders

NETWORKS = {**EXAMPLES, "diamond": diamond, "diamond-after": lambda: diamond("after_decision")}


def one_store(unmet_demand: str, lead_time: int, receipt: str = "before_decision", **node) -> NetworkSimulator:
    document = EXAMPLES["one-store-backlogged"]()
    document |= {"periods": 10, "warmup_periods": 0, "receipt": receipt}
    document["nodes"][1] |= {"unmet_demand": unmet_demand, "initial_on_hand": 4} | node
    document["lanes"][0]["lead_time"] = lead_time
    return NetworkSimulator(network(document)).double()


def run(simulator: NetworkSimulator, orders: list[float], demands: list[float]) -> tuple[list[float], list[dict]]:
    """Net inventory before each decision and the costs of each period, for one store."""
    generator = torch.Generator().manual_seed(0)
    state, stocks, costs = simulator.initial(1, generator), [], []
    demand = torch.tensor(demands, dtype=torch.float64).reshape(1, -1, 1)
    noise = Demand(demand, torch.zeros(1, len(demands), 0, dtype=torch.float64))
    for stage, quantity in enumerate(orders):
        stocks.append(float(state.net_inventory[0, 0]))
        post, decided = simulator.decide(state, Orders(torch.tensor([[quantity]], dtype=torch.float64)), stage)
        state, realized = simulator.realize(post, noise, stage)
        costs.append({k: float(v[0]) for k, v in {**decided.components, **realized.components}.items()})
    stocks.append(float(state.net_inventory[0, 0]))
    return stocks, costs


class TestOneStore:
    def test_backlog_goes_negative_and_pays_every_period(self):
        stocks, costs = run(one_store("backlogged", 2), [6, 0, 0], [5, 5, 5])
        assert stocks == [4, -1, 0, -5]
        assert costs == [{"holding": 0, "shortage": 9}, {"holding": 0, "shortage": 54}, {"holding": 0, "shortage": 45}]

    def test_lost_demand_clips_at_zero(self):
        stocks, costs = run(one_store("lost", 1), [3, 0], [5, 1])
        assert stocks == [4, 3, 2]
        assert costs == [{"holding": 0, "shortage": 9}, {"holding": 2, "shortage": 0}]

    def test_lead_time_zero_meets_demand_of_the_same_period(self):
        stocks, _ = run(one_store("lost", 0), [3], [5])
        assert stocks == [4, 2]

    @pytest.mark.parametrize("lead_time", [1, 2, 4])
    def test_order_is_usable_lead_time_periods_later(self, lead_time):
        stocks, _ = run(one_store("backlogged", lead_time), [7] + [0] * 6, [0] * 7)
        assert stocks.index(11) == lead_time

    @pytest.mark.parametrize("lead_time", [1, 2, 4])
    def test_after_decision_receipt_meets_demand_of_the_arrival_period(self, lead_time):
        orders, demands = [7] + [0] * 6, [4] + [0] * (lead_time - 1) + [5] + [0] * 6
        _, costs = run(one_store("backlogged", lead_time, "after_decision"), orders, demands[:7])
        assert [c["shortage"] for c in costs] == [0] * 7

    def test_initial_pipeline_arrives_in_order(self):
        document = EXAMPLES["one-store-backlogged"]()
        document["nodes"][1]["initial_on_hand"] = 0
        document["lanes"][0]["initial_in_transit"] = [1, 2, 4]
        simulator = NetworkSimulator(network(document)).double()
        assert run(simulator, [0] * 4, [0] * 100)[0] == [0, 1, 3, 7, 7]


class TestProfit:
    def test_backlogged_units_are_sold_once_when_goods_land(self):
        """Nine units land at the end of the first period and serve the four owed; two more sell in the third."""
        document = EXAMPLES["one-store-backlogged"]() | {"objective": "profit", "periods": 3, "warmup_periods": 0}
        document["nodes"][1] |= {"price": 2.0, "initial_on_hand": 1, "holding_cost": 0.0}
        document["lanes"][0]["lead_time"] = 1
        _, costs = run(NetworkSimulator(network(document)).double(), [9, 0, 0], [5, 0, 2])
        assert [c["revenue"] for c in costs] == pytest.approx([-10, 0, -4])

    def test_lost_units_earn_nothing(self):
        document = EXAMPLES["one-store-lost"]() | {"objective": "profit", "periods": 4, "warmup_periods": 0}
        document["nodes"][1] |= {"price": 2.0, "initial_on_hand": 1}
        _, costs = run(NetworkSimulator(network(document)).double(), [0], [5])
        assert costs[0]["revenue"] == -2


class TestReceiptAfterDecision:
    def test_a_warehouse_ships_arrivals_a_period_later(self):
        document = EXAMPLES["four-serial-backlog"]()
        simulator = NetworkSimulator(network(document)).double()
        state = simulator.initial(1, torch.Generator())
        factory = simulator.layout.index("factory-3")
        asked = torch.zeros(1, 3, dtype=torch.float64)
        asked[0, 2] = 50.0  # raw material, lead time 0
        post, _ = simulator.decide(state, Orders(asked), 0)
        assert float(simulator.available(state)[0, factory]) == 100  # 200 on hand, capacity 100
        assert float(post.net_inventory[0, factory]) == 250


@pytest.mark.parametrize("name", NETWORKS)
class TestEveryNetwork:
    def test_stock_is_conserved(self, name):
        """What the suppliers send equals what customers get plus what the network holds more at the end."""
        simulator = NetworkSimulator(network(NETWORKS[name]())).double()
        generator = torch.Generator().manual_seed(3)
        state, noise = simulator.initial(64, generator), simulator.sample(64, generator)
        decide = random_orders(simulator, generator)
        from_suppliers = torch.from_numpy(simulator.layout.source >= simulator.num_nodes)
        held = state.net_inventory.sum(1) + state.pipeline.sum(1)
        for stage in range(simulator.num_stages):
            orders = decide(state)
            post, _ = simulator.decide(state, orders, stage)
            state, costs = simulator.realize(post, noise, stage)
            lost = self.lost_units(simulator, post, noise, stage)
            held = held + orders.quantity[:, from_suppliers].sum(1) - costs.quantities["demand"] + lost
            now = state.net_inventory.sum(1) + state.pipeline.sum(1)
            torch.testing.assert_close(now, held, rtol=1e-12, atol=1e-9)

    @staticmethod
    def lost_units(simulator, post, noise, stage):
        short = (noise.demand[:, stage] - post.net_inventory[:, : simulator.num_demand]).clamp_min(0)
        return (short * simulator.lost).sum(1)

    def test_repaired_orders_are_feasible_and_repair_keeps_feasible_ones(self, name):
        simulator = NetworkSimulator(network(NETWORKS[name]())).double()
        generator = torch.Generator().manual_seed(4)
        state, noise = simulator.initial(128, generator), simulator.sample(128, generator)
        decide = random_orders(simulator, generator)
        for stage in range(min(simulator.num_stages, 15)):
            orders = decide(state)
            assert float(simulator.violation(state, orders, stage).max()) <= 1e-9
            again = simulator.repair(state, orders, stage)
            torch.testing.assert_close(again.quantity, orders.quantity, rtol=1e-9, atol=1e-9)
            post, _ = simulator.decide(state, orders, stage)
            state, _ = simulator.realize(post, noise, stage)

    def test_gradient_agrees_with_finite_differences(self, name):
        """Central differences of the total cost in each lane's order level, against back-propagation.

        Orders vary by period and scenario: constant ones sit on the kinks where supply equals what is asked.
        """
        simulator = NetworkSimulator(network(NETWORKS[name]())).double()
        generator = torch.Generator().manual_seed(5)
        state, noise = simulator.initial(8, generator), simulator.sample(8, generator)
        base = torch.tensor(simulator.layout.lane_flow, dtype=torch.float64)
        shape = (20, 8, len(base))
        factors = 0.5 + torch.rand(shape, generator=generator, dtype=torch.float64)

        def cost(quantity: torch.Tensor) -> torch.Tensor:
            current, total = state, torch.zeros((), dtype=torch.float64)
            for stage in range(min(simulator.num_stages, 20)):
                orders = simulator.repair(current, Orders(quantity * factors[stage]), stage)
                post, decided = simulator.decide(current, orders, stage)
                current, realized = simulator.realize(post, noise, stage)
                for part in (*decided.components.values(), *realized.components.values()):
                    total = total + part.sum()
            return total

        point = base.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(cost(point), point)
        step = 1e-6
        for lane in range(len(base)):
            nudge = torch.zeros_like(base)
            nudge[lane] = step
            difference = (cost(base + nudge) - cost(base - nudge)) / (2 * step)
            assert float(gradient[lane]) == pytest.approx(float(difference), rel=1e-5, abs=1e-4)

    def test_counts_do_not_change_costs(self, name):
        net = network(NETWORKS[name]())
        with_counts, without = NetworkSimulator(net), NetworkSimulator(net, counts=False)
        generator = torch.Generator().manual_seed(6)
        state, noise = with_counts.initial(4, generator), with_counts.sample(4, generator)
        orders = random_orders(with_counts, generator)(state)
        post, _ = with_counts.decide(state, orders, 0)
        bare, _ = without.decide(state, orders, 0)
        assert torch.equal(with_counts.realize(post, noise, 0)[1].total, without.realize(bare, noise, 0)[1].total)


class TestViolation:
    @pytest.mark.parametrize(
        ("lane", "quantity", "breach"),
        [(0, 14.5, 0.5), (2, 12.0, 1.0), (3, 9.25, 0.25), (4, -1.0, 1.0), (1, 1e6, 0.0)],
    )
    def test_each_limit_is_seen(self, lane, quantity, breach):
        simulator = NetworkSimulator(network(diamond())).double()
        state = simulator.initial(1, torch.Generator())
        orders = torch.zeros(1, 5, dtype=torch.float64)
        orders[0, lane] = quantity
        assert float(simulator.violation(state, Orders(orders), 0)) == pytest.approx(breach)

    def test_storage_counts_what_is_on_the_way(self):
        document = diamond()
        document["lanes"][2]["lead_time"] = 3
        document["lanes"][2]["initial_in_transit"] = [5, 10]
        simulator = NetworkSimulator(network(document)).double()
        state = simulator.initial(1, torch.Generator())
        orders = torch.zeros(1, 5, dtype=torch.float64)
        orders[0, 2] = 7.0  # 6 on hand, 15 on the way, 25 allowed
        assert float(simulator.violation(state, Orders(orders), 0)) == pytest.approx(3.0)
        assert float(simulator.repair(state, Orders(orders), 0).quantity[0, 2]) == pytest.approx(4.0)


class TestIntegerOrders:
    def test_orders_are_whole_and_gradients_flow(self):
        simulator = NetworkSimulator(network(diamond(integer_orders=True))).double()
        state = simulator.initial(16, torch.Generator())
        asked = (torch.rand(16, 5, dtype=torch.float64) * 8).requires_grad_()
        orders = simulator.repair(state, Orders(asked), 0)
        assert torch.equal(orders.quantity, orders.quantity.round())
        assert float(simulator.violation(state, orders, 0).max()) == 0
        orders.quantity.sum().backward()
        assert float(asked.grad.abs().sum()) > 0


class TestDemand:
    def test_normal_moments_and_correlation(self):
        simulator = NetworkSimulator(network(EXAMPLES["dc-two-stores"]()))
        demand = simulator.sample(20_000, torch.Generator().manual_seed(1)).demand[:, :5].reshape(-1, 2)
        assert demand.mean(0).tolist() == pytest.approx([5.0, 4.0], rel=0.01)
        assert demand.std(0).tolist() == pytest.approx([1.6, 1.2], rel=0.02)
        assert float(torch.corrcoef(demand.T)[0, 1]) == pytest.approx(0.5, abs=0.02)

    def test_empirical_rows_stay_together(self):
        document = EXAMPLES["capacitated-two-suppliers"]()
        simulator = NetworkSimulator(network(document))
        demand = simulator.sample(100, torch.Generator().manual_seed(1)).demand.reshape(-1, 2)
        history = {tuple(row) for row in document["demand"]["history"]}
        assert {tuple(row) for row in demand.tolist()} == history

    def test_poisson_mean_is_its_variance(self):
        simulator = NetworkSimulator(network(EXAMPLES["one-store-lost"]()))
        demand = simulator.sample(5_000, torch.Generator().manual_seed(1)).demand
        assert float(demand.mean()) == pytest.approx(5.0, rel=0.01)
        assert float(demand.var()) == pytest.approx(5.0, rel=0.02)
        assert torch.equal(demand, demand.round())

    def test_the_expected_path_is_the_mean(self):
        simulator = NetworkSimulator(network(diamond()))
        generator = torch.Generator().manual_seed(2)
        sampled = simulator.sample(50_000, generator).demand.mean(0)
        torch.testing.assert_close(simulator.expected(1).demand[0], sampled, rtol=0.02, atol=0.02)


def test_states_move_between_precisions():
    state = NetworkState(torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2, 0), torch.zeros(2, 0))
    assert state.to(torch.float64).pipeline.dtype == torch.float64
    assert state.rows(slice(1)).batch == 1
