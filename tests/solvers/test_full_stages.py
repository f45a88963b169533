"""Plans carried out in full: in alternating current, and with thermals on or off."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.core import InvalidInput
from models.hydrothermal import PROBLEM
from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.program import HydroProgram
from solvers.bound import BOUND
from solvers.bounds import DETERMINISTIC
from solvers.certificate import certify
from solvers.core import Callbacks, InnerSolveError, TrainRequest
from solvers.evaluation import Sample, ScenarioChunk, roll_out
from solvers.families import policy_of
from solvers.full_stages import InFull
from solvers.highs import HotProgram
from solvers.registry import solver
from solvers.sddp import SDDP
from tests.models.hydro_systems import changed, every_option, two_buses

LEARNED = {"iterations": 6, "batch_size": 8, "validation_every": 3, "validation_scenarios": 4, "width": 8}
WAYS = [("tsddr", LEARNED), ("sddp", {"iterations": 5}), ("rolling_deterministic", {"look_ahead": 3})]


def in_ac(**changes):
    return HydrothermalSystem.model_validate(changed(two_buses("ac"), **changes))


def trained(instance, name, config):
    method = solver(name)
    return method.train(TrainRequest(PROBLEM, instance, method.config(**config), 3), Callbacks())


class TestAlternatingCurrent:
    @pytest.fixture(autouse=True)
    def _casadi(self):
        pytest.importorskip("casadi")

    @pytest.mark.parametrize(("name", "config"), WAYS)
    def test_every_policy_dispatches_by_the_full_power_flow(self, name, config):
        instance = in_ac()
        simulator = PROBLEM.simulator(instance).double()
        policy = trained(instance, name, config).policy
        state = simulator.initial(3, torch.Generator().manual_seed(1))
        dispatch = policy(state, 0)
        assert (dispatch.voltage >= 0.9 - 1e-6).all()
        assert (dispatch.voltage <= 1.1 + 1e-6).all()
        size = float(max(value.abs().max() for value in vars(dispatch).values() if value.numel()))
        assert float(simulator.violation(state, dispatch, 0).max()) <= 1e-7 * size
        assert (dispatch.loss > 0).all()

    def test_a_stage_ends_where_it_was_planned_to(self):
        instance = in_ac()
        simulator = PROBLEM.simulator(instance).double()
        policy = trained(instance, "tsddr", LEARNED).policy
        state = simulator.initial(4, torch.Generator().manual_seed(1))
        post, _ = simulator.decide(state, policy(state, 0), 0)
        assert torch.allclose(post.storage, policy.target(state, 0), atol=1e-5)

    def test_laws_of_alternating_current_bind_a_dispatch_that_has_voltages(self):
        instance = in_ac()
        simulator = PROBLEM.simulator(instance).double()
        policy = policy_of(PROBLEM, instance, PROBLEM.family("myopic"))
        state = simulator.initial(1, torch.Generator().manual_seed(1))
        dispatch = policy(state, 0)
        for name, by in (("voltage", 0.05), ("angle", 0.02), ("reactive", 5.0)):
            moved = getattr(dispatch, name).clone()
            moved[0, 0, -1] -= by
            broken = type(dispatch)(**(vars(dispatch) | {name: moved}))
            assert float(simulator.violation(state, broken, 0).max()) > 1.0, name

    def test_a_stage_of_every_row_means_the_same_as_one_for_all(self):
        instance = in_ac(buses__1__load_mvar=[10.0, 30.0])
        policy = policy_of(PROBLEM, instance, PROBLEM.family("myopic"))
        state = PROBLEM.simulator(instance).double().initial(2, torch.Generator().manual_seed(1))
        both = policy(state, torch.tensor([0, 1]))
        for row in (0, 1):
            alone = policy(state.rows(slice(row, row + 1)), row)
            assert torch.equal(both.rows(slice(row, row + 1)).voltage, alone.voltage)
        assert float(both.reactive.sum(-1)[1]) > float(both.reactive.sum(-1)[0]) + 15

    def test_evaluation_costs_what_dispatches_in_alternating_current_cost(self):
        instance, straight = in_ac(), HydrothermalSystem.model_validate(two_buses("dc"))
        costs = {}
        for system in (instance, straight):
            simulator = PROBLEM.simulator(system).double()
            generator = torch.Generator().manual_seed(5)
            chunk = ScenarioChunk(simulator.initial(4, generator), simulator.sample(4, generator))
            sample = Sample()
            roll_out(simulator, policy_of(PROBLEM, system, PROBLEM.family("myopic")), chunk, sample)
            costs[system.physics] = sample.total.mean()
        assert 1.0005 < costs["ac"] / costs["dc"] < 1.2  # losses are paid for

    def test_plans_bound_nothing_there_and_say_so(self):
        instance = in_ac()
        result = trained(instance, "sddp", {"iterations": 3})
        assert result.bound is None
        assert "dc_losses" in result.policy.describe()["approximates"]
        with pytest.raises(InnerSolveError, match="bounds no policy's"):
            BOUND.solve(PROBLEM, instance, BOUND.config(scenarios=4), 1, Callbacks())
        document, _ = certify(PROBLEM, instance, {"own": result.policy}, 1, Callbacks(), scenarios=2)
        assert document["bounds"] == []
        assert "plans are made in dc_losses" in document["bound_note"]

    def test_a_deterministic_plan_is_replayed_in_alternating_current(self):
        found = DETERMINISTIC.solve(PROBLEM, in_ac(), DETERMINISTIC.config(), 1, Callbacks()).document
        assert found["approximates"].startswith("voltages")
        assert found["plan"][0]["voltage_pu"]["b1"] > 0.9
        assert found["plan"][0]["losses_mw"]["l1"] > 0

    def test_a_recommendation_has_voltages_and_what_load_costs_at_each_bus(self):
        instance = in_ac()
        policy = policy_of(PROBLEM, instance, PROBLEM.family("myopic"))
        view = PROBLEM.view(instance)
        state, stage = view.decode([view.today()])
        (document,) = view.encode(state, policy(state, stage), stage)
        assert document["voltage_pu"].keys() == {"b1", "b2"}
        assert document["reactive_mvar"].keys() == {"g1", "h1"}
        assert document["marginal_cost_per_mwh"]["b2"] > 0
        plan = HydroProgram(instance).decision(np.zeros((1, len(HydroProgram(instance).stage(0).columns))), 0)
        (bare,) = view.encode(state, plan, stage)
        assert bare["voltage_pu"] is None

    def test_the_price_of_load_is_the_slope_of_the_cost(self):
        found = [self._dispatched(in_ac(buses__1__load_mw=load)) for load in (99.95, 100.0, 100.05)]
        slope = (found[2][0] - found[0][0]) / 0.1 / 730
        assert float(found[1][1].marginal_cost[0, 0, 1]) == pytest.approx(slope, rel=1e-3)

    def _dispatched(self, instance):
        """What a stage that ends with 120 hm³ costs, and its dispatch."""
        simulator, face = PROBLEM.simulator(instance).double(), HydroProgram(instance)
        state = simulator.initial(1, torch.Generator().manual_seed(1))
        hot, end = HotProgram(face.stage(0)), np.array([120.0])
        hot.set_data(face.state_vector(state)[0], np.zeros(1))
        hot.set_column_bounds(np.array([face.stage(0).column("storage[h1]")], dtype=np.int32), end, end)
        hot.solve().require("a test")
        dispatch = InFull(PROBLEM, instance)(state, face.decision(hot.columns()[None], 0), 0)
        return float(simulator.decide(state, dispatch, 0)[1].total[0]), dispatch

    def test_a_dispatch_without_a_power_flow_is_refused_with_its_stage(self):
        instance = in_ac(
            buses__1__load_mvar=500.0, thermals__0__reactive_max_mvar=1.0, hydros__0__reactive_max_mvar=1.0
        )
        policy = policy_of(PROBLEM, instance, PROBLEM.family("myopic"))
        state = PROBLEM.simulator(instance).double().initial(1, torch.Generator().manual_seed(1))
        with pytest.raises(InnerSolveError, match="stage 2, carried out in full: Ipopt"):
            policy.propose(state, 2)

    def test_what_it_does_not_know_is_refused_by_field(self):
        document = every_option(0).document() | {"physics": "ac"}
        with pytest.raises(InvalidInput) as caught:
            PROBLEM.parse(document)
        named = {issue.pointer for issue in caught.value.issues}
        assert {"/blocks", "/fuels", "/renewables", "/deficit_tiers", "/thermals/0/ramp_mw"} <= named
        assert {"/hydros/1/production_pieces", "/hydros/0/min_outflow_cost_per_hm3"} <= named

    @pytest.mark.parametrize(
        ("changes", "where"),
        [
            ({"buses__0__voltage_min_pu": 1.2}, "/buses/0/voltage_min_pu"),
            ({"hydros__0__reactive_min_mvar": 5.0, "hydros__0__reactive_max_mvar": 1.0}, "/hydros/0/reactive_min_mvar"),
        ],
    )
    def test_limits_that_cross_are_refused(self, changes, where):
        with pytest.raises(InvalidInput) as caught:
            PROBLEM.parse(changed(two_buses("ac"), **changes))
        assert [issue.pointer for issue in caught.value.issues] == [where]


def test_without_casadi_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "casadi", None)
    with pytest.raises(InnerSolveError, match=r"install herenow\[ac\]"):
        policy_of(PROBLEM, in_ac(), PROBLEM.family("myopic"))


def switched(**changes):
    """Two plants that are on or off, the cheap one too large for most stages."""
    document = two_buses("dc")
    document["thermals"] = [
        {"id": "coal", "bus": "b2", "min_mw": 50, "max_mw": 60, "cost_per_mwh": 30, "on_off": True},
        {"id": "gas", "bus": "b2", "min_mw": 10, "max_mw": 60, "cost_per_mwh": 60, "on_off": True},
    ]
    document["thermals"][1]["running_cost_per_hour"] = 120
    return HydrothermalSystem.model_validate(changed(document, **changes))


class TestOnOrOff:
    def cheapest(self, instance, state, end):
        """Least cost of a stage over all ways to switch, each a linear program of its own."""
        costs = []
        for ways in itertools.product([False, True], repeat=2):
            thermals = [
                thermal.model_copy(
                    update={"on_off": False, "running_cost_per_hour": 0.0}
                    | ({} if on else {"min_mw": 0.0, "max_mw": 0.0})
                )
                for thermal, on in zip(instance.thermals, ways, strict=True)
            ]
            face = HydroProgram(instance.model_copy(update={"thermals": thermals}))
            hot = HotProgram(face.stage(0))
            hot.set_data(face.state_vector(state)[0], np.zeros(1))
            hot.set_column_bounds(np.array([face.stage(0).column("storage[h1]")], dtype=np.int32), end, end)
            found = hot.solve()
            if found.status == "optimal":
                fixed = sum(t.running_cost_per_hour for t, on in zip(instance.thermals, ways, strict=True) if on)
                surplus = [name for name in face.stage(0).columns if name.startswith("surplus")]
                over = sum(hot.columns()[face.stage(0).column(name)] for name in surplus)
                costs += [found.value + 730 * fixed] if over < 1e-6 else []
        return min(costs)

    @pytest.mark.parametrize("left", [20.0, 60.0, 100.0, 140.0])
    def test_a_stage_costs_the_least_over_all_ways_to_switch(self, left):
        instance = switched()
        simulator = PROBLEM.simulator(instance).double()
        state = simulator.initial(1, torch.Generator().manual_seed(1))
        face, end = HydroProgram(instance), state.storage[0].numpy() + state.inflow[0].numpy() - left
        hot = HotProgram(face.stage(0))
        hot.set_data(face.state_vector(state)[0], np.zeros(1))
        hot.set_column_bounds(np.array([face.stage(0).column("storage[h1]")], dtype=np.int32), end, end)
        planned = hot.solve().require("a test").value
        dispatch = InFull(PROBLEM, instance)(state, face.decision(hot.columns()[None], 0), 0)
        assert float(simulator.violation(state, dispatch, 0).max()) < 1e-4
        cost = float(simulator.decide(state, dispatch, 0)[1].total[0])
        assert cost == pytest.approx(self.cheapest(instance, state, end), rel=1e-6)
        assert planned <= cost * (1 + 1e-9)

    @pytest.mark.parametrize(("name", "config"), WAYS)
    def test_policies_never_run_a_plant_in_between(self, name, config):
        instance = switched()
        simulator = PROBLEM.simulator(instance).double()
        policy = trained(instance, name, config).policy
        generator = torch.Generator().manual_seed(7)
        chunk = ScenarioChunk(simulator.initial(6, generator), simulator.sample(6, generator))
        roll_out(simulator, policy, chunk, Sample())  # which checks every decision
        power = policy(chunk.state, 0).thermal[:, 0] / 730
        least = torch.tensor([50.0, 10.0])
        assert ((power == 0) | (power >= least - 1e-4)).all()

    def test_a_plant_run_in_between_is_a_breach_and_repaired_by_standing_still(self):
        instance = switched()
        simulator = PROBLEM.simulator(instance).double()
        state = simulator.initial(1, torch.Generator().manual_seed(1))
        dispatch = policy_of(PROBLEM, instance, PROBLEM.family("myopic"))(state, 0)
        broken = type(dispatch)(**(vars(dispatch) | {"thermal": torch.full_like(dispatch.thermal, 5.0 * 730)}))
        assert float(simulator.violation(state, broken, 0)) >= 5.0 * 730 - 1e-6
        mended = simulator.repair(state, broken, 0)
        assert float(mended.thermal.abs().max()) == 0
        assert float(simulator.violation(state, mended, 0)) < 1e-6

    def test_plans_let_it_run_in_between_so_that_their_bounds_hold(self):
        instance = switched()
        assert HydroProgram(instance).relaxes
        result = SDDP.train(TrainRequest(PROBLEM, instance, SDDP.config(iterations=30), 1), Callbacks())
        assert result.bound is not None
        document, _ = certify(PROBLEM, instance, {"own": result.policy}, 1, Callbacks(), scenarios=48, seconds=2.0)
        mean = document["policy"]["mean_cost"]
        assert result.bound.value_per_stage * instance.stages <= mean + 4 * document["policy"]["standard_error"]

    @pytest.mark.parametrize(
        ("changes", "where"),
        [
            ({"thermals__0__ramp_mw": 5.0, "thermals__0__initial_mw": 50.0}, "/thermals/0/on_off"),
            ({"thermals__1__on_off": False}, "/thermals/1/running_cost_per_hour"),
        ],
    )
    def test_what_does_not_go_together_is_refused(self, changes, where):
        with pytest.raises(InvalidInput) as caught:
            PROBLEM.parse(changed(switched().document(), **changes))
        assert where in [issue.pointer for issue in caught.value.issues]


class TestAStageWithoutADispatch:
    @pytest.mark.parametrize(("name", "config"), WAYS)
    def test_says_which_rows_are_at_odds(self, name, config):
        """Load may go unserved at the other bus alone, and the line between them is thin: water is needed."""
        document = changed(two_buses(), hydros__0__bus="b2", lines__0__limit_mw=20.0, buses__1__deficit_allowed=False)
        policy = trained(HydrothermalSystem.model_validate(document), name, config).policy
        state = PROBLEM.simulator(policy.instance).double().initial(1, torch.Generator().manual_seed(1))
        dry = replace(state, storage=torch.zeros_like(state.storage), inflow=torch.zeros_like(state.inflow))
        policy.propose(state, 0)
        with pytest.raises(InnerSolveError, match=r"these cannot all hold: .*(water|balance)\["):
            policy.propose(dry, 0)
