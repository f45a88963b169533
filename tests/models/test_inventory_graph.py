"""The graph network: one set of weights for every network, and nothing said where there is no lane."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks import reference_loop
from models.core import NetworkSize
from models.inventory_network.examples import transshipment
from models.inventory_network.policies.graph import Constants, GraphPolicy
from models.inventory_network.policies.graph_features import ARRIVALS, DynamicFeatures, GraphIndex
from models.inventory_network.policies.symmetric import SymmetricPolicy
from models.inventory_network.policy import nearly_positive
from models.inventory_network.simulator import NetworkSimulator, NetworkState, Orders
from models.message_passing import LaneSum
from models.networks import by_columns, perceptron, read_each
from solvers.hdpo import average_cost
from tests.models.named_networks import EXAMPLES, diamond, network, random_orders
from tests.models.networks import random_network

NETWORKS = {name: build() for name, build in EXAMPLES.items()}
NETWORKS |= {f"random-{seed}": random_network(seed) for seed in range(12)}
NETWORKS |= {"diamond": diamond(), "diamond-after": diamond("after_decision")}


def policy_of(document: dict[str, Any], seed: int = 0) -> GraphPolicy:
    """A graph network of the document, every weight random, in float64."""
    simulator = NetworkSimulator(network(document)).double()
    torch.manual_seed(seed)
    policy = GraphPolicy(simulator, NetworkSize(width=6)).double()
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, dtype=torch.float64))
    return policy


def states_of(policy: GraphPolicy, batch: int = 5, stages: int = 3) -> NetworkState:
    """States that random orders lead to."""
    simulator, generator = policy.simulator, torch.Generator().manual_seed(1)
    decide, state = random_orders(simulator, generator), simulator.initial(batch, generator)
    noise = simulator.sample(batch, generator)
    for stage in range(stages):
        post, _ = simulator.decide(state, decide(state), stage)
        state, _ = simulator.realize(post, noise, stage)
    return state


class TestOneSetOfWeights:
    def test_no_network_changes_the_parameters(self):
        shapes = {
            name: {key: tuple(value.shape) for key, value in policy_of(document).state_dict().items()}
            for name, document in NETWORKS.items()
        }
        assert all(shape == shapes["one-store-lost"] for shape in shapes.values())

    @pytest.mark.parametrize("name", NETWORKS)
    def test_weights_of_one_network_decide_feasibly_on_every_other(self, name):
        policy = policy_of(NETWORKS[name], seed=3)
        policy.load_state_dict(policy_of(NETWORKS["eight-nodes-lost"], seed=4).state_dict())
        state = states_of(policy)
        decision = policy(state, 1)
        assert decision.quantity.isfinite().all()
        assert float(policy.simulator.violation(state, decision, 1).max().detach()) < 1e-9

    @pytest.mark.parametrize("name", ["serial-backlogged", "eight-nodes-backlog", "diamond"])
    def test_every_weight_is_learned(self, name):
        policy = policy_of(NETWORKS[name])
        simulator, generator = policy.simulator, torch.Generator().manual_seed(2)
        cost = average_cost(simulator, policy, simulator.initial(64, generator), simulator.sample(64, generator))
        gradients = torch.autograd.grad(cost, list(policy.parameters()))
        assert all(gradient.isfinite().all() and gradient.abs().max() > 0 for gradient in gradients)


class TestNodeOrder:
    @pytest.mark.parametrize("name", ["diamond", "eight-nodes-lost", "random-4", "random-7", "random-11"])
    def test_naming_nodes_and_lanes_in_another_order_changes_no_decision(self, name):
        document = NETWORKS[name]
        shuffled = copy.deepcopy(document)
        rng = np.random.default_rng(5)
        rng.shuffle(shuffled["nodes"])
        rng.shuffle(shuffled["lanes"])
        first, second = policy_of(document), policy_of(shuffled)
        state = states_of(first)
        moved = _rearranged(state, first.simulator, second.simulator)
        decided = _by_lane(first, first(state, 1)), _by_lane(second, second(moved, 1))
        for lane, quantity in decided[0].items():
            torch.testing.assert_close(quantity, decided[1][lane])


def _by_lane(policy: GraphPolicy, orders: Orders) -> dict[tuple[str, str], Tensor]:
    lanes = policy.simulator.layout.lanes
    return {(lane.source, lane.target): orders.quantity[:, k] for k, lane in enumerate(lanes)}


def _rearranged(state: NetworkState, old: NetworkSimulator, new: NetworkSimulator) -> NetworkState:
    """The same stock and goods under way in the order of another simulator of the network."""
    stock = [old.layout.index(node) for node in new.places]
    places = {}
    for k, (lane, arrival) in enumerate(zip(old.layout.slot_lane, old.layout.slot_arrival, strict=True)):
        places[old.layout.lanes[lane].source, old.layout.lanes[lane].target, int(arrival)] = k
    slots = [
        places[new.layout.lanes[lane].source, new.layout.lanes[lane].target, int(arrival)]
        for lane, arrival in zip(new.layout.slot_lane, new.layout.slot_arrival, strict=True)
    ]
    return NetworkState(state.net_inventory[:, stock], state.pipeline[:, slots], state.aging, state.memory)


class TestOnlyLanesSpeak:
    def test_two_networks_without_a_lane_between_them_do_not_hear_of_each_other(self):
        both = _beside_itself(EXAMPLES["dc-two-stores"]())
        policy = policy_of(both)
        state = states_of(policy)
        here = [k for k, node in enumerate(policy.simulator.places) if node.startswith("other-")]
        changed = state.net_inventory.clone()
        changed[:, here] += 3.0
        other = NetworkState(changed, state.pipeline, state.aging, state.memory)
        before, after = _by_lane(policy, policy(state, 1)), _by_lane(policy, policy(other, 1))
        own = [lane for lane in before if not lane[1].startswith("other-")]
        assert all(torch.equal(before[lane], after[lane]) for lane in own)
        assert any(not torch.equal(before[lane], after[lane]) for lane in before if lane not in own)

    def test_and_decide_as_each_would_alone(self):
        alone = EXAMPLES["dc-two-stores"]()
        one, two = policy_of(alone), policy_of(_beside_itself(alone))
        single, double = (policy.simulator.initial(4, torch.Generator()) for policy in (one, two))
        expected, found = _by_lane(one, one(single, 1)), _by_lane(two, two(double, 1))
        for (source, target), quantity in expected.items():
            torch.testing.assert_close(found[source, target], quantity)
            torch.testing.assert_close(found[f"other-{source}", f"other-{target}"], quantity)

    def test_a_store_hears_of_its_own_warehouse_only(self):
        """Two warehouses, three stores: the first store has one supplier, the second both, the third the other."""
        document = EXAMPLES["dc-two-stores"]()
        store = document["nodes"][2]
        document["nodes"] += [{"id": "dc2", "kind": "warehouse", "initial_on_hand": 20}, store | {"id": "s3"}]
        document["lanes"] += [
            {"from": "plant", "to": "dc2", "lead_time": 1},
            {"from": "dc2", "to": "s2", "lead_time": 0},
            {"from": "dc2", "to": "s3", "lead_time": 4},
        ]
        document["demand"]["nodes"]["s3"] = {"mean": 3.0, "std": 1.0}
        policy = policy_of(document)
        state = states_of(policy)
        stock = state.net_inventory.clone()
        stock[:, policy.simulator.layout.index("dc2")] += 5.0
        policy.leftover.forward = lambda state, wanted, *_: wanted  # what s2 leaves at dc is of use to s1
        asked = _by_lane(policy, policy.propose(state, 1))
        heard = _by_lane(policy, policy.propose(NetworkState(stock, state.pipeline, state.aging, state.memory), 1))
        differs = {lane: not torch.equal(asked[lane], heard[lane]) for lane in asked}
        assert not differs["dc", "s1"]
        assert differs["dc2", "s2"]
        assert differs["dc2", "s3"]
        assert differs["dc", "s2"], "a store with two suppliers asks each in view of both"


def _beside_itself(document: dict[str, Any]) -> dict[str, Any]:
    """The network and a copy of it, no lane between them, demand independent of each other or not alike for both."""
    twin = copy.deepcopy(document)
    for node in document["nodes"]:
        twin["nodes"].append(node | {"id": f"other-{node['id']}"})
    for lane in document["lanes"]:
        twin["lanes"].append(lane | {"from": f"other-{lane['from']}", "to": f"other-{lane['to']}"})
    for name, law in document["demand"]["nodes"].items():
        twin["demand"]["nodes"][f"other-{name}"] = law
    return twin


class TestFusedMessages:
    """The tensors of the policy against a loop over nodes and lanes."""

    @pytest.mark.parametrize("few", [8, 0])
    @pytest.mark.parametrize("name", ["diamond", "dc-two-stores", "eight-nodes-backlog", "random-6", "random-9"])
    def test_a_loop_over_lanes_asks_the_same(self, name, few, monkeypatch):
        monkeypatch.setattr("models.inventory_network.policies.leftover.FEW", few)
        policy = policy_of(NETWORKS[name])
        state = states_of(policy)
        torch.testing.assert_close(policy.propose(state, 2).quantity, looped_proposal(policy, state, 2))

    @pytest.mark.parametrize("receivers", [3, 40])
    def test_sums_over_lanes_few_and_many(self, receivers):
        torch.manual_seed(0)
        edges = torch.stack((torch.randint(5, (60,)), torch.randint(receivers, (60,))))
        weight, said = torch.rand(60), torch.randn(4, 5, 7)
        heard = LaneSum(edges, weight, (5, receivers))(said)
        expected = torch.zeros(4, receivers, 7)
        for k, (source, target) in enumerate(edges.t().tolist()):
            expected[:, target] += weight[k] * said[:, source]
        torch.testing.assert_close(heard, expected)

    def test_a_network_on_columns_is_the_network_on_rows(self):
        torch.manual_seed(0)
        network = perceptron(3, 5, 2, 2).double()
        nn.init.normal_(network[-1].weight)
        values = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
        torch.testing.assert_close(by_columns(network, values), network(values.t()).t())
        assert torch.autograd.gradcheck(lambda x: by_columns(network, x), (values,))
        weights = list(network.parameters())
        found = torch.autograd.grad(by_columns(network, values).square().sum(), weights)
        torch.testing.assert_close(found, torch.autograd.grad(network(values.t()).square().sum(), weights))

    @pytest.mark.parametrize("depth", [1, 2, 3])
    def test_a_perceptron_on_columns_has_the_right_gradients_alone_and_mapped(self, depth):
        torch.manual_seed(0)
        network = perceptron(4, 3, depth, 2).double()
        shapes = {name: value.shape for name, value in network.named_parameters()}
        weights = {name: torch.randn(3, *shape).double() for name, shape in shapes.items()}
        values = 3.0 * torch.randn(3, 4, 5).double()

        class Columns(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = network

            def forward(self, values: Tensor) -> Tensor:
                return by_columns(self.inner, values)

        def cost(weights: dict[str, Tensor], values: Tensor) -> Tensor:
            named = {f"inner.{name}": value for name, value in weights.items()}
            return torch.func.functional_call(Columns(), named, (values,)).square().sum()

        mapped = torch.func.vmap(torch.func.grad(cost, (0, 1)))(weights, values)
        for k in range(3):
            with torch.no_grad():
                for name, value in network.named_parameters():
                    value.copy_(weights[name][k])
            own = values[k].clone().requires_grad_()
            assert torch.autograd.gradcheck(lambda x: by_columns(network, x), (own,))
            expected = torch.autograd.grad(network(own.t()).square().sum(), [own, *network.parameters()])
            torch.testing.assert_close(mapped[1][k], expected[0])
            torch.testing.assert_close([mapped[0][name][k] for name in shapes], list(expected[1:]))

    def test_rows_read_by_their_own_weights_have_the_right_gradients(self):
        weight = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
        values = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)
        torch.testing.assert_close(read_each(weight, values), (weight[..., None] * values).sum(0))
        assert torch.autograd.gradcheck(read_each, (weight, values))


def looped_proposal(policy: GraphPolicy, state: NetworkState, stage: int) -> Tensor:
    """What the policy asks for, node by node and lane by lane."""
    simulator, lay = policy.simulator, policy.simulator.layout
    graph, flow = GraphIndex(simulator), np.maximum(lay.lane_flow, 1e-9)
    known: Constants = policy.constants(torch.tensor([float(stage)], dtype=torch.float64))
    inputs, gap = policy.dynamic(state, known.level)
    columns = policy.dynamic.columns

    def bend(x: Tensor) -> Tensor:
        return x * (x + 3).clamp(0, 6) / 6

    told = {
        node: bend(policy.enter.weight[:, columns] @ inputs[:, node] + known.enter[:, node])
        for node in range(graph.num_nodes)
    }
    into = {node: np.flatnonzero(lay.target == node) for node in range(lay.num_stocking)}
    place = {node: k for k, node in enumerate(graph.nodes.tolist())}
    for _ in range(max(policy.rounds, 1)):
        new = {}
        for node, own in told.items():
            heard = policy.keep.weight @ own
            mine = int(graph.nodes[node])
            for k in into.get(mine, []):
                if int(lay.source[k]) in place:
                    share = flow[k] / flow[into[mine]].sum()
                    heard = heard + share * (policy.speak_down.weight @ told[place[int(lay.source[k])]])
            below = np.flatnonzero(lay.source == mine)
            for k in below:
                share = flow[k] / flow[below].sum()
                heard = heard + share * (policy.speak_up.weight @ told[int(lay.target[k])])
            new[node] = own + bend(heard + known.round[:, node])
        told = new
    asked = []
    for lane, (source, target) in enumerate(zip(lay.source.tolist(), lay.target.tolist(), strict=True)):
        k = int(policy.rank[lane])  # where the policy's constants keep the lane
        pair = policy.ask_target.weight @ told[target] + known.ask[:, k]
        if source in place:
            pair = pair + policy.ask_source.weight @ told[place[source]]
        answer = policy.answer[0] @ bend(pair) + (known.read[:, k] * told[target]).sum(0)
        wanted = known.slope[k] * gap[target] + known.shift[k] + answer
        asked.append(max(lay.lane_flow[lane], 1e-3) * nearly_positive(wanted))
    return looped_sharing(policy, state, known, torch.stack(asked, dim=1))


def looped_sharing(policy: GraphPolicy, state: NetworkState, known: Constants, asked: Tensor) -> Tensor:
    """What is asked [units] once every sender's surplus or shortage is shared, sender by sender."""
    lay, graph = policy.simulator.layout, GraphIndex(policy.simulator)
    supply, shared = policy.simulator.supply(state), asked.clone()
    for node in graph.nodes[graph.senders].tolist():
        lanes = np.flatnonzero(lay.source == node)
        left = supply[:, node] - asked[:, lanes].sum(1)
        for lane in lanes.tolist():
            k = int(policy.rank[lane])
            part = torch.where(left > 0, known.surplus[k].sum(), known.shortage[k].sum())  # the sender's column
            shared[:, lane] += max(lay.lane_flow[lane], 1e-3) * part * left
    return shared.clamp_min(0.0)


