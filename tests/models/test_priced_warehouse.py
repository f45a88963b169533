"""The bound that lets stores pay for what their warehouse lacks, against programs written apart."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from models.inventory_network import PROBLEM
from models.inventory_network.exact import priced_warehouse
from models.inventory_network.exact.grid import Grid
from models.inventory_network.exact.loads import loads
from models.inventory_network.exact.priced_store import PricedStore
from solvers.evaluation import estimate
from tests.models.named_networks import network
from tests.models.test_inventory_bounds import METHODS, bound, never, refusal, simulated, star
from tests.oracles.demand import poisson
from tests.oracles.lost_sales import lost_sales_store
from tests.oracles.one_warehouse import least_cost

LIGHT, HEAVY = np.array([0.5, 0.4, 0.1]), np.array([0.1, 0.3, 0.3, 0.3])
CHANCES = np.array([0.6, 0.4])


def lost(stores: int = 2, lead_time: int = 1, **changes: Any) -> dict[str, Any]:
    """A warehouse and stores that lose demand, all goods a few periods on their way."""
    document = star(stores, "lost", holding_cost=0.3) | changes
    for lane in document["lanes"][1:]:
        lane["lead_time"] = lead_time
    return document


def table(lead_time: int, memory: int = 1, most: int = 9, largest: int = 6) -> PricedStore:
    return PricedStore([Grid(1.0, LIGHT), Grid(1.0, HEAVY)], CHANCES, memory, lead_time, 1.0, 6.0, most, largest)


def by_linear_program(lead_time: int, prices: np.ndarray, most: int, largest: int) -> float:
    """Least average cost of a priced store as the linear program over long-run frequencies of (state, order)."""
    pipelines = list(product(range(largest + 1), repeat=max(lead_time - 1, 0)))
    states = list(product(range(len(CHANCES)), range(most + 1), pipelines))
    place = {state: i for i, state in enumerate(states)}
    pairs = [(state, q) for state in states for q in range(largest + 1)]
    costs, balance = np.zeros(len(pairs)), np.zeros((len(states) + 1, len(pairs)))
    for j, ((signal, stock, pipeline), q) in enumerate(pairs):
        balance[place[signal, stock, pipeline], j] += 1.0
        balance[-1, j] = 1.0
        costs[j] = prices[signal] * q
        for k, masses in enumerate((LIGHT, HEAVY)):
            for demand, chance in enumerate(CHANCES[k] * masses):
                at_hand = stock + (q if lead_time == 0 else 0)
                costs[j] += chance * (max(at_hand - demand, 0) + 6.0 * max(demand - at_hand, 0))
                due = (*pipeline, q)[0] if lead_time else 0
                after = (k, min(max(at_hand - demand, 0) + due, most), (*pipeline, q)[1:] if lead_time else ())
                balance[place[after], j] -= chance
    right = np.append(np.zeros(len(states)), 1.0)
    return float(linprog(costs, A_eq=balance, b_eq=right).fun)


class TestPricedStore:
    @pytest.mark.parametrize("lead_time", [0, 1, 2])
    def test_its_optimum_is_that_of_the_linear_program(self, lead_time: int) -> None:
        prices = np.array([-0.4, 0.6])
        found = table(lead_time).optimum(prices, 1e-7, never)
        assert found is not None
        expected = by_linear_program(lead_time, prices, 9, 6)
        assert found.low == pytest.approx(expected, rel=1e-6)
        free = table(lead_time).optimum(np.zeros(2), 1e-7, never)
        assert free is not None
        assert abs(found.low - free.low) > 0.005  # the prices matter

    def test_at_no_price_it_is_a_store_alone(self) -> None:
        mass = poisson(4.0)
        alone = PricedStore([Grid(1.0, mass)], np.ones(1), 1, 2, 1.0, 9.0, 24, 12)
        found = alone.optimum(np.zeros(1), 1e-6, never)
        assert found is not None
        assert found.low == pytest.approx(lost_sales_store(mass, 2, 1.0, 9.0), rel=1e-5)

    def test_a_longer_memory_that_prices_do_not_use_changes_nothing(self) -> None:
        prices = np.array([-0.4, 0.6])
        short = table(1).optimum(prices, 1e-7, never)
        long = table(1, memory=3).optimum(np.broadcast_to(prices[:, None, None], (2, 2, 2)).copy(), 1e-7, never)
        assert short is not None
        assert long is not None
        assert long.low == pytest.approx(short.low, rel=1e-6)

    @pytest.mark.parametrize(("most", "largest"), [(9, 2), (3, 6)])
    def test_a_box_that_is_too_small_gives_nothing(self, most: int, largest: int) -> None:
        assert table(1, most=most, largest=largest).optimum(np.array([-0.4, 0.6]), 1e-6, never) is None

    @pytest.mark.parametrize("lead_time", [0, 1, 2])
    def test_in_the_long_run_what_is_shipped_is_what_is_sold(self, lead_time: int) -> None:
        """A dear loss is hardly ever taken: mean orders are mean demand, and less after light periods."""
        store = PricedStore(
            [Grid(1.0, LIGHT), Grid(1.0, HEAVY)], CHANCES, 2, lead_time, 0.1, 500.0, 30, 12 if lead_time < 2 else 8
        )
        assert store.optimum(np.zeros((2, 2)), 1e-5, never) is not None
        shipped = store.shipped(np.random.default_rng(1), 4096)
        mean = 0.6 * np.arange(3) @ LIGHT + 0.4 * np.arange(4) @ HEAVY
        chances = np.multiply.outer(CHANCES, CHANCES)
        assert float((shipped * chances).sum()) == pytest.approx(2 * mean, rel=0.02)
        assert shipped[0, 0] < shipped[1, 0] < shipped[1, 1]


class TestLoads:
    @pytest.mark.parametrize(
        "process",
        [
            {
                "process": "normal",
                "correlation": 0.5,
                "nodes": {"s0": {"mean": 5, "std": 1.6}, "s1": {"mean": 9, "std": 2}},
            },
            {"process": "poisson", "nodes": {"s0": {"mean": 3.0}, "s1": {"mean": 6.0}}},
            {
                "process": "empirical",
                "nodes": ["s0", "s1"],
                "history": [[1.5, 2], [0, 8], [7.25, 1], [3, 4], [2, 2]] * 8,
            },
        ],
        ids=lambda process: process["process"],
    )
    def test_each_class_has_the_demand_that_is_drawn_in_it(self, process: dict[str, Any]) -> None:
        net = network(lost(demand=process))
        found = loads(net.demand, ["s0", "s1"], 3)
        assert found.chances.sum() == pytest.approx(1.0)
        assert found.chances == pytest.approx(np.ones(3) / 3, abs=0.15)
        drawn = PROBLEM.simulator(net).sample(4000, torch.Generator().manual_seed(1)).demand.double().numpy()
        drawn = drawn.reshape(-1, 2)
        order = np.argsort(drawn.sum(1), kind="stable")
        edges = np.round(np.cumsum(found.chances) * len(drawn)).astype(int)
        for k, rows in enumerate(np.split(order, edges[:-1])):
            for i, name in enumerate(("s0", "s1")):
                for threshold in (0.0, 2.0, 5.0):
                    mean, error = estimate(np.clip(drawn[rows, i] - threshold, 0.0, None))
                    exact = float(found.demand[name][k].value(np.array([threshold]))[0])
                    assert abs(exact - mean) <= 5 * error + 0.01 * max(mean, 0.1)

    def test_demand_that_never_varies_is_of_one_class(self) -> None:
        certain = {"process": "poisson", "nodes": {"s0": {"mean": 0.0}, "s1": {"mean": 0.0}}}
        assert loads(network(lost(demand=certain)).demand, ["s0", "s1"], 3).chances == pytest.approx([1.0])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coarse grids: a second instead of half a minute, and a lower bound."""
    monkeypatch.setattr(priced_warehouse, "WORK", 2e7)


