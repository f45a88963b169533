"""State documents in, order lines out."""

import copy

import numpy as np
import pytest
import torch

from models.core import InvalidInput
from models.inventory_network.simulator import NetworkSimulator, Orders
from models.inventory_network.view import NetworkView
from tests.models.named_networks import EXAMPLES, diamond, network

STATE = {
    "period": 3,
    "on_hand": {"hub": 12.5, "east": 4, "west": -3},
    "in_transit": [
        {"from": "mine", "to": "hub", "arrives_in": 1, "quantity": 5},
        {"from": "port", "to": "hub", "arrives_in": 3, "quantity": 2},
    ],
}


@pytest.fixture(scope="module")
def view() -> NetworkView:
    return NetworkView(network(diamond()))


def with_change(path: list, value) -> dict:
    document = copy.deepcopy(STATE)
    place = document
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


class TestDecode:
    def test_nodes_and_slots_land_in_their_places(self, view):
        state, stage = view.decode([STATE, STATE])
        names = [node.id for node in view.layout.nodes[:3]]
        assert dict(zip(names, state.net_inventory[0].tolist(), strict=True)) == STATE["on_hand"]
        assert float(state.pipeline[1].sum()) == 7
        assert stage.tolist() == [3, 3]

    def test_the_period_defaults_to_zero(self, view):
        assert view.decode([{"on_hand": STATE["on_hand"]}])[1].tolist() == [0]

    def test_today_is_the_initial_state(self, view):
        state, _ = view.decode([view.today()])
        initial = view.simulator.initial(1, torch.Generator())
        assert torch.equal(state.net_inventory, initial.net_inventory)
        assert torch.equal(state.pipeline, initial.pipeline)

    @pytest.mark.parametrize(
        ("path", "value", "where"),
        [
            (["on_hand", "west"], ..., "/0/on_hand/west"),
            (["on_hand", "moon"], 3, "/0/on_hand/moon"),
            (["on_hand", "mine"], 3, "/0/on_hand/mine"),
            (["on_hand", "east"], -1, "/0/on_hand/east"),
            (["on_hand", "east"], "4", "/0/on_hand/east"),
            (["on_hand", "east"], True, "/0/on_hand/east"),
            (["on_hand", "east"], 1e12, "/0/on_hand/east"),
            (["on_hand", "east"], float("nan"), "/0/on_hand/east"),
            (["on_hand", "east"], [4], "/0/on_hand/east"),
            (["on_hand"], ..., "/0/on_hand"),
            (["on_hand"], [1], "/0/on_hand"),
            (["period"], 12, "/0/period"),
            (["period"], -1, "/0/period"),
            (["period"], 1.5, "/0/period"),
            (["weather"], "rain", "/0/weather"),
            (["in_transit"], {}, "/0/in_transit"),
            (["in_transit", 0], 5, "/0/in_transit/0"),
            (["in_transit", 0, "to"], "moon", "/0/in_transit/0"),
            (["in_transit", 0, "arrives_in"], 2, "/0/in_transit/0"),
            (["in_transit", 0, "arrives_in"], True, "/0/in_transit/0"),
            (["in_transit", 0, "quantity"], -2, "/0/in_transit/0/quantity"),
            (["demand_history"], {"hub": [1]}, "/0/demand_history/hub"),
            (["demand_history"], {"east": [-1]}, "/0/demand_history/east"),
        ],
    )
    def test_a_bad_state_names_its_field(self, view, path, value, where):
        with pytest.raises(InvalidInput) as caught:
            view.decode([with_change(path, value)])
        assert where in [issue.pointer for issue in caught.value.issues]

    def test_the_row_is_named(self, view):
        with pytest.raises(InvalidInput) as caught:
            view.decode([STATE, STATE, "nonsense"])
        assert [issue.pointer for issue in caught.value.issues] == ["/2"]

    def test_unused_history_is_said(self, view):
        assert view.warnings([STATE | {"demand_history": {"east": [1]}}, STATE])[1] == []
        assert "not used" in view.warnings([STATE | {"demand_history": {"east": [1]}}])[0][0]


