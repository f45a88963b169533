"""Exact optima and lower bounds against oracles written apart, closed forms, and the simulator."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from models.core import BoundMethod, BoundValue
from models.dynamics import Policy
from models.inventory_network import PROBLEM
from models.inventory_network.exact import relaxations, stationary
from models.inventory_network.exact.grid import clipped_normal, discrete
from models.inventory_network.simulator import NetworkSimulator, Orders
from solvers.evaluation import compare, estimate
from tests.models.named_networks import EXAMPLES, network
from tests.oracles.clark_scarf import serial_line
from tests.oracles.demand import negative_binomial, poisson
from tests.oracles.lost_sales import lost_sales_store as zipkin
from tests.oracles.newsvendor import backlogged_store as normal_newsvendor
from tests.oracles.newsvendor import newsvendor
from tests.oracles.one_lane import backlogged_store, lost_sales_store, lots, minimum_order
from tests.oracles.random_lead_time import newsvendor_over_lead_times
from tests.oracles.restricted_orders import (
    capacitated,
    position_cost,
    reorder_point_lots,
    reorder_point_order_up_to,
)

METHODS: dict[str, BoundMethod] = {method.name: method for method in PROBLEM.bounds}
POISSON_5 = {"process": "poisson", "nodes": {"store": {"mean": 5.0}}}
NORMAL = {"process": "normal", "nodes": {"store": {"mean": 5.0, "std": 1.6}}}


def never() -> bool:
    return False


def bound(name: str, document: dict[str, Any]) -> BoundValue:
    net = network(document)
    assert METHODS[name].refuses(net) is None
    return METHODS[name].value(net, never)


def refusal(name: str, document: dict[str, Any]) -> str:
    return METHODS[name].refuses(network(document)) or ""


def one_store(
    unmet: str = "backlogged",
    lead_time: int = 2,
    demand: dict[str, Any] | None = None,
    node: dict[str, Any] | None = None,
    lane: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    store = {"id": "store", "kind": "store", "holding_cost": 1.0, "shortage_cost": 9.0, "unmet_demand": unmet}
    return {
        "problem": "inventory_network",
        "periods": 100,
        "warmup_periods": 50,
        "nodes": [{"id": "plant", "kind": "supplier"}, store | {"initial_on_hand": 10.0} | (node or {})],
        "lanes": [{"from": "plant", "to": "store", "lead_time": lead_time} | (lane or {})],
        "demand": demand or POISSON_5,
        **changes,
    }


def line(lead_times: tuple[int, ...], holding: tuple[float, ...], shortage: float, **changes: Any) -> dict[str, Any]:
    """Locations in series, store first, demand N(5, 2)."""
    ids = ["store", *(f"echelon-{k}" for k in range(2, len(lead_times) + 1)), "plant"]
    nodes: list[dict[str, Any]] = [{"id": "plant", "kind": "supplier"}]
    for k, cost in enumerate(holding):
        node = {"id": ids[k], "kind": "warehouse" if k else "store", "holding_cost": cost, "initial_on_hand": 20.0}
        nodes.append(node | ({} if k else {"shortage_cost": shortage, "unmet_demand": "backlogged"}))
    return {
        "problem": "inventory_network",
        "periods": 120,
        "warmup_periods": 60,
        "nodes": nodes,
        "lanes": [{"from": ids[k + 1], "to": ids[k], "lead_time": lead} for k, lead in enumerate(lead_times)],
        "demand": {"process": "normal", "nodes": {"store": {"mean": 5.0, "std": 2.0}}},
        **changes,
    }


def star(stores: int, unmet: str, std: float = 1.6, correlation: float = 0.5, **warehouse: Any) -> dict[str, Any]:
    """One warehouse (lead time 3) and stores (lead time 4), demand N(5, std) each."""
    ids = [f"s{k}" for k in range(stores)]
    store = {"kind": "store", "holding_cost": 1.0, "shortage_cost": 9.0, "unmet_demand": unmet}
    return {
        "problem": "inventory_network",
        "periods": 100,
        "warmup_periods": 50,
        "nodes": [
            {"id": "plant", "kind": "supplier"},
            {"id": "hub", "kind": "warehouse", "initial_on_hand": 10.0 * stores} | warehouse,
            *({"id": name, "initial_on_hand": 25.0} | store for name in ids),
        ],
        "lanes": [
            {"from": "plant", "to": "hub", "lead_time": 3},
            *({"from": "hub", "to": name, "lead_time": 4} for name in ids),
        ],
        "demand": {
            "process": "normal",
            "correlation": correlation,
            "nodes": {n: {"mean": 5.0, "std": std} for n in ids},
        },
    }


class EchelonLevels(Policy):
    """Every location orders up to a level of its echelon position, as far as its supplier has stock."""

    def __init__(self, simulator: NetworkSimulator, levels: dict[str, float]) -> None:
        super().__init__()
        self.simulator = simulator
        lay = simulator.layout
        self.reach = torch.tensor(lay.downstream.astype(float)).to(simulator.dtype)
        self.level = torch.tensor([levels[node.id] for node in lay.nodes[: lay.num_stocking]]).to(simulator.dtype)

    def propose(self, state: Any, stage: Any) -> Orders:
        lay, own = self.simulator.layout, state.net_inventory
        slots = torch.from_numpy(lay.target[lay.slot_lane])
        position = own.index_add(1, slots, state.pipeline) if len(slots) else own
        short = (self.level - position @ self.reach.T).clamp_min(0.0)
        return Orders(short[:, lay.target])

    def forward(self, state: Any, stage: Any) -> Orders:
        return self.simulator.repair(state, self.propose(state, stage), stage)


def simulated(document: dict[str, Any], levels: dict[str, float], scenarios: int = 4096) -> tuple[float, float]:
    """Cost per period of echelon base stocks, and its standard error."""
    simulator = PROBLEM.simulator(network(document))
    totals = compare(simulator, {"levels": EchelonLevels(simulator, levels)}, 3, scenarios)["levels"].total
    stages = simulator.num_stages - simulator.first_reported_stage
    return estimate(totals / stages)


class TestOneStoreBacklogged:
    @pytest.mark.parametrize("lead_time", [0, 1, 4, 10])
    @pytest.mark.parametrize("shortage", [4.0, 9.0, 19.0, 39.0])
    def test_a_newsvendor_over_the_lead_time_and_a_period(self, lead_time: int, shortage: float) -> None:
        found = bound("optimal", one_store(lead_time=lead_time, demand=NORMAL, node={"shortage_cost": shortage}))
        level, cost = normal_newsvendor(5.0, 1.6, lead_time, 1.0, shortage)
        assert found.value_per_stage == pytest.approx(cost, abs=1e-4)
        assert found.value_per_stage <= found.details["optimum_at_most"] <= found.value_per_stage + 1e-3
        assert found.details["levels"]["base_stock"] == pytest.approx(level, abs=0.02)

    def test_storage_caps_the_level(self) -> None:
        found = bound("optimal", one_store(node={"storage_capacity": 14.0, "initial_on_hand": 0.0}))
        expected = float(position_cost(poisson(5.0), 2, 1.0, 9.0)(np.array([14.0]))[0])
        assert found.value_per_stage == pytest.approx(expected)
        assert found.details["levels"] == {"base_stock": 14.0}

    def test_procurement_freight_and_revenue_are_constants_in_the_long_run(self) -> None:
        document = one_store(
            lead_time=3,
            demand=NORMAL,
            node={"price": 4.0},
            lane={"unit_cost": 1.5, "in_transit_cost": 0.2},
            objective="profit",
        )
        found = bound("optimal", document)
        mean, error = simulated(document, found.details["levels"] | {"store": found.details["levels"]["base_stock"]})
        assert mean == pytest.approx(found.value_per_stage, abs=4 * error)
        assert error < 0.01 * abs(found.value_per_stage)

    def test_a_random_lead_time_is_a_mixture(self) -> None:
        random = {"values": [1, 2, 3], "probabilities": [0.2, 0.3, 0.5]}
        found = bound("optimal", one_store(lead_time=3, lane={"random_lead_time": random}))
        chances = dict(zip(random["values"], random["probabilities"], strict=True))
        level, cost = newsvendor_over_lead_times(poisson(5.0), chances, 1.0, 9.0)
        assert found.value_per_stage == pytest.approx(cost, abs=1e-6)
        assert found.details["levels"]["base_stock"] == level

    @pytest.mark.parametrize("fixed", [1.0, 8.0, 64.0])
    def test_a_fixed_cost_gives_zheng_and_federgruens_policy(self, fixed: float) -> None:
        found = bound("optimal", one_store(lane={"fixed_order_cost": fixed}))
        demand = poisson(5.0)
        low, high, cost = reorder_point_order_up_to(demand, position_cost(demand, 2, 1.0, 9.0), fixed)
        assert found.value_per_stage == pytest.approx(cost, abs=1e-6)
        assert found.details["levels"] == {"reorder_point": low, "order_up_to": high}

    def test_lots_capacity_and_minimum_orders(self) -> None:
        demand = poisson(5.0, 1e-13)
        cost = position_cost(demand, 2, 1.0, 9.0)
        _, lot = reorder_point_lots(cost, 6, range(5, 30))
        assert bound("optimal", one_store(lane={"lot_multiple": 6.0})).value_per_stage == pytest.approx(lot, rel=1e-5)
        _, tight = capacitated(demand, cost, 6, range(10, 40))
        assert bound("optimal", one_store(lane={"capacity": 6.0})).value_per_stage == pytest.approx(tight, rel=1e-4)
        least = backlogged_store(demand, 2, 1.0, 9.0, minimum_order(8, 60), lowest=-30, highest=50).cost
        found = bound("optimal", one_store(lane={"minimum_order": 8.0}))
        assert found.value_per_stage == pytest.approx(least, rel=1e-5)

    def test_fixed_costs_with_lots(self) -> None:
        found = bound("optimal", one_store(lane={"fixed_order_cost": 5.0, "lot_multiple": 4.0}))
        least = backlogged_store(poisson(5.0, 1e-13), 2, 1.0, 9.0, lots(4, 60), 5.0, -30, 50).cost
        assert found.value_per_stage == pytest.approx(least, rel=1e-5)


class TestOneStoreLostSales:
    @pytest.mark.parametrize("shortage", [4.0, 39.0])
    @pytest.mark.parametrize("lead_time", [0, 1, 2, 3])
    def test_zipkins_values(self, lead_time: int, shortage: float) -> None:
        found = bound("optimal", one_store("lost", lead_time, node={"shortage_cost": shortage}))
        expected = zipkin(poisson(5.0), lead_time, 1.0, shortage)
        assert found.value_per_stage == pytest.approx(expected, rel=3e-6)

    def test_lead_time_four_in_seconds(self) -> None:
        started = time.process_time()
        found = bound("optimal", one_store("lost", 4))
        assert found.value_per_stage == pytest.approx(6.8359, abs=1e-4)
        assert time.process_time() - started < 10

    @pytest.mark.parametrize("lead_time", [0, 1])
    def test_fixed_costs_and_lots(self, lead_time: int) -> None:
        demand = poisson(3.0, 1e-13)
        document = one_store(
            "lost",
            lead_time,
            {"process": "poisson", "nodes": {"store": {"mean": 3.0}}},
            lane={"fixed_order_cost": 6.0, "lot_multiple": 2.0},
        )
        expected = lost_sales_store(demand, lead_time, 1.0, 9.0, lots(2, 30), 6.0, 40).cost
        assert bound("optimal", document).value_per_stage == pytest.approx(expected, rel=1e-5)

    def test_continuous_demand_lies_between_two_grids_and_finer_ones_are_tighter(self) -> None:
        coarse, fine = clipped_normal(5.0, 1.6).contraction(1.0), clipped_normal(5.0, 1.6).spread(0.25)
        found = bound("optimal", one_store("lost", 2, NORMAL))
        at_most = found.details["optimum_at_most"]
        assert zipkin(coarse.mass, 2, 1.0, 9.0) < found.value_per_stage < at_most
        assert at_most < zipkin(fine.mass, 2, 0.25, 2.25) * (1 + 1e-5)
        assert at_most - found.value_per_stage < 0.002 * at_most

    def test_what_a_unit_costs_changes_what_a_lost_one_does(self) -> None:
        """A unit lost saves its procurement: the same network with p − c, and c for every unit demanded."""
        dear = bound("optimal", one_store("lost", 1, lane={"unit_cost": 3.0})).value_per_stage
        assert dear == pytest.approx(zipkin(poisson(5.0), 1, 1.0, 6.0) + 15.0, rel=1e-5)

    def test_nothing_is_ordered_if_a_sale_earns_less_than_it_costs(self) -> None:
        found = bound("optimal", one_store("lost", 1, lane={"unit_cost": 12.0}))
        assert found.value_per_stage == pytest.approx(9.0 * 5.0)

    def test_stopped_early_it_is_lower_but_still_a_bound(self) -> None:
        net = network(one_store("lost", 3))
        early = METHODS["optimal"].value(net, lambda: True).value_per_stage
        assert early < METHODS["optimal"].value(net, never).value_per_stage


class TestLines:
    @pytest.mark.parametrize("shortage", [4.0, 39.0])
    @pytest.mark.parametrize("first", [1, 4])
    def test_clark_and_scarfs_costs(self, first: int, shortage: float) -> None:
        leads, holding = (first, 3, 4, 2), (1.0, 0.5, 0.2, 0.1)
        found = bound("optimal", line(leads, holding, shortage))
        levels, cost = serial_line(5.0, 2.0, leads, holding, shortage)
        assert found.value_per_stage == pytest.approx(cost, abs=3e-4)
        assert list(found.details["echelon_base_stock"].values()) == pytest.approx(levels, abs=0.05)

    def test_seven_locations_in_under_a_second(self) -> None:
        document = line((4, 3, 2, 3, 1, 4, 2), (1.0, 0.5, 0.4, 0.3, 0.25, 0.2, 0.1), 9.0)
        bound("optimal", one_store(demand=NORMAL))  # pays for scipy's import
        started = time.process_time()
        found = bound("optimal", document)
        assert time.process_time() - started < 1.0
        assert found.value_per_stage == pytest.approx(12.2890, abs=1e-4)

    @pytest.mark.parametrize("receipt", ["before_decision", "after_decision"])
    @pytest.mark.parametrize("lead_times", [(2, 1, 2), (0, 0, 2)])
    def test_the_levels_cost_in_the_simulator_what_the_bound_says(
        self, lead_times: tuple[int, ...], receipt: str
    ) -> None:
        document = line(lead_times, (1.0, 0.5, 0.2), 9.0, receipt=receipt)
        document["lanes"][1] |= {"unit_cost": 0.3, "in_transit_cost": 0.1}
        found = bound("optimal", document)
        mean, error = simulated(document, found.details["echelon_base_stock"])
        assert mean == pytest.approx(found.value_per_stage, abs=4 * error)
        assert error < 0.003 * mean
        worse = {name: level + 2.0 for name, level in found.details["echelon_base_stock"].items()}
        assert simulated(document, worse)[0] > found.value_per_stage + 4 * error


class TestBalanceRelaxation:
    @pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
    def test_identical_stores_have_a_formula(self, correlation: float) -> None:
        """A warehouse whose stock is dear keeps none; clipping N(5, 1.6) at zero changes the formula by 0.03 %."""
        stores, ratio = 3, 0.9
        variance = (1 - correlation) * stores * 1.6**2 + correlation * (stores * 1.6) ** 2
        formula = 10.0 * norm.pdf(norm.ppf(ratio)) * math.sqrt(3 * variance + 5 * (stores * 1.6) ** 2)
        found = bound("balance_relaxation", star(stores, "backlogged", correlation=correlation, holding_cost=50.0))
        assert found.value_per_stage == pytest.approx(formula, rel=5e-4)

    def test_one_sample_of_policies_never_costs_less(self) -> None:
        document = star(3, "backlogged", holding_cost=0.3)
        found = bound("balance_relaxation", document)
        costs = [
            simulated(document, {"hub": total, "s0": level, "s1": level, "s2": level}, 512)
            for total in (135.0, 140.0)
            for level in (30.0, 32.0)
        ]
        assert min(mean + 4 * error for mean, error in costs) > found.value_per_stage
        assert min(mean for mean, _ in costs) < 1.1 * found.value_per_stage

    def test_one_store_behind_a_warehouse_would_be_clark_and_scarf(self) -> None:
        """Two stores whose demand moves as one are one store of twice the size."""
        document = star(2, "backlogged", correlation=1.0, holding_cost=0.3)
        _, cost = serial_line(10.0, 3.2, (4, 3), (1.0, 0.3), 9.0)
        assert bound("balance_relaxation", document).value_per_stage == pytest.approx(cost, rel=2e-4)


class TestFreeWarehouse:
    def test_every_store_alone(self) -> None:
        document = star(2, "backlogged", holding_cost=0.3)
        _, cost = normal_newsvendor(5.0, 1.6, 4, 1.0, 9.0)
        found = bound("free_warehouse", document)
        assert found.value_per_stage == pytest.approx(2 * cost, abs=3e-4)
        assert found.value_per_stage < bound("balance_relaxation", document).value_per_stage

    def test_the_cheapest_and_the_quickest_lane_count(self) -> None:
        document = star(1, "lost", holding_cost=0.3)
        document["lanes"] = [
            {"from": "plant", "to": "hub", "lead_time": 3, "unit_cost": 1.0},
            {"from": "hub", "to": "s0", "lead_time": 2, "unit_cost": 1.5},
            {"from": "plant", "to": "s0", "lead_time": 4, "unit_cost": 2.0},
        ]
        document["demand"] = {"process": "poisson", "nodes": {"s0": {"mean": 5.0}}}
        found = bound("free_warehouse", document)
        assert found.value_per_stage == pytest.approx(zipkin(poisson(5.0), 2, 1.0, 7.0) + 10.0, rel=1e-5)

    def test_no_base_stocks_cost_less_where_sales_are_lost(self) -> None:
        document = star(3, "lost", holding_cost=0.3)
        for lane in document["lanes"][1:]:
            lane["lead_time"] = 2
        found = bound("free_warehouse", document)
        costs = [
            simulated(document, {"hub": total, "s0": level, "s1": level, "s2": level}, 256)
            for total in (85.0, 95.0)
            for level in (17.0, 19.0)
        ]
        assert min(mean + 4 * error for mean, error in costs) > found.value_per_stage

    def test_a_long_lead_time_counts_for_as_much_as_can_be_computed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(relaxations, "WORK_LIMIT", 1e7)
        document = star(1, "lost", holding_cost=0.3)
        document["lanes"][1]["lead_time"] = 9
        document["demand"] = {"process": "poisson", "nodes": {"s0": {"mean": 2.0}}}
        found = bound("free_warehouse", document)
        assert "for 9" in found.details["approximations"]["s0"]
        assert found.value_per_stage > zipkin(poisson(2.0), 2, 1.0, 9.0)


class TestRefusals:
    @pytest.mark.parametrize(
        ("method", "document", "reason"),
        [
            ("optimal", one_store(warmup_periods=0), "horizon is finite"),
            ("optimal", one_store(lead_time=4, warmup_periods=3), "initial stock"),
            ("optimal", star(2, "lost"), "one store with one supplier"),
            ("optimal", one_store("lost", 12), "states, too many"),
            ("optimal", one_store("partial", node={"backlog_share": 0.5}), "waits only in part"),
            ("optimal", one_store("lost", node={"shelf_life": 3}), "outdates"),
            ("optimal", one_store(node={"fill_rate_target": 0.9}), "fill-rate target"),
            ("optimal", one_store(demand=NORMAL, integer_orders=True), "orders are whole"),
            ("optimal", one_store(lane={"lot_multiple": 2.5}), "multiples of 1 units"),
            (
                "optimal",
                one_store(
                    lead_time=3, lane={"random_lead_time": {"values": [1, 2, 3], "probabilities": [0.5, 0.1, 0.4]}}
                ),
                "overtake",
            ),
            (
                "optimal",
                one_store(demand={"process": "empirical", "nodes": ["store"], "history": [[1.0]] * 40, "block": 4}),
                "blocks",
            ),
            ("optimal", line((1, 1), (0.5, 1.0), 9.0), "upstream"),
            ("balance_relaxation", star(3, "lost"), "must be backlogged"),
            ("balance_relaxation", line((1, 1), (1.0, 0.5), 9.0), "two or more stores"),
            ("balance_relaxation", star(2, "backlogged", correlation=-0.5), "negatively correlated"),
            ("free_warehouse", line((1, 1), (1.0, 0.5), 9.0), "optimum itself"),
        ],
    )
    def test_the_reason_is_given(self, method: str, document: dict[str, Any], reason: str) -> None:
        assert reason in refusal(method, document)

    @pytest.mark.parametrize("name", list(EXAMPLES))
    def test_every_example_is_bounded_or_refused_with_a_reason(self, name: str) -> None:
        net = network(EXAMPLES[name]())
        for method in METHODS.values():
            assert method.refuses(net) is None or method.refuses(net)


class TestDemand:
    @pytest.mark.parametrize(
        "process",
        [
            POISSON_5,
            NORMAL,
            {"process": "normal", "nodes": {"store": {"mean": 1.0, "std": 2.0}}},
            {"process": "negative_binomial", "nodes": {"store": {"mean": 4.0, "variance": 13.0}}},
            {"process": "intermittent", "nodes": {"store": {"probability": 0.3, "size_mean": 4.0}}},
            {
                "process": "intermittent",
                "nodes": {"store": {"probability": 0.3, "size_mean": 4.0, "size_variance": 0.0}},
            },
            {"process": "empirical", "nodes": ["store"], "history": [[1.5], [0.0], [7.25], [3.0]] * 10},
            {"process": "seasonal", "nodes": {"store": {"mean": 5.0, "std": 1.0}}, "season": [2.0]},
        ],
        ids=lambda process: process["process"],
    )
    def test_the_distribution_is_the_one_that_is_sampled(self, process: dict[str, Any]) -> None:
        """Stop-loss values at several thresholds, against 400,000 draws."""
        net = network(one_store("lost", demand=process))
        drawn = PROBLEM.simulator(net).sample(4000, torch.Generator().manual_seed(1)).demand.double().numpy().ravel()
        loss = stationary.of_store(net.demand, "store")
        for threshold in (0.0, 1.0, 2.5, 4.0, 6.0, 9.0):
            mean, error = estimate(np.clip(drawn - threshold, 0.0, None))
            expected = float(loss.value(np.array([threshold]))[0])
            assert abs(expected - mean) <= 4.5 * error + 1e-9

    @settings(max_examples=60, deadline=None)
    @given(
        mean=st.floats(0.5, 20.0),
        ratio=st.floats(0.05, 1.5),
        steps=st.floats(1.0, 30.0),
        threshold=st.floats(0.0, 40.0),
    )
    def test_contraction_and_spread_enclose_it(self, mean: float, ratio: float, steps: float, threshold: float) -> None:
        std = mean * ratio
        loss = clipped_normal(mean, std)
        low, high = loss.contraction(std / steps), loss.spread(std / steps)
        assert low.mean == pytest.approx(loss.mean, rel=1e-6)
        assert high.mean == pytest.approx(loss.mean, rel=1e-6)
        exact = float(loss.value(np.array([threshold]))[0])
        below, above = (float(np.clip(g.points - threshold, 0, None) @ g.mass) for g in (low, high))
        assert below <= exact + 1e-7 * mean
        assert exact <= above + 1e-7 * mean

    def test_demand_on_the_grid_is_taken_as_it_is(self) -> None:
        values = discrete(np.array([0.0, 2.0, 5.0]), np.array([0.5, 0.3, 0.2]))
        for grid in (values.contraction(1.0), values.spread(1.0)):
            assert grid.mass.tolist() == pytest.approx([0.5, 0, 0.3, 0, 0, 0.2])

    def test_correlated_demand_adds_up(self) -> None:
        net = network(star(3, "backlogged", std=3.0))
        drawn = PROBLEM.simulator(net).sample(4000, torch.Generator().manual_seed(1)).demand.double().sum(2).numpy()
        grid = stationary.of_all(net.demand, ["s0", "s1", "s2"], 0.05)
        for threshold in (0.0, 10.0, 15.0, 20.0, 25.0):
            mean, error = estimate(np.clip(drawn.ravel() - threshold, 0.0, None))
            assert abs(float(np.clip(grid.points - threshold, 0, None) @ grid.mass) - mean) <= 4.5 * error + 1e-3

    def test_any_whole_unit_demand_is_exact(self) -> None:
        process = {"process": "negative_binomial", "nodes": {"store": {"mean": 4.0, "variance": 13.0}}}
        demand = negative_binomial(4.0, 13.0)
        found = bound("optimal", one_store("lost", 1, process))
        assert found.value_per_stage == pytest.approx(zipkin(demand, 1, 1.0, 9.0), rel=1e-5)
        level, cost = newsvendor(demand, 1.0, 1.0, 9.0)
        found = bound("optimal", one_store("backlogged", 0, process))
        assert found.value_per_stage == pytest.approx(cost, rel=1e-6)
        assert found.details["levels"]["base_stock"] == level


class TestDegenerate:
    """Demand that never varies, or never comes, and costs of nothing."""

    @pytest.mark.parametrize("unmet", ["lost", "backlogged"])
    @pytest.mark.parametrize(("mean", "std"), [(0.0, 0.0), (math.pi, 0.0), (4.0, 0.0)])
    def test_sure_demand_costs_nothing(self, unmet: str, mean: float, std: float) -> None:
        process = {"process": "normal", "nodes": {"store": {"mean": mean, "std": std}}}
        found = bound("optimal", one_store(unmet, 1, process))
        assert found.value_per_stage == pytest.approx(0.0, abs=0.02 * mean + 1e-9)

    @pytest.mark.parametrize("unmet", ["lost", "backlogged"])
    def test_free_stock_costs_nothing(self, unmet: str) -> None:
        assert bound("optimal", one_store(unmet, 1, node={"holding_cost": 0.0})).value_per_stage == 0.0
