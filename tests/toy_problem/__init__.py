"""A problem of its own, kept outside `models/`: a newsstand that orders one item every day.

What is left over is kept, what is asked for in vain is lost; demand is uniform and orders arrive at once, so the best
policy is known: order up to `low + (high − low) · p / (p + h)`. It shows that a problem is one folder and one entry.
"""

from __future__ import annotations

from models.core import PolicyFamily, Problem, Traits
from models.lazy import lazy
from tests.toy_problem.instance import EXAMPLES, Newsstand

_ROOM = "tests.toy_problem"

PROBLEM = Problem(
    name="newsstand",
    title="Newsstand",
    summary="How many copies to order each day, before demand is known.",
    instance=Newsstand,
    traits=Traits(differentiable=True, discrete_decisions=False, has_program=False, convex=True),
    simulator=lazy(f"{_ROOM}.simulator:NewsstandSimulator"),
    families=(
        PolicyFamily("network", "Perceptron", "learned", lazy(f"{_ROOM}.policy:network")),
        PolicyFamily("order_up_to", "Order up to", "rule", lazy(f"{_ROOM}.policy:order_up_to")),
    ),
    default_family=lambda stand: "network",
    view=lazy(f"{_ROOM}.view:NewsstandView"),
    examples=EXAMPLES,
    units={"stock": "copies", "order": "copies/day", "cost": "money/day"},
)