class TestLeftover:
    """What suppliers have left over, or lack, once every lane has asked."""

    @pytest.mark.parametrize("name", ["dc-two-stores", "diamond", "eight-nodes-lost", "random-6", "random-9"])
    def test_shares_of_a_unit_add_up_to_the_part_given_out(self, name):
        policy = policy_of(NETWORKS[name])
        leftover, lay = policy.leftover, policy.simulator.layout
        change, parts = torch.randn(lay.num_lanes, 1).double(), torch.rand(2, leftover.num_senders, 1).double()
        surplus, shortage = leftover.per_unit(change, parts[0], parts[1])
        units = torch.stack((surplus, shortage)).flatten(2).sum(2) * leftover.scale[:, 0]
        given = torch.zeros(2, leftover.num_senders + 1).double().index_add(1, leftover.lane_sender, units)
        torch.testing.assert_close(given[0, :-1], (leftover.push + parts[0])[:, 0])
        torch.testing.assert_close(given[1, :-1], (1.0 + parts[1])[:, 0])
        assert (given[:, -1] == 0).all()

    @pytest.mark.parametrize("name", ["dc-two-stores", "diamond", "eight-nodes-lost"])
    def test_lanes_from_suppliers_without_a_limit_ask_what_they_asked(self, name):
        policy = policy_of(NETWORKS[name])
        state, lay = states_of(policy), policy.simulator.layout
        shared = policy.propose(state, 1).quantity
        policy.leftover.forward = lambda state, wanted, *_: wanted
        alone = policy.propose(state, 1).quantity
        free = [
            node.kind == "supplier" and node.throughput_capacity is None
            for node in (lay.nodes[source] for source in lay.source.tolist())
        ]
        assert any(free)
        assert torch.equal(shared[:, free], alone[:, free])
        assert not torch.equal(shared, alone)

    def test_a_limited_supplier_shares_its_capacity(self):
        """Capacity 6, ten units wanted by two lanes alike in spread and flow: each gives up two."""
        document = EXAMPLES["dc-two-stores"]()
        document["nodes"][0]["throughput_capacity"] = 6.0
        for lane in document["lanes"]:
            lane["from"], lane["lead_time"] = "plant", 2
        document["nodes"] = [node for node in document["nodes"] if node["id"] != "dc"]
        document["lanes"] = [lane for lane in document["lanes"] if lane["to"] != "dc"]
        document["demand"]["nodes"] = {name: {"mean": 4.0, "std": 1.0} for name in ("s1", "s2")}
        simulator = NetworkSimulator(network(document)).double()
        policy = GraphPolicy(simulator, NetworkSize(width=6)).double()
        asked = torch.tensor([[7.0], [3.0]], dtype=torch.float64) / 4.0
        none = torch.zeros(1, 1, dtype=torch.float64)
        known = policy.leftover.per_unit(torch.zeros(2, 1).double(), none, none)
        shared = policy.leftover(simulator.initial(1, torch.Generator()), asked, *known)
        expected = torch.tensor([[5.0], [1.0]], dtype=torch.float64)
        torch.testing.assert_close(4.0 * shared, expected, rtol=1e-5, atol=1e-5)

    def test_its_gradient_is_right_in_stock_orders_and_weights(self):
        policy = policy_of(NETWORKS["diamond"])
        state, leftover = states_of(policy), policy.leftover

        def shared(stock: Tensor, wanted: Tensor, change: Tensor, parts: Tensor) -> Tensor:
            known = leftover.per_unit(change, parts[0], parts[1])
            moved = NetworkState(stock, state.pipeline, state.aging, state.memory)
            return leftover(moved, wanted, *known)

        lanes, batch = len(leftover.scale), state.batch
        inputs = (
            state.net_inventory.detach(),
            torch.rand(lanes, batch).double(),
            torch.randn(lanes, 1).double(),
            torch.rand(2, leftover.num_senders, 1).double(),
        )
        assert torch.autograd.gradcheck(shared, [value.clone().requires_grad_() for value in inputs])

    @pytest.mark.parametrize("family", [GraphPolicy, SymmetricPolicy])
    def test_where_keeping_is_dear_the_warehouse_ships_all_it_has_in_step_with_spread(self, family):
        """Untrained and with no store above its level, stores reach one and the same safety factor."""
        document = transshipment(4, holding_cost=2.0)
        simulator = NetworkSimulator(network(document))
        policy = family(simulator, NetworkSize(width=6))
        start, lay = simulator.initial(1, torch.Generator()), simulator.layout
        stock = start.net_inventory.clone()
        stock[:, 4:] = 60.0
        state = NetworkState(stock, start.pipeline, start.aging, start.memory)
        orders = policy(state, 0).quantity[0].detach()
        into = {int(lay.target[k]): orders[k] for k in range(lay.num_lanes)}
        factors = [float((into[k] + stock[0, k] - 5 * lay.flow[k]) / lay.flow_std[k]) for k in range(4)]
        torch.testing.assert_close(sum(into[k] for k in range(4)), torch.tensor(60.0))
        torch.testing.assert_close(torch.tensor(factors), torch.full((4,), factors[0]), rtol=1e-3, atol=1e-3)

    def test_where_keeping_is_cheap_nothing_is_pushed(self):
        policy = GraphPolicy(NetworkSimulator(network(transshipment(4, holding_cost=0.5))), NetworkSize(width=6))
        assert (policy.leftover.push == 0).all()


