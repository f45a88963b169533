"""Which item each machine makes next, period by period, before demand is known."""

from __future__ import annotations

from models.core import Face, PolicyFamily, Problem, Traits
from models.lazy import lazy
from models.lot_sizing.examples import EXAMPLES
from models.lot_sizing.instance import LotSizing
from models.lot_sizing.planner.importers import IMPORTERS
from models.scenarios import OwnScenarios

_ROOM = "models.lot_sizing"
_POLICIES = f"{_ROOM}.policies"

PROBLEM = Problem(
    name="lot_sizing",
    title="Lot sizing",
    summary="Which item each machine makes next, period by period, before demand is known.",
    instance=LotSizing,
    traits=Traits(
        differentiable=False,
        discrete_decisions=True,
        has_program=True,
        convex=False,
        finite_states=True,
        weakly_coupled=True,
    ),
    simulator=lazy(f"{_ROOM}.simulator:LotSimulator"),
    families=(
        PolicyFamily("mlp", "Perceptron, a head for every machine", "learned", lazy(f"{_POLICIES}.learned:mlp")),
        PolicyFamily(
            "sequential", "Perceptron, machine after machine", "learned", lazy(f"{_POLICIES}.learned:sequential")
        ),
        PolicyFamily("hysteresis", "Hysteresis", "rule", lazy(f"{_POLICIES}.hysteresis:hysteresis"), tuning="search"),
        PolicyFamily(
            "reorder_levels",
            "Reorder levels (s, S) by item",
            "rule",
            lazy(f"{_POLICIES}.hysteresis:reorder_levels"),
            tuning="search",
        ),
        PolicyFamily("run_out", "What runs out first", "rule", lazy(f"{_POLICIES}.run_out:run_out"), tuning="search"),
        PolicyFamily(
            "static", "A machine for an item, for ever", "rule", lazy(f"{_POLICIES}.static:static"), tuning="none"
        ),
        PolicyFamily("idle", "Make nothing", "rule", lazy(f"{_POLICIES}.static:idle"), tuning="none"),
    ),
    default_family=lambda plant: "sequential" if len(plant.machines) > 1 else "mlp",
    view=lazy(f"{_ROOM}.view:LotView"),
    examples=EXAMPLES,
    draw=lazy(f"{_ROOM}.figures:draw"),
    program=lazy(f"{_ROOM}.program:lot_program"),
    scenarios=OwnScenarios(lazy(f"{_ROOM}.scenarios:demand_table"), lazy(f"{_ROOM}.scenarios:demand_panel")),
    importers=IMPORTERS,
    values=lazy(f"{_POLICIES}.critics:critics"),
    finite=Face(lazy(f"{_ROOM}.exact.table:PlantTable"), lazy(f"{_ROOM}.exact.plant:table_refuses")),
    weakly_coupled=Face(lazy(f"{_ROOM}.exact.items:ItemTables"), lazy(f"{_ROOM}.exact.plant:items_refuse")),
    units={"inventory": "units", "production": "units/period", "cost": "money"},
)
