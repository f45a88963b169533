"""The information-relaxation bound: weak duality, zero-mean prices, agreement with hindsight, known optima."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from models.core import NetworkSize
from models.inventory_network import PROBLEM
from solvers.bounds import Hindsight
from solvers.core import Callbacks, InnerSolveError
from solvers.information_relaxation import (
    INFORMATION_RELAXATION,
    InformationRelaxationConfig,
    Phase,
    _Clock,
    _relaxed,
    bound_with,
)
from solvers.long_run import LongRun
from solvers.multipliers import POOL, Prices, fit, stratified
from solvers.relaxed_horizon import SAMPLE, flat

QUIET = Callbacks()
FRACTILE = 1.2815516  # of the standard normal at p / (p + h) = 0.9


def one_store(
    unmet: str = "lost", lead_time: int = 1, demand: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    return {
        "problem": "inventory_network",
        "periods": 40,
        "warmup_periods": 20,
        "nodes": [
            {"id": "plant", "kind": "supplier"},
            {
                "id": "shop",
                "kind": "store",
                "holding_cost": 1.0,
                "shortage_cost": 9.0,
                "unmet_demand": unmet,
                "initial_on_hand": 10.0,
            },
        ],
        "lanes": [{"from": "plant", "to": "shop", "lead_time": lead_time}],
        "demand": demand or {"process": "normal", "nodes": {"shop": {"mean": 5.0, "std": 1.6}}},
        **more,
    }


def warehouse() -> dict[str, Any]:
    """A warehouse with two stores, one of which backlogs."""
    return next(e for e in PROBLEM.examples if e.name == "dc-two-stores").document()


def base_stock(document: dict[str, Any], factor: float = 1.0) -> Any:
    net = PROBLEM.parse(document)
    policy = PROBLEM.family("base_stock").build(net, PROBLEM.simulator(net), NetworkSize())
    with torch.no_grad():
        policy.level.mul_(factor)
    return policy


def prepared(document: dict[str, Any], **config: Any) -> Prices:
    """Multipliers fitted a little, behind a base-stock policy."""
    few: dict[str, Any] = {"fit_iterations": 40, "fit_batch": 64, "inner_samples": 8, "copies": 6, **config}
    setting = LongRun(PROBLEM, PROBLEM.parse(document), 3)
    setting.follow(base_stock(document))
    prices = Prices(setting, InformationRelaxationConfig(**few))
    fit(prices, Phase(_Clock(None, QUIET), None, QUIET))
    prices.strengthen(1.0)
    return prices


class TestMultipliers:
    @pytest.mark.parametrize("document", [one_store(), warehouse()], ids=["one-store", "warehouse"])
    def test_they_average_to_zero_over_the_noise_of_their_stage(self, document):
        """At one state, over many outcomes: zero within five standard errors, though each is far from zero."""
        prices = prepared(document)
        setting = prices.setting
        path = setting.reference(1, 1, setting.generator)
        rows = 20_000
        many = type(path)(
            path.states.expand(rows, -1, -1),
            path.decisions.expand(rows, -1, -1),
            path.costs.expand(rows, -1),
            setting.noise(rows, 1, setting.generator),
            [],
        )
        found = prices.multipliers(many, setting.generator)
        every = torch.cat([found.states[:, 0], found.decisions[:, 0], found.surprise], 1).double()
        error = every.std(0) * (1 / rows + 1 / POOL) ** 0.5
        assert (every.mean(0).abs() <= 5 * error + 1e-6).all()
        assert float(every.std(0).max()) > 0.1

    @pytest.mark.parametrize("smoothing", [0.0, 0.4])
    def test_no_other_policy_gains_by_paying_them(self, smoothing):
        """What a policy that never saw the reference pays for the multipliers is zero on average."""
        document = warehouse()
        prices = prepared(document, smoothing=smoothing)
        setting, stages, rows = prices.setting, 15, 3000
        path = setting.reference(rows, stages, setting.generator)
        paid = prices.multipliers(path, setting.generator)
        states, decisions, _ = followed(prices, base_stock(document, 0.8), path.noise)
        total = (paid.states * states[:, :-1]).sum((1, 2)) + (paid.decisions * decisions).sum((1, 2))
        assert abs(float(total.mean())) < 5 * float(total.std()) / rows**0.5
        assert float(total.std()) > 1.0

    def test_strata_are_equally_likely(self):
        setting = prepared(one_store()).setting
        drawn = setting.noise(200_000, 1, setting.generator).demand.flatten()
        few = stratified(setting, 4000, 16, setting.generator).demand.view(4000, 16)
        assert float(few.mean()) == pytest.approx(float(drawn.mean()), abs=0.02)
        assert float(few.std()) == pytest.approx(float(drawn.std()), abs=0.03)
        assert float(few.mean(1).std()) < 0.3 * float(drawn.std()) / 4  # a fair sample of 16 would have a quarter


def followed(prices: Prices, policy: Any, noise: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Another policy along the same noise: flat states, decisions, and cost per stage."""
    setting = prices.setting
    rows, stages = noise.demand.shape[:2]
    state = setting.starts.rows(torch.arange(rows) % setting.starts.batch)
    states, decisions, costs = [flat(state)], [], []
    with torch.no_grad():
        for t in range(stages):
            decision = flat(policy(setting.state_kind.record(states[-1]), setting.stage))
            following, cost = setting.step(states[-1], decision, noise.map(lambda x, t=t: x[:, t : t + 1]))
            states.append(following)
            decisions.append(decision)
            costs.append(cost)
    return torch.stack(states, 1), torch.stack(decisions, 1), torch.stack(costs, 1)


