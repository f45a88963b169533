"""State documents in, what every machine makes out."""

import copy

import pytest
import torch

from models.core import InvalidInput
from models.lot_sizing.lots import Lots
from models.lot_sizing.simulator import LotSimulator
from models.lot_sizing.view import LotView
from tests.models.plants import plant

STATE = {"period": 0, "inventory": {"A": 3, "B": 1}, "setup": {"M1": "A"}}
MAKE_B = Lots(torch.tensor([[1]]), torch.zeros(1, 0))


@pytest.fixture(scope="module")
def view() -> LotView:
    return LotView(plant())


def changed(path: list, value) -> dict:
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
    def test_items_and_machines_land_in_their_places(self, view):
        state, stage = view.decode([STATE, STATE | {"period": 5}])
        assert state.stock.tolist() == [[3, 1], [3, 1]]
        assert state.setup.tolist() == [[0], [0]]
        assert stage.tolist() == [0, 5]

    def test_today_is_the_initial_state(self, view):
        state, _ = view.decode([view.today()])
        initial = view.simulator.initial(1, torch.Generator())
        assert torch.equal(state.stock, initial.stock)
        assert torch.equal(state.setup, initial.setup)

    @pytest.mark.parametrize(
        ("path", "value", "where"),
        [
            (["inventory"], ..., "/0/inventory"),
            (["inventory", "B"], ..., "/0/inventory/B"),
            (["inventory", "C"], 1, "/0/inventory/C"),
            (["inventory", "A"], -1, "/0/inventory/A"),
            (["inventory", "A"], "3", "/0/inventory/A"),
            (["inventory", "A"], True, "/0/inventory/A"),
            (["inventory", "A"], 1e308 * 10, "/0/inventory/A"),
            (["inventory", "A"], 10**400, "/0/inventory/A"),
            (["setup"], ..., "/0/setup"),
            (["setup", "M1"], ..., "/0/setup/M1"),
            (["setup", "M1"], "C", "/0/setup/M1"),
            (["setup", "M1"], 1, "/0/setup/M1"),
            (["setup", "M2"], "A", "/0/setup/M2"),
            (["period"], -1, "/0/period"),
            (["period"], 100, "/0/period"),
            (["period"], 1.5, "/0/period"),
            (["period"], [1], "/0/period"),
            (["run"], {"M1": 1}, "/0/run/M1"),
            (["colour"], "red", "/0/colour"),
        ],
    )
    def test_every_wrong_state_names_its_field(self, view, path, value, where):
        with pytest.raises(InvalidInput) as caught:
            view.decode([changed(path, value)])
        assert [issue.pointer for issue in caught.value.issues] == [where]

    def test_a_document_that_is_no_object_is_refused(self, view):
        with pytest.raises(InvalidInput):
            view.decode([[1, 2]])

    def test_a_machine_is_not_set_up_for_what_it_cannot_make(self):
        own = plant()
        view = LotView(own.model_copy(update={"capabilities": own.capabilities[:1]}))
        with pytest.raises(InvalidInput, match="cannot make B"):
            view.decode([changed(["setup", "M1"], "B")])

    def test_backlog_and_bound_runs_are_read_where_there_are_any(self):
        view = LotView(plant(unmet_demand="backlogged", machines=[{"id": "M1", "minimum_run": 3}]))
        state, _ = view.decode([changed(["inventory", "A"], -2) | {"run": {"M1": 2}}])
        assert state.stock.tolist() == [[-2, 1]]
        assert state.run.tolist() == [[2]]
        with pytest.raises(InvalidInput):
            view.decode([STATE | {"run": {"M1": 3}}])
        with pytest.raises(InvalidInput):
            view.decode([changed(["setup", "M1"], None) | {"run": {"M1": 2}}])

    def test_columns_mean_the_same_as_documents(self, view):
        columns = {"period": [0, 5], "inventory": {"A": [3, 4.5], "B": [1, 0]}, "setup": {"M1": ["A", None]}}
        state, stage = view.decode_columns(columns)
        rows = [STATE, {"period": 5, "inventory": {"A": 4.5, "B": 0}, "setup": {"M1": None}}]
        same, when = view.decode(rows)
        assert torch.equal(state.stock, same.stock)
        assert torch.equal(state.setup, same.setup)
        assert torch.equal(stage, when)

    @pytest.mark.parametrize(
        "columns",
        [
            {},
            {"inventory": {"A": [1], "B": [1, 2]}, "setup": {"M1": ["A"]}},
            {"inventory": {"A": [1], "B": [1]}, "setup": {"M1": ["A", "B"]}},
            {"inventory": {"A": [1], "B": [1]}, "setup": {"M1": ["C"]}},
            {"inventory": {"A": [1], "B": [None]}, "setup": {"M1": ["A"]}},
            {"inventory": {"A": [1], "B": [1]}, "setup": {"M1": ["A"]}, "period": [1, 2]},
        ],
    )
    def test_wrong_columns_are_refused(self, view, columns):
        with pytest.raises(InvalidInput):
            view.decode_columns(columns)