class TestFeatures:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_stock_and_arrivals_add_up_to_the_position_at_the_right_times(self, name):
        policy = policy_of(NETWORKS[name])
        dynamic: DynamicFeatures = policy.dynamic
        state, lay = states_of(policy), policy.simulator.layout
        own = dynamic._own(state)
        knots = torch.tensor([0.0, *(float(ARRIVALS[int(c) - 2]) for c in dynamic.columns[2 : 1 + len(own)])])
        position, due = state.net_inventory.clone(), torch.zeros_like(state.net_inventory)
        for slot, (lane, arrival) in enumerate(zip(lay.slot_lane, lay.slot_arrival, strict=True)):
            position[:, lay.target[lane]] += state.pipeline[:, slot]
            due[:, lay.target[lane]] += int(arrival) * state.pipeline[:, slot]
        torch.testing.assert_close(own.sum(0).t(), position)
        torch.testing.assert_close((knots[:, None, None].double() * own).sum(0).t(), due)

    @pytest.mark.parametrize("lead_time", [0, 1, 2, 7, 30, 200])
    def test_any_lead_time_is_told_by_the_same_features(self, lead_time):
        document = EXAMPLES["one-store-backlogged"]()
        document["lanes"][0]["lead_time"] = lead_time
        document |= {"periods": 250, "warmup_periods": 10}
        policy = policy_of(document)
        state = states_of(policy)
        assert policy(state, 1).quantity.isfinite().all()
        assert len(policy.enter.weight[0]) == len(policy_of(diamond()).enter.weight[0])

    @pytest.mark.parametrize("name", ["serial-backlogged", "diamond", "eight-nodes-lost", "random-6"])
    def test_the_gap_is_what_the_echelon_lacks(self, name):
        """The echelon of a node counts of every node below the share of its flow that passes through the node."""
        policy = policy_of(NETWORKS[name])
        state, lay = states_of(policy), policy.simulator.layout
        level = torch.rand(lay.num_stocking, 1, dtype=torch.float64)
        _, gap = policy.dynamic(state, level)
        position = policy.dynamic._own(state).sum(0)
        lane_flow = np.maximum(lay.lane_flow, 1e-9)
        passing = torch.zeros(lay.num_stocking, lay.num_stocking, dtype=torch.float64)
        for k, (source, target) in enumerate(zip(lay.source.tolist(), lay.target.tolist(), strict=True)):
            if source < lay.num_stocking:
                passing[source, target] = lane_flow[k] / lane_flow[lay.target == target].sum()
        shares = torch.linalg.inv(torch.eye(lay.num_stocking, dtype=torch.float64) - passing)
        mean = torch.tensor(np.maximum(lay.flow[: lay.num_stocking], 1e-3))[:, None]
        torch.testing.assert_close(gap, level - shares @ position / mean, rtol=1e-6, atol=1e-6)

    def test_untrained_it_orders_up_to_an_echelon_level_what_there_is(self):
        simulator = NetworkSimulator(network(EXAMPLES["serial-backlogged"]())).double()
        policy = GraphPolicy(simulator, NetworkSize()).double()
        state = states_of(policy)
        lay = simulator.layout
        position = state.net_inventory.clone()
        for slot, lane in enumerate(lay.slot_lane.tolist()):
            position[:, lay.target[lane]] += state.pipeline[:, slot]
        below = torch.tensor(lay.downstream).double()
        flow = lay.flow[0]
        gap = policy.level[:, 0] * flow - position @ below.t()
        lanes = np.argsort(lay.target)
        asked = policy.propose(state, 1).quantity[:, lanes]
        assert (gap > 5.0).any()
        supply = simulator.supply(state)[:, lay.source[lanes]]
        expected = torch.minimum(flow * nearly_positive(gap / flow), supply)
        torch.testing.assert_close(asked, expected, rtol=1e-6, atol=1e-6)