class TestProgram:
    @pytest.mark.parametrize("document", [one_store(), one_store("backlogged", 3), warehouse()], ids=["a", "b", "c"])
    def test_it_costs_no_more_than_any_policy_that_pays_the_multipliers(self, document):
        """On every scenario, whatever the multipliers: the policy's own path is feasible in the program."""
        prices = prepared(document, smoothing=0.0)
        setting, stages, rows = prices.setting, 12, 6
        horizon = _relaxed(prices, stages)
        path = setting.reference(rows, stages, setting.generator)
        paid = prices.multipliers(path, setting.generator)
        slope = np.linspace(-0.5, 0.5, prices.width)
        struck = np.stack([setting.face.noise_vector(path.noise, t) for t in range(stages)], axis=1)
        for factor in (0.7, 1.0, 1.1):
            states, decisions, costs = followed(prices, base_stock(document, factor), path.noise)
            price = (paid.states * states[:, :-1]).sum((1, 2)) + (paid.decisions * decisions).sum((1, 2))
            ends = (states[:, -1] - states[:, 0]).double() @ torch.from_numpy(slope)
            paying = (costs.sum(1) + price).double() + ends
            for i in range(rows):
                multipliers = paid.states[i].double().numpy(), paid.decisions[i].double().numpy()
                value, *_ = horizon.solve(struck[i], *multipliers, slope)
                assert value <= float(paying[i]) + 1e-3 * (1 + abs(float(paying[i])))

    def test_without_multipliers_from_a_given_start_it_is_perfect_information(self):
        document = warehouse() | {"periods": 30, "warmup_periods": 20}
        prices = prepared(document, smoothing=0.0)
        setting = prices.setting
        horizon = _relaxed(prices, 30)
        net = PROBLEM.parse(document | {"warmup_periods": 0})
        simulator = PROBLEM.simulator(net)
        generator = torch.Generator().manual_seed(4)
        state, noise = simulator.initial(5, generator), simulator.sample(5, generator)
        known = Hindsight(PROBLEM, net, simulator).bounds(state, noise, QUIET)
        start = setting.face.state_vector(state)
        struck = setting.face.noise_path(noise).reshape(5, 30, -1)
        columns = np.arange(len(horizon.program.columns), dtype=np.int32)[-start.shape[1] :]
        for i in range(5):
            horizon.hot.set_column_bounds(columns, start[i], start[i])
            nothing = np.zeros((30, prices.width)), np.zeros((30, len(net.lanes)))
            value, states, _ = horizon.solve(struck[i], *nothing, np.zeros(prices.width))
            assert value == pytest.approx(known[i], rel=1e-6, abs=1e-6)
            np.testing.assert_allclose(states[0], flat(state)[i].numpy(), atol=1e-5)

    @pytest.mark.parametrize("document", [one_store(), one_store("backlogged", 2), warehouse()], ids=["a", "b", "c"])
    def test_copies_that_meet_the_real_noise_change_nothing(self, document):
        """With the same demand everywhere, counting a part of the cost on copies gives the same optimum."""
        plain, blunt = (_relaxed(prepared(document, smoothing=s), 10) for s in (0.0, 0.4))
        stores = plain.noises
        demand = np.linspace(4.0, 6.0, stores)
        blunt.extra = np.concatenate([np.tile(demand[group], 6) for group in blunt.groups])
        width = plain.from_states.shape[1], plain.from_columns.shape[1]
        generator = np.random.default_rng(0)
        path = np.tile(demand, (10, 1))
        multipliers = generator.uniform(0, 0.3, (10, width[0])), generator.uniform(0, 0.3, (10, width[1]))
        slope = np.full(width[0], -0.4)
        values = [h.solve(path, *multipliers, slope)[0] for h in (plain, blunt)]
        assert values[0] == pytest.approx(values[1], rel=1e-6)

    def test_groups_of_the_copies_keep_the_mean_and_are_less_spread(self):
        prices = prepared(one_store())
        horizon = _relaxed(prices, 3)
        noise = prices.setting.noise(SAMPLE, 1, prices.setting.generator)
        horizon.draw(noise)
        share = np.diff(horizon.cuts) / SAMPLE
        assert share @ horizon.extra == pytest.approx(float(noise.demand.mean()), rel=1e-4)
        assert (np.diff(horizon.extra) > 0).all()


