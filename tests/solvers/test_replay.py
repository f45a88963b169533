"""A planner's own decision beside the recommended one, on common random numbers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from models.core import InvalidInput, NetworkSize
from models.registry import problem, problems
from solvers.families import policy_of
from solvers.replay import replay
from tests.models.named_networks import EXAMPLES

READING = [
    pytest.param(each, example, id=f"{each.name}-{example.name}")
    for each in problems().values()
    for example in each.examples[:2]
]


def served(problem: Any, document: dict[str, Any], family: str | None = None) -> Any:
    """What a replay needs of a served policy, for an untrained one."""
    instance = problem.parse(document)
    simulator = problem.simulator(instance)
    torch.manual_seed(1)
    chosen = problem.family(family or problem.default_family(instance))
    policy = policy_of(problem, instance, chosen, simulator, NetworkSize(8, 1)).eval()
    exact = problem.simulator(instance, counts=False).double()

    def decide(state: Any, stage: Any) -> Any:
        with torch.no_grad():
            return exact.repair(state, policy.propose(state.to(policy.precision), stage).to(torch.float64), stage)

    return SimpleNamespace(
        problem=problem, instance=instance, policy=policy, view=problem.view(instance), decide=decide
    )


def recommended(it: Any, state: dict[str, Any]) -> dict[str, Any]:
    """The policy's decision in one state, as a document."""
    decoded, stage = it.view.decode([state])
    (document,) = it.view.encode(decoded, it.decide(decoded, stage), stage)
    return document


def store(periods: int = 12) -> Any:
    return served(
        problem("inventory_network"),
        {**EXAMPLES["one-store-backlogged"](), "periods": periods, "warmup_periods": 0},
        "base_stock",
    )


@pytest.mark.parametrize(("problem", "example"), READING)
def test_taking_the_recommended_decision_over_costs_nothing(problem, example):
    it = served(problem, example.document())
    if not it.view.reads_decisions:
        pytest.skip("this problem does not read decisions back")
    state = it.view.today()
    played = replay(it, state, recommended(it, state), scenarios=6, seed=3)
    size = 1e-4 * (1 + abs(played["recommended"]["mean_cost"]))
    assert played["scenarios"] == 6
    assert played["difference"]["mean"] == pytest.approx(0.0, abs=size)
    assert played["own"]["mean_cost"] == pytest.approx(played["recommended"]["mean_cost"], abs=size)


class TestAStore:
    def order(self, it: Any, state: dict[str, Any], more: float) -> dict[str, Any]:
        document = recommended(it, state)
        (line,) = document["orders"]
        return {"orders": [{**line, "quantity": line["quantity"] + more}]}

    def test_a_wasteful_order_is_dearer_in_every_scenario(self):
        it = store()
        state = it.view.today()
        played = replay(it, state, self.order(it, state, 500.0), scenarios=64, seed=3)
        assert played["difference"]["wins"] == 1.0
        assert played["difference"]["ci95"][0] > 0
        assert (played["from_stage"], played["to_stage"]) == (0, 12)

    def test_the_difference_is_what_the_extra_units_cost_to_hold(self):
        """Demand cannot use the extra units: each costs its holding from its arrival to the end."""
        it = store(periods=8)
        holding = it.instance.nodes[-1].holding_cost
        lead = it.instance.lanes[0].lead_time
        state = {**it.view.today(), "on_hand": {"store": 10_000.0}}
        played = replay(it, state, {"orders": [{"from": "supplier", "to": "store", "quantity": 100.0}]}, 16, 3)
        assert 0 < lead < 8
        expected = 100.0 * (holding * (8 - lead) + it.instance.lanes[0].unit_cost)
        assert played["difference"]["mean"] == pytest.approx(expected, rel=1e-3)

    def test_the_same_seed_gives_the_same_answer_and_a_stop_fewer_scenarios(self):
        it = store()
        state = it.view.today()
        own = self.order(it, state, 5.0)
        assert replay(it, state, own, 40, 3) == replay(it, state, own, 40, 3)
        told: list[float] = []
        cut = replay(it, state, own, 40, 3, should_stop=lambda: True, on_progress=told.append)
        assert (cut["scenarios"], told) == (2, [0.05])

    def test_a_decision_that_breaks_a_rule_is_refused_with_its_place(self):
        it = store()
        with pytest.raises(InvalidInput) as error:
            replay(it, it.view.today(), {"orders": [{"from": "supplier", "to": "store", "quantity": -1}]}, 4, 3)
        assert error.value.issues[0].pointer.startswith("/orders/0")
