"""One item, known demand, setups that cost money, no capacity: Wagner and Whitin's recursion.

Some plan of least cost makes something only where nothing is left over, so that every lot covers whole periods:

    F(0) = 0,   F(t) = min over s ≤ t of F(s−1) + K_s + Σ_{u=s..t} h·(u−s)·d_u

A period without demand that nothing has to be made for costs nothing: F(t) = F(t−1) where d_t = 0.

Source: Wagner and Whitin, "Dynamic version of the economic lot size model", Management Science 5(1), 1958.
"""

from __future__ import annotations

from collections.abc import Sequence


def wagner_whitin(
    demand: Sequence[float], setup_cost: float | Sequence[float], holding_cost: float
) -> tuple[float, list[float]]:
    """Least cost [money] and the lots of a plan that has it [units], period by period.

    Args:
        demand: d, what has to be there in every period [units].
        setup_cost: K of a period in which something is made [money]; one for all or one a period.
        holding_cost: h of a unit left at the end of a period [money/unit/period].
    """
    periods = len(demand)
    setups = [setup_cost] * periods if isinstance(setup_cost, int | float) else list(setup_cost)
    least, made_in = [0.0], [-1]
    for last in range(periods):
        choices = [
            (least[first] + setups[first] + _held(demand, first, last, holding_cost), first)
            for first in range(last + 1)
        ]
        if demand[last] == 0:
            choices.append((least[last], -1))
        cost, first = min(choices)
        least.append(cost)
        made_in.append(first)
    lots = [0.0] * periods
    end = periods
    while end > 0:
        first = made_in[end]
        if first < 0:
            end -= 1
            continue
        lots[first] = float(sum(demand[first:end]))
        end = first
    return least[-1], lots


def _held(demand: Sequence[float], first: int, last: int, holding_cost: float) -> float:
    return sum(holding_cost * (period - first) * demand[period] for period in range(first, last + 1))
