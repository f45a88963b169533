"""Joint decisions judged by the items' post-values: every option of every machine at once, by look-up."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.dynamics import Stage
from models.lot_sizing.choices import LotChoices
from models.lot_sizing.exact.plant import Plant
from models.lot_sizing.exact.shelf import Shelf
from models.lot_sizing.instance import LotSizing
from models.lot_sizing.layout import compile_layout
from models.lot_sizing.lots import LotState, Output
from models.lot_sizing.simulator import LotPostState
from models.weakly_coupled import Situation


class Places:
    """Where the entry of an item's stock and setups lies among the post-values, and what machines do to it."""

    def __init__(self, instance: LotSizing, plant: Plant, shelves: Sequence[Shelf]) -> None:
        layout = compile_layout(instance)
        self.choices = LotChoices(instance, layout, Output(instance, layout))
        self.num_items, self.carries_over = plant.num_items, plant.carries_over
        self.made = torch.from_numpy(np.maximum(plant.made, 0))  # (pattern, machine, from, item) [units]
        self.pattern = torch.from_numpy(plant.pattern)
        self.changeover_cost = torch.from_numpy(plant.changeover_cost).float()  # (machine, from, item) [money]
        self.low = torch.from_numpy(plant.low)
        self.top = torch.zeros(plant.num_items, dtype=torch.long)  # last post level of an item
        self.first = torch.zeros(plant.num_items, dtype=torch.long)  # its entry of the least stock and no setup
        self.stride = torch.zeros((plant.num_machines, plant.num_items), dtype=torch.long)  # what a setup adds to it
        start = 0
        for shelf in shelves:
            self._lay(shelf, start)
            start += shelf.num_posts
        self.machine = torch.arange(plant.num_machines)
        self.item = torch.arange(plant.num_items)

    def _lay(self, shelf: Shelf, start: int) -> None:
        _, codes, posts = shelf.posts
        self.first[shelf.items] = start + codes * posts * torch.arange(len(shelf.items))
        self.top[shelf.items] = posts - 1
        for bit in range(shelf.bits):
            self.stride[shelf.machines[:, bit], shelf.items] = posts << (shelf.bits - 1 - bit)

    def one_hot(self, item: Int[Tensor, "*batch machine"]) -> Int[Tensor, "*batch machine item"]:
        """1 where a machine has an item; nothing for no item."""
        return (item[..., None] == self.item).long()

    def values(self, tables: Tensor, table: Tensor, post: LotPostState) -> Float[Tensor, "batch item"]:
        """Post-values of every item."""
        place = self.first + (self.one_hot(post.setup) * self.stride).sum(1)
        level = torch.minimum((post.stock.round().long() - self.low).clamp_min(0), self.top)
        return tables[table[:, None], place + level]


class ItemSituation(Situation):
    """States of a plant, with what every machine could do next for every item."""

    def __init__(
        self,
        places: Places,
        tables: Float[Tensor, "table post"],
        table: Int[Tensor, " batch"],
        state: LotState,
        stage: Stage,
    ) -> None:
        self.places, self.setup = places, state.setup
        self._entries = tables.flatten()
        self._first = places.first + (table * tables.shape[1])[:, None]
        self._level = (state.stock.round().long() - places.low).clamp_min(0)
        self._may = places.choices.feasible(state, stage)
        pattern = places.pattern[stage % len(places.pattern)]
        pattern = pattern[:, None] if pattern.ndim else pattern
        self._quantity = places.made[pattern, places.machine, state.setup]  # (batch, machine, item)
        self._cost = places.changeover_cost[places.machine, state.setup]
        self._option_cost = torch.where(self._may[..., :-1], self._cost, torch.inf)
        self._idle_cost = torch.where(self._may[..., -1:], 0.0, torch.inf)
        self._own = places.one_hot(state.setup)

    def starts(self) -> Int[Tensor, "start batch slot"]:
        """Go on as set up, and idle, where machines may."""
        idle = torch.full_like(self.setup, self.places.num_items)
        idle = torch.where(self._may[..., -1], idle, self.setup)
        goes_on = self._may.gather(2, self.setup[..., None]).squeeze(2)
        return torch.stack([torch.where(goes_on, self.setup, idle), idle])

    def costs(self, choice: Int[Tensor, "start batch slot"]) -> Float[Tensor, "start batch"]:
        given, held = self._given(choice)
        place = self._first + (held * self.places.stride).sum(2)
        level = self._level + (given * self._quantity).sum(2)
        return self._look_up(place, level).sum(2) + (given * self._cost).sum((2, 3))

    def changes(self, choice: Int[Tensor, "start batch slot"]) -> Float[Tensor, "start batch slot option"]:
        given, held = self._given(choice)
        own, made = held * self.places.stride, given * self._quantity
        place = (self._first + own.sum(2))[:, :, None] - own
        level = (self._level + made.sum(2))[:, :, None] - made
        without = self._look_up(place, level)
        there = place + self.places.stride
        added = self._look_up(there, level + self._quantity) - without + self._option_cost
        idle = self._idle_cost.expand(*added.shape[:3], 1)
        if self.places.carries_over:
            kept = (self._look_up(there, level) - without) * self._own
            idle = idle + kept.sum(3, keepdim=True)
        total = torch.cat([added, idle], 3)
        return total - total.gather(3, choice[..., None])

    def _given(self, choice: Tensor) -> tuple[Tensor, Tensor]:
        """1 where a machine makes an item, and 1 where it is set up for it afterwards."""
        given = self.places.one_hot(choice)
        if not self.places.carries_over:
            return given, given
        return given, given + self._own * (choice == self.places.num_items)[..., None]

    def _look_up(self, place: Tensor, level: Tensor) -> Tensor:
        return self._entries[place + torch.minimum(level, self.places.top)]
