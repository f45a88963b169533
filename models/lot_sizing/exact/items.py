"""Items on their own: what each costs to serve when machine time has a price, in exact tables.

An item's state is its stock and which machines are set up for it; its decision, which machines make it. With machine
time priced, items share nothing else. An item that K machines can make has 2^K setups. Machines are decided one after
another, which costs K · 2^K per stock level instead of 4^K and loses nothing: setups and output add up over machines.
Items of the same K lie on one `Shelf`, so that a sweep is a few whole-array operations.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.dynamics import Stage
from models.lot_sizing.exact.look_ahead import ItemSituation, Places
from models.lot_sizing.exact.plant import items_refuse, plant
from models.lot_sizing.exact.shelf import FLOAT, Shelf
from models.lot_sizing.exact.single import SingleShelf
from models.lot_sizing.instance import LotSizing
from models.lot_sizing.lots import LotState
from models.lot_sizing.simulator import LotPostState
from models.weakly_coupled import WeaklyCoupled


class ItemTables(WeaklyCoupled[LotState, LotPostState]):
    """The weakly coupled face of a plant: parts are items, resources the machines' periods.

    Raises:
        ValueError: the instance has no tables (see `exact.plant.items_refuse`).
    """

    def __init__(self, instance: LotSizing, shelf: type[Shelf] = Shelf) -> None:
        if reason := items_refuse(instance):
            raise ValueError(reason)
        self.instance = instance
        self.plant = plant(instance)
        self.num_stages, self.stationary = self.plant.num_stages, self.plant.stationary
        self.parts = tuple(item.id for item in instance.items)
        self.resources = tuple(machine.id for machine in instance.machines)
        self.relaxes = tuple(_relaxed(instance))
        makers = {item: len(self.plant.makers(item)) for item in range(self.plant.num_items)}
        self.shelves = [
            shelf(self.plant, [item for item in makers if makers[item] == bits])
            for bits in sorted(set(makers.values()))
        ]
        self._values = [own.num_values for own in self.shelves]
        self._posts = [own.num_posts for own in self.shelves]
        self.num_posts = sum(self._posts)
        self._order = torch.tensor([item for own in self.shelves for item in own.items]).argsort()
        # Where joint decisions find their entries; the simpler tables have no such place.
        self.places = Places(instance, self.plant, self.shelves if shelf is Shelf else [])

    def simpler(self) -> WeaklyCoupled[LotState, LotPostState]:
        """Items that one machine at a time may make."""
        return ItemTables(self.instance, SingleShelf)

    def capacity(self, stage: int) -> Float[Tensor, " resource"]:
        """One item a machine and period."""
        return torch.ones(len(self.resources), dtype=FLOAT)

    def terminal(self) -> Float[Tensor, " value"]:
        """What is left is worth nothing."""
        return torch.zeros(sum(self._values), dtype=FLOAT)

    def expect(self, values: Float[Tensor, " value"], stage: int) -> Float[Tensor, " post"]:
        parts = zip(self.shelves, torch.split(values, self._values), strict=True)
        return torch.cat([shelf.expect(own.reshape(shelf.values), stage).flatten() for shelf, own in parts])

    def improve(
        self, posts: Float[Tensor, " post"], prices: Float[Tensor, " resource"], stage: int
    ) -> Float[Tensor, " value"]:
        parts = zip(self.shelves, torch.split(posts, self._posts), strict=True)
        return torch.cat([shelf.improve(own.reshape(shelf.posts), prices, stage).flatten() for shelf, own in parts])

    def at_start(self, values: Float[Tensor, " value"]) -> Float[Tensor, " part"]:
        parts = zip(self.shelves, torch.split(values, self._values), strict=True)
        return torch.cat([shelf.at_start(own.reshape(shelf.values)) for shelf, own in parts])[self._order]

    def part_values(
        self, tables: Float[Tensor, "table post"], table: Int[Tensor, " batch"], post: LotPostState
    ) -> Float[Tensor, "batch part"]:
        return self.places.values(tables, table, post)

    def situation(
        self, tables: Float[Tensor, "table post"], table: Int[Tensor, " batch"], state: LotState, stage: Stage
    ) -> ItemSituation:
        return ItemSituation(self.places, tables, table, state, stage)


def _relaxed(instance: LotSizing) -> list[str]:
    found = []
    if instance.changeovers:
        found.append("an item pays the cheapest changeover to it, and may lose as little output as any of them")
    if any(machine.minimum_run > 1 for machine in instance.machines):
        found.append("runs may be shorter than their minimum")
    if any(item.inventory_max is None for item in instance.items):
        found.append(
            "stock that costs more to keep than it can save is thrown away for nothing, where storage has no limit"
        )
    if instance.setup_carry_over:
        found.append("an item may give a setup up though nothing else is set up")
    return found