class TestSettled:
    @pytest.mark.parametrize("name", ["dc-two-stores", "eight-nodes-lost", "diamond"])
    def test_a_settled_policy_decides_the_same_in_every_stage(self, name):
        policy = policy_of(NETWORKS[name])
        state = states_of(policy)
        settled = policy.settle()
        for stage in range(policy.simulator.num_stages):
            expected = policy(state, stage).quantity
            torch.testing.assert_close(settled(state, stage).quantity, expected)
            each = torch.full((state.batch,), stage)
            torch.testing.assert_close(policy(state, each).quantity, expected)


class TestReferenceLoop:
    """The loop that `benchmarks.speed` compares with costs what the simulator costs."""

    @pytest.mark.parametrize("name", ["one-store-lost", "one-store-backlogged", "dc-two-stores"])
    def test_the_same_demand_and_orders_cost_the_same(self, name):
        document = EXAMPLES[name]()
        document["lanes"][-1].pop("unit_cost", None)
        net = network(document)
        simulator, generator = NetworkSimulator(net), torch.Generator().manual_seed(7)
        stores = simulator.num_demand
        recorded: list[Tensor] = []
        state, noise = simulator.initial(6, generator), simulator.sample(6, generator)
        decide, expected = random_orders(simulator, generator), torch.zeros(6)
        for stage in range(simulator.num_stages):
            orders = decide(state)
            recorded.append(orders.quantity)
            post, first = simulator.decide(state, orders, stage)
            state, second = simulator.realize(post, noise, stage)
            expected = expected + sum(first.components.values()) + sum(second.components.values())
        scenarios = reference_loop.Scenarios(net, noise.demand)
        lanes = [
            simulator.store_ids.index(lane.target) if lane.target in simulator.store_ids else -1 for lane in net.lanes
        ]
        into = [lanes.index(k) for k in range(stores)]
        above = [k for k, store in enumerate(lanes) if store < 0]
        (batch,) = reference_loop.batches(scenarios, 6)
        cost = reference_loop.costs(batch, lambda seen, period: (recorded[period][:, above], recorded[period][:, into]))
        torch.testing.assert_close(cost, expected, rtol=1e-5, atol=1e-3)

    @pytest.mark.parametrize("kind", [reference_loop.PlainPerceptron, reference_loop.PlainGraphNetwork])
    def test_its_networks_learn(self, kind):
        document = EXAMPLES["dc-two-stores"]()
        net = network(document)
        demand = NetworkSimulator(net).sample(32, torch.Generator().manual_seed(8)).demand
        scenarios = reference_loop.Scenarios(net, demand)
        torch.manual_seed(0)
        policy = kind(scenarios, (16, 16))
        optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3)
        spent = [
            reference_loop.train_step(policy, batch, optimizer)
            for _ in range(8)
            for batch in reference_loop.batches(scenarios, 32)
        ]
        assert spent[-1] < 0.95 * spent[0]
