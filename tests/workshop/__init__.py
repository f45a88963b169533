"""A problem of discrete decisions, kept outside `models/`: which of a few items each machine of a workshop makes.

One tool a kind may be shared: with `one_of_a_kind` no two machines may make the same item, which couples the slots.
The state space is small, so the best policy is known (`tests.workshop.optimum`).
"""

from __future__ import annotations

from models.core import PolicyFamily, Problem, Traits
from models.lazy import lazy
from tests.workshop.instance import EXAMPLES, Workshop

_ROOM = "tests.workshop"

PROBLEM = Problem(
    name="workshop",
    title="Workshop",
    summary="What each machine makes next, before demand is known.",
    instance=Workshop,
    traits=Traits(differentiable=False, discrete_decisions=True, has_program=False, convex=False),
    simulator=lazy(f"{_ROOM}.simulator:WorkshopSimulator"),
    families=(
        PolicyFamily("network", "Perceptron", "learned", lazy(f"{_ROOM}.policy:network")),
        PolicyFamily("sequential", "Machine after machine", "learned", lazy(f"{_ROOM}.policy:sequential")),
        PolicyFamily("scarcest", "Make the scarcest", "rule", lazy(f"{_ROOM}.policy:scarcest"), tuning="none"),
    ),
    default_family=lambda shop: "sequential" if shop.one_of_a_kind else "network",
    view=lazy(f"{_ROOM}.view:WorkshopView"),
    examples=EXAMPLES,
    values=lazy(f"{_ROOM}.policy:critics"),
    units={"stock": "pieces", "cost": "money/day"},
)
