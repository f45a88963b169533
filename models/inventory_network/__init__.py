"""How much to order and ship on every lane of a supply network, each period, before demand is known."""

from __future__ import annotations

from models.core import PolicyFamily, Problem, Traits
from models.inventory_network.exact.bounds import BOUNDS
from models.inventory_network.examples import EXAMPLES
from models.inventory_network.instance import InventoryNetwork
from models.inventory_network.planner.importers import IMPORTERS
from models.lazy import lazy
from models.scenarios import OwnScenarios

_ROOM = "models.inventory_network"
_MOST_FORECASTS = 20_000_000  # numbers: periods × nodes × stores


def _default_family(net: InventoryNetwork) -> str:
    return "mlp" if len(net.lanes) <= 16 else "gnn"


def _nothing_to_ration(net: InventoryNetwork) -> str | None:
    sources = [lane.source for lane in net.lanes if lane.source in {node.id for node in net.stocking_nodes}]
    return None if len(set(sources)) < len(sources) else "no stocking node supplies several others"


def _forecasts_nothing(net: InventoryNetwork) -> str | None:
    entries = net.periods * len(net.stocking_nodes) * len(net.demand_nodes)
    if net.demand.profile(net.timeline).stationary:
        return "demand is alike in every period: an echelon base stock says the same"
    return None if entries <= _MOST_FORECASTS else f"{entries} forecasts are more than {_MOST_FORECASTS}"


def _orders_cost_nothing(net: InventoryNetwork) -> str | None:
    if any(lane.fixed_order_cost or lane.minimum_order or lane.lot_multiple for lane in net.lanes):
        return None
    return "no lane has a fixed order cost, a minimum order or a lot: nothing is gained by waiting to order"


PROBLEM = Problem(
    name="inventory_network",
    title="Inventory network",
    summary="How much to order and ship on every lane of a supply network, each period, before demand is known.",
    instance=InventoryNetwork,
    traits=Traits(differentiable=True, discrete_decisions=False, has_program=True, convex=True),
    simulator=lazy(f"{_ROOM}.simulator:NetworkSimulator"),
    families=(
        PolicyFamily("mlp", "Perceptron over the whole network", "learned", lazy(f"{_ROOM}.policy:perceptron_policy")),
        PolicyFamily(
            "gnn",
            "Graph network over the lanes",
            "learned",
            lazy(f"{_ROOM}.policies.graph:graph_policy"),
            transfers=True,
        ),
        PolicyFamily(
            "symmetric",
            "One network for all stores, with a context from above",
            "learned",
            lazy(f"{_ROOM}.policies.symmetric:symmetric_policy"),
        ),
        PolicyFamily("base_stock", "Base stock", "rule", lazy(f"{_ROOM}.policies.rules:base_stock")),
        PolicyFamily(
            "capped_base_stock", "Capped base stock", "rule", lazy(f"{_ROOM}.policies.rules:capped_base_stock")
        ),
        PolicyFamily(
            "echelon_base_stock", "Echelon base stock", "rule", lazy(f"{_ROOM}.policies.rules:echelon_base_stock")
        ),
        PolicyFamily(
            "base_stock_min_shortage",
            "Base stock, shortages shared by risk",
            "rule",
            lazy(f"{_ROOM}.policies.rationing:min_shortage"),
            refuses=_nothing_to_ration,
        ),
        PolicyFamily(
            "newsvendor",
            "Newsvendor on forecast quantiles",
            "rule",
            lazy(f"{_ROOM}.policies.newsvendor:newsvendor"),
            refuses=_forecasts_nothing,
        ),
        PolicyFamily(
            "reorder_point",
            "Reorder point (s, S)",
            "rule",
            lazy(f"{_ROOM}.policies.reorder:reorder_point"),
            refuses=_orders_cost_nothing,
            tuning="search",
        ),
    ),
    default_family=_default_family,
    view=lazy(f"{_ROOM}.view:NetworkView"),
    examples=EXAMPLES,
    draw=lazy(f"{_ROOM}.figures:draw"),
    program=lazy(f"{_ROOM}.program:network_program"),
    scenarios=OwnScenarios(lazy(f"{_ROOM}.scenarios:demand_table"), lazy(f"{_ROOM}.scenarios:demand_panel")),
    bounds=BOUNDS,
    importers=IMPORTERS,
)
