"""A planner's own decisions read back: what `encode` wrote, and refusals that name the line, the field and the rule."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.core import InvalidInput
from models.hydrothermal.simulator import Dispatch, HydroSimulator
from models.inventory_network.simulator import Orders
from models.lot_sizing.simulator import LotSimulator
from models.registry import problem, problems
from tests.models.hydro_systems import every_option, two_buses
from tests.models.plants import document as plant_document
from tests.models.plants import random_decision, random_plant
from tests.toy_problem import PROBLEM as NEWSSTAND

SHOWN = {
    "inventory_network": ("eight-nodes-lost", "fixed-costs-and-lots", "capacitated-two-suppliers", "random-lead-time"),
    "lot_sizing": ("workshop-15x5", "bottling", "gearboxes", "packing", "spare-parts"),
    "hydrothermal": ("generated_28", "cascade_three", "two_buses"),
}
ROOMS = [(name, example) for name, examples in SHOWN.items() for example in examples]


def seen(name: str, document: dict[str, Any]) -> Any:
    """A view, and its instance's own state."""
    owner = problem(name)
    view = owner.view(owner.parse(document))
    return view, *view.decode([view.today()])


@cache
def room(name: str, example: str) -> Any:
    document = next(own.document() for own in problem(name).examples if own.name == example)
    return seen(name, document)


def proposal(view: Any, state: Any, stage: torch.Tensor, generator: torch.Generator) -> Any:
    """A random decision, made feasible."""
    simulator = view.simulator
    if isinstance(simulator, LotSimulator):
        return random_decision(simulator, state, stage, generator)
    if isinstance(simulator, HydroSimulator):
        return simulator.repair(state, dispatch(simulator, stage, generator), stage)
    lay = simulator.layout
    flow = torch.from_numpy(lay.lane_flow)
    asked = 3 * flow * torch.rand((1, lay.num_lanes), generator=generator, dtype=torch.float64)
    return simulator.repair(state, Orders(asked), stage)


def dispatch(simulator: Any, stage: torch.Tensor, generator: torch.Generator) -> Any:
    lay, rules = simulator.layout, simulator.rules
    season = int(stage) % lay.num_seasons
    blocks, buses = lay.num_blocks, len(lay.buses)

    def some(limit: torch.Tensor) -> torch.Tensor:
        return (limit * torch.rand(limit.shape, generator=generator, dtype=torch.float64))[None]

    return Dispatch(
        turbined=some(rules.turbine_max[season]),
        spilled=some(0.01 * rules.storage_max),
        hydro=torch.zeros((1, blocks, len(lay.hydros)), dtype=torch.float64),
        thermal=some(rules.thermal_max[season]),
        renewable=some(rules.renewable_max[season]),
        flow=torch.zeros((1, blocks, len(lay.limit)), dtype=torch.float64),
        loss=torch.zeros((1, blocks, len(lay.limit)), dtype=torch.float64),
        deficit=torch.zeros((1, blocks, len(lay.tiers), buses), dtype=torch.float64),
        surplus=torch.zeros((1, blocks, buses), dtype=torch.float64),
        target=torch.zeros((1, len(lay.hydros)), dtype=torch.float64),
        water_value=torch.zeros((1, len(lay.hydros)), dtype=torch.float64),
        marginal_cost=torch.zeros((1, blocks, buses), dtype=torch.float64),
        priced=torch.zeros(1, dtype=torch.float64),
        voltage=torch.zeros((1, blocks, 0), dtype=torch.float64),
        angle=torch.zeros((1, blocks, 0), dtype=torch.float64),
        reactive=torch.zeros((1, blocks, 0), dtype=torch.float64),
    )


def assert_alike(view: Any, state: Any, stage: torch.Tensor, one: Any, two: Any) -> None:
    """Two decisions lead to the same post-decision state at the same cost, but for the rounding of documents."""
    (post, costs), (other, others) = (view.simulator.decide(state, own, int(stage)) for own in (one, two))
    for name, value in vars(post).items():
        scale = 1.0 + float(value.abs().max()) if value.numel() else 1.0
        torch.testing.assert_close(getattr(other, name).double(), value.double(), rtol=0, atol=2e-4 * scale)
    for name, value in costs.components.items():
        torch.testing.assert_close(others.components[name], value, rtol=2e-3, atol=0.5)


