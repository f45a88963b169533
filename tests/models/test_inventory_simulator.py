"""The dynamics of inventory networks: by hand on tiny cases, by conservation and finite differences on all."""

from typing import ClassVar

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


class TestPartialBacklog:
    def test_a_share_of_newly_unmet_demand_waits_and_the_rest_is_lost(self):
        """Of 10 asked 4 are met; of 6 unmet, 1.5 wait and 4.5 are lost. They wait on while nothing new is asked."""
        partial = {"backlog_share": 0.25, "lost_sales_cost": 20.0}
        stocks, costs = run(one_store("partial", 1, **partial), [0, 8, 0], [10, 0, 2])
        assert stocks == [4, -1.5, 6.5, 4.5]
        assert [c["shortage"] for c in costs] == [9 * 1.5, 9 * 1.5, 0]
        assert [c["lost_sales"] for c in costs] == [20 * 4.5, 0, 0]

    def test_all_waiting_is_backlog_and_none_waiting_is_lost_sales(self):
        orders, demands = [3, 0, 9, 1, 4], [6, 5, 2, 9, 0]
        for share, kind in ((1.0, "backlogged"), (0.0, "lost")):
            partial = run(one_store("partial", 2, backlog_share=share, lost_sales_cost=9.0), orders, demands)
            plain = run(one_store(kind, 2), orders, demands)
            assert partial[0] == plain[0]
            both = [c["shortage"] + c["lost_sales"] for c in partial[1]]
            assert both == [c["shortage"] for c in plain[1]]


class TestShelfLife:
    def test_the_oldest_goes_first_and_what_is_left_of_it_is_outdated(self):
        """Life 2. Three old and one fresh on hand; 2 asked: one old unit is thrown away, the fresh one grows old."""
        store = {"shelf_life": 2, "outdate_cost": 7.0, "initial_expiring": [3.0]}
        stocks, costs = run(one_store("lost", 1, **store), [5, 0, 0], [2, 0, 0])
        # 4 − 2 − 1 outdated, 5 land; then the old one goes unasked, and last the five.
        assert stocks == [4, 6, 5, 0]
        assert [c["outdate"] for c in costs] == [7, 7, 35]
        assert [c["holding"] for c in costs] == [1, 5, 0]

    def test_a_life_of_one_period_leaves_nothing(self):
        stocks, costs = run(one_store("lost", 0, shelf_life=1, outdate_cost=2.0), [3, 6], [5, 2])
        assert stocks == [4, 0, 0]
        assert [c["outdate"] for c in costs] == [4, 8]
        assert [c["holding"] for c in costs] == [0, 0]

    def test_ages_are_cumulative_by_remaining_life(self):
        simulator = one_store("backlogged", 1, shelf_life=4, initial_expiring=[1.0, 0.0, 2.0])
        state = simulator.initial(1, torch.Generator())
        assert state.aging.tolist() == [[1, 1, 3]]
        post, _ = simulator.decide(state, Orders(torch.tensor([[6.0]], dtype=torch.float64)), 0)
        struck = torch.tensor([[[2.0]]], dtype=torch.float64)
        state, _ = simulator.realize(post, Demand(struck, torch.zeros(1, 1, 0, dtype=torch.float64)), 0)
        assert state.aging.tolist() == [[0, 1, 2]]  # one unit lasts two periods more, one three; six are fresh
        assert state.net_inventory.tolist() == [[8]]


class TestRandomLeadTimes:
    VALUES, CHANCES = [2, 3, 5], [0.2, 0.5, 0.3]

    def simulator(self) -> NetworkSimulator:
        document = EXAMPLES["one-store-backlogged"]() | {"periods": 10, "warmup_periods": 0}
        times = {"values": self.VALUES, "probabilities": self.CHANCES}
        document["nodes"][1]["initial_on_hand"] = 0
        document["lanes"][0] |= {"lead_time": 5, "random_lead_time": times}
        document["demand"] = {"process": "empirical", "nodes": [document["nodes"][1]["id"]], "history": [[0.0]]}
        return NetworkSimulator(network(document)).double()

    @pytest.mark.parametrize("placed", [0, 3])
    def test_lead_times_have_the_distribution_given(self, placed):
        simulator, batch = self.simulator(), 40_000
        generator = torch.Generator().manual_seed(7)
        state, noise = simulator.initial(batch, generator), simulator.sample(batch, generator)
        arrived = torch.zeros(batch, dtype=torch.long)
        for stage in range(10):
            arrived = torch.where((state.net_inventory[:, 0] > 0) & (arrived == 0), stage, arrived)
            quantity = torch.full((batch, 1), float(stage == placed), dtype=torch.float64)
            post, _ = simulator.decide(state, Orders(quantity), stage)
            state, _ = simulator.realize(post, noise, stage)
        shares = torch.bincount(arrived - placed, minlength=6) / batch
        expected = torch.zeros(6)
        expected[self.VALUES] = torch.tensor(self.CHANCES)
        torch.testing.assert_close(shares, expected, rtol=0, atol=4 * (0.25 / batch) ** 0.5)

    def test_goods_of_an_age_land_together_and_are_the_last_to_land_in_time(self):
        simulator = self.simulator()
        state = simulator.initial(1, torch.Generator())
        never = torch.full((1, 10, 1), 0.999, dtype=torch.float64)
        noise = Demand(torch.zeros(1, 10, 1, dtype=torch.float64), never)
        stocks = []
        for stage in range(10):
            stocks.append(float(state.net_inventory))
            quantity = torch.tensor([[float(stage + 1)]], dtype=torch.float64)
            post, _ = simulator.decide(state, Orders(quantity), stage)
            state, _ = simulator.realize(post, noise, stage)
        assert stocks == [0, 0, 0, 0, 0, 1, 3, 6, 10, 15]


