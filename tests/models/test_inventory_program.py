"""The replay contract: what the program plans, the simulator carries out at the same cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from models.inventory_network import PROBLEM
from models.inventory_network.instance import InventoryNetwork
from models.inventory_network.program import NetworkProgram, network_program
from models.inventory_network.simulator import NetworkSimulator
from models.program import MultistageProgram, Vector
from solvers.bounds import Replay, replay, reported_weights
from solvers.highs import HotProgram
from tests.models.networks import random_network

SCENARIOS = 6


class Planned:
    """Every scenario of an instance planned with its demand known, and replayed."""

    def __init__(self, document: dict[str, Any], scenarios: int = SCENARIOS, seed: int = 11) -> None:
        self.net = PROBLEM.parse(document)
        assert isinstance(self.net, InventoryNetwork)
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


@pytest.mark.parametrize("example", PROBLEM.examples, ids=lambda example: example.name)
def test_a_plan_costs_what_its_replay_costs(example: Any) -> None:
    planned = Planned(without_warmup(example.document()))
    np.testing.assert_allclose(planned.replayed, planned.values, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("example", PROBLEM.examples, ids=lambda example: example.name)
def test_with_a_free_warm_up_the_plan_is_a_lower_bound_on_its_replay(example: Any) -> None:
    planned = Planned(example.document())
    assert (planned.values <= planned.replayed + 1e-5 * (1 + np.abs(planned.replayed))).all()


@pytest.mark.parametrize("seed", range(60))
def test_a_plan_for_a_random_network_costs_what_its_replay_costs(seed: int) -> None:
    planned = Planned(random_network(seed))
    np.testing.assert_allclose(planned.replayed, planned.values, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_the_program_and_the_simulator_pass_through_the_same_states(seed: int) -> None:
    planned = Planned(random_network(seed))
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


@pytest.mark.parametrize("seed", range(0, 60, 4))
def test_any_decisions_are_feasible_in_the_program_at_the_simulators_cost(seed: int) -> None:
    """The program allows whatever the simulator allows, at no more than the simulator charges: it is a lower bound."""
    net = PROBLEM.parse(random_network(seed))
    assert isinstance(net, InventoryNetwork)
    simulator = NetworkSimulator(net).double()
    face = network_program(net)
    generator = torch.Generator().manual_seed(seed)
    state, noise = simulator.initial(4, generator), simulator.sample(4, generator)
    for stage in range(net.periods):
        asked = torch.rand(4, len(net.lanes), generator=generator, dtype=torch.float64) * 12
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