@pytest.mark.parametrize(("name", "example"), ROOMS)
class TestWhatWasWritten:
    @settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(seed=st.integers(0, 10_000))
    def test_it_is_read_back(self, name: str, example: str, seed: int) -> None:
        view, state, stage = room(name, example)
        decision = proposal(view, state, stage, torch.Generator().manual_seed(seed))
        (document,) = view.encode(state, decision, stage)
        for given_back in (document, {view.lines_key: document[view.lines_key]}):
            read = view.read_decision(json.loads(json.dumps(given_back)), state, stage)
            assert float(view.simulator.violation(state, read, int(stage))) <= 1e-5 * (1 + _size(read))
            assert_alike(view, state, stage, decision, read)
        (again,) = view.encode(state, view.read_decision(document, state, stage), stage)
        for old, new in zip(document[view.lines_key], again[view.lines_key], strict=True):
            for column in view.columns:
                own = old[column.key]
                if column.decided:
                    wanted = own if own is None or isinstance(own, str) else pytest.approx(own, rel=1e-4, abs=2e-3)
                    assert new[column.key] == wanted

    def test_what_is_not_a_decision_is_refused_by_name(self, name: str, example: str) -> None:
        view, state, stage = room(name, example)
        decision = proposal(view, state, stage, torch.Generator().manual_seed(1))
        (document,) = view.encode(state, decision, stage)
        key = view.lines_key
        for wrong in (None, [], 3, {}, {key: 3}):
            with pytest.raises(InvalidInput) as refused:
                view.read_decision(wrong, state, stage)
            assert [issue.pointer for issue in refused.value.issues] == [f"/{key}"]
        for change in ({"surprise": 1}, {"quantity": "many", "generation_mw": "many"}):
            broken = copy.deepcopy(document)
            broken[key][0] |= {k: v for k, v in change.items() if k == "surprise" or k in broken[key][0]}
            with pytest.raises(InvalidInput) as refused:
                view.read_decision(broken, state, stage)
            assert all(issue.pointer.startswith(f"/{key}/0/") for issue in refused.value.issues)


def _size(decision: Any) -> float:
    return max(float(value.abs().max()) for value in vars(decision).values() if value.numel())


