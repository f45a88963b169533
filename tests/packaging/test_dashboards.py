"""The Grafana dashboard and the alert rules ask only for what the processes tell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml
from prometheus_client.metrics_core import Metric

from service.db.migrate import upgrade
from service.db.session import Database
from service.metrics import Metrics
from service.system.facts import Facts
from service.workers.measures import WorkerMetrics
from tests.packaging.test_files import ROOT
from tests.service.api_server import make_settings

DEPLOY = ROOT / "examples" / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "herenow.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"].replace("$__rate_interval", "5m") for panel in PANELS for target in panel["targets"]]
OF_PROMETHEUS = {"up": {"job", "instance"}}  # what Prometheus itself adds
ENDINGS = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",), "gauge": ("",), "info": ("_info",)}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Every series that API and worker expose, with its labels."""
    settings = make_settings(tmp_path_factory.mktemp("told"))
    database = Database(settings.database)
    upgrade(database)
    api = Metrics()
    api.add(Facts(database, settings))
    found = dict(OF_PROMETHEUS)
    for registry in (api.registry, WorkerMetrics().registry):
        labels = {
            collector._name: set(collector._labelnames)  # type: ignore[attr-defined]
            for collector in registry._collector_to_names
            if hasattr(collector, "_labelnames")
        }
        for family in registry.collect():
            own = labels.get(family.name, set()) | _labels(family)
            for ending in ENDINGS[family.type]:
                series = family.name + ending
                found[series] = found.get(series, set()) | own | {"instance", "job", "le"}
    database.close()
    return found


def _labels(family: Metric) -> set[str]:
    own = {name for sample in family.samples for name in sample.labels}
    return own | ({"policy", "alias"} if family.name.startswith("herenow_in_use") else set())


def walked(expression: Any) -> Iterator[Any]:
    """An expression and everything in it."""
    yield expression
    for name in ("expr", "lhs", "rhs", "vector_selector"):
        inner = getattr(expression, name, None)
        if inner is not None:
            yield from walked(inner)
    for argument in getattr(expression, "args", None) or []:
        yield from walked(argument)


def check(query: str, told: dict[str, set[str]]) -> None:
    """AssertionError for a metric or a label nobody exposes."""
    parts = list(walked(promql.parse(query)))
    selectors = [part for part in parts if isinstance(part, promql.VectorSelector)]
    assert selectors, query
    labels: set[str] = set()
    for selector in selectors:
        assert selector.name in told, f"{selector.name} in {query}"
        assert {matcher.name for matcher in selector.matchers.matchers} <= told[selector.name], query
        labels |= told[selector.name]
    for grouped in re.findall(r"\b(?:by|on|group_left) \(([^)]*)\)", query):
        assert {label.strip() for label in grouped.split(",")} <= labels, query


@pytest.mark.parametrize("query", QUERIES)
def test_the_dashboard_asks_for_what_is_told(query: str, told: dict[str, set[str]]) -> None:
    check(query, told)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
class TestAlerts:
    """Every alert rule."""

    def test_it_asks_for_what_is_told(self, rule: dict[str, Any], told: dict[str, set[str]]) -> None:
        check(rule["expr"], told)

    def test_it_has_all_that_prometheus_takes_and_no_more(self, rule: dict[str, Any]) -> None:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert promql.parse_duration(rule.get("for", "1s")).total_seconds() < 2 * 3600
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]

    def test_the_page_says_what_to_do(self, rule: dict[str, Any]) -> None:
        page, _, heading = rule["annotations"]["runbook"].partition("#")
        text = (ROOT / page).read_text()
        headings = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
        assert heading in headings
        assert f"`{rule['alert']}`" in text


def test_every_measure_of_ours_is_on_the_dashboard_or_watched(told: dict[str, set[str]]) -> None:
    asked = " ".join([*QUERIES, *(rule["expr"] for rule in RULES)])
    families = {re.sub(r"_(bucket|count|sum|total)$", "", name) for name in told if name.startswith("herenow_")}
    unseen = {name for name in families if name not in asked}
    assert unseen == {"herenow_child_memory_peak_bytes"}  # for a look after the fact


def test_panels_are_numbered_and_do_not_overlap() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_prometheus_is_told_where_to_look() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    jobs = {scrape["job_name"]: scrape for scrape in config["scrape_configs"]}
    assert set(jobs) == {"herenow-api", "herenow-worker"}
    assert [Path(name).name for name in config["rule_files"]] == ["alerts.yml"]
    assert "authorization" in jobs["herenow-api"]  # the worker's listener takes no key
