"""Items that one machine at a time may make: a table of K + 1 setups instead of 2^K, to find prices with.

Where many machines can make an item, hardly ever do two make it at once, and machine time costs about the same. What
holds of the real tables (`exact.shelf`) is proven with those; this one only says where to look.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from models.lot_sizing.exact.shelf import FLOAT, Shelf


class SingleShelf(Shelf):
    """Values are (item, K + 1, level): set up on the first, second, … machine of the item's own list, or, last, none.

    A machine set up for an item that another one makes now is free again.
    """

    @staticmethod
    def codes(bits: int) -> int:
        """Setups of an item that so many machines can make."""
        return bits + 1

    def improve(
        self, posts: Float[Tensor, "item code post"], prices: Float[Tensor, " machine"], stage: int
    ) -> Float[Tensor, "item code level"]:
        """The least over which machine, if any, makes an item."""
        pattern = int(self.plant.pattern[stage % len(self.plant.pattern)])
        idle, turned, goes_on = posts[:, -1], [], []
        for bit, (again, fresh) in enumerate(self._turns[pattern]):
            table = posts[:, bit, None, None]
            price = prices[self.machines[:, bit]].reshape(-1, 1)
            turned.append(_least([way.made(table)[:, 0, 0] for way in fresh]) + price)
            own = again.made(table)[:, 0, 0] + price
            goes_on.append(torch.minimum(own, posts[:, bit] + price) if self.plant.carries_over else own)
        # A machine goes on with what it is set up for, or another one turns to it; it does not set itself up again.
        values = [
            _least([idle, goes_on[bit], *(own for other, own in enumerate(turned) if other != bit)])
            for bit in range(self.bits)
        ]
        return torch.stack([*values, _least([idle, *turned])], 1)[..., : self.values[2]]

    def _first_codes(self, item: int, row: int) -> Float[Tensor, " code"]:
        """Chances of the setups at stage 0; machines that are set up at once count as if only one of them were."""
        chance = torch.tensor(
            [float(self.plant.first_setup(m)[item]) for m in self.machines[row].tolist()], dtype=FLOAT
        )
        share = chance / max(float(chance.sum()), 1.0)
        return torch.cat([share, 1 - share.sum(0, keepdim=True)])


def _least(tables: list[Tensor]) -> Tensor:
    return tables[0] if len(tables) == 1 else torch.stack(tables).amin(0)
