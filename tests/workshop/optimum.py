"""The workshop's exact optimum by backward induction over its few states."""

import itertools
from functools import cache

from tests.workshop.instance import Workshop


def optimal_cost(shop: Workshop) -> float:
    """Least expected cost of the horizon [money], from stock drawn evenly below `stock_max` and nothing set up."""
    outcomes = list(itertools.product(range(3), repeat=shop.items))
    decisions = [
        chosen
        for chosen in itertools.product(range(shop.items + 1), repeat=shop.machines)
        if not shop.one_of_a_kind or len({c for c in chosen if c < shop.items}) == sum(c < shop.items for c in chosen)
    ]

    @cache
    def after(day: int, stock: tuple[int, ...], setup: tuple[int, ...]) -> float:
        total = 0.0
        for demand in outcomes:
            left = tuple(min(max(s - d, 0), shop.stock_max) for s, d in zip(stock, demand, strict=True))
            missed = sum(max(d - s, 0) for s, d in zip(stock, demand, strict=True))
            cost = shop.holding_cost * sum(left) + shop.shortage_cost * missed
            total += cost + (before(day + 1, left, setup) if day + 1 < shop.days else 0.0)
        return total / len(outcomes)

    @cache
    def before(day: int, stock: tuple[int, ...], setup: tuple[int, ...]) -> float:
        costs = []
        for chosen in decisions:
            made = [shop.made * sum(c == item for c in chosen) for item in range(shop.items)]
            changes = sum(c != s and c < shop.items for c, s in zip(chosen, setup, strict=True))
            there = tuple(s + m for s, m in zip(stock, made, strict=True))
            costs.append(shop.setup_cost * changes + after(day, there, chosen))
        return min(costs)

    starts = list(itertools.product(range(shop.stock_max), repeat=shop.items))
    nothing = (shop.items,) * shop.machines
    return sum(before(0, start, nothing) for start in starts) / len(starts)
