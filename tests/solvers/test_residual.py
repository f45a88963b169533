"""A residual start: as good as the look-ahead before anything is learned, better afterwards, and no policy favoured."""

from dataclasses import fields, replace
from functools import cache

import pytest
import torch

from models.registry import problem
from solvers import advantages
from solvers.advantages import Rollout
from solvers.core import Callbacks, TrainRequest
from solvers.evaluation import compare, estimate
from solvers.lagrangian import LAGRANGIAN, LagrangianConfig
from solvers.lagrangian import train as decompose
from solvers.pdppo import PDPPO, Learner, PDPPOConfig, build, train
from solvers.residual import Potentials, heat_of

LOT_SIZING = problem("lot_sizing")
EXAMPLES = {"two-items": "two-items-one-machine", "four-colours": "four-items-two-machines"}  # by instance name
QUICK = {
    "residual": True,
    "discount": 1.0,
    "iterations": 4,
    "scenarios": 16,
    "stages": 8,
    "width": 16,
    "validation_every": 2,
    "validation_scenarios": 32,
}


@cache
def ahead_of(name: str, periods: int = 100):
    """A look-ahead on an example, by a decomposition of few steps: what it starts from matters little here."""
    config = LagrangianConfig(iterations=8, tuning=1, tuning_scenarios=32)
    return decompose(TrainRequest(LOT_SIZING, example(name, periods), config, 1), Callbacks()).policy


@pytest.fixture(autouse=True)
def _quick_decomposition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "solvers.pdppo.decomposed", lambda own, *_: ahead_of(EXAMPLES[own.instance.name], own.instance.periods)
    )


def example(name: str = "two-items-one-machine", periods: int | None = None):
    found = next(example for example in LOT_SIZING.examples if example.name == name)
    return LOT_SIZING.parse(found.document() | ({} if periods is None else {"periods": periods}))


def request(name: str = "two-items-one-machine", **config) -> TrainRequest:
    return TrainRequest(LOT_SIZING, example(name), PDPPOConfig(**(QUICK | config)), 1)


@pytest.mark.parametrize("name", ["two-items-one-machine", "four-items-two-machines"])
def test_untrained_it_decides_as_the_look_ahead(name):
    own = request(name, iterations=0)
    policy, ahead = train(own, Callbacks()).policy, ahead_of(name)
    simulator = LOT_SIZING.simulator(own.instance)
    draw = torch.Generator().manual_seed(5)
    state = simulator.initial(256, draw)
    for stage in (0, 7):
        assert torch.equal(policy(state, stage).item, ahead(state, stage).item)


@pytest.mark.parametrize(
    "setting", [{}, {"advantage": "plain"}, {"family": "sequential"}, {"restart_stages": 5}], ids=str
)
def test_a_resumed_run_gives_the_policy_of_an_uninterrupted_one(setting):
    kept: list = []
    whole = train(request(**setting), Callbacks(on_checkpoint=kept.append))
    resumed = train(replace(request(**setting), checkpoint=kept[0]), Callbacks())
    again = train(request(**setting), Callbacks())
    for other in (resumed, again):
        found = other.policy.state_dict()
        assert all(torch.equal(value, found[name]) for name, value in whole.policy.state_dict().items())


def test_a_stored_policy_decides_and_explains_as_the_trained_one():
    own = request()
    trained = train(own, Callbacks()).policy
    stored = build(LOT_SIZING, own.instance, own.config, "mlp")
    stored.load_state_dict(trained.state_dict())
    state = LOT_SIZING.simulator(own.instance).initial(64, torch.Generator().manual_seed(1))
    decision = trained(state, 3)
    assert torch.equal(decision.item, stored(state, 3).item)
    torch.testing.assert_close(trained.alternatives(state, decision, 3), stored.alternatives(state, decision, 3))


def test_the_critics_are_the_guides_costs_and_what_the_rest_says():
    own = request()
    policy = train(own, Callbacks()).policy
    simulator = LOT_SIZING.simulator(own.instance)
    state = simulator.initial(32, torch.Generator().manual_seed(1))
    ahead = ahead_of(EXAMPLES[own.instance.name])
    decision = ahead(state, 2)
    post, paid = simulator.decide(state, decision, 2)
    later = ahead.values.post_value(post, 2)
    torch.testing.assert_close(policy.values.post_value(post, 2), later + policy.values.rest.post_value(post, 2))
    wanted = later + paid.total + policy.values.rest.value(state, 2)
    torch.testing.assert_close(policy.values.value(state, 2), wanted)