@pytest.mark.usefixtures("quick")
class TestBound:
    def test_it_closes_most_of_the_gap_to_the_optimum_of_the_whole_network(self) -> None:
        history = [[0, 0]] * 4 + [[1, 0]] * 3 + [[0, 1]] * 3 + [[2, 2]] * 3 + [[3, 2]] * 2
        document = lost(demand={"process": "empirical", "nodes": ["s0", "s1"], "history": history})
        document["lanes"][0]["lead_time"] = 1
        joint = np.zeros((4, 3))
        for row in history:
            joint[tuple(row)] += 1 / len(history)
        optimum = least_cost(joint, (1.0, 1.0), (9.0, 9.0), 0.3, (9, 6))
        assert least_cost(joint, (1.0, 1.0), (9.0, 9.0), 0.3, (11, 7)) == pytest.approx(optimum, rel=1e-5)
        free, priced = (bound(name, document).value_per_stage for name in ("free_warehouse", "priced_warehouse"))
        assert free < priced < optimum
        assert priced - free > 0.5 * (optimum - free)

    def test_no_policy_costs_less_and_a_warehouse_that_is_free_says_less(self) -> None:
        document = lost(3, 2)
        free, priced = (bound(name, document).value_per_stage for name in ("free_warehouse", "priced_warehouse"))
        assert priced > 1.03 * free
        costs = [
            simulated(document, {"hub": total, "s0": level, "s1": level, "s2": level}, 1024)
            for total in (95.0, 98.0)
            for level in (17.0, 18.0)
        ]
        assert min(mean + 4 * error for mean, error in costs) > priced
        assert min(mean for mean, _ in costs) < 1.08 * priced

    def test_demand_in_whole_units(self) -> None:
        document = lost(demand={"process": "poisson", "nodes": {"s0": {"mean": 3.0}, "s1": {"mean": 5.0}}})
        free, priced = (bound(name, document) for name in ("free_warehouse", "priced_warehouse"))
        assert "approximations" not in priced.details
        assert priced.value_per_stage > 1.02 * free.value_per_stage
        prices = priced.details["prices"]
        assert prices["least"] < 0 < prices["most"]

    def test_costs_of_the_way_are_constants(self) -> None:
        """A unit that costs 2 on its way and is lost for 2 more: the same prices, 2 for every unit demanded."""
        demand = {"process": "poisson", "nodes": {"s0": {"mean": 3.0}, "s1": {"mean": 3.0}}}
        plain = bound("priced_warehouse", lost(demand=demand)).value_per_stage
        dear = lost(demand=demand)
        dear["lanes"][0]["unit_cost"] = 2.0
        for node in dear["nodes"][2:]:
            node["shortage_cost"] += 2.0
        assert bound("priced_warehouse", dear).value_per_stage == pytest.approx(plain + 2 * 6.0, rel=1e-6)

    def test_stopped_at_once_it_is_still_a_bound(self) -> None:
        net = network(lost(demand={"process": "poisson", "nodes": {"s0": {"mean": 3.0}, "s1": {"mean": 5.0}}}))
        early = METHODS["priced_warehouse"].value(net, lambda: True).value_per_stage
        assert early < METHODS["priced_warehouse"].value(net, never).value_per_stage

    def test_stores_that_are_alike_are_solved_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        solved = []
        whole = priced_warehouse._value
        monkeypatch.setattr(
            priced_warehouse, "_value", lambda part, *rest: solved.append(part.name) or whole(part, *rest)
        )
        demand = {"process": "poisson", "nodes": {f"s{k}": {"mean": 2.0 + (k == 2)} for k in range(4)}}
        bound("priced_warehouse", lost(4, demand=demand))
        assert solved == ["s0", "s2"] * 2  # a coarse bound first

    @pytest.mark.parametrize(
        ("document", "reason"),
        [
            (star(2, "backlogged", holding_cost=0.3), "must be lost"),
            (star(2, "lost"), "costs nothing"),
            (star(1, "lost", holding_cost=0.3), "two or more stores"),
            (lost(warmup_periods=0), "horizon is finite"),
            (star(2, "lost", correlation=-0.5, holding_cost=0.3), "negatively correlated"),
            (
                lost(
                    demand={
                        "process": "intermittent",
                        "nodes": {
                            s: {"probability": 0.3, "size_mean": 2.5, "size_variance": 0.0} for s in ("s0", "s1")
                        },
                    }
                ),
                "whole units",
            ),
        ],
    )
    def test_the_reason_against_it_is_given(self, document: dict[str, Any], reason: str) -> None:
        assert reason in refusal("priced_warehouse", document)

    def test_random_lead_times_are_refused(self) -> None:
        document = lost()
        document["lanes"][1] |= {"lead_time": 2, "random_lead_time": {"values": [1, 2], "probabilities": [0.5, 0.5]}}
        assert "random" in refusal("priced_warehouse", document)
