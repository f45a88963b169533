"""PDPPO on a workshop whose optimum is known."""

from dataclasses import replace

import pytest
import torch

from models.choices import IMPOSSIBLE, CriticisedPolicy, improve, likeliest, masked, option_costs
from models.core import NetworkSize
from solvers.advantages import Credit
from solvers.core import Callbacks, TrainRequest, WeightsDoNotFit
from solvers.evaluation import compare, estimate
from solvers.lessons import Lessons, imitation, surrogate
from solvers.pdppo import PDPPO, Learner, PDPPOConfig, build, train
from solvers.scenario_rows import Rows
from tests.workshop import PROBLEM
from tests.workshop.optimum import optimal_cost

QUICK = {"iterations": 4, "scenarios": 16, "stages": 8, "width": 16, "validation_every": 2, "validation_scenarios": 32}


def shop(**more):
    return PROBLEM.parse({"problem": "workshop", "name": "bench", "days": 20, "items": 2, "machines": 1} | more)


def request(instance=None, seed: int = 1, **config) -> TrainRequest:
    return TrainRequest(PROBLEM, instance or shop(), PDPPOConfig(**(QUICK | config)), seed)


def weights(result) -> dict[str, torch.Tensor]:
    return result.policy.state_dict()


def same(one, two) -> bool:
    return all(torch.equal(value, two[name]) for name, value in one.items())


SETTINGS = [
    {},
    {"advantage": "maximum"},
    {"advantage": "plain"},
    {"update": "mirror"},
    {"kl_stop": 1e-6},
    {"imitate": "scarcest", "imitation_iterations": 3},
    {"restart_stages": 7},
    {"sweeps": 1},
    {"normalise_values": False},
    {"tries": 0.0},
]


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
class TestEverySetting:
    def test_the_same_seed_gives_the_same_policy(self, setting):
        assert same(weights(train(request(**setting), Callbacks())), weights(train(request(**setting), Callbacks())))

    def test_a_resumed_run_gives_the_policy_of_an_uninterrupted_one(self, setting):
        kept = []
        whole = train(request(**setting), Callbacks(on_checkpoint=kept.append))
        assert [state["iteration"] for state in kept] == [2, 4]
        resumed = train(replace(request(**setting), checkpoint=kept[0]), Callbacks())
        assert same(weights(whole), weights(resumed))
        assert [row["cost"] for row in whole.curve] == [row["cost"] for row in resumed.curve]


@pytest.mark.parametrize("restart", [None, 7])
def test_a_checkpoint_of_another_kind_of_device_is_gone_on_from_with_scenarios_drawn_anew(restart):
    """A GPU's generators have states of 16 bytes, which no CPU takes; the best so far is judged here again."""
    kept: list = []
    whole = train(request(restart_stages=restart), Callbacks(on_checkpoint=kept.append))
    states = torch.zeros(16, dtype=torch.uint8)
    rows = kept[0]["rows"] | {"drawn": [states for _ in kept[0]["rows"]["drawn"]]}
    elsewhere = kept[0] | {"generator": states, "rows": rows, "best_cost": 0.0}
    said, ends = [], []
    for _ in range(2):
        again = replace(request(restart_stages=restart), checkpoint=elsewhere)
        result = train(again, Callbacks(on_log=said.append, on_checkpoint=ends.append))
    assert len(said) == 2
    assert "another kind of device" in said[0]
    assert same(ends[0]["weights"], ends[1]["weights"]), "a function of seed and step"
    assert not same(ends[0]["weights"], kept[1]["weights"]), "its scenarios are other ones"
    assert [row["iteration"] for row in result.curve] == [row["iteration"] for row in whole.curve]
    assert result.curve[-1]["best_cost"] <= kept[0]["best_cost"], "the kept policy costs what it costs here"
    assert result.curve[-1]["best_cost"] > 0


def test_another_seed_gives_another_policy():
    assert not same(weights(train(request(seed=1), Callbacks())), weights(train(request(seed=2), Callbacks())))


