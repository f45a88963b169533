"""Scenarios of the planner's own: read strictly, written back, and put where each room expects its chance."""

from __future__ import annotations

import json

import jsonschema_rs
import numpy as np
import pytest
import torch

from models import scenarios
from models.core import InvalidInput
from models.registry import problem, problems
from models.scenarios import ScenarioTable

TABLE = ScenarioTable("demand", "units/period", ("north", "south"), 3)
VALUES = np.array([[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]], [[4.0, 40.0], [5.0, 50.5], [6.0, 60.0]]])
DOCUMENT = [{"north": [1, 2, 3], "south": [10, 20, 30]}, {"north": [4, 5, 6], "south": [40, 50.5, 60]}]
CSV = "scenario,period,north,south\nwet,0,1,10\nwet,1,2,20\nwet,2,3,30\ndry,1,5,50.5\ndry,0,4,40\ndry,2,6,60\n"


def refused(read, *given) -> tuple[str, str]:
    """Pointer and detail of the first refusal."""
    with pytest.raises(InvalidInput) as error:
        read(TABLE, *given)
    return error.value.issues[0].pointer, error.value.issues[0].detail


class TestReading:
    def test_json_and_csv_say_the_same(self):
        np.testing.assert_array_equal(scenarios.read_document(TABLE, DOCUMENT), VALUES)
        np.testing.assert_array_equal(scenarios.read_csv(TABLE, CSV.encode()), VALUES)

    def test_what_is_written_is_read_again(self):
        again = scenarios.read_csv(TABLE, scenarios.write_csv(TABLE, VALUES).encode())
        np.testing.assert_array_equal(again, VALUES)
        document = json.loads(json.dumps(scenarios.write_document(TABLE, VALUES)))
        np.testing.assert_array_equal(scenarios.read_document(TABLE, document), VALUES)

    def test_a_spreadsheet_with_decimal_commas_is_read(self):
        text = CSV.replace(",", ";").replace("50.5", "50,5")
        np.testing.assert_array_equal(scenarios.read_csv(TABLE, text.encode()), VALUES)

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            (lambda d: d[1].pop("south"), "/scenarios/1/south"),
            (lambda d: d[0].update(west=[1, 2, 3]), "/scenarios/0/west"),
            (lambda d: d[0]["north"].pop(), "/scenarios/0/north"),
            (lambda d: d[0]["north"].__setitem__(2, -1), "/scenarios/0/north/2"),
            (lambda d: d[0]["north"].__setitem__(1, True), "/scenarios/0/north/1"),
            (lambda d: d[0]["north"].__setitem__(1, "2"), "/scenarios/0/north/1"),
            (lambda d: d.__setitem__(1, [1, 2]), "/scenarios/1"),
            (lambda d: d.pop(), "/scenarios"),
        ],
    )
    def test_each_wrong_place_in_a_document_is_named(self, change, pointer):
        document = json.loads(json.dumps(DOCUMENT))
        change(document)
        assert refused(scenarios.read_document, document)[0] == pointer
        assert not jsonschema_rs.validator_for(scenarios.schema(TABLE)).is_valid(document)

    def test_the_schema_takes_what_is_read(self):
        assert jsonschema_rs.validator_for(scenarios.schema(TABLE)).is_valid(DOCUMENT)

    @pytest.mark.parametrize(
        ("old", "new", "detail"),
        [
            ("wet,1,2,20\n", "", "scenario 'wet' has no period 1"),
            ("wet,1,2,20", "wet,0,2,20", "line 3, column period: is there twice in its scenario"),
            ("wet,1,2,20", "wet,3,2,20", "line 3, column period: the last is 2"),
            ("wet,1,2,20", "wet,1,=2,20", "line 3, column north: is not a number"),
            ("wet,1,2,20", ",1,2,20", "line 3, column scenario: is empty"),
            ("south", "west", "line 1: column 'west' is unknown"),
            ("period", "stage", "line 1: has no column period"),
        ],
    )
    def test_each_wrong_line_of_a_file_is_named(self, old, new, detail):
        pointer, said = refused(scenarios.read_csv, CSV.replace(old, new, 1).encode())
        assert pointer == "/scenarios"
        assert said.startswith(detail)

    def test_one_scenario_is_no_set(self):
        assert "from 2" in refused(scenarios.read_csv, CSV.partition("dry")[0].encode())[1]

    def test_quantiles_are_told_by_place_and_stage(self):
        found = scenarios.quantiles(TABLE, VALUES)
        assert found["north"]["q50"] == [2.5, 3.5, 4.5]
        assert set(found["south"]) == {"q05", "q25", "q50", "q75", "q95"}


def numbered(table: ScenarioTable) -> scenarios.Floats:
    """Two scenarios in which every number is another."""
    return np.arange(2.0 * table.numbers).reshape(2, table.stages, len(table.places)) + 1


CASES = [
    pytest.param(problem, example, id=f"{problem.name}-{example.name}")
    for problem in problems().values()
    for example in problem.examples[:3]
]


@pytest.mark.parametrize(("problem", "example"), CASES)
def test_every_room_makes_states_and_noise_of_them(problem, example):
    instance = problem.parse(example.document())
    simulator = problem.simulator(instance)
    table = problem.scenarios.table(instance)
    assert table.stages == simulator.num_stages
    values = numbered(table)
    state, noise = problem.scenarios.panel(simulator, values, torch.Generator().manual_seed(0))
    drawn = simulator.sample(2, torch.Generator().manual_seed(0))
    assert state.batch == 2
    for name, tensor in vars(drawn).items():
        found = getattr(noise, name)
        assert (found.shape, found.dtype) == (tensor.shape, tensor.dtype)


def test_a_networks_demand_goes_to_its_store_and_period():
    network = problem("inventory_network")
    for example in network.examples[:6]:
        instance = network.parse(example.document())
        simulator, table = network.simulator(instance), network.scenarios.table(instance)
        values = numbered(table)
        _, noise = network.scenarios.panel(simulator, values, torch.Generator())
        for k, store in enumerate(table.places):
            column = noise.demand[:, :, simulator.store_ids.index(store)]
            np.testing.assert_allclose(column.numpy(), values[:, :, k])


def test_a_plants_demand_goes_to_its_item_and_period():
    plants = problem("lot_sizing")
    instance = plants.parse(plants.examples[0].document())
    simulator, table = plants.simulator(instance), plants.scenarios.table(instance)
    values = numbered(table)
    _, noise = plants.scenarios.panel(simulator, values, torch.Generator())
    np.testing.assert_allclose(noise.demand.numpy(), values)
    assert table.places == simulator.places


def test_a_systems_first_inflow_is_known_and_the_others_follow():
    systems = problem("hydrothermal")
    instance = systems.parse(systems.examples[0].document())
    simulator, table = systems.simulator(instance), systems.scenarios.table(instance)
    values = numbered(table)
    state, noise = systems.scenarios.panel(simulator, values, torch.Generator())
    volumes = values * instance.hm3_per_m3s
    np.testing.assert_allclose(state.inflow.numpy(), volumes[:, 0])
    np.testing.assert_allclose(noise.inflow[:, :-1].numpy(), volumes[:, 1:])
