"""Every constraint that operators have, alone on a system small enough to reckon by hand."""

import numpy as np
import pytest
import torch

from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.program import HydroProgram
from models.hydrothermal.simulator import HydroSimulator
from solvers.bounds import Hindsight
from solvers.core import Callbacks
from solvers.highs import HotProgram

HOURS = 100
K = 0.0036 * HOURS  # hm³ that a m³/s brings in a stage


def one_bus(**fields):
    """One bus of 50 MW, a thermal of 60 MW at 30, a reservoir of 100 hm³ whose plant gives 1 MW per m³/s."""
    document = {
        "problem": "hydrothermal",
        "name": "one-bus",
        "stages": 1,
        "stage_hours": HOURS,
        "deficit_cost_per_mwh": 500,
        "buses": [{"id": "b", "load_mw": 50}],
        "thermals": [{"id": "g", "bus": "b", "max_mw": 60, "cost_per_mwh": 30} | fields.pop("thermal", {})],
        "hydros": [
            {
                "id": "h",
                "bus": "b",
                "production_factor_mw_per_m3s": 1.0,
                "turbine_max_m3s": 40,
                "storage_max_hm3": 100,
                "initial_storage_hm3": 50,
                "spill_cost_per_hm3": 0.001,
            }
            | fields.pop("hydro", {})
        ],
        "inflows": {"process": "scenarios", "cyclic": True, "inflow_m3s": {"h": [[10]]}},
    }
    return HydrothermalSystem.model_validate(document | fields)


def dispatched(system, storage=50.0, inflow=10.0, stage=0, previous=()):
    """Least cost and columns of one stage, water at the end being worth nothing."""
    program = HydroProgram(system).stage(stage)
    hot = HotProgram(program)
    hot.set_data(np.array([storage, inflow * K, *previous]), np.zeros(1))
    found = hot.solve().require("a test")
    return found.value, dict(zip(program.columns, hot.columns(), strict=True))


def foreseen(system):
    """Least cost of the whole horizon."""
    from models.hydrothermal import PROBLEM

    simulator = HydroSimulator(system)
    generator = torch.Generator().manual_seed(0)
    state, noise = simulator.initial(1, generator), simulator.sample(1, generator)
    return float(Hindsight(PROBLEM, system, simulator).bounds(state, noise, Callbacks())[0])


class TestWater:
    def test_a_minimum_outflow_is_kept_where_it_pays_and_priced_where_it_cannot_be(self):
        system = one_bus(hydro={"min_outflow_m3s": 60, "min_outflow_cost_per_hm3": 7})
        _, wet = dispatched(system)
        assert wet["turbined[h]"] == pytest.approx(40 * K)
        assert wet["spilled[h]"] == pytest.approx(20 * K)
        cost, dry = dispatched(system, storage=0.0, inflow=10.0)
        assert dry["outflow_short[h]"] == pytest.approx(50 * K)
        assert cost == pytest.approx(HOURS * 30 * 40 + 7 * 50 * K)

    def test_a_reserve_is_worth_its_price(self):
        # Keeping an hm³ costs 30 money/MWh over 0.0036 hm³/MWh, about 8,333.
        kept = one_bus(hydro={"reserve_storage_hm3": 50, "reserve_cost_per_hm3": 9_000})
        used = one_bus(hydro={"reserve_storage_hm3": 50, "reserve_cost_per_hm3": 8_000})
        assert dispatched(kept)[1]["storage[h]"] == pytest.approx(50)
        assert dispatched(used)[1]["storage[h]"] == pytest.approx(50 + (10 - 40) * K)

    def test_flood_storage_is_freed_by_spilling(self):
        system = one_bus(hydro={"flood_storage_hm3": 45, "flood_cost_per_hm3": 5})
        _, columns = dispatched(system, storage=80.0)
        assert columns["storage[h]"] == pytest.approx(45)
        assert columns["flood_over[h]"] == pytest.approx(0, abs=1e-9)

    def test_soft_limits_follow_the_season(self):
        system = one_bus(stages=2, hydro={"reserve_storage_hm3": [50, 20], "reserve_cost_per_hm3": 9_000})
        assert dispatched(system, stage=0)[1]["storage[h]"] == pytest.approx(50)
        assert dispatched(system, stage=1)[1]["storage[h]"] == pytest.approx(50 - 30 * K)

    def test_what_evaporates_is_a_share_of_what_lies_above_dead_storage(self):
        system = one_bus(hydro={"evaporation_share": 0.1, "storage_min_hm3": 10, "turbine_max_m3s": 0})
        _, columns = dispatched(system)
        assert columns["storage[h]"] == pytest.approx(50 - 0.1 * 40 + 10 * K)
        assert dispatched(system, storage=10.0, inflow=0.0)[1]["storage[h]"] == pytest.approx(10)

    def test_a_low_head_gives_less(self):
        pieces = [{"per_m3s": 0.5, "per_hm3": 0.2}, {"per_m3s": 1.0}]
        system = one_bus(hydro={"production_pieces": pieces})
        _, full = dispatched(system, storage=100.0)
        _, low = dispatched(system, storage=20.0)
        mean = (20 + 20 - 30 * K) / 2
        assert full["hydro[h]"] == pytest.approx(HOURS * min(40, 20 + 0.2 * (100 + full["storage[h]"]) / 2))
        assert low["hydro[h]"] == pytest.approx(HOURS * (20 + 0.2 * mean))

    def test_turbined_and_spilled_water_take_their_own_ways(self):
        document = one_bus().document()
        document["hydros"].append(document["hydros"][0] | {"id": "low", "turbine_max_m3s": 5})
        document["hydros"].append(document["hydros"][0] | {"id": "aside", "turbine_max_m3s": 5})
        document["hydros"][0] |= {"turbine_downstream": "low", "spill_downstream": "aside", "turbine_max_m3s": 20}
        document["inflows"]["inflow_m3s"] = {"h": [[10]], "low": [[0]], "aside": [[0]]}
        program = HydroProgram(HydrothermalSystem.model_validate(document)).stage(0)
        hot = HotProgram(program)
        hot.set_data(np.array([100.0, 0, 0, 30 * K, 0, 0]), np.zeros(3))  # full: 10 m³/s must be spilled
        hot.solve()
        found = dict(zip(program.columns, hot.columns(), strict=True))
        assert found["spilled[h]"] == pytest.approx(10 * K)
        assert found["storage[low]"] == pytest.approx(20 * K - found["turbined[low]"])
        assert found["storage[aside]"] == pytest.approx(10 * K - found["turbined[aside]"])


