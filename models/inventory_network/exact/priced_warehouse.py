"""A lower bound for one warehouse and stores that lose demand: the stores pay for what the warehouse lacks.

The warehouse ships no more than it has: y_t ≥ 0, what is left after shipping. A multiplier λ_t ≥ 0 that depends on what
has been demanded replaces that rule (Lagrangian relaxation, as for weakly coupled dynamic programs: Hawkins 2003;
Adelman and Mersereau 2008). Goods ordered in t − ℓ are the last that count in y_t, so where

    E[λ_t | known in t − ℓ] = h   (the warehouse's holding cost),

orders into the warehouse neither gain nor lose, and what remains of (h − λ_t) y_t is a price on what is shipped in s,

    π_s = E[Σ_{t ≥ s} (λ_t − h) | known in s],

positive after heavy demand, negative after light, zero on average. Every store alone, at these prices and with
unlimited supply, is then a small dynamic program (`priced_store`), and the sum of their optima is a bound for any such
λ. λ = h is the free warehouse. Here λ is a function of the classes of the last ℓ periods' total demand (`loads`):
λ = h Q/P, with P the chance of a history and Q any distribution, improved by exponentiated gradients (the bound is
concave in Q). Derivation: docs/solvers/bounds.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from models.core import BoundValue
from models.inventory_network.exact import stationary
from models.inventory_network.exact.grid import Floats, StopLoss
from models.inventory_network.exact.loads import Loads, loads
from models.inventory_network.exact.loads import refuses as loads_refuse
from models.inventory_network.exact.priced_store import PricedStore
from models.inventory_network.exact.reading import (
    STEPS,
    ShouldStop,
    bound_value,
    by_id,
    deviation,
    flow_cost,
    ignored,
    into,
    long_run_refuses,
    never,
    star_refuses,
    store_refuses,
    stores_of,
    upstream,
)
from models.inventory_network.exact.store import TOLERANCE, WORK_LIMIT, Optimum, OrderRule, lost_sales_size
from models.inventory_network.instance import InventoryNetwork

MOST_STORES = 100  # that differ
# Classes of demand, periods remembered, and how many grid steps to a deviation they are worth having with; the first
# that can be computed is taken.
SIGNALS = ((3, 3, 1.5), (2, 3, 1.0), (2, 2, 1.0), (2, 1, 1.0))
WORK = 2 * WORK_LIMIT  # products in an iteration over all stores
COARSE = 0.01  # share of it that the first, quick bound for every store may take
TUNING_WORK = 4e6  # products in an iteration over all stores while prices are improved
TUNING_LEAD_TIME = 2  # longest while prices are improved: how a store answers them depends little on it
ROUNDS = 20  # of improving prices
RATE = 1.0  # largest exponent of the first
CHAINS = 1024  # simulated to see what is shipped
SEED = 20  # of that simulation: the same bound every time
GROWTH = 4  # times that a box of states may grow


def refuses(net: InventoryNetwork) -> str | None:
    """Why the bound does not fit; None if it does."""
    if reason := star_refuses(net):
        return reason
    stores = stores_of(net)
    warehouse = by_id(net)[into(net, stores[0].id)[0].source]
    if any(lane.random_lead_time for lane in net.lanes):
        return "lead times are random: when goods were ordered does not say when they count"
    for store in stores:
        if store.unmet_demand != "lost":
            return f"{store.id}: demand must be lost; where it is backlogged, balance_relaxation fits"
        if reason := store_refuses(store):
            return reason
    if reason := long_run_refuses(net) or loads_refuse(net.demand, [store.id for store in stores]):
        return reason
    if warehouse.holding_cost == 0:
        return f"{warehouse.id}: its stock costs nothing, so it never runs out: free_warehouse says as much"
    for part in _parts(net):
        if part.holding_cost == 0 or part.loss <= 0:
            return f"{part.name}: stock must cost something, and a sale earn more than it costs"
    if len({part.kind for part in _parts(net)}) > MOST_STORES:
        return f"more than {MOST_STORES} stores that differ: free_warehouse is for so many"
    return None


@dataclass(frozen=True)
class _Part:
    """A store as its own program sees it; stores that are alike are of one `kind`."""

    name: str
    kind: tuple[object, ...]
    whole: StopLoss = field(repr=False)  # demand of a period
    lead_time: int
    holding_cost: float
    loss: float  # what a lost unit costs beyond one sold [money]
    constant: float  # what every unit demanded costs if it is sold [money/period]


def _parts(net: InventoryNetwork) -> list[_Part]:
    stores = stores_of(net)
    inbound = into(net, into(net, stores[0].id)[0].source)[0]
    _, wait = upstream(net, by_id(net)[inbound.target], inbound)
    nodes, found = net.demand.nodes, []
    for store in stores:
        lane = into(net, store.id)[0]
        way = flow_cost(net, inbound) + wait + flow_cost(net, lane) - store.price
        demand = stationary.of_store(net.demand, store.id)
        process = str(nodes[store.id]) if isinstance(nodes, dict) else store.id
        loss = store.shortage_cost - way
        kind = (process, lane.lead_time, store.holding_cost, loss)
        found.append(_Part(store.id, kind, demand, lane.lead_time, store.holding_cost, loss, way * demand.mean))
    return found


def priced_warehouse(net: InventoryNetwork, should_stop: ShouldStop) -> BoundValue:
    """The best prices found, and every store's optimum at them.

    Raises:
        ValueError: lead times so long, or orders so large, that a store's states are too many.
    """
    parts = _parts(net)
    inbound = into(net, into(net, parts[0].name)[0].source)[0]
    warehouse = by_id(net)[inbound.target]
    length, _ = upstream(net, warehouse, inbound)
    kinds = _kinds(parts)
    scheme, limit = _scheme(net, kinds, length, warehouse.holding_cost)
    prices = scheme.prices(_improved(kinds, scheme, should_stop))
    # A coarse bound for every store comes first; it is sharpened store by store while there is time.
    found = [_value(part, scheme, prices, COARSE * limit, should_stop) for part, _ in kinds]
    notes, value = dict[str, str](), 0.0
    for (part, count), coarse in zip(kinds, found, strict=True):
        best = coarse if should_stop() else max(coarse, _value(part, scheme, prices, limit, should_stop))
        value += count * (part.constant + best.value)
        if best.step != part.whole.spacing:
            notes[part.name] = f"demand in steps of {best.step:.3g}"
    details: dict[str, object] = {"approximations": notes} if notes else {}
    classes = len(scheme.loads.chances)
    details["prices"] = {
        "depend_on": f"which of {classes} classes the last {scheme.memory} periods' total demand was in",
        "least": round(float(prices.min()), 4),
        "most": round(float(prices.max()), 4),
    }
    method = "every store alone, paying for what the warehouse lacks after heavy demand"
    return bound_value(Optimum(value, float("inf")), 0.0, method, ignores=ignored(net), **details)


def _kinds(parts: Sequence[_Part]) -> list[tuple[_Part, int]]:
    """One store of every kind, and how many there are."""
    first: dict[tuple[object, ...], _Part] = {}
    for part in parts:
        first.setdefault(part.kind, part)
    return [(part, sum(other.kind == kind for other in parts)) for kind, part in first.items()]


@dataclass(frozen=True)
class _Scheme:
    """Which multipliers there are: functions of the demand classes of `memory` periods."""

    loads: Loads
    memory: int  # ℓ, or less
    holding_cost: float  # h of the warehouse

    @property
    def chances(self) -> Floats:
        """P of every history, the newest period first."""
        found = np.ones(())
        for _ in range(self.memory):
            found = np.multiply.outer(found, self.loads.chances)
        return found

    def prices(self, share: Floats) -> Floats:
        """π [money/unit] by history, for λ = h Q/P with Q = `share`: Σ_j E[λ_{s+j} − h | history], j < ℓ."""
        expected = self.holding_cost * share / self.chances
        found = expected - self.holding_cost
        for j in range(1, self.memory):
            expected = np.tensordot(self.loads.chances, expected, (0, 0))  # over what strikes next
            found = found + (expected - self.holding_cost).reshape(expected.shape + (1,) * j)
        return np.asarray(found)


def _work(part: _Part, scheme: _Scheme, step: float, lead_time: int) -> float:
    size = lost_sales_size(part.whole.spread(step), lead_time, part.holding_cost, part.loss, OrderRule())
    return scheme.chances.size * size.work


def _steps(part: _Part) -> list[float]:
    """Grid steps [units], finest first: the demand's own, and parts of its deviation."""
    own = [] if part.whole.spacing is None else [part.whole.spacing]
    return own + [deviation(part.whole) / steps for steps in STEPS]


