"""Lagrangian decomposition: bounds below the optimum, a policy above it, prices that can be taken up again."""

import itertools

import pytest
import torch

from models.lot_sizing import PROBLEM
from models.lot_sizing.exact.items import ItemTables
from models.lot_sizing.exact.table import PlantTable
from models.lot_sizing.simulator import LotSimulator
from solvers.bound import BOUND, BoundConfig
from solvers.certificate import certify
from solvers.core import Callbacks, TrainRequest
from solvers.draws import scenario_seed
from solvers.evaluation import Scenarios
from solvers.lagrangian import (
    LAGRANGIAN,
    Ascent,
    LagrangianConfig,
    build,
    dual,
    kept_stages,
    part_values,
    simulated,
    smoothed,
    train,
    trials,
)
from solvers.look_ahead import descend, exchange
from solvers.value_iteration import optimal_cost
from tests.models.plants import document, plant, random_decision
from tests.models.tabulated_plants import tabulated_plant
from tests.solvers.simulated import mean_cost

QUIET = Callbacks()


def busy(**changes):
    """Four items on two machines that have too little time for them."""
    items = [
        {**document()["items"][k % 2], "id": name, "inventory_max": 6.0, "lost_sales_cost": 2.0 + k}
        for k, name in enumerate("ABCD")
    ]
    able = [
        {"machine": machine, "item": item, "production": 2.0, "setup_cost": 1.0, "setup_loss": 1.0}
        for machine, made in (("M1", "ABC"), ("M2", "BCD"))
        for item in made
    ]
    return plant(
        **{"items": items, "machines": [{"id": "M1"}, {"id": "M2"}], "capabilities": able, "periods": 12} | changes
    )


def trained(instance, callbacks=QUIET, checkpoint=None, **config):
    config = LagrangianConfig(**{"tuning": 0} | config)
    request = TrainRequest(PROBLEM, instance, config, 1, checkpoint=checkpoint)
    return train(request, callbacks)


