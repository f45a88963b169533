"""How much water to release and what every plant generates, stage by stage, before future rain is known."""

from __future__ import annotations

from models.core import Face, PolicyFamily, Problem, Traits
from models.hydrothermal.examples import EXAMPLES
from models.hydrothermal.importers import IMPORTERS
from models.hydrothermal.instance import HydrothermalSystem
from models.lazy import lazy
from models.scenarios import OwnScenarios

_ROOM = "models.hydrothermal"
_MOST_PLANNED = 100_000  # stages planned in a rollout, times the units in each: beyond, plans of a year take minutes
_YEAR_HOURS = 8_760


def _plans_too_much(system: HydrothermalSystem) -> str | None:
    ahead = min(system.stages, max(12, round(_YEAR_HOURS / system.stage_hours)))
    units = len(system.buses) + len(system.lines) + len(system.thermals) + 3 * len(system.hydros)
    if system.stages * ahead * units <= _MOST_PLANNED:
        return None
    return "planning a year in every stage of every scenario takes minutes here: train rolling_deterministic instead"


def _plans_are_exact(system: HydrothermalSystem) -> str | None:
    return "its stage programs are exact" if system.plans_leave_out is None else None


PROBLEM = Problem(
    name="hydrothermal",
    title="Hydrothermal dispatch",
    summary="How much water to release and what every plant generates, stage by stage, before future rain is known.",
    instance=HydrothermalSystem,
    traits=Traits(
        differentiable=False,
        discrete_decisions=False,
        has_program=True,
        convex=True,
        finite_noise=True,
        has_targets=True,
    ),
    simulator=lazy(f"{_ROOM}.simulator:HydroSimulator"),
    families=(
        PolicyFamily("myopic", "Myopic", "rule", tuning="none", plan={"look_ahead": 1}),
        PolicyFamily("mean_inflow", "Plan on mean inflow", "rule", tuning="none", plan={}, refuses=_plans_too_much),
        PolicyFamily(
            "dry_inflow",
            "Plan on a dry quantile of inflow",
            "rule",
            tuning="none",
            plan={"quantile": 0.25},
            refuses=_plans_too_much,
        ),
    ),
    default_family=lambda system: "myopic",
    view=lazy(f"{_ROOM}.view:HydroView"),
    examples=EXAMPLES,
    draw=lazy(f"{_ROOM}.figures:draw"),
    program=lazy(f"{_ROOM}.program:hydro_program"),
    full_stages=Face(lazy(f"{_ROOM}.full_stages:full_stages"), _plans_are_exact),
    scenarios=OwnScenarios(lazy(f"{_ROOM}.scenarios:inflow_table"), lazy(f"{_ROOM}.scenarios:inflow_panel")),
    targets=lazy(f"{_ROOM}.targets:hydro_targets"),
    importers=IMPORTERS,
    units={"water": "hm³", "flow": "m³/s", "power": "MW", "energy": "MWh", "cost": "money/stage"},
)