def _fits(part: _Part, scheme: _Scheme, limit: float, fineness: float) -> bool:
    """Whether a grid of so many steps to a deviation, or the demand's own, is within `limit` products an iteration."""
    steps = [step for step in _steps(part) if step == part.whole.spacing or step <= deviation(part.whole) / fineness]
    return _work(part, scheme, max(steps), part.lead_time) <= limit


def _scheme(
    net: InventoryNetwork, kinds: Sequence[tuple[_Part, int]], length: int, holding_cost: float
) -> tuple[_Scheme, float]:
    """The finest multipliers that can be computed, and the products an iteration of one store may take.

    Raises:
        ValueError: lead times so long that a store's states are too many.
    """
    names, least = [store.id for store in stores_of(net)], WORK / len(kinds)
    for classes, memory, fineness in SIGNALS:
        scheme = _Scheme(loads(net.demand, names, classes), min(memory, length), holding_cost)
        heavy = sum(not _fits(part, scheme, least, STEPS[0]) for part, _ in kinds)  # the others take next to nothing
        limit = WORK / max(heavy, 1)
        if all(_fits(part, scheme, limit, fineness) for part, _ in kinds):
            return scheme, limit
    raise ValueError("lead times are so long that a store's states are too many")


def _table(part: _Part, scheme: _Scheme, limit: float, growth: int = 0) -> PricedStore:
    """The store on the finest grid within `limit` products an iteration; its box of states grown so many times."""
    steps = _steps(part)
    step = next((step for step in steps if _work(part, scheme, step, part.lead_time) <= limit), steps[-1])
    size = lost_sales_size(part.whole.spread(step), part.lead_time, part.holding_cost, part.loss, OrderRule())
    return PricedStore(
        [demand.contraction(step) for demand in scheme.loads.demand[part.name]],
        scheme.loads.chances,
        scheme.memory,
        part.lead_time,
        part.holding_cost,
        part.loss,
        size.most + 2 * growth,
        size.largest + growth,
    )