def refusal(view: Any, state: Any, stage: torch.Tensor, document: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as refused:
        view.read_decision(document, state, stage)
    return [(issue.pointer, issue.detail) for issue in refused.value.issues]


class TestOrders:
    """`capacitated-two-suppliers` and `fixed-costs-and-lots`."""

    def test_lanes_left_out_order_nothing(self) -> None:
        view, state, stage = room("inventory_network", "eight-nodes-lost")
        assert float(view.read_decision({"orders": []}, state, stage).quantity.sum()) == 0

    def test_every_limit_is_named(self) -> None:
        view, state, stage = room("inventory_network", "fixed-costs-and-lots")
        lane = next(lane for lane in view.net.lanes if lane.minimum_order or lane.lot_multiple)
        asked = (lane.minimum_order or lane.lot_multiple) * 1.37
        line = {"from": lane.source, "to": lane.target, "quantity": asked}
        ((where, said),) = refusal(view, state, stage, {"orders": [line]})
        assert where == "/orders/0/quantity"
        assert "multiples of" in said or "at least" in said
        (_, other), *_ = refusal(view, state, stage, {"orders": [line | {"quantity": -1}]})
        assert "not negative" in other

    def test_what_a_node_can_ship_is_named(self) -> None:
        view, state, stage = room("inventory_network", "eight-nodes-lost")
        inner = next(lane for lane in view.net.lanes if lane.source in view.places.node)
        line = {"from": inner.source, "to": inner.target, "quantity": 1e6}
        ((where, said),) = refusal(view, state, stage, {"orders": [line]})
        assert where == "/orders/0/quantity"
        assert f"{inner.source} can ship" in said

    def test_unknown_and_repeated_lanes_are_refused(self) -> None:
        view, state, stage = room("inventory_network", "one-store-lost")
        lane = {"from": "supplier", "to": "store", "quantity": 1}
        assert refusal(view, state, stage, {"orders": [lane, lane]}) == [("/orders/1", "line 0 is for the same lane")]
        ((where, _),) = refusal(view, state, stage, {"orders": [lane | {"to": ["store"]}]})
        assert where == "/orders/0"


class TestLots:
    """`bottling` (divisible) and `two-items-one-machine` (all or nothing)."""

    def test_all_or_nothing_is_named(self) -> None:
        view, state, stage = room("lot_sizing", "two-items-one-machine")
        machine = view.plant.machines[0].id
        line = {"machine": machine, "item": "A"}
        full = view.read_decision({"production": [line]}, state, stage)
        made = float(view.simulator.output.course(state, full, stage).made)
        same = view.read_decision({"production": [line | {"quantity": made}]}, state, stage)
        assert torch.equal(same.item, full.item)
        ((where, said),) = refusal(view, state, stage, {"production": [line | {"quantity": made / 2}]})
        assert (where, "all or nothing" in said) == ("/production/0/quantity", True)

    def test_what_a_machine_cannot_make_is_named(self) -> None:
        view, state, stage = room("lot_sizing", "workshop-15x5")
        for name in view.machines:
            unable = [item.id for item in view.plant.items if item.id not in view.places.able[name]]
            if unable:
                line = {"machine": name, "item": unable[0], "quantity": 1}
                ((where, said),) = refusal(view, state, stage, {"production": [line]})
                assert (where, said) == ("/production/0/item", f"{name} cannot make {unable[0]}")
                return
        pytest.fail("every machine can make every item")

    def test_more_than_a_machine_makes_and_more_lots_than_it_has_are_refused(self) -> None:
        view, state, stage = room("lot_sizing", "bottling")
        assert view.simulator.output.divisible
        name = view.machines[0]
        item = sorted(view.places.able[name])[0]
        lines = [{"machine": name, "item": item, "quantity": 1e6}]
        ((where, said),) = refusal(view, state, stage, {"production": lines})
        assert (where, "full output" in said) == ("/production/0/quantity", True)
        several = view.plant.lots_per_period
        many = [{"machine": name, "item": item, "quantity": 0.001}] * (several + 1)
        assert (
            refusal(view, state, stage, {"production": many})[0][1]
            == f"a machine makes at most {several} lots a period"
        )
        idle = {"machine": name, "item": None, "quantity": 3}
        assert refusal(view, state, stage, {"production": [idle]})[0][0] == "/production/0/quantity"

    def test_a_minimum_run_is_named(self) -> None:
        machines = [{"id": "M1", "initial_setup": "A", "minimum_run": 3}]
        view, _, _ = seen("lot_sizing", plant_document(machines=machines))
        state, stage = view.decode([view.today() | {"run": {"M1": 2}}])
        ((where, said),) = refusal(view, state, stage, {"production": [{"machine": "M1", "item": "B"}]})
        assert (where, "must go on with A for its minimum run" in said) == ("/production/0/item", True)

    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(seed=st.integers(0, 10_000))
    def test_any_plants_lots_are_read_back(self, seed: int) -> None:
        plant = random_plant(seed)
        view = problem("lot_sizing").view(plant)
        state, stage = view.decode([view.today()])
        decision = random_decision(view.simulator, state, stage, torch.Generator().manual_seed(seed))
        (document,) = view.encode(state, decision, stage)
        assert_alike(view, state, stage, decision, view.read_decision(document, state, stage))


class TestDispatches:
    """`two_buses`, `cascade_three`, and a system with every option."""

    def lines(self, view: Any, state: Any, stage: torch.Tensor) -> list[dict[str, Any]]:
        decision = proposal(view, state, stage, torch.Generator().manual_seed(3))
        lines: list[dict[str, Any]] = view.encode(state, decision, stage)[0]["plants"]
        return lines

    def test_a_reservoir_gives_no_more_than_it_has(self) -> None:
        view, state, stage = room("hydrothermal", "cascade_three")
        lines = self.lines(view, state, stage)
        lines[0] |= {"spilled_hm3": 1e6}
        found = refusal(view, state, stage, {"plants": lines})
        assert ("/plants/0/spilled_hm3", True) in [
            (where, "between its dead and its full" in said) for where, said in found
        ]

    def test_a_thermal_stays_within_its_capacity(self) -> None:
        view, state, stage = room("hydrothermal", "two_buses")
        lines = self.lines(view, state, stage)
        row = next(k for k, line in enumerate(lines) if line["kind"] == "thermal")
        lines[row] |= {"generation_mw": 1e5}
        found = refusal(view, state, stage, {"plants": lines})
        assert "within capacity" in dict(found)[f"/plants/{row}/generation_mw"]

    def test_generation_follows_the_water(self) -> None:
        view, state, stage = room("hydrothermal", "cascade_three")
        lines = self.lines(view, state, stage)
        row = max(range(3), key=lambda k: lines[k]["turbined_m3s"])
        told = lines[row]["generation_mw"]
        lines[row] |= {"generation_mw": told + 5}
        found = refusal(view, state, stage, {"plants": lines})
        assert "follows the water" in dict(found)[f"/plants/{row}/generation_mw"]
        lines[row]["generation_mw"] = None
        read = view.read_decision({"plants": lines}, state, stage)
        assert float(read.hydro[0, 0, row]) / view.layout.hours[0] == pytest.approx(told, abs=1e-3)

    def test_less_generation_leaves_load_unserved_and_more_is_refused(self) -> None:
        view, state, stage = room("hydrothermal", "two_buses")
        lines = self.lines(view, state, stage)
        for line in lines:
            if line["kind"] == "thermal":
                line["generation_mw"] = 0.0
        less = view.read_decision({"plants": lines}, state, stage)
        load = view.simulator.load[int(stage) % view.layout.num_seasons].sum()
        assert float(less.deficit.sum()) == pytest.approx(
            float(load - less.hydro.sum() - less.renewable.sum()), rel=1e-4
        )

    def test_flows_are_found_where_none_are_given(self) -> None:
        view, state, stage = seen("hydrothermal", two_buses("dc"))
        lines = [
            {"plant": "h1", "kind": "hydro", "turbined_m3s": 20.0, "spilled_hm3": 0.0},
            {"plant": "g1", "kind": "thermal", "generation_mw": 50.0},
        ]
        read = view.read_decision({"plants": lines}, state, stage)
        hours = view.layout.hours[0]
        assert float(read.flow) == pytest.approx(20.0 * hours)
        assert read.deficit.sum((0, 1, 2)).tolist() == pytest.approx([0.0, 30.0 * hours])
        over = [lines[0] | {"turbined_m3s": 60.0}, lines[1]]
        ((where, said),) = refusal(view, state, stage, {"plants": over})
        assert (where, "10 MW more are generated than anybody takes" in said) == ("/plants", True)

    @settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(seed=st.integers(0, 10_000))
    def test_blocks_losses_head_and_ramps_are_read_back(self, seed: int) -> None:
        view = problem("hydrothermal").view(every_option(seed))
        state, stage = view.decode([view.today()])
        decision = proposal(view, state, stage, torch.Generator().manual_seed(seed))
        (document,) = view.encode(state, decision, stage)
        read = view.read_decision(document, state, stage)
        assert_alike(view, state, stage, decision, read)


def test_a_problem_that_reads_nothing_back_says_so() -> None:
    view = NEWSSTAND.view(NEWSSTAND.parse(NEWSSTAND.examples[0].document()))
    assert not view.reads_decisions
    with pytest.raises(InvalidInput, match="does not read decisions back"):
        view.read_decision({"orders": []}, *view.decode([view.today()]))


def test_every_room_says_what_may_be_decided() -> None:
    for owner in problems().values():
        view = owner.view(owner.parse(owner.examples[0].document()))
        decided = [column.key for column in view.columns if column.decided]
        assert bool(decided) == view.reads_decisions
