"""What a plant's document may say: every refusal names its field, and odd plants still work."""

import copy

import pytest
import torch

from models.core import InvalidInput, NetworkSize
from models.lot_sizing import PROBLEM
from models.lot_sizing.simulator import LotSimulator
from solvers.evaluation import Sample, ScenarioChunk, roll_out
from tests.models.plants import document

NO_DEMAND = {"process": "poisson", "mean": 0}


def changed(path: list, value) -> dict:
    own = copy.deepcopy(document())
    place = own
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return own


def refusals(own: dict) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as caught:
        PROBLEM.parse(own)
    return [(issue.pointer, issue.code) for issue in caught.value.issues]


class TestRefusals:
    @pytest.mark.parametrize(
        ("path", "value", "where"),
        [
            (["items", 0, "demand", "probabilities"], [0.3, 0.5, 0.1], "/items/0/demand/probabilities"),
            (["items", 0, "demand", "probabilities"], [0.5, 0.5], "/items/0/demand/probabilities"),
            (["items", 0, "demand", "values"], [0, 1, 1], "/items/0/demand/values"),
            (["items", 0, "initial_inventory"], 11, "/items/0/initial_inventory"),
            (["items", 0, "initial_inventory"], -1, "/items/0/initial_inventory"),
            (["items", 0, "backlog_cost"], 1, "/items/0/backlog_cost"),
            (["items", 1, "id"], "A", "/items/1/id"),
            (["machines", 0, "initial_setup"], "C", "/machines/0/initial_setup"),
            (["machines", 0, "hours_by_period"], [8], "/machines/0/hours_by_period"),
            (["capabilities", 0, "item"], "C", "/capabilities/0/item"),
            (["capabilities", 0, "machine"], "M2", "/capabilities/0/machine"),
            (["capabilities", 0, "item"], "B", "/capabilities/1"),
            (["capabilities", 0, "setup_hours"], 1, "/capabilities/0/setup_hours"),
            (["capabilities", 0, "production"], 0, "/capabilities/0/production"),
            (["changeovers"], [{"machine": "M1", "from": "C", "to": "A"}], "/changeovers/0/from"),
            (["changeovers"], [{"machine": "M1", "from": "A", "to": "A"}], "/changeovers/0/to"),
            (["changeovers"], [{"machine": "M1", "from": "A", "to": "B", "hours": 1}], "/changeovers/0/hours"),
            (["bill_of_materials"], [{"item": "A", "component": "A"}], "/bill_of_materials"),
            (["storages"], [{"id": "S", "capacity": 9, "items": ["C"]}], "/storages/0/items/0"),
            (["storages"], [{"id": "S", "capacity": 5, "items": ["A", "B"]}], "/storages/0/capacity"),
            (["maintenance"], [{"machine": "M2", "period": 0}], "/maintenance/0/machine"),
            (["maintenance"], [{"machine": "M1", "period": 0, "hours": 2}], "/maintenance/0/hours"),
            (["periods"], 0, "/periods"),
            (["periods"], 10_001, "/periods"),
            (["items", 0, "colour"], "red", "/items/0/colour"),
            (["items", 0, "demand"], {"process": "weather"}, "/items/0/demand"),
        ],
    )
    def test_every_broken_rule_names_its_field(self, path, value, where):
        assert where in [place for place, _ in refusals(changed(path, value))]

    def test_a_random_start_needs_storage_limits(self):
        own = changed(["items", 1, "inventory_max"], None) | {"initial_state": "random"}
        assert refusals(own) == [("/items/1/inventory_max", "random")]

    def test_a_bill_of_materials_does_not_go_round_in_circles(self):
        lines = [{"item": "A", "component": "B"}, {"item": "B", "component": "A"}]
        assert refusals(document(bill_of_materials=lines)) == [("/bill_of_materials", "cycle")]

    def test_demand_too_large_for_a_table_is_refused(self):
        demand = {"process": "negative_binomial", "mean": 1_000, "variance": 1e8}
        assert refusals(changed(["items", 0, "demand"], demand)) == [("/items/0/demand/variance", "support")]


class TestWarnings:
    def warned(self, own: dict) -> list[tuple[str, str]]:
        return [(issue.pointer, issue.code) for issue in PROBLEM.parse(own).rules()]

    def test_items_nobody_can_make_are_flagged(self):
        own = document()
        assert self.warned(own | {"capabilities": own["capabilities"][:1]}) == [("/items/1", "unmade_item")]

    def test_machines_that_can_make_nothing_are_flagged(self):
        own = document(machines=[{"id": "M1"}, {"id": "M2"}])
        assert self.warned(own) == [("/machines/1", "idle_machine")]

    def test_the_page_example_says_nothing(self):
        assert self.warned(document()) == []


def run(own: dict, batch: int = 3) -> None:
    """Every family decides over the whole horizon."""
    plant = PROBLEM.parse(own)
    simulator, generator = PROBLEM.simulator(plant), torch.Generator().manual_seed(1)
    chunk = ScenarioChunk(simulator.initial(batch, generator), simulator.sample(batch, generator))
    for family in PROBLEM.families:
        if family.refuses(plant) is None:
            sample = Sample()
            roll_out(simulator, family.build(plant, simulator, NetworkSize(4, 1)), chunk, sample)
            assert torch.isfinite(torch.from_numpy(sample.total)).all()


class TestOddPlantsWork:
    def test_one_period(self):
        run(document(periods=1))

    def test_no_machine_can_make_anything(self):
        run(document(capabilities=[], periods=5))

    def test_no_demand_at_all(self):
        items = [item | {"demand": NO_DEMAND} for item in document()["items"]]
        run(document(items=items, periods=5))

    def test_nothing_costs_anything(self):
        items = [item | {"holding_cost": 0, "lost_sales_cost": 0} for item in document()["items"]]
        run(document(items=items, periods=5))

    def test_no_room_at_all(self):
        items = [item | {"inventory_max": 0, "initial_inventory": 0} for item in document()["items"]]
        run(document(items=items, periods=5, initial_state="random"))

    def test_work_on_the_only_machine_all_the_time(self):
        run(document(periods=5, maintenance=[{"machine": "M1", "period": 0, "periods": 10_000}]))

    def test_ten_thousand_periods(self):
        plant = PROBLEM.parse(document(periods=10_000))
        simulator = LotSimulator(plant)
        noise = simulator.sample(2, torch.Generator().manual_seed(0))
        assert noise.demand.shape == (2, 10_000, 2)
        policy = PROBLEM.family("hysteresis").build(plant, simulator, NetworkSize())
        state = simulator.initial(2, torch.Generator())
        post, _ = simulator.decide(state, policy(state, 9_999), 9_999)
        assert torch.isfinite(simulator.realize(post, noise, 9_999)[0].stock).all()