class TestColumns:
    def columns(self) -> dict:
        return {
            "period": [0, 3],
            "on_hand": {"hub": [1, 12.5], "east": [2, 4], "west": [3, -3]},
            "in_transit": [
                {"from": "mine", "to": "hub", "arrives_in": 1, "quantity": [0, 5]},
                {"from": "port", "to": "hub", "arrives_in": 3, "quantity": [0, 2]},
            ],
        }

    def test_columns_mean_the_same_as_rows(self, view):
        state, stage = view.decode_columns(self.columns())
        one, _ = view.decode([STATE])
        assert torch.equal(state.rows(slice(1, 2)).net_inventory, one.net_inventory)
        assert torch.equal(state.rows(slice(1, 2)).pipeline, one.pipeline)
        assert stage.tolist() == [0, 3]

    @pytest.mark.parametrize(
        ("path", "value", "where"),
        [
            (["on_hand", "west"], [1], "/on_hand/west"),
            (["on_hand", "west"], [1, None], "/on_hand/west"),
            (["on_hand", "west"], [1, [2]], "/on_hand/west"),
            (["on_hand", "west"], ["1", "2"], "/on_hand/west"),
            (["on_hand", "east"], [1, -2], "/on_hand/east"),
            (["on_hand"], {}, "/on_hand"),
            (["period"], [0, 99], "/period"),
            (["period"], [0.5, 1], "/period"),
            (["period"], [0], "/period"),
            (["in_transit", 0, "quantity"], 4, "/in_transit/0/quantity"),
        ],
    )
    def test_a_bad_column_names_its_field(self, view, path, value, where):
        document = self.columns()
        place = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        with pytest.raises(InvalidInput) as caught:
            view.decode_columns(document)
        assert where in [issue.pointer for issue in caught.value.issues]

    def test_answers_are_columns_of_the_row_answers(self, view):
        state, stage = view.decode_columns(self.columns())
        asked = Orders(torch.rand(2, 5, dtype=torch.float64) * 9)
        orders = view.simulator.repair(state, asked, stage)
        rows = view.encode(state, orders, stage)
        columns = view.encode_columns(state, orders, stage)
        for k, line in enumerate(columns["orders"]):
            assert line["quantity"] == [row["orders"][k]["quantity"] for row in rows]


class TestEncode:
    def test_every_lane_once_in_document_order(self, view):
        state, stage = view.decode([STATE])
        lines = view.encode(state, Orders(torch.full((1, 5), 2.0, dtype=torch.float64)), stage)[0]["orders"]
        assert [(line["from"], line["to"]) for line in lines] == [
            ("mine", "hub"),
            ("port", "hub"),
            ("hub", "east"),
            ("hub", "west"),
            ("port", "west"),
        ]
        assert [line["arrives_in"] for line in lines] == [2, 4, 0, 1, 3]

    def test_rounding_never_ships_what_is_not_there(self):
        view = NetworkView(network(EXAMPLES["dc-two-stores"]()))
        rng = np.random.default_rng(0)
        stock = rng.uniform(0, 20, 500)
        state, stage = view.decode([{"on_hand": {"dc": float(x), "s1": 0, "s2": 0}} for x in stock])
        asked = torch.tensor(rng.uniform(0, 30, (500, 3)))
        orders = view.simulator.repair(state, Orders(asked), stage)
        for have, document in zip(stock, view.encode(state, orders, stage), strict=True):
            sent = sum(line["quantity"] for line in document["orders"] if line["from"] == "dc")
            assert sent <= have + 1e-9

    def test_float_noise_does_not_show(self, view):
        state, stage = view.decode([STATE])
        lines = view.encode(state, Orders(torch.tensor([[5.2, 0, 0, 0, 0]]).double()), stage)[0]["orders"]
        assert lines[0]["quantity"] == 5.2


