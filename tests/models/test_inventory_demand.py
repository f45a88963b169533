"""What is sampled is what the documents say: moments, seasons, blocks, covariates; and it repeats from its seed."""

from __future__ import annotations

import time
from datetime import date, timedelta

import numpy as np
import pytest
import torch

from models.inventory_network.demand.covariates import calendar_multipliers, price_elasticity
from models.inventory_network.demand.process import clipped_moments
from models.inventory_network.demand.sampling import DemandSampler, Guide, _poisson_table
from models.inventory_network.demand.timeline import Timeline
from models.inventory_network.simulator import NetworkSimulator
from tests.models.demand_networks import PROCESSES, autoregressive_history, network, weekly_history

BATCH = 40_000


def sampled(name: str, batch: int = BATCH, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    demand, changes = PROCESSES[name]
    sampler = DemandSampler(network(demand, **changes), ["a", "b"])
    return sampler(batch, 24, torch.Generator().manual_seed(seed), dtype)


@pytest.mark.parametrize("name", PROCESSES)
class TestEveryProcess:
    def test_every_period_has_the_mean_and_spread_it_says(self, name):
        demand, changes = PROCESSES[name]
        sampler = DemandSampler(network(demand, **changes), ["a", "b"])
        paths = sampler(BATCH, 24, torch.Generator().manual_seed(7), torch.float32).double().numpy()
        mean, std = sampler.moments_at(np.arange(24))
        error = np.maximum(std, 1e-12) / np.sqrt(BATCH)
        assert np.abs((paths.mean(0) - mean) / np.maximum(error, 1e-6)).max() < 4.5
        fourth = ((paths - paths.mean(0)) ** 4).mean(0)
        of_variance = np.sqrt(np.maximum(fourth - std**4, 1e-12) / BATCH)
        assert np.abs((paths.var(0) - std**2) / of_variance)[std > 0].max(initial=0) < 4.5
        assert np.abs(paths.var(0)[std == 0]).max(initial=0) < 1e-9

    def test_moments_over_the_periods_are_those_of_a_period_at_random(self, name):
        demand, changes = PROCESSES[name]
        net = network(demand, **changes)
        columns = [net.demand.node_ids.index(store) for store in "ab"]
        mean, std = (values[columns] for values in net.demand.moments(net.timeline))
        at, spread = DemandSampler(net, ["a", "b"]).moments_at(np.arange(24))
        if not changes or name == "seasonal-rolling":  # the other cycles are longer than 24 periods
            np.testing.assert_allclose(mean, at.mean(0), rtol=1e-12)
            np.testing.assert_allclose(std, np.sqrt((spread**2).mean(0) + at.var(0)), rtol=1e-12)
        assert (mean >= 0).all()
        assert np.isfinite(std).all()

    def test_the_same_generator_state_gives_the_same_paths(self, name):
        assert torch.equal(sampled(name, 50, seed=3), sampled(name, 50, seed=3))
        assert not torch.equal(sampled(name, 50, seed=3), sampled(name, 50, seed=4))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_demand_is_never_negative_and_a_stage_is_one_block_of_memory(self, name, dtype):
        paths = sampled(name, 64, dtype)
        assert paths.dtype == dtype
        assert paths.shape == (64, 24, 2)
        assert float(paths.min()) >= 0
        assert paths[:, 5].t().is_contiguous()

    def test_the_simulator_expects_the_mean_of_every_period(self, name):
        demand, changes = PROCESSES[name]
        net = network(demand, **changes)
        expected = NetworkSimulator(net).double().expected(3).demand
        mean, _ = net.demand.moments_at(np.arange(24), net.timeline)
        columns = [net.demand.node_ids.index(store) for store in "ab"]
        np.testing.assert_allclose(expected[1].numpy(), mean[:, columns], rtol=1e-6)


class TestDistributions:
    def test_clipped_moments_agree_with_quadrature(self):
        grid = np.linspace(-12, 12, 400_001)
        weight = np.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi) * (grid[1] - grid[0])
        for mean, std in [(5.0, 1.6), (0.0, 2.0), (1.0, 4.0), (0.3, 0.01)]:
            drawn = np.maximum(mean + std * grid, 0)
            first, second = (drawn * weight).sum(), (drawn**2 * weight).sum()
            found = clipped_moments(np.array([mean]), np.array([std]))
            assert found[0][0] == pytest.approx(first, rel=1e-6)
            assert found[1][0] == pytest.approx(np.sqrt(second - first**2), rel=1e-5)

    def test_negative_binomial_has_its_probabilities(self):
        from scipy.stats import nbinom

        paths = sampled("negative_binomial")[:, :, 0].flatten()
        size, chance = 25 / 7, 5 / 12  # mean 5, variance 12
        share = torch.bincount(paths.long(), minlength=40)[:12].double() / len(paths)
        np.testing.assert_allclose(share.numpy(), nbinom.pmf(np.arange(12), size, chance), atol=0.002)

    def test_intermittent_sizes_are_geometric_unless_said(self):
        paths = sampled("intermittent")
        first = paths[:, :, 0].flatten()
        sizes = torch.bincount(first[first > 0].long(), minlength=9)[1:9].double() / (first > 0).sum()
        np.testing.assert_allclose(sizes.numpy(), (1 / 3) * (2 / 3) ** np.arange(8), atol=0.004)
        assert set(paths[:, :, 1].flatten().tolist()) == {0.0, 4.0}

    def test_correlation_is_as_said(self):
        z = sampled("seasonal")[:, 1]  # far from zero: nothing is clipped but a little
        demand, changes = PROCESSES["seasonal-rolling"]
        net = network(demand | {"correlation": 0.5}, **changes)
        paths = DemandSampler(net, ["a", "b"])(BATCH, 1, torch.Generator().manual_seed(1), torch.float64)
        assert float(torch.corrcoef(paths[:, 0].T)[0, 1]) == pytest.approx(0.5, abs=0.02)
        assert float(torch.corrcoef(z.T)[0, 1]) > 0.4

    def test_shocks_last_and_strike_all_stores_at_once(self):
        demand = {
            "process": "seasonal",
            "nodes": {s: {"mean": 1.0, "std": 0.0} for s in "ab"},
            "shock": {"probability": 0.05, "factor": 5.0, "duration": 4},
        }
        paths = DemandSampler(network(demand), ["a", "b"])(20_000, 24, torch.Generator().manual_seed(0), torch.float32)
        assert torch.equal(paths[:, :, 0], paths[:, :, 1])
        shocked = paths[:, :, 0] == 5
        assert float(shocked.double().mean()) == pytest.approx(1 - 0.95**4, abs=0.003)
        assert float(shocked[:, 0].double().mean()) == pytest.approx(1 - 0.95**4, abs=0.01)  # already under way
        # Given a shock now, the next period is shocked unless this is its last period and no other began since.
        both = (shocked[:, 1:] & shocked[:, :-1]).double().mean() / shocked[:, :-1].double().mean()
        calm_after = 0.05 * 0.95**4 / (1 - 0.95**4)
        assert float(both) == pytest.approx(1 - calm_after, abs=0.005)

    def test_the_season_is_in_phase_and_the_trend_grows(self):
        demand = {
            "process": "seasonal",
            "season": [1.0, 3.0, 0.0],
            "nodes": {"a": {"mean": 10.0, "std": 0.0, "trend": 2.0}, "b": {"mean": 1.0, "std": 0.0}},
        }
        paths = DemandSampler(network(demand), ["a", "b"])(1, 6, torch.Generator(), torch.float64)
        assert paths[0, :, 0].tolist() == [10, 36, 0, 16, 54, 0]
        assert paths[0, :, 1].tolist() == [1, 3, 0, 1, 3, 0]


