"""What a network remembers agrees with the forecasting library and with the paths; what it foresees with the means."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from models.inventory_network import PROBLEM
from models.inventory_network.demand.forecast import smoothing_constants
from models.inventory_network.demand.memory import DemandCalendar, DemandMemory
from models.inventory_network.demand.sampling import DemandSampler
from models.inventory_network.simulator import NetworkSimulator, Orders
from tests.models.demand_networks import PROCESSES, autoregressive_history, document, network, weekly_history

STORES = ["a", "b"]


def remembering(**changes) -> dict:
    """A history that hangs together, drawn in blocks, with a forecast."""
    return {
        "process": "empirical",
        "nodes": ["b", "a"],
        "history": autoregressive_history(),
        "block": 12,
        "forecast": "exponential_smoothing",
    } | changes


def noise(net, batch: int = 6) -> torch.Tensor:
    return DemandSampler(net, STORES)(batch, 24, torch.Generator().manual_seed(5), torch.float64)


class TestForecast:
    def test_the_level_is_the_librarys(self):
        """statsmodels runs its own recursion over a simulated path with the same constant."""
        from statsmodels.tsa.holtwinters import SimpleExpSmoothing

        net = network(remembering())
        memory = DemandMemory(net, STORES).double()
        paths = noise(net)
        state = memory.initial().double().expand(6, -1)
        levels = []
        for stage in range(24):
            state = memory.update(state, paths[:, stage], stage)
            levels.append(state[:, -2:])
        mean = net.demand.moments()[0][[1, 0]]
        for row in range(6):
            for store in range(2):
                series = paths[row, :, store].numpy() / mean[store]
                constant = float(memory.alpha[store])
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    fit = SimpleExpSmoothing(series, initialization_method="known", initial_level=1.0).fit(
                        smoothing_level=constant, optimized=False
                    )
                own = np.array([float(level[row, store]) for level in levels])
                np.testing.assert_allclose(own, fit.level, rtol=1e-6)  # tables are in single precision

    def test_the_constant_has_the_least_squared_error(self):
        history = np.array(autoregressive_history(300))
        relative = history / history.mean(0)
        found = smoothing_constants(relative)

        def error(constant: float) -> float:
            level, total = 1.0, 0.0
            for value in relative[:, 0]:
                total += (value - level) ** 2
                level += constant * (value - level)
            return total

        grid = np.linspace(0, 1, 201)
        assert error(found[0]) <= min(error(constant) for constant in grid) * (1 + 1e-6)
        assert smoothing_constants(relative) is found  # fitted once

    def test_demand_that_never_varied_is_not_followed(self):
        assert smoothing_constants(np.ones((50, 2))).tolist() == [0, 0]

    def test_a_level_that_is_followed_foretells_better_than_the_mean(self):
        """On paths it was not fitted to, the smoothed level predicts the next period better than the mean does."""
        net = network(remembering())
        memory = DemandMemory(net, STORES).double()
        paths = noise(net, 2_000)
        state = memory.initial().double().expand(2_000, -1)
        mean = torch.from_numpy(net.demand.moments()[0][[1, 0]].copy())
        by_mean, by_level = 0.0, 0.0
        for stage in range(24):
            by_mean += float((paths[:, stage] / mean - 1).square().mean())
            by_level += float((paths[:, stage] / mean - state[:, -2:]).square().mean())
            state = memory.update(state, paths[:, stage], stage)
        assert by_level < 0.85 * by_mean


class TestMemory:
    @pytest.mark.parametrize(
        ("name", "width"),
        [
            ("poisson", 0),
            ("seasonal-rolling", 0),
            ("seasonal", 2),
            ("empirical", 0),
            ("blocks", 8),
            ("intermittent", 0),
        ],
    )
    def test_only_demand_with_a_past_is_remembered(self, name, width):
        demand, changes = PROCESSES[name]
        memory = DemandMemory(network(demand, **changes), STORES)
        assert memory.width == width
        assert memory.initial().shape == (width,)

    def test_the_window_holds_the_last_periods_latest_first(self):
        demand, changes = PROCESSES["blocks-in-season"]
        net = network(demand, **changes)
        memory, paths = DemandMemory(net, STORES).double(), noise(net)
        state = memory.initial().double().expand(6, -1)
        for stage in range(9):
            state = memory.update(state, paths[:, stage], stage)
        mean, _ = DemandSampler(net, STORES).moments_at(np.arange(9))
        expected = [paths[:, stage] / torch.from_numpy(mean[stage]) for stage in (8, 7, 6, 5)]
        torch.testing.assert_close(state, torch.cat(expected, dim=1), rtol=1e-6, atol=1e-6)

    def test_shocks_are_told_by_total_demand(self):
        demand, changes = PROCESSES["seasonal"]
        net = network(demand, **changes)
        memory, paths = DemandMemory(net, STORES).double(), noise(net, 500)
        mean, _ = DemandSampler(net, STORES).moments_at(np.arange(24))
        state = memory.initial().double().expand(500, -1)
        for stage in range(7):
            state = memory.update(state, paths[:, stage], stage)
        expected = [paths[:, stage].sum(1) / mean[stage].sum() for stage in (6, 5)]
        torch.testing.assert_close(state, torch.stack(expected, dim=1), rtol=1e-6, atol=1e-6)

    def test_replaying_a_path_gives_the_memory_the_simulation_had(self):
        net = network(remembering(season_length=7))
        simulator = NetworkSimulator(net).double()
        generator = torch.Generator().manual_seed(1)
        state, path = simulator.initial(5, generator), simulator.sample(5, generator)
        for stage in range(15):
            orders = simulator.repair(state, Orders(torch.ones(5, 2, dtype=torch.float64)), stage)
            state, _ = simulator.realize(simulator.decide(state, orders, stage)[0], path, stage)
        assert state.memory.shape == (5, 4 * 2 + 2)
        replayed = simulator.memory.replay(path.demand[:, :15], 15)
        torch.testing.assert_close(replayed, state.memory)
        by_row = simulator.memory.replay(path.demand[:, :15], torch.full((5,), 15))
        torch.testing.assert_close(by_row, state.memory)

    def test_older_demand_than_is_needed_changes_next_to_nothing(self):
        memory = DemandMemory(network(remembering()), STORES).double()
        past = 20 + 5 * torch.rand(2, 200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        short = memory.replay(past[:, -memory.needed :], 200)
        assert 4 <= memory.needed <= 60
        torch.testing.assert_close(memory.replay(past, 200), short, atol=0.02, rtol=0)

    def test_past_demand_is_read_by_store_and_gaps_change_nothing(self):
        memory = DemandMemory(network(remembering()), STORES).double()
        full = memory.read({"a": [20, 25, 30], "b": [10, 20, 15]}, 3)
        assert torch.equal(memory.read_all([{"b": [10, 20, 15], "a": [20, 25, 30]}] * 2, torch.tensor([3, 3]))[1], full)
        part = memory.read({"a": [20, 25, 30]}, 3)
        assert part[:8:2].tolist() == full[:8:2].tolist()  # lags of a
        assert part[1:8:2].tolist() == [1, 1, 1, 1]  # of b: as expected
        assert float(part[8]) == float(full[8])
        assert float(part[9]) == 1
        assert torch.equal(memory.read({}, 3), memory.initial().double())

    def test_a_period_without_demand_by_the_calendar_says_nothing_of_the_level(self):
        history = [[0.0 if k % 7 == 6 else row[0], row[1]] for k, row in enumerate(weekly_history(140))]
        net = network(remembering(history=history, block=3, season_length=7))
        memory = DemandMemory(net, STORES).double()
        state = torch.full((1, memory.width), 1.5, dtype=torch.float64)
        after = memory.update(state, torch.tensor([[8.0, 0.0]], dtype=torch.float64), 6)  # b is closed then
        assert float(after[0, 1]) == 1
        assert float(after[0, -1]) == 1.5

    def test_a_planners_history_reaches_the_state(self):
        net = network(remembering())
        view = PROBLEM.view(net)
        state = view.today() | {"demand_history": {"a": [30.0] * 40, "b": [30.0] * 40}}
        decoded, _ = view.decode([state, view.today()])
        assert float(decoded.memory[0].min()) > 1.2
        assert decoded.memory[1].tolist() == [1.0] * decoded.memory.shape[1]


class TestCalendar:
    @pytest.mark.parametrize("name", ["poisson", "normal", "negative_binomial", "intermittent", "empirical", "blocks"])
    def test_demand_alike_in_every_period_has_no_features(self, name):
        demand, changes = PROCESSES[name]
        calendar = DemandCalendar(network(demand, **changes), STORES)
        assert calendar.width == 0
        assert calendar(3, 4).shape == (4, 0)

    @pytest.mark.parametrize(
        "name", ["seasonal", "seasonal-rolling", "blocks-in-season", "weekdays", "calendar-and-gap"]
    )
    def test_one_stage_for_all_or_one_per_row(self, name):
        demand, changes = PROCESSES[name]
        calendar = DemandCalendar(network(demand, **changes), STORES)
        together = calendar(torch.arange(5), 5)
        assert together.shape == (5, calendar.width)
        assert calendar.width > 0
        for stage in range(5):
            torch.testing.assert_close(calendar(stage, 2), together[stage].expand(2, -1))
        assert float(together.abs().max()) < 10

    @pytest.mark.parametrize(
        "name", ["seasonal", "seasonal-rolling", "blocks-in-season", "weekdays", "calendar-and-gap"]
    )
    def test_the_outlook_is_the_mean_of_what_will_be_drawn(self, name):
        demand, changes = PROCESSES[name]
        net = network(demand, **changes)
        calendar, sampler = DemandCalendar(net, STORES), DemandSampler(net, STORES)
        assert calendar.windows == [1, 3]  # this period, and lead time 2 with the period of arrival
        usual = net.demand.moments(net.timeline)[0][[net.demand.node_ids.index(s) for s in STORES]]
        for stage in (0, 4, 13):
            mean, _ = sampler.moments_at(np.arange(stage, stage + 3))
            expected = np.stack([mean[0], mean.mean(0)], axis=1) / usual[:, None]
            np.testing.assert_allclose(calendar.outlook(stage, 1)[0].numpy(), expected, rtol=1e-5)

    def test_the_same_phase_looks_the_same_ever_after(self):
        demand, changes = PROCESSES["seasonal-rolling"]
        calendar = DemandCalendar(network(demand, **changes), STORES)
        torch.testing.assert_close(calendar(2, 1), calendar(2 + 3 * 10**8, 1))
        assert float((calendar(2, 1) - calendar(3, 1)).abs().max()) > 0.1

    def test_stores_that_rise_and_fall_alike_share_their_columns(self):
        demand, changes = PROCESSES["seasonal-rolling"]
        assert DemandCalendar(network(demand, **changes), STORES).width == 2 + 2
        own = {
            "process": "seasonal",
            "nodes": {
                "a": {"mean": 4.0, "std": 1.0, "season": [1, 2, 3]},
                "b": {"mean": 4.0, "std": 1.0, "season": [3, 1, 1]},
            },
        }
        assert DemandCalendar(network(own, **changes), STORES).width == 2 + 2 * 2

    def test_the_phases_are_those_of_the_week_and_the_year(self):
        demand, changes = PROCESSES["calendar-and-gap"]
        calendar = DemandCalendar(network(demand, **changes), STORES).double()
        features = calendar(torch.tensor([1, 7]), 2)  # Monday 26 January and Sunday 1 February 2026
        day = [25, 31]
        for row, weekday in enumerate((0, 6)):
            week, year = 2 * math.pi * weekday / 7, 2 * math.pi * day[row] / 365.2425
            expected = [math.cos(week), math.cos(year), math.sin(week), math.sin(year)]
            assert features[row, :4].tolist() == pytest.approx(expected, abs=1e-6)

    def test_beyond_a_finite_horizon_the_last_period_stands(self):
        demand, _ = PROCESSES["seasonal"]
        calendar = DemandCalendar(network(demand), STORES)
        assert torch.isfinite(calendar(23, 1)).all()


def test_memory_and_calendar_follow_a_simulator_to_another_precision():
    simulator = NetworkSimulator(PROBLEM.parse(document(remembering(season_length=7))))
    assert simulator.memory.alpha.dtype == torch.float32
    simulator.double()
    assert simulator.initial(2, torch.Generator()).memory.dtype == torch.float64
    assert simulator.memory.alpha.dtype == torch.float64