class TestBound:
    def bound(self, document: dict[str, Any], policy: Any = None, **config: Any) -> dict[str, Any]:
        few: dict[str, Any] = {
            "scenarios": 8,
            "periods": 200,
            "ascent_iterations": 0,
            "fit_iterations": 400,
            "inner_samples": 16,
            "fit_batch": 256,
        }
        chosen = InformationRelaxationConfig(**few | config)
        return bound_with(PROBLEM, PROBLEM.parse(document), chosen, 1, QUIET, policy).document

    @pytest.mark.parametrize("unmet", ["lost", "backlogged"])
    def test_it_comes_close_to_a_known_optimum_and_stays_below(self, unmet):
        """One store supplied at once: ordering up to the newsvendor's quantity is optimal, lost demand or not."""
        document = one_store(unmet, lead_time=0)
        policy = base_stock(document)
        with torch.no_grad():
            policy.level.fill_((5.0 + FRACTILE * 1.6) / 5.0)
        found = self.bound(document, policy, fit_iterations=150)
        optimum = 10.0 * 1.6 * float(np.exp(-0.5 * FRACTILE**2)) / (2 * np.pi) ** 0.5
        assert found["policy_cost_per_stage"] == pytest.approx(optimum, rel=0.03)
        assert found["ci95"][0] < optimum
        assert found["value_per_stage"] > 0.93 * optimum

    def test_without_prices_and_smoothing_hindsight_costs_next_to_nothing(self):
        found = self.bound(one_store(), base_stock(one_store()), strength=0.0, smoothing=0.0, fit_iterations=0)
        assert found["value_per_stage"] < 0.1

    def test_ascent_raises_a_bound_without_fit(self):
        document = one_store()
        few = {
            "fit_iterations": 0,
            "periods": 40,
            "ascent_periods": 30,
            "ascent_rate": 1e-2,
            "inner_samples": 4,
            "ascent_samples": 4,
        }
        before = self.bound(document, base_stock(document), **few)
        after = self.bound(document, base_stock(document), ascent_iterations=30, **few)
        assert after["value_per_stage"] > before["value_per_stage"] + 3 * before["standard_error"]
        assert len(after["history"]) == 30

    def test_known_demand_costs_what_it_must(self):
        """Every period 4 units at 0.5: no stock, no shortage, 2 a period, whatever is known."""
        document = one_store(demand={"process": "empirical", "nodes": ["shop"], "history": [[4.0]]})
        document["lanes"][0]["unit_cost"] = 0.5
        policy = base_stock(document)
        with torch.no_grad():
            policy.level.fill_(2.0)
        found = self.bound(document, policy, fit_iterations=100, periods=100)
        assert found["policy_cost_per_stage"] == pytest.approx(2.0, abs=1e-4)
        assert 1.9 < found["value_per_stage"] <= 2.0 + 1e-4


class TestRefusals:
    def test_a_fixed_horizon_and_dependent_demand_are_named(self):
        for changes, reason in (
            ({"warmup_periods": 0}, "fixed one"),
            (
                {"demand": {"process": "empirical", "nodes": ["shop"], "history": [[1.0], [9.0]] * 20, "block": 10}},
                "noise|remembers",
            ),
        ):
            with pytest.raises(InnerSolveError, match=reason):
                bound_with(
                    PROBLEM,
                    PROBLEM.parse(one_store() | changes),
                    InformationRelaxationConfig(),
                    1,
                    QUIET,
                    base_stock(one_store() | changes),
                )

    def test_out_of_time_it_says_so(self):
        net = PROBLEM.parse(one_store())
        config = InformationRelaxationConfig(time_limit_seconds=1e-6, policy_iterations=1)
        assert INFORMATION_RELAXATION.solve is not None
        result = INFORMATION_RELAXATION.solve(PROBLEM, net, config, 1, QUIET)
        assert result.status == "time_limit"
        assert "Time was up" in result.document["explanation"]
