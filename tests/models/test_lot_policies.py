"""Learned policies and critics of a plant: what a machine's weights may depend on, features and their names."""

from dataclasses import replace

import pytest
import torch

from models.choices import IMPOSSIBLE, likeliest
from models.core import NetworkSize
from models.lot_sizing.encoder import LotEncoder
from models.registry import problem

LOT_SIZING = problem("lot_sizing")
EXAMPLES = {example.name: LOT_SIZING.parse(example.document()) for example in LOT_SIZING.examples}
LEARNED = [family.name for family in LOT_SIZING.families if family.role == "learned"]


def pieces(name: str, family: str):
    """A policy with weights that are no longer those it starts from, its simulator and a few states."""
    torch.manual_seed(0)
    simulator = LOT_SIZING.simulator(EXAMPLES[name])
    policy = LOT_SIZING.family(family).build(EXAMPLES[name], simulator, NetworkSize(8, 2))
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return policy, simulator, simulator.initial(5, torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("family", LEARNED)
class TestEveryPolicy:
    def test_one_machine_at_a_time_weighs_as_all_together(self, name, family):
        policy, _, state = pieces(name, family)
        choice = policy.pick(state, 2, likeliest)
        together = policy.logits(state, 2, choice)
        read = policy.read(state, 2)
        for slot in range(policy.choices.num_slots):
            alone = policy.weigh(read, state, 2, choice, slot)
            torch.testing.assert_close(alone, together[:, slot], rtol=1e-4, atol=1e-5)
        assert torch.equal(likeliest(together), choice)

    def test_later_choices_change_nothing_before_them(self, name, family):
        policy, _, state = pieces(name, family)
        choice = policy.pick(state, 2, likeliest)
        before = policy.logits(state, 2, choice)
        for slot in range(policy.choices.num_slots):
            other = choice.clone()
            other[:, slot:] = policy.choices.feasible(state, 2, choice)[:, slot:].long().argmax(-1)
            torch.testing.assert_close(policy.logits(state, 2, other)[:, : slot + 1], before[:, : slot + 1])

    def test_what_is_infeasible_is_impossible(self, name, family):
        policy, _, state = pieces(name, family)
        choice = policy.pick(state, 2, likeliest)
        feasible = policy.choices.feasible(state, 2, choice)
        logits = policy.logits(state, 2, choice)
        assert (logits[~feasible] == IMPOSSIBLE).all()
        assert (logits[feasible] > IMPOSSIBLE / 2).all()


def test_sequential_machines_know_what_earlier_ones_make():
    policy, _, state = pieces("workshop-15x5", "sequential")
    choice = policy.pick(state, 2, likeliest)
    other = choice.clone()
    other[:, 0] = (choice[:, 0] + 1) % policy.choices.num_options
    one, two = policy.logits(state, 2, choice), policy.logits(state, 2, other)
    torch.testing.assert_close(one[:, 0], two[:, 0])
    assert not torch.allclose(one[:, 1:], two[:, 1:])


@pytest.mark.parametrize("name", EXAMPLES)
class TestEncoder:
    def test_every_feature_has_a_name(self, name):
        encoder = LotEncoder(LOT_SIZING.simulator(EXAMPLES[name]))
        assert len(encoder.names()) == encoder.size

    def test_features_are_of_order_one_all_along_the_horizon(self, name):
        simulator = LOT_SIZING.simulator(EXAMPLES[name])
        encoder = LotEncoder(simulator)
        generator = torch.Generator().manual_seed(0)
        state, noise = simulator.initial(8, generator), simulator.sample(8, generator)
        rule = LOT_SIZING.family("run_out").build(EXAMPLES[name], simulator, NetworkSize())
        for stage in range(min(simulator.num_stages, 30)):
            seen = encoder(state, stage)
            assert seen.shape == (8, encoder.size)
            assert float(seen.abs().max()) < 20
            post, _ = simulator.decide(state, rule(state, stage), stage)
            assert torch.isfinite(encoder(post, stage)).all()
            state, _ = simulator.realize(post, noise, stage)


@pytest.mark.parametrize("name", EXAMPLES)
def test_features_computed_once_are_those_computed_again(name):
    """What a rollout keeps of its states, rows and all, weighs and is worth the same as the states themselves."""
    drawn = torch.Generator().manual_seed(1)

    def by_chance(feasible):
        flat = feasible.flatten(0, -2).float()
        return torch.multinomial(flat, 1, generator=drawn).reshape(feasible.shape[:-1])

    simulator = LOT_SIZING.simulator(EXAMPLES[name])
    policy = LOT_SIZING.family("mlp").build(EXAMPLES[name], simulator, NetworkSize(16, 2))
    critics = LOT_SIZING.values(EXAMPLES[name], simulator, NetworkSize(16, 2))
    state = simulator.initial(6, torch.Generator().manual_seed(0))
    stage, some = torch.arange(6) % simulator.num_stages, torch.tensor([4, 1, 1])
    choice = policy.pick(state, stage, lambda logits: by_chance(logits > IMPOSSIBLE))
    post, _ = simulator.decide(state, policy.choices.decision(choice), stage)
    before, later = policy.encoded(state, stage), critics.encoded(post, stage)
    assert not torch.equal(before.features, later.features)
    seen, after = before.rows(some), later.rows(some)
    weights = policy.logits(seen, stage[some], choice[some])
    torch.testing.assert_close(weights, policy.logits(state.rows(some), stage[some], choice[some]))
    torch.testing.assert_close(critics.value(seen, stage[some]), critics.value(state.rows(some), stage[some]))
    again = critics.post_value(post.rows(some), stage[some])
    torch.testing.assert_close(critics.post_value(after, stage[some]), again)
    changed = replace(seen, features=torch.zeros_like(seen.features))
    assert not torch.allclose(critics.value(changed, stage[some]), critics.value(seen, stage[some]))


class TestCritics:
    def critics(self, discount: float):
        simulator = LOT_SIZING.simulator(EXAMPLES["two-items-one-machine"])
        values = LOT_SIZING.values(EXAMPLES["two-items-one-machine"], simulator, NetworkSize(8, 1))
        values.discount = discount
        return simulator, values

    def test_the_annuity_is_the_discounted_number_of_stages_left(self):
        simulator, values = self.critics(0.9)
        left = simulator.num_stages - 3
        assert float(values.annuity(3)) == pytest.approx(sum(0.9**k for k in range(left)), rel=1e-5)
        assert values.annuity(torch.tensor([0, 3]))[1] == values.annuity(3)
        assert float(self.critics(1.0)[1].annuity(3)) == left

    def test_costs_to_go_are_in_money(self):
        simulator, values = self.critics(1.0)
        state = simulator.initial(3, torch.Generator().manual_seed(0))
        said = values.value(state, 5)
        values.centre.copy_(torch.tensor([2.0, 0.0]))
        torch.testing.assert_close(values.value(state, 5), said + 2.0 * (simulator.num_stages - 5))
        values.spread.copy_(torch.tensor([3.0, 1.0]))
        torch.testing.assert_close(values.value(state, 5), 3 * said + 2.0 * (simulator.num_stages - 5))
