"""Certificates as tables and sentences."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from service.cli.tables import certificate_table, places_table, targets_lines, verdict


def row(cost: float, **more: Any) -> dict[str, Any]:
    return {"mean_cost": cost, "mean_cost_per_stage": cost / 10, "ci95": [cost - 2, cost + 2], **more}


def certificate(policy: float, rule: float | None, bound: float | None, recommended: bool = True) -> dict[str, Any]:
    paired = {"mean": (rule or 0) - policy, "ci95": [0, 1], "wins": 0.75}
    return {
        "scenarios": 4096,
        "policy": row(policy),
        "rules": [] if rule is None else [row(rule, name="base_stock", paired_difference=paired)],
        "bound": bound and {"kind": "perfect_information", "value": bound, "value_per_stage": bound / 10},
        "beats_best_rule": None if rule is None else rule > policy,
        "recommended_for_use": recommended,
    }


def shown(document: dict[str, Any]) -> list[list[str]]:
    """The table's cells, line by line."""
    console = Console(file=io.StringIO(), width=120)
    console.print(certificate_table(document, "mine"))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return [line.split("  ") for line in text.splitlines()]


def line(document: dict[str, Any], name: str) -> list[str]:
    """The figures of the row that begins with this name."""
    cells = next(cells for cells in shown(document) if cells[0].strip() == name)
    return [cell.strip() for cell in cells[1:] if cell.strip()]


def test_costs_are_shown_with_their_gap_to_the_bound() -> None:
    document = certificate(110.0, 120.0, 100.0)
    assert line(document, "mine") == ["110.00", "2.00", "11", "10.00%"]
    assert line(document, "base stock") == ["120.00", "2.00", "12", "20.00%"]
    assert line(document, "perfect information (bound)") == ["100.00", "10"]


def test_where_all_earn_money_profits_are_shown() -> None:
    document = certificate(-90.0, -80.0, -100.0)
    assert line(document, "mine") == ["90.00", "2.00", "9", "10.00%"]
    assert "mean profit" in " ".join(shown(document)[1])


def test_a_bound_near_nothing_gives_no_percentage() -> None:
    assert line(certificate(110.0, 120.0, 1e-9), "mine")[-1] == "> 1000%"


def test_without_a_bound_there_is_no_gap() -> None:
    document = certificate(110.0, 120.0, None)
    assert line(document, "mine") == ["110.00", "2.00", "11"]
    assert "gap" not in " ".join(shown(document)[1])


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (certificate(110.0, 120.0, 100.0), "beats the best classical rule, base stock, on 75% of the scenarios"),
        (certificate(110.0, 109.9, 100.0), "does as well as the best classical rule, base stock"),
        (certificate(110.0, 105.0, 100.0, recommended=False), "use that rule instead"),
        (certificate(110.0, None, 100.0), "only the bound"),
        (certificate(110.0, None, None), "no bound found"),
    ],
)
def test_the_verdict_says_what_the_certificate_shows(document: dict[str, Any], words: str) -> None:
    assert words in verdict(document)


class TestPlacesAndTargets:
    def with_places(self, count: int = 2) -> dict[str, Any]:
        document = certificate(110.0, 120.0, 100.0)
        figures = {"mean_on_hand": 4.5, "fill_rate": 0.951, "holding": 12.0}
        document["policy"]["places"] = {f"s{k}": figures for k in range(count)}
        return document

    def text(self, table: Any) -> str:
        console = Console(file=io.StringIO(), width=120)
        console.print(table)
        found: str = console.file.getvalue()  # type: ignore[attr-defined]
        return found

    def test_each_place_has_its_service_and_cost(self) -> None:
        text = self.text(places_table(self.with_places()))
        for words in ("s0", "s1", "4.500", "95.1%", "12.000", "holding cost"):
            assert words in text
        assert "outdated" not in text

    def test_many_places_are_cut_and_said_to_be(self) -> None:
        text = self.text(places_table(self.with_places(35)))
        assert "s29" in text
        assert "s30" not in text
        assert "5 more in the certificate" in " ".join(text.split())

    def test_without_places_there_is_no_table(self) -> None:
        assert places_table(certificate(110.0, 120.0, 100.0)) is None

    def test_targets_say_whether_they_are_kept(self) -> None:
        document = certificate(110.0, 120.0, 100.0)
        missed = {"name": "fill_rate/s1", "slack": 0.25, "ci95": [0.2, 0.3], "met": False}
        document["policy"]["targets"] = [missed, missed | {"name": "fill_rate/s2", "met": True}]
        first, second = targets_lines(document)
        assert first.startswith("fill rate of s1: [red]missed")
        assert second.startswith("fill rate of s2: [green]kept")
        assert "misses its target (fill rate of s1)" in verdict(document | {"missed_targets": ["fill_rate/s1"]})
