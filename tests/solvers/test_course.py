"""What a served policy draws of the coming stages, and what it tells to look at; nothing of it unasked."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from models.core import NetworkSize
from models.registry import problem
from service.figures import FigureView
from solvers.core import InnerSolveError
from solvers.course import SCENARIOS, follow
from solvers.families import policy_of
from solvers.serving import ServedPolicy

FORM = TypeAdapter(FigureView)
SHOWN = {
    "inventory_network": ("capacitated-two-suppliers", "base_stock"),
    "lot_sizing": ("bottling", "run_out"),
    "hydrothermal": ("cascade_three", "myopic"),
}


class Untrained:
    """An artifact of a family as it is built."""

    def __init__(self, name: str, document: dict[str, Any], family: str) -> None:
        self.training_range: dict[str, Any] = {}
        self.owner = problem(name)
        self.instance, self.family = self.owner.parse(document), family

    def restore(self) -> tuple[Any, Any, Any]:
        torch.manual_seed(0)
        simulator = self.owner.simulator(self.instance)
        family = self.owner.family(self.family)
        return self.owner, self.instance, policy_of(self.owner, self.instance, family, simulator, NetworkSize(8, 1))


@cache
def served(name: str, example: str, family: str) -> ServedPolicy:
    document = next(own.document() for own in problem(name).examples if own.name == example)
    return ServedPolicy(Untrained(name, document, family))  # type: ignore[arg-type]


def asked(name: str, **options: bool) -> dict[str, Any]:
    policy = served(name, *SHOWN[name])
    (answer,) = policy.recommend([policy.view.today()], **options)
    return answer


@pytest.mark.parametrize("name", SHOWN)
class TestEveryRoom:
    def test_the_coming_stages_are_drawn(self, name: str) -> None:
        figures = asked(name, figures=True)["figures"]
        assert len(json.dumps(figures, allow_nan=False)) < 500_000
        keys = [figure["key"] for figure in figures]
        assert len(set(keys)) == len(keys) >= 3
        for figure in figures:
            FORM.validate_python(figure)
            assert figure["caption"].endswith(".")
            assert figure["lines"] if figure["kind"] == "series" else figure["bars"]

    def test_projections_start_where_the_state_is(self, name: str) -> None:
        policy = served(name, *SHOWN[name])
        today = policy.view.today()
        field = {"inventory_network": "on_hand", "lot_sizing": "inventory", "hydrothermal": "storage_hm3"}[name]
        projections = [f for f in asked(name, figures=True)["figures"] if f["group"] in ("stock", "storage")]
        assert projections
        for figure in projections:
            place = figure["key"].partition("/")[2]
            course = next(line["values"] for line in figure["lines"] if line["name"] == "as expected")
            assert course[0] == pytest.approx(today[field][place], rel=1e-5)
            for band in figure["bands"]:
                assert band["lower"][0] == band["upper"][0] == pytest.approx(course[0], rel=1e-5)

    def test_nothing_is_computed_unasked(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        policy = served(name, *SHOWN[name])

        def refuse(*_: Any) -> Any:
            raise AssertionError("nobody asked for it")

        monkeypatch.setattr(policy.view, "figures", refuse, raising=False)
        monkeypatch.setattr(policy.view, "alerts", refuse, raising=False)
        monkeypatch.setattr("solvers.serving.follow", refuse)
        assert not {"figures", "alerts", "schedule"} & set(asked(name))


class TestCourse:
    """A policy followed by hand."""

    def test_the_expected_course_is_the_simulators(self) -> None:
        policy = served("inventory_network", "capacitated-two-suppliers", "base_stock")
        state, stage = policy.view.decode([policy.view.today()])
        exact = policy._exact

        def decide(state: Any, stage: Any) -> Any:
            return policy._decide(state, stage)[1]

        found = follow(exact, decide, (state, decide(state, stage), stage), 6, with_fan=True)
        assert found.stages == list(range(6))
        own = state
        for now, (there, decision, _) in enumerate(found.expected):
            torch.testing.assert_close(there.net_inventory, own.net_inventory)
            post, _ = exact.decide(own, decision, now)
            own, _ = exact.realize(post, exact.expected(1), now)
        assert found.sampled is not None
        spread = [float(there.net_inventory.std(0).max()) for there, _, _ in found.sampled]
        assert spread[0] == 0 < spread[1]
        assert found.sampled[1][0].batch == SCENARIOS

    def test_a_stage_without_a_plan_ends_it(self) -> None:
        policy = served("inventory_network", "capacitated-two-suppliers", "base_stock")
        state, stage = policy.view.decode([policy.view.today()])

        def decide(state: Any, stage: Any) -> Any:
            if (state.batch == 128 and int(stage[0]) == 3) or int(stage[0]) == 5:
                raise InnerSolveError("no plan")
            return policy._decide(state, stage)[1]

        found = follow(policy._exact, decide, (state, decide(state, stage), stage), 9, with_fan=True)
        assert found.stages == [0, 1, 2, 3, 4]
        assert found.sampled is None

    def test_it_ends_with_the_horizon(self) -> None:
        policy = served("inventory_network", "capacitated-two-suppliers", "base_stock")
        last = policy.simulator.num_stages - 2
        (answer,) = policy.recommend([policy.view.today() | {"period": last}], figures=True)
        stock = next(figure for figure in answer["figures"] if figure["group"] == "stock")
        assert len(stock["x"]) == 2

    def test_a_policy_that_thinks_long_has_no_fan(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("solvers.course.SECONDS", 0.0)
        figures = asked("inventory_network", figures=True)["figures"]
        assert all(figure["bands"] == [] for figure in figures if figure["kind"] == "series")
        assert all("scenarios" not in figure["caption"] for figure in figures)


class TestOrders:
    def test_arrivals_are_the_orders_and_what_is_under_way(self) -> None:
        answer = asked("inventory_network", figures=True)
        policy = served("inventory_network", *SHOWN["inventory_network"])
        arrivals = next(figure for figure in answer["figures"] if figure["key"] == "arrivals")
        for word, lines in (
            ("ordered now", answer["decision"]["orders"]),
            ("under way", policy.view.today()["in_transit"]),
        ):
            drawn = sum(sum(line["values"]) for line in arrivals["lines"] if line["group"] == word)
            assert drawn == pytest.approx(sum(line["quantity"] for line in lines), rel=1e-4)
        for line in answer["decision"]["orders"]:
            bars = [own for own in arrivals["lines"] if own["name"] == f"{line['to']}, ordered now"]
            assert not line["quantity"] or bars[0]["values"][line["arrives_in"]] > 0


class TestProduction:
    def test_the_first_bars_are_the_decision(self) -> None:
        answer = asked("lot_sizing", figures=True)
        schedule = next(figure for figure in answer["figures"] if figure["kind"] == "schedule")
        for line in answer["decision"]["production"]:
            now = [bar for bar in schedule["bars"] if bar["row"] == line["machine"] and bar["from"] == 0]
            assert [bar["group"] for bar in now] == ([line["item"]] if line["item"] else [])


class TestDispatch:
    def test_sources_add_up_to_the_load(self) -> None:
        answer = asked("hydrothermal", figures=True)
        dispatch = next(figure for figure in answer["figures"] if figure["key"] == "dispatch")
        load = next(line["values"] for line in dispatch["lines"] if line["name"] == "load")
        made = np.sum([line["values"] for line in dispatch["lines"] if line["stack"]], axis=0)
        assert made == pytest.approx(np.array(load), rel=1e-3)
        now = sum(answer["decision"]["generation_mw"].values()) + sum(answer["decision"]["deficit_mw"].values())
        assert made[0] == pytest.approx(now, rel=1e-4)


class TestAlerts:
    def alerts(self, name: str, **changes: Any) -> list[dict[str, Any]]:
        policy = served(name, *SHOWN[name])
        (answer,) = policy.recommend([policy.view.today() | changes], explain=True)
        found: list[dict[str, Any]] = answer["alerts"]
        return found

    def test_an_empty_store_may_run_out_and_a_full_one_may_not(self) -> None:
        stores = served("inventory_network", *SHOWN["inventory_network"]).view.net.demand_nodes
        stock = served("inventory_network", *SHOWN["inventory_network"]).view.today()["on_hand"]
        empty = self.alerts("inventory_network", on_hand=stock | {stores[0]: 0.0}, in_transit=[])
        told = next(alert for alert in empty if alert["pointer"] == f"/on_hand/{stores[0]}")
        assert told["severity"] in ("warning", "critical")
        assert "may run out" in told["title"]
        full = self.alerts("inventory_network", on_hand=stock | {stores[0]: 1e4})
        assert not any(alert["pointer"] == f"/on_hand/{stores[0]}" and "run out" in alert["title"] for alert in full)

    def test_an_item_without_stock_may_run_short(self) -> None:
        view = served("lot_sizing", *SHOWN["lot_sizing"]).view
        found = self.alerts("lot_sizing", inventory=dict.fromkeys(view.today()["inventory"], 0.0))
        assert [alert["severity"] for alert in found] == sorted(
            (alert["severity"] for alert in found), key=["critical", "warning", "info"].index
        )
        assert any("may run short" in alert["title"] for alert in found)

    def test_a_reservoir_at_its_dead_storage_is_critical(self) -> None:
        view = served("hydrothermal", *SHOWN["hydrothermal"]).view
        low = dict(zip(view.layout.hydros, view.layout.storage_min.tolist(), strict=True))
        found = self.alerts("hydrothermal", storage_hm3=low)
        assert {alert["pointer"] for alert in found} >= {f"/storage_hm3/{name}" for name in low}
        assert all("exponent" not in alert["detail"] and "e+" not in alert["detail"] for alert in found)

    def test_a_state_outside_the_training_range_comes_first(self) -> None:
        policy = served("inventory_network", "one-store-lost", "mlp")
        state, stage = policy.view.decode([policy.view.today()])
        features = policy.policy.features(state.to(torch.float32), stage)[0]
        policy.artifact.training_range = {"low": features, "high": features}
        (answer,) = policy.recommend([policy.view.today() | {"on_hand": {"store": 5000.0}}], explain=True)
        policy.artifact.training_range = {}
        assert answer["alerts"][0]["title"] == "Outside the range seen in training"
        assert answer["alerts"][0]["detail"] in answer["warnings"]