def test_it_stops_when_asked_and_keeps_the_best():
    result = train(request(iterations=10_000, scenarios=64), Callbacks(should_stop=lambda: True))
    assert result.stopped_by == "request"
    assert result.seconds < 5
    assert train(replace(request(iterations=10_000), time_limit=0.5), Callbacks()).stopped_by == "time_limit"


def test_weights_of_another_network_are_refused():
    with pytest.raises(WeightsDoNotFit):
        train(replace(request(), warm_start={"none": torch.zeros(1)}), Callbacks())


def test_a_warm_start_goes_on_from_the_weights():
    first = train(request(), Callbacks())
    again = train(replace(request(iterations=0), warm_start=weights(first)), Callbacks())
    assert same(weights(first), weights(again))


class TestRefusals:
    def refused(self, **config) -> list[str]:
        return [issue.pointer for issue in PDPPO.refuses(PROBLEM, shop(), PDPPOConfig(**config))]

    def test_what_fits_is_not_refused(self):
        assert not self.refused() + self.refused(family="network", imitate="scarcest", sweeps=2)

    def test_a_rule_is_not_trained(self):
        assert self.refused(family="scarcest") == ["/family"]

    def test_only_rules_are_imitated(self):
        assert self.refused(imitate="network") == ["/imitate"]

    def test_choices_are_improved_by_half_steps_only(self):
        assert self.refused(advantage="maximum", sweeps=1) == ["/sweeps"]
        assert self.refused(tries=0.0, sweeps=1) == ["/sweeps"]

    def test_continuous_decisions_are_not_its_business(self):
        traits = replace(PROBLEM.traits, discrete_decisions=False)
        assert PDPPO.reasons_against(replace(PROBLEM, traits=traits))


def lessons(rows: int = 5, slots: int = 2, options: int = 3) -> tuple[torch.Tensor, Lessons]:
    draw = torch.Generator().manual_seed(3)
    old, new = torch.randn(2, rows, slots, options, generator=draw, dtype=torch.float64)
    choice = torch.randint(options, (rows, slots), generator=draw)
    advantage = torch.randn(rows, generator=draw, dtype=torch.float64)
    credit = Credit(advantage, advantage, advantage)
    return new, Lessons(None, None, torch.zeros(rows), choice, torch.log_softmax(old, -1), credit)


@pytest.mark.parametrize("update", ["clip", "mirror"])
def test_the_surrogates_gradient_agrees_with_finite_differences(update):
    new, part = lessons()
    config = PDPPOConfig(update=update)
    new.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: surrogate(torch.log_softmax(x, -1), part, config, 0.5).loss, (new,))
    assert torch.autograd.gradcheck(lambda x: imitation(torch.log_softmax(x, -1), part, 0.1).loss, (new,))


def test_the_surrogate_by_a_plain_loop():
    new, part = lessons()
    log_new = torch.log_softmax(new, -1)
    found = surrogate(log_new, part, PDPPOConfig(clip=0.2), 1.0)
    total, outside = 0.0, 0
    for row, choice in enumerate(part.choice.tolist()):
        ratio = 1.0
        for slot, option in enumerate(choice):
            ratio *= (log_new[row, slot, option] - part.log_probabilities[row, slot, option]).exp().item()
        merit = -part.credit.advantage[row].item()
        total -= min(ratio * merit, min(max(ratio, 0.8), 1.2) * merit)
        outside += abs(ratio - 1) > 0.2
    assert found.loss.item() == pytest.approx(total / len(part.choice))
    assert found.clipped.item() == pytest.approx(outside / len(part.choice))


def test_an_unchanged_policy_descends_the_plain_policy_gradient():
    """At ratio 1 the surrogate's gradient is that of E A · log π, joint over slots."""
    _, part = lessons()
    logits = part.log_probabilities.clone().requires_grad_()
    surrogate(torch.log_softmax(logits, -1), part, PDPPOConfig(), 1.0).loss.backward()
    found = logits.grad.clone()
    logits.grad = None
    chosen = torch.log_softmax(logits, -1).gather(2, part.choice[..., None]).squeeze(2).sum(1)
    (part.credit.advantage * chosen).mean().backward()
    torch.testing.assert_close(found, logits.grad)


