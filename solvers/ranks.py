"""Ranks: processes that share one training, each with its part of every batch and all with the same weights.

A batch is drawn whole by every rank, from the one generator that they seed alike, and each keeps its own rows. So N
ranks compute the gradient of the batch that one process would: the mean over the batch is the mean over the ranks,
weighted by their shares. What they must agree on (gradients, statistics, whether to stop) passes through `Ranks`, by
torch.distributed: gloo where tensors are on the processor, NCCL where they are on GPUs. Alone, nothing is passed and
nothing is computed in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from models.core import Issue
from models.lazy import torch
from solvers.core import RankLost

if TYPE_CHECKING:
    from torch import Tensor, nn

Handed = Mapping[str, Any]  # plain values and tensors


class Ranks:
    """One rank's view of all of them; rank 0 leads: it alone is asked to stop, reports and keeps checkpoints.

    Every method that passes something must be called by all ranks in the same order.

    Raises:
        RankLost: (by those methods) another rank is gone, or silent for longer than the group waits.
    """

    def __init__(self, rank: int = 0, count: int = 1, hand: Callable[[Handed | None], Handed] | None = None) -> None:
        """`hand` gives the leader's values to the others (None there), however long the leader takes."""
        self.rank, self.count, self._hand = rank, count, hand

    @property
    def leads(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.count == 1

    def part(self, total: int) -> slice:
        """This rank's rows of so many; parts differ by one row at most.

        Raises:
            ValueError: there are fewer rows than ranks.
        """
        if total < self.count:
            raise ValueError(f"{total} scenarios cannot be shared by {self.count} ranks")
        return slice(total * self.rank // self.count, total * (self.rank + 1) // self.count)

    def share(self, total: int) -> float:
        """This rank's share of so many rows."""
        own = self.part(total)
        return float(own.stop - own.start) / total

    def combine(self, parameters: Iterable[nn.Parameter], share: float, numbers: Tensor) -> Tensor:
        """Replace every rank's gradients by their mean weighted by `share`; the same mean of `numbers` is returned.

        One message: the gradients in a row, the numbers behind them. A weight without a gradient counts as zero.
        """
        if self.alone:
            return numbers
        weights = list(parameters)
        own = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
        told = torch.cat([*(gradient.flatten() for gradient in own), numbers.detach().flatten()]).mul_(share)
        self._sum(told)
        *gradients, last = torch.split(told, [*(gradient.numel() for gradient in own), numbers.numel()])
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient.view_as(weight)
        mean: Tensor = last.view_as(numbers)
        return mean

    def mean(self, own: Tensor, share: float) -> Tensor:
        """The mean of every rank's `own`, weighted by `share`."""
        return own if self.alone else self._sum(own.detach() * share)

    def spread(self, own: Tensor, share: float) -> Tensor:
        """Standard deviation over the last dimension of all ranks' values, of which these are a `share`."""
        if self.alone:
            return own.std(-1)
        count = own.shape[-1] / share
        centre = self.mean(own.mean(-1), share)
        return (self.mean((own - centre.unsqueeze(-1)).square().mean(-1), share) * (count / (count - 1))).sqrt()

    def whole(self, own: Tensor, total: int) -> Tensor:
        """The rows of all ranks, in order, `total` of them."""
        if self.alone:
            return own
        plain = own.to(torch.uint8) if own.dtype == torch.bool else own
        rows = plain.new_zeros((total, *own.shape[1:]))
        rows[self.part(total)] = plain
        return self._sum(rows).to(own.dtype)

    def agree(self, word: int) -> int:
        """The leader's word."""
        if self.alone:
            return word
        told = torch.tensor([word])
        with _lost():
            torch.distributed.broadcast(told, 0)
        return int(told)

    def follow(self, tensors: Iterable[Tensor]) -> None:
        """Make these tensors, in place, those of the leader."""
        if self.alone:
            return
        for tensor in tensors:
            told = tensor.detach().contiguous()
            with _lost():
                torch.distributed.broadcast(told.view(-1).view(torch.uint8), 0)
            tensor.detach().copy_(told)

    def handed(self, make: Callable[[], Handed]) -> Handed:
        """What the leader makes, once and for all; the others wait for it however long that takes."""
        if self._hand is None:
            return make()
        return self._hand(make() if self.leads else None)

    def _sum(self, tensor: Tensor) -> Tensor:
        with _lost():
            torch.distributed.all_reduce(tensor)
        return tensor


@contextmanager
def _lost() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise RankLost(f"a process that shares the training is gone or silent: {error}".splitlines()[0]) from error


ALONE = Ranks()


def too_many(ranks: int, **rows: int) -> list[Issue]:
    """What is wrong with so many ranks where every one needs a row of each of these batches."""
    return [
        Issue("ranks", "error", "/ranks", f"{ranks} ranks cannot share {count} rows: lower ranks or raise {name}")
        for name, count in rows.items()
        if ranks > count
    ]
