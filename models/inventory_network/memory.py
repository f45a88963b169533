"""What a network remembers of past demand, and where in the calendar a period lies.

Most demand processes forget; then nothing is remembered and the tensors have no columns.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.dynamics import Stage
from models.inventory_network.instance import InventoryNetwork


class DemandMemory(nn.Module):
    """What of the past helps to foresee demand: `width` columns, carried in the state as `memory`."""

    width: int = 0

    def __init__(self, net: InventoryNetwork, store_ids: list[str]) -> None:
        super().__init__()

    def initial(self) -> Float[Tensor, " width"]:
        """The memory at stage 0."""
        return torch.zeros(self.width)

    def update(
        self, memory: Float[Tensor, "batch width"], demand: Float[Tensor, "batch store"], stage: Stage
    ) -> Float[Tensor, "batch width"]:
        """The memory once `demand` [units/period] has struck."""
        return memory


class DemandCalendar(nn.Module):
    """Features of a period that say what demand to expect then: `width` columns, of order one."""

    width: int = 0

    def __init__(self, net: InventoryNetwork, store_ids: list[str]) -> None:
        super().__init__()

    def forward(self, stage: Stage, batch: int) -> Float[Tensor, "batch width"]:
        """Features of a stage, or of one stage per row."""
        return torch.zeros(batch, self.width)
