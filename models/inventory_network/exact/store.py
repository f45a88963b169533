"""The optimum of one store, exactly: newsvendor, (s, S), and relative value iteration for everything else.

Backlogged demand needs one number as state, the inventory position: the cost of a period is the newsvendor's over
L + 1 periods of demand at the position after ordering. Lost sales need the stock and every order under way.
All on a grid of demand; long-run average cost per period.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.inventory_network.exact.grid import Floats, Grid, linear_cost, mixture, total

Ints = npt.NDArray[np.int64]
TOLERANCE = 2e-6  # relative width at which value iteration stops
MAX_ITERATIONS = 5_000
TABLE_LIMIT = 2_000_000  # positions × orders
WORK_LIMIT = 4e9  # products in one iteration: half a second on one core


@dataclass(frozen=True)
class Optimum:
    """Limits of the optimal average cost, and what the policy behind it is."""

    low: float  # [money/period]
    high: float  # [money/period] inf where value iteration was stopped and nothing is proven
    levels: dict[str, float] = field(default_factory=dict)  # the policy's parameters, where it has a few [units]
    iterations: int = 0


@dataclass(frozen=True)
class OrderRule:
    """What an order may be and costs, on a grid with steps as units."""

    fixed_cost: float = 0.0  # K [money/order]
    least: int = 0  # [steps] an order is nothing or at least this
    multiple: int = 1  # [steps]
    most: int | None = None  # [steps] lane capacity
    position_limit: float = np.inf  # [steps] storage capacity: position after ordering

    @property
    def is_free(self) -> bool:
        """Whether any order of any size is allowed and costs nothing but its units."""
        return not self.fixed_cost and self.least <= 1 and self.multiple == 1 and self.most is None

    def sizes(self, largest: int) -> Ints:
        """Allowed orders up to `largest` [steps], nothing first."""
        every: Ints = np.arange(0, largest + 1, self.multiple)
        allowed: Ints = every[(every >= self.least) | (every == 0)]
        return allowed if self.most is None else allowed[allowed <= self.most]


def lead_time_demand(single: Grid, lead_times: Sequence[tuple[int, float]], extra: int = 1) -> Grid:
    """Demand over L + `extra` periods when L has these (value, probability) pairs."""
    return mixture([(chance, total(single, length + extra)) for length, chance in lead_times])


def newsvendor(demand: Grid, holding_cost: float, shortage_cost: float, limit: float = np.inf) -> Optimum:
    """The best base stock at most `limit` [units] for demand over L + 1 periods (Arrow, Harris, Marschak 1951)."""
    best = demand.quantile(shortage_cost / (holding_cost + shortage_cost)) * demand.step
    level = min(best, limit)
    cost = float(linear_cost(demand, np.array([level]), holding_cost, shortage_cost)[0])
    return Optimum(cost, cost, {"base_stock": level})


# --- fixed order cost: (s, S) ----------------------------------------------------------------------------------------


def reorder_policy(single: Grid, period_cost: Callable[[Ints], Floats], start: int, fixed_cost: float) -> Optimum:
    """The best (s, S) policy by Zheng and Federgruen (1991).

    Args:
        single: demand of a period.
        period_cost: expected cost of a period at positions after ordering [steps]; quasi-convex, least at `start`.
        fixed_cost: K > 0 [money/order].
    """
    renewal = _Renewal(single.mass)
    costs = _Memory(period_cost, start)

    def average(s: int, level: int) -> float:
        weights, periods = renewal.upto(level - s)
        return float((fixed_cost + weights @ costs.down_from(level, level - s)) / periods)

    s = level = start
    while True:
        s -= 1
        if average(s, level) <= costs.at(s):
            break
    best, cost, candidate = level, average(s, level), level + 1
    while costs.at(candidate) <= cost:
        if average(s, candidate) < cost:
            best = candidate
            while average(s, best) <= costs.at(s + 1):
                s += 1
            cost = average(s, best)
        candidate += 1
    return Optimum(cost, cost, {"reorder_point": s * single.step, "order_up_to": best * single.step})


class _Renewal:
    """m(j): expected periods in which the position is j below the order-up-to level; and their sums M."""

    def __init__(self, mass: Floats) -> None:
        self._later = mass[1:] / (1.0 - mass[0])
        self._visits = np.array([1.0 / (1.0 - mass[0])])

    def upto(self, count: int) -> tuple[Floats, float]:
        """The first `count` visits and their sum."""
        if len(self._visits) < count:
            grown = np.empty(2 * count)
            known = len(self._visits)
            grown[:known] = self._visits
            for j in range(known, len(grown)):
                reach = min(j, len(self._later))
                grown[j] = self._later[:reach] @ grown[j - reach : j][::-1]
            self._visits = grown
        return self._visits[:count], float(self._visits[:count].sum())


class _Memory:
    """A function of whole numbers kept in a window that grows with use."""

    def __init__(self, function: Callable[[Ints], Floats], start: int) -> None:
        self._function, self._low, self._high = function, start - 64, start + 64
        self._values = function(np.arange(self._low, self._high))

    def at(self, point: int) -> float:
        """The value at a point."""
        self._cover(point, point)
        return float(self._values[point - self._low])

    def down_from(self, point: int, count: int) -> Floats:
        """The values at point, point − 1, …"""
        self._cover(point - count + 1, point)
        end = point - self._low + 1
        return self._values[end - count : end][::-1]

    def _cover(self, low: int, high: int) -> None:
        if low < self._low or high >= self._high:
            width = self._high - self._low
            self._low, self._high = min(self._low, low - width), max(self._high, high + width)
            self._values = self._function(np.arange(self._low, self._high))


# --- backlogged demand, any rule for orders --------------------------------------------------------------------------


def backlogged(
    single: Grid, period_cost: Callable[[Ints], Floats], start: int, rule: OrderRule, should_stop: Callable[[], bool]
) -> Optimum:
    """Relative value iteration over the position of a backlogged store whose orders are restricted.

    Positions reach from where none waits for long up to where nothing is ordered; below, the position is held (which
    can only lower the cost). The range is doubled until that changes nothing, or the table of orders grows too large.
    """
    reach = 2 * (len(single.mass) + rule.least + rule.multiple)
    found = _position_iteration(single, period_cost, start, reach, rule, should_stop)
    while reach * len(rule.sizes(reach)) < TABLE_LIMIT and not should_stop():
        reach *= 2
        wider = _position_iteration(single, period_cost, start, reach, rule, should_stop)
        settled = abs(wider.low - found.low) <= 2 * TOLERANCE * max(abs(found.low), 1e-9)
        found = wider
        if settled:
            break
    return found


def _position_iteration(
    single: Grid,
    period_cost: Callable[[Ints], Floats],
    start: int,
    reach: int,
    rule: OrderRule,
    should_stop: Callable[[], bool],
) -> Optimum:
    headroom = max(len(single.mass), rule.least + rule.multiple)
    positions = np.arange(start - reach, start + headroom + 1)
    cost = period_cost(positions)
    sizes = rule.sizes(reach + headroom)
    blocked = positions[:, None] + sizes[None, :] > min(float(positions[-1]), rule.position_limit)
    blocked[:, 0] = False  # ordering nothing is always allowed
    after = np.minimum(np.arange(len(positions))[:, None] + sizes[None, :], len(positions) - 1)
    charge = np.where(sizes > 0, rule.fixed_cost, 0.0)
    reach_down = len(single.mass) - 1

    def step(value: Floats) -> Floats:
        # Positions below the range count as its lowest.
        padded = np.concatenate([np.full(reach_down, value[0]), value])
        ahead = cost + np.convolve(padded, single.mass)[reach_down : len(padded)]
        options = np.where(blocked, np.inf, ahead[after] + charge)
        return np.asarray(options.min(1))

    return iterate(step, np.zeros(len(positions)), should_stop)


def iterate(
    step: Callable[[Floats], Floats],
    value: Floats,
    should_stop: Callable[[], bool],
    tolerance: float = TOLERANCE,
    keep: Callable[[Floats], None] | None = None,
) -> Optimum:
    """Relative value iteration; the least and greatest change enclose the optimal average (Odoni, MacQueen).

    `keep` is told the relative values when it ends.
    """
    low, high, rounds = -np.inf, np.inf, 0
    while rounds < MAX_ITERATIONS:
        rounds += 1
        new = step(value)
        change = new - value
        low, high = max(low, float(change.min())), min(high, float(change.max()))
        value = new - new.flat[0]
        if high - low <= tolerance * max(abs(low), 1e-9) or should_stop():
            break
    if keep is not None:
        keep(value)
    return Optimum(low, high, {}, rounds)


# --- lost sales ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LostSalesSize:
    """The box of states of a lost-sales store."""

    most: int  # largest stock [steps]
    largest: int  # largest order [steps]
    lead_time: int

    @property
    def work(self) -> float:
        """Products in one iteration."""
        return float((self.most + 1) ** 2) * float(self.largest + 1) ** max(self.lead_time, 1)


def lost_sales_size(
    single: Grid, lead_time: int, holding_cost: float, shortage_cost: float, rule: OrderRule
) -> LostSalesSize:
    """The states that optimal policies need.

    Without restrictions the backlogged store's base stock is enough for the position (Zipkin 2008), and no order is
    much above one period's fractile; fixed costs and lots make orders larger, which the caller's check sees.
    """
    ratio = shortage_cost / (holding_cost + shortage_cost)
    most = total(single, lead_time + 1).quantile(ratio) + 1
    largest = single.quantile(ratio) + 3
    if not rule.is_free:
        mean = single.mean / single.step
        batch = np.sqrt(2 * rule.fixed_cost * mean / (holding_cost * single.step)) if holding_cost else 4 * mean
        extra = int(np.ceil(1.5 * batch)) + rule.least + rule.multiple
        most, largest = most + extra, largest + extra
        largest = largest if rule.most is None else min(largest, rule.most)
    return LostSalesSize(most, largest, lead_time)


def lost_sales(
    single: Grid,
    lead_time: int,
    holding_cost: float,
    shortage_cost: float,
    should_stop: Callable[[], bool],
    rule: OrderRule | None = None,
) -> Optimum:
    """Relative value iteration for a store that loses what it cannot meet (Zipkin 2008).

    State before ordering: stock x (goods due now included) and the orders z_1 … z_{L−1} that arrive after 1 … L−1
    periods. An order q joins as z_L; demand strikes; x' = (x − d)⁺ + z_1 and the orders move up. Stock above the box
    counts as its end: that can only lower the cost.

    Raises:
        ValueError: optimal orders are larger than a box of states within reach of the memory allows.
    """
    rule = rule or OrderRule()
    size = lost_sales_size(single, lead_time, holding_cost, shortage_cost, rule)
    while size.work <= 4 * WORK_LIMIT:
        found = _lost_sales_in(size, single, holding_cost, shortage_cost, should_stop, rule)
        if found is not None:
            return found
        size = LostSalesSize(size.most + size.largest // 2 + 1, size.largest + size.largest // 2 + 1, lead_time)
    raise ValueError("optimal orders are so large that the states are too many")


def _lost_sales_in(
    size: LostSalesSize,
    single: Grid,
    holding_cost: float,
    shortage_cost: float,
    should_stop: Callable[[], bool],
    rule: OrderRule,
) -> Optimum | None:
    """The same in a given box of states; None if the largest order in it is optimal somewhere."""
    lead_time = size.lead_time
    sizes = rule.sizes(size.largest)
    levels = np.arange(size.most + 1)
    cost = linear_cost(single, single.step * levels.astype(np.float64), holding_cost, shortage_cost)
    charge = np.where(sizes > 0, rule.fixed_cost, 0.0)
    left = left_over(single.mass, size.most)
    used = [0]

    def after(value: Floats, arriving: int) -> Floats:
        """Expected value of the next state by stock before demand: (x, z_2, …)."""
        joined = value[np.minimum(levels + arriving, size.most)]
        return np.asarray((left @ joined.reshape(len(levels), -1)).reshape(value.shape))

    def instant(value: Floats) -> Floats:
        ahead = cost + left @ value
        options = ahead[np.minimum(levels[:, None] + sizes, size.most)] + charge
        used[0] = int(options.argmin(1).max())
        return np.asarray(options.min(1))

    def one(value: Floats) -> Floats:
        options = np.stack([after(value, int(q)) for q in sizes], -1) + charge
        used[0] = int(options.argmin(-1).max())
        return np.asarray(cost + options.min(-1))

    def many(value: Floats) -> Floats:
        new, used[0] = np.empty_like(value), 0
        for position, arriving in enumerate(sizes):
            options = after(value, int(arriving)) + charge  # the last axis is the order just placed
            new[:, position] = options.min(-1)
            used[0] = max(used[0], int(options.argmin(-1).max()))
        return np.asarray(new + cost.reshape(-1, *(1,) * (value.ndim - 1)))

    start = np.zeros((size.most + 1, *(len(sizes),) * max(lead_time - 1, 0)))
    found = iterate((instant, one, many)[min(lead_time, 2)], start, should_stop)
    short = used[0] == len(sizes) - 1 and (rule.most is None or size.largest < rule.most)
    return None if short and lead_time else found


def left_over(mass: Floats, most: int) -> Floats:
    """Chance of each stock after demand, by stock before it: (x, x')."""
    chances = np.zeros((most + 1, most + 1))
    reach = np.zeros(most + 1)
    reach[: min(len(mass), most + 1)] = mass[: most + 1]
    for stock in range(most + 1):
        chances[stock, 1 : stock + 1] = reach[:stock][::-1]
        chances[stock, 0] = 1.0 - chances[stock, 1:].sum()
    return chances
