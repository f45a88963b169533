"""Lower bounds on the long-run average cost of a network, from exact methods: which one fits, and its value.

All are averages per period of policies that are the same every period, after the initial stock has worn off; they are
refused where the reported periods are not like that. Costs that grow with the flow alone (procurement, freight, goods
in transit, revenue) are constants in the long run where all demand is met in the end, and where it may be lost they
change what a lost unit costs. See docs/solvers/bounds.md.
"""

from __future__ import annotations

from models.core import BoundMethod
from models.inventory_network.exact.optimal import optimal, optimal_refuses
from models.inventory_network.exact.priced_warehouse import priced_warehouse
from models.inventory_network.exact.priced_warehouse import refuses as priced_refuses
from models.inventory_network.exact.relaxations import balance, balance_refuses, free_refuses, free_warehouse

BOUNDS = (
    BoundMethod(
        "optimal",
        "The optimum itself",
        optimal,
        optimal_refuses,
        exact=True,
        source="Arrow, Harris, Marschak 1951; Clark, Scarf 1960; Zheng, Federgruen 1991; Zipkin 2008",
    ),
    BoundMethod(
        "balance_relaxation",
        "Stock may be shared anew among the stores in every period",
        balance,
        balance_refuses,
        source="Eppen, Schrage 1981; Federgruen, Zipkin 1984",
    ),
    BoundMethod(
        "priced_warehouse",
        "Every store alone, paying for what the warehouse lacks",
        priced_warehouse,
        priced_refuses,
        source="Lagrangian relaxation (Hawkins 2003; Adelman, Mersereau 2008); these multipliers are ours",
    ),
    BoundMethod(
        "free_warehouse",
        "Every store alone, its supply unlimited and free",
        free_warehouse,
        free_refuses,
        source="Alvo, Russo, Kanoria, Oh, Ma, arXiv 2306.11246",
    ),
)
