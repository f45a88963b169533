"""The replay contract: what the program plans, the simulator carries out at the same cost."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from models.inventory_network import PROBLEM
from models.inventory_network.instance import InventoryNetwork
from models.inventory_network.program import NetworkProgram, network_program
from models.inventory_network.simulator import NetworkSimulator
from models.program import MultistageProgram, NoProgram, Vector
from solvers.bounds import Replay, replay, reported_weights
from solvers.highs import HotProgram
from tests.models.networks import random_network, rich_network

SCENARIOS = 6


class Planned:
    """Every scenario of an instance planned with its demand known, and replayed."""

    def __init__(self, document: dict[str, Any], scenarios: int = SCENARIOS, seed: int = 11) -> None:
        self.net = PROBLEM.parse(document)
        assert isinstance(self.net, InventoryNetwork)
        if any(lane.is_lumpy for lane in self.net.lanes):
            scenarios = min(scenarios, 2)  # a mixed-integer program each
        self.simulator = NetworkSimulator(self.net).double()
        generator = torch.Generator().manual_seed(seed)
        self.state = self.simulator.initial(scenarios, generator)
        self.noise = self.simulator.sample(scenarios, generator)
        self.face = network_program(self.net)
        self.weights = reported_weights(self.simulator)
        self.chained: MultistageProgram = self.face.horizon(self.weights)
        self.states, self.paths = self.face.state_vector(self.state), self.face.noise_path(self.noise)
        hot = HotProgram(self.chained.program)
        self.values = np.zeros(scenarios)
        self.x = np.zeros((scenarios, len(self.chained.program.columns)))
        for row in range(scenarios):
            hot.set_data(self.states[row], self.paths[row])
            self.values[row] = hot.solve().require("plan").value
            self.x[row] = hot.columns()
        self.done: Replay = replay(self.simulator, self.face, self.chained, self.x, self.state, self.noise)

    @property
    def replayed(self) -> Vector:
        return self.done.costs @ self.weights


def without_warmup(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "warmup_periods": 0}


# What chance lets arrive no linear program can say; its refusal has a test of its own.
PLANNABLE = [e for e in PROBLEM.examples if not any("random_lead_time" in lane for lane in e.document()["lanes"])]


@pytest.mark.parametrize("example", PLANNABLE, ids=lambda example: example.name)
def test_a_plan_costs_what_its_replay_costs(example: Any) -> None:
    planned = Planned(without_warmup(example.document()))
    np.testing.assert_allclose(planned.replayed, planned.values, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("example", PLANNABLE, ids=lambda example: example.name)
def test_with_a_free_warm_up_the_plan_is_a_lower_bound_on_its_replay(example: Any) -> None:
    planned = Planned(example.document())
    assert (planned.values <= planned.replayed + 1e-5 * (1 + np.abs(planned.replayed))).all()


@pytest.mark.parametrize("seed", range(60))
def test_a_plan_for_a_random_network_costs_what_its_replay_costs(seed: int) -> None:
    planned = Planned(random_network(seed))
    np.testing.assert_allclose(planned.replayed, planned.values, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("seed", range(60))
def test_a_plan_for_a_rich_network_costs_what_its_replay_costs(seed: int) -> None:
    """Exactly, or, where the program says that it lets goods or customers wait or go, no more."""
    planned = Planned(rich_network(seed, chance=False), scenarios=3)
    if loose(planned.face):
        assert (planned.values <= planned.replayed + 1e-5 * (1 + np.abs(planned.replayed))).all()
    else:
        np.testing.assert_allclose(planned.replayed, planned.values, rtol=1e-6, atol=1e-5)
        assert planned.done.breach <= 1e-6


def loose(face: NetworkProgram) -> list[str]:
    """What the program relaxes that can change what a plan costs: targets cannot, nor capacities kept at the start."""
    return [words for words in face.relaxes if "fill-rate" not in words and "storage capacity" not in words]


@pytest.mark.parametrize(
    "document", [*map(random_network, range(0, 60, 3)), *(rich_network(k, False) for k in range(8))]
)
def test_the_program_and_the_simulator_pass_through_the_same_states(document: dict[str, Any]) -> None:
    planned = Planned(document)
    if loose(planned.face):
        pytest.skip("the program is a relaxation")
    state = planned.states
    for stage in range(planned.net.periods):
        simulated = planned.face.state_vector(planned.done.states[stage])
        np.testing.assert_allclose(netted(planned.face, state), netted(planned.face, simulated), atol=1e-5)
        x = planned.chained.columns_of(planned.x, stage)
        noise = planned.face.noise_vector(planned.noise, stage)
        state = planned.face.stage(stage).following(x, state, noise)


def netted(face: NetworkProgram, state: Vector) -> Vector:
    """Backlog taken off stock: whether goods that land clear it now or as the next period begins is a tie."""
    nodes = face.layout.num_stocking
    net = state.copy()
    net[:, face.backlogged] -= state[:, nodes : nodes + len(face.backlogged)]
    return np.delete(net, np.arange(nodes, nodes + len(face.backlogged)), axis=1)


@pytest.mark.parametrize("rich", [False, True])
@pytest.mark.parametrize("seed", range(0, 60, 4))
def test_any_decisions_are_feasible_in_the_program_at_the_simulators_cost(seed: int, rich: bool) -> None:
    """The program allows whatever the simulator allows, at no more than the simulator charges: it is a lower bound.

    On lanes that are switched on, only orders that customers could ever ask for: rich networks ask no more.
    """
    net = PROBLEM.parse(rich_network(seed, chance=False) if rich else random_network(seed))
    assert isinstance(net, InventoryNetwork)
    simulator = NetworkSimulator(net).double()
    face = network_program(net)
    generator = torch.Generator().manual_seed(seed)
    state, noise = simulator.initial(4, generator), simulator.sample(4, generator)
    most = torch.tensor(3 * simulator.layout.lane_flow) if rich else 12.0
    for stage in range(net.periods):
        asked = torch.rand(4, len(net.lanes), generator=generator, dtype=torch.float64) * most
        decision = simulator.repair(state, type(planned_orders(face))(asked), stage)
        post, decided = simulator.decide(state, decision, stage)
        following, realized = simulator.realize(post, noise, stage)
        cost = sum(value.numpy() for costs in (decided, realized) for value in costs.components.values())
        program = face.stage(stage)
        hot = HotProgram(program)
        lanes = np.arange(len(net.lanes), dtype=np.int32)
        for row in range(4):
            orders = decision.quantity[row].numpy()
            hot.set_data(face.state_vector(state)[row], face.noise_vector(noise, stage)[row])
            hot.set_column_bounds(lanes, orders, orders)
            assert hot.solve().require("these orders").value <= cost[row] + 1e-6
        state = following


def planned_orders(face: Any) -> Any:
    return face.decision(np.zeros((1, len(face.stage(0).columns))), 0)


def test_orders_come_first_and_nothing_tiny_or_negative_reaches_a_planner() -> None:
    face = network_program(PROBLEM.parse(random_network(0)))
    assert all(name.startswith("order[") for name in face.stage(0).columns[: face.layout.num_lanes])
    x = np.full((1, len(face.stage(0).columns)), -1e-12)
    quantity = face.decision(x, 0).quantity
    assert (quantity == 0).all()
    assert not torch.signbit(quantity).any()


def lumpy_store(**lane: Any) -> dict[str, Any]:
    return {
        "problem": "inventory_network",
        "periods": 4,
        "nodes": [{"id": "plant", "kind": "supplier"}, {"id": "shop", "kind": "store", "shortage_cost": 4.0}],
        "lanes": [{"from": "plant", "to": "shop", "lead_time": 1, **lane}],
        "demand": {"process": "empirical", "nodes": ["shop"], "history": [[6.0]]},
    }


def test_what_a_solver_leaves_next_to_a_lot_or_to_nothing_is_put_there() -> None:
    face = network_program(PROBLEM.parse(lumpy_store(lot_multiple=4.0, fixed_order_cost=3.0)))
    stage = face.stage(0)
    x = np.zeros((2, len(stage.columns)))
    x[:, stage.column("order[plant,shop]")] = [7.9999999, 1e-7]
    x[:, stage.column("placed[plant,shop]")] = [0.9999999, 1e-9]
    assert face.decision(x, 0).quantity.tolist() == [[8.0], [0.0]]


def test_a_fixed_cost_and_a_lot_make_orders_few_and_whole() -> None:
    """Six a period, in lots of 4 at 5 an order, 0.5 a unit held: worked out by enumeration of all plans."""
    document = lumpy_store(lot_multiple=4.0, fixed_order_cost=5.0)
    document["nodes"][1] |= {"holding_cost": 0.5, "initial_on_hand": 6.0}
    planned = Planned(document, scenarios=1)

    def cost(lots: tuple[int, ...]) -> float:
        stock, spent = 6.0, 0.0
        for ordered in lots:
            left = max(stock - 6.0, 0.0)
            spent += 5.0 * (ordered > 0) + 0.5 * left + 4.0 * max(6.0 - stock, 0.0)
            stock = left + 4.0 * ordered
        return spent

    cheapest = min(cost(lots) for lots in itertools.product(range(7), repeat=4))
    assert planned.values[0] == pytest.approx(cheapest)
    assert planned.replayed[0] == pytest.approx(cheapest)


def test_what_is_decided_before_demand_is_orders_and_their_sizes() -> None:
    face = network_program(PROBLEM.parse(lumpy_store(lot_multiple=4.0, minimum_order=8.0)))
    names = [face.stage(0).columns[k] for k in face.here_and_now(0)]
    assert names == ["order[plant,shop]", "placed[plant,shop]", "lots[plant,shop]"]


def test_random_lead_times_have_no_program() -> None:
    times = {"values": [1, 2], "probabilities": [0.5, 0.5]}
    with pytest.raises(NoProgram, match="lead times"):
        network_program(PROBLEM.parse(lumpy_store(lead_time=2, random_lead_time=times)))


def test_a_plan_looks_as_far_as_an_order_reaches() -> None:
    """The way to the customer, the period of the sale, and then as long as an order lasts, five periods at least."""

    def lookahead(**lane: Any) -> int:
        return network_program(PROBLEM.parse(lumpy_store(**lane) | {"periods": 50})).lookahead

    assert lookahead(lead_time=4) == 4 + 1 + 5
    assert lookahead(lead_time=4, minimum_order=60.0) == 4 + 1 + 10
    (eight,) = (example for example in PROBLEM.examples if example.name == "eight-nodes-lost")
    # The longest way is 8 → 6 → 2 → 1, with a wait in front of every lane but the first.
    assert network_program(PROBLEM.parse(eight.document() | {"periods": 50})).lookahead == 0 + 1 + 11 + 1 + 5 + 1 + 5


def test_stages_are_alike_and_compiled_once() -> None:
    face = network_program(PROBLEM.parse(random_network(1)))
    assert face.stage(0) is face.stage(face.num_stages - 1)


def test_rows_and_columns_carry_the_planners_ids() -> None:
    document = {
        "problem": "inventory_network",
        "periods": 3,
        "nodes": [{"id": "plant", "kind": "supplier"}, {"id": "shop", "kind": "store", "shortage_cost": 4.0}],
        "lanes": [{"from": "plant", "to": "shop", "lead_time": 2}],
        "demand": {"process": "poisson", "nodes": {"shop": {"mean": 5}}},
    }
    stage = network_program(PROBLEM.parse(document)).stage(0)
    assert stage.columns[stage.column("order[plant,shop]")] == "order[plant,shop]"
    assert stage.rows[stage.row("balance[shop]")] == "balance[shop]"
    assert stage.states == ("incoming_on_hand[shop]", "under_way[plant,shop,1]")
    assert stage.noises == ("demand[shop]",)


def test_relaxations_of_a_rich_network_are_named() -> None:
    document = lumpy_store()
    shop = {
        "unmet_demand": "partial",
        "backlog_share": 0.5,
        "lost_sales_cost": 5.0,
        "shelf_life": 3,
        "fill_rate_target": 0.9,
    }
    document["nodes"][1] |= shop
    assert network_program(PROBLEM.parse(document)).relaxes == (
        "customers who wait may be kept waiting to serve new ones who would not wait",
        "perishable stock in its last period may be thrown away while younger stock is sold",
        "fill-rate targets are left out",
    )
    document["nodes"][1] |= {"lost_sales_cost": 4.0, "shelf_life": 1}
    assert network_program(PROBLEM.parse(document)).relaxes == ("fill-rate targets are left out",)


def test_relaxations_are_named() -> None:
    document = without_warmup(random_network(2))
    assert network_program(PROBLEM.parse(_bare(document))).relaxes == ()
    warm = network_program(PROBLEM.parse({**_bare(document), "warmup_periods": 2})).relaxes
    assert warm == ("where the warm-up is free, sales may be held back until the first reported period",)


def _bare(document: dict[str, Any]) -> dict[str, Any]:
    nodes = [{k: v for k, v in node.items() if k != "storage_capacity"} for node in document["nodes"]]
    for node in nodes:
        if node["kind"] == "store":
            node |= {"unmet_demand": "lost", "initial_on_hand": 3.0}
    return {**document, "nodes": nodes}


def test_a_store_that_supplies_others_makes_the_program_a_relaxation() -> None:
    """Keeping stock back from cheap customers for dear ones is a choice the simulator does not have."""
    document = {
        "problem": "inventory_network",
        "periods": 2,
        "nodes": [
            {"id": "plant", "kind": "supplier", "throughput_capacity": 0.0},
            {"id": "cheap", "kind": "store", "shortage_cost": 1.0, "initial_on_hand": 5.0},
            {"id": "dear", "kind": "store", "shortage_cost": 100.0},
        ],
        "lanes": [
            {"from": "plant", "to": "cheap", "lead_time": 1},
            {"from": "cheap", "to": "dear", "lead_time": 0, "capacity": 3.0},
        ],
        "demand": {"process": "empirical", "nodes": ["cheap", "dear"], "history": [[5.0, 3.0]]},
    }
    planned = Planned(document, scenarios=1)
    # Period 1: 3 to `dear`, 2 sold; the program then keeps those 2 back for `dear` in period 2.
    assert planned.values[0] == pytest.approx(5 + 5 + 100)
    # The simulator sells them in period 1, and there is nothing left to ship.
    assert planned.replayed[0] == pytest.approx(3 + 5 + 300)
    assert planned.done.breach == pytest.approx(2)
    assert planned.face.relaxes == ("a store that supplies others may keep stock back from its own customers",)
