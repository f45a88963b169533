"""Classical rules: feasible on any plant, known costs on the published settings, and one decision of each by hand."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.core import NetworkSize
from models.lot_sizing.lots import LotState
from models.lot_sizing.policies.hysteresis import HysteresisPolicy, hysteresis, reorder_levels
from models.lot_sizing.policies.run_out import run_out
from models.lot_sizing.policies.static import idle, static
from models.lot_sizing.simulator import LotSimulator
from solvers.evaluation import Sample, ScenarioChunk, roll_out
from tests.models.plants import plant, random_plant

RULES = [static, idle, hysteresis, reorder_levels, run_out]
CASES = Path(os.environ.get("HERENOW_CASE_DATA", "")) / "lot_sizing"


def state(simulator, stock, setup) -> LotState:
    bound = simulator.num_machines if simulator.binds_runs else 0
    return LotState(torch.tensor([stock]), torch.tensor([setup]), torch.zeros(1, bound, dtype=torch.long))


@given(st.integers(0, 10**6), st.sampled_from(RULES))
@settings(max_examples=80, deadline=None)
def test_every_rule_decides_feasibly_on_any_plant(seed, rule):
    own = random_plant(seed)
    simulator, generator = LotSimulator(own), torch.Generator().manual_seed(seed)
    policy = rule(own, simulator, NetworkSize())
    chunk = ScenarioChunk(simulator.initial(4, generator), simulator.sample(4, generator))
    roll_out(simulator, policy, chunk, Sample())  # raises where a decision is infeasible


def two_machines(**changes):
    pairs = [("M1", "A", 9.0), ("M1", "B", 9.0), ("M2", "A", 9.0), ("M2", "B", 9.0)]
    able = [{"machine": m, "item": i, "production": p, "setup_cost": 1.0, "setup_loss": 1.0} for m, i, p in pairs]
    return plant(machines=[{"id": "M1"}, {"id": "M2"}], capabilities=able, **changes)


class TestHysteresis:
    def decide(self, stock, setup, **levels) -> list[int]:
        simulator = LotSimulator(two_machines())
        policy = HysteresisPolicy(simulator)
        with torch.no_grad():
            for name, value in levels.items():
                getattr(policy, name).fill_(value)
        return policy(state(simulator, stock, setup), 0).item[0].tolist()

    def test_a_machine_stays_until_its_item_is_full(self):
        assert self.decide([5.0, 0.0], [0, 2], high=0.9, low=2.0, worth=-1.0) == [0, 1]

    def test_a_machine_whose_item_is_full_moves_to_what_is_urgent(self):
        assert self.decide([9.5, 0.0], [0, 2], high=0.9, low=2.0, worth=-1.0)[0] == 1

    def test_two_machines_do_not_go_to_the_same_item(self):
        assert sorted(self.decide([0.0, 0.0], [2, 2], high=0.9, low=2.0, worth=-1.0)) == [0, 1]

    def test_nothing_is_started_that_is_not_worth_its_changeover(self):
        assert self.decide([0.0, 0.0], [2, 2], worth=1e6) == [2, 2]


class TestStatic:
    def test_the_dearest_item_gets_the_only_machine(self):
        simulator = LotSimulator(plant())
        assert static(None, simulator, NetworkSize())(state(simulator, [0.0, 0.0], [2]), 0).item.tolist() == [[1]]

    def test_a_divisible_lot_fills_the_room_and_no_more(self):
        simulator = LotSimulator(plant(lot_rule="up_to_rate"))
        decision = static(None, simulator, NetworkSize())(state(simulator, [0.0, 11.0], [1]), 0)
        # Room 10 and mean demand 1.6: 0.6 of the 3 that can be made.
        assert decision.share[0].tolist() == pytest.approx([0.2])


class TestRunOut:
    def test_what_runs_out_first_is_made_and_own_setup_is_favoured(self):
        simulator = LotSimulator(plant())
        policy = run_out(None, simulator, NetworkSize())
        with torch.no_grad():
            policy.power.fill_(0.0)
        assert policy(state(simulator, [3.0, 1.0], [2]), 0).item.tolist() == [[1]]
        assert policy(state(simulator, [3.0, 1.0], [0]), 0).item.tolist() == [[0]]
        assert policy(state(simulator, [10.0, 10.0], [2]), 0).item.tolist() == [[2]]


@pytest.mark.skipif(not CASES.is_dir(), reason="published settings not at hand: set HERENOW_CASE_DATA")
@pytest.mark.parametrize(
    ("name", "rule", "known"),
    [
        ("15items_5machines_t100_i100", static, 2112),
        ("15items_5machines_t100_i100", idle, 5651),
        ("20items_10machines_t100_i100", static, 1836),
        ("20items_10machines_t100_i100", idle, 7530),
        ("25items_10machines_t100_i100", static, 5269),
        ("25items_15machines_t100_i100", static, 2325),
    ],
)
def test_rules_cost_on_the_published_settings_what_is_known(name, rule, known):
    from tests.models.published_plants import published

    own = published(CASES / f"{name}.json")
    simulator, generator = LotSimulator(own, counts=False), torch.Generator().manual_seed(777)
    sample = Sample()
    chunk = ScenarioChunk(simulator.initial(512, generator), simulator.sample(512, generator))
    roll_out(simulator, rule(own, simulator, NetworkSize()), chunk, sample)
    assert sample.total.mean() == pytest.approx(known, rel=0.005)
