"""One machine decided in the tables of many items at once: it makes an item, stays set up for it, or neither."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


class Turn:
    """A way to make an item: what it brings and costs, for all items of a shelf, with the indices that takes."""

    def __init__(
        self, quantity: Float[Tensor, " item"] | Tensor, cost: Float[Tensor, " item"], post_levels: int
    ) -> None:
        """`quantity` in whole units; `cost` [money] is infinite where the item may not be made."""
        level, top = torch.arange(post_levels), post_levels - 1
        quantity = quantity.reshape(-1, 1, 1, 1)
        self.cost = cost.reshape(-1, 1, 1, 1)
        self.reached = (level + quantity).clamp_max(top)  # level after production; beyond the top all are alike
        self._source = (level - quantity).clamp_min(0)
        self._inside = ((level >= quantity) & (level < top)).to(cost)
        self._beyond = (level + quantity >= top).to(cost)

    def made(self, on: Tensor) -> Tensor:
        """The table (item, …, post level) after production, the changeover paid."""
        return on.gather(-1, self.reached.expand(on.shape)) + self.cost

    def made_back(self, gradient: Tensor) -> Tensor:
        """The gradient of `made`: every level gets what the levels that reach it have."""
        moved = gradient.gather(-1, self._source.expand(gradient.shape)) * self._inside
        moved[..., -1] = (gradient * self._beyond).sum(-1)
        return moved


def decided(table: Tensor, price: Tensor, again: Turn, fresh: list[Turn], carries_over: bool) -> Tensor:
    """The table with a machine's setup after the decision replaced by the one before it.

    Args:
        table: (item, code, 2, code, post level), the third axis whether the machine is set up for the item.
        price: (item, 1, 1, 1) of the machine's period [money].
        again: how it goes on with an item. fresh: the ways it turns to one.
        carries_over: it may idle and stay set up, at the same price.
    """
    result: Tensor = _Decided.apply(table, price, again, fresh, carries_over)  # type: ignore[no-untyped-call]
    return result


class _Decided(torch.autograd.Function):
    """By hand, because so small operations cost torch more to record than to do."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, price: Tensor, again: Turn, fresh: list[Turn], carries_over: bool) -> Tensor:
        off, on = table.unbind(2)
        kept, makes = _least(off, [way.made(on).add_(price) for way in [again]])
        turned, turns = _least(off, [way.made(on).add_(price) for way in fresh])
        holds = None
        if carries_over:
            kept, (holds,) = _least(kept, [on + price])
            makes = [makes[0] & ~holds]
        ctx.again, ctx.fresh, ctx.chosen = again, fresh, (makes[0], holds, turns)
        return torch.stack([turned, kept], 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        turned, kept = gradients[0].unbind(2)
        makes, holds, turns = ctx.chosen
        used = kept * makes
        on = ctx.again.made_back(used)
        if holds is not None:
            held = kept * holds
            on, used = on + held, used + held
        for way, chosen in zip(ctx.fresh, turns, strict=True):
            own = turned * chosen
            on, used = on + way.made_back(own), used + own
        return torch.stack([turned + kept - used, on], 2), used.sum((1, 2, 3), keepdim=True), None, None, None


def _least(table: Tensor, others: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The least entries, and which of the others have them; ties stay with the table."""
    chosen: list[Tensor] = []
    for other in others:
        less = other < table
        table = torch.minimum(other, table)
        chosen = [*(before & ~less for before in chosen), less]
    return table, chosen
