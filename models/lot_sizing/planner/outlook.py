"""What a decision leads to: expected stock, shortage and cost at the end of the period, item by item."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.lot_sizing.demand.tables import DemandTables, Ints
from models.lot_sizing.layout import Floats, Layout


@dataclass(frozen=True)
class Outlook:
    """Expectations over the demand of one period, rows of states by item."""

    stock: Floats  # on hand at the end [units]
    short: Floats  # demand not met at once [units]
    demand: Floats  # [units]
    in_stock: Floats  # chance that all demand is met at once
    scrapped: Floats  # [units] over the item's own limit
    cost: dict[str, Floats]  # by component [money]


class Forecaster:
    """Expectations of the coming period from the demand tables; shared storages apart."""

    def __init__(self, layout: Layout, tables: DemandTables) -> None:
        self.layout, self.tables = layout, tables
        length = max(len(own.values) for own in tables.distributions)
        self._values = np.zeros((len(tables.distributions), length))
        self._chance = np.zeros_like(self._values)
        for row, own in enumerate(tables.distributions):
            self._values[row, : len(own.values)], self._chance[row, : len(own.values)] = own.values, own.probabilities

    def outlook(self, post_stock: Floats, stages: Ints) -> Outlook:
        """Expectations for stocks after production (row, item) in these stages (row,)."""
        index = self.tables.index[stages % self.tables.cycle]
        values, chance = self._values[index], self._chance[index]  # (row, item, k)
        left = post_stock[..., None] - values
        unmet = np.minimum(values, np.maximum(-left, 0.0))
        after = np.maximum(left, -self.layout.backlog_max[:, None])
        kept = np.minimum(after, self.layout.inventory_max[:, None])
        on_hand = np.maximum(kept, 0.0)

        def mean(amount: Floats) -> Floats:
            found: Floats = (amount * chance).sum(-1)
            return found

        lay = self.layout
        cost = {
            "lost_sales": mean(after - left) * lay.lost_sales_cost,
            "holding": mean(on_hand) * lay.holding_cost,
            "backlog": mean(np.maximum(-kept, 0.0)) * lay.backlog_cost,
        }
        return Outlook(
            mean(on_hand), mean(unmet), mean(values), mean((unmet <= 0).astype(np.float64)), mean(after - kept), cost
        )
