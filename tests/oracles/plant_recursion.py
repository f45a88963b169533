"""Least expected cost of a small plant by plain recursion: every joint decision, every joint outcome of demand."""

from __future__ import annotations

import itertools
from functools import cache

from models.lot_sizing.demand.tables import demand_tables
from models.lot_sizing.instance import LotSizing
from tests.models.plain_plant import PlainPlant, PlainState

Key = tuple[tuple[float, ...], tuple[str | None, ...]]


def least_cost(instance: LotSizing) -> float:
    """The optimum from the given start; for plants without minimum runs and divisible lots."""
    plain = PlainPlant(instance)
    outcomes = [joint_demand(instance, period) for period in range(instance.periods)]
    full = {machine.id: 1.0 for machine in instance.machines}

    @cache
    def value(key: Key, period: int) -> float:
        if period == instance.periods:
            return 0.0
        state = _state(instance, key)
        return min(expected(key, given, period) for given in feasible(plain, state, period))

    @cache
    def expected(key: Key, given: tuple[str | None, ...], period: int) -> float:
        total = 0.0
        for chance, demand in outcomes[period]:
            decision = dict(zip(full, given, strict=True))
            state, costs = plain.step(_state(instance, key), decision, full, demand, period)
            total += chance * (sum(costs.values()) + value(_key(state), period + 1))
        return total

    return value(_key(plain.start()), 0)


def joint_demand(instance: LotSizing, period: int) -> list[tuple[float, dict[str, float]]]:
    """Chance and demand by item of every joint outcome of a period."""
    tables = demand_tables(instance)
    laws = [tables.distributions[k] for k in tables.index[period % tables.cycle]]
    found = []
    for picks in itertools.product(*(range(len(law.values)) for law in laws)):
        chance, demand = 1.0, {}
        for item, law, pick in zip(instance.items, laws, picks, strict=True):
            chance *= float(law.probabilities[pick])
            demand[item.id] = float(law.values[pick])
        found.append((chance, demand))
    return found


def feasible(plain: PlainPlant, state: PlainState, period: int) -> list[tuple[str | None, ...]]:
    """Every joint decision that is allowed."""
    machines = plain.plant.machines
    options = [None, *(item.id for item in plain.plant.items)]
    found = []
    for given in itertools.product(options, repeat=len(machines)):
        by_machine = {machine.id: item for machine, item in zip(machines, given, strict=True)}
        if all(plain.may(state, by_machine, machine, by_machine[machine.id], period) for machine in machines):
            found.append(given)
    return found


def _key(state: PlainState) -> Key:
    return tuple(state.stock.values()), tuple(state.setup.values())


def _state(instance: LotSizing, key: Key) -> PlainState:
    stock, setup = key
    return PlainState(
        dict(zip((item.id for item in instance.items), stock, strict=True)),
        dict(zip((machine.id for machine in instance.machines), setup, strict=True)),
        {machine.id: 0 for machine in instance.machines},
    )