class TestAscent:
    def test_prices_climb_and_stay_below_the_optimum(self):
        result = trained(busy(), iterations=40)
        optimum = optimal_cost(PlantTable(busy()))
        face = ItemTables(busy())
        free = dual(face, torch.zeros(12, 2, dtype=torch.float64))[0]
        bound = result.bound.value_per_stage * 12
        assert free < bound < optimum
        assert optimum - bound < 0.7 * (optimum - free)
        best = [row["best_bound"] for row in result.curve]
        assert best == sorted(best)
        assert 12 * best[-1] == pytest.approx(bound, abs=1e-9)

    def test_the_best_prices_are_worth_the_bound(self):
        ascent = Ascent.begin(ItemTables(busy()), LagrangianConfig(iterations=10))
        for _ in range(10):
            ascent.step()
        assert dual(ascent.face, ascent.peak_prices, gradient=False)[0] == pytest.approx(ascent.peak, abs=1e-9)

    def test_a_long_horizon_starts_from_the_prices_of_a_short_one(self):
        ascent = Ascent.begin(ItemTables(busy(periods=60)), LagrangianConfig(iterations=8))
        for _ in range(6):
            ascent.step()
        short = ascent.peak_prices
        assert len(short) == 48
        ascent.step()
        assert len(ascent.prices) == len(ascent.peak_prices) == 60
        assert torch.equal(ascent.peak_prices[:24], short[:24])
        assert torch.equal(ascent.peak_prices[-24:], short[24:])

    def test_a_bound_of_the_short_horizon_alone_is_proven_on_the_real_one(self):
        ascent = Ascent.begin(ItemTables(busy(periods=250)), LagrangianConfig(iterations=8))
        for _ in range(8):
            ascent.step()
        assert len(ascent.prices) == 48
        bound, prices = ascent.prove()
        assert len(prices) == 250
        assert dual(ascent.face, prices, gradient=False)[0] == bound
        assert bound < optimal_cost(PlantTable(busy(periods=250)))

    def test_a_run_that_goes_on_is_the_uninterrupted_one(self):
        kept = []
        callbacks = Callbacks(on_checkpoint=kept.append, should_stop=lambda: len(kept) >= 5)
        trained(busy(), callbacks, iterations=12)
        resumed, whole = trained(busy(), checkpoint=kept[-1], iterations=12), trained(busy(), iterations=12)
        assert resumed.bound.value_per_stage == whole.bound.value_per_stage
        for name, tensor in whole.policy.state_dict().items():
            assert torch.equal(resumed.policy.state_dict()[name], tensor)

    def test_tables_computed_again_have_the_same_gradient(self, monkeypatch):
        face = ItemTables(busy())
        prices = torch.rand(12, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        bound, excess = dual(face, prices)
        monkeypatch.setattr("solvers.lagrangian.RECORDED", 0)
        again, same = dual(face, prices)
        assert bound == again
        torch.testing.assert_close(excess, same)

    def test_one_item_alone_is_solved_exactly(self):
        able = [{"machine": "M1", "item": "A", "production": 3.0, "setup_cost": 1.0}]
        instance = plant(items=document()["items"][:1], capabilities=able, periods=8)
        result = trained(instance, iterations=0)
        optimum = optimal_cost(PlantTable(instance))
        assert result.bound.value_per_stage * 8 == pytest.approx(optimum, abs=1e-9)
        mean, error = mean_cost(instance, result.policy, 4096)
        assert mean == pytest.approx(optimum, abs=4 * error)


class TestTables:
    def test_smoothing_averages_neighbours_and_keeps_the_mean_within(self):
        prices = torch.arange(6.0, dtype=torch.float64).unsqueeze(1)
        assert smoothed(prices, 1).equal(prices)
        assert smoothed(prices, 3).flatten().tolist() == pytest.approx([0.5, 1, 2, 3, 4, 4.5])
        assert smoothed(prices, 101).flatten().tolist() == pytest.approx([2.5] * 6)

    def test_few_tables_are_kept_where_many_do_not_fit(self, monkeypatch):
        face = ItemTables(busy())
        assert kept_stages(face) == list(range(12))
        monkeypatch.setattr("solvers.lagrangian.TABLES", 4 * face.num_posts)
        assert kept_stages(face) == [0, 8, 10, 11]  # 11, 3, 1 and 0 stages before the last: far enough back for all
        values = part_values(face, torch.ones(12, 2, dtype=torch.float64), kept_stages(face))
        assert values.index.tolist() == [0] * 6 + [1] * 4 + [2, 3]  # by stages left: 12–7, 6–3, 2, 1

    def test_a_very_long_horizon_keeps_its_end(self):
        kept = kept_stages(ItemTables(plant(periods=10_000)))
        assert kept[-64:] == list(range(9_936, 10_000))
        assert kept[:2] == [9_743, 9_871]

    def test_horizons_of_one_and_of_hundreds(self):
        for periods in (1, 700):
            instance = plant(periods=periods)
            result = trained(instance, iterations=2)
            optimum = optimal_cost(PlantTable(instance))
            assert result.bound.value_per_stage * periods <= optimum + 1e-9
            state = LotSimulator(instance).initial(3, torch.Generator())
            for stage in {0, periods // 2, periods - 1}:
                assert result.policy(state, stage).item.shape == (3, 1)

    def test_post_values_are_below_what_any_policy_costs_from_there(self):
        instance = busy()
        face, ascent = ItemTables(instance), Ascent.begin(ItemTables(instance), LagrangianConfig(iterations=10))
        for _ in range(10):
            ascent.step()
        values = part_values(face, ascent.peak_prices, kept_stages(face))
        policy, simulator = trained(instance, iterations=10).policy, LotSimulator(instance)
        chunk = next(iter(Scenarios(simulator, 5, 4096)))
        post, _ = simulator.decide(chunk.state, policy(chunk.state, 0), 0)
        total = torch.zeros(4096)
        state, costs = simulator.realize(post, chunk.noise, 0)
        total += costs.total
        for stage in range(1, 12):
            after, paid = simulator.decide(state, policy(state, stage), stage)
            state, costs = simulator.realize(after, chunk.noise, stage)
            total += paid.total + costs.total
        assert float(values.post_value(post, 0)[0]) < float(total.mean()) + 4 * float(total.std()) / 64

    def test_part_values_name_every_part(self):
        face = ItemTables(busy())
        values = part_values(face, torch.ones(12, 2, dtype=torch.float64), kept_stages(face))
        simulator = LotSimulator(busy())
        state = simulator.initial(3, torch.Generator())
        post, _ = simulator.decide(state, random_decision(simulator, state, 0, torch.Generator()), 0)
        assert values(post, 0).shape == (3, 4)
        assert face.parts == tuple("ABCD")


class TestTuning:
    def test_only_prices_that_simulate_better_are_kept(self):
        plain, tried = (trained(busy(periods=30), iterations=6, tuning=own).policy for own in (0, 8))
        simulator = LotSimulator(busy(periods=30), counts=False)
        draws = torch.Generator().manual_seed(scenario_seed(1, "training"))
        state, noise = simulator.initial(256, draws), simulator.sample(256, draws)
        before, after = (simulated(simulator, policy, state, noise) for policy in (plain, tried))
        assert after < before

    def test_steps_get_smaller(self):
        factors = list(itertools.islice(trials(2), 12))
        assert [round(float(own.max()), 4) for own in factors[:6]] == [0.85, 1.15, 1.0, 1.15, 1.0, 1.15]
        assert float(factors[7].max()) == 1.075


class TestPolicy:
    def test_its_cost_lies_between_optimum_and_doing_nothing(self):
        instance = busy()
        optimum = optimal_cost(PlantTable(instance))
        mean, error = mean_cost(instance, trained(instance, iterations=30).policy, 2048)
        idle = optimal_cost(PlantTable(busy(capabilities=[])))
        assert optimum - 4 * error < mean < optimum + 0.25 * (idle - optimum)

    def test_no_single_change_helps_where_the_search_ends_and_no_pair_after_exchanges(self):
        policy = trained(busy(), iterations=10).policy
        simulator = LotSimulator(busy(initial_state="random"))
        state = simulator.initial(64, torch.Generator().manual_seed(3))
        situation = policy.values.situation(state, 4)
        choice = descend(situation, situation.starts()[:1])
        assert float(situation.changes(choice).min()) > -1e-3
        for _ in range(20):
            choice, improved = exchange(situation, choice)
            if not improved:
                break
        every = torch.tensor(list(itertools.product(range(5), repeat=2)))
        may = simulator.choices.feasible(state, 4)
        for row in range(64):
            own = [c for c in every if bool(may[row, 0, c[0]]) and bool(may[row, 1, c[1]])]
            tried = torch.stack(own)[:, None].expand(-1, 64, -1)
            assert float(situation.costs(choice)[0, row]) <= float(situation.costs(tried)[:, row].min()) + 1e-3

    @pytest.mark.parametrize("seed", range(8))
    def test_decisions_are_feasible_whatever_the_plant(self, seed):
        instance = tabulated_plant(seed)
        policy, simulator = trained(instance, iterations=2).policy, LotSimulator(instance)
        chunk = next(iter(Scenarios(simulator, 5, 64)))
        state = chunk.state
        for stage in range(3):
            decision = policy(state, stage)
            assert not simulator.violation(state, decision, stage).any()
            post, _ = simulator.decide(state, decision, stage)
            state, _ = simulator.realize(post, chunk.noise, stage)

    def test_alternatives_are_cost_now_plus_the_values_after(self):
        policy, simulator = trained(busy(), iterations=5).policy, LotSimulator(busy(initial_state="random"))
        state = simulator.initial(16, torch.Generator().manual_seed(3))
        decision = policy(state, 2)
        told = policy.alternatives(state, decision, 2)
        may = simulator.choices.feasible(state, 2)
        assert torch.equal(told.isfinite(), may)
        for machine, option in itertools.product(range(2), range(5)):
            rows = may[:, machine, option]
            other = decision.item.clone()
            other[:, machine] = option
            post, costs = simulator.decide(state.rows(rows), simulator.choices.decision(other[rows]), 2)
            expected = costs.total + policy.values.post_value(post, 2)
            torch.testing.assert_close(told[rows, machine, option], expected, rtol=1e-4, atol=1e-4)

    def test_its_weights_are_the_policy(self):
        policy = trained(busy(), iterations=5).policy
        again = build(PROBLEM, busy(), LagrangianConfig(iterations=5), "lagrangian")
        again.load_state_dict(policy.state_dict())
        state = LotSimulator(busy(initial_state="random")).initial(64, torch.Generator().manual_seed(3))
        assert torch.equal(again(state, 3).item, policy(state, 3).item)
        assert set(policy.describe()["mean_prices"]) == {"M1", "M2"}

    def test_a_stage_per_row_means_the_same_as_one_for_all(self):
        policy = trained(busy(), iterations=5).policy
        state = LotSimulator(busy(initial_state="random")).initial(12, torch.Generator().manual_seed(3))
        each = policy(state, torch.arange(12)).item
        one_by_one = [policy(state.rows(slice(k, k + 1)), k).item for k in range(12)]
        assert torch.equal(each, torch.cat(one_by_one))


class TestBound:
    def test_the_certificate_of_any_policy_shows_it(self, monkeypatch):
        monkeypatch.setattr("models.lot_sizing.exact.plant.LARGEST", 1)
        policy = trained(busy(), iterations=5).policy
        document, _ = certify(PROBLEM, busy(), {"own": policy}, 3, QUIET, 512, seconds=20.0)
        (own,) = (bound for bound in document["bounds"] if bound["kind"] == "lagrangian")
        assert set(own["details"]["mean_prices"]) == {"M1", "M2"}
        assert own["value"] <= document["bound"]["value"]
        assert document["gap"] > 0

    def test_cut_short_it_is_still_a_bound(self):
        asked = itertools.count()
        result = BOUND.solve(
            PROBLEM, busy(), BoundConfig(method="lagrangian"), 1, Callbacks(should_stop=lambda: next(asked) > 40)
        )
        assert result.document["value"] <= optimal_cost(PlantTable(busy()))
        assert result.document["details"]["iterations"] < 60

    def test_without_time_there_is_none(self):
        with pytest.raises(Exception, match="before the parts were evaluated once"):
            BOUND.solve(PROBLEM, busy(), BoundConfig(method="lagrangian", time_limit_seconds=1e-9), 1, QUIET)

    def test_what_does_not_fall_apart_is_refused_by_name(self):
        (issue,) = LAGRANGIAN.refuses(PROBLEM, plant(lot_rule="up_to_rate"), LagrangianConfig())
        assert "lots of any size" in issue.detail


class TestSimplerTables:
    """Large plants look for prices in tables of one machine an item; what holds is proven with the real ones."""

    def test_with_one_maker_an_item_they_are_the_real_ones(self):
        able = [
            {"machine": machine, "item": item, "production": 3.0, "setup_cost": 1.0, "setup_loss": 1.0}
            for machine, item in (("M1", "A"), ("M1", "B"), ("M2", "C"), ("M2", "D"))
        ]
        for more in ({}, {"setup_carry_over": True}, {"initial_state": "random"}):
            face = ItemTables(busy(capabilities=able, **more))
            prices = torch.rand(12, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
            bound, _ = dual(face, prices)
            again, excess = dual(face.simpler(), prices)
            assert again == pytest.approx(bound, abs=1e-9)
            other = prices + 0.1 * torch.rand_like(prices)
            assert dual(face, other)[0] <= bound + float((excess * (other - prices)).sum()) + 1e-9

    def test_one_machine_at_a_time_costs_no_less(self):
        face = ItemTables(busy())
        for scale in (0.0, 1.0, 3.0):
            prices = torch.full((12, 2), scale, dtype=torch.float64)
            assert dual(face.simpler(), prices)[0] >= dual(face, prices)[0] - 1e-9
        assert face.simpler().num_posts < face.num_posts

    @pytest.mark.parametrize("polished", [0, 10**9])
    def test_the_bound_is_the_real_tables(self, polished, monkeypatch):
        monkeypatch.setattr("solvers.lagrangian.SMALL", 0)
        monkeypatch.setattr("solvers.lagrangian.POLISHED", polished)
        result = trained(busy(), iterations=12)
        found = result.bound.value_per_stage * 12
        bound = dual(ItemTables(busy()), result.policy.prices.double(), gradient=False)[0]
        assert found == pytest.approx(bound, rel=1e-6)
        assert found < optimal_cost(PlantTable(busy()))
        monkeypatch.setattr("solvers.lagrangian.SMALL", 10**9)
        real = trained(busy(), iterations=12).bound.value_per_stage * 12
        assert found > 0.97 * real