class TestOrderSizes:
    """One lane with K = 10, at least 6, in threes, at most 14 (so 12)."""

    SIZES: ClassVar = {"fixed_order_cost": 10.0, "minimum_order": 6.0, "lot_multiple": 3.0, "capacity": 14.0}

    def simulator(self, **lane) -> NetworkSimulator:
        document = EXAMPLES["one-store-backlogged"]()
        document["lanes"][0] |= self.SIZES | lane
        return NetworkSimulator(network(document)).double()

    @pytest.mark.parametrize(
        ("asked", "given"),
        [(-5, 0), (0, 0), (2.9, 0), (3.1, 6), (7.4, 6), (7.6, 9), (12, 12), (14, 12), (1e9, 12), (1e30, 12)],
    )
    def test_proposals_move_to_the_nearest_size_allowed(self, asked, given):
        simulator = self.simulator()
        state = simulator.initial(1, torch.Generator())
        orders = simulator.repair(state, Orders(torch.tensor([[float(asked)]], dtype=torch.float64)), 0)
        assert float(orders.quantity) == given
        assert float(simulator.violation(state, orders, 0)) == 0

    @pytest.mark.parametrize(("quantity", "breach"), [(2.0, 2.0), (3.0, 3.0), (7.0, 1.0), (15.0, 3.0), (9.0, 0.0)])
    def test_each_size_rule_is_seen(self, quantity, breach):
        simulator = self.simulator()
        state = simulator.initial(1, torch.Generator())
        orders = Orders(torch.tensor([[quantity]], dtype=torch.float64))
        assert float(simulator.violation(state, orders, 0)) == pytest.approx(breach)

    def test_a_fixed_cost_is_charged_in_full_and_its_gradient_is_smooth(self):
        simulator = self.simulator(minimum_order=0.0, lot_multiple=None)
        flow = float(simulator.layout.lane_flow[0])
        state = simulator.initial(3, torch.Generator())
        asked = torch.tensor([[0.0], [0.01], [flow]], dtype=torch.float64, requires_grad=True)
        _, costs = simulator.decide(state, Orders(asked), 0)
        assert costs.components["fixed_order"].tolist() == [0, 10, 10]
        (gradient,) = torch.autograd.grad(costs.components["fixed_order"].sum(), asked)
        # d/dq of K q / (q + flow)
        assert gradient[[0, 2], 0].tolist() == pytest.approx([10 / flow, 10 / (4 * flow)])

    def test_rationed_orders_fall_to_the_next_size_allowed(self):
        document = EXAMPLES["dc-two-stores"]()
        document["nodes"][1]["initial_on_hand"] = 10.0
        document["lanes"][1] |= {"lot_multiple": 2.0}
        document["lanes"][2] |= {"minimum_order": 6.0}
        simulator = NetworkSimulator(network(document)).double()
        state = simulator.initial(1, torch.Generator())
        lanes = [(lane.source, lane.target) for lane in simulator.layout.lanes]
        assert lanes[1:] == [("dc", "s1"), ("dc", "s2")]
        asked = torch.tensor([[0.0, 8.0, 8.0]], dtype=torch.float64)  # five each: four in twos, none of at least six
        assert simulator.repair(state, Orders(asked), 0).quantity.tolist() == [[0, 4, 0]]

    def test_no_lot_is_dropped_for_rounding(self):
        document = EXAMPLES["dc-two-stores"]()
        document["nodes"][1]["initial_on_hand"] = 10.0
        document["lanes"][1] |= {"lot_multiple": 4.0}
        simulator = NetworkSimulator(network(document)).double()
        state = simulator.initial(1, torch.Generator())
        asked = torch.tensor([[0.0, 4.0, 6.0 + 2e-12]], dtype=torch.float64)
        given = simulator.repair(state, Orders(asked), 0)
        assert given.quantity[0].tolist() == pytest.approx([0, 4, 6], abs=1e-11)
        assert float(simulator.violation(state, given, 0)) < 1e-11

    def test_what_training_smooths_is_said(self):
        assert len(self.simulator().relaxes) == 3
        assert NetworkSimulator(network(EXAMPLES["one-store-backlogged"]())).relaxes == ()


class TestFillRate:
    def test_the_slack_is_what_the_target_misses(self):
        simulator = one_store("backlogged", 1, fill_rate_target=0.9)
        state = simulator.initial(2, torch.Generator())
        post, _ = simulator.decide(state, Orders(torch.zeros(2, 1, dtype=torch.float64)), 0)
        struck = torch.tensor([[[3.0]], [[10.0]]], dtype=torch.float64)
        _, costs = simulator.realize(post, Demand(struck, torch.zeros(2, 1, 0, dtype=torch.float64)), 0)
        (name,) = costs.slacks
        assert name == f"fill_rate/{simulator.store_ids[0]}"
        assert costs.slacks[name].tolist() == pytest.approx([0.9 * 3 - 3, 0.9 * 10 - 4])


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
            held = held - costs.quantities.get("outdated", 0.0)
            now = state.net_inventory.sum(1) + state.pipeline.sum(1)
            torch.testing.assert_close(now, held, rtol=1e-12, atol=1e-9)

    @staticmethod
    def lost_units(simulator, post, noise, stage):
        on_hand = post.net_inventory[:, : simulator.num_demand].clamp_min(0)
        return ((noise.demand[:, stage] - on_hand).clamp_min(0) * simulator.lost_share).sum(1)

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
        if simulator.relaxes:
            pytest.skip("its gradients are those of a smoothed problem, and it says so")
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
