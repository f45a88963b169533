"""The hydrothermal program: as large as it must be, the same as the simulator, and known optima."""

import numpy as np
import pytest
import torch

from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.program import HydroProgram
from models.hydrothermal.simulator import HydroSimulator
from solvers.bounds import replay, reported_weights
from solvers.highs import HotProgram
from tests.models.hydro_systems import bolivia, changed, every_option, published, published_paths, two_buses

FORESIGHT_OF_TWO_PATHS = 380_488.6487  # per hour, the first two of the published paths


def planned(system, scenarios=3, seed=0):
    """Optimal values and columns of a few scenarios with their futures known, and all that made them."""
    simulator, program = HydroSimulator(system), HydroProgram(system)
    weights = simulator.discount ** np.arange(simulator.num_stages + 1, dtype=np.float64)
    chained = program.horizon(weights)
    hot = HotProgram(chained.program)
    generator = torch.Generator().manual_seed(seed)
    state, noise = simulator.initial(scenarios, generator), simulator.sample(scenarios, generator)
    values, columns = [], []
    for vector, path in zip(program.state_vector(state), program.noise_path(noise), strict=True):
        hot.set_data(vector, path)
        values.append(hot.solve().require("a test").value)
        columns.append(hot.columns())
    return simulator, program, chained, np.array(values), np.array(columns), state, noise, weights


class TestReplay:
    @pytest.mark.parametrize("physics", ["transport", "dc", "dc_losses"])
    @pytest.mark.parametrize("seed", range(3))
    def test_plans_cost_in_the_simulator_what_the_program_says(self, seed, physics):
        """Every option at once: blocks, tiers, fuels, ramps, head, evaporation, soft limits, end of horizon."""
        system = every_option(seed, physics)
        simulator, program, chained, values, columns, state, noise, weights = planned(system, seed=seed)
        done = replay(simulator, program, chained, columns, state, noise)
        assert done.breach == 0.0
        np.testing.assert_allclose(done.costs @ weights, values, rtol=1e-6)

    def test_what_the_simulator_accepts_the_program_allows_at_no_more(self):
        """Random proposals, repaired: fixed in the program, their optimum costs no more than the simulator charged."""
        system = every_option(1)
        simulator, program, _, _, columns, state, *_ = planned(system)
        stage = program.stage(0)
        hot = HotProgram(stage)
        generator = torch.Generator().manual_seed(7)
        plan = program.decision(columns[:, : len(stage.columns)], 0)
        for _ in range(10):
            scale = 0.3 * torch.rand(1, generator=generator).double()
            wild = plan.map(
                lambda v, s=scale: v + s * (1 + v.abs()) * torch.randn(v.shape, generator=generator).double()
            )
            decision = simulator.repair(state, wild, 0)
            assert float(simulator.violation(state, decision, 0).max()) < 1e-6
            post, costs = simulator.decide(state, decision, 0)
            for row in range(state.batch):
                fixed = {f"storage[{h}]": post.storage[row, k] for k, h in enumerate(program.layout.hydros)}
                fixed |= {f"spilled[{h}]": decision.spilled[row, k] for k, h in enumerate(program.layout.hydros)}
                where = np.array([stage.column(name) for name in fixed], dtype=np.int32)
                wanted = np.array([float(value) for value in fixed.values()])
                hot.set_column_bounds(where, wanted - 1e-7, wanted + 1e-7)
                hot.set_data(program.state_vector(state)[row], np.zeros(3))
                assert hot.solve().value <= float(costs.total[row]) + 1e-4

    def test_reported_cost_ends_where_the_report_does(self):
        simulator = HydroSimulator(every_option(0))
        weights = reported_weights(simulator)
        assert weights[3] == pytest.approx(0.98**3)
        assert not weights[4:].any()


class TestStages:
    def test_stages_that_are_alike_are_one_object(self):
        program = HydroProgram(HydrothermalSystem.model_validate(two_buses()))
        assert program.stage(0) is program.stage(5)

    def test_seasons_have_stages_of_their_own(self):
        program = HydroProgram(
            HydrothermalSystem.model_validate(changed(two_buses(), buses__1__load_mw=[100, 50, 100]))
        )
        assert program.stage(0) is program.stage(2)
        assert program.stage(0) is not program.stage(1)

    def test_noise_touches_no_row_of_its_stage(self):
        stage = HydroProgram(every_option(0)).stage(0)
        assert stage.noise_matrix.count_nonzero() == 0

    def test_a_stage_far_ahead_covers_a_year(self):
        system = HydrothermalSystem.model_validate(changed(two_buses(), stages=48))
        assert HydroProgram(system).lookahead == 12


