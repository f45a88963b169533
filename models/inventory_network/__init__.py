"""How much to order and ship on every lane of a supply network, each period, before demand is known."""

from __future__ import annotations

from models.core import PolicyFamily, Problem, Traits
from models.inventory_network.bounds import BOUNDS
from models.inventory_network.examples import EXAMPLES
from models.inventory_network.importers import IMPORTERS
from models.inventory_network.instance import InventoryNetwork
from models.lazy import lazy

_ROOM = "models.inventory_network"


def _default_family(net: InventoryNetwork) -> str:
    return "mlp" if len(net.lanes) <= 16 else "gnn"


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
            lazy(f"{_ROOM}.graph_policy:graph_policy"),
            transfers=True,
        ),
        PolicyFamily("base_stock", "Base stock", "rule", lazy(f"{_ROOM}.rules:base_stock")),
        PolicyFamily("capped_base_stock", "Capped base stock", "rule", lazy(f"{_ROOM}.rules:capped_base_stock")),
        PolicyFamily("echelon_base_stock", "Echelon base stock", "rule", lazy(f"{_ROOM}.rules:echelon_base_stock")),
    ),
    default_family=_default_family,
    view=lazy(f"{_ROOM}.view:NetworkView"),
    examples=EXAMPLES,
    program=lazy(f"{_ROOM}.program:network_program"),
    bounds=BOUNDS,
    importers=IMPORTERS,
)
