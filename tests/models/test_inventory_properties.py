"""What holds on any inventory network, drawn at random with every feature of the JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.core import NetworkSize
from models.dynamics import concatenate
from models.inventory_network import PROBLEM
from models.inventory_network.instance import InventoryNetwork
from models.inventory_network.ordering import NOTHING
from models.inventory_network.simulator import Demand, NetworkSimulator, NetworkState, Orders
from tests.models.named_networks import network
from tests.models.networks import random_network, rich_network
from tests.models.plain_network import PlainNetwork

SEEDS = st.integers(0, 2**32 - 1)
EXTREMES = [0.0, -0.0, -1.0, 1e-9, 0.5, 1e6, 1e12, 1e30, -1e30]
PROPOSALS = st.lists(st.floats(-20, 60) | st.sampled_from(EXTREMES), min_size=1, max_size=40)


def quickly(examples: int) -> Any:
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


class Walk:
    """A few scenarios of a network under random orders, stage by stage."""

    def __init__(self, document: dict[str, Any], seed: int, batch: int = 4, double: bool = True) -> None:
        self.net: InventoryNetwork = network(document)
        self.simulator = NetworkSimulator(self.net)
        if double:
            self.simulator.double()
        self.generator = torch.Generator().manual_seed(seed)
        self.state = self.simulator.initial(batch, self.generator)
        self.noise = self.simulator.sample(batch, self.generator)

    def ask(self) -> Orders:
        shape = (self.state.batch, len(self.net.lanes))
        dice = torch.rand(shape, generator=self.generator, dtype=self.simulator.dtype)
        return Orders(15 * dice - 2)

    def __iter__(
        self,
    ) -> Iterator[tuple[int, NetworkState, Orders, NetworkState, dict[str, Tensor], dict[str, Tensor]]]:
        """Stage, state, feasible orders, next state, components and quantities of the whole stage."""
        for stage in range(self.net.periods):
            state, orders = self.state, self.simulator.repair(self.state, self.ask(), stage)
            post, decided = self.simulator.decide(state, orders, stage)
            self.state, realized = self.simulator.realize(post, self.noise, stage)
            components = {**decided.components, **realized.components}
            quantities = {**decided.quantities, **realized.quantities}
            self.places = {**decided.places, **realized.places}
            yield stage, state, orders, self.state, components, quantities


@quickly(40)
@given(seed=SEEDS)
def test_the_simulator_agrees_with_a_plain_loop_over_batches_of_goods(seed: int) -> None:
    walk = Walk(rich_network(seed), seed, batch=2)
    simulator, lanes = walk.simulator, [(lane.source, lane.target) for lane in walk.net.lanes]
    random_lanes = [lane for lane, described in zip(lanes, walk.net.lanes, strict=True) if described.random_lead_time]
    plain = [PlainNetwork(walk.net) for _ in range(2)]
    for stage, _, orders, following, components, _ in walk:
        for row, scenario in enumerate(plain):
            struck = dict(zip(simulator.store_ids, walk.noise.demand[row, stage].tolist(), strict=True))
            uniforms = dict(zip(random_lanes, walk.noise.delay[row, stage].tolist(), strict=True))
            costs = scenario.period(dict(zip(lanes, orders.quantity[row].tolist(), strict=True)), struck, uniforms)
            for name in {*costs, *components}:
                here = float(components[name][row]) if name in components else 0.0
                assert here == pytest.approx(costs.get(name, 0.0), rel=1e-9, abs=1e-9), name
            stock = dict(zip(simulator.places, following.net_inventory[row].tolist(), strict=True))
            assert stock == pytest.approx({place: scenario.net_inventory(place) for place in stock}, abs=1e-9)
            ages = [scenario.lasting(*place) for place in simulator.ageing.layout_of_columns]
            assert following.aging[row].tolist() == pytest.approx(ages, abs=1e-9)
            slots = zip(simulator.layout.slot_lane.tolist(), simulator.layout.slot_arrival.tolist(), strict=True)
            under_way = [scenario.under_way[lanes[lane]].get(arrival, 0.0) for lane, arrival in slots]
            assert following.pipeline[row].tolist() == pytest.approx(under_way, abs=1e-9)


@quickly(40)
@given(seed=SEEDS)
def test_goods_are_conserved(seed: int) -> None:
    """What suppliers send is sold, outdated, in stock or on its way; waiting customers count as stock owed."""
    walk = Walk(rich_network(seed), seed)
    from_suppliers = torch.from_numpy(walk.simulator.layout.source >= walk.simulator.num_nodes)
    for _, state, orders, following, _, quantities in walk:
        before = state.net_inventory.sum(1) + state.pipeline.sum(1)
        after = following.net_inventory.sum(1) + following.pipeline.sum(1)
        sent = orders.quantity[:, from_suppliers].sum(1)
        gone = quantities["demand"] - quantities["lost"] + quantities.get("outdated", torch.zeros_like(sent))
        torch.testing.assert_close(after, before + sent - gone, rtol=1e-12, atol=1e-9)


@quickly(20)
@given(seed=SEEDS)
def test_figures_by_node_add_up_to_the_networks(seed: int) -> None:
    walk = Walk(rich_network(seed), seed)
    for _, _, _, _, components, quantities in walk:
        for name, value in (components | quantities).items():
            torch.testing.assert_close(walk.places[name].sum(1), value, rtol=1e-12, atol=1e-9)


@quickly(40)
@given(seed=SEEDS)
def test_ages_are_in_order_and_within_the_stock(seed: int) -> None:
    walk = Walk(rich_network(seed), seed)
    for _, _, _, following, _, _ in walk:
        on_hand = dict(zip(walk.simulator.places, following.net_inventory.clamp_min(0).unbind(1), strict=True))
        for k, (store, age) in enumerate(walk.simulator.ageing.layout_of_columns):
            least = following.aging[:, k - 1] if age > 1 else torch.zeros_like(following.aging[:, k])
            assert (following.aging[:, k] >= least).all()
            assert (following.aging[:, k] <= on_hand[store]).all()


@quickly(60)
@given(seed=SEEDS, proposal=PROPOSALS, double=st.booleans())
def test_any_proposal_becomes_feasible_and_feasible_orders_stay(seed: int, proposal: list[float], double: bool) -> None:
    walk = Walk(rich_network(seed), seed, batch=3, double=double)
    eps = torch.finfo(walk.simulator.dtype).eps
    lanes = len(walk.net.lanes)
    asked = torch.tensor((proposal * lanes)[:lanes], dtype=walk.simulator.dtype).expand(3, -1)
    for stage, _, _, following, _, _ in walk:
        orders = walk.simulator.repair(following, Orders(asked), stage)
        size = 1.0 + float(orders.quantity.abs().max())
        assert float(walk.simulator.violation(following, orders, stage).max()) <= max(100 * eps, 1e-9) * size
        again = walk.simulator.repair(following, orders, stage)
        torch.testing.assert_close(again.quantity, orders.quantity, rtol=100 * eps, atol=100 * eps * size)


@quickly(6)
@given(seed=SEEDS)
def test_every_family_decides_feasibly(seed: int) -> None:
    walk = Walk(rich_network(seed), seed, double=False)
    torch.manual_seed(seed % 1000)
    for family in PROBLEM.families:
        if family.refuses(walk.net) is None:
            policy = family.build(walk.net, walk.simulator, NetworkSize(4, 1))
            state = walk.simulator.initial(4, walk.generator)
            for stage in range(3):
                orders = policy(state, stage)
                assert float(walk.simulator.violation(state, orders, stage).max().detach()) <= 1e-4
                post, _ = walk.simulator.decide(state, orders, stage)
                state, _ = walk.simulator.realize(post, walk.noise, stage)


@quickly(25)
@given(seed=SEEDS)
def test_a_scenario_alone_goes_as_it_goes_in_the_batch(seed: int) -> None:
    walk = Walk(rich_network(seed), seed)
    simulator, asked = walk.simulator, walk.ask()
    state, noise = walk.state, walk.noise
    for stage in range(walk.net.periods):
        orders = simulator.repair(state, asked, stage)
        post, decided = simulator.decide(state, orders, stage)
        following, realized = simulator.realize(post, noise, stage)
        alone = [one_row(simulator, state, asked, noise, stage, row) for row in range(state.batch)]
        together = concatenate([found for found, _ in alone])
        for name, value in vars(following).items():
            torch.testing.assert_close(getattr(together, name), value, rtol=1e-12, atol=1e-12)
        costs = torch.cat([cost for _, cost in alone])
        torch.testing.assert_close(
            costs, sum_of(decided.components) + sum_of(realized.components), rtol=1e-12, atol=1e-9
        )
        state = following


def one_row(
    simulator: NetworkSimulator, state: NetworkState, asked: Orders, noise: Demand, stage: int, row: int
) -> tuple[NetworkState, Tensor]:
    """A stage of one scenario by itself, and what it costs."""
    index = slice(row, row + 1)
    orders = simulator.repair(state.rows(index), asked.rows(index), stage)
    post, decided = simulator.decide(state.rows(index), orders, stage)
    following, realized = simulator.realize(post, noise.rows(index), stage)
    return following, sum_of(decided.components) + sum_of(realized.components)


def sum_of(components: Any) -> Tensor:
    return sum(components.values(), torch.zeros((), dtype=torch.float64))


def smooth(document: dict[str, Any]) -> dict[str, Any]:
    """The network without what makes orders jump."""
    jumps = ("fixed_order_cost", "minimum_order", "lot_multiple")
    lanes = [{name: value for name, value in lane.items() if name not in jumps} for lane in document["lanes"]]
    return {name: value for name, value in document.items() if name != "integer_orders"} | {"lanes": lanes}


@quickly(25)
@given(seed=SEEDS)
def test_gradients_agree_with_finite_differences(seed: int) -> None:
    """Of the whole horizon's cost in each lane's order level, away from kinks: where both one-sided slopes agree."""
    walk = Walk(smooth(rich_network(seed)), seed)
    simulator, lanes = walk.simulator, len(walk.net.lanes)
    shape = (walk.net.periods, 4, lanes)
    factors = 0.3 + torch.rand(shape, generator=walk.generator, dtype=torch.float64)
    base = 3 + 4 * torch.rand(lanes, generator=walk.generator, dtype=torch.float64)

    def cost(level: Tensor) -> Tensor:
        state, total = walk.state, torch.zeros((), dtype=torch.float64)
        for stage in range(walk.net.periods):
            orders = simulator.repair(state, Orders(level * factors[stage]), stage)
            post, decided = simulator.decide(state, orders, stage)
            state, realized = simulator.realize(post, walk.noise, stage)
            total = total + (sum_of(decided.components) + sum_of(realized.components)).sum()
        return total

    point = base.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cost(point), point)
    step, compared = 1e-6, 0
    with torch.no_grad():
        here = cost(base)
        for lane in range(lanes):
            nudge = step * torch.eye(lanes, dtype=torch.float64)[lane]
            up, down = float(cost(base + nudge) - here) / step, float(here - cost(base - nudge)) / step
            if abs(up - down) <= 1e-4 * (1 + abs(up)):
                compared += 1
                assert float(gradient[lane]) == pytest.approx((up + down) / 2, rel=1e-4, abs=1e-4)
    assume(compared > 0)


@quickly(25)
@given(seed=SEEDS)
def test_training_sees_through_jumps(seed: int) -> None:
    """Values are exact and gradients finite, whatever is rounded, dropped or charged once."""
    walk = Walk(rich_network(seed), seed)
    simulator = walk.simulator
    asked = walk.ask().quantity.requires_grad_()
    orders = simulator.repair(walk.state, Orders(asked), 0)
    post, decided = simulator.decide(walk.state, orders, 0)
    _, realized = simulator.realize(post, walk.noise, 0)
    total = (sum_of(decided.components) + sum_of(realized.components)).sum()
    if total.requires_grad:
        total.backward()
        assert torch.isfinite(asked.grad).all()
    fixed = torch.tensor([lane.fixed_order_cost for lane in walk.net.lanes], dtype=torch.float64)
    placed = (orders.quantity.detach() > NOTHING).double() @ fixed
    charged = decided.components.get("fixed_order", torch.zeros(4, dtype=torch.float64)).detach()
    torch.testing.assert_close(charged, placed, rtol=1e-12, atol=0.0)


@quickly(60)
@given(seed=SEEDS, rich=st.booleans())
def test_documents_survive_being_written_and_read(seed: int, rich: bool) -> None:
    net = network(rich_network(seed) if rich else random_network(seed))
    written = net.document()
    again = PROBLEM.parse(json.loads(json.dumps(written)))
    assert again.document() == written
    assert again.digest == net.digest