class TestMasks:
    def test_nothing_infeasible_is_ever_chosen(self):
        instance = shop(items=2, machines=2, one_of_a_kind=True)
        learner = Learner(request(instance, stages=20), PDPPOConfig(**QUICK), "sequential")
        learner.simulate(False, lambda: None)
        state, choice = learner.memory.state, learner.memory.choice
        broken = learner.simulator.violation(state, learner.actor.choices.decision(choice), learner.memory.stage)
        assert not broken.any()
        assert len(choice.unique(dim=0)) > 4

    def test_a_masked_option_has_no_probability_and_no_gradient(self):
        logits = torch.zeros(1, 1, 3, requires_grad=True)
        feasible = torch.tensor([[[True, False, True]]])
        log = torch.log_softmax(masked(logits, feasible), -1)
        assert log[0, 0].exp().tolist() == pytest.approx([0.5, 0.0, 0.5])
        (-(log.exp() * log).sum() + log[0, 0, 0]).backward()
        assert logits.grad[0, 0, 1] == 0.0
        assert torch.isfinite(logits.grad).all()
        assert log[0, 0, 1] < IMPOSSIBLE / 2


class TestTries:
    """One choice in a while is replaced at random, for the critics alone."""

    def learner(self, **more) -> Learner:
        learner = Learner(request(shop(machines=2, **more)), PDPPOConfig(**QUICK, tries=0.5), "sequential")
        learner.simulate(False, lambda: None)
        return learner

    def test_the_policy_learns_nothing_from_them_and_v_neither(self):
        learner = self.learner()
        tried = learner.memory.tried.flatten()
        lessons = learner.study(1.0)
        assert 0.2 < tried.float().mean() < 0.6
        assert (lessons.credit.advantage[tried] == 0).all()
        assert (lessons.credit.advantage[~tried] != 0).any()
        torch.testing.assert_close(lessons.credit.value_target[tried], learner.memory.seen.value.flatten()[tried])

    def test_no_credit_is_carried_over_them(self):
        learner = self.learner()
        before = learner.memory.tried[1:]
        assert (learner.memory.seen.goes_on[:-1][before] == 0).all()
        assert (learner.memory.seen.goes_on[:-1][~before] == 1).any()

    def test_they_are_feasible_where_choices_are_coupled(self):
        learner = self.learner(one_of_a_kind=True)
        made = learner.memory.post.setup
        both = (made[:, 0] == made[:, 1]) & (made[:, 0] < 2)
        assert learner.memory.tried.any()
        assert not both.any()


class TestRows:
    def rows(self, days: int = 20, restart: int | None = None) -> Rows:
        simulator = PROBLEM.simulator(shop(days=days))
        return Rows(simulator, 12, restart, torch.Generator().manual_seed(0))

    def walk(self, rows: Rows, steps: int) -> list[tuple[int, bool]]:
        """Restarts seen: stage the cohort stood at, and whether the horizon had ended."""
        seen = []
        for _ in range(steps):
            rows.step(rows.simulator.choices.decision(torch.zeros(12, 1, dtype=torch.long)))
            for cohort, ended in rows.over():
                seen.append((int(rows.stage[rows.cohorts[cohort]][0]), ended))
                rows.restart(cohort)
        return seen

    def test_every_stage_of_the_horizon_is_in_every_batch(self):
        rows = self.rows(days=12)
        assert sorted(rows.stage.tolist()) == list(range(12))
        seen = self.walk(rows, 24)
        assert seen == [(12, True)] * 24
        assert sorted(rows.stage.tolist()) == list(range(12))

    def test_a_restart_before_the_horizon_is_a_cut_and_not_an_end(self):
        seen = self.walk(self.rows(days=1000, restart=5), 20)
        assert len(seen) == 20
        assert not any(ended for _, ended in seen)

    def test_a_horizon_of_one_stage(self):
        assert self.walk(self.rows(days=1), 3) == [(1, True)] * 3