class TestNames:
    @pytest.mark.parametrize("name", ["h1.0", "1", "2.5", "a-b", "in_1", "e5", "nan", "True"])
    def test_any_id_that_a_document_may_have_finds_its_columns_and_rows(self, name):
        document = changed(two_buses(), hydros__0__id=name, inflows__inflow_m3s={name: [[30, 50, 80], [20, 40, 60]]})
        document = changed(document, buses__0__id=f"{name}b", hydros__0__bus=f"{name}b", lines__0__from=f"{name}b")
        simulator, program, chained, values, columns, state, noise, _ = planned(
            HydrothermalSystem.model_validate(document)
        )
        assert f"storage[{name}]" in program.stage(0).columns
        np.testing.assert_allclose(replay(simulator, program, chained, columns, state, noise).costs.sum(1), values)


class TestKnownOptima:
    def test_one_stage_uses_water_first_and_prices_it_as_the_thermal(self):
        """100 MW for 730 h: the line lets 80 MW through, the plant turbines 70, a thermal at 40 gives the rest."""
        program = HydroProgram(HydrothermalSystem.model_validate(changed(two_buses(), stages=1)))
        hot = HotProgram(program.stage(0))
        k = 0.0036 * 730
        hot.set_data(np.array([150.0, 42 * k]), np.zeros(1))
        assert hot.solve().value == pytest.approx(730 * 40 * 30)
        hot.set_data(np.array([10.0, 30 * k]), np.zeros(1))  # less water than the turbine takes
        found = hot.solve()
        turbined = 10.0 / k + 30
        assert found.value == pytest.approx(730 * (40 * 60 + 1000 * (40 - turbined)))
        dual = hot.row_duals()[program.stage(0).row("water[h1]")]
        assert -dual == pytest.approx(1000 * 1.0 / 0.0036)  # what deficit costs per MWh, times MWh per hm³

    def test_flows_share_between_parallel_lines_by_kirchhoff(self):
        """Two lines side by side, one of twice the reactance: it carries half, so the pair carries 1.5 times 20 MW."""
        document = two_buses()
        document["lines"] = [
            {"id": "strong", "from": "b1", "to": "b2", "reactance_pu": 0.1, "limit_mw": 20},
            {"id": "weak", "from": "b1", "to": "b2", "reactance_pu": 0.2, "limit_mw": 20},
        ]
        costs = {}
        for physics in ("transport", "dc"):
            program = HydroProgram(HydrothermalSystem.model_validate(document | {"physics": physics, "stages": 1}))
            hot = HotProgram(program.stage(0))
            hot.set_data(np.array([150.0, 100.0]), np.zeros(1))
            costs[physics] = hot.solve().value
        assert costs["transport"] == pytest.approx(730 * 40 * 60)
        assert costs["dc"] == pytest.approx(730 * (40 * 60 + 1000 * 10))

    def test_losses_are_those_of_the_tangents_and_near_the_square(self):
        system = HydrothermalSystem.model_validate(changed(two_buses("dc_losses"), stages=1, loss_tangents=60))
        program = HydroProgram(system)
        hot = HotProgram(program.stage(0))
        hot.set_data(np.array([150.0, 100.0]), np.zeros(1))
        hot.solve()
        dispatch = program.decision(hot.columns()[None], 0)
        flow, loss = float(dispatch.flow) / 730, float(dispatch.loss) / 730
        assert flow == pytest.approx(70)
        assert loss == pytest.approx(0.01 * flow**2 / 100, rel=1e-3)

    def test_an_angle_limit_is_a_flow_limit(self):
        system = HydrothermalSystem.model_validate(changed(two_buses(), lines__0__angle_max_rad=0.02))
        susceptance = 0.1 / (0.01**2 + 0.1**2)
        assert HydroProgram(system).layout.limit[0] == pytest.approx(100 * susceptance * 0.02)


class TestPublishedCases:
    def test_bolivia_s_stage_is_as_small_as_published(self):
        assert HydroProgram(bolivia()).stage(0).matrix.shape == (43, 115)

    def test_foresight_on_a_few_published_paths_costs_what_it_should(self):
        """Two of the 500 paths, per hour; the mean of all is 380,693.6 (benchmarks)."""
        system = bolivia()
        program = HydroProgram(system)
        hot = HotProgram(program.horizon(np.ones(127)).program)
        table = system.inflows.table(program.layout.hydros) * system.hm3_per_m3s
        values = []
        for path in published_paths()[:2]:
            inflow = np.array([table[t % 48, scenario] for t, scenario in enumerate(path)])
            start = np.concatenate([program.layout.storage_initial, inflow[0]])
            hot.set_data(start, np.concatenate([inflow[1:].ravel(), np.zeros(11)]))
            values.append(hot.solve().value / 168)
        assert np.mean(values) == pytest.approx(FORESIGHT_OF_TWO_PATHS, rel=1e-7)

    def test_case3_is_read(self):
        system = published("case3", stages="12")
        assert [len(system.buses), len(system.thermals), len(system.hydros)] == [3, 2, 1]
        assert system.hydros[0].turbine_max_m3s == 80
        assert system.deficit_cost_per_mwh == 100.1
