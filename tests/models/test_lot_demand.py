"""Demand of the items: exact tables against textbook moments, samples against the tables."""

import numpy as np
import pytest
import torch
from scipy import stats

from models.lot_sizing.demand.sampling import DemandSampler
from models.lot_sizing.demand.tables import demand_tables
from models.lot_sizing.instance import LotSizing
from tests.models.plants import document

PAST = [3.0, 0.0, 5.0, 2.0, 0.0, 7.0]
PROCESSES = {
    "pmf": {"process": "pmf", "values": [5, 0, 2], "probabilities": [0.25, 0.5, 0.25]},
    "fractions": {"process": "pmf", "values": [0.5, 2.25], "probabilities": [0.5, 0.5]},
    "binomial": {"process": "binomial", "n": 20, "p": 0.4},
    "poisson": {"process": "poisson", "mean": 6.0},
    "large_poisson": {"process": "poisson", "mean": 2_000.0},
    "negative_binomial": {"process": "negative_binomial", "mean": 6.0, "variance": 30.0},
    "seasonal": {"process": "seasonal", "mean": 5.0, "season": [0.5, 1.5, 0.0], "trend": 0.1, "dispersion": 2.0},
    "forecast": {"process": "forecast", "forecast": [10, 20, 40], "error": 0.2},
    "history": {"process": "history", "history": PAST, "season_length": 2},
}


def plant(*processes, periods: int = 8) -> LotSizing:
    item = document()["items"][0]
    items = [item | {"id": f"I{k}", "demand": process} for k, process in enumerate(processes)]
    machine = {"machine": "M1", "item": "I0", "production": 1.0}
    return LotSizing.model_validate(document(items=items, capabilities=[machine], periods=periods))


def draw(own, batch: int, seed: int = 0):
    sampler = DemandSampler(demand_tables(own))
    return sampler(batch, own.periods, torch.Generator().manual_seed(seed), torch.float64)


class TestTables:
    @pytest.mark.parametrize(
        ("process", "known"),
        [
            (PROCESSES["binomial"], stats.binom(20, 0.4)),
            (PROCESSES["poisson"], stats.poisson(6)),
            (PROCESSES["negative_binomial"], stats.nbinom(6 * 6 / 24, 6 / 30)),
        ],
    )
    def test_counts_have_the_textbook_distribution(self, process, known):
        pmf = demand_tables(plant(process)).pmf(0)[0]
        assert pmf == pytest.approx(known.pmf(np.arange(len(pmf))), abs=1e-12)
        assert pmf.sum() == pytest.approx(1)

    def test_a_forecast_misses_normally_and_is_rounded(self):
        pmf = demand_tables(plant(PROCESSES["forecast"])).pmf(1)[0]
        normal = stats.norm(20, 4)
        assert pmf[18] == pytest.approx(normal.cdf(18.5) - normal.cdf(17.5))
        assert demand_tables(plant(PROCESSES["forecast"])).means[2:, 0] == pytest.approx(40.0, abs=1e-6)

    def test_a_season_of_the_history_goes_on_where_it_ended(self):
        tables = demand_tables(plant(PROCESSES["history"]))
        assert tables.cycle == 2
        assert tables.means[:, 0] == pytest.approx([np.mean(PAST[0::2]), np.mean(PAST[1::2])])

    def test_seasons_of_different_length_cycle_together(self):
        two, three = ({"process": "seasonal", "mean": 4.0, "season": s} for s in ([1, 2], [1, 2, 3]))
        tables = demand_tables(plant(two, three, periods=20))
        assert tables.cycle == 6
        assert tables.means[5] == pytest.approx([8.0, 12.0])
        assert not tables.stationary

    def test_fractions_have_no_table_by_whole_units(self):
        tables = demand_tables(plant(PROCESSES["fractions"]))
        assert not tables.whole
        with pytest.raises(ValueError, match="whole"):
            tables.pmf(0)


class TestSamples:
    @pytest.mark.parametrize("name", PROCESSES)
    def test_large_samples_have_the_tables_moments_in_every_period(self, name):
        own = plant(PROCESSES[name], PROCESSES["poisson"])
        tables, paths = demand_tables(own), draw(own, 40_000)
        for period in range(own.periods):
            place = period % tables.cycle
            std = np.sqrt(tables.variances[place])
            error = 5 * std / np.sqrt(len(paths)) + 1e-9
            assert (np.abs(paths[:, period].numpy().mean(0) - tables.means[place]) <= error).all()
            assert paths[:, period].numpy().std(0) == pytest.approx(std, rel=0.05, abs=1e-9)

    def test_every_value_comes_as_often_as_it_should(self):
        paths = draw(plant(PROCESSES["pmf"]), 50_000)
        shares = [float((paths == value).double().mean()) for value in (0.0, 2.0, 5.0)]
        assert shares == pytest.approx([0.5, 0.25, 0.25], abs=0.005)

    def test_items_and_periods_are_independent(self):
        paths = draw(plant(PROCESSES["poisson"], PROCESSES["poisson"]), 40_000)
        assert abs(np.corrcoef(paths[:, 0, 0], paths[:, 0, 1])[0, 1]) < 0.03
        assert abs(np.corrcoef(paths[:, 0, 0], paths[:, 1, 0])[0, 1]) < 0.03

    def test_histories_of_one_length_repeat_the_same_period_together(self):
        other = {"process": "history", "history": [10 * value for value in PAST], "season_length": 2}
        own = plant(PROCESSES["history"], other, PROCESSES["poisson"])
        paths = draw(own, 1_000)
        assert torch.equal(paths[..., 0] * 10, paths[..., 1])
        assert not demand_tables(own).independent

    def test_no_demand_is_none(self):
        assert draw(plant({"process": "poisson", "mean": 0.0}), 10).abs().max() == 0