class TestOptionCosts:
    def pieces(self, **more):
        torch.manual_seed(0)
        instance = shop(items=2, machines=2, **more)
        policy = build(PROBLEM, instance, PDPPOConfig(width=8, sweeps=1), "network")
        for parameter in policy.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        simulator = PROBLEM.simulator(instance)
        return simulator, policy, simulator.initial(4, torch.Generator().manual_seed(0))

    def test_they_are_the_cost_now_and_the_post_decision_critic(self):
        simulator, policy, state = self.pieces()
        choice = torch.tensor([[0, 1], [2, 2], [1, 0], [0, 0]])
        found = option_costs(simulator, policy.values, state, 3, choice)
        for row in range(4):
            for slot in range(2):
                for option in range(3):
                    one = choice[row : row + 1].clone()
                    one[0, slot] = option
                    post, costs = simulator.decide(state.rows(slice(row, row + 1)), simulator.choices.decision(one), 3)
                    wanted = costs.total + policy.values.post_value(post, 3)
                    assert found[row, slot, option].item() == pytest.approx(wanted.item(), rel=1e-5)

    def test_what_is_infeasible_costs_infinity(self):
        simulator, policy, state = self.pieces(one_of_a_kind=True)
        found = option_costs(simulator, policy.values, state, 0, torch.tensor([[0, 1]] * 4))
        assert torch.isinf(found[:, 0, 1]).all()  # would take what the second machine makes
        assert torch.isinf(found[:, 1, 0]).all()
        assert torch.isfinite(found[:, :, 2]).all()

    def test_improving_never_costs_more_by_its_own_word(self):
        simulator, policy, state = self.pieces()
        assert isinstance(policy, CriticisedPolicy)
        before = policy.actor.pick(state, 2, likeliest)
        after = improve(simulator, policy.values, state, 2, before, 3)

        def cost(choice):
            return option_costs(simulator, policy.values, state, 2, choice)[:, 0].gather(1, choice[:, :1])

        assert (cost(after) <= cost(before) + 1e-6).all()
        assert (cost(after) < cost(before) - 1e-6).any()
        best = option_costs(simulator, policy.values, state, 2, after).amin((1, 2))
        torch.testing.assert_close(best, cost(after).squeeze(1))

    def test_a_policy_tells_its_alternatives_only_if_its_critic_is_the_whole_cost(self):
        _, policy, state = self.pieces()
        decision = policy(state, 0)
        assert policy.alternatives(state, decision, 0).shape == (4, 2, 3)
        for other in ({"advantage": "plain"}, {"tries": 0.0}):
            silent = build(PROBLEM, shop(), PDPPOConfig(width=8, **other), "network")
            assert silent.alternatives(state, decision, 0) is None


def test_imitation_learns_the_rule():
    config = {"iterations": 30, "imitate": "scarcest", "imitation_iterations": 30, "learning_rate": 3e-3, "stages": 16}
    instance = shop()
    result = train(request(instance, validation_scenarios=2048, validation_every=15, **config), Callbacks())
    simulator = PROBLEM.simulator(instance)
    rule = PROBLEM.family("scarcest").build(instance, simulator, NetworkSize())
    wanted = compare(simulator, {"rule": rule}, 9, scenarios=8192)["rule"].total.mean() / instance.num_stages
    assert result.curve[-1]["cost"] == pytest.approx(wanted, rel=0.02)


# Last results, seed 1, above the optimum: half steps 0.2 %, PPO 0.4 %; all four within their gaps.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "config", "gap"),
    [
        ({}, {}, 0.01),
        ({}, {"advantage": "plain"}, 0.015),
        ({}, {"update": "mirror"}, 0.015),
        ({"items": 2, "machines": 2, "one_of_a_kind": True}, {}, 0.02),
    ],
)
def test_it_comes_near_the_optimum(more, config, gap):
    instance = shop(**more)
    sizes = {"scenarios": 128, "stages": 32, "width": 128, "validation_every": 10, "validation_scenarios": 4096}
    result = train(request(instance, **(sizes | {"iterations": 60} | config)), Callbacks())
    sample = compare(PROBLEM.simulator(instance), {"learned": result.policy}, 5, scenarios=16_384)["learned"]
    mean, error = estimate(sample.total)
    optimum = optimal_cost(instance)
    assert optimum - 4 * error < mean < (1 + gap) * optimum