def _improved(kinds: Sequence[tuple[_Part, int]], scheme: _Scheme, should_stop: ShouldStop) -> Floats:
    """The best distribution Q found, on coarse grids and for short lead times; P itself, the free warehouse, at worst.

    The bound's slope along Q is h times what is shipped in ℓ periods, given the history: prices rise where much is.
    """
    limit = TUNING_WORK / len(kinds)
    short = [(replace(part, lead_time=min(part.lead_time, TUNING_LEAD_TIME)), count) for part, count in kinds]
    tables = [(_table(part, scheme, limit, growth=1), count) for part, count in short]
    generator = np.random.default_rng(SEED)
    share = best = scheme.chances
    best_value, slope, rate = -np.inf, np.zeros(best.shape), RATE
    for _ in range(ROUNDS):
        if should_stop():
            break
        prices = scheme.prices(share)
        found = [(table.optimum(prices, 50 * TOLERANCE, never), count) for table, count in tables]
        value = sum(-np.inf if one is None else count * one.low for one, count in found)
        if value > best_value:
            best_value, best = value, share
            shipped = np.asarray(sum(count * table.shipped(generator, CHAINS) for table, count in tables))
            slope = shipped - float((best * shipped).sum())
            slope /= max(float(np.abs(slope).max()), 1e-12)
        else:
            rate /= 2
        share = best * np.exp(rate * slope)
        share /= share.sum()
    return best


@dataclass(frozen=True, order=True)
class _Value:
    """A lower bound on a store's cost at given prices, and the grid it was found on."""

    value: float  # [money/period]
    step: float  # [units]


def _value(part: _Part, scheme: _Scheme, prices: Floats, limit: float, should_stop: ShouldStop) -> _Value:
    """A store's least cost at these prices on the finest grid within the limit.

    Raises:
        ValueError: optimal orders are larger than any box of states within reach.
    """
    for growth in range(GROWTH):
        table = _table(part, scheme, limit, growth)
        found = table.optimum(prices, 5 * TOLERANCE, should_stop)
        if found is not None:
            return _Value(found.low, table.step)
    raise ValueError(f"{part.name}: optimal orders are so large that the states are too many")