class TestRepairs:
    @pytest.mark.parametrize(
        ("lane", "asked", "feasible", "words"),
        [
            (0, 20.0, 14.0, "mine can ship 14 units"),
            (2, 30.0, 11.0, "hub can ship 11 units"),
            (3, 10.0, 9.0, "the lane carries at most 9"),
            (4, -1.0, 0.0, "not negative"),
        ],
    )
    def test_each_names_its_rule(self, view, lane, asked, feasible, words):
        state, stage = view.decode([STATE])
        proposal = torch.zeros(1, 5, dtype=torch.float64)
        proposal[0, lane] = asked
        orders = view.simulator.repair(state, Orders(proposal), stage)
        (repair,) = view.repairs(state, Orders(proposal), orders, stage)[0]
        assert repair.field == f"/orders/{lane}/quantity"
        assert (repair.proposed, repair.feasible) == (asked, feasible)
        assert words in repair.rule

    def test_storage_is_named(self, view):
        state, stage = view.decode([with_change(["on_hand", "east"], 20)])
        proposal = torch.zeros(1, 5, dtype=torch.float64)
        proposal[0, 2] = 8.0
        orders = view.simulator.repair(state, Orders(proposal), stage)
        (repair,) = view.repairs(state, Orders(proposal), orders, stage)[0]
        assert repair.feasible == 5.0
        assert "east may have at most 25" in repair.rule

    def test_a_feasible_proposal_has_none(self, view):
        state, stage = view.decode([STATE])
        orders = Orders(torch.ones(1, 5, dtype=torch.float64))
        assert view.repairs(state, orders, orders, stage) == [[]]


def test_the_reasons_add_up(view):
    state, stage = view.decode([STATE])
    (sentences,) = view.explain(state, Orders(torch.ones(1, 5, dtype=torch.float64)), stage, [None])
    assert len(sentences) == 3
    assert any("west owes 3 and has 0 on the way; with 2 ordered" in sentence for sentence in sentences)


def test_the_schema_accepts_today_and_refuses_what_decode_refuses():
    import jsonschema_rs

    view = NetworkView(network(diamond()))
    validator = jsonschema_rs.validator_for(view.state_schema())
    assert validator.is_valid(view.today())
    assert validator.is_valid(STATE)
    assert not validator.is_valid(with_change(["on_hand", "east"], -1))
    assert not validator.is_valid(with_change(["period"], 12))


def test_rolling_networks_accept_any_period():
    view = NetworkView(network(EXAMPLES["one-store-lost"]()))
    assert view.decode([{"period": 10_000, "on_hand": {"store": 3}}])[1].tolist() == [10_000]


def test_simulator_used_by_the_view_is_exact(view):
    assert isinstance(view.simulator, NetworkSimulator)
    assert view.simulator.dtype == torch.float64


def perishable() -> dict:
    """A dated store with goods that keep for three periods, over a lane that takes two to four."""
    return {
        "problem": "inventory_network",
        "name": "perishable",
        "periods": 20,
        "start_date": "2026-03-02",
        "period_days": 7,
        "nodes": [
            {"id": "farm", "kind": "supplier"},
            {
                "id": "shop",
                "kind": "store",
                "holding_cost": 1.0,
                "shortage_cost": 5.0,
                "initial_on_hand": 9,
                "shelf_life": 3,
                "initial_expiring": [2, 3],
            },
        ],
        "lanes": [
            {
                "from": "farm",
                "to": "shop",
                "lead_time": 4,
                "random_lead_time": {"values": [2, 4], "probabilities": [0.5, 0.5]},
                "initial_in_transit": [4, 0, 1],
                "lot_multiple": 2,
                "minimum_order": 4,
                "fixed_order_cost": 10,
            }
        ],
        "demand": {"process": "poisson", "nodes": {"shop": {"mean": 4}}},
    }


@pytest.fixture(scope="module")
def shop() -> NetworkView:
    return NetworkView(network(perishable()))


