"""Advantage rules against numbers worked out by hand and against plain loops."""

import pytest
import torch

from solvers.advantages import Rollout, accumulated, half_step, maximum, plain


def rollout(stages: int = 6, rows: int = 3, seed: int = 0) -> Rollout:
    """Random figures; row 1 was cut off after stage 2, row 2 met the horizon after stage 3."""
    draw = torch.Generator().manual_seed(seed)
    decided, realized, value, post_value, following = torch.rand(5, stages, rows, generator=draw, dtype=torch.float64)
    goes_on = torch.ones(stages, rows, dtype=torch.float64)
    goes_on[-1] = goes_on[2, 1] = goes_on[3, 2] = 0.0
    ended = torch.zeros(stages, rows, dtype=torch.float64)
    ended[3, 2] = 1.0
    following = torch.where(goes_on > 0, torch.cat((value[1:], value[-1:])), following)
    return Rollout(decided, realized, value, post_value, following, goes_on, ended)


def by_hand(value: float) -> torch.Tensor:
    return torch.tensor([[value]], dtype=torch.float64)


ONE = Rollout(by_hand(2.0), by_hand(3.0), by_hand(10.0), by_hand(7.0), by_hand(6.0), by_hand(0.0), by_hand(0.0))


class TestOneStage:
    """c_a = 2, c_w = 3, V = 10, V^x = 7, V′ = 6, γ = .5: δ_a = 2 + 7 − 10 = −1, δ_w = 3 + 3 − 7 = −1."""

    def test_plain(self):
        credit = plain(ONE, 0.5, 0.9)
        assert credit.advantage.item() == -2.0  # 2 + 3 + .5 · 6 − 10
        assert credit.value_target.item() == 8.0

    def test_half_step(self):
        credit = half_step(ONE, 0.5, 0.9, 0.8)
        assert credit.advantage.item() == pytest.approx(-1.8)  # −1 + .8 · −1
        assert credit.value_target.item() == 8.0
        assert credit.post_target.item() == 6.0  # without the decision's cost

    def test_maximum_takes_the_better_stream(self):
        credit = maximum(ONE, 0.5, 0.9)
        # Luck's stream: 3 + .5 · 6 − 10 = −4; decisions' stream, cut off: 2 + .5 · 7 − 7 = −1.5.
        assert credit.advantage.item() == -4.0
        assert credit.value_target.item() == 6.0
        assert credit.post_target.item() == 5.5

    def test_nothing_follows_the_horizon(self):
        ended = Rollout(**{**vars(ONE), "ended": by_hand(1.0), "following": by_hand(0.0)})
        assert maximum(ended, 0.5, 0.9).post_target.item() == 2.0


def test_accumulation_is_a_plain_loop():
    seen = rollout()
    found = accumulated(seen.value, seen.goes_on, 0.7)
    for row in range(3):
        for stage in range(6):
            wanted, weight = 0.0, 1.0
            for later in range(stage, 6):
                wanted += weight * seen.value[later, row].item()
                if seen.goes_on[later, row] == 0:
                    break
                weight *= 0.7
            assert found[stage, row].item() == pytest.approx(wanted)


def test_with_all_luck_half_steps_are_ppo():
    seen = rollout()
    ours, ppo = half_step(seen, 0.9, 0.8, 1.0), plain(seen, 0.9, 0.8)
    torch.testing.assert_close(ours.advantage, ppo.advantage)
    torch.testing.assert_close(ours.value_target, ppo.value_target)


def test_without_luck_only_the_decision_counts():
    seen = rollout()
    torch.testing.assert_close(half_step(seen, 0.9, 0.8, 0.0).advantage, seen.decided + seen.post_value - seen.value)


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_half_steps_follow_their_recursion(decay):
    seen, luck, discount = rollout(), 0.6, 0.9
    advantage = half_step(seen, discount, decay, luck).advantage
    of_decision = seen.decided + seen.post_value - seen.value
    of_luck = seen.realized + discount * seen.following - seen.post_value
    later = torch.cat((advantage[1:], torch.zeros(1, 3, dtype=torch.float64))) * seen.goes_on
    torch.testing.assert_close(advantage, of_decision + luck * (of_luck + discount * decay * later))


def test_whole_returns_are_costs_until_the_row_was_cut():
    """λ = 1: the target of V is what was paid, and V of the state left behind."""
    seen = rollout()
    target = plain(seen, 0.9, 1.0).value_target
    paid = seen.decided + seen.realized
    wanted = paid[0, 1] + 0.9 * paid[1, 1] + 0.81 * paid[2, 1] + 0.729 * seen.following[2, 1]
    torch.testing.assert_close(target[0, 1], wanted)


def test_the_best_of_two_is_never_worse_than_either():
    seen = rollout()
    alone = accumulated(seen.realized + 0.9 * seen.following - seen.value, seen.goes_on, 0.9 * 0.8)
    assert (maximum(seen, 0.9, 0.8).advantage <= alone).all()