def test_the_guide_into_a_table_finds_what_a_search_finds():
    mean = np.array([5.0, 0.0, 400.0, 0.3])
    table = torch.from_numpy(_poisson_table(mean))
    values = torch.rand(4, 100_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    below_one = 1 - 2**-53
    values[:, 0], values[:, 1] = 0.0, below_one
    values[:, 2 : 2 + table.shape[1]] = table.clamp_max(below_one)  # on the entries themselves
    assert torch.equal(Guide(table)(values), torch.searchsorted(table, values, right=True))


class TestBlocks:
    @staticmethod
    def correlation(paths: torch.Tensor, lag: int) -> float:
        centred = paths - paths.mean()
        return float((centred[:, lag:] * centred[:, :-lag]).mean() / centred.square().mean())

    def test_blocks_keep_what_one_period_says_of_the_next(self):
        """Within a block the history's autocorrelation, across two blocks none: (b − lag)/b of it."""
        history = autoregressive_history()
        column = np.array(history)[:, 0]
        centred = column - column.mean()
        for block, lag in [(1, 1), (5, 1), (20, 1), (20, 5)]:
            own = float((centred[lag:] * centred[:-lag]).mean() / centred.var())
            net = network({"process": "empirical", "nodes": ["a", "b"], "history": history, "block": block})
            paths = DemandSampler(net, ["a", "b"])(20_000, 24, torch.Generator().manual_seed(2), torch.float64)
            share = max(block - lag, 0) / block
            assert self.correlation(paths[:, :, 0], lag) == pytest.approx(share * own, abs=0.03), (block, lag)

    def test_rows_stay_joint_over_the_stores_and_in_order_within_a_block(self):
        history = autoregressive_history(50)
        place = {tuple(row): k for k, row in enumerate(history)}
        net = network({"process": "empirical", "nodes": ["a", "b"], "history": history, "block": 6})
        paths = DemandSampler(net, ["a", "b"])(500, 24, torch.Generator().manual_seed(2), torch.float64)
        rows = np.array([[place[tuple(row)] for row in path] for path in paths.tolist()])
        steps = np.diff(rows, axis=1)
        # One step in six begins a block; it lands on the next row by chance once in 45.
        assert (steps == 1).mean() == pytest.approx(5 / 6 + (1 / 6) * (44 / 45**2), abs=0.01)

    @pytest.mark.parametrize(("first_date", "shift"), [(None, 59), ("2025-10-20", 77)])
    def test_rows_are_used_at_their_place_in_the_season(self, first_date, shift):
        history = [[float(k), 0.0] for k in range(59)]
        demand = {
            "process": "empirical",
            "nodes": ["a", "b"],
            "history": history,
            "block": 4,
            "season_length": 7,
            "first_date": first_date,
        }
        net = network(demand, start_date="2026-01-05")
        paths = DemandSampler(net, ["a", "b"])(2_000, 24, torch.Generator().manual_seed(0), torch.float64)
        rows = paths[:, :, 0].long()
        assert torch.equal(rows % 7, ((torch.arange(24) + shift) % 7).expand(2_000, -1))
        assert len(rows.unique()) == 59


class TestCovariates:
    def test_a_monday_row_serves_a_sunday(self):
        """Demand that is exactly level times weekday: once the weekday is divided out all rows are alike."""
        week = np.array([1.0, 2.0, 1.0, 1.0, 3.0, 0.5, 0.0])
        history = [[10 * week[k % 7], 4.0] for k in range(70)]
        demand = {"process": "empirical", "nodes": ["a", "b"], "history": history, "covariates": ["weekday"]}
        net = network(demand, start_date="2026-01-05")  # a Monday, as the first row's day is
        paths = DemandSampler(net, ["a", "b"])(50, 14, torch.Generator().manual_seed(0), torch.float64)
        np.testing.assert_allclose(paths[:, :, 0].numpy(), np.tile(10 * week, 2)[None].repeat(50, 0), atol=1e-9)
        np.testing.assert_allclose(paths[:, :, 1].numpy(), 4.0)

    def test_weekday_and_month_are_told_apart(self):
        stages = np.arange(730)
        timeline = Timeline(10, start=date(2024, 1, 1))
        weekday, month = timeline.weekday(stages), timeline.month(stages)
        week = np.array([1.0, 1.1, 0.9, 1.0, 1.4, 0.8, 0.8])
        year = 1 + 0.5 * np.sin(np.arange(12))
        demand = (20 * week[weekday] * year[month])[:, None]
        found = calendar_multipliers(demand, [weekday, month], [7, 12])
        np.testing.assert_allclose(found[0][:, 0] / found[0][0, 0], week / week[0], rtol=1e-6)
        np.testing.assert_allclose(found[1][:, 0] / found[1][0, 0], year / year[0], rtol=1e-6)

    def test_dates_agree_with_the_calendar(self):
        timeline = Timeline(10, start=date(2023, 12, 25), period_days=5)
        stages = np.arange(-300, 300)
        days = [date(2023, 12, 25) + timedelta(days=5 * int(t)) for t in stages]
        assert timeline.weekday(stages).tolist() == [day.weekday() for day in days]
        assert timeline.month(stages).tolist() == [day.month - 1 for day in days]
        assert timeline.day(-3) == date(2023, 12, 10)

    def test_the_elasticity_is_that_of_least_squares(self):
        rng = np.random.default_rng(0)
        month = np.arange(300) % 12
        price = np.exp(0.2 * rng.normal(size=300) + 0.3 * np.sin(month))
        demand = 10 * np.exp(0.5 * np.sin(month)) * price**-1.7 * np.exp(0.1 * rng.normal(size=300))
        found = price_elasticity(demand, price, [month], [12])
        design = np.column_stack([np.log(price), np.eye(12)[month]])
        reference, residual, *_ = np.linalg.lstsq(design, np.log(demand), rcond=None)
        variance = residual[0] / (300 - 13) * np.linalg.inv(design.T @ design)[0, 0]
        assert found.value == pytest.approx(-reference[0], rel=1e-9)
        assert found.standard_error == pytest.approx(np.sqrt(variance), rel=1e-9)
        assert abs(found.value - 1.7) < 4 * found.standard_error

    def test_a_planned_price_moves_expected_demand(self):
        rng = np.random.default_rng(1)
        prices = rng.choice([1.0, 1.25], size=(200, 2))
        history = (rng.poisson(400, size=(200, 2)) * prices**-2).round(6)
        planned = np.ones((24, 2))
        planned[10:12, 0] = 1.25
        demand = {
            "process": "empirical",
            "nodes": ["a", "b"],
            "history": history.tolist(),
            "prices": prices.tolist(),
            "planned_prices": planned.tolist(),
        }
        mean, _ = DemandSampler(network(demand), ["a", "b"]).moments_at(np.arange(24))
        assert mean[0] == pytest.approx([400, 400], rel=0.02)
        assert mean[10, 0] / mean[9, 0] == pytest.approx(1.25**-2, rel=0.02)
        assert mean[10, 1] == mean[9, 1]

    def test_planned_prices_repeat_for_ever_in_a_rolling_network(self):
        rng = np.random.default_rng(1)
        prices = rng.choice([1.0, 2.0], size=(60, 2))
        demand = {
            "process": "empirical",
            "nodes": ["a", "b"],
            "history": (rng.poisson(50, size=(60, 2)) / prices).tolist(),
            "prices": prices.tolist(),
            "planned_prices": [[1.0, 1.0], [1.0, 1.0], [2.0, 1.0]],
        }
        mean, _ = DemandSampler(network(demand, warmup_periods=2), ["a", "b"]).moments_at(np.arange(9))
        assert mean[2, 0] < 0.7 * mean[0, 0]
        np.testing.assert_allclose(mean[3:6], mean[:3])


def test_a_season_weighs_a_store_that_never_sells_as_nothing():
    history = [[0.0, row[1]] for row in weekly_history()]
    demand = {"process": "empirical", "nodes": ["a", "b"], "history": history, "covariates": ["weekday"]}
    paths = DemandSampler(network(demand, start_date="2026-01-05"), ["a", "b"])(
        9, 24, torch.Generator().manual_seed(0), torch.float32
    )
    assert float(paths[:, :, 0].abs().max()) == 0


def test_a_thousand_stores_are_drawn_without_a_loop_over_them():
    """A hundred times the stores may take a hundred times as long, not more: nothing is done store by store."""
    history = np.random.default_rng(0).poisson(5, size=(100, 1000)).astype(float)

    def seconds(stores: int) -> float:
        ids = tuple(f"s{k}" for k in range(stores))
        demand = {"process": "empirical", "nodes": list(ids), "history": history[:, :stores].tolist(), "block": 5}
        sampler = DemandSampler(network(demand, stores=ids), list(ids))
        best = np.inf
        for _ in range(3):
            begun = time.perf_counter()
            sampler(64, 24, torch.Generator().manual_seed(0), torch.float32)
            best = min(best, time.perf_counter() - begun)
        return best

    assert seconds(1000) < 150 * seconds(10)