class TestPerishableAndRandomLeadTimes:
    def test_today_says_what_expires_and_how_long_ago_goods_were_ordered(self, shop):
        today = shop.today()
        assert today["expiring"] == {"shop": [2, 3]}
        assert [(line["ordered_ago"], line["quantity"]) for line in today["in_transit"]] == [(3, 4), (1, 1)]
        state, _ = shop.decode([today])
        initial = shop.simulator.initial(1, torch.Generator())
        for name in ("net_inventory", "pipeline", "aging"):
            assert torch.equal(getattr(state, name), getattr(initial, name))

    def test_amounts_that_expire_add_up(self, shop):
        state, _ = shop.decode([{"on_hand": {"shop": 9}, "expiring": {"shop": [2, 3]}}])
        assert state.aging.tolist() == [[2, 5]]
        columns = {"on_hand": {"shop": [9, 4]}, "expiring": {"shop": [[2, 1], [3, 0]]}}
        assert shop.decode_columns(columns)[0].aging.tolist() == [[2, 5], [1, 1]]

    @pytest.mark.parametrize(
        ("change", "where"),
        [
            ({"expiring": {"shop": [5, 5]}}, "/0/expiring/shop"),
            ({"expiring": {"shop": [1, 1, 1]}}, "/0/expiring/shop"),
            ({"expiring": {"shop": [-1]}}, "/0/expiring/shop/0"),
            ({"expiring": {"farm": [1]}}, "/0/expiring/farm"),
            ({"in_transit": [{"from": "farm", "to": "shop", "arrives_in": 1, "quantity": 1}]}, "/0/in_transit/0"),
            ({"in_transit": [{"from": "farm", "to": "shop", "ordered_ago": 4, "quantity": 1}]}, "/0/in_transit/0"),
            ({"in_transit": [{"from": "farm", "to": "shop", "quantity": 1}]}, "/0/in_transit/0"),
            ({"date": "2026-03-01"}, "/0/date"),
            ({"date": "2027-03-01"}, "/0/date"),
            ({"date": "soon"}, "/0/date"),
            ({"date": "2026-03-09", "period": 1}, "/0/date"),
        ],
    )
    def test_a_bad_state_names_its_field(self, shop, change, where):
        with pytest.raises(InvalidInput) as caught:
            shop.decode([{"on_hand": {"shop": 9}} | change])
        assert where in [issue.pointer for issue in caught.value.issues]

    def test_a_day_stands_for_its_period(self, shop):
        assert shop.decode([{"on_hand": {"shop": 9}, "date": "2026-03-17"}])[1].tolist() == [2]

    def test_lines_say_when_goods_arrive(self, shop):
        state, stage = shop.decode([{"on_hand": {"shop": 9}, "date": "2026-03-17"}])
        (document,) = shop.encode(state, Orders(torch.tensor([[6.0]]).double()), stage)
        (line,) = document["orders"]
        assert (line["arrives_in"], line["arrives_in_between"], line["arrives_in_on_average"]) == (4, [2, 4], 3.0)
        assert line["arrives_on"] == "2026-04-13"  # the Monday four weeks after that of period 2
        assert document["levels"] == [{"node": "shop", "position": 9.0, "order_up_to": 15.0}]

    def test_stock_without_ages_counts_as_fresh_and_is_said_to(self, shop):
        (notes,) = shop.warnings([{"on_hand": {"shop": 9}}])
        assert any("shop" in note and "fresh" in note for note in notes)

    def test_reasons_name_what_shapes_an_order(self, shop):
        state, stage = shop.decode([shop.today()])
        probe = shop.probes(state)
        assert probe.batch == 1
        assert float(probe.net_inventory[0, 0]) == 10
        orders = Orders(torch.tensor([[6.0]]).double())
        (sentences,) = shop.explain(state, orders, stage, [Orders(torch.tensor([[4.0]]).double())])
        text = " ".join(sentences)
        for words in (
            "2 of its stock can be sold in this period only",
            "2.00 less would be ordered",
            "an order costs 10 whatever its size",
            "an order is at least 4",
            "an order is a multiple of 2",
            "goods take 2 to 4 periods",
        ):
            assert words in text

    def test_repairs_name_lots_and_minimum_orders(self, shop):
        state, stage = shop.decode([{"on_hand": {"shop": 9}}])
        for asked, words in ((2.5, "none or at least 4"), (7.4, "multiples of 2")):
            proposed = Orders(torch.tensor([[asked]]).double())
            (repair,) = shop.repairs(state, proposed, shop.simulator.repair(state, proposed, stage), stage)[0]
            assert words in repair.rule

    def test_the_chance_of_a_shortage_is_near_the_true_one(self, shop):
        """Position 9 + 5 + 10 against Poisson demand of five periods: the normal tail beside the exact one."""
        from scipy.stats import poisson

        state, stage = shop.decode([shop.today()])
        (sentences,) = shop.explain(state, Orders(torch.tensor([[10.0]]).double()), stage, [None])
        told = float(sentences[0].split("has a chance of about ")[1].split(" %")[0]) / 100
        assert told == pytest.approx(poisson.sf(24, 20), abs=0.04)