class TestPlants:
    def test_a_ramp_holds_a_plant_near_what_it_ran(self):
        system = one_bus(thermal={"ramp_mw": 5, "initial_mw": 30}, hydro={"turbine_max_m3s": 0})
        cost, columns = dispatched(system, previous=(30 * HOURS,))
        assert columns["thermal[g]"] == pytest.approx(35 * HOURS)
        assert cost == pytest.approx(HOURS * (30 * 35 + 500 * 15))

    def test_a_plant_that_cannot_come_down_leaves_surplus(self):
        system = one_bus(thermal={"ramp_mw": 5, "initial_mw": 60}, surplus_cost_per_mwh=2, buses=[{"id": "b"}])
        cost, columns = dispatched(system, previous=(60 * HOURS,))
        assert columns["surplus[b]"] == pytest.approx(55 * HOURS)
        assert cost == pytest.approx(HOURS * 55 * (30 + 2))

    def test_must_run_comes_before_water(self):
        _, columns = dispatched(one_bus(thermal={"min_mw": 45}))
        assert columns["thermal[g]"] == pytest.approx(45 * HOURS)
        assert columns["turbined[h]"] == pytest.approx(5 * K)

    def test_fuel_bounds_the_energy_of_a_stage(self):
        fuels = [{"id": "tank", "thermals": ["g"], "max_mwh": 700}]
        cost, columns = dispatched(one_bus(fuels=fuels))
        assert columns["thermal[g]"] == pytest.approx(700)
        assert cost == pytest.approx(30 * 700 + 500 * 300)

    def test_a_renewable_saves_fuel_and_is_curtailed_where_nobody_takes_it(self):
        wind = [{"id": "w", "bus": "b", "available_mw": [15, 80]}]
        system = one_bus(stages=2, renewables=wind)
        assert dispatched(system)[0] == pytest.approx(0)
        cost, columns = dispatched(system, stage=1)
        assert columns["renewable[w]"] <= 50 * HOURS + 1e-6
        assert cost == pytest.approx(0, abs=1e-6)


class TestLoad:
    def test_load_follows_the_season(self):
        system = one_bus(stages=2, buses=[{"id": "b", "load_mw": [50, 70]}])
        assert dispatched(system, stage=0)[0] == pytest.approx(HOURS * 30 * 10)
        assert dispatched(system, stage=1)[0] == pytest.approx(HOURS * 30 * 30)

    def test_blocks_have_their_own_load_and_share_the_water(self):
        blocks = [{"id": "peak", "share": 0.25, "load_factor": 2.2}, {"id": "night", "share": 0.75, "load_factor": 0.6}]
        cost, columns = dispatched(one_bus(blocks=blocks))
        # At the peak 110 MW are asked: 40 of water, 60 thermal, 10 unserved; at night 30 of water.
        assert columns["thermal[g,peak]"] == pytest.approx(60 * 25)
        assert columns["deficit[b,peak]"] == pytest.approx(10 * 25)
        assert columns["turbined[h,night]"] == pytest.approx(30 * 0.0036 * 75)
        assert cost == pytest.approx(25 * (30 * 60 + 500 * 10), rel=1e-6)

    def test_deficit_goes_through_its_slices(self):
        tiers = [{"share_of_load": 0.1, "cost_per_mwh": 100}, {"share_of_load": 0.2, "cost_per_mwh": 200}]
        system = one_bus(deficit_tiers=tiers, thermal={"max_mw": 5}, hydro={"turbine_max_m3s": 25})
        cost, _ = dispatched(system)
        assert cost == pytest.approx(HOURS * (30 * 5 + 100 * 5 + 200 * 10 + 500 * 5))


