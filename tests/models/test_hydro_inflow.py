"""Inflows are drawn as their documents say."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from models.core import issues_of
from models.hydrothermal import PROBLEM
from models.hydrothermal.inflow import Autoregressive
from models.hydrothermal.instance import HydrothermalSystem
from models.hydrothermal.par import fit_par
from models.hydrothermal.program import HydroProgram
from models.hydrothermal.simulator import HydroSimulator
from solvers.evaluation import Sample, ScenarioChunk, compare, roll_out
from solvers.families import policy_of
from tests.models.hydro_systems import changed, two_buses

K = 0.0036 * 730
DRAWS = 20_000


def simulator(inflows, **changes):
    return HydroSimulator(HydrothermalSystem.model_validate(changed(two_buses(), inflows=inflows, **changes)))


def paths(sim, count=DRAWS, seed=0):
    """Stage 0 and the stages after it, in m³/s: (path, stage)."""
    generator = torch.Generator().manual_seed(seed)
    first, later = sim.initial(count, generator).inflow, sim.sample(count, generator).inflow
    return torch.cat((first[:, None], later), dim=1)[:, :, 0].numpy() / K


TABLE = [[30, 50, 80], [20, 40, 60]]
CHANCES = [[0.3, 0.4, 0.3], [0.2, 0.2, 0.6]]
SCENARIOS = {"process": "scenarios", "cyclic": True, "inflow_m3s": {"h1": TABLE}, "probabilities": CHANCES}


class TestScenarios:
    def test_each_stage_draws_its_row_with_its_probabilities(self):
        drawn = paths(simulator(SCENARIOS))
        for stage in range(7):
            row, chances = TABLE[stage % 2], CHANCES[stage % 2]
            shares = [np.isclose(drawn[:, stage], value).mean() for value in row]
            np.testing.assert_allclose(shares, chances, atol=0.015)

    def test_stages_are_independent(self):
        drawn = paths(simulator(SCENARIOS))
        assert abs(np.corrcoef(drawn[:, 1], drawn[:, 2])[0, 1]) < 0.03

    def test_the_mean_is_the_mean(self):
        sim = simulator(SCENARIOS)
        np.testing.assert_allclose(sim.expected(1).inflow[0, :, 0] / K, paths(sim)[:, 1:].mean(0), rtol=0.02)

    def test_a_known_inflow_starts_every_path(self):
        drawn = paths(simulator(SCENARIOS | {"current_inflow_m3s": {"h1": 42}}), count=5)
        np.testing.assert_allclose(drawn[:, 0], 42)

    def test_the_program_knows_what_may_happen(self):
        system = HydrothermalSystem.model_validate(changed(two_buses(), inflows=SCENARIOS))
        program = HydroProgram(system)
        after, start = program.outcomes(0), program.starts()
        np.testing.assert_allclose(after.values[:, 0], np.array(TABLE[1]) * K)
        np.testing.assert_allclose(after.probabilities, CHANCES[1])
        np.testing.assert_allclose(start.values, [[150, flow * K] for flow in TABLE[0]])
        assert program.outcomes(2) is after


CHAIN = {
    "process": "markov",
    "cyclic": True,
    "inflow_m3s": {"h1": [[10, 100]]},
    "transitions": [[[0.9, 0.1], [0.3, 0.7]]],
    "initial_scenario": 1,
}


NAMED = SCENARIOS | {"evaluation_scenarios": [[0, 1, 2, 0, 1, 2], [2, 2, 2, 2, 2, 2], [1, 0, 1, 0, 1, 0]]}


class TestPathsToJudgeOn:
    def test_they_are_the_rows_of_the_table_they_name(self):
        state, noise = simulator(NAMED).panel()
        drawn = torch.cat((state.inflow, noise.inflow[:, :5, 0]), dim=1).numpy() / K
        named = NAMED["evaluation_scenarios"]
        np.testing.assert_allclose(drawn, [[TABLE[t % 2][n] for t, n in enumerate(path)] for path in named])

    def test_policies_are_judged_on_each_of_them_once(self):
        sim = simulator(NAMED)
        policy = policy_of(PROBLEM, sim.system, PROBLEM.family("myopic"))
        totals = compare(sim, {"myopic": policy}, seed=1)["myopic"].total
        alone = Sample()
        roll_out(sim, policy, ScenarioChunk(*sim.panel()), alone)
        np.testing.assert_allclose(totals, alone.total)

    @pytest.mark.parametrize(("paths", "where"), [([[0] * 5, [0] * 6], "0"), ([[0] * 6, [0, 1, 9, 0, 0, 0]], "1/2")])
    def test_paths_that_name_nothing_are_refused(self, paths, where):
        with pytest.raises(ValidationError) as caught:
            simulator(SCENARIOS | {"evaluation_scenarios": paths})
        assert [issue.pointer for issue in issues_of(caught.value)] == [f"/inflows/evaluation_scenarios/{where}"]


class TestMarkov:
    def test_it_starts_where_it_is_said_to_and_moves_as_the_matrix_says(self):
        drawn = paths(simulator(CHAIN)) > 50
        assert drawn[:, 0].all()
        assert drawn[:, 1].mean() == pytest.approx(0.7, abs=0.015)
        wet = drawn[:, 3]
        assert drawn[wet, 4].mean() == pytest.approx(0.7, abs=0.02)
        assert drawn[~wet, 4].mean() == pytest.approx(0.1, abs=0.015)

    def test_means_follow_the_matrix(self):
        sim = simulator(CHAIN)
        np.testing.assert_allclose(sim.expected(1).inflow[0, :, 0] / K, paths(sim)[:, 1:].mean(0), rtol=0.02)

    def test_its_outcomes_depend_on_the_past(self):
        system = HydrothermalSystem.model_validate(changed(two_buses(), inflows=CHAIN))
        assert HydroProgram(system).outcomes(0) is None


class TestPaths:
    def test_a_path_is_drawn_whole(self):
        table = [[5, 5]] + [[10 * t, 100 * t] for t in range(1, 6)]
        given = {"process": "paths", "inflow_m3s": {"h1": table}, "probabilities": [0.25, 0.75]}
        drawn = paths(simulator(given))
        high = drawn[:, 1] > 50
        np.testing.assert_allclose(drawn[high, :6], np.tile([row[1] for row in table], (high.sum(), 1)))
        np.testing.assert_allclose(drawn[~high, :6], np.tile([row[0] for row in table], ((~high).sum(), 1)))
        assert high.mean() == pytest.approx(0.75, abs=0.015)


def _history(years, phi=0.6, seed=3):
    """Monthly log inflow of two rivers that regress on themselves and share their shocks."""
    rng = np.random.default_rng(seed)
    shocks = rng.normal(size=(12 * years, 2)) @ np.linalg.cholesky([[1, 0.8], [0.8, 1]]).T
    z = np.zeros((12 * years, 2))
    for t in range(1, 12 * years):
        z[t] = phi * z[t - 1] + math.sqrt(1 - phi**2) * shocks[t]
    season = np.cos(2 * np.pi * np.arange(12 * years) / 12)
    return np.exp(3 + 0.5 * season[:, None] + 0.4 * z)


class TestAutoregressive:
    def fitted(self, transform="log", years=200, **fields):
        history = _history(years)
        given = {"h1": history[:, 0].tolist(), "h2": history[:, 1].tolist()}
        process = Autoregressive(process="par", history_m3s=given, seasons=12, transform=transform, **fields)
        return process, fit_par(process, ["h1", "h2"])

    def test_the_fit_finds_what_made_the_history(self):
        _, par = self.fitted(order=1)
        assert par.weights[:, 0].mean() == pytest.approx(0.6, abs=0.03)
        assert par.residual.mean() == pytest.approx(0.8, abs=0.03)
        season = 3 + 0.5 * np.cos(2 * np.pi * np.arange(12) / 12)
        np.testing.assert_allclose(par.mean[:, 0], season, atol=0.1)
        correlation = par.mixing[0] @ par.mixing[0].T
        assert correlation[0, 1] == pytest.approx(0.8, abs=0.08)

    def test_the_order_is_chosen_by_the_history(self):
        _, par = self.fitted()
        used = np.abs(par.weights) > 0
        assert used[:, 0].mean() > 0.95
        assert used[:, 2:].mean() < 0.2

    def test_seasons_stay_in_place_when_the_year_is_entered_late(self):
        history = _history(40)[:, :1]
        # The first entry falls in season 5 if stage 0, after 480 of them, does.
        early = Autoregressive(process="par", history_m3s={"h1": history[:, 0].tolist()}, seasons=12)
        late = early.model_copy(update={"first_season": 5})
        shifted, plain = fit_par(late, ["h1"]), fit_par(early, ["h1"])
        np.testing.assert_allclose(np.roll(plain.mean, 5, axis=0), shifted.mean)
        np.testing.assert_allclose(np.roll(plain.weights, 5, axis=0), shifted.weights)

    @pytest.mark.parametrize("transform", ["log", "shift"])
    def test_paths_are_never_negative_and_look_like_the_history(self, transform):
        history = _history(100)[:, 0]
        given = {"process": "par", "history_m3s": {"h1": history.tolist()}, "seasons": 12, "transform": transform}
        drawn = paths(simulator(given, stages=36), count=4000)
        assert drawn.min() >= 0
        by_season = history.reshape(-1, 12)
        far = drawn[:, 24:36]  # the start is forgotten
        np.testing.assert_allclose(far.mean(0), by_season.mean(0), rtol=0.1)
        np.testing.assert_allclose(far.std(0), by_season.std(0), rtol=0.25)

    def test_the_state_remembers_what_the_next_inflow_depends_on(self):
        history = _history(50)[:, 0].tolist()
        sim = simulator({"process": "par", "history_m3s": {"h1": history}, "seasons": 12, "order": 2})
        state = sim.initial(1, torch.Generator())
        np.testing.assert_allclose(state.past[0, :, 0] / K, history[:-3:-1])
        assert sim.inflows.lags == 2

    def test_an_explosive_fit_is_tamed(self):
        growing = [float(2 ** (year % 9) * (1 + month % 3)) for year in range(30) for month in range(12)]
        process = Autoregressive(process="par", history_m3s={"h1": growing}, seasons=12)
        par = fit_par(process, ["h1"])
        year = np.eye(par.lags)
        for phi in par.weights[:, :, 0]:
            year = np.vstack([phi, np.eye(par.lags)[:-1]]) @ year
        assert np.abs(np.linalg.eigvals(year)).max() < 1


class TestOnward:
    """What may follow a state in the middle of the horizon."""

    def onward(self, sim, inflow, stage, count=4_000):
        state = sim.initial(1, torch.Generator())
        own = state.rows(slice(0, 1)).map(lambda value: value.clone())
        own.inflow[:] = inflow * K
        own.past[:] = inflow * K
        return sim.onward(own, stage, count, torch.Generator().manual_seed(1)).inflow[:, :, 0].numpy() / K

    def test_from_the_start_they_are_the_paths(self):
        history = {"h1": _history(30)[:, 0].tolist()}
        par = {"process": "par", "history_m3s": history, "seasons": 12}
        for inflows in (SCENARIOS, CHAIN, par):
            sim = simulator(inflows)
            state = sim.initial(1, torch.Generator().manual_seed(0))
            drawn = sim.onward(state, 0, 50, torch.Generator().manual_seed(1)).inflow
            torch.testing.assert_close(drawn, sim.sample(50, torch.Generator().manual_seed(1)).inflow)

    def test_a_chain_goes_on_from_the_scenario_nearest_to_what_flows(self):
        sim = simulator(CHAIN)
        low, high = (self.onward(sim, inflow, 2) for inflow in (12.0, 90.0))
        assert (low[:, 2] == 100).mean() == pytest.approx(0.1, abs=0.03)
        assert (high[:, 2] == 100).mean() == pytest.approx(0.7, abs=0.03)

    def test_a_regression_remembers_what_flows(self):
        history = {"h1": _history(200)[:, 0].tolist()}
        sim = simulator({"process": "par", "history_m3s": history, "seasons": 12, "order": 1})
        mean = sim.inflows.mean[3, 0].exp().item()
        dry, wet = (self.onward(sim, factor * mean, 3) for factor in (0.5, 2.0))
        assert wet[:, 3].mean() > 1.3 * dry[:, 3].mean()
        assert wet[:, 5].mean() / dry[:, 5].mean() < wet[:, 3].mean() / dry[:, 3].mean()
