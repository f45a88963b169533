"""A whole plant in one table: setups of all machines by stocks of all items, for plants small enough.

Values are (setup of machine 0, …, stock of item 0, …); a machine's setups are the items it can make and, last, none.
Machines are decided one after another (cost and output add up over them) and demand strikes item by item.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.finite import Finite
from models.lot_sizing.exact.plant import CANNOT, Plant, plant, table_refuses
from models.lot_sizing.instance import LotSizing
from models.lot_sizing.lots import LotState

FLOAT = torch.float64
EQUAL = 1e-9  # money by which a decision must be better to be preferred


def _setups(plant: Plant) -> list[int]:
    return [len(plant.items_of(machine)) + 1 for machine in range(plant.num_machines)]


class PlantTable(Finite[LotState]):
    """The tabulated face of a plant.

    Raises:
        ValueError: it has none (see `exact.plant.table_refuses`).
    """

    def __init__(self, instance: LotSizing) -> None:
        if reason := table_refuses(instance):
            raise ValueError(reason)
        self.plant = own = plant(instance)
        self.num_stages, self.stationary = own.num_stages, own.stationary
        items = range(own.num_items)
        self._setups = _setups(own)
        self._makes = [[*own.items_of(machine), own.num_items] for machine in range(own.num_machines)]
        self._levels = [own.levels(item) for item in items]
        self._post_levels = [own.post_levels(item) for item in items]
        self._shape = [*self._setups, *self._levels]
        self.num_states, self.num_decisions = math.prod(self._shape), math.prod(self._setups)
        self._radix = [math.prod(self._setups[machine + 1 :]) for machine in range(own.num_machines)]
        self._halves: dict[int, list[tuple[Tensor, Tensor]]] = {}
        self._slots = self._slot_tables()

    def _slot_tables(self) -> Int[Tensor, "machine slot"]:
        """The place among a machine's setups of every item and of none; none where it cannot make the item."""
        slots = torch.tensor([[count - 1] for count in self._setups]).repeat(1, self.plant.num_items + 1)
        for machine, makes in enumerate(self._makes):
            slots[machine, makes] = torch.arange(len(makes))
        return slots

    def terminal(self) -> Float[Tensor, " state"]:
        return torch.zeros(self.num_states, dtype=FLOAT)

    def expect(self, values: Float[Tensor, " state"], stage: int) -> Float[Tensor, " post"]:
        machines = self.plant.num_machines
        table = values.reshape(self._shape)
        halves = self._stochastic_half(stage % self.plant.demand.cycle)
        for item, (move, _) in enumerate(halves):
            table = torch.tensordot(table, move, dims=([machines + item], [1])).movedim(-1, machines + item)
        for item, (_, cost) in enumerate(halves):
            table = table + cost.reshape([-1] + [1] * (self.plant.num_items - item - 1))
        return table.flatten()

    def _stochastic_half(self, period: int) -> list[tuple[Tensor, Tensor]]:
        """Every item's chances (post level, level) and expected cost (post level,) of a period's demand."""
        if period not in self._halves:
            self._halves[period] = [self._demand(item, period) for item in range(self.plant.num_items)]
        return self._halves[period]

    def _demand(self, item: int, period: int) -> tuple[Tensor, Tensor]:
        reached, chance, paid = self.plant.after_demand(item, period, self._post_levels[item])
        move = torch.zeros((self._post_levels[item], self._levels[item]), dtype=FLOAT)
        post = torch.arange(len(paid)).unsqueeze(1).expand(reached.shape)
        weight = torch.from_numpy(chance).expand(reached.shape)
        move.index_put_((post, torch.from_numpy(reached)), weight, accumulate=True)
        return move, torch.from_numpy(paid)

    def improve(
        self, posts: Float[Tensor, " post"], stage: int
    ) -> tuple[Float[Tensor, " state"], Int[Tensor, " state"]]:
        table = posts.reshape([*self._setups, *self._post_levels])
        code = torch.zeros((), dtype=torch.int32).expand(table.shape)
        for machine in range(self.plant.num_machines):
            table, code = self._decide(table, code, machine, stage)
        for item, levels in enumerate(self._levels):
            axis = self.plant.num_machines + item
            table, code = table.narrow(axis, 0, levels), code.narrow(axis, 0, levels)
        return table.flatten(), code.flatten()

    def _decide(self, table: Tensor, code: Tensor, machine: int, stage: int) -> tuple[Tensor, Tensor]:
        """The tables with a machine's setup after the decision replaced by the one before it."""
        parts = [self._from(table, code, machine, source, stage) for source in self._makes[machine]]
        return torch.stack([best for best, _ in parts], machine), torch.stack([made for _, made in parts], machine)

    def _from(self, table: Tensor, code: Tensor, machine: int, source: int, stage: int) -> tuple[Tensor, Tensor]:
        """The same of one setup before the decision: idle, or make any of the machine's items."""
        makes, radix = self._makes[machine], self._radix[machine]
        none = len(makes) - 1
        after = makes.index(source) if self.plant.carries_over else none
        best, choice = table.select(machine, after), code.select(machine, after) + none * radix
        for slot, item in enumerate(makes[:-1]):
            quantity = int(self.plant.output(stage)[machine, source, item])
            if quantity == CANNOT:
                continue
            # One axis, the machine's, is gone.
            axis = self.plant.num_machines - 1 + item
            level = (torch.arange(self._post_levels[item]) + quantity).clamp_max(self._post_levels[item] - 1)
            cost = table.select(machine, slot).index_select(axis, level)
            cost = cost + float(self.plant.changeover_cost[machine, source, item])
            better = cost < best - EQUAL
            best = torch.where(better, cost, best)
            choice = torch.where(better, code.select(machine, slot).index_select(axis, level) + slot * radix, choice)
        return best, choice

    def at_start(self, values: Float[Tensor, " state"]) -> float:
        table = values.reshape(self._shape)
        firsts = [self.plant.first_setup(machine)[makes] for machine, makes in enumerate(self._makes)] + [
            self.plant.first_stock(item) for item in range(self.plant.num_items)
        ]
        for chance in firsts:
            table = torch.tensordot(torch.from_numpy(chance), table, dims=1)
        return float(table)

    def place(self, state: LotState) -> Int[Tensor, " batch"]:
        slot = self._slots[torch.arange(self.plant.num_machines), state.setup]
        level = state.stock.round().long() - torch.from_numpy(self.plant.low)
        level = torch.minimum(level.clamp_min(0), torch.tensor(self._levels) - 1)
        axes = torch.cat([slot, level], 1)
        strides = torch.tensor([math.prod(self._shape[axis + 1 :]) for axis in range(len(self._shape))])
        return (axes * strides).sum(1)

    def choice(self, decision: Int[Tensor, " batch"]) -> Int[Tensor, "batch slot"]:
        columns = [
            torch.tensor(makes)[decision // radix % len(makes)]
            for makes, radix in zip(self._makes, self._radix, strict=True)
        ]
        return torch.stack(columns, 1)
