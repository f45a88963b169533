"""What every training by gradient shares: its schedule, and weights and moments that are kept and taken back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from solvers.core import WeightsDoNotFit

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer


def warm_cosine(rate: float, warmup: int, iterations: int, iteration: int) -> float:
    """Learning rate: a linear rise over `warmup` steps, then half a cosine down to one hundredth of `rate`."""
    if iteration < warmup:
        return rate * (iteration + 1) / warmup
    done = (iteration - warmup) / max(iterations - warmup, 1)
    return rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def copy(policy: nn.Module) -> dict[str, Tensor]:
    """The policy's weights as they are now."""
    return {name: tensor.detach().clone() for name, tensor in policy.state_dict().items()}


def fill(policy: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Make the policy start from stored weights.

    Raises:
        WeightsDoNotFit: they are of another network, size or family.
    """
    try:
        policy.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise WeightsDoNotFit("the weights to start from are of another network, size or family") from error


def moments(optimizer: Optimizer) -> dict[str, dict[str, Any]]:
    """What the optimizer remembers of every parameter, for a checkpoint."""
    kept = optimizer.state_dict()["state"]
    return {str(k): {name: value.clone() for name, value in own.items()} for k, own in kept.items()}


def take_back(optimizer: Optimizer, kept: Mapping[str, Mapping[str, Any]]) -> None:
    """Make the optimizer remember what `moments` gave; what was kept stays as it is."""
    state = optimizer.state_dict()
    state["state"] = {int(k): {name: value.clone() for name, value in own.items()} for k, own in kept.items()}
    optimizer.load_state_dict(state)
