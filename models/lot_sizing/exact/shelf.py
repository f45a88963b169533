"""Items that equally many machines can make, in one table: demand strikes them, machines make them."""

import torch
from jaxtyping import Float
from torch import Tensor

from models.lot_sizing.exact.machine import Turn, decided
from models.lot_sizing.exact.plant import CANNOT, Plant

FLOAT = torch.float64


class Shelf:
    """Items that equally many machines (K) can make, padded to as many stock levels as the largest needs.

    Values are (item, 2^K, level), post-values (item, 2^K, post level); the first machine of an item's own list is the
    most significant bit of its setup.
    """

    def __init__(self, plant: Plant, items: list[int]) -> None:
        self.plant, self.items = plant, items
        self.machines = torch.tensor([plant.makers(item) for item in items], dtype=torch.long).reshape(len(items), -1)
        self.bits = self.machines.shape[1]
        levels, post_levels = (max(of(item) for item in items) for of in (plant.levels, plant.post_levels))
        self.values = (len(items), self.codes(self.bits), levels)
        self.posts = (len(items), self.codes(self.bits), post_levels)
        self.num_values, self.num_posts = (shape[0] * shape[1] * shape[2] for shape in (self.values, self.posts))
        self._halves: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}
        # pattern → machine of the list → how it goes on with an item, and the ways it turns to one
        self._turns = [[self._ways(made, bit) for bit in range(self.bits)] for made in torch.from_numpy(plant.made)]

    @staticmethod
    def codes(bits: int) -> int:
        """Setups of an item that so many machines can make."""
        return 1 << bits

    def expect(self, values: Float[Tensor, "item code level"], stage: int) -> Float[Tensor, "item code post"]:
        """E[cost after demand + value of what is left]."""
        demand = self.plant.demand
        key = tuple(demand.index[stage % demand.cycle, self.items].tolist())
        if key not in self._halves:
            self._halves[key] = self._stochastic_half(stage)
        move, cost = self._halves[key]
        return values @ move + cost

    def _stochastic_half(self, stage: int) -> tuple[Tensor, Tensor]:
        """Chances (item, level, post level) and expected cost (item, 1, post level) of a period's demand."""
        move = torch.zeros((len(self.items), self.values[2], self.posts[2]), dtype=FLOAT)
        cost = torch.zeros((len(self.items), 1, self.posts[2]), dtype=FLOAT)
        for row, item in enumerate(self.items):
            reached, chance, paid = self.plant.after_demand(item, stage, self.posts[2])
            post = torch.arange(self.posts[2]).unsqueeze(1).expand(reached.shape)
            weight = torch.from_numpy(chance).expand(reached.shape)
            move[row].index_put_((torch.from_numpy(reached), post), weight, accumulate=True)
            cost[row, 0] = torch.from_numpy(paid)
        return move, cost

    def improve(
        self, posts: Float[Tensor, "item code post"], prices: Float[Tensor, " machine"], stage: int
    ) -> Float[Tensor, "item code level"]:
        """The least over which machines make an item, one machine after another."""
        pattern = int(self.plant.pattern[stage % len(self.plant.pattern)])
        for bit, (again, fresh) in enumerate(self._turns[pattern]):
            table = posts.reshape(len(self.items), 1 << bit, 2, -1, self.posts[2])
            price = prices[self.machines[:, bit]].reshape(-1, 1, 1, 1)
            posts = decided(table, price, again, fresh, self.plant.carries_over)
        return posts.reshape(self.posts)[..., : self.values[2]]

    def _ways(self, made: Tensor, bit: int) -> tuple[Turn, list[Turn]]:
        """How the machines at one place of the list go on with their items, and the ways they turn to them."""
        pairs = list(zip(self.machines[:, bit].tolist(), self.items, strict=True))
        cost = torch.from_numpy(self.plant.changeover_cost)
        sources = [self.plant.sources(machine, item) for machine, item in pairs]
        most = max(len(own) for own in sources)
        # An item with fewer ways than another has its last one again.
        turns = [
            [(m, own[min(way, len(own) - 1)], i) for (m, i), own in zip(pairs, sources, strict=True)]
            for way in range(most)
        ]
        return self._turn(made, cost, [(m, i, i) for m, i in pairs]), [self._turn(made, cost, turn) for turn in turns]

    def _turn(self, made: Tensor, cost: Tensor, places: list[tuple[int, int, int]]) -> Turn:
        quantity = torch.stack([made[place] for place in places])
        paid = torch.stack([cost[place] for place in places])
        return Turn(quantity.clamp_min(0), torch.where(quantity == CANNOT, torch.inf, paid), self.posts[2])

    def at_start(self, values: Float[Tensor, "item code level"]) -> Float[Tensor, " item"]:
        """Expected value of every item at stage 0."""
        return torch.stack([(self._first(row) * values[row]).sum() for row in range(len(self.items))])

    def _first(self, row: int) -> Float[Tensor, "code level"]:
        """Chances of an item's states at stage 0."""
        item = self.items[row]
        stock = torch.zeros(self.values[2], dtype=FLOAT)
        stock[: self.plant.levels(item)] = torch.from_numpy(self.plant.first_stock(item))
        return torch.outer(self._first_codes(item, row), stock)

    def _first_codes(self, item: int, row: int) -> Float[Tensor, " code"]:
        """Chances of an item's setups at stage 0."""
        code = torch.ones(1, dtype=FLOAT)
        for machine in self.machines[row].tolist():
            chance = float(self.plant.first_setup(machine)[item])
            code = torch.outer(code, torch.tensor([1 - chance, chance], dtype=FLOAT)).flatten()
        return code
