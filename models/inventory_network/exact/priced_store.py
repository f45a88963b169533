"""A lost-sales store that pays a price for each unit, a price that moves with how heavy the last periods were.

Each period bears a signal k (a class of the total demand, `loads`), drawn with the store's own demand. The price of a
period is a known function of the signals of the last ℓ periods. State before ordering: those signals, the newest
first; the stock x; the orders z_1 … z_{L−1} on their way. An order q pays price·q and joins as z_L; signal and demand
strike together; x' = (x − d)⁺ + z_1. Relative value iteration, as for a store alone (`store.lost_sales`). Values are
convex in the stock, so above the box they go on with any slope that they have passed at its end: here the least that
makes it useless to order more than the box holds where the price is negative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from models.inventory_network.exact.grid import Floats, Grid, linear_cost
from models.inventory_network.exact.store import Ints, Optimum, iterate, left_over

BURN_IN, WATCHED = 40, 60  # periods of a simulation before it is watched, and while it is


class PricedStore:
    """The table of one store in a box of states; prices may change, its values stay as a start.

    Args:
        demand: demand given each signal, all on one grid.
        chances: (signal,) of each signal.
        memory: ℓ ≥ 1, signals of past periods that prices depend on.
        holding_cost: h [money/unit/period].
        loss: what a lost unit costs [money].
        most: largest stock of the box [steps].
        largest: largest order of the box [steps].
    """

    def __init__(
        self,
        demand: Sequence[Grid],
        chances: Floats,
        memory: int,
        lead_time: int,
        holding_cost: float,
        loss: float,
        most: int,
        largest: int,
    ) -> None:
        self.demand, self.chances, self.memory, self.lead_time = tuple(demand), chances, memory, lead_time
        self.holding_cost, self.loss, self.most, self.largest = holding_cost, loss, most, largest
        self.step = demand[0].step
        signals, stocks, orders = len(chances), most + 1, largest + 1
        levels = self.step * np.arange(stocks, dtype=np.float64)
        costs = [linear_cost(grid, levels, holding_cost, loss) for grid in demand]
        self._cost = np.asarray(sum(chance * cost for chance, cost in zip(chances, costs, strict=True)))
        # (stock, signal × stock left): one product averages over signal and demand together.
        self._left = np.hstack([p * left_over(grid.mass, most) for p, grid in zip(chances, demand, strict=True)])
        self.histories = (signals,) * memory
        self.values = np.zeros((*self.histories, stocks, *(orders,) * max(lead_time - 1, 0)))
        self._orders: Ints = np.zeros(0, dtype=np.int64)
        self._rise = 0.0  # of the values per step of stock above the box [money]

    def optimum(self, prices: Floats, tolerance: float, should_stop: Callable[[], bool]) -> Optimum | None:
        """Least average cost at these prices (signal, …) [money/unit]; None if the box of states is too small.

        It is too small where an optimal order is the largest there is, or where values do not rise at its end as
        steeply as they are taken to rise above it.
        """
        self._rise = 1.0001 * self.step * max(-float(prices.min()), 0.0)

        def again(values: Floats) -> Floats:
            return self._improved(values, prices)

        found = iterate(again, self.values, should_stop, tolerance, self._keep)
        self._orders = np.zeros(self.values.shape, dtype=np.int64)
        self._improved(self.values, prices, self._orders)
        ends = np.take(self.values, [self.most - 1, self.most], axis=self.memory)
        rises = np.diff(ends, axis=self.memory).min() >= self._rise
        return found if rises and self._orders.max() < self.largest else None

    def _keep(self, values: Floats) -> None:
        self.values = values

    def _improved(self, values: Floats, prices: Floats, orders: Ints | None = None) -> Floats:
        """One step of value iteration; the best orders are written to `orders` if given."""
        charges = prices.reshape(-1, 1) * (self.step * np.arange(self.largest + 1))
        charges = charges.reshape(-1, len(self.chances), self.largest + 1)  # what is remembered, what drops out, order
        new = np.empty_like(values).reshape(*charges.shape[:2], *values.shape[self.memory :])
        chosen = None if orders is None else orders.reshape(new.shape)
        if self.lead_time < 2:
            self._settle(self._by_order(values), charges, new, chosen)
            if self.lead_time:
                new += self._cost
        else:
            for arriving in range(self.largest + 1):
                ahead = self._after(values, arriving)
                places = (slice(None), slice(None), slice(None), arriving)
                self._settle(ahead, charges, new[places], None if chosen is None else chosen[places])
            new += self._cost.reshape(-1, *(1,) * (self.lead_time - 1))
        return new.reshape(values.shape)

    def _settle(self, ahead: Floats, charges: Floats, new: Floats, chosen: Ints | None) -> None:
        """The best order (last axis of `ahead`) for every history, into `new` and `chosen`."""
        for kept in range(charges.shape[0]):
            for dropped in range(charges.shape[1]):
                options = ahead[kept] + charges[kept, dropped]
                new[kept, dropped] = options.min(-1)
                if chosen is not None:
                    chosen[kept, dropped] = options.argmin(-1)

    def _by_order(self, values: Floats) -> Floats:
        """Value ahead (remembered, stock, order) where orders join stock at once or in the next period."""
        orders = np.arange(self.largest + 1)
        if self.lead_time:
            return np.stack([self._after(values, int(q)) for q in orders], -1)
        ahead = self._cost + self._after(values, 0)
        reached = np.arange(self.most + 1)[:, None] + orders
        above = self._rise * np.maximum(reached - self.most, 0)
        return np.asarray(ahead[:, np.minimum(reached, self.most)] + above)

    def _after(self, values: Floats, arriving: int) -> Floats:
        """Expected value of the next state: (remembered, stock before demand, z_2, …, order)."""
        signals, stocks = len(self.chances), self.most + 1
        rest = values.shape[self.memory + 1 :]
        table = values.reshape(signals, -1, stocks, int(np.prod(rest)))
        reached = np.arange(stocks) + arriving
        joined = table[:, :, np.minimum(reached, self.most)]
        joined[:, :, stocks - arriving :] += self._rise * (reached[stocks - arriving :, None] - self.most)
        product = self._left @ joined.transpose(0, 2, 1, 3).reshape(signals * stocks, -1)
        return np.asarray(product.reshape(stocks, -1, int(np.prod(rest))).transpose(1, 0, 2)).reshape(-1, stocks, *rest)

    def shipped(self, generator: np.random.Generator, chains: int) -> Floats:
        """Mean of what the best orders took in the last ℓ periods, this one included, by history [units]."""
        chance = np.cumsum(self.chances)
        cumulative = [np.cumsum(grid.mass) for grid in self.demand]
        signals = [_draw(chance, generator.random(chains)) for _ in range(self.memory)]
        stock = np.full(chains, self.most // 2)
        pipeline = [np.zeros(chains, dtype=np.int64)] * max(self.lead_time - 1, 0)
        recent: list[Ints] = []
        total, visits = np.zeros(self.histories), np.zeros(self.histories)
        for period in range(BURN_IN + WATCHED):
            order = self._orders[(*signals, stock, *pipeline)]
            recent = [order, *recent[: self.memory - 1]]
            if period >= BURN_IN:
                np.add.at(total, tuple(signals), self.step * sum(recent))
                np.add.at(visits, tuple(signals), 1.0)
            pipeline.append(order)
            stock = stock + pipeline.pop(0) if not self.lead_time else stock
            struck, chosen = _draw(chance, generator.random(chains)), generator.random(chains)
            demand = np.choose(struck, [_draw(sums, chosen) for sums in cumulative])
            stock = np.maximum(stock - demand, 0)
            stock = np.minimum(stock + pipeline.pop(0) if self.lead_time else stock, self.most)
            signals = [struck, *signals[:-1]]
        return np.asarray(total / np.maximum(visits, 1.0))


def _draw(cumulative: Floats, uniform: Floats) -> Ints:
    return np.asarray(np.minimum(np.searchsorted(cumulative, uniform), len(cumulative) - 1))
