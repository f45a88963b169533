"""Documents as tables for a terminal: a certificate, an evaluation, a decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from models.view import Column
from service.cli.console import plain


def certificate_table(certificate: Mapping[str, Any], policy_name: str = "this policy") -> Table:
    """The policy beside the classical rules, cheapest first, and the bound."""
    return _cost_table([{"name": policy_name, **certificate["policy"]}, *certificate["rules"]], certificate)


def evaluation_table(document: Mapping[str, Any]) -> Table:
    """Policies and rules of an evaluation, cheapest first, and the bound."""
    return _cost_table(sorted(document["policies"], key=lambda row: row["mean_cost"]), document)


def _cost_table(rows: list[Mapping[str, Any]], document: Mapping[str, Any]) -> Table:
    """Costs per scenario over the reported stages; where every row earns money, profits instead."""
    bound = document["bound"]
    earns = all(row["mean_cost"] < 0 for row in rows) and (bound is None or bound["value"] < 0)
    word, sign = ("profit", -1.0) if earns else ("cost", 1.0)
    table = plain_table()
    table.add_column("policy", no_wrap=True)
    for heading in (f"mean {word}", "± (95 %)", "per stage", *(["gap"] if bound else [])):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            *_measured(row, sign), *([_gap(row, bound)] if bound else []), style="bold" if row is rows[0] else ""
        )
    if bound is not None:
        name = f"{bound['kind'].replace('_', ' ')} (bound)"
        figures = f"{sign * bound['value']:,.2f}", "", f"{sign * bound['value_per_stage']:,.4g}", ""
        table.add_row(plain(name), *figures, style="dim")
    table.caption = f"{document['scenarios']:,} scenarios never seen in training, the same for every row"
    return table


def _measured(row: Mapping[str, Any], sign: float) -> list[str]:
    margin = (row["ci95"][1] - row["ci95"][0]) / 2
    mean, per_stage = f"{sign * row['mean_cost']:,.2f}", f"{sign * row['mean_cost_per_stage']:,.4g}"
    return [plain(row["name"].replace("_", " ")), mean, f"{margin:,.2f}", per_stage]


def _gap(row: Mapping[str, Any], bound: Mapping[str, Any]) -> str:
    share = (row["mean_cost"] - bound["value"]) / max(abs(bound["value"]), 1e-12)
    return f"{share:.2%}" if share < 10 else "> 1000%"  # a bound near nothing says nothing as a percentage


PLACES_SHOWN = 30
_OF_PLACES = (  # key, heading, whether it is a share
    ("mean_on_hand", "on hand", False),
    ("fill_rate", "fill rate", True),
    ("mean_outdated", "outdated", False),
    ("holding", "holding cost", False),
    ("shortage", "shortage cost", False),
    ("lost_sales", "lost sales cost", False),
)


def places_table(certificate: Mapping[str, Any]) -> Table | None:
    """Service and cost by place of the certified policy; None where the problem has no places."""
    places: Mapping[str, Mapping[str, float]] = certificate["policy"].get("places") or {}
    columns = [c for c in _OF_PLACES if any(c[0] in figures for figures in places.values())]
    if not columns:
        return None
    table = plain_table()
    table.add_column("place", no_wrap=True)
    for _, heading, _ in columns:
        table.add_column(heading, justify="right")
    for name, figures in list(places.items())[:PLACES_SHOWN]:
        cells = [_figure(figures.get(key), share) for key, _, share in columns]
        table.add_row(plain(name), *cells)
    left = len(places) - PLACES_SHOWN
    table.caption = "quantities per stage, costs per scenario" + (
        f"; {left} more in the certificate" if left > 0 else ""
    )
    return table


def _figure(value: float | None, share: bool) -> str:
    if value is None:
        return ""
    return f"{value:.1%}" if share else f"{value:,.3f}"


def targets_lines(certificate: Mapping[str, Any]) -> list[str]:
    """A line for every service target: kept, or missed and by how much."""
    lines = []
    for target in certificate["policy"].get("targets") or []:
        name = plain(target["name"].replace("_", " ").replace("/", " of "))
        low, high = target["ci95"]
        state = "[green]kept[/green]" if target["met"] else "[red]missed[/red]"
        lines.append(f"{name}: {state} (short by {target['slack']:.4g} a stage, 95 %: {low:.4g} to {high:.4g})")
    return lines


def verdict(certificate: Mapping[str, Any]) -> str:
    """One sentence on what the certificate shows."""
    if not certificate["rules"]:
        return "No classical rule was compared" + (
            ", only the bound." if certificate["bound"] else ", and no bound found."
        )
    if certificate.get("missed_targets"):
        names = ", ".join(name.replace("_", " ").replace("/", " of ") for name in certificate["missed_targets"])
        return f"The policy misses its target ({names}): do not use it as it is."
    best = certificate["rules"][0]  # cheapest first, those that keep their targets before those that do not
    name, wins = best["name"].replace("_", " "), best["paired_difference"]["wins"]
    if not certificate["recommended_for_use"]:
        return f"The policy does not beat the best classical rule, {name}: use that rule instead."
    if not certificate["beats_best_rule"]:
        return f"The policy does as well as the best classical rule, {name}."
    return f"The policy beats the best classical rule, {name}, on {wins:.0%} of the scenarios."


def decision_table(columns: Sequence[Column], lines: Iterable[Mapping[str, Any]]) -> Table:
    """A decision in the planner's ids and units, a row per line."""
    table = plain_table()
    rows = list(lines)
    for column in columns:
        heading = f"{column.title} [dim]{plain(f'[{column.unit}]')}[/dim]" if column.unit else column.title
        numeric = any(isinstance(row.get(column.key), int | float) for row in rows)
        table.add_column(heading, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(_cell(row.get(column.key)) for column in columns))
    return table


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.2f}"
    return plain(str(value))


def plain_table(title: str | None = None) -> Table:
    """A table in the house's look."""
    return Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left", caption_justify="left")