class TestTime:
    def test_later_stages_weigh_less(self):
        idle = {"turbine_max_m3s": 0}
        assert foreseen(one_bus(stages=2, discount=0.5, hydro=idle)) == pytest.approx(HOURS * 30 * 50 * 1.5)

    def test_only_reported_stages_cost(self):
        idle = {"turbine_max_m3s": 0}
        assert foreseen(one_bus(stages=3, report_stages=2, hydro=idle)) == pytest.approx(HOURS * 30 * 50 * 2)

    def test_a_cut_makes_water_worth_keeping(self):
        # Dearer than what a thermal saves: kept; cheaper: used.
        for value, end in ((9_000, 50 + 10 * K), (8_000, 50 - 30 * K)):
            cuts = [{"intercept": 1e6, "slope_per_hm3": {"h": -value}}]
            burnt = 30 * HOURS * (50 - (50 + 10 * K - end) / K)
            assert foreseen(one_bus(end={"cuts": cuts})) == pytest.approx(1e6 - value * end + burnt)

    def test_storage_to_end_with_is_kept_at_its_price(self):
        for price, end in ((9_000, 50), (8_000, 50 - 30 * K)):
            wanted = {"storage_hm3": {"h": 50}, "shortage_cost_per_hm3": price}
            burnt = 30 * HOURS * (50 - (50 + 10 * K - end) / K)
            assert foreseen(one_bus(end=wanted)) == pytest.approx(price * (50 - end) + burnt)


class TestDispatchesMadeByHand:
    def test_a_feasible_dispatch_stays_as_it_is(self):
        system = one_bus()
        program, simulator = HydroProgram(system), HydroSimulator(system)
        state = simulator.initial(1, torch.Generator().manual_seed(0))
        hot = HotProgram(program.stage(0))
        hot.set_data(program.state_vector(state)[0], np.zeros(1))
        hot.solve()
        dispatch = program.decision(hot.columns()[None], 0)
        assert simulator.repair(state, dispatch, 0) is dispatch

    def test_water_that_is_not_there_is_not_turbined(self):
        system = one_bus(hydro={"initial_storage_hm3": 0})
        simulator, program = HydroSimulator(system), HydroProgram(system)
        state = simulator.initial(1, torch.Generator().manual_seed(0))
        columns = np.zeros((1, len(program.stage(0).columns)))
        columns[0, program.stage(0).column("turbined[h]")] = 30 * K
        mended = simulator.repair(state, program.decision(columns, 0), 0)
        assert float(mended.turbined) == pytest.approx(10 * K)
        assert float(mended.deficit) == pytest.approx(40 * HOURS)
        assert float(simulator.violation(state, mended, 0)) < 1e-9

    def test_a_reservoir_does_not_overflow(self):
        system = one_bus(hydro={"initial_storage_hm3": 100})
        simulator, program = HydroSimulator(system), HydroProgram(system)
        state = simulator.initial(1, torch.Generator().manual_seed(0))
        nothing = program.decision(np.zeros((1, len(program.stage(0).columns))), 0)
        mended = simulator.repair(state, nothing, 0)
        post, _ = simulator.decide(state, mended, 0)
        assert float(mended.spilled) == pytest.approx(10 * K)
        assert float(post.storage) == pytest.approx(100)

    def test_generation_that_nobody_takes_is_cut_and_its_water_spilled(self):
        system = one_bus(buses=[{"id": "b", "load_mw": 20}])
        simulator, program = HydroSimulator(system), HydroProgram(system)
        state = simulator.initial(1, torch.Generator().manual_seed(0))
        columns = np.zeros((1, len(program.stage(0).columns)))
        columns[0, program.stage(0).column("turbined[h]")] = 35 * K
        mended = simulator.repair(state, program.decision(columns, 0), 0)
        assert float(mended.hydro) == pytest.approx(20 * HOURS)
        assert float(mended.turbined) == pytest.approx(20 * K)
        assert float(mended.spilled) == pytest.approx(15 * K)
        assert float(simulator.violation(state, mended, 0)) < 1e-9
