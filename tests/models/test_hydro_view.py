"""State documents in, dispatches out, in the planner's units."""

import numpy as np
import pytest
import torch

from models.core import InvalidInput
from models.hydrothermal import PROBLEM
from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.view import HydroView
from models.view import plain
from solvers.families import policy_of
from tests.models.hydro_systems import changed, every_option, two_buses

STATE = {"stage": 1, "storage_hm3": {"h1": 120.0}, "inflow_m3s": {"h1": 42.0}}


# Where water left over is worth nothing, a small price of spilling keeps it in its reservoir.
FRUGAL = changed(two_buses(), hydros__0__spill_cost_per_hm3=0.1)


def view(**changes):
    return HydroView(HydrothermalSystem.model_validate(changed(two_buses(), **changes)))


def decided(system, documents):
    """Decision documents of the myopic rule."""
    face = HydroView(system)
    state, stage = face.decode(documents)
    decision = policy_of(PROBLEM, system, PROBLEM.family("myopic"))(state, stage)
    return face, state, decision, stage


class TestStates:
    def test_units_change_at_the_door(self):
        state, stage = view().decode([STATE])
        assert float(state.storage) == 120.0
        assert float(state.inflow) == pytest.approx(42 * 0.0036 * 730)
        assert stage.tolist() == [1]

    def test_columns_mean_the_same_as_rows(self):
        columns = {"stage": [1, 2], "storage_hm3": {"h1": [120.0, 80]}, "inflow_m3s": {"h1": [42.0, 10]}}
        rows = [STATE, {"stage": 2, "storage_hm3": {"h1": 80}, "inflow_m3s": {"h1": 10}}]
        together, stages = view().decode_columns(columns)
        alone, own = view().decode(rows)
        assert stages.tolist() == own.tolist()
        for name, value in vars(alone).items():
            torch.testing.assert_close(getattr(together, name), value)

    @pytest.mark.parametrize(
        ("change", "where"),
        [
            ({"storage_hm3": {"h1": 301}}, "/0/storage_hm3/h1"),
            ({"storage_hm3": {}}, "/0/storage_hm3/h1"),
            ({"storage_hm3": {"h1": 1, "h2": 1}}, "/0/storage_hm3/h2"),
            ({"inflow_m3s": {"h1": -1}}, "/0/inflow_m3s/h1"),
            ({"inflow_m3s": {"h1": True}}, "/0/inflow_m3s/h1"),
            ({"inflow_m3s": 3}, "/0/inflow_m3s"),
            ({"stage": 6}, "/0/stage"),
            ({"stage": 0.5}, "/0/stage"),
            ({"weather": "wet"}, "/0/weather"),
            ({"inflow_history_m3s": {"h1": [1, "x"]}}, "/0/inflow_history_m3s/h1"),
        ],
    )
    def test_wrong_states_are_refused_where_they_are_wrong(self, change, where):
        with pytest.raises(InvalidInput) as caught:
            view().decode([STATE | change])
        assert [issue.pointer for issue in caught.value.issues] == [where]

    def test_ramped_thermals_tell_what_they_ran(self):
        ramped = view(thermals__0__ramp_mw=10, thermals__0__initial_mw=20)
        assert ramped.today()["generation_mw"] == {"g1": 20}
        state, _ = ramped.decode([STATE | {"generation_mw": {"g1": 30}}])
        assert float(state.running) == pytest.approx(30 * 730)
        with pytest.raises(InvalidInput) as caught:
            ramped.decode([STATE])
        assert caught.value.issues[0].pointer == "/0/generation_mw"

    def test_files_make_a_state(self):
        files = {"reservoirs": b"hydro;storage_hm3;inflow_m3s\nh1;120,5;42\n", "history": b"h1\n30\n35\n"}
        document = view().read_files(files, {"stage": "2"})
        assert document == {
            "stage": 2,
            "storage_hm3": {"h1": 120.5},
            "inflow_m3s": {"h1": 42.0},
            "inflow_history_m3s": {"h1": [30.0, 35.0]},
        }

    def test_a_file_that_lacks_a_reservoir_is_refused(self):
        with pytest.raises(InvalidInput) as caught:
            view().read_files({"reservoirs": b"hydro,storage_hm3,inflow_m3s\nh9,1,1\n"}, {})
        assert "is none of h1" in caught.value.issues[0].detail

    def test_history_that_is_not_used_is_said(self):
        assert "not used" in view().warnings([STATE | {"inflow_history_m3s": {"h1": [1.0]}}])[0][0]


