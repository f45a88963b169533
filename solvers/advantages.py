"""Whose merit is it: advantage rules over rollouts whose stages fall into a decision and what the noise makes of it.

All in costs (less is better), tensors (stage, row). Stage t costs c_a for the decision and c_w once the noise has
struck; V is the state critic, V^x the post-decision critic. What follows a stage is V of the state that came next: of
the state left behind where the row was restarted (truncation), the terminal cost where the horizon ended.

  δ_a = c_a + V^x(s^x) − V(s)                 what the decision was worth
  δ_w = c_w + γ V(s′) − V^x(s^x)              what luck was worth
  δ_a + δ_w = c + γ V(s′) − V(s)              the temporal difference of PPO
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Rollout:
    """What a rollout cost and what the critics said, each (stage, row)."""

    decided: Tensor  # c_a, cost of the decision [money]
    realized: Tensor  # c_w, cost when the noise struck [money]
    value: Tensor  # V(s)
    post_value: Tensor  # V^x(s^x)
    following: Tensor  # V(s′) of the true next state; the terminal cost at the horizon
    goes_on: Tensor  # 1 where the rollout's next stage continues this one; 0 at its end, at restarts and the horizon
    ended: Tensor  # 1 where the horizon ended: nothing follows but the terminal cost


@dataclass(frozen=True)
class Credit:
    """Advantages of the decisions taken (negative: cheaper than expected) and what the critics should have said."""

    advantage: Tensor
    value_target: Tensor
    post_target: Tensor


def accumulated(differences: Tensor, goes_on: Tensor, rate: float) -> Tensor:
    """Σ_k rate^k δ_{t+k} up to the row's restart: generalised advantage estimation with rate = γλ."""
    sums = torch.empty_like(differences)
    carried = torch.zeros_like(differences[0])
    for stage in range(len(differences) - 1, -1, -1):
        carried = differences[stage] + rate * goes_on[stage] * carried
        sums[stage] = carried
    return sums


def plain(seen: Rollout, discount: float, decay: float) -> Credit:
    """PPO: one critic, GAE(λ) of the whole stage; the post-decision critic is left alone."""
    difference = seen.decided + seen.realized + discount * seen.following - seen.value
    advantage = accumulated(difference, seen.goes_on, discount * decay)
    return Credit(advantage, advantage + seen.value, seen.post_value)


def half_step(seen: Rollout, discount: float, decay: float, luck: float) -> Credit:
    """One value function on both halves: A_t = δ_a + λ_w (δ_w + γλ A_{t+1}).

    λ_w = `luck` = 1 is PPO's advantage whatever V^x says; less takes the noise of the decision's own stage out of its
    credit, as far as V^x can be trusted. Both critics are fitted to the λ-return, V^x without the decision's cost.
    """
    of_decision = seen.decided + seen.post_value - seen.value
    of_luck = seen.realized + discount * seen.following - seen.post_value
    advantage = accumulated(of_decision + luck * of_luck, seen.goes_on, luck * discount * decay)
    returns = accumulated(of_decision + of_luck, seen.goes_on, discount * decay) + seen.value
    return Credit(advantage, returns, returns - seen.decided)


def maximum(seen: Rollout, discount: float, decay: float) -> Credit:
    """The published rule: V on the returns of what the noise costs, V^x on those of what decisions cost, the better
    of both advantages. In costs the better one is the smaller. λ = 1 gives the paper's Monte-Carlo returns."""
    of_luck = seen.realized + discount * seen.following - seen.value
    state = accumulated(of_luck, seen.goes_on, discount * decay)
    later = torch.cat((seen.post_value[1:], seen.post_value[-1:]))
    # Where a row was cut off, the post-decision critic knows nothing nearer than the last post-decision state.
    after = torch.where(seen.goes_on > 0, later, seen.post_value) * (1 - seen.ended)
    of_decision = seen.decided + discount * after - seen.post_value
    post = accumulated(of_decision, seen.goes_on, discount * decay)
    return Credit(torch.minimum(state, post), state + seen.value, post + seen.post_value)