class TestEncode:
    def test_a_decision_is_lines_by_machine_and_stock_by_item(self, view):
        state, stage = view.decode([STATE])
        (document,) = view.encode(state, MAKE_B, stage)
        assert document["production"] == [
            {"machine": "M1", "item": "B", "quantity": 2.0, "setup_change": True, "setup_cost": 1.0}
        ]
        assert document["post_inventory"] == {"A": 3.0, "B": 3.0}

    def test_expectations_are_those_of_many_simulated_periods(self):
        own = plant(unmet_demand="backlogged", initial_state="given")
        view, simulator = LotView(own), LotSimulator(own).double()
        state, stage = view.decode([changed(["inventory", "A"], 1)])
        (document,) = view.encode(state, MAKE_B, stage)
        batch = 100_000
        many = state.rows(torch.zeros(batch, dtype=torch.long))
        post, _ = simulator.decide(many, MAKE_B.rows(torch.zeros(batch, dtype=torch.long)), 0)
        after, costs = simulator.realize(post, simulator.sample(batch, torch.Generator().manual_seed(0)), 0)
        for k, line in enumerate(document["expected"]):
            assert line["inventory"] == pytest.approx(float(after.stock[:, k].clamp_min(0).mean()), abs=0.02)
            assert line["in_stock"] == pytest.approx(1 - float(costs.places["stock_outs"][:, k].mean()), abs=0.01)
        for name, value in document["expected_cost"].items():
            known = float(costs.components[name].mean()) if name in costs.components else 1.0
            assert value == pytest.approx(known, abs=0.05)

    def test_columns_hold_the_same_numbers(self, view):
        state, stage = view.decode([STATE, STATE])
        both = Lots(torch.tensor([[1], [2]]), torch.zeros(2, 0))
        found = view.encode_columns(state, both, stage)
        assert found["production"][0]["item"] == ["B", None]
        assert found["production"][0]["quantity"] == [2.0, 0.0]
        assert found["post_inventory"] == {"A": [3.0, 3.0], "B": [3.0, 1.0]}

    def test_an_idle_machine_has_no_item(self, view):
        state, stage = view.decode([STATE])
        (document,) = view.encode(state, Lots(torch.tensor([[2]]), torch.zeros(1, 0)), stage)
        assert document["production"][0]["item"] is None
        assert not document["production"][0]["setup_change"]


class TestWords:
    def test_a_sentence_for_every_machine_and_the_items_at_risk(self, view):
        state, stage = view.decode([STATE])
        (told,) = view.explain(state, MAKE_B, stage, [None])
        assert told[0].startswith("M1 changes over from A to B (stock 1 lasts 0.62 periods): 2 units")
        assert any(sentence.startswith("B runs short this period with chance 3%") for sentence in told)

    def test_choices_are_set_beside_each_other(self, view):
        state, stage = view.decode([STATE])
        costs = torch.tensor([[[12.0, 10.0, torch.inf]]])
        assert view.compare(state, MAKE_B, stage, costs) == [
            ["M1: B is expected to cost 10 from now on; against it A +2."]
        ]

    def test_a_proposal_that_had_to_move_says_why(self):
        own = plant(maintenance=[{"machine": "M1", "period": 0}])
        view = LotView(own)
        state, stage = view.decode([STATE])
        feasible = view.simulator.repair(state, MAKE_B, stage)
        (lines,) = view.repairs(state, MAKE_B, feasible, stage)
        assert [(line.field, line.rule) for line in lines] == [
            ("/production/0/quantity", "M1 does not work this period")
        ]

    def test_stock_over_its_limit_is_taken_and_said(self, view):
        (notes,) = view.warnings([changed(["inventory", "A"], 12)])
        assert notes == ["stock of A (12) is above its limit (10): what is still over it after demand is scrapped"]
        assert view.decode([changed(["inventory", "A"], 12)])[0].stock[0, 0] == 12

    def test_a_schedule_joins_periods_into_bars(self, view):
        steps, state = [], view.decode([STATE])[0]
        for stage, item in enumerate([0, 1, 1, 2, 1]):
            decision = Lots(torch.tensor([[item]]), torch.zeros(1, 0))
            steps.append((state, decision, torch.tensor([stage])))
            post, _ = view.simulator.decide(state, decision, stage)
            state, _ = view.simulator.realize(post, view.simulator.expected(1), stage)
        rows = [
            (bar["item"], bar["start"], bar["end"], bar["quantity"], bar["changeover"]) for bar in view.schedule(steps)
        ]
        assert rows == [("A", 0, 1, 3.0, False), ("B", 1, 3, 5.0, True), ("B", 4, 5, 2.0, True)]


class TestFiles:
    def test_stock_and_setups_make_a_state(self, view):
        files = {"inventory": b"item;inventory\nB;1\nA;3,5\n", "setups": b"machine;item\nM1;A\n"}
        document = view.read_files(files, {"period": "4"})
        assert document == {"period": 4, "inventory": {"A": 3.5, "B": 1.0}, "setup": {"M1": "A"}}
        view.decode([document])

    @pytest.mark.parametrize(
        ("files", "options", "said"),
        [
            ({}, {}, "the stock of every item"),
            ({"inventory": b"item,inventory\nA,3\n"}, {}, "has no row for the item B"),
            ({"inventory": b"item,inventory\nA,3\nA,3\n"}, {}, "line 3, column item: the item is there twice"),
            ({"inventory": b"item,inventory\nA,3\nC,3\n"}, {}, "is no item of the plant"),
            ({"inventory": b"item,inventory\nA,3\nB,=1\n"}, {}, "line 3, column inventory: is not a number"),
            ({"inventory": b"item,inventory\nA,3\nB,1\n", "setups": b"machine,item\nM2,A\n"}, {}, "no machine"),
            ({"inventory": b"item,inventory\nA,3\nB,1\n", "setups": b"machine,item\nM1,C\n"}, {}, "cannot make it"),
            ({"inventory": b"item,inventory\nA,3\nB,1\n"}, {"period": "soon"}, "must be a whole number"),
        ],
    )
    def test_what_is_wrong_is_named(self, view, files, options, said):
        with pytest.raises(InvalidInput, match=said):
            view.read_files(files, options)