class TestDecisions:
    def test_a_dispatch_is_told_in_the_planner_s_units(self):
        face, state, decision, stage = decided(HydrothermalSystem.model_validate(FRUGAL), [STATE])
        (document,) = face.encode(state, decision, stage)
        assert document["turbined_m3s"] == {"h1": 70.0}
        assert document["generation_mw"] == {"h1": 70.0, "g1": 30.0}
        assert document["flows_mw"] == {"l1": 70.0}
        assert document["deficit_mw"] == {"b1": 0.0, "b2": 0.0}
        assert document["marginal_cost_per_mwh"]["b2"] == 40.0
        assert document["stage_cost"] == pytest.approx(730 * 40 * 30)
        left = 120 + (42 - 70) * 0.0036 * 730
        assert document["storage_hm3"]["h1"] == pytest.approx(left, abs=1e-4)
        assert document["targets_hm3"]["h1"] == pytest.approx(left, abs=1e-4)
        assert document["water_value_per_hm3"] == {"h1": 0.0}
        assert [line["plant"] for line in document["plants"]] == ["h1", "g1"]

    def test_scarce_water_is_worth_the_generation_it_saves(self):
        poor = {"stage": 0, "storage_hm3": {"h1": 0.0}, "inflow_m3s": {"h1": 50.0}}
        face, state, decision, stage = decided(HydrothermalSystem.model_validate(FRUGAL), [poor])
        (document,) = face.encode(state, decision, stage)
        assert document["water_value_per_hm3"]["h1"] == pytest.approx(40 / 0.0036, rel=1e-6)

    def test_blocks_are_told_apart(self):
        system = every_option(0)
        face, state, decision, stage = decided(system, [HydroView(system).today()])
        (document,) = face.encode(state, decision, stage)
        assert list(document["blocks"]) == ["peak", "base"]
        mean = 0.3 * document["blocks"]["peak"]["generation_mw"]["coal"]
        mean += 0.7 * document["blocks"]["base"]["generation_mw"]["coal"]
        assert document["generation_mw"]["coal"] == pytest.approx(mean, abs=1e-3)

    def test_power_balances_at_every_bus(self):
        system = every_option(2, "dc")
        face, state, decision, stage = decided(system, [HydroView(system).today()])
        (document,) = face.encode(state, decision, stage)
        season = face.layout.seasons[0]
        plants = [*system.hydros, *system.thermals, *system.renewables]
        for k, bus in enumerate(face.layout.buses):
            made = sum(document["generation_mw"][plant.id] for plant in plants if plant.bus == bus)
            out = sum(document["flows_mw"][line.id] for line in system.lines if line.source == bus)
            into = sum(document["flows_mw"][line.id] for line in system.lines if line.target == bus)
            surplus = float(decision.surplus[0, :, k].sum()) / 168
            load = season.load[:, k].sum() / 168
            assert made + into - out + document["deficit_mw"][bus] - surplus == pytest.approx(load, abs=1e-3)

    def test_repairs_name_what_was_moved(self):
        face, state, decision, stage = decided(HydrothermalSystem.model_validate(FRUGAL), [STATE])
        proposed = decision.map(lambda values: values.clone())
        proposed.thermal[0, 0, 0] = 61 * 730
        mended = face.simulator.repair(state, proposed, stage)
        repairs = face.repairs(state, proposed, mended, stage)[0]
        assert "/thermal/g1" in [repair.field for repair in repairs]

    def test_sentences_say_what_binds(self):
        face, state, decision, stage = decided(HydrothermalSystem.model_validate(FRUGAL), [STATE])
        variants = face.probes(state)
        policy = policy_of(PROBLEM, face.system, PROBLEM.family("myopic"))
        probed = policy(variants, stage.expand(variants.batch))
        (why,) = face.explain(state, decision, stage, [probed])
        assert any("turbines all it can" in sentence and "would keep 100 %" in sentence for sentence in why)
        assert any("the cost of g1" in sentence for sentence in why)

    def test_an_unpriced_dispatch_has_no_water_values(self):
        face, state, decision, stage = decided(HydrothermalSystem.model_validate(FRUGAL), [STATE])
        bare = decision.map(lambda values: values.clone())
        bare.priced[:] = 0
        assert face.encode(state, bare, stage)[0]["water_value_per_hm3"] is None

    def test_columns_hold_a_row_per_state(self):
        face, state, decision, stage = decided(HydrothermalSystem.model_validate(FRUGAL), [STATE, STATE])
        table = face.encode_columns(state, decision, stage)
        assert np.shape(table["storage_hm3"]["h1"]) == (2,)
        assert np.shape(table["stage_cost"]) == (2,)


@pytest.mark.parametrize(
    ("value", "told"),
    [(33_666.6, "33,667"), (1_234_567.0, "1,234,567"), (12.3456, "12.35"), (0.5, "0.5"), (-2.0, "-2"), (1e-9, "0")],
)
def test_sentences_say_numbers_without_exponents(value, told):
    assert plain(value) == told