class TestShaping:
    """Critics of shaped costs, and critics of costs that start at the potential, give the same credit."""

    def rollout(self) -> tuple[Rollout, Potentials]:
        draw = torch.Generator().manual_seed(0)
        seen = Rollout(**{f.name: torch.randn(6, 4, generator=draw, dtype=torch.float64) for f in fields(Rollout)})
        ends = torch.rand(6, 4, generator=draw) < 0.2
        seen = replace(seen, goes_on=1.0 - ends.double(), ended=ends.double())
        potentials = Potentials(None, seen.value)
        for own in (potentials.before, potentials.after, potentials.then):
            own.copy_(torch.randn(6, 4, generator=draw, dtype=torch.float64))
        return seen, potentials

    @pytest.mark.parametrize("rule", ["half_step", "plain"])
    def test_the_advantages_are_the_same(self, rule):
        seen, potentials = self.rollout()
        whole = replace(
            seen,
            value=seen.value + potentials.before,
            post_value=seen.post_value + potentials.after,
            following=seen.following + potentials.then,
        )
        more = (0.8,) if rule == "half_step" else ()
        found = getattr(advantages, rule)(potentials.shaped(seen, 0.97), 0.97, 0.9, *more)
        wanted = getattr(advantages, rule)(whole, 0.97, 0.9, *more)
        torch.testing.assert_close(found.advantage, wanted.advantage)
        torch.testing.assert_close(found.value_target + potentials.before, wanted.value_target)
        if rule == "half_step":
            torch.testing.assert_close(found.post_target + potentials.after, wanted.post_target)

    def test_a_rollouts_potentials_telescope(self):
        """Shaped costs of a whole horizon are the costs less what the guide expected at its start."""
        config = PDPPOConfig(**(QUICK | {"stages": 20, "scenarios": 1}))
        learner = Learner(TrainRequest(LOT_SIZING, example(periods=20), config, 1), config, "mlp")
        learner.rows.at[0], learner.rows.left[0] = 0, 20
        learner.rows.begin(0)
        start = learner.actor.prior(learner.rows.state, learner.rows.stage).cost
        learner.simulate(False, lambda: None)
        seen = learner.memory.seen
        shaped = learner.potentials.shaped(seen, 1.0)
        assert seen.ended[-1, 0] == 1
        total = (shaped.decided + shaped.realized).sum() - (seen.decided + seen.realized).sum()
        assert total.item() == pytest.approx(-start.item(), rel=1e-5)


class TestHeat:
    def test_it_gives_other_options_the_configured_probability(self):
        draw = torch.Generator().manual_seed(0)
        excess = torch.rand(500, 2, 4, generator=draw) * 30
        excess[..., 1] = 0.0
        feasible = torch.ones(500, 2, 4, dtype=torch.bool)
        feasible[:, 1, 3] = False
        heat = heat_of(torch.where(feasible, excess, 0.0), feasible, 0.1)
        chances = torch.softmax(torch.where(feasible, -excess / heat, -torch.inf), 2)
        assert 1 - chances[..., 1].mean().item() == pytest.approx(0.1, abs=1e-4)

    def test_nothing_to_choose_is_no_trouble(self):
        assert heat_of(torch.zeros(5, 1, 2), torch.tensor([True, False]).expand(5, 1, 2), 0.1) > 0

    def test_the_actor_is_heated_so(self):
        learner = Learner(request(softness=0.2, stages=50), PDPPOConfig(**(QUICK | {"softness": 0.2})), "mlp")
        prior, state, stage = None, learner.rows.state, learner.rows.stage
        others = []
        for _ in range(50):
            prior = learner.actor.prior(state, stage)
            chances = torch.softmax(learner.actor.logits(state, stage, None, prior), 2)
            others.append(1 - chances.gather(2, prior.choice[..., None]).mean().item())
            learner.rows.step(learner.actor.choices.decision(prior.choice))
            for cohort, _ in learner.rows.over():
                learner.rows.restart(cohort)
            state, stage = learner.rows.state, learner.rows.stage
        assert 0.1 < sum(others) / len(others) < 0.3


class TestRefusals:
    def refused(self, name: str, **config) -> list[str]:
        found = PDPPO.refuses(LOT_SIZING, example(name), PDPPOConfig(residual=True, **config))
        return [issue.pointer for issue in found]

    def test_a_plant_that_falls_apart_is_not(self):
        assert self.refused("two-items-one-machine") == []

    def test_components_and_divisible_lots_do_not_fall_apart(self):
        assert self.refused("gearboxes") == ["/residual"]
        assert LAGRANGIAN.refuses(LOT_SIZING, example("gearboxes"), LAGRANGIAN.config())

    def test_the_published_maximum_is(self):
        assert self.refused("two-items-one-machine", advantage="maximum") == ["/residual"]


def test_it_learns_what_the_look_ahead_does_not_know():
    sizes = {"scenarios": 64, "stages": 25, "width": 64, "validation_every": 5, "validation_scenarios": 1024}
    own = request(**(sizes | {"iterations": 40, "softness": 0.1, "entropy": 0.005}))
    found = {"learned": train(own, Callbacks()).policy, "ahead": ahead_of(EXAMPLES[own.instance.name])}
    samples = compare(LOT_SIZING.simulator(own.instance), found, 5, scenarios=2048)
    change, error = estimate(samples["learned"].total - samples["ahead"].total)
    assert change < -4 * error
    assert change < -0.01 * samples["ahead"].total.mean()
